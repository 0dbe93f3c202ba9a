#include "notify/transfer.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/strbuf.h"

#include <string.h>

/* What was sent, and when: a receiver refuses what is old, so nobody can send it again later. */
static void sign(const struct notify_webhook *w, struct strbuf *out)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(TRANSFER_SEND_MAX);
    unsigned char mac[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    long long now = (long long)clock_wall_s();

    strbuf_printf(&text, "%lld.", now);
    strbuf_add(&text, w->body);
    if (!strbuf_ok(&text)) { /* not sent at all rather than unsigned */
        out->failed = out->no_memory = true;
        return;
    }
    hmac_sha256(slice_of(w->key), strbuf_slice(&text), mac);
    hex_encode(mac, sizeof mac, hex);
    strbuf_printf(out, "Inari-Signature: t=%lld,v1=%s", now, hex);
}

static bool add(struct curl_slist **list, const char *line)
{
    struct curl_slist *next = curl_slist_append(*list, line);

    *list = next == NULL ? *list : next;
    return next != NULL;
}

static bool make_headers(const struct notify_webhook *w, struct curl_slist **ret)
{
    AUTO_STRBUF struct strbuf signature = STRBUF_INIT(256);
    AUTO_STRBUF struct strbuf id = STRBUF_INIT(256);

    sign(w, &signature);
    strbuf_printf(&id, "Inari-Notice: %s", w->id);
    return add(ret, "Content-Type: application/json") && add(ret, "User-Agent: inari") &&
           add(ret, "Expect:") && add(ret, strbuf_str(&signature)) && add(ret, strbuf_str(&id)) &&
           strbuf_ok(&signature) && strbuf_ok(&id);
}

static CURLcode set_post(struct transfer *t, const struct notify_webhook *w,
                         struct curl_slist *headers)
{
    CURL *c = t->curl;
    CURLcode rc = curl_easy_setopt(c, CURLOPT_URL, w->url);

#define SET(option, value) rc = rc == CURLE_OK ? curl_easy_setopt(c, option, value) : rc
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, w->body.p);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)w->body.n);
    SET(CURLOPT_HTTPHEADER, headers);
#undef SET
    return rc;
}

enum err_code notify_send_webhook(const struct notify_webhook *w, const struct notify_run *run,
                                  struct err *e)
{
    struct transfer t = {0};
    struct curl_slist *headers = NULL;
    long status = 0;
    enum err_code rc = transfer_begin(&t, run, TARGET_PUBLIC, "https", w->ca, e);

    if (rc == ERR_OK && (!make_headers(w, &headers) || set_post(&t, w, headers) != CURLE_OK))
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK)
        rc = transfer_perform(&t, e);
    if (rc == ERR_OK)
        (void)curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc == ERR_OK)
        transfer_step(run, "answer", status >= 200 && status < 300, "%ld", status);
    if (rc == ERR_OK && (status < 200 || status >= 300))
        rc = err_set(e, ERR_UNAVAILABLE, "the receiver answered %ld", status);
    curl_slist_free_all(headers);
    transfer_clear(&t);
    return rc;
}
