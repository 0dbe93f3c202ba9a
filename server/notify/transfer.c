#include "notify/transfer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STEPS_MAX = 60, STEP_SIZE = 200, CONNECT_MS = 10 * 1000 };

static void plain(char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            *s = '?';
}

void transfer_step(const struct notify_run *run, const char *step, bool ok, const char *fmt, ...)
{
    char detail[STEP_SIZE];
    va_list ap;

    if (run->steps == NULL || json_array_size(run->steps) >= STEPS_MAX)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    plain(detail);
    (void)json_array_append_new(
        run->steps, json_pack("{s:s,s:b,s:s}", "step", step, "ok", ok, "detail", detail));
}

/* --- what libcurl asks --- */

static size_t on_read(char *buf, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t k = size * n < t->send.n ? size * n : t->send.n;

    memcpy(buf, t->send.p, k);
    t->send = (struct slice){t->send.p + k, t->send.n - k};
    return k;
}

/* Nobody reads it, but nobody may make us read for ever either. */
static size_t on_write(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;

    (void)data;
    t->received += size * n;
    return t->received > TRANSFER_BODY_MAX ? 0 : size * n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *t = ctx;

    (void)a, (void)b, (void)c, (void)d;
    return t->run->stop != NULL && atomic_load(t->run->stop);
}

/* The address that is really connected to, whatever was resolved before. */
static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = ctx;
    char text[TARGET_TEXT_SIZE];

    (void)purpose;
    target_text(&address->addr, text);
    if (!target_ok(&address->addr, t->policy, t->allowed)) {
        (void)snprintf(t->refused, sizeof t->refused, "%s", text);
        transfer_step(t->run, "address", false, "%s may not be reached", text);
        return CURL_SOCKET_BAD;
    }
    transfer_step(t->run, "connect", true, "%s", text);
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool is_secret(struct transfer *t, const char *line)
{
    static const char *const open[] = {"EHLO",    "HELO", "STARTTLS", "MAIL FROM",
                                       "RCPT TO", "DATA", "QUIT",     "RSET"};

    t->secret_line = true;
    for (size_t i = 0; i < COUNT_OF(open) && t->secret_line; i++)
        t->secret_line = strncmp(line, open[i], strlen(open[i])) != 0;
    return t->secret_line;
}

/* The conversation, line by line; of what we say only commands without a credential. */
static int on_debug(CURL *curl, curl_infotype type, char *data, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    char line[STEP_SIZE];

    (void)curl;
    while (n > 0 && (data[n - 1] == '\n' || data[n - 1] == '\r'))
        n--;
    if (n == 0 || (type != CURLINFO_HEADER_IN && type != CURLINFO_HEADER_OUT))
        return 0;
    (void)snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), data);
    plain(line);
    if (type == CURLINFO_HEADER_IN)
        (void)snprintf(t->last, sizeof t->last, "%s", line);
    if (t->policy != TARGET_INNER) /* of a web server only the status is anybody's business */
        return 0;
    transfer_step(t->run, type == CURLINFO_HEADER_IN ? "reply" : "command",
                  type != CURLINFO_HEADER_IN || line[0] < '4', "%s",
                  type == CURLINFO_HEADER_OUT && is_secret(t, line) ? "(credentials)" : line);
    return 0;
}

/* --- a transfer --- */

static CURLcode set_common(struct transfer *t, const char *protocols, const char *ca)
{
    CURL *c = t->curl;
    struct curl_blob blob = {(void *)(uintptr_t)ca, ca == NULL ? 0 : strlen(ca), CURL_BLOB_COPY};
    CURLcode rc = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols);

#define SET(option, value) rc = rc == CURLE_OK ? curl_easy_setopt(c, option, value) : rc
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_TIMEOUT_MS, (long)t->run->limit_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS,
        (long)(t->run->limit_ms < CONNECT_MS ? t->run->limit_ms : CONNECT_MS));
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_write);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, t);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_VERBOSE, 1L);
    SET(CURLOPT_DEBUGFUNCTION, on_debug);
    SET(CURLOPT_DEBUGDATA, t);
    if (ca != NULL)
        SET(CURLOPT_CAINFO_BLOB, &blob);
#undef SET
    return rc;
}

enum err_code transfer_begin(struct transfer *t, const struct notify_run *run,
                             enum target_policy policy, const char *protocols, const char *ca,
                             struct err *e)
{
    *t = (struct transfer){.run = run, .policy = policy, .allowed = run->allowed};
    t->curl = curl_easy_init();
    return t->curl != NULL && set_common(t, protocols, ca) == CURLE_OK
               ? ERR_OK
               : err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code transfer_perform(struct transfer *t, struct err *e)
{
    CURLcode rc = curl_easy_perform(t->curl);
    const char *words = t->error[0] != '\0' ? t->error : curl_easy_strerror(rc);

    if (rc == CURLE_OK)
        return ERR_OK;
    plain(t->error);
    if (t->refused[0] != '\0')
        return err_set(e, ERR_UNAVAILABLE, "the address %s may not be reached", t->refused);
    transfer_step(t->run, "end", false, "%s", words);
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, ERR_TIMEOUT, "no end within %lld ms: %s", (long long)t->run->limit_ms,
                       words);
    return t->last[0] == '4' || t->last[0] == '5'
               ? err_set(e, ERR_UNAVAILABLE, "%s: %s", words, t->last)
               : err_set(e, ERR_UNAVAILABLE, "%s", words);
}

void transfer_clear(struct transfer *t)
{
    curl_easy_cleanup(t->curl);
    t->curl = NULL;
}
