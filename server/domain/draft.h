/*
 * draft.h - unpublished changes of an account, against the revision that was newest when it was
 * begun. Values are checked when they are edited, with the catalog and the planner of every
 * affected device; what is refused is not stored.  What only needs a reason (forceable findings) is
 * stored, and refused by the publication without one.
 */
#pragma once

#include "domain/audit.h"
#include "domain/check.h"
#include "store/revision_store.h"

enum { DRAFTS_MAX = 200 /* open ones of one account */ };

MUST_USE enum err_code draft_create(struct db *db, const char *title, const struct actor *by,
                                    bool dry_run, json_t **ret, struct err *e);
MUST_USE enum err_code draft_get(struct db *db, const char *id, json_t **ret, int64_t *ret_version,
                                 struct err *e);
/* owner NULL: of everybody. */
MUST_USE enum err_code draft_list(struct db *db, const char *owner, const char *before, int limit,
                                  json_t **ret, char ret_next[64], struct err *e);
MUST_USE enum err_code draft_delete(struct db *db, const char *id, int64_t version,
                                    const struct actor *by, bool any_owner, bool dry_run,
                                    struct err *e);
/* patch: RFC 7396 over the changes; groups and devices by id or name.  f: every finding; the caller
 * clears it. ERR_INVALID: nothing is stored. */
MUST_USE enum err_code draft_edit(struct db *db, const char *id, int64_t version,
                                  const json_t *patch, const struct actor *by, bool any_owner,
                                  enum lang lang, bool dry_run, struct findings *f, json_t **ret,
                                  struct err *e);
/* {"items":[leaf with "name" and "label"],"devices":[{"id","name","changes"}]} against the newest
 * revision. */
MUST_USE enum err_code draft_diff(struct db *db, const char *id, enum lang lang, json_t **ret,
                                  struct err *e);
/* {"findings","devices":[{"id","name","changes","findings","plan"}],"conflicts":[...]} */
MUST_USE enum err_code draft_check(struct db *db, const char *id, enum lang lang, json_t **ret,
                                   struct err *e);

/* For publish.c: the leaves a draft changes, from its base; normalised, with what speaks against
 * the values in f. */
MUST_USE enum err_code draft_leaves(struct db *db, const struct draft_row *draft, struct arena *a,
                                    struct findings *f, json_t **ret, struct err *e);
/* Its owner; any_owner: administrators. */
MUST_USE enum err_code draft_may_change(const struct draft_row *draft, const struct actor *by,
                                        bool any_owner, struct err *e);
/* "/changes/groups/<id>/<key>/<row>" */
void leaf_pointer(const json_t *leaf, char *buf, size_t size);
/* Give each leaf "name" (of group or device) and "label" (of the setting). */
MUST_USE enum err_code leaves_describe(struct db *db, json_t *leaves, enum lang lang,
                                       struct err *e);
