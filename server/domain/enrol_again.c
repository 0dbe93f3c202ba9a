/* Machines that were in the fleet before: one whose record the parent lost comes back with its
 * receipt (protocol.md 6.14.8), one that was installed anew takes its old place (6.14.6).  Neither
 * happens without a person. */
#include "domain/enrol_private.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/keyring.h"
#include "proto/proto.h"
#include "store/identity_store.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECEIPT_MAX = 4096 };

struct reattach {
    struct enrolment en; /* first: enrol_run() gives it to the transaction */
    char id[UUID_TEXT_SIZE];
    char receipt_kid[JOSE_KID_SIZE]; /* of the device key the receipt was given for */
    const char *text;
};

static enum err_code not_ours(struct err *e)
{
    return err_set(e, ERR_TOKEN_INVALID, "the receipt was not accepted");
}

/* Whose receipt it is.  One that is not by us says nothing, and nothing is written about it. */
static enum err_code read_receipt(struct reattach *r, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct jose_jws j = {0};
    AUTO(jose_key_free) struct jose_key *key = NULL;
    bool ok;

    if (jose_jws_parse(slice_of(r->text), RECEIPT_MAX, PROTO_TYP_RECEIPT, &j, NULL) != ERR_OK)
        return not_ours(e);
    ok = keyring_listed(r->en.app->keys, "receipt", j.kid, &key, NULL) == ERR_OK &&
         jose_jws_verify(&j, key, NULL) == ERR_OK &&
         json_in_parse((struct slice){j.payload, j.payload_n}, RECEIPT_MAX, &doc, NULL) == ERR_OK &&
         strcmp(json_str(doc, "fleet", ""), r->en.app->fleet_id) == 0 &&
         uuid_is_valid(json_str(doc, "device", ""));
    jose_jws_clear(&j);
    if (!ok)
        return not_ours(e);
    text_copy(r->id, sizeof r->id, json_str(doc, "device", ""));
    text_copy(r->receipt_kid, sizeof r->receipt_kid, json_str(doc, "kid", ""));
    return ERR_OK;
}

/* What the machine says of itself is only what a person is shown and decides on: its key it has
 * proven. */
static enum err_code come_back(struct db *db, struct reattach *r, struct err *e)
{
    struct enrolment *en = &r->en;
    AUTO(json_free) json_t *detail = NULL;
    char name[64], object[64];
    bool taken = false;
    enum err_code rc = identity_store_kid_taken(db, r->id, en->kid, &taken, e);

    if (rc == ERR_OK && taken)
        return enrol_refuse(en, ERR_TOKEN_INVALID, "the key is another device's", e);
    if (rc == ERR_OK)
        rc = enrol_check_fresh(en, e);
    if (rc == ERR_OK)
        rc = enrol_choose_name(db, en, name, e);
    if (rc == ERR_OK)
        rc = enrol_insert(db, en,
                          &(struct device_new){.id = r->id,
                                               .name = name,
                                               .state = "reattach",
                                               .mode = enrol_modes[en->doc.mode == 1],
                                               .placement = "edge",
                                               .receipt = "",
                                               .approver = "",
                                               .replaces = ""},
                          e);
    if (rc == ERR_OK)
        rc = device_store_get(db, r->id, en->a, &en->device, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(object, sizeof object, "device/%s", r->id);
    detail =
        json_pack("{s:s,s:s,s:s,s:s,s:s}", "name", name, "kid", en->kid, "fingerprint",
                  en->doc.fingerprint, "mode", en->device.mode, "placement", en->device.placement);
    return audit_append(db, &(struct actor){"device", r->id, r->id, "", en->address},
                        "device.reattach", object, detail, e);
}

static enum err_code reattach_tx(struct db *db, void *ctx, struct err *e)
{
    struct reattach *r = ctx;
    struct device d;
    enum err_code rc = device_store_get(db, r->id, r->en.a, &d, e);

    r->en.known = false;
    r->en.cause = NULL;
    if (strcmp(r->receipt_kid, r->en.kid) != 0)
        return enrol_refuse(&r->en, ERR_TOKEN_INVALID, "the receipt is for another key", e);
    if (rc == ERR_NOT_FOUND)
        return come_back(db, r, e);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(d.kid, r->en.kid) != 0)
        return enrol_refuse(&r->en, ERR_TOKEN_INVALID, "the device has another key now", e);
    return enrol_check_known(&r->en, &d, e);
}

enum err_code enrol_reattach(struct db *db, struct app *app, const char *receipt, struct slice jws,
                             const char *address, struct arena *a, char ret_id[37],
                             bool *ret_pending, json_t **ret, struct err *e)
{
    struct reattach r = {
        .en = {.app = app, .a = a, .now_ms = clock_wall_ms(), .doc = {.placement = -1, .mode = -1}},
        .text = receipt};
    AUTO(json_free) json_t *hold = NULL;
    char plain[64];
    enum err_code rc = enrol_bucket(app, e);

    r.en.address = enrol_plain_address(address, plain);
    if (rc == ERR_OK)
        rc = read_receipt(&r, e);
    if (rc == ERR_OK)
        rc = enrol_read_document(jws, &r.en, &hold, e);
    return rc == ERR_OK ? enrol_run(db, &r.en, reattach_tx, ret_id, ret_pending, ret, e) : rc;
}

/* --- in the place of another --- */

/* What the device is from now on.  One that was revoked is looked at first: nobody knows what was
 * done with it. */
static void heir_state(const struct device *d, struct identity_heir *h)
{
    bool back = strcmp(d->state, "revoked") == 0;

    h->mode = back ? "observe" : d->mode;
    h->state = strcmp(d->state, "held") == 0    ? "held"
               : strcmp(h->mode, "manage") == 0 ? "managed"
                                                : "observing";
}

enum err_code enrol_replace(struct db *db, struct app *app, const struct device *pending,
                            const struct actor *by, struct arena *a, char ret_id[37], struct err *e)
{
    struct identity_heir h = {.from = pending->id, .kid = pending->kid, .approver = by->name};
    AUTO(json_free) json_t *detail = NULL;
    AUTO_STR char *receipt = NULL;
    char object[64];
    struct device d;
    enum err_code rc = device_store_lock(db, json_str(pending->replaces, "id", ""), a, &d, e);

    if (rc == ERR_OK && (strcmp(d.state, "retired") == 0 || strcmp(d.state, "rejected") == 0))
        rc =
            err_set(e, ERR_CONFLICT, "device \"%s\" is %s: it cannot be replaced", d.name, d.state);
    if (rc == ERR_OK)
        rc = enrol_receipt(app, d.id, h.kid, by->name, &receipt, e);
    if (rc != ERR_OK)
        return rc;
    heir_state(&d, &h);
    h.receipt = receipt;
    rc = identity_store_inherit(db, d.id, &h, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(ret_id, 37, "%s", d.id);
    (void)snprintf(object, sizeof object, "device/%s", d.id);
    detail = json_pack("{s:s,s:s,s:s,s:s,s:b,s:{s:s,s:s},s:{s:s,s:s}}", "name", d.name, "kid",
                       h.kid, "before", d.kid, "enrolment", pending->id, "same_hardware",
                       json_bool(pending->replaces, "same_hardware", false), "was", "state",
                       d.state, "fingerprint", d.fingerprint, "is", "state", h.state, "fingerprint",
                       pending->fingerprint);
    return detail == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                          : audit_append(db, by, "device.replace", object, detail, e);
}
