/*
 * db_copy.h - many rows into a table at once: COPY ... FROM STDIN in PostgreSQL's binary form, inside a transaction.
 *
 * Source:  PostgreSQL "COPY", binary format.  Nothing is escaped, so no byte of a value can end a row; what PostgreSQL
 *          itself refuses (NUL in a text, invalid UTF-8, JSON that is none, a text too long for an index) ends the
 *          whole COPY with ERR_INVALID, so the caller checks before.
 * Use:     tx_run(): db_copy_begin(), db_copy_put() with whole or part rows, db_copy_end().  After an error of any of them
 *          the transaction is lost: return the error, tx_run() rolls back.
 * Rows:    copy_row_begin() and a copy_*() for each column, into a strbuf: may be made before the transaction and put as often as
 *          it is repeated.  A failed append shows in strbuf_ok().
 * Time:    limit_ms for all of it, begin to end; the server's statement_timeout is the transaction's own.
 * Threads: as struct db.
 */
#pragma once

#include "base/strbuf.h"
#include "store/db.h"

/* sql: "COPY table (column, ...) FROM STDIN (FORMAT binary)", a constant.  ERR_OVERLOADED: the database is away;
 * ERR_INTERNAL: not in a transaction, or the statement is wrong. */
MUST_USE enum err_code db_copy_begin(struct db *db, const char *sql, int limit_ms, struct err *e);
/* Waits while the server takes no more, so nothing piles up here.  ERR_OVERLOADED: lost, or not in time. */
MUST_USE enum err_code db_copy_put(struct db *db, struct slice bytes, struct err *e);
/* ERR_INVALID: a value cannot be stored; ERR_CONFLICT: constraint; else as db_run(). */
MUST_USE enum err_code db_copy_end(struct db *db, int64_t *ret_rows, struct err *e);

void copy_row_begin(struct strbuf *b, unsigned columns);
void copy_null(struct strbuf *b);
void copy_text(struct strbuf *b, struct slice s);               /* text, or any type whose binary form is its text; p NULL: NULL */
void copy_int4(struct strbuf *b, int32_t v);                    /* integer */
void copy_int8(struct strbuf *b, int64_t v);                    /* bigint */
void copy_time(struct strbuf *b, int64_t ms);                   /* timestamptz, of milliseconds since 1970 */
void copy_uuid(struct strbuf *b, const unsigned char uuid[16]); /* uuid */
void copy_inet(struct strbuf *b, int family, const void *addr); /* inet, of AF_INET (4 bytes) or AF_INET6 (16) */
/* jsonb, of a JSON text that is written by the caller in between; the mark is what begin gave. */
size_t copy_json_begin(struct strbuf *b);
void copy_json_end(struct strbuf *b, size_t mark);
