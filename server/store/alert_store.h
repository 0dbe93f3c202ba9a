/*
 * alert_store.h - SQL of what people see and change of alerts (domain/alert_doc.h): every kind of thing is read as the document
 * the API shows, made by the database; rules, channels and silences are written from one that was checked.
 */
#pragma once

#include "store/db.h"

extern const struct stmt *const alert_store_stmts[];

enum alert_thing { ALERT_RULE, ALERT_CHANNEL, ALERT_SILENCE, ALERT_ALERT, ALERT_NOTICE };

/* ref: id, or the name of a rule or channel.  ERR_NOT_FOUND without a text.  *ret: the arena's. */
MUST_USE enum err_code alert_store_get(struct db *db, enum alert_thing what, const char *ref, int64_t now_ms,
                                       struct arena *a, json_t **ret, struct err *e);
struct alert_filter { /* "" : all */
    const char *cursor, *state, *severity, *device, *rule;
    int64_t limit, now_ms;
};
/* Rules, channels: by name, after the name cursor; the others newest first, after the id cursor.  *ret: array, the arena's. */
MUST_USE enum err_code alert_store_list(struct db *db, enum alert_thing what, const struct alert_filter *f,
                                        struct arena *a, json_t **ret, struct err *e);
/* Make it, or write what stands in doc and count its version up.  ERR_CONFLICT: the name is taken. */
MUST_USE enum err_code alert_store_save(struct db *db, enum alert_thing what, const char *id, const json_t *doc,
                                        const char *author, struct err *e);
/* box.n 0: none. */
MUST_USE enum err_code alert_store_box(struct db *db, const char *channel_id, struct slice box, struct err *e);
MUST_USE enum err_code alert_store_get_box(struct db *db, const char *channel_id, struct arena *a, struct slice *ret,
                                           struct err *e);
MUST_USE enum err_code alert_store_delete(struct db *db, enum alert_thing what, const char *id, struct err *e);
/* An id of "device" or "group" by id or name; ERR_NOT_FOUND. */
MUST_USE enum err_code alert_store_find(struct db *db, const char *kind, const char *ref, struct arena *a,
                                        const char **ret, struct err *e);
/* Ends at now_ms. */
MUST_USE enum err_code alert_store_end_silence(struct db *db, const char *id, int64_t now_ms, struct err *e);
/* *ret_n 0: it is over, or was before. */
MUST_USE enum err_code alert_store_ack(struct db *db, const char *id, int64_t now_ms, const char *by, const char *reason,
                                       int64_t *ret_n, struct err *e);
/* Five more tries for a notice that was given up; *ret_n 0: it was not. */
MUST_USE enum err_code alert_store_again(struct db *db, const char *id, int64_t now_ms, int64_t *ret_n, struct err *e);
