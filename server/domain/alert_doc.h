/*
 * alert_doc.h - alert rules, channels and silences as people read and change them; alerts and
 * notices as they read them (docs/internals/alerts.md).  Every change is one transaction with its
 * audit entry, under the engine's lock, and the engine looks again.  Secrets of channels go into a
 * box (keyring.h) and never come out.
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"
#include "store/alert_store.h"

struct alert_change {
    struct app *app;
    const struct actor *by;
    enum lang lang;
    bool dry_run;
};

/* ref: id, or the name of a rule or channel.  *ret: with "text" (alerts) or "label" (rules) in
 * lang, new reference. */
MUST_USE enum err_code alert_doc_get(struct db *db, enum alert_thing what, const char *ref,
                                     enum lang lang, json_t **ret, int64_t *ret_version,
                                     struct err *e);
/* f->now_ms is filled in. */
MUST_USE enum err_code alert_doc_list(struct db *db, enum alert_thing what, struct alert_filter *f,
                                      enum lang lang, json_t **ret, char ret_next[64],
                                      struct err *e);
/* what: rule, channel or silence.  ERR_INVALID names the field; ERR_CONFLICT: the name is taken. */
MUST_USE enum err_code alert_doc_create(struct db *db, enum alert_thing what, const json_t *body,
                                        const struct alert_change *c, json_t **ret, struct err *e);
/* patch: a merge patch.  ERR_STALE_EDIT: another version than version. */
MUST_USE enum err_code alert_doc_patch(struct db *db, enum alert_thing what, const char *ref,
                                       int64_t version, const json_t *patch,
                                       const struct alert_change *c, json_t **ret, struct err *e);
/* A silence ends and stays in the list; a built-in rule cannot go. */
MUST_USE enum err_code alert_doc_delete(struct db *db, enum alert_thing what, const char *ref,
                                        int64_t version, const struct alert_change *c,
                                        struct err *e);
/* Somebody knows of it: it is not repeated.  ERR_CONFLICT: it is over. */
MUST_USE enum err_code alert_doc_ack(struct db *db, const char *id, const char *reason,
                                     const struct alert_change *c, json_t **ret, struct err *e);
/* A notice that was given up gets its tries again.  ERR_CONFLICT: it was not given up. */
MUST_USE enum err_code alert_doc_again(struct db *db, const char *id, const struct alert_change *c,
                                       json_t **ret, struct err *e);
