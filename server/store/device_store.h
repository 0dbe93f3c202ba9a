/* device_store.h - SQL of devices, their names, membership and status documents. */
#pragma once

#include "store/db.h"

extern const struct stmt *const device_store_stmts[];

/* How much a device asks for a person; by state and by the alerts that are open about it. */
enum device_attention {
    ATTENTION_PERSON,  /* it waits for a decision: to be approved, taken back, or it is quarantined or there twice */
    ATTENTION_TROUBLE, /* a critical alert is open */
    ATTENTION_LOOK,    /* another alert is open, or it is held */
    ATTENTION_NONE     /* also: not in service any more */
};
struct device_filter { /* texts: "" for all */
    const char *state, *group; /* the group's name or id */
    const char *text;          /* part of the name or of the address, in any case */
    bool by_attention;         /* most urgent first, then by name; else by name */
    bool attention_only;       /* with by_attention: without ATTENTION_NONE */
};

struct device { /* one row with what belongs to it; all borrowed from the arena */
    const char *id, *name, *state, *mode, *placement, *drift, *kid, *fingerprint, *receipt, *approver, *address;
    const char *held_reason, *token_id;
    const json_t *jwk, *inventory, *groups; /* groups: array of names */
    int64_t gen, desired_rev, offered_rev, held_until_ms, version, enrolled_ms;
    int64_t seen_ms;                        /* presence table; 0 never */
    int64_t epoch, pub;                     /* of the bundle desired_rev */
    const char *etag, *digest;              /* "" none yet */
    const json_t *status;                   /* NULL none */
    int64_t status_ms;
    int64_t key_ms, key_rotations;          /* since when kid is in force; how often it was renewed */
    const char *next_kid;                   /* offered, not used yet; "" none */
    int64_t next_ms;
    const json_t *fork;                     /* what was seen of several instances; NULL: one */
    int64_t reverted_ms;                    /* an older snapshot of it came back; 0 never */
    const json_t *replaces;                 /* of a pending one: {"id","name","state","last_seen","same_hardware"} of the device
                                               this machine seems to have been; NULL: none */
    const char *became;                     /* of a retired one: the device whose place it took; "" none */
    enum device_attention attention;        /* of device_store_list() by attention */
};

/* ref: id or name.  ERR_NOT_FOUND. */
MUST_USE enum err_code device_store_get(struct db *db, const char *ref, struct arena *a, struct device *ret, struct err *e);
/* Only its signing key, borrowed from a.  ERR_NOT_FOUND. */
MUST_USE enum err_code device_store_key(struct db *db, const char *id, struct arena *a, const json_t **ret, struct err *e);
/* device_store_get() with the row locked until the end of the transaction. */
MUST_USE enum err_code device_store_lock(struct db *db, const char *ref, struct arena *a, struct device *ret,
                                         struct err *e);
MUST_USE enum err_code device_store_by_kid(struct db *db, const char *kid, struct arena *a, struct device *ret,
                                           struct err *e);
/* Those after the one named (by attention: of that rank and name; "" begins), in the filter's order.  Not those that became another. */
MUST_USE enum err_code device_store_list(struct db *db, const struct device_filter *f, enum device_attention rank, const char *after,
                                         int64_t limit, struct arena *a, struct device **ret, size_t *ret_n, struct err *e);
/* What came through a token: array of {"id","name","state"}, new reference. */
MUST_USE enum err_code device_store_by_token(struct db *db, const char *token_id, json_t **ret, struct err *e);

struct device_new {
    const char *id, *name, *state, *mode, *placement, *kid, *fingerprint, *hardware, *receipt, *approver, *address;
    const char *token_id; /* NULL: it came without one */
    const char *replaces; /* id, "" none */
    const json_t *jwk, *enc_jwk, *inventory;
};
MUST_USE enum err_code device_store_insert(struct db *db, const struct device_new *d, struct err *e);
/* Writes name, state, mode, placement, drift, gen, offered_rev, held_until_ms, held_reason, receipt and approver of d and
 * counts the version up. */
MUST_USE enum err_code device_store_save(struct db *db, const struct device *d, struct err *e);
MUST_USE enum err_code device_store_delete(struct db *db, const char *id, struct err *e);
MUST_USE enum err_code device_store_join(struct db *db, const char *device_id, const char *group_id, struct err *e);
/* Names that are name or begin with "name-". */
MUST_USE enum err_code device_store_names(struct db *db, const char *name, struct arena *a, const char ***ret, size_t *ret_n,
                                          struct err *e);
/* Ids of devices whose hold is over; array of ids in a. */
MUST_USE enum err_code device_store_hold_over(struct db *db, struct arena *a, const char ***ret, size_t *ret_n,
                                              struct err *e);
