/* Transactions (db.h). */
#include "store/db_private.h"

#include "base/log.h"
#include "base/rand.h"
#include "json/json_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TX_TRIES = 5 };

/* --- transactions --- */

bool db_after(struct db *db, void (*fn)(void *p, bool committed), void *p)
{
    struct after *x = db->in_tx ? malloc(sizeof *x) : NULL;

    if (x == NULL)
        return false;
    *x = (struct after){NULL, fn, p};
    *(db->after == NULL ? &db->after : db->after_end) = x;
    db->after_end = &x->next;
    return true;
}

static void run_after(struct db *db, bool committed)
{
    struct after *x = db->after, *next;

    db->after = NULL;
    for (; x != NULL; x = next) {
        next = x->next;
        x->fn(x->p, committed);
        free(x);
    }
}

static void pause_before_retry(int attempt)
{
    struct timespec t = {0, (long)(1 + rand_below((uint64_t)(10 << attempt))) * 1000000L};

    (void)nanosleep(&t, NULL);
}

static enum err_code begin(struct db *db, struct err *e)
{
    enum err_code rc = ERR_OK;

    for (int i = 0; i < 2;
         i++) { /* nothing has happened yet: a lost connection is simply opened again */
        rc = db_ensure(db, e);
        if (rc == ERR_OK)
            rc = db_simple(db, "BEGIN ISOLATION LEVEL READ COMMITTED", STATEMENT_LIMIT_MS, NULL, 0,
                           e);
        if (rc == ERR_OK || db->conn != NULL)
            return rc;
    }
    return rc;
}

static enum err_code commit(struct db *db, const char *name, struct err *e)
{
    char tag[32] = "";
    enum err_code rc = db_simple(db, "COMMIT", STATEMENT_LIMIT_MS, tag, sizeof tag, e);

    if (rc != ERR_OK && db->conn == NULL) {
        log_event(LOG_LEVEL_ERROR, "db.commit_unknown", KV_STR("transaction", name));
        return err_set(e, ERR_OUTCOME_UNKNOWN,
                       "the connection to the database was lost while the change was stored: "
                       "outcome unknown, read the present state before you repeat it");
    }
    if (rc == ERR_OK && strcmp(tag, "COMMIT") != 0)
        return err_set(e, ERR_INTERNAL, "a statement of the transaction failed");
    return rc;
}

static enum err_code tx_once(struct db *db, const char *name, tx_fn fn, void *ctx, struct err *e)
{
    enum err_code rc = begin(db, e);
    uint64_t failed = json_failures();
    struct err ignored;

    if (rc != ERR_OK)
        return rc;
    db->in_tx = true;
    db->tx_lost = false;
    rc = fn(db, ctx, e);
    if (rc == ERR_OK && db->tx_lost)
        rc = db_away(e);
    if (rc == ERR_OK && json_failures() != failed) /* something that is to be stored may lack a part */
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK)
        rc = commit(db, name, e);
    else if (db->conn != NULL)
        (void)db_simple(db, "ROLLBACK", STATEMENT_LIMIT_MS, NULL, 0, &ignored);
    db->in_tx = false;
    db->tx_lost = false;
    run_after(db, rc == ERR_OK);
    return rc;
}

enum err_code tx_run(struct db *db, const char *name, tx_fn fn, void *ctx, struct err *e)
{
    struct err local;
    enum err_code rc = ERR_INTERNAL;

    e = e == NULL ? &local : e;
    if (db->in_tx)
        return err_set(e, ERR_INTERNAL, "transaction \"%s\" is nested in another", name);
    for (int attempt = 0; attempt < TX_TRIES; attempt++) {
        db->tx_again = false;
        rc = tx_once(db, name, fn, ctx, e);
        if (rc == ERR_OK || !db->tx_again)
            return rc;
        log_event(LOG_LEVEL_INFO, "db.tx_again", KV_STR("transaction", name),
                  KV_INT("attempt", attempt + 1));
        pause_before_retry(attempt);
    }
    return rc;
}
