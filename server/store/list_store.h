/* list_store.h - SQL of the lists of addresses: rows, their history, what a device gets. */
#pragma once

#include "store/db.h"

#define LIST_FLEET "00000000-0000-0000-0000-000000000000" /* the scope of rows for everybody */

struct list_row { /* borrowed from the arena */
    int64_t id, created_at_ms, expires_at_ms, since, until; /* expires_at_ms, until 0: none */
    const char *net, *scope, *scope_kind, *scope_name;      /* kind "fleet" "group" "device" */
    const char *comment, *author;
};
struct list_state {
    int64_t version, rows, changed_at_ms;
};
struct list_change_row {
    int64_t version, undoes, added, removed, at_ms;
    const char *kind, *author, *reason, *forced;
};

MUST_USE enum err_code list_store_get(struct db *db, const char *list, bool lock, struct list_state *ret,
                                      struct err *e);
/* How many rows have expired and are not removed yet. */
MUST_USE enum err_code list_store_expired(struct db *db, const char *list, int64_t *ret, struct err *e);

/* "fleet", "group:REF", "device:REF" are resolved to an id: ERR_NOT_FOUND. */
MUST_USE enum err_code list_store_scope(struct db *db, const char *kind, const char *ref, struct arena *a,
                                        const char **ret_id, struct err *e);

/* Given rows as texts of PostgreSQL arrays of equal length: cidr, uuid or NULL, uuid or NULL, text, bigint (ms) or NULL. */
struct list_given {
    const char *nets, *groups, *devices, *comments, *expires;
};
/* Rows that are there with another comment or expiry are closed. */
MUST_USE enum err_code list_store_close_changed(struct db *db, const char *list, int64_t version,
                                                const struct list_given *g, int64_t *ret_n, struct err *e);
/* Those that are not there are added. */
MUST_USE enum err_code list_store_add(struct db *db, const char *list, int64_t version, const char *author,
                                      const struct list_given *g, int64_t *ret_n, struct err *e);

struct list_filter { /* NULL: any */
    const char *scope; /* id */
    const char *author, *text; /* text: part of the comment, whatever its case */
    const char *net;           /* lies in this network, or is it */
    int expired;               /* 0: any, 1: only expired, 2: only in force */
};
/* Close the rows of these ids ("{1,2}"), of these networks ("{192.0.2.0/24}", scope or any), or of a filter. */
MUST_USE enum err_code list_store_close_ids(struct db *db, const char *list, int64_t version, const char *ids,
                                            int64_t *ret_n, struct err *e);
MUST_USE enum err_code list_store_close_nets(struct db *db, const char *list, int64_t version, const char *nets,
                                             const char *scope, int64_t *ret_n, struct err *e);
MUST_USE enum err_code list_store_close_found(struct db *db, const char *list, int64_t version,
                                              const struct list_filter *f, int64_t *ret_n, struct err *e);
/* An import that replaces: every row of the scope that was not given. */
MUST_USE enum err_code list_store_close_others(struct db *db, const char *list, int64_t version, const char *scope,
                                               const char *nets, int64_t *ret_n, struct err *e);
MUST_USE enum err_code list_store_close_expired(struct db *db, const char *list, int64_t version, int64_t before_ms,
                                                int64_t *ret_n, struct err *e);
/* Take a change back: what it brought goes, what it took away comes back where its place is free. */
MUST_USE enum err_code list_store_undo(struct db *db, const char *list, int64_t version, int64_t undoes,
                                       int64_t *ret_added, int64_t *ret_removed, struct err *e);
/* The change itself, the list's version and figures, the scopes it touched. */
MUST_USE enum err_code list_store_put_change(struct db *db, const char *list, const struct list_change_row *c,
                                             struct err *e);

/* By network and scope, after "net|scope" ("" from the begin); an empty list of filters is any row. */
MUST_USE enum err_code list_store_rows(struct db *db, const char *list, const struct list_filter *f,
                                       const char *after_net, const char *after_scope, int limit, struct arena *a,
                                       struct list_row **ret, size_t *ret_n, struct err *e);
/* Every row that holds all of net, the longest first. */
MUST_USE enum err_code list_store_covering(struct db *db, const char *list, const char *net, struct arena *a,
                                           struct list_row **ret, size_t *ret_n, struct err *e);
MUST_USE enum err_code list_store_row(struct db *db, const char *list, int64_t id, struct arena *a,
                                      struct list_row *ret, struct err *e);
/* Networks of present rows; wide: only those that alone could add up to everyone; before: only what was there before that
 * version (0: all). */
MUST_USE enum err_code list_store_nets(struct db *db, const char *list, bool wide, int64_t before, struct arena *a,
                                       const char ***ret, size_t *ret_n, struct err *e);
/* Those that a version brought. */
MUST_USE enum err_code list_store_brought(struct db *db, const char *list, int64_t version, struct arena *a,
                                          const char ***ret, size_t *ret_n, struct err *e);

MUST_USE enum err_code list_store_changes(struct db *db, const char *list, int64_t before, int limit, struct arena *a,
                                          struct list_change_row **ret, size_t *ret_n, struct err *e);
MUST_USE enum err_code list_store_change(struct db *db, const char *list, int64_t version, struct arena *a,
                                         struct list_change_row *ret, struct err *e);
/* The rows a version brought (brought) or took away, by id. */
MUST_USE enum err_code list_store_change_rows(struct db *db, const char *list, int64_t version, bool brought,
                                              int64_t after_id, int limit, struct arena *a, struct list_row **ret,
                                              size_t *ret_n, struct err *e);
/* {"devices":[{"id","name","addresses":[...]}],"layers":[keys of the settings named, of all layers]} for the judgement. */
MUST_USE enum err_code list_store_own(struct db *db, struct arena *a, json_t **ret_devices, json_t **ret_known,
                                      struct err *e);
/* PostgreSQL does that by itself, but not before the next statement, which would go through all rows for each. */
MUST_USE enum err_code list_store_analyze(struct db *db, struct err *e);
struct list_overlap_row {
    const char *net, *outer; /* outer: the next row around it, "" none */
    int64_t n;               /* neighbours: rows inside it; overlaps: how many there are from here on */
};
/* Of what a version brought, the first by address: the row around each, and how many lie inside. */
MUST_USE enum err_code list_store_neighbours(struct db *db, const char *list, int64_t version, int limit,
                                             struct arena *a, struct list_overlap_row **ret, size_t *ret_n,
                                             struct err *e);
/* Present rows that lie inside others, or have the network of another one, by address after a network. */
MUST_USE enum err_code list_store_overlaps(struct db *db, const char *list, const char *after, int limit,
                                           struct arena *a, struct list_overlap_row **ret, size_t *ret_n,
                                           struct err *e);
/* Does a group or device have rows? */
MUST_USE enum err_code list_store_uses(struct db *db, const char *scope, bool *ret, struct err *e);
/* History older than the bound goes: removed rows only, the changes stay. */
MUST_USE enum err_code list_store_trim(struct db *db, struct err *e);

/* --- what devices get --- */

struct list_scope_row {
    const char *list, *scope;
    int64_t version;
};
MUST_USE enum err_code list_store_scopes(struct db *db, struct arena *a, struct list_scope_row **ret, size_t *ret_n,
                                         struct err *e);
struct list_member_row {
    const char *device, *scope;
    int64_t priority; /* of the group; INT64_MAX for the device's own rows */
};
/* Devices with rows of their own, or in a group that has some: by device, then priority. */
MUST_USE enum err_code list_store_members(struct db *db, struct arena *a, struct list_member_row **ret, size_t *ret_n,
                                          struct err *e);
struct list_net_row {
    int64_t id, expires_at_ms, rank; /* rank: place of the scope in scopes, 1 is the first */
    const char *net, *scope;
};
/* By network; scopes "{id,id}", the lowest first. */
MUST_USE enum err_code list_store_page(struct db *db, const char *list, const char *scopes, const char *after_net,
                                       const char *after_scope, int limit, struct arena *a, struct list_net_row **ret,
                                       size_t *ret_n, struct err *e);
