/* db_private.h - what the parts of the store know of each other. */
#pragma once

#include "store/db.h"

#include <libpq-fe.h>

enum {
    PREPARED_SLOTS = 1024, /* power of two, over twice the statements of the program */
    PARAMS_MAX = 32,
    LISTEN_MAX = 4,
    STATEMENT_LIMIT_MS =
        8000, /* the server gives up after 5 s; this is for a server that says nothing at all */
    BACKOFF_MIN_MS = 200,
    BACKOFF_MAX_MS = 5000,
};

struct after {
    struct after *next;
    void (*fn)(void *p, bool committed);
    void *p;
};

struct db {
    char *conninfo;
    char *application_name;
    bool for_requests; /* a worker's */
    PGconn *conn;
    const struct stmt
        *prepared[PREPARED_SLOTS]; /* on this connection; open addressing by pointer */
    size_t n_prepared;
    int backoff_ms;
    int64_t retry_mono_ms; /* no connection is tried before, unless another one was opened since: */
    unsigned connected_before; /* how many had been when this one failed */
    bool in_tx;
    bool tx_lost;  /* the connection went away inside the transaction: nothing more may run in it */
    bool tx_again; /* serialization failure or deadlock: the transaction may be run again */
    struct after *after, **after_end;
    unsigned times_opened;
    int64_t copy_until_ms; /* of the COPY that is under way */
    char listening[LISTEN_MAX][32];
    size_t n_listening;
};

/* ERR_OVERLOADED "cannot be reached". */
enum err_code db_away(struct err *e);
/* A connection that works, opened again where it must be; never inside a transaction. */
enum err_code db_ensure(struct db *db, struct err *e);
/* Simple protocol on the connection there is; no reconnect.  tag: of the last command, may be NULL.
 */
enum err_code db_simple(struct db *db, const char *sql, int limit_ms, char *tag, size_t tag_size,
                        struct err *e);

/* What a statement of whatever kind needs (db.c). */
void db_count_statement(const struct db *db);
bool db_good(const PGresult *res);
bool db_wait_socket(PGconn *conn, short events, int64_t deadline_mono_ms); /* false: not in time */
/* The last result of what was sent; NULL when the connection was lost or nothing came in time. */
PGresult *db_collect(struct db *db, int limit_ms);
/* Lost or silent: the connection is dropped; inside a transaction nothing more may run. */
enum err_code db_lost(struct db *db, const char *what, struct err *e);
enum err_code db_classify(struct db *db, const char *what, const PGresult *res, struct err *e);

struct rows {
    PGresult *res; /* owned by the arena */
    struct arena *arena;
};

/* For migrate.c only: run a script of several statements by the simple protocol, waiting at most
 * limit_ms. */
MUST_USE enum err_code db_script(struct db *db, const char *sql, int limit_ms, struct err *e);
