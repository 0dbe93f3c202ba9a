/* Lists as CSV and NDJSON.  A cell is data for whatever opens it: one that a spreadsheet would take
 * for a formula gets a ' in front, and every cell stands in quotes. */
#include "handlers/message.h"

#include "base/strbuf.h"
#include "http/params.h"

#include <stdio.h>

enum { EXPORT_MAX = 48 * MIB };

const char *const export_message_columns[] = {
    "id",      "at",          "last_at",    "status",     "devices",
    "client",  "client_name", "sender",     "recipients", "recipient_count",
    "subject", "size",        "message_id", "queue_id",   "reason",
    "text",    NULL};
const char *const export_event_columns[] = {
    "at",       "received_at",   "device",        "stream",     "kind",
    "queue_id", "orig_queue_id", "next_queue_id", "sender",     "recipient",
    "client",   "client_name",   "helo",          "message_id", "subject",
    "size",     "relay",         "dsn",           "status",     "reason",
    "delay_ms", "text",          "detail",        NULL};

enum export_kind export_asked_for(const struct req *rq)
{
    struct slice rest = slice_of(req_header(rq, "Accept"));

    while (rest.n > 0) {
        struct slice one = slice_trim(slice_cut(&rest, ','));
        if (media_type_is(one, "text/csv"))
            return EXPORT_CSV;
        if (media_type_is(one, "application/x-ndjson"))
            return EXPORT_NDJSON;
        if (media_type_is(one, "application/json"))
            return EXPORT_NONE;
    }
    return EXPORT_NONE;
}

/* OWASP "CSV injection", and the wide forms that a Japanese spreadsheet reads alike. */
static bool looks_like_formula(const char *s)
{
    static const char *const wide[] = {"\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d",
                                       "\xef\xbc\xa0"};

    for (size_t i = 0; i < COUNT_OF(wide); i++)
        if (strncmp(s, wide[i], 3) == 0)
            return true;
    return s[0] != '\0' && strchr("=+-@\t\r\n", s[0]) != NULL;
}

static void put_cell(struct strbuf *b, const char *s)
{
    strbuf_putc(b, '"');
    if (looks_like_formula(s))
        strbuf_putc(b, '\'');
    for (; *s != '\0'; s++) {
        if (*s == '"')
            strbuf_putc(b, '"');
        strbuf_putc(b, *s);
    }
    strbuf_putc(b, '"');
}

/* One value as people read it: names of devices, a list with blanks between. */
static void value_text(struct strbuf *b, const json_t *v)
{
    size_t i;
    json_t *part;

    if (json_is_string(v)) {
        strbuf_puts(b, json_string_value(v));
    } else if (json_is_integer(v)) {
        strbuf_printf(b, "%lld", (long long)json_integer_value(v));
    } else if (json_is_object(v) && json_object_get(v, "name") != NULL &&
               json_object_get(v, "id") != NULL) {
        strbuf_puts(b, json_str(v, "name", json_str(v, "id", "")));
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, part)
        {
            if (i > 0)
                strbuf_putc(b, ' ');
            value_text(b, part);
        }
    } else if (v != NULL && !json_is_null(v)) {
        AUTO_STR char *text = json_text(v, JSON_COMPACT | JSON_ENCODE_ANY);
        strbuf_puts(b, text == NULL ? "" : text);
    }
}

static void put_csv(struct strbuf *b, const char *const *columns, const json_t *item)
{
    for (size_t i = 0; columns[i] != NULL; i++) {
        AUTO_STRBUF struct strbuf cell = STRBUF_INIT(256 * KIB);
        const json_t *v = json_object_get(item, columns[i]);
        value_text(&cell, v);
        if (i > 0)
            strbuf_putc(b, ',');
        if (json_is_integer(v))
            strbuf_puts(b, strbuf_str(&cell));
        else
            put_cell(b, strbuf_str(&cell));
    }
    strbuf_puts(b, "\r\n");
}

static void put_head(struct strbuf *b, const char *const *columns)
{
    for (size_t i = 0; columns[i] != NULL; i++)
        strbuf_printf(b, "%s%s", i > 0 ? "," : "", columns[i]);
    strbuf_puts(b, "\r\n");
}

enum err_code reply_export(struct reply *rp, enum export_kind kind, const char *name,
                           const char *const *columns, const json_t *doc, struct err *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(EXPORT_MAX);
    const char *next = json_str(doc, "next", "");
    size_t i;
    json_t *item;

    if (kind == EXPORT_CSV)
        put_head(&b, columns);
    json_array_foreach(json_object_get(doc, "items"), i, item)
    {
        if (kind == EXPORT_CSV) {
            put_csv(&b, columns, item);
        } else {
            AUTO_STR char *line = json_text(item, JSON_COMPACT);
            if (line == NULL)
                return err_set(e, ERR_NO_MEMORY, "out of memory");
            strbuf_puts(&b, line);
            strbuf_putc(&b, '\n');
        }
    }
    if (strbuf_check(&b, e) != ERR_OK)
        return e->code;
    if (next[0] != '\0')
        reply_header(rp, "Inari-Next", "%s", next);
    if (json_bool(doc, "partial", false))
        reply_header(rp, "Inari-Partial", "true");
    reply_header(rp, "Content-Disposition", "attachment; filename=\"%s.%s\"", name,
                 kind == EXPORT_CSV ? "csv" : "ndjson");
    rp->content_type = kind == EXPORT_CSV ? "text/csv; charset=utf-8" : "application/x-ndjson";
    strbuf_puts(&b, ""); /* an empty list has a body, too */
    rp->text_n = b.n;
    rp->text = b.n == 0 ? strdup("") : strbuf_take(&b);
    return rp->text == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
