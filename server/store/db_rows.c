/* Reading the values of a result (db.h). */
#include "store/db_private.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

int rows_count(const struct rows *r)
{
    return PQntuples(r->res);
}

bool rows_null(const struct rows *r, int row, int col)
{
    return PQgetisnull(r->res, row, col) != 0;
}

const char *rows_text(const struct rows *r, int row, int col)
{
    return PQgetvalue(r->res, row, col);
}

int64_t rows_int(const struct rows *r, int row, int col)
{
    return strtoll(rows_text(r, row, col), NULL, 10);
}

bool rows_bool(const struct rows *r, int row, int col)
{
    return rows_text(r, row, col)[0] == 't';
}

static int nibble(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

struct slice rows_bytes(const struct rows *r, int row, int col)
{
    const char *text = rows_text(r, row, col); /* "\x" and hexadecimal digits */
    size_t n = strlen(text) < 2 ? 0 : strlen(text) / 2 - 1;
    char *out = arena_alloc(r->arena, n + 1);

    if (out == NULL)
        return (struct slice){NULL, 0};
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(nibble(text[2 + 2 * i]) * 16 + nibble(text[3 + 2 * i]));
    return (struct slice){out, n};
}

int64_t rows_time_ms(const struct rows *r, int row, int col)
{
    char buf[64];
    int64_t ms = 0;
    size_t n;

    if (rows_null(r, row, col))
        return 0;
    (void)snprintf(buf, sizeof buf, "%s",
                   rows_text(r, row, col)); /* 2026-11-21 23:21:17.123456+00 */
    n = strlen(buf);
    if (n > 10 && buf[10] == ' ')
        buf[10] = 'T';
    if (n > 3 && strcmp(buf + n - 3, "+00") == 0) {
        buf[n - 3] = 'Z';
        buf[n - 2] = '\0';
    }
    return clock_parse(slice_of(buf), &ms) ? ms : 0;
}

static void drop_json(void *p)
{
    json_decref(p);
}

json_t *rows_json(const struct rows *r, int row, int col)
{
    json_t *j;

    if (rows_null(r, row, col))
        return NULL;
    j = json_in_own(rows_text(r, row, col));
    if (j == NULL || !arena_defer(r->arena, drop_json, j))
        return NULL;
    return j;
}

enum err_code rows_read(const struct rows *r, size_t size,
                        void (*read)(const struct rows *r, int row, void *item), void *ret,
                        size_t *ret_n, struct err *e)
{
    int n = rows_count(r);
    char *v = arena_alloc(r->arena, ((size_t)n + 1) * size);

    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (int i = 0; i < n; i++)
        read(r, i, v + (size_t)i * size);
    memcpy(ret, &v, sizeof v);
    *ret_n = (size_t)n;
    return ERR_OK;
}
