#include "http/req_source.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const scope_names[] = {
    "",
    "settings:read",
    "settings:write",
    "publish",
    "device:read",
    "device:write",
    "enrol",
    "audit:read",
    "admin",
    "",
    "command",
    "events:read",
    "",
    "",
    "",
    "",
};

const char *req_header(const struct req *rq, const char *name)
{
    const struct req_source *src = rq->conn;
    const struct gate_field *f = gate_field(src->fields, src->n_fields, name);

    return f == NULL ? NULL : f->value.p;
}

const char *req_query(const struct req *rq, const char *name)
{
    const struct req_source *src = rq->conn;

    return params_get(&src->query, name);
}

const char *req_form(const struct req *rq, const char *name)
{
    const struct req_source *src = rq->conn;

    return params_get(&src->form, name);
}

bool req_again(const struct req *rq)
{
    const struct req_source *src = rq->conn;

    return src->again;
}

bool req_expired(const struct req *rq)
{
    const struct req_source *src = rq->conn;

    return src->expired;
}

bool req_waited_for(const struct req *rq, int what)
{
    const struct req_source *src = rq->conn;

    return src->expired && src->held_for == what;
}

enum err_code req_query_int(const struct req *rq, const char *name, int64_t min, int64_t max,
                            int64_t fallback, int64_t *ret, struct err *e)
{
    const char *text = req_query(rq, name);
    int64_t v = fallback;

    if (text != NULL && !parse_i64(slice_of(text), min, max, &v)) {
        char pointer[96];
        (void)snprintf(pointer, sizeof pointer, "/query/%s", name);
        return err_field(e, ERR_INVALID, pointer, "parameter %s must be a number from %lld to %lld",
                         name, (long long)min, (long long)max);
    }
    *ret = v;
    return ERR_OK;
}

enum err_code req_if_match(const struct req *rq, const char *etag, struct err *e)
{
    const char *given = req_header(rq, "If-Match");

    if (given == NULL)
        return err_set(e, ERR_PRECONDITION_REQUIRED, "send the ETag you read in If-Match");
    if (!etag_listed(slice_of(given), etag, false))
        return err_set(e, ERR_STALE_EDIT, "the present version is \"%s\"", etag);
    return ERR_OK;
}

enum err_code reply_json(struct reply *rp, int status, json_t *j, struct err *e)
{
    if (j == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    json_decref(rp->json);
    rp->json = j;
    rp->status = status;
    return ERR_OK;
}

/* A number as text in front of end; returns where it begins. */
static const char *number_text(long long v, char *end)
{
    unsigned long long u = v < 0 ? 0ULL - (unsigned long long)v : (unsigned long long)v;

    *--end = '\0';
    do
        *--end = (char)('0' + u % 10);
    while ((u /= 10) != 0);
    if (v < 0)
        *--end = '-';
    return end;
}

/* The formats that every poll's answer uses, without printf's cost; false: another one. */
static bool format_plain(char *buf, size_t size, const char *fmt, va_list ap, int *ret_n)
{
    char number[24];
    const char *text = strchr(fmt, '%') == NULL ? fmt
                       : strcmp(fmt, "%s") == 0 ? va_arg(ap, const char *)
                       : strcmp(fmt, "%lld") == 0
                           ? number_text(va_arg(ap, long long), number + sizeof number)
                           : NULL;
    size_t n;

    if (text == NULL)
        return false;
    n = strlen(text);
    *ret_n = n > INT_MAX ? INT_MAX : (int)n;
    if (n < size)
        memcpy(buf, text, n + 1);
    return true;
}

void reply_header(struct reply *rp, const char *name, const char *fmt, ...)
{
    size_t size = sizeof rp->header[0].value;
    char *value;
    va_list ap;
    int n = 0;

    if (rp->n_headers == COUNT_OF(rp->header))
        return;
    rp->header[rp->n_headers].name = name;
    value = rp->header[rp->n_headers].value;
    va_start(ap, fmt);
    if (!format_plain(value, size, fmt, ap, &n))
        n = vsnprintf(value, size, fmt, ap);
    va_end(ap);
    /* A value that does not fit is left out whole: half a cookie or address is worse than none. */
    if (n >= 0 && (size_t)n < size)
        rp->n_headers++;
}

enum err_code reply_findings(struct reply *rp, struct findings *f, struct err *e)
{
    findings_clear(&rp->findings);
    rp->findings = *f;
    *f = (struct findings){0};
    if (rp->findings.errors == 0)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "%zu of the values cannot be accepted", rp->findings.errors);
}
