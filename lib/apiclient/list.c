#include "apiclient/apiclient.h"

#include "base/strbuf.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_ITEMS = 500, ESCAPED_MAX = 4096 };

static bool unreserved(unsigned char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') ||
           ch == '-' || ch == '.' || ch == '_' || ch == '~';
}

static void add_escaped(struct strbuf *b, const char *s)
{
    for (; *s != '\0'; s++) {
        if (unreserved((unsigned char)*s))
            strbuf_putc(b, *s);
        else
            strbuf_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
    }
}

static char *finish(struct strbuf *b)
{
    if (!strbuf_ok(b)) {
        strbuf_clear(b);
        return NULL;
    }
    return b->n == 0 ? strdup("") : strbuf_take(b);
}

char *apiclient_escape(const char *s)
{
    struct strbuf b = STRBUF_INIT(ESCAPED_MAX);

    add_escaped(&b, s);
    return finish(&b);
}

char *apiclient_path(const char *fmt, const char *const *args, size_t n)
{
    struct strbuf b = STRBUF_INIT(ESCAPED_MAX);
    size_t used = 0;

    for (; *fmt != '\0'; fmt++) {
        if (fmt[0] == '%' && fmt[1] == 's' && used < n) {
            add_escaped(&b, args[used++]);
            fmt++;
        } else {
            strbuf_putc(&b, *fmt);
        }
    }
    return finish(&b);
}

static enum err_code one_page(struct apiclient *c, const char *path, const char *cursor,
                              size_t most, json_t *items, json_t **ret_next, json_t **problem,
                              struct err *e)
{
    AUTO_STRBUF struct strbuf full = STRBUF_INIT(8 * KIB);
    struct apireply r;
    enum err_code rc;

    strbuf_printf(&full, "%s%climit=%d", path, strchr(path, '?') == NULL ? '?' : '&',
                  most < PAGE_ITEMS ? (int)most : PAGE_ITEMS);
    if (cursor != NULL) {
        strbuf_puts(&full, "&cursor=");
        add_escaped(&full, cursor);
    }
    rc = strbuf_check(&full, e);
    if (rc != ERR_OK)
        return rc;
    rc = apiclient_call(c, &(struct apicall){.method = "GET", .path = strbuf_str(&full)}, &r, e);
    if (rc != ERR_OK && problem != NULL)
        *problem = json_incref(r.json);
    if (rc == ERR_OK && !json_is_array(json_object_get(r.json, "items")))
        rc = err_set(e, ERR_MALFORMED, "the server's answer to %s is not a list", path);
    if (rc == ERR_OK && json_array_extend(items, json_object_get(r.json, "items")) != 0)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK)
        *ret_next = json_incref(json_object_get(r.json, "next"));
    apireply_clear(&r);
    return rc;
}

enum err_code apiclient_list(struct apiclient *c, const char *path, size_t max, json_t **ret,
                             json_t **problem, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    AUTO(json_free) json_t *next = NULL;
    enum err_code rc;

    if (problem != NULL)
        *problem = NULL;
    do {
        AUTO(json_free) json_t *at = TAKE(next);
        rc = one_page(c, path, json_string_value(at), max - json_array_size(items), items, &next,
                      problem, e);
    } while (rc == ERR_OK && json_is_string(next) && json_array_size(items) < max);
    if (rc != ERR_OK)
        return rc;
    while (json_array_size(items) > max)
        json_array_remove(items, json_array_size(items) - 1);
    *ret = json_pack("{s:O}", "items", items);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
