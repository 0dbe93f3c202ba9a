/*
 * audit.h - the audit log: who did what, from where, hash-chained (protocol.md 6.16).
 *
 * hash = SHA-256(hash of the entry before || canonical JSON of the entry); the head row holds the
 * newest.  An entry is written inside the transaction of the change it is about: both are there or
 * neither.  Append it LAST in that transaction: the head row is locked until the commit, and
 * whoever locks it first waits for nobody. detail holds before and after; never a password, token
 * or key; numbers in it are integers.
 */
#pragma once

#include "json/json_in.h"
#include "store/db.h"

struct actor {           /* borrowed */
    const char *kind;    /* "account" "token" "device" "system" "nobody" */
    const char *name;    /* account name, "token:ci", device id, "inarid" */
    const char *id;      /* account, token or device id; "" */
    const char *account; /* owning account id; "" */
    const char *address; /* where the request came from; "" */
};
#define ACTOR_SYSTEM ((struct actor){"system", "inarid", "", "", ""})

/* action: a stable word, "revision.publish"; object: "revision/7"; detail: borrowed object, NULL
 * for {}. */
MUST_USE enum err_code audit_append(struct db *db, const struct actor *by, const char *action,
                                    const char *object, const json_t *detail, struct err *e);

struct audit_filter { /* NULL and 0: everything */
    int64_t since_ms, before_seq;
    const char *action; /* exact, or a prefix ending in '.' */
    const char *actor;
    const char *object; /* "device/ID" */
    int limit;
};
/* Newest first.  *ret: array of entries, new reference. */
MUST_USE enum err_code audit_list(struct db *db, const struct audit_filter *f, json_t **ret,
                                  struct err *e);

struct audit_check {
    int64_t entries;
    int64_t first_bad; /* seq of the first entry that does not fit; 0: the chain is whole */
};
/* Reads the whole table, a page at a time. */
MUST_USE enum err_code audit_verify(struct db *db, struct audit_check *ret, struct err *e);
