/* What a list holds, held, and how it is written out. */
#include "domain/list.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "domain/page.h"

#include <stdio.h>

enum { EXPORT_MAX = 256 * 1024 * 1024, EXPORT_PAGE = 20000, PAGE_ARENA = 64 * 1024 * 1024 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code list_version(struct db *db, const char *list, int64_t *ret, struct err *e)
{
    struct list_state s;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    if (rc == ERR_OK)
        *ret = s.version;
    return rc;
}

enum err_code list_describe(struct db *db, const char *list, json_t **ret, int64_t *ret_version,
                            struct err *e)
{
    struct list_state s;
    int64_t expired = 0;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    if (rc == ERR_OK)
        rc = list_store_expired(db, list, &expired, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:s,s:I,s:I,s:I,s:o}", "list", list, "version", (json_int_t)s.version,
                     "rows", (json_int_t)s.rows, "expired", (json_int_t)expired, "changed_at",
                     time_json(s.changed_at_ms));
    *ret_version = s.version;
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

static json_t *row_json(const struct list_row *r)
{
    json_t *j = json_pack("{s:I,s:s,s:s,s:s?,s:s?,s:s,s:s,s:o,s:o,s:b,s:I}", "id",
                          (json_int_t)r->id, "network", r->net, "scope", r->scope_kind, "scope_id",
                          strcmp(r->scope, LIST_FLEET) == 0 ? NULL : r->scope, "scope_name",
                          r->scope_name[0] == '\0' ? NULL : r->scope_name, "comment", r->comment,
                          "author", r->author, "created_at", time_json(r->created_at_ms),
                          "expires_at", time_json(r->expires_at_ms), "expired",
                          r->expires_at_ms != 0 && r->expires_at_ms <= clock_wall_ms(), "version",
                          (json_int_t)r->since);

    return j;
}

static enum err_code rows_array(const struct list_row *v, size_t n, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();

    if (items == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(items, row_json(&v[i])) != 0)
            return no_memory(e);
    *ret = TAKE(items);
    return ERR_OK;
}

/* "192.0.2.0/24|id": where a page ended. */
static enum err_code read_cursor(const char *cursor, struct arena *a, const char **ret_net,
                                 const char **ret_scope, struct err *e)
{
    struct slice rest = slice_of(cursor), net = slice_cut(&rest, '|');
    struct ipnet parsed;

    *ret_net = *ret_scope = "";
    if (cursor[0] == '\0')
        return ERR_OK;
    if (ipnet_parse(net, &parsed) != IPNET_OK || rest.n != 36 ||
        strspn(rest.p, "0123456789abcdef-") != 36)
        return err_field(e, ERR_INVALID, "/query/cursor",
                         "this is no \"next\" of a page of this list");
    *ret_net = arena_slice_dup(a, net);
    *ret_scope = arena_slice_dup(a, rest);
    return *ret_net == NULL || *ret_scope == NULL ? no_memory(e) : ERR_OK;
}

enum err_code list_rows_json(struct db *db, const char *list, const struct list_filter *f,
                             const char *cursor, int limit, struct arena *a, json_t **ret,
                             char ret_next[110], struct err *e)
{
    const char *net, *scope;
    struct list_row *v = NULL;
    struct list_state s;
    size_t n = 0;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    if (rc == ERR_OK)
        rc = read_cursor(cursor, a, &net, &scope, e);
    if (rc == ERR_OK)
        rc = list_store_rows(db, list, f, net, scope, limit, a, &v, &n, e);
    ret_next[0] = '\0';
    if (rc == ERR_OK && n == (size_t)limit)
        (void)snprintf(ret_next, 110, "%s|%s", v[n - 1].net, v[n - 1].scope);
    return rc == ERR_OK ? rows_array(v, n, ret, e) : rc;
}

enum err_code list_search(struct db *db, const char *list, const char *address, struct arena *a,
                          json_t **ret, struct err *e)
{
    char text[IPNET_TEXT_MAX];
    struct list_row *v = NULL;
    struct list_state s;
    json_t *items = NULL, *match = NULL;
    struct ipnet net;
    size_t n = 0;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    if (rc == ERR_OK && ipnet_parse(slice_of(address), &net) != IPNET_OK)
        return err_field(e, ERR_INVALID, "/query/address",
                         "give an address like 192.0.2.1 or 2001:db8::1, or a network");
    if (rc == ERR_OK) {
        ipnet_format_prefix(&net, text);
        rc = list_store_covering(db, list, text, a, &v, &n, e);
    }
    if (rc == ERR_OK)
        rc = rows_array(v, n, &items, e);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n && match == NULL; i++)
        if (v[i].expires_at_ms == 0 || v[i].expires_at_ms > clock_wall_ms())
            match = json_array_get(items, i);
    *ret = json_pack("{s:O?,s:o,s:n}", "match", match, "items", items, "next");
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

enum err_code list_row_json(struct db *db, const char *list, int64_t id, struct arena *a,
                            json_t **ret, struct err *e)
{
    struct list_state s;
    struct list_row r;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    if (rc == ERR_OK)
        rc = list_store_row(db, list, id, a, &r, e);
    if (rc != ERR_OK)
        return rc;
    *ret = row_json(&r);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

enum err_code list_overlaps(struct db *db, const char *list, const char *cursor, int limit,
                            struct arena *a, json_t **ret, char ret_next[110], struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct list_overlap_row *v = NULL;
    struct list_state s;
    struct ipnet net;
    size_t n = 0;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    if (rc == ERR_OK && cursor[0] != '\0' && ipnet_parse(slice_of(cursor), &net) != IPNET_OK)
        rc = err_field(e, ERR_INVALID, "/query/cursor",
                       "this is no \"next\" of a page of this list");
    if (rc == ERR_OK)
        rc = list_store_overlaps(db, list, cursor, limit, a, &v, &n, e);
    if (rc != ERR_OK)
        return rc;
    if (items == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(items, json_pack("{s:s,s:s,s:b}", "network", v[i].net, "inside",
                                                   v[i].outer, "duplicate",
                                                   strcmp(v[i].net, v[i].outer) == 0)) != 0)
            return no_memory(e);
    (void)snprintf(ret_next, 110, "%s", n == (size_t)limit ? v[n - 1].net : "");
    *ret = json_pack("{s:I,s:O,s:s?}", "total", (json_int_t)(n == 0 ? 0 : v[0].n), "items", items,
                     "next", ret_next[0] == '\0' ? NULL : ret_next);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* --- history --- */

static json_t *change_json(const char *list, const struct list_change_row *c)
{
    return json_pack("{s:s,s:I,s:s,s:s,s:s,s:s?,s:o,s:I,s:I,s:o}", "list", list, "version",
                     (json_int_t)c->version, "kind", c->kind, "author", c->author, "reason",
                     c->reason, "forced", c->forced[0] == '\0' ? NULL : c->forced, "undoes",
                     c->undoes == 0 ? json_null() : json_integer(c->undoes), "added",
                     (json_int_t)c->added, "removed", (json_int_t)c->removed, "at",
                     time_json(c->at_ms));
}

enum err_code list_history(struct db *db, const char *list, const char *cursor, int limit,
                           struct arena *a, json_t **ret, char ret_next[110], struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct list_change_row *v = NULL;
    struct list_state s;
    int64_t before = 0;
    size_t n = 0;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    if (rc == ERR_OK && cursor[0] != '\0' && !parse_i64(slice_of(cursor), 1, INT64_MAX, &before))
        rc = err_field(e, ERR_INVALID, "/query/cursor",
                       "this is no \"next\" of a page of this list");
    if (rc == ERR_OK)
        rc = list_store_changes(db, list, before, limit, a, &v, &n, e);
    if (rc != ERR_OK)
        return rc;
    if (items == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(items, change_json(list, &v[i])) != 0)
            return no_memory(e);
    ret_next[0] = '\0';
    if (n == (size_t)limit)
        (void)snprintf(ret_next, 110, "%lld", (long long)v[n - 1].version);
    *ret = TAKE(items);
    return ERR_OK;
}

enum err_code list_history_one(struct db *db, const char *list, int64_t version, int64_t after_id,
                               int limit, struct arena *a, json_t **ret, struct err *e)
{
    static const char *const members[] = {"removed_rows", "added_rows"};
    AUTO(json_free) json_t *j = NULL;
    struct list_change_row c;
    struct list_state s;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    if (rc == ERR_OK)
        rc = list_store_change(db, list, version, a, &c, e);
    if (rc != ERR_OK)
        return rc;
    j = change_json(list, &c);
    if (j == NULL)
        return no_memory(e);
    for (int brought = 0; brought < 2; brought++) {
        struct list_row *v = NULL;
        json_t *rows = NULL;
        size_t n = 0;
        rc = list_store_change_rows(db, list, version, brought != 0, after_id, limit, a, &v, &n, e);
        if (rc == ERR_OK)
            rc = rows_array(v, n, &rows, e);
        if (rc != ERR_OK)
            return rc;
        if (json_object_set_new(j, members[brought], rows) != 0)
            return no_memory(e);
    }
    *ret = TAKE(j);
    return ERR_OK;
}

/* --- writing out --- */

/* A cell is data for whatever opens it: one that a spreadsheet would compute gets a ' in front
 * (also the wide forms that a Japanese one reads alike); list_wants_text() takes it off again. */
static void put_cell(struct strbuf *b, const char *s)
{
    static const char *const wide[] = {"\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d",
                                       "\xef\xbc\xa0"};
    bool formula = s[0] != '\0' && strchr("=+-@", s[0]) != NULL;

    for (size_t i = 0; i < COUNT_OF(wide); i++)
        formula = formula || strncmp(s, wide[i], 3) == 0;
    strbuf_puts(b, formula ? "\"'" : "\"");
    for (; *s != '\0'; s++) {
        if (*s == '"')
            strbuf_putc(b, '"');
        strbuf_putc(b, *s);
    }
    strbuf_putc(b, '"');
}

static void put_line(struct strbuf *b, const struct list_row *r, bool csv)
{
    char at[CLOCK_TEXT_SIZE] = "", scope[210];

    if (!csv) {
        strbuf_printf(b, r->comment[0] == '\0' ? "%s%s\n" : "%s # %s\n", r->net, r->comment);
        return;
    }
    if (r->expires_at_ms != 0)
        clock_format(r->expires_at_ms, at);
    (void)snprintf(scope, sizeof scope, "%s%s%s", r->scope_kind,
                   r->scope_name[0] == '\0' ? "" : ":", r->scope_name);
    strbuf_printf(b, "%s,", r->net);
    put_cell(b, scope);
    strbuf_putc(b, ',');
    put_cell(b, r->comment);
    strbuf_printf(b, ",%s,", at);
    put_cell(b, r->author);
    clock_format(r->created_at_ms, at);
    strbuf_printf(b, ",%s\r\n", at);
}

enum err_code list_export(struct db *db, const char *list, const struct list_filter *f, bool csv,
                          char **ret, size_t *ret_n, struct err *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(EXPORT_MAX);
    char net[IPNET_TEXT_MAX] = "", scope[40] = "";
    struct list_state s;
    size_t n = EXPORT_PAGE;
    enum err_code rc = list_store_get(db, list, false, &s, e);

    strbuf_puts(&b, csv ? "network,scope,comment,expires_at,author,created_at\r\n" : "");
    while (rc == ERR_OK && n == EXPORT_PAGE) {
        AUTO(arena_free) struct arena *a = arena_new(PAGE_ARENA);
        struct list_row *v = NULL;
        rc = a == NULL ? no_memory(e)
                       : list_store_rows(db, list, f, net, scope, EXPORT_PAGE, a, &v, &n, e);
        if (rc != ERR_OK)
            return rc;
        for (size_t i = 0; i < n; i++)
            put_line(&b, &v[i], csv);
        if (n > 0) {
            text_copy(net, sizeof net, v[n - 1].net);
            text_copy(scope, sizeof scope, v[n - 1].scope);
        }
        rc = strbuf_check(&b, e);
    }
    if (rc != ERR_OK)
        return rc;
    *ret_n = b.n;
    *ret = b.n == 0 ? strdup("") : strbuf_take(&b);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}
