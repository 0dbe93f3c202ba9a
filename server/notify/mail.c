/* A mail of ours as text: GMime does the encoding, nothing in it can be more than one header or
 * line. */
#include "notify/notify.h"

#include "base/strbuf.h"
#include "notify/notify_private.h"

#include <errno.h>
#include <gmime/gmime.h>
#include <iconv.h>
#include <stdlib.h>

enum { MAIL_MAX = 1024 * 1024 };

enum err_code notify_mail_init(struct err *e)
{
    (void)e;
    g_mime_init();
    return ERR_OK;
}

void notify_mail_end(void)
{
    g_mime_shutdown();
}

/* text in charset; false: it lacks a character, or memory ended. */
static bool convert(const char *text, const char *charset, struct strbuf *out)
{
    iconv_t cd = iconv_open(charset, "UTF-8");
    char *in = (char *)(uintptr_t)text, buf[4096];
    size_t left = strlen(text);
    bool ok = cd != (iconv_t)-1;

    while (ok && left > 0) {
        char *to = buf;
        size_t room = sizeof buf;
        ok = iconv(cd, &in, &left, &to, &room) != (size_t)-1 || errno == E2BIG;
        strbuf_add(out, (struct slice){buf, sizeof buf - room});
    }
    if (ok) { /* back to ASCII */
        char *to = buf;
        size_t room = sizeof buf;
        ok = iconv(cd, NULL, NULL, &to, &room) != (size_t)-1;
        strbuf_add(out, (struct slice){buf, sizeof buf - room});
    }
    if (cd != (iconv_t)-1)
        (void)iconv_close(cd);
    return ok && strbuf_ok(out);
}

/* One line: whatever came from outside cannot begin another header. */
static void one_line(const char *s, struct strbuf *out)
{
    for (; *s != '\0'; s++)
        strbuf_putc(out, (unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s);
}

static void put_headers(GMimeMessage *msg, const struct notify_mail *m, const char *subject,
                        const char *charset)
{
    AUTO_STRBUF struct strbuf id = STRBUF_INIT(1024);
    GDateTime *date = g_date_time_new_from_unix_utc(m->date_ms / 1000);
    const json_t *v;
    size_t i;

    g_mime_message_add_mailbox(msg, GMIME_ADDRESS_TYPE_FROM, "Inari", m->from);
    json_array_foreach(m->to, i, v)
        g_mime_message_add_mailbox(msg, GMIME_ADDRESS_TYPE_TO, NULL, json_string_value(v));
    g_mime_message_set_subject(msg, subject, charset);
    if (date != NULL) {
        g_mime_message_set_date(msg, date);
        g_date_time_unref(date);
    }
    strbuf_printf(&id, "%s@%s", m->id, m->helo);
    g_mime_message_set_message_id(msg, strbuf_str(&id));
    g_mime_object_set_header(GMIME_OBJECT(msg), "Auto-Submitted", "auto-generated", NULL);
}

static void put_text(GMimeMessage *msg, struct slice text, const char *charset, bool ascii)
{
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(text.p, text.n);
    GMimeDataWrapper *content =
        g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);
    GMimePart *part = g_mime_part_new_with_type("text", "plain");
    bool seven = ascii || g_ascii_strcasecmp(charset, "utf-8") != 0;

    g_mime_object_set_content_type_parameter(GMIME_OBJECT(part), "charset", charset);
    g_mime_part_set_content(part, content);
    g_mime_part_set_content_encoding(part, seven ? GMIME_CONTENT_ENCODING_7BIT
                                                 : GMIME_CONTENT_ENCODING_BASE64);
    g_mime_message_set_mime_part(msg, GMIME_OBJECT(part));
    g_object_unref(part);
    g_object_unref(content);
    g_object_unref(stream);
}

static bool is_ascii(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

static enum err_code write_out(GMimeMessage *msg, char **ret, size_t *ret_n, struct err *e)
{
    GMimeFormatOptions *options = g_mime_format_options_new();
    GMimeStream *out = g_mime_stream_mem_new();
    GByteArray *bytes;

    g_mime_format_options_set_newline_format(options, GMIME_NEWLINE_FORMAT_DOS);
    (void)g_mime_object_write_to_stream(GMIME_OBJECT(msg), options, out);
    bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(out));
    *ret_n = bytes->len;
    *ret = malloc(bytes->len + 1);
    if (*ret != NULL) {
        memcpy(*ret, bytes->data, bytes->len);
        (*ret)[bytes->len] = '\0';
    }
    g_object_unref(out);
    g_mime_format_options_free(options);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

enum err_code notify_mail_text(const struct notify_mail *m, char **ret, size_t *ret_n,
                               struct err *e)
{
    AUTO_STRBUF struct strbuf subject = STRBUF_INIT(64 * KIB);
    AUTO_STRBUF struct strbuf body = STRBUF_INIT(MAIL_MAX);
    AUTO_STRBUF struct strbuf probe = STRBUF_INIT(MAIL_MAX);
    bool ascii = is_ascii(m->text);
    const char *charset = m->charset;
    GMimeMessage *msg;
    enum err_code rc;

    one_line(m->subject, &subject);
    if (g_ascii_strcasecmp(charset, "utf-8") != 0 &&
        (!convert(m->text, charset, &body) || !convert(strbuf_str(&subject), charset, &probe))) {
        charset = "utf-8";
        strbuf_clear(&body);
        body = STRBUF_INIT(MAIL_MAX);
    }
    if (body.n == 0)
        strbuf_puts(&body, m->text);
    rc = strbuf_check(&body, e);
    if (rc == ERR_OK)
        rc = strbuf_check(&subject, e);
    if (rc != ERR_OK)
        return rc;
    msg = g_mime_message_new(TRUE);
    put_headers(msg, m, strbuf_str(&subject), charset);
    put_text(msg, strbuf_slice(&body), charset, ascii);
    rc = write_out(msg, ret, ret_n, e);
    g_object_unref(msg);
    return rc;
}
