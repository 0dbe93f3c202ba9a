/* Events as lines of JSON.  Written by hand: a value may be cut in the middle, and nothing is
 * allocated but the output. */
#include "maillog/maillog_event.h"

#include <stdio.h>

/* Length of the UTF-8 character at the start of s; 0: it is none (RFC 3629). */
static size_t character(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                                             : 4;

    if (p[0] == 0 || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] >= 0xf5 || n > s.n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return n;
}

/* What stands for it in a JSON text; "" when it stands for itself. */
static void escaped(struct slice s, size_t n, char out[8])
{
    unsigned char c = (unsigned char)s.p[0];

    out[0] = '\0';
    if (n == 0)
        (void)snprintf(out, 8, "\xef\xbf\xbd");
    else if (c == '"' || c == '\\')
        (void)snprintf(out, 8, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
        (void)snprintf(out, 8, "\\u%04x", c);
}

/* At most max bytes of s and 2 * max of JSON; false: it was cut. */
static bool put(struct strbuf *out, struct slice s, size_t max)
{
    size_t at = 0, written = 0, plain = 0; /* plain: begin of what is not yet copied */
    char esc[8];

    strbuf_putc(out, '"');
    while (at < s.n) {
        struct slice rest = ml_from(s, at);
        size_t n = character(rest), len;
        escaped(rest, n, esc);
        len = esc[0] != '\0' ? strlen(esc) : n;
        n = n == 0 ? 1 : n;
        if (at + n > max || written + len > 2 * max)
            break;
        if (esc[0] != '\0') {
            strbuf_add(out, (struct slice){s.p + plain, at - plain});
            strbuf_puts(out, esc);
            plain = at + n;
        }
        at += n;
        written += len;
    }
    if (at > plain)
        strbuf_add(out, (struct slice){s.p + plain, at - plain});
    strbuf_putc(out, '"');
    return at == s.n;
}

struct member {
    const char *name;
    struct slice value;
    size_t max;
};

static bool texts(const struct maillog_event *ev, struct strbuf *out)
{
    const struct member all[] = {
        {"queue_id", ev->queue_id, ME_ID_MAX},
        {"orig_queue_id", ev->orig_queue_id, ME_ID_MAX},
        {"next_queue_id", ev->next_queue_id, ME_ID_MAX},
        {"sender", ev->sender, ME_ADDRESS_MAX},
        {"recipient", ev->recipient, ME_ADDRESS_MAX},
        {"client", ev->client, 46},
        {"client_name", ev->client_name, ME_NAME_MAX},
        {"helo", ev->helo, ME_NAME_MAX},
        {"message_id", ev->message_id, ME_ADDRESS_MAX},
        {"subject", ev->subject, ME_SUBJECT_MAX},
        {"relay", ev->relay, ME_NAME_MAX},
        {"dsn", ev->dsn, ME_ID_MAX},
        {"status", ev->status, ME_ID_MAX},
        {"reason", ev->reason, ME_ID_MAX},
        {"text", ev->text, ME_TEXT_MAX},
    };
    bool whole = true;

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (all[i].value.p == NULL)
            continue;
        strbuf_printf(out, ",\"%s\":", all[i].name);
        whole = put(out, all[i].value, all[i].max) && whole;
    }
    return whole;
}

static bool one_detail(const struct maillog_detail *d, struct strbuf *out)
{
    strbuf_printf(out, "\"%s\":", d->name);
    switch (d->kind) {
    case ME_D_TEXT:
        return put(out, d->text, ME_DETAIL_MAX);
    case ME_D_INT:
        strbuf_printf(out, "%lld", (long long)d->n[0]);
        break;
    case ME_D_TRUE:
        strbuf_puts(out, "true");
        break;
    case ME_D_DELAYS:
        strbuf_printf(out, "[%lld,%lld,%lld,%lld]", (long long)d->n[0], (long long)d->n[1],
                      (long long)d->n[2], (long long)d->n[3]);
        break;
    default:
        break;
    }
    return true;
}

void maillog_event_json(const struct maillog_event *ev, int64_t offset_ms, struct strbuf *out)
{
    bool whole;

    strbuf_printf(out, "{\"at\":%lld,\"kind\":\"%s\"", (long long)(ev->at_ms + offset_ms),
                  maillog_event_names[ev->kind]);
    whole = texts(ev, out);
    if (ev->size >= 0)
        strbuf_printf(out, ",\"size\":%lld", (long long)ev->size);
    if (ev->delay_ms >= 0)
        strbuf_printf(out, ",\"delay_ms\":%lld", (long long)ev->delay_ms);
    for (size_t i = 0; i < ev->n_detail; i++) {
        strbuf_puts(out, i == 0 ? ",\"detail\":{" : ",");
        whole = one_detail(&ev->detail[i], out) && whole;
    }
    if (!whole)
        strbuf_puts(out, ev->n_detail == 0 ? ",\"detail\":{\"cut\":true" : ",\"cut\":true");
    strbuf_puts(out, ev->n_detail > 0 || !whole ? "}}" : "}");
}
