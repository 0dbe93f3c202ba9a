/* enrol_private.h - what the ways into the fleet share: with a token (enrol.c), and with the receipt of an earlier
 * enrolment (enrol_again.c). */
#pragma once

#include "domain/enrol.h"
#include "store/device_store.h"

struct enrol_document { /* borrowed from the parsed payload */
    json_t *jwk, *enc_jwk, *inventory, *capabilities;
    const char *nonce, *name, *hostname, *fingerprint, *hardware, *agent_version;
    int placement, mode; /* -1: not said */
};

struct enrolment {
    struct app *app;
    struct arena *a;
    unsigned char token_hash[SHA256_SIZE];
    const char *address;
    char kid[JOSE_KID_SIZE];
    struct enrol_document doc;
    int64_t now_ms;
    char name[64];
    const char *cause; /* of a refusal, for the audit log */
    struct device device;
    bool known;
};

extern const char *const enrol_placements[], *const enrol_modes[]; /* NULL-terminated */

/* The document is by the key it names; name and kid are taken from it.  *ret_hold: what en->doc borrows from. */
MUST_USE enum err_code enrol_read_document(struct slice jws, struct enrolment *en, json_t **ret_hold, struct err *e);
/* The wished name, or the first free one after it ("-2", "-3" ...). */
MUST_USE enum err_code enrol_choose_name(struct db *db, struct enrolment *en, char out[64], struct err *e);
/* The machine of the document as a device: all that the document says is taken from it, the rest from as. */
MUST_USE enum err_code enrol_insert(struct db *db, struct enrolment *en, const struct device_new *as, struct err *e);
/* Sets en->cause; gives code. */
enum err_code enrol_refuse(struct enrolment *en, enum err_code code, const char *cause, struct err *e);
/* The device is en's from now on.  Refuses one that is revoked, retired or rejected. */
MUST_USE enum err_code enrol_check_known(struct enrolment *en, const struct device *d, struct err *e);
/* Nonce and version of the agent. */
MUST_USE enum err_code enrol_check_fresh(struct enrolment *en, struct err *e);
/* A machine that took another device's place: what the device is now (enrol.h). */
MUST_USE enum err_code enrol_follow(struct db *db, struct arena *a, struct device *d, struct err *e);
MUST_USE enum err_code enrol_answer(struct app *app, const struct device *d, bool *ret_pending, json_t **ret,
                                    struct err *e);
/* Runs fn with en in a transaction; a refusal with a cause is audited; then the answer. */
MUST_USE enum err_code enrol_run(struct db *db, struct enrolment *en, tx_fn fn, char ret_id[37], bool *ret_pending,
                                 json_t **ret, struct err *e);
/* ERR_SLOW_DOWN beyond app->enrol_rate. */
MUST_USE enum err_code enrol_bucket(const struct app *app, struct err *e);
/* Without the prefix of a mapped address and without a zone. */
const char *enrol_plain_address(const char *address, char out[64]);
