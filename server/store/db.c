#include "store/db_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Without JIT: the planner takes unnested arrays and JSON for large, and compiling a statement
 * takes seconds that running it never would. */
static const char SESSION_SQL[] =
    "SET jit = off; SET statement_timeout = '5s'; SET lock_timeout = '2s'; "
    "SET idle_in_transaction_session_timeout = '300s'; "
    "SET TIME ZONE 'UTC'; SET DateStyle = 'ISO, YMD'; "
    "SET bytea_output = 'hex'; SET search_path = public";

static atomic_uint_fast64_t statements_run, statements_asked; /* asked: for a request */

/* Of all connections, which are to one server. */
static atomic_bool refused;         /* the last try of any to open itself failed */
static atomic_uint times_connected; /* changes when one of them was opened */

bool db_reached(void)
{
    return !atomic_load_explicit(&refused, memory_order_relaxed);
}

uint64_t db_statement_count(void)
{
    return atomic_load_explicit(&statements_run, memory_order_relaxed);
}

uint64_t db_request_statement_count(void)
{
    return atomic_load_explicit(&statements_asked, memory_order_relaxed);
}

void db_count_statement(const struct db *db)
{
    atomic_fetch_add_explicit(&statements_run, 1, memory_order_relaxed);
    if (db->for_requests)
        atomic_fetch_add_explicit(&statements_asked, 1, memory_order_relaxed);
}

struct db *db_open(const char *conninfo, const char *application_name)
{
    struct db *db = calloc(1, sizeof *db);

    if (db == NULL)
        return NULL;
    db->conninfo = strdup(conninfo);
    db->application_name = strdup(application_name);
    db->for_requests = strcmp(application_name, DB_WORKER) == 0;
    if (db->conninfo == NULL || db->application_name == NULL) {
        db_close(db);
        return NULL;
    }
    return db;
}

static void disconnect(struct db *db)
{
    if (db->conn != NULL)
        PQfinish(db->conn);
    db->conn = NULL;
    memset(db->prepared, 0, sizeof db->prepared);
    db->n_prepared = 0;
    if (db->in_tx)
        db->tx_lost = true;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    db->in_tx = false;
    disconnect(db);
    free(db->conninfo);
    free(db->application_name);
    free(db);
}

bool db_in_tx(const struct db *db)
{
    return db->in_tx;
}

enum err_code db_away(struct err *e)
{
    return err_set(e, ERR_OVERLOADED, "the database cannot be reached");
}

/* libpq's message is for the log only: it may name hosts, users and SQL. */
static void log_failure(const char *event, const char *what, const char *state, const char *text)
{
    log_event(LOG_LEVEL_WARN, event, KV_STR("what", what), KV_STR("sqlstate", state),
              KV_STR("text", text));
}

/* Wait until the socket is ready or the deadline is over; false: it is. */
bool db_wait_socket(PGconn *conn, short events, int64_t deadline_mono_ms)
{
    for (;;) {
        int64_t left = deadline_mono_ms - clock_mono_ms();
        struct pollfd fd = {.fd = PQsocket(conn), .events = events};
        int n;

        if (left <= 0 || fd.fd < 0)
            return false;
        n = poll(&fd, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (n > 0)
            return true;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

/* The last result of what was sent; NULL when the connection was lost or nothing came in time. */
PGresult *db_collect(struct db *db, int limit_ms)
{
    int64_t deadline = clock_mono_ms() + limit_ms;
    PGresult *last = NULL, *res;

    for (;;) {
        while (PQisBusy(db->conn)) {
            if (!db_wait_socket(db->conn, POLLIN, deadline) || !PQconsumeInput(db->conn)) {
                PQclear(last);
                return NULL;
            }
        }
        res = PQgetResult(db->conn);
        if (res == NULL)
            return last;
        if (last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR) {
            PQclear(res); /* the first error of a script is the one that matters */
            continue;
        }
        PQclear(last);
        last = res;
    }
}

/* Lost or silent: the connection is dropped; inside a transaction nothing more may run. */
enum err_code db_lost(struct db *db, const char *what, struct err *e)
{
    log_failure("db.lost", what, "", db->conn == NULL ? "" : PQerrorMessage(db->conn));
    disconnect(db);
    return db_away(e);
}

enum err_code db_classify(struct db *db, const char *what, const PGresult *res, struct err *e)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);

    state = state == NULL ? "" : state;
    if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0) {
        db->tx_again = true;
        return err_set(e, ERR_OVERLOADED, "another change of the same data ran at the same time");
    }
    if (strcmp(state, "23505") == 0 || strcmp(state, "23503") == 0)
        return err_set(e, ERR_CONFLICT, "conflicts with what is stored (%s)",
                       constraint == NULL ? "constraint" : constraint);
    log_failure("db.error", what, state, PQresultErrorMessage(res));
    if (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0) {
        disconnect(
            db); /* prepared statements that the server forgot or that a migration outdated */
        return db_away(e);
    }
    if (strncmp(state, "22", 2) == 0)
        return err_set(e, ERR_INVALID, "a value cannot be stored");
    if (strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0)
        return err_set(e, ERR_OVERLOADED, "the database is too slow at the moment");
    if (strncmp(state, "53", 2) == 0 || strncmp(state, "57", 2) == 0 ||
        strncmp(state, "08", 2) == 0 || strcmp(state, "25006") == 0)
        return db_away(e);
    return err_set(e, ERR_INTERNAL, "a statement failed");
}

bool db_good(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

/* Simple protocol on the connection there is; no reconnect. */
enum err_code db_simple(struct db *db, const char *sql, int limit_ms, char *tag, size_t tag_size,
                        struct err *e)
{
    PGresult *res;
    enum err_code rc = ERR_OK;

    db_count_statement(db);
    if (!PQsendQuery(db->conn, sql))
        return db_lost(db, "send", e);
    res = db_collect(db, limit_ms);
    if (res == NULL || PQstatus(db->conn) != CONNECTION_OK) {
        PQclear(res);
        return db_lost(db, "script", e);
    }
    if (!db_good(res))
        rc = db_classify(db, "script", res, e);
    else if (tag != NULL)
        (void)snprintf(tag, tag_size, "%s", PQcmdStatus(res));
    PQclear(res);
    return rc;
}

static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static enum err_code backed_off(struct db *db, struct err *e)
{
    atomic_store(&refused, true);
    db->connected_before = atomic_load(&times_connected);
    db->backoff_ms = db->backoff_ms == 0 ? BACKOFF_MIN_MS : db->backoff_ms * 2;
    if (db->backoff_ms > BACKOFF_MAX_MS)
        db->backoff_ms = BACKOFF_MAX_MS;
    db->retry_mono_ms = clock_mono_ms() + db->backoff_ms / 2 +
                        (int64_t)rand_below((uint64_t)db->backoff_ms / 2 + 1);
    return db_away(e);
}

static enum err_code session_start(struct db *db, struct err *e)
{
    enum err_code rc = db_simple(db, SESSION_SQL, STATEMENT_LIMIT_MS, NULL, 0, e);

    for (size_t i = 0; rc == ERR_OK && i < db->n_listening; i++) {
        char sql[64];

        (void)snprintf(sql, sizeof sql, "LISTEN %s", db->listening[i]);
        rc = db_simple(db, sql, STATEMENT_LIMIT_MS, NULL, 0, e);
    }
    return rc;
}

static enum err_code reconnect(struct db *db, struct err *e)
{
    const char *keys[] = {"dbname",
                          "application_name",
                          "client_encoding",
                          "connect_timeout",
                          "tcp_user_timeout",
                          "fallback_application_name",
                          NULL};
    const char *values[] = {db->conninfo, db->application_name, "UTF8", "3", "10000", "inarid",
                            NULL};

    /* Another connection got through since: this one need not wait out its back-off. */
    if (clock_mono_ms() < db->retry_mono_ms &&
        db->connected_before == atomic_load(&times_connected))
        return db_away(e);
    db->conn = PQconnectdbParams(keys, values, 1);
    if (db->conn == NULL || PQstatus(db->conn) != CONNECTION_OK) {
        (void)db_lost(db, "connect", e);
        return backed_off(db, e);
    }
    (void)PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
    if (session_start(db, e) != ERR_OK) {
        disconnect(db);
        return backed_off(db, e);
    }
    db->backoff_ms = 0;
    db->retry_mono_ms = 0;
    db->times_opened++;
    (void)atomic_fetch_add(&times_connected, 1);
    atomic_store(&refused, false);
    return ERR_OK;
}

/* A connection the server closed while it was idle shows as readable: notice that before a
 * statement is lost in it. */
static bool still_open(struct db *db)
{
    struct pollfd fd = {.fd = PQsocket(db->conn), .events = POLLIN};

    if (PQstatus(db->conn) != CONNECTION_OK)
        return false;
    if (poll(&fd, 1, 0) <= 0)
        return true;
    return PQconsumeInput(db->conn) && PQstatus(db->conn) == CONNECTION_OK;
}

enum err_code db_ensure(struct db *db, struct err *e)
{
    if (db->in_tx)
        return db->tx_lost || db->conn == NULL ? db_away(e) : ERR_OK;
    if (db->conn != NULL && !still_open(db))
        disconnect(db);
    return db->conn != NULL ? ERR_OK : reconnect(db, e);
}

enum err_code db_script(struct db *db, const char *sql, int limit_ms, struct err *e)
{
    if (db_ensure(db, e) != ERR_OK)
        return e == NULL ? ERR_OVERLOADED : e->code;
    return db_simple(db, sql, limit_ms, NULL, 0, e);
}

/* --- statements --- */

static size_t slot_of(const struct db *db, const struct stmt *stmt)
{
    size_t i = ((uintptr_t)stmt / sizeof *stmt) & (PREPARED_SLOTS - 1);

    while (db->prepared[i] != NULL && db->prepared[i] != stmt)
        i = (i + 1) & (PREPARED_SLOTS - 1);
    return i;
}

static enum err_code prepare(struct db *db, const struct stmt *stmt, struct err *e)
{
    size_t slot = slot_of(db, stmt);
    PGresult *res;
    enum err_code rc = ERR_OK;

    if (db->prepared[slot] == stmt)
        return ERR_OK;
    if (db->n_prepared >= PREPARED_SLOTS / 2)
        return err_set(e, ERR_INTERNAL, "too many prepared statements");
    if (!PQsendPrepare(db->conn, stmt->name, stmt->sql, stmt->n_params, NULL))
        return db_lost(db, stmt->name, e);
    res = db_collect(db, STATEMENT_LIMIT_MS);
    if (res == NULL || PQstatus(db->conn) != CONNECTION_OK) {
        PQclear(res);
        return db_lost(db, stmt->name, e);
    }
    if (!db_good(res))
        rc = db_classify(db, stmt->name, res, e);
    PQclear(res);
    if (rc == ERR_OK) {
        db->prepared[slot] = stmt;
        db->n_prepared++;
    }
    return rc;
}

struct encoded {
    const char *value[PARAMS_MAX];
    int length[PARAMS_MAX];
    int format[PARAMS_MAX];
    char *heap[PARAMS_MAX];
    char number[PARAMS_MAX][CLOCK_TEXT_SIZE];
    size_t n;
};

static void encoded_clear(struct encoded *x)
{
    for (size_t i = 0; i < x->n; i++)
        free(x->heap[i]);
}

/* Takes heap. */
static enum err_code encode_heap(struct encoded *x, size_t i, char *heap)
{
    x->heap[i] = heap;
    x->value[i] = heap;
    return heap == NULL ? ERR_NO_MEMORY : ERR_OK;
}

static enum err_code encode_text(struct encoded *x, size_t i, struct slice s)
{
    if (s.p == NULL)
        return ERR_OK; /* SQL NULL */
    if (memchr(s.p, '\0', s.n) != NULL)
        return ERR_INVALID; /* cannot be sent */
    return encode_heap(x, i, strndup(s.p, s.n));
}

/* ERR_INVALID: a text with a NUL byte; ERR_NO_MEMORY. */
static enum err_code encode_one(struct encoded *x, size_t i, const struct db_param *p)
{
    switch (p->kind) {
    case DB_NULL:
        return ERR_OK;
    case DB_TEXT:
        return encode_text(x, i, p->text);
    case DB_INT:
        (void)snprintf(x->number[i], sizeof x->number[i], "%lld", (long long)p->num);
        x->value[i] = x->number[i];
        return ERR_OK;
    case DB_BOOL:
        x->value[i] = p->num != 0 ? "t" : "f";
        return ERR_OK;
    case DB_BYTES:
        x->value[i] = p->text.p == NULL ? "" : p->text.p;
        x->length[i] = (int)p->text.n;
        x->format[i] = 1;
        return ERR_OK;
    case DB_JSON:
        if (p->json == NULL)
            return ERR_OK;
        return encode_heap(x, i, json_text(p->json, JSON_COMPACT | JSON_ENCODE_ANY));
    case DB_TIME:
        clock_format(p->num, x->number[i]);
        x->value[i] = x->number[i];
        return ERR_OK;
    }
    return ERR_INVALID;
}

static enum err_code execute(struct db *db, const struct stmt *stmt, const struct db_param *params,
                             PGresult **ret, struct err *e)
{
    struct encoded x = {.n = (size_t)stmt->n_params};
    PGresult *res = NULL;
    enum err_code rc = stmt->n_params <= PARAMS_MAX ? ERR_OK : ERR_INVALID;
    bool sent;

    for (size_t i = 0; rc == ERR_OK && i < x.n; i++)
        rc = encode_one(&x, i, &params[i]);
    if (rc != ERR_OK) {
        encoded_clear(&x);
        return rc == ERR_NO_MEMORY ? err_set(e, rc, "out of memory")
                                   : err_set(e, rc, "a value cannot be stored");
    }
    db_count_statement(db);
    sent = PQsendQueryPrepared(db->conn, stmt->name, stmt->n_params, x.value, x.length, x.format,
                               0) != 0;
    if (sent)
        res = db_collect(db, STATEMENT_LIMIT_MS);
    encoded_clear(&x);
    if (res == NULL || PQstatus(db->conn) != CONNECTION_OK) {
        PQclear(res);
        return db_lost(db, stmt->name, e);
    }
    if (!db_good(res)) {
        rc = db_classify(db, stmt->name, res, e);
        PQclear(res);
        return rc;
    }
    if (!db_reached()) /* that try was this server's limit, or meant another moment */
        atomic_store(&refused, false);
    *ret = res;
    return ERR_OK;
}

static enum err_code run(struct db *db, const struct stmt *stmt, const struct db_param *params,
                         PGresult **ret, struct err *e)
{
    struct err local;
    enum err_code rc;

    e = e == NULL ? &local : e;
    rc = db_ensure(db, e);
    if (rc == ERR_OK)
        rc = prepare(db, stmt, e);
    return rc == ERR_OK ? execute(db, stmt, params, ret, e) : rc;
}

static void clear_result(void *p)
{
    PQclear(p);
}

enum err_code db_run(struct db *db, const struct stmt *stmt, const struct db_param *params,
                     struct arena *a, struct rows **ret, struct err *e)
{
    PGresult *res = NULL;
    struct rows *rows;
    enum err_code rc = run(db, stmt, params, &res, e);

    if (rc != ERR_OK)
        return rc;
    if (ret == NULL) {
        PQclear(res);
        return ERR_OK;
    }
    if (!arena_defer(a, clear_result, res))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rows = arena_alloc(a, sizeof *rows);
    if (rows == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *rows = (struct rows){.res = res, .arena = a};
    *ret = rows;
    return ERR_OK;
}

enum err_code db_one(struct db *db, const struct stmt *stmt, const struct db_param *params,
                     struct arena *a, struct rows **ret, struct err *e)
{
    struct rows *rows = NULL;
    enum err_code rc = db_run(db, stmt, params, a, &rows, e);

    if (rc != ERR_OK)
        return rc;
    if (rows_count(rows) == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no such record");
    if (rows_count(rows) > 1) {
        log_failure("db.error", stmt->name, "", "more than one row");
        return err_set(e, ERR_INTERNAL, "a statement gave more rows than it may");
    }
    *ret = rows;
    return ERR_OK;
}

enum err_code db_change(struct db *db, const struct stmt *stmt, const struct db_param *params,
                        int64_t *ret_n, struct err *e)
{
    PGresult *res = NULL;
    enum err_code rc = run(db, stmt, params, &res, e);

    if (rc != ERR_OK)
        return rc;
    if (ret_n != NULL)
        *ret_n = strtoll(PQcmdTuples(res), NULL, 10);
    PQclear(res);
    return ERR_OK;
}

/* --- hints --- */

enum err_code db_listen(struct db *db, const char *channel, struct err *e)
{
    char sql[64];
    enum err_code rc;

    if (strspn(channel, "abcdefghijklmnopqrstuvwxyz_") != strlen(channel) ||
        db->n_listening >= LISTEN_MAX || strlen(channel) >= sizeof db->listening[0])
        return err_set(e, ERR_INTERNAL, "cannot listen to \"%s\"", channel);
    for (size_t i = 0; i < db->n_listening; i++)
        if (strcmp(db->listening[i], channel) == 0)
            return db_ensure(db, e);
    rc = db_ensure(db, e);
    (void)snprintf(db->listening[db->n_listening++], sizeof db->listening[0], "%s", channel);
    if (rc != ERR_OK)
        return rc; /* remembered: the next connection listens */
    (void)snprintf(sql, sizeof sql, "LISTEN %s", channel);
    return db_simple(db, sql, STATEMENT_LIMIT_MS, NULL, 0, e);
}

unsigned db_times_opened(const struct db *db)
{
    return db->times_opened;
}

enum err_code db_wait(struct db *db, int timeout_ms, struct db_hint *ret, bool *ret_got,
                      struct err *e)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    enum err_code rc = db_ensure(db, e);
    PGnotify *n;

    if (rc != ERR_OK)
        return rc;
    for (;;) {
        n = PQnotifies(db->conn);
        if (n != NULL)
            break;
        if (!db_wait_socket(db->conn, POLLIN, deadline)) {
            *ret_got = false;
            return ERR_OK;
        }
        if (!PQconsumeInput(db->conn))
            return db_lost(db, "wait", e);
    }
    (void)snprintf(ret->channel, sizeof ret->channel, "%s", n->relname);
    (void)snprintf(ret->payload, sizeof ret->payload, "%s", n->extra);
    PQfreemem(n);
    *ret_got = true;
    return ERR_OK;
}
