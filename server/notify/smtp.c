#include "notify/transfer.h"

#include "base/strbuf.h"
#include "notify/notify_private.h"

#include <stdlib.h>
#include <string.h>

enum err_code notify_init(struct err *e)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(e, ERR_INTERNAL, "libcurl could not be set up");
    notify_trap_init();
    return notify_mail_init(e);
}

void notify_end(void)
{
    notify_mail_end();
    notify_trap_end();
    curl_global_cleanup();
}

static enum err_code out_of_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static CURLcode set_mail(struct transfer *t, const struct notify_mail *m, const char *url,
                         struct curl_slist *to, size_t size)
{
    CURL *c = t->curl;
    CURLcode rc = curl_easy_setopt(c, CURLOPT_URL, url);

#define SET(option, value) rc = rc == CURLE_OK ? curl_easy_setopt(c, option, value) : rc
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_MAIL_FROM, "");
    SET(CURLOPT_MAIL_RCPT, to);
    SET(CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
    if (m->tls != MAIL_PLAIN)
        SET(CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    if (m->user != NULL) {
        SET(CURLOPT_USERNAME, m->user);
        SET(CURLOPT_PASSWORD, m->password == NULL ? "" : m->password);
    }
#undef SET
    return rc;
}

static enum err_code send_to(struct transfer *t, const struct notify_mail *m, struct curl_slist *to,
                             struct slice text, struct err *e)
{
    AUTO_STRBUF struct strbuf url = STRBUF_INIT(2 * KIB);
    bool six = strchr(m->host, ':') != NULL;

    strbuf_printf(&url, "%s://%s%s%s:%lld/%s", m->tls == MAIL_TLS ? "smtps" : "smtp",
                  six ? "[" : "", m->host, six ? "]" : "", (long long)m->port, m->helo);
    if (strbuf_check(&url, e) != ERR_OK)
        return e->code;
    t->send = text;
    if (set_mail(t, m, strbuf_str(&url), to, text.n) != CURLE_OK)
        return out_of_memory(e);
    return transfer_perform(t, e);
}

enum err_code notify_send_mail(const struct notify_mail *m, const struct notify_run *run,
                               struct err *e)
{
    struct transfer t = {0};
    struct curl_slist *to = NULL, *next;
    AUTO_STR char *text = NULL;
    size_t n = 0, i;
    const json_t *v;
    enum err_code rc = notify_mail_text(m, &text, &n, e);

    json_array_foreach(rc == ERR_OK ? m->to : NULL, i, v)
    {
        next = curl_slist_append(to, json_string_value(v));
        if (next == NULL)
            rc = out_of_memory(e);
        else
            to = next;
    }
    if (rc == ERR_OK)
        rc = transfer_begin(&t, run, TARGET_INNER, "smtp,smtps", m->ca, e);
    if (rc == ERR_OK)
        rc = send_to(&t, m, to, (struct slice){text, n}, e);
    if (rc == ERR_OK)
        transfer_step(run, "taken", true, "%s", t.last);
    curl_slist_free_all(to);
    transfer_clear(&t);
    return rc;
}
