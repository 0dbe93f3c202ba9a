/*
 * list.h - the lists of client addresses: approved and blocked (docs/internals/lists.md).  No settings of a draft: a change
 * is in force at once, in one transaction with its version, its history and its audit entry, and can be taken back.
 *
 * Rows:    a network (a range is split), a scope (fleet, a group, a device), comment, author, creation, expiry.  One row
 *          for each network and scope: giving it again with another comment or expiry replaces it.
 * Limits:  LIST_ROWS_MAX rows a list, LIST_CALL_MAX a call.
 * Threads: any.
 */
#pragma once

#include "base/finding.h"
#include "catalog/ipnet.h"
#include "domain/app.h"
#include "domain/audit.h"
#include "store/list_store.h"

enum {
    LIST_ROWS_MAX = 1000 * 1000,
    LIST_CALL_MAX = 100 * 1000,
    LIST_COMMENT_MAX = 200,
    LIST_REASON_MAX = 500,
};
extern const char *const list_names[]; /* "approved", "blocked", NULL */

struct list_change { /* all borrowed */
    struct app *app;
    const struct actor *by;
    const char *reason; /* "" none */
    const char *force;  /* NULL: what speaks against it refuses it */
    int64_t if_version; /* -1: any */
    bool dry_run;
    struct findings *f;
};

/* A row that is wanted. */
struct list_want {
    struct ipnet net;
    const char *group, *device; /* ids; both NULL: the fleet */
    const char *comment;
    int64_t expires_ms; /* 0: never */
};
struct list_wants {
    struct list_want *v; /* heap */
    size_t n, size;
    size_t given; /* networks and ranges they were made of */
};
void list_wants_clear(struct list_wants *w);
/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/32", "192.0.2.1-192.0.2.9" (split), with the rest of *row.  ERR_INVALID with the
 * reason; ERR_TOO_LARGE: more than LIST_CALL_MAX rows. */
MUST_USE enum err_code list_wants_add(struct list_wants *w, struct slice text, const struct list_want *row, struct err *e);

/* What a body gives where its rows do not. */
struct list_defaults {
    const char *scope, *comment; /* "fleet", "" */
    int64_t expires_ms;
};
/* [{"network","scope","comment","expires_at"}]; what is wrong in any row becomes a finding. */
MUST_USE enum err_code list_wants_rows(struct db *db, const json_t *rows, const struct list_defaults *d, struct arena *a,
                                       struct list_wants *ret, struct findings *f, struct err *e);
/* A file: CSV with a header (network, and any of scope, comment, expires_at), or plain text with one network a line and
 * what follows # or ; as the comment. */
MUST_USE enum err_code list_wants_text(struct db *db, struct slice text, bool csv, const struct list_defaults *d,
                                       struct arena *a, struct list_wants *ret, struct findings *f, struct err *e);
/* "fleet", "group:REF", "device:REF"; *ret_group and *ret_device are ids or NULL. */
MUST_USE enum err_code list_scope(struct db *db, const char *scope, struct arena *a, const char **ret_group,
                                  const char **ret_device, struct err *e);

/* The changes: *ret is what came of it, new reference.  ERR_STALE_EDIT: another version; ERR_INVALID with findings. */
MUST_USE enum err_code list_add(struct db *db, const char *list, struct list_wants *w, const struct list_change *c,
                                json_t **ret, struct err *e);
/* import: kind of the version; replace: what the file does not have goes from that scope (id). */
MUST_USE enum err_code list_import(struct db *db, const char *list, struct list_wants *w, const char *replace,
                                   const struct list_change *c, json_t **ret, struct err *e);
struct list_which { /* exactly one of ids, nets, filter */
    const char *ids, *nets; /* texts of arrays */
    const char *scope;      /* with nets; NULL: any */
    const struct list_filter *filter;
};
MUST_USE enum err_code list_remove(struct db *db, const char *list, const struct list_which *w,
                                   const struct list_change *c, json_t **ret, struct err *e);
MUST_USE enum err_code list_undo(struct db *db, const char *list, int64_t version, const struct list_change *c,
                                 json_t **ret, struct err *e);
/* For the job thread: rows that expired a day ago leave the list (they have not counted since they expired). */
MUST_USE enum err_code list_clean(struct db *db, struct app *app, struct err *e);

/* Inside a change's transaction: does what version brought endanger anything (P05, P08)? */
MUST_USE enum err_code list_judge(struct db *db, const char *list, int64_t version, int64_t rows,
                                  const struct list_change *c, struct arena *a, struct err *e);

/* ERR_NOT_FOUND: no such list. */
MUST_USE enum err_code list_version(struct db *db, const char *list, int64_t *ret, struct err *e);
/* Reading; *ret: new reference. */
MUST_USE enum err_code list_describe(struct db *db, const char *list, json_t **ret, int64_t *ret_version, struct err *e);
MUST_USE enum err_code list_rows_json(struct db *db, const char *list, const struct list_filter *f, const char *cursor,
                                      int limit, struct arena *a, json_t **ret, char ret_next[110], struct err *e);
/* {"match":row|null,"items":[every row around it, the longest first]} */
MUST_USE enum err_code list_search(struct db *db, const char *list, const char *address, struct arena *a, json_t **ret,
                                   struct err *e);
MUST_USE enum err_code list_row_json(struct db *db, const char *list, int64_t id, struct arena *a, json_t **ret,
                                     struct err *e);
MUST_USE enum err_code list_overlaps(struct db *db, const char *list, const char *cursor, int limit, struct arena *a,
                                     json_t **ret, char ret_next[110], struct err *e);
MUST_USE enum err_code list_history(struct db *db, const char *list, const char *cursor, int limit, struct arena *a,
                                    json_t **ret, char ret_next[110], struct err *e);
/* With the rows it brought and took away, at most limit of each after that id. */
MUST_USE enum err_code list_history_one(struct db *db, const char *list, int64_t version, int64_t after_id, int limit,
                                        struct arena *a, json_t **ret, struct err *e);
/* The whole list as CSV (cells that no spreadsheet takes for a formula) or one network a line; heap. */
MUST_USE enum err_code list_export(struct db *db, const char *list, const struct list_filter *f, bool csv, char **ret,
                                   size_t *ret_n, struct err *e);
