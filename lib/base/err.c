#include "base/err.h"

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

static void fill(struct err *e, enum err_code code, const char *pointer, const char *fmt, va_list ap)
{
    e->code = code;
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

enum err_code err_field(struct err *e, enum err_code code, const char *pointer, const char *fmt, ...)
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
