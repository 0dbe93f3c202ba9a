/*
 * db.h - a PostgreSQL connection, prepared statements, rows and transactions.  server/store is the
 * only place with libpq; SQL stands right above the function that runs it, values always as $n.
 *
 * Threads: a struct db belongs to one thread at a time (one a worker; the pool has at most 20,
 * protocol.md 6.18). Time: every statement has statement_timeout (5 s) and lock_timeout (2 s).
 * Outage: ERR_OVERLOADED; the connection is opened again on the next use, with a back-off that ends as
 * soon as any other connection of the process is opened; statements are prepared again. A COMMIT whose answer was lost is ERR_OUTCOME_UNKNOWN: neither failed
 * nor succeeded.
 */
#pragma once

#include "base/arena.h"
#include "json/json_in.h"

struct db;

struct stmt {
    const char *name; /* unique over the program */
    int n_params;
    const char *sql;
};
/* Every *_store.c exports  const struct stmt *const x_store_stmts[]  (NULL-terminated), x being the
 * file; the build lists them (all_stmts.h) and a test prepares all of them. */

struct db_param {
    enum { DB_NULL, DB_TEXT, DB_INT, DB_BOOL, DB_BYTES, DB_JSON, DB_TIME } kind;
    struct slice text;  /* DB_TEXT, DB_BYTES: borrowed until the call returns */
    int64_t num;        /* DB_INT, DB_BOOL; DB_TIME: milliseconds since the epoch */
    const json_t *json; /* DB_JSON: borrowed */
};
#define P_NULL          ((struct db_param){.kind = DB_NULL})
#define P_TEXT(s)       ((struct db_param){.kind = DB_TEXT, .text = slice_of(s)})
#define P_SLICE(s)      ((struct db_param){.kind = DB_TEXT, .text = (s)})
#define P_INT(i)        ((struct db_param){.kind = DB_INT, .num = (int64_t)(i)})
#define P_BOOL(b)       ((struct db_param){.kind = DB_BOOL, .num = (b) ? 1 : 0})
#define P_BYTES(p_, n_) ((struct db_param){.kind = DB_BYTES, .text = {(const char *)(p_), (n_)}})
#define P_JSON(j)       ((struct db_param){.kind = DB_JSON, .json = (j)})
#define P_TIME(ms)      ((struct db_param){.kind = DB_TIME, .num = (int64_t)(ms)})

struct rows; /* freed with the arena they were read into */

/* Run a statement; params: as many as stmt->n_params.  ret may be NULL when no rows are wanted.
 * ERR_CONFLICT: unique or foreign key violated (constraint name in the message), ERR_OVERLOADED:
 * database away or too slow, ERR_INTERNAL: anything else (detail only in the log). */
MUST_USE enum err_code db_run(struct db *db, const struct stmt *stmt, const struct db_param *params,
                              struct arena *a, struct rows **ret, struct err *e);
/* db_run() for exactly one row: ERR_NOT_FOUND when there is none. */
MUST_USE enum err_code db_one(struct db *db, const struct stmt *stmt, const struct db_param *params,
                              struct arena *a, struct rows **ret, struct err *e);
/* Number of rows a change touched comes back in *ret_n. */
MUST_USE enum err_code db_change(struct db *db, const struct stmt *stmt,
                                 const struct db_param *params, int64_t *ret_n, struct err *e);

int rows_count(const struct rows *r);
bool rows_null(const struct rows *r, int row, int col);
const char *rows_text(const struct rows *r, int row,
                      int col); /* "" for NULL; lives as long as the arena */
int64_t rows_int(const struct rows *r, int row, int col);
bool rows_bool(const struct rows *r, int row, int col);
struct slice rows_bytes(const struct rows *r, int row, int col);
int64_t rows_time_ms(const struct rows *r, int row, int col); /* timestamptz; 0 for NULL */
json_t *rows_json(const struct rows *r, int row,
                  int col); /* borrowed: the arena owns it; NULL for NULL */

/* Every row by read() into an array of items of size bytes, zeroed, in the rows' arena.  ret: where the pointer to the first
 * goes (T **).  ERR_NO_MEMORY. */
MUST_USE enum err_code rows_read(const struct rows *r, size_t size,
                                 void (*read)(const struct rows *r, int row, void *item), void *ret,
                                 size_t *ret_n, struct err *e);

/* Begin, fn, commit; serialization failures and deadlocks run fn again (at most 5 times), so fn is
 * repeatable and sends nothing.  fn's error rolls back and is returned.  Not to be nested. */
typedef enum err_code (*tx_fn)(struct db *db, void *ctx, struct err *e);
MUST_USE enum err_code tx_run(struct db *db, const char *name, tx_fn fn, void *ctx, struct err *e);
bool db_in_tx(const struct db *db);
/* Inside a transaction: run fn(p, true) once it is committed, or fn(p, false) when it is not (or
 * nobody knows); for what must not be told of a change that did not happen.  fn releases p.  false:
 * out of memory, fn was not taken. */
MUST_USE bool db_after(struct db *db, void (*fn)(void *p, bool committed), void *p);

struct db *db_open(const char *conninfo,
                   const char *application_name); /* connects on first use; NULL without memory */
void db_close(struct db *db);
DEFINE_CLEANUP(struct db, db_close);

/* Hints from other connections and parents (LISTEN/NOTIFY): they may get lost, so nothing may
 * depend on one. Sending is SQL: SELECT pg_notify($1, $2) inside the transaction.  Channel names
 * are [a-z_]+, fixed in the program. */
MUST_USE enum err_code db_listen(struct db *db, const char *channel, struct err *e);
/* How many times this connection was opened: another number than before means that hints may have been missed. */
unsigned db_times_opened(const struct db *db);
/* Wait for a notification, at most timeout_ms.  ERR_OK with *ret_got false: none came.
 * ERR_OVERLOADED: the connection is gone; the next use opens a new one, which listens to the same
 * channels again. */
struct db_hint {
    char channel[32];
    char payload[128]; /* cut */
};
MUST_USE enum err_code db_wait(struct db *db, int timeout_ms, struct db_hint *ret, bool *ret_got,
                               struct err *e);

/* false: the last connection that was tried could not be opened, and nothing was answered since.  Says what is known, asks
 * nobody; the job thread (jobs.h), which looks at its connection all the time and uses the database at least every 30 s, keeps it
 * true. */
bool db_reached(void);

/* Statements run by all connections since start: the test "unchanged polls cost zero SQL" reads it
 * through /metrics. */
uint64_t db_statement_count(void);
/* Those of them on connections named DB_WORKER: what requests cost, without the parent's own jobs. */
#define DB_WORKER "inarid worker"
uint64_t db_request_statement_count(void);
