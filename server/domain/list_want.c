/* Rows that are wanted: from JSON, CSV and plain text. */
#include "domain/list.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

typedef unsigned __int128 wide; /* one IPv6 address */

const char *const list_names[] = {"approved", "blocked", NULL};

enum { SCOPES_MAX = 100 /* different ones in a call */, COLUMNS_MAX = 16, LINE_MAX_BYTES = 2000 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

void list_wants_clear(struct list_wants *w)
{
    free(w->v);
    *w = (struct list_wants){0};
}

static enum err_code put(struct list_wants *w, const struct ipnet *net, const struct list_want *row,
                         struct err *e)
{
    if (w->n >= LIST_CALL_MAX)
        return err_set(e, ERR_TOO_LARGE, "more than %d rows in one call: send them in several",
                       LIST_CALL_MAX);
    if (w->n == w->size) {
        size_t size = w->size == 0 ? 64 : w->size * 2;
        struct list_want *v = realloc(w->v, size * sizeof *v);
        if (v == NULL)
            return no_memory(e);
        w->v = v;
        w->size = size;
    }
    w->v[w->n] = *row;
    w->v[w->n++].net = *net;
    return ERR_OK;
}

static wide number(const struct ipnet *n)
{
    wide v = 0;

    for (unsigned i = 0; i < (n->v6 ? 16u : 4u); i++)
        v = v << 8 | n->addr[i];
    return v;
}

static struct ipnet network(bool v6, wide first, unsigned bits)
{
    struct ipnet n = {.v6 = v6, .bits = bits};

    for (unsigned i = v6 ? 16 : 4; i-- > 0; first >>= 8)
        n.addr[i] = (unsigned char)first;
    return n;
}

/* The fewest networks that are together first..last. */
static enum err_code put_range(struct list_wants *w, bool v6, wide first, wide last,
                               const struct list_want *row, struct err *e)
{
    unsigned all = v6 ? 128 : 32;
    enum err_code rc = ERR_OK;

    while (rc == ERR_OK) {
        unsigned free_bits = 0; /* of the largest network that begins at first and ends in time */
        struct ipnet net;
        wide end = first;
        while (free_bits < all && (first >> free_bits & 1) == 0) {
            wide more = first | (((wide)1 << free_bits << 1) - 1);
            if (free_bits + 1 == 128)
                more = ~(wide)0;
            if (more > last)
                break;
            end = more;
            free_bits++;
        }
        net = network(v6, first, all - free_bits);
        rc = put(w, &net, row, e);
        if (end >= last)
            break;
        first = end + 1;
    }
    return rc;
}

static enum err_code fault_err(enum ipnet_fault fault, const struct ipnet *n, struct err *e)
{
    char text[IPNET_TEXT_MAX];

    switch (fault) {
    case IPNET_OK:
        return ERR_OK;
    case IPNET_MAPPED:
        return err_set(e, ERR_INVALID, "write an IPv4 address as a.b.c.d");
    case IPNET_HOST_BITS:
        ipnet_format_prefix(n, text);
        return err_set(e, ERR_INVALID, "bits behind the prefix are set, the network is %s", text);
    case IPNET_SYNTAX:
        break;
    }
    return err_set(e, ERR_INVALID, "neither an address nor a network nor a range");
}

enum err_code list_wants_add(struct list_wants *w, struct slice text, const struct list_want *row,
                             struct err *e)
{
    struct slice rest = slice_trim(text);
    struct slice first = slice_trim(slice_cut(&rest, '-'));
    struct ipnet a = {0}, b = {0};
    enum err_code rc;

    w->given++;
    if (rest.p == NULL) {
        rc = fault_err(ipnet_parse(first, &a), &a, e);
        return rc == ERR_OK ? put(w, &a, row, e) : rc;
    }
    rc = fault_err(ipnet_address(first, &a), &a, e);
    if (rc == ERR_OK)
        rc = fault_err(ipnet_address(slice_trim(rest), &b), &b, e);
    if (rc == ERR_OK && (a.v6 != b.v6 || number(&a) > number(&b)))
        return err_set(e, ERR_INVALID, "a range goes from its lowest to its highest address");
    return rc == ERR_OK ? put_range(w, a.v6, number(&a), number(&b), row, e) : rc;
}

/* --- scopes --- */

enum err_code list_scope(struct db *db, const char *scope, struct arena *a, const char **ret_group,
                         const char **ret_device, struct err *e)
{
    *ret_group = *ret_device = NULL;
    if (strcmp(scope, "fleet") == 0)
        return ERR_OK;
    if (strncmp(scope, "group:", 6) == 0)
        return list_store_scope(db, "group", scope + 6, a, ret_group, e);
    if (strncmp(scope, "device:", 7) == 0)
        return list_store_scope(db, "device", scope + 7, a, ret_device, e);
    return err_set(e, ERR_INVALID, "a scope is fleet, group:NAME or device:NAME");
}

/* Those of a call, looked up once each. */
struct scopes {
    struct db *db;
    struct arena *a;
    struct {
        const char *text, *group, *device;
    } v[SCOPES_MAX];
    size_t n;
};

static enum err_code find_scope(struct scopes *s, const char *text, struct list_want *row,
                                struct err *e)
{
    size_t i = 0;
    enum err_code rc;

    while (i < s->n && strcmp(s->v[i].text, text) != 0)
        i++;
    if (i == s->n) {
        if (i == SCOPES_MAX)
            return err_set(e, ERR_INVALID, "more than %d different scopes in one call", SCOPES_MAX);
        rc = list_scope(s->db, text, s->a, &s->v[i].group, &s->v[i].device, e);
        if (rc != ERR_OK)
            return rc;
        s->v[i].text = arena_strdup(s->a, text);
        if (s->v[i].text == NULL)
            return no_memory(e);
        s->n++;
    }
    row->group = s->v[i].group;
    row->device = s->v[i].device;
    return ERR_OK;
}

/* --- a row of either form --- */

struct raw {
    struct slice network;
    const char *scope, *comment;
    const char *expires; /* NULL: as the body says; "": never */
};

static enum err_code take(struct scopes *s, const struct raw *r, const struct list_defaults *d,
                          struct list_wants *w, struct err *e)
{
    struct list_want row = {.expires_ms = d->expires_ms};
    enum err_code rc =
        find_scope(s, r->scope != NULL && r->scope[0] != '\0' ? r->scope : d->scope, &row, e);

    row.comment = r->comment != NULL && r->comment[0] != '\0' ? r->comment : d->comment;
    if (rc == ERR_OK &&
        (strlen(row.comment) > LIST_COMMENT_MAX || !slice_is_text(slice_of(row.comment))))
        return err_set(e, ERR_INVALID, "a comment has at most %d bytes of text in one line",
                       LIST_COMMENT_MAX);
    if (rc == ERR_OK && r->expires != NULL) {
        row.expires_ms = 0;
        if (r->expires[0] != '\0' && !clock_parse(slice_of(r->expires), &row.expires_ms))
            return err_set(e, ERR_INVALID, "expires_at is a time like 2026-11-21T23:21:17Z");
    }
    return rc == ERR_OK ? list_wants_add(w, r->network, &row, e) : rc;
}

/* What is wrong with a row is said of all of them, not of the first. */
static enum err_code judge_row(enum err_code rc, const char *at, struct slice network,
                               struct findings *f, struct err *e)
{
    char text[FINDING_ARG_MAX];

    if (rc != ERR_INVALID && rc != ERR_NOT_FOUND)
        return rc;
    (void)snprintf(text, sizeof text, "%.*s", (int)(network.n < 80 ? network.n : 80),
                   network.p == NULL ? "" : network.p);
    (void)finding_add(f, text[0] == '\0' ? F_V_LIST_ROW : F_V_LIST_NETWORK, at,
                      text[0] == '\0' ? at : text, e->msg, NULL, NULL);
    *e = (struct err){0};
    return ERR_OK;
}

static enum err_code all_good(const struct findings *f, struct err *e)
{
    return f->errors == 0
               ? ERR_OK
               : err_set(e, ERR_INVALID, "%zu of the rows cannot be accepted", f->errors);
}

enum err_code list_wants_rows(struct db *db, const json_t *rows, const struct list_defaults *d,
                              struct arena *a, struct list_wants *ret, struct findings *f,
                              struct err *e)
{
    struct scopes *s = arena_alloc(a, sizeof *s);
    enum err_code rc = s == NULL ? no_memory(e) : ERR_OK;
    size_t i;
    json_t *j;

    if (s != NULL)
        *s = (struct scopes){.db = db, .a = a};
    json_array_foreach(rows, i, j)
    {
        struct {
            const char *network, *scope, *comment;
            json_t *expires_at;
        } in = {0};
        const struct jdec_field fields[] = {
            JDEC_STR(__typeof__(in), network, JD_REQUIRED, 1, 100),
            JDEC_STR(__typeof__(in), scope, 0, 1, 210),
            JDEC_STR(__typeof__(in), comment, 0, 0, LIST_COMMENT_MAX),
            JDEC_ANY(__typeof__(in), expires_at, JD_NULL_OK),
            JDEC_END,
        };
        char at[40];
        struct raw r;
        if (rc != ERR_OK)
            break;
        (void)snprintf(at, sizeof at, "/rows/%zu", i);
        rc = jdec_object(j, fields, JD_REFUSE_UNKNOWN, at, &in, e);
        if (rc != ERR_OK)
            break;
        r = (struct raw){.network = slice_of(in.network),
                         .scope = in.scope,
                         .comment = in.comment,
                         .expires = json_is_string(in.expires_at) ? json_string_value(in.expires_at)
                                    : in.expires_at == NULL       ? NULL
                                                                  : ""};
        if (in.expires_at != NULL && !json_is_string(in.expires_at) && !json_is_null(in.expires_at))
            rc = err_set(e, ERR_INVALID, "expires_at is a time like 2026-11-21T23:21:17Z");
        if (rc == ERR_OK)
            rc = take(s, &r, d, ret, e);
        rc = judge_row(rc, at, r.network, f, e);
    }
    return rc == ERR_OK ? all_good(f, e) : rc;
}

/* --- text --- */

/* The cells of a line of CSV (RFC 4180; a quoted cell does not span lines), into the arena. */
static enum err_code split(struct slice line, struct arena *a, const char *cell[COLUMNS_MAX],
                           size_t *ret_n, struct err *e)
{
    size_t i = 0, n = 0;

    for (bool more = true; more && n < COLUMNS_MAX; n++) {
        char *out = arena_alloc(a, line.n - i + 1);
        size_t used = 0;
        bool quoted = i < line.n && line.p[i] == '"';
        if (out == NULL)
            return no_memory(e);
        i += quoted;
        for (; i < line.n; i++) {
            if (quoted && line.p[i] == '"' && i + 1 < line.n && line.p[i + 1] == '"')
                i++;
            else if (quoted && line.p[i] == '"')
                break;
            else if (!quoted && line.p[i] == ',')
                break;
            out[used++] = line.p[i];
        }
        if (quoted && (i >= line.n || (++i < line.n && line.p[i] != ',')))
            return err_set(e, ERR_INVALID, "a cell that begins with \" ends with it");
        more = i < line.n;
        i++;
        /* what the export puts in front of a cell that a spreadsheet would compute */
        if (out[0] == '\'' && out[1] != '\0' && strchr("=+-@", out[1]) != NULL)
            out++;
        cell[n] = out;
    }
    *ret_n = n;
    return ERR_OK;
}

enum { COL_NETWORK, COL_SCOPE, COL_COMMENT, COL_EXPIRES, COL_OTHER };
struct columns {
    int kind[COLUMNS_MAX];
    size_t n;
};

static enum err_code read_header(struct slice line, struct arena *a, struct columns *ret,
                                 struct err *e)
{
    static const char *const names[] = {"network", "scope", "comment", "expires_at"};
    const char *cell[COLUMNS_MAX];
    bool network_there = false;
    enum err_code rc = split(line, a, cell, &ret->n, e);

    for (size_t i = 0; rc == ERR_OK && i < ret->n; i++) {
        ret->kind[i] = COL_OTHER;
        for (int k = 0; k < COL_OTHER; k++)
            if (slice_is(slice_trim(slice_of(cell[i])), names[k]))
                ret->kind[i] = k;
        network_there = network_there || ret->kind[i] == COL_NETWORK;
    }
    if (rc == ERR_OK && !network_there)
        return err_field(e, ERR_INVALID, "/text",
                         "the first line of a CSV file names its columns: network, and any of "
                         "scope, comment, expires_at");
    return rc;
}

static enum err_code csv_row(struct slice line, const struct columns *c, struct arena *a,
                             struct raw *ret, struct err *e)
{
    const char *cell[COLUMNS_MAX];
    size_t n = 0;
    enum err_code rc = split(line, a, cell, &n, e);

    for (size_t i = 0; rc == ERR_OK && i < n && i < c->n; i++) {
        const char *text = cell[i];
        if (c->kind[i] == COL_NETWORK)
            ret->network = slice_trim(slice_of(text));
        else if (c->kind[i] == COL_SCOPE)
            ret->scope = text;
        else if (c->kind[i] == COL_COMMENT)
            ret->comment = text;
        else if (c->kind[i] == COL_EXPIRES)
            ret->expires = text;
    }
    return rc;
}

static enum err_code plain_row(struct slice line, struct arena *a, struct raw *ret, struct err *e)
{
    size_t at = 0;

    while (at < line.n && line.p[at] != '#' && line.p[at] != ';')
        at++;
    ret->network = slice_trim((struct slice){line.p, at});
    if (at == line.n)
        return ERR_OK;
    ret->comment = arena_slice_dup(a, slice_trim((struct slice){line.p + at + 1, line.n - at - 1}));
    return ret->comment == NULL ? no_memory(e) : ERR_OK;
}

enum err_code list_wants_text(struct db *db, struct slice text, bool csv,
                              const struct list_defaults *d, struct arena *a,
                              struct list_wants *ret, struct findings *f, struct err *e)
{
    struct scopes *s = arena_alloc(a, sizeof *s);
    struct columns columns = {.n = 0};
    struct slice rest = text;
    enum err_code rc = s == NULL ? no_memory(e) : ERR_OK;
    char at[40];

    if (s != NULL)
        *s = (struct scopes){.db = db, .a = a};
    if (slice_starts(rest, "\xef\xbb\xbf"))
        rest = (struct slice){rest.p + 3, rest.n - 3};
    for (size_t line_n = 1; rc == ERR_OK && rest.p != NULL; line_n++) {
        struct slice line = slice_trim(slice_cut(&rest, '\n'));
        struct raw r = {0};
        (void)snprintf(at, sizeof at, "/text/line %zu", line_n);
        if (line.n == 0)
            continue;
        if (csv && columns.n == 0) {
            rc = read_header(line, a, &columns, e);
            continue;
        }
        if (line.n > LINE_MAX_BYTES)
            rc = err_set(e, ERR_INVALID, "a line has at most %d bytes", LINE_MAX_BYTES);
        else
            rc = csv ? csv_row(line, &columns, a, &r, e) : plain_row(line, a, &r, e);
        if (rc == ERR_OK && r.network.n == 0 && !csv)
            continue; /* a comment alone */
        if (rc == ERR_OK)
            rc = take(s, &r, d, ret, e);
        rc = judge_row(rc, at, r.network, f, e);
    }
    return rc == ERR_OK ? all_good(f, e) : rc;
}
