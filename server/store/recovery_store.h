/*
 * recovery_store.h - SQL of backup and restore, and of the fence (protocol.md 6.14.8): a parent that may know less than
 * its children publishes nothing until an administrator has decided.
 */
#pragma once

#include "store/db.h"

extern const struct stmt *const recovery_store_stmts[];

struct recovery_facts {
    const char *server_version; /* borrowed from the arena */
    const char *fleet;          /* "": no fleet in this database */
    int64_t epoch, pub, rev;    /* rev: the highest that was ever given out */
    const char *fence;          /* why it is fenced; "": it is not */
    int64_t recovered;          /* number of the last decision that ended a fence; 0: none */
    int64_t head_seq;           /* newest entry of the audit chain */
    const char *head_hash;
    const char *bundle_kid;     /* of the key that bundles are to be signed by */
};
/* Of a database with our schema. */
MUST_USE enum err_code recovery_store_facts(struct db *db, struct arena *a, struct recovery_facts *ret, struct err *e);
MUST_USE enum err_code recovery_store_devices(struct db *db, struct arena *a, int64_t *ret, struct err *e); /* how many */
/* Hash of an entry of the audit chain, hexadecimal; "": there is no such entry. */
MUST_USE enum err_code recovery_store_entry(struct db *db, int64_t seq, struct arena *a, const char **ret,
                                            struct err *e);
/* Parents that are connected to this database now. */
MUST_USE enum err_code recovery_store_parents(struct db *db, int64_t *ret, struct err *e);
/* Where a restore stands.  EMPTY: neither schema has tables of ours.  CUT: the old tables are aside, the new ones are
 * not there (a restore was cut off).  UNDECIDED: a restore's tables are in place and no administrator has decided yet: the
 * old ones stay aside whatever is restored over these.  DONE: ours are in place. */
enum recovery_state { RECOVERY_EMPTY, RECOVERY_DONE, RECOVERY_CUT, RECOVERY_UNDECIDED };
MUST_USE enum err_code recovery_store_state(struct db *db, enum recovery_state *ret, struct err *e);
/* Put schema public aside as "inari_before_restore" and make an empty one; what an earlier restore put aside is
 * dropped.  CUT and UNDECIDED: public is dropped and what is aside stays.  fence is noted beside them: settle() makes it the fence of what comes in their
 * place.  One transaction. */
MUST_USE enum err_code recovery_store_aside(struct db *db, json_t *fence, struct err *e);
/* The new tables are in place: they are fenced if a restore brought them.  Nothing happens otherwise.  One
 * transaction; every start does it too, for a restore that was killed between the two. */
MUST_USE enum err_code recovery_store_settle(struct db *db, struct err *e);
/* Are there earlier tables that a restore put aside?  ERR_NOT_FOUND: none. */
MUST_USE enum err_code recovery_store_has_aside(struct db *db, struct err *e);
/* The old tables in their place again, the new ones dropped.  One transaction.  ERR_NOT_FOUND: none are aside. */
MUST_USE enum err_code recovery_store_back(struct db *db, struct err *e);
/* Make, or replace, the fence; detail is for people and programs. */
MUST_USE enum err_code recovery_store_fence(struct db *db, const json_t *detail, struct err *e);

/* *ret: the fence (borrowed from a), or NULL: there is none. */
MUST_USE enum err_code recovery_store_fenced(struct db *db, struct arena *a, const json_t **ret, struct err *e);
/* Only when there is none: what came first stays. */
MUST_USE enum err_code recovery_store_fence_first(struct db *db, const json_t *detail, bool *ret_new, struct err *e);
/* Into the fence: the newest notice that devices have brought was made then (RFC 3339). */
MUST_USE enum err_code recovery_store_notice(struct db *db, const char *made_at, struct err *e);
/* Was the device ("device/<id>") reinstated after that moment? */
MUST_USE enum err_code recovery_store_reinstated(struct db *db, const char *object, int64_t since_ms, bool *ret,
                                                 struct err *e);
/* The end of a fence, inside a transaction: no revision below above is given out any more, and every device's next
 * bundle differs from its last, so that issuing gives it a fresh revision.  ERR_CONFLICT: there is no fence. */
MUST_USE enum err_code recovery_store_lift(struct db *db, int64_t above, struct err *e);
/* A new epoch begins, inside a transaction, whether fenced or not: the fence ends, and as with recovery_store_lift() every
 * device's next bundle differs from its last. */
MUST_USE enum err_code recovery_store_epoch(struct db *db, int64_t epoch, struct err *e);
/* Names of devices, by id: {"id": "name"}; ids: array text.  Borrowed from a. */
MUST_USE enum err_code recovery_store_names(struct db *db, const char *ids, struct arena *a, json_t **ret, struct err *e);

/* conninfo as environment variables of PostgreSQL's programs ("PGHOST=..."), so that no password stands in an argument
 * list.  *ret: NULL-terminated, in the arena; *ret_dbname likewise.  ERR_INVALID: what is wrong with it. */
MUST_USE enum err_code recovery_store_env(const char *conninfo, struct arena *a, const char *const **ret,
                                          const char **ret_dbname, struct err *e);
/* Whatever is issued next is a new bundle, also with the content of before. */
MUST_USE enum err_code recovery_store_afresh(struct db *db, struct err *e);
