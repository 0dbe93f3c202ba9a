#include "store/db_copy.h"

#include "base/clock.h"
#include "store/db_private.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    PIECE = 64 * 1024, /* given to libpq at once: it keeps what the server does not take */
    INET_V4 = 2,       /* PGSQL_AF_INET of PostgreSQL's utils/inet.h: the same on every system */
    INET_V6 = 3,
    EPOCH_S = 946684800, /* 2000-01-01, PostgreSQL's own zero */
};
static const char SIGNATURE[] =
    "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"; /* then flags and extension: none */
static const char TRAILER[] = "\377\377";

static enum err_code in_copy(struct db *db, struct err *e)
{
    if (db->in_tx && !db->tx_lost && db->conn != NULL)
        return ERR_OK;
    return db->in_tx ? db_away(e) : err_set(e, ERR_INTERNAL, "COPY outside of a transaction");
}

/* Everything that libpq still holds goes out; what the server says meanwhile (an error) is read, so
 * that it never waits for us. */
static enum err_code flush(struct db *db, struct err *e)
{
    int left;

    while ((left = PQflush(db->conn)) == 1) {
        int64_t ms = db->copy_until_ms - clock_mono_ms();
        struct pollfd fd = {.fd = PQsocket(db->conn), .events = POLLIN | POLLOUT};
        int n = ms <= 0 ? 0 : poll(&fd, 1, (int)ms);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || ((fd.revents & POLLIN) != 0 && !PQconsumeInput(db->conn)))
            return db_lost(db, "copy", e);
    }
    return left == 0 ? ERR_OK : db_lost(db, "copy", e);
}

/* The server's word at the end, or before: then it is an error. */
static enum err_code finish(struct db *db, int64_t *ret_rows, struct err *e)
{
    int64_t left = db->copy_until_ms - clock_mono_ms();
    PGresult *res = db_collect(db, left < 0 ? 0 : (int)left);
    enum err_code rc = ERR_OK;

    if (res == NULL || PQstatus(db->conn) != CONNECTION_OK || PQsetnonblocking(db->conn, 0) != 0)
        rc = db_lost(db, "copy", e);
    else if (!db_good(res))
        rc = db_classify(db, "copy", res, e);
    else if (ret_rows != NULL)
        *ret_rows = strtoll(PQcmdTuples(res), NULL, 10);
    PQclear(res);
    return rc;
}

/* libpq takes no more: the server has ended the COPY, or nothing is known of it. */
static enum err_code refused(struct db *db, struct err *e)
{
    enum err_code rc =
        PQstatus(db->conn) == CONNECTION_OK ? finish(db, NULL, e) : db_lost(db, "copy", e);

    return rc == ERR_OK ? db_lost(db, "copy", e) : rc;
}

enum err_code db_copy_begin(struct db *db, const char *sql, int limit_ms, struct err *e)
{
    enum err_code rc = in_copy(db, e);
    PGresult *res;

    if (rc != ERR_OK)
        return rc;
    db->copy_until_ms = clock_mono_ms() + limit_ms;
    db_count_statement(db);
    if (!PQsendQuery(db->conn, sql))
        return db_lost(db, "copy", e);
    while (PQisBusy(db->conn))
        if (!db_wait_socket(db->conn, POLLIN, db->copy_until_ms) || !PQconsumeInput(db->conn))
            return db_lost(db, "copy", e);
    res = PQgetResult(db->conn);
    if (PQresultStatus(res) == PGRES_COPY_IN && PQsetnonblocking(db->conn, 1) == 0) {
        PQclear(res);
        return db_copy_put(db, (struct slice){SIGNATURE, sizeof SIGNATURE - 1}, e);
    }
    rc = PQresultStatus(res) == PGRES_FATAL_ERROR && PQstatus(db->conn) == CONNECTION_OK
             ? db_classify(db, "copy", res, e)
             : db_lost(db, "copy", e);
    PQclear(res);
    if (db->conn != NULL)
        PQclear(db_collect(db, STATEMENT_LIMIT_MS));
    return rc;
}

enum err_code db_copy_put(struct db *db, struct slice bytes, struct err *e)
{
    enum err_code rc = in_copy(db, e);

    while (rc == ERR_OK && bytes.n > 0) {
        size_t n = bytes.n < PIECE ? bytes.n : PIECE;

        if (PQputCopyData(db->conn, bytes.p, (int)n) != 1)
            return refused(db, e);
        bytes = (struct slice){bytes.p + n, bytes.n - n};
        rc = flush(db, e);
    }
    return rc;
}

enum err_code db_copy_end(struct db *db, int64_t *ret_rows, struct err *e)
{
    enum err_code rc = db_copy_put(db, (struct slice){TRAILER, sizeof TRAILER - 1}, e);

    if (rc == ERR_OK && PQputCopyEnd(db->conn, NULL) != 1)
        rc = refused(db, e);
    if (rc == ERR_OK)
        rc = flush(db, e);
    return rc == ERR_OK ? finish(db, ret_rows, e) : rc;
}

/* --- rows --- */

static void add(struct strbuf *b, const void *p, size_t n)
{
    strbuf_add(b, (struct slice){p, n});
}

static void add32(struct strbuf *b, int32_t v)
{
    uint32_t x = htobe32((uint32_t)v);

    add(b, &x, sizeof x);
}

void copy_row_begin(struct strbuf *b, unsigned columns)
{
    uint16_t x = htobe16((uint16_t)columns);

    add(b, &x, sizeof x);
}

void copy_null(struct strbuf *b)
{
    add32(b, -1);
}

void copy_text(struct strbuf *b, struct slice s)
{
    if (s.p == NULL) {
        copy_null(b);
        return;
    }
    add32(b, (int32_t)s.n);
    strbuf_add(b, s);
}

void copy_int4(struct strbuf *b, int32_t v)
{
    add32(b, sizeof v);
    add32(b, v);
}

void copy_int8(struct strbuf *b, int64_t v)
{
    uint64_t x = htobe64((uint64_t)v);

    add32(b, sizeof x);
    add(b, &x, sizeof x);
}

void copy_time(struct strbuf *b, int64_t ms)
{
    copy_int8(b, (ms - INT64_C(1000) * EPOCH_S) * 1000);
}

void copy_uuid(struct strbuf *b, const unsigned char uuid[16])
{
    add32(b, 16);
    add(b, uuid, 16);
}

void copy_inet(struct strbuf *b, int family, const void *addr)
{
    unsigned char n = family == AF_INET ? 4 : 16;
    const unsigned char head[4] = {family == AF_INET ? INET_V4 : INET_V6, (unsigned char)(n * 8),
                                   0 /* no network */, n};

    add32(b, (int32_t)sizeof head + n);
    add(b, head, sizeof head);
    add(b, addr, n);
}

size_t copy_json_begin(struct strbuf *b)
{
    size_t mark = b->n;

    add32(b, 0);
    strbuf_putc(b, 1); /* the version of jsonb's binary form: the text follows */
    return mark;
}

void copy_json_end(struct strbuf *b, size_t mark)
{
    uint32_t n = htobe32((uint32_t)(b->n - mark - sizeof(uint32_t)));

    if (strbuf_ok(b))
        memcpy(b->p + mark, &n, sizeof n);
}
