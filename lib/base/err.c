#include "base/err.h"

#include "base/messages.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fd_close_p(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void str_free_p(char **s)
{
    free(*s);
    *s = NULL;
}

static const char *japanese(const char *fmt)
{
    size_t lo = 0, hi = message_texts_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = strcmp(fmt, message_texts[mid].en);

        if (d == 0)
            return message_texts[mid].ja;
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* Cut in the middle of a character, a message would be no UTF-8 any more. */
static void end_whole(char *s, size_t size)
{
    size_t n = strlen(s);

    if (n + 1 < size)
        return;
    while (n > 0 && ((unsigned char)s[n - 1] & 0xc0) == 0x80)
        n--;
    s[n > 0 ? n - 1 : 0] = '\0';
}

static void fill(struct err *e, enum err_code code, const char *pointer, const char *fmt,
                 va_list ap)
{
    const char *ja = japanese(fmt);
    va_list again;

    e->code = code;
    e->msg_ja[0] = '\0';
    if (ja != NULL) {
        va_copy(again, ap);
        (void)vsnprintf(e->msg_ja, sizeof e->msg_ja, ja, again);
        va_end(again);
        end_whole(e->msg_ja, sizeof e->msg_ja);
    }
    (void)vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    (void)snprintf(e->pointer, sizeof e->pointer, "%s", pointer);
}

enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    if (e == NULL)
        return code;
    va_start(ap, fmt);
    fill(e, code, "", fmt, ap);
    va_end(ap);
    return code;
}

enum err_code err_field(struct err *e, enum err_code code, const char *pointer, const char *fmt,
                        ...)
{
    va_list ap;

    if (e == NULL)
        return code;
    va_start(ap, fmt);
    fill(e, code, pointer, fmt, ap);
    va_end(ap);
    return code;
}

enum err_code err_wrap(struct err *e, const char *fmt, ...)
{
    char old[sizeof e->msg];
    va_list ap;
    size_t n;

    if (e == NULL)
        return ERR_INTERNAL;
    memcpy(old, e->msg, sizeof old);
    e->msg_ja[0] = '\0'; /* half of it would be in English */
    va_start(ap, fmt);
    (void)vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    n = strlen(e->msg);
    (void)snprintf(e->msg + n, sizeof e->msg - n, ": %s", old);
    return e->code;
}

enum err_code err_errno(struct err *e, enum err_code code, int errno_value, const char *fmt, ...)
{
    va_list ap;
    size_t n;

    if (e == NULL)
        return code;
    va_start(ap, fmt);
    fill(e, code, "", fmt, ap);
    va_end(ap);
    n = strlen(e->msg);
    (void)snprintf(e->msg + n, sizeof e->msg - n, ": %s", strerrordesc_np(errno_value));
    return code;
}

const char *err_text(const struct err *e, enum lang lang)
{
    return lang == LANG_JA && e->msg_ja[0] != '\0' ? e->msg_ja : e->msg;
}

const char *err_word(enum err_code code)
{
    return code >= 0 && code < ERR_CODE_COUNT ? problem_texts[code].id : "internal";
}

int err_http_status(enum err_code code)
{
    return code >= 0 && code < ERR_CODE_COUNT ? problem_texts[code].status : 500;
}

enum err_code err_code_of_word(const char *word)
{
    for (int i = 0; i < ERR_CODE_COUNT; i++)
        if (strcmp(problem_texts[i].id, word) == 0)
            return (enum err_code)i;
    return ERR_INTERNAL;
}
