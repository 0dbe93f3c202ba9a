/* revision_store.h - SQL of revisions, of where each value comes from, and of drafts. */
#pragma once

#include "store/db.h"

struct revision_row {                      /* borrowed from the arena */
    int64_t pub, source, at_ms;            /* source 0: none */
    const json_t *content, *diff, *forced; /* content NULL in lists */
    const char *digest, *author, *reason, *kind;
};
/* One publisher at a time, until the transaction ends.  Taken before any other lock. */
MUST_USE enum err_code revision_store_lock(struct db *db, struct err *e);
/* pub 0: the newest. */
MUST_USE enum err_code revision_store_get(struct db *db, int64_t pub, struct arena *a,
                                          struct revision_row *ret, struct err *e);
/* Newest first, pub < before (0: all). */
MUST_USE enum err_code revision_store_list(struct db *db, int64_t before, int limit,
                                           struct arena *a, struct revision_row **ret,
                                           size_t *ret_n, struct err *e);
MUST_USE enum err_code revision_store_insert(struct db *db, const struct revision_row *row,
                                             struct err *e);
/* leaf_origin after a publication of diff. */
MUST_USE enum err_code revision_store_set_origins(struct db *db, const json_t *diff, int64_t pub,
                                                  struct err *e);
/* Newest revision after base that changed this leaf (array of one object with layer, id, key, row).
 */
MUST_USE enum err_code revision_store_last_change(struct db *db, int64_t base_pub,
                                                  const json_t *leaf, struct arena *a,
                                                  struct revision_row *ret, struct err *e);
/* The hint "a revision was published" to whoever listens to inari_change. */
MUST_USE enum err_code revision_store_notify(struct db *db, int64_t pub, struct err *e);
struct origin_row {
    const char *layer, *id, *key, *row, *author, *reason;
    int64_t pub, at_ms;
};
MUST_USE enum err_code revision_store_origins(struct db *db, const char *key, struct arena *a,
                                              struct origin_row **ret, size_t *ret_n,
                                              struct err *e);
/* Of everything that groups and devices set. */
MUST_USE enum err_code revision_store_overrides(struct db *db, struct arena *a,
                                                struct origin_row **ret, size_t *ret_n,
                                                struct err *e);

struct export_row { /* borrowed from the arena */
    int64_t pub;
    const json_t *content;
    const json_t *groups;  /* [{"id","name","kind","priority","members":[names]}] */
    const json_t *devices; /* {id: name} */
    const json_t *identities; /* [{"device","id","state","mode","key"}]; key: thumbprint (RFC 7638) */
};
/* The newest revision with the groups and names of the same moment. */
MUST_USE enum err_code revision_store_export(struct db *db, struct arena *a, struct export_row *ret,
                                             struct err *e);

struct draft_row {
    const char *id, *owner, *owner_name, *title;
    int64_t base_pub, version, created_at_ms, updated_at_ms;
    const json_t *changes; /* NULL in a list */
};
MUST_USE enum err_code draft_store_get(struct db *db, const char *id, struct arena *a,
                                       struct draft_row *ret, struct err *e);
MUST_USE enum err_code draft_store_lock(struct db *db, const char *id, struct arena *a,
                                        struct draft_row *ret, struct err *e);
/* Newest first, without what they change (each may be megabytes); owner NULL: of everybody; before "": from the first. */
MUST_USE enum err_code draft_store_list(struct db *db, const char *owner, const char *before,
                                        int limit, struct arena *a, struct draft_row **ret,
                                        size_t *ret_n, struct err *e);
MUST_USE enum err_code draft_store_insert(struct db *db, const struct draft_row *row,
                                          struct err *e);
MUST_USE enum err_code draft_store_update(struct db *db, const char *id, const char *title,
                                          const json_t *changes, struct err *e);
MUST_USE enum err_code draft_store_delete(struct db *db, const char *id, struct err *e);
MUST_USE enum err_code draft_store_count(struct db *db, const char *owner, int64_t *ret_n,
                                         struct err *e);
