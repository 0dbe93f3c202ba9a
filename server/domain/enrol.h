/*
 * enrol.h - joining: enrolment tokens, the enrolment itself, and the tokens a child authenticates with
 * (protocol.md 6.5, 6.6; docs/internals/wire.md).
 * Towards the peer failed credentials are one text; the cause is in the audit log.
 * Secrets: token texts are stored as SHA-256 only, and never logged.
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"
#include "http/request.h"
#include "jose/jose.h"

enum { ENROL_TOKEN_SIZE = 64, ENROL_LOGIN_TTL_S = 300, ENROL_BURST = 20, DEVICE_TOKEN_TTL_S = 900 };

/* A name people give a device: letters a-z, digits, ".", "-", "_"; 1..63; not shaped like an id. */
bool device_name_ok(const char *name);

/* --- tokens people make --- */
struct enrol_spec {
    const char *name, *group /* id or name, NULL */, *name_pattern, *placement;
    const json_t *networks; /* array of CIDR texts, NULL */
    int64_t uses, expires_in_s;
    bool approval;
};
/* *ret: with "token" and "join", which nobody can read again; new reference.  ERR_INVALID names the field. */
MUST_USE enum err_code enrol_token_create(struct db *db, struct app *app, const struct enrol_spec *spec,
                                          const struct actor *by, bool dry_run, struct arena *a, json_t **ret,
                                          struct err *e);
/* *ret: {"items","next"}; each with the devices that came through it. */
MUST_USE enum err_code enrol_token_list(struct db *db, const char *cursor, int64_t limit, struct arena *a, json_t **ret,
                                        struct err *e);
/* *ret: {"devices":[...]} that came through it. */
MUST_USE enum err_code enrol_token_revoke(struct db *db, const char *id, const struct actor *by, bool dry_run, json_t **ret,
                                          struct err *e);
/* The one-use token behind grant_type=password: who has signed in already (login.h) and may enrol. */
MUST_USE enum err_code enrol_token_for_login(struct db *db, const struct who *who, const struct actor *by,
                                             char ret_token[ENROL_TOKEN_SIZE], struct err *e);

/* --- what children send --- */
/* jws: the enrolment document.  *ret_pending: 202, approval is waited for; *ret: the body, new reference.
 * ERR_TOKEN_INVALID, ERR_TOKEN_EXPIRED, ERR_ENROLMENT_REJECTED (used up, foreign network, name, rejected),
 * ERR_DEVICE_REVOKED, ERR_DEVICE_RETIRED, ERR_SLOW_DOWN. */
MUST_USE enum err_code enrol_device(struct db *db, struct app *app, const char *token, struct slice jws, const char *address,
                                    struct arena *a, char ret_id[37], bool *ret_pending, json_t **ret, struct err *e);
/* A machine whose record is lost shows the receipt of its enrolment instead of a token: with the same key it is the device
 * of the receipt again, state "reattach", once a person has approved it.  As enrol_device(); nothing is written about a
 * receipt that is not ours.  ERR_TOKEN_INVALID: not ours, for another key, or the device has another one now. */
MUST_USE enum err_code enrol_reattach(struct db *db, struct app *app, const char *receipt, struct slice jws,
                                      const char *address, struct arena *a, char ret_id[37], bool *ret_pending,
                                      json_t **ret, struct err *e);
/* In the caller's transaction: the pending device takes the place of the one it replaces, which goes on with its id,
 * name, groups, settings and history, the new machine's key and none of the old one's credentials.  *ret_id: that
 * device.  ERR_CONFLICT: not as things are now. */
struct device;
MUST_USE enum err_code enrol_replace(struct db *db, struct app *app, const struct device *pending, const struct actor *by,
                                     struct arena *a, char ret_id[37], struct err *e);
/* A client assertion -> access token.  *ret: the OAuth answer.  ERR_TOKEN_INVALID, ERR_CLOCK_SKEW, ERR_DEVICE_REVOKED,
 * ERR_DEVICE_RETIRED, ERR_ENROLMENT_REJECTED, ERR_TOKEN_SCOPE (approval is waited for). */
MUST_USE enum err_code device_token_grant(struct db *db, struct app *app, struct slice assertion, int64_t now_s,
                                          const char *address, struct arena *a, json_t **ret, struct err *e);
/* The state of an enrolment, for the device whose key made the proof (compact JWS typ proof, act "enrolment"; once).
 * *ret_pending as enrol_device(); *ret: the body, new reference.  ERR_TOKEN_INVALID (also when there is no such device),
 * ERR_CLOCK_SKEW, ERR_ENROLMENT_REJECTED, ERR_DEVICE_REVOKED, ERR_DEVICE_RETIRED, ERR_SLOW_DOWN. */
MUST_USE enum err_code enrol_state(struct db *db, struct app *app, const char *device_id, const char *proof,
                                   const char *address, struct arena *a, bool *ret_pending, json_t **ret, struct err *e);
/* Is proof (NULL: none was sent) made by the device's key, now, for act (PROTO_ACT_...), and never seen before?
 * *ret (NULL: not wanted): the device, in a.  A refusal is audited.  ERR_TOKEN_INVALID, ERR_CLOCK_SKEW. */
MUST_USE enum err_code device_proof(struct db *db, struct app *app, const char *device_id, const char *proof,
                                    const char *act, const char *address, struct arena *a, struct device *ret,
                                    struct err *e);
/* The same checks without database, for tests: issuer, key and time given.  *ret_jti, *ret_exp_s on ERR_OK. */
MUST_USE enum err_code device_assertion_check(struct slice assertion, const char *issuer, const struct jose_key *key,
                                              const char *device_id, int64_t now_s, char ret_jti[80], int64_t *ret_exp_s,
                                              struct err *e);
/* A receipt for a device that may come in now; heap text. */
MUST_USE enum err_code enrol_receipt(struct app *app, const char *device_id, const char *kid, const char *approver,
                                     char **ret, struct err *e);
