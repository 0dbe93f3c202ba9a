#include "http/gate.h"

#include <ctype.h>
#include <strings.h>

/* RFC 9110 5.6.2: a set of bits by byte, since every byte of every header name is looked up. */
static const uint64_t token_bits[4] = {
    /* 0x20..0x3f: ! # $ % & ' * + - . 0-9 */
    UINT64_C(0x03ff6cfa00000000),
    /* 0x40..0x7f: A-Z ^ _ ` a-z | ~ */
    UINT64_C(0x57ffffffc7fffffe),
};

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((token_bits[c >> 6] >> (c & 63) & 1) == 0)
            return false;
    }
    return s.n > 0;
}

static bool name_is(struct slice s, const char *name)
{
    return s.n == strlen(name) && strncasecmp(s.p, name, s.n) == 0;
}

const struct gate_field *gate_field(const struct gate_field *fields, size_t n, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < n; i++)
        if (fields[i].name.n == length && strncasecmp(fields[i].name.p, name, length) == 0)
            return &fields[i];
    return NULL;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One segment of the path: no dots-only segment, no escape that would decode to a separator or a
 * control byte. */
static bool segment_ok(struct slice s)
{
    size_t dots = 0, bytes = 0;

    for (size_t i = 0; i < s.n; i++, bytes++) {
        int c = (unsigned char)s.p[i];
        if (c == '%') {
            if (s.n - i < 3 || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
                return false;
            c = hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]);
            i += 2;
            if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
                return false;
        } else if (c == '\\') {
            return false;
        }
        dots += c == '.';
    }
    return dots != bytes || bytes == 0 || bytes > 2;
}

static enum err_code check_target(struct slice target, struct gate_result *ret, struct err *e)
{
    struct slice rest = target, path;

    if (target.n == 0 || target.p[0] != '/')
        return err_set(e, ERR_MALFORMED, "the request target must begin with a slash");
    if (target.n > GATE_TARGET_MAX)
        return err_set(e, ERR_MALFORMED, "the request target is longer than %d bytes",
                       GATE_TARGET_MAX);
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.p[i] <= 0x20 || (unsigned char)target.p[i] >= 0x7f ||
            target.p[i] == '#')
            return err_set(e, ERR_MALFORMED,
                           "the request target holds a byte that must be percent-encoded");
    path = slice_cut(&rest, '?');
    ret->path = path;
    ret->query = rest;
    path.p++, path.n--;
    while (path.n > 0)
        if (!segment_ok(slice_cut(&path, '/')))
            return err_set(e, ERR_MALFORMED, "the path holds a segment that is not allowed");
    return ERR_OK;
}

bool gate_host(struct slice text, char ret[GATE_HOST_MAX])
{
    struct slice host = text;
    size_t i;

    if (text.n == 0)
        return false;
    if (text.p[0] == '[') {
        const char *end = memchr(text.p, ']', text.n);
        if (end == NULL)
            return false;
        host = (struct slice){text.p + 1, (size_t)(end - text.p) - 1};
        text = (struct slice){end + 1, (size_t)(text.p + text.n - end) - 1};
    } else {
        const char *colon = memchr(text.p, ':', text.n);
        if (colon != NULL)
            host.n = (size_t)(colon - text.p);
        text = (struct slice){host.p + host.n, text.n - host.n};
    }
    if (text.n > 0) {
        uint64_t port;
        if (text.p[0] != ':' || !parse_u64((struct slice){text.p + 1, text.n - 1}, 1, 65535, &port))
            return false;
    }
    if (host.n > 0 && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n == 0 || host.n >= GATE_HOST_MAX)
        return false;
    for (i = 0; i < host.n; i++) {
        unsigned char c = (unsigned char)host.p[i];
        if (!isalnum(c) && c != '-' && c != '.' && c != ':' && c != '_')
            return false;
        ret[i] = (char)tolower(c);
    }
    ret[i] = '\0';
    return true;
}

/* Headers that decide about framing or identity: at most one each. */
enum { ONE_HOST, ONE_LENGTH, ONE_CODING, ONE_AUTH, ONE_TYPE, ONE_COOKIE, ONE_ORIGIN, ONE_N };
#define NAME(s)                                                                                    \
    {                                                                                              \
        s, sizeof s - 1                                                                            \
    }
static const struct slice only_once[ONE_N] = {
    NAME("Host"),          NAME("Content-Length"), NAME("Transfer-Encoding"),
    NAME("Authorization"), NAME("Content-Type"),   NAME("Cookie"),
    NAME("Origin"),
};
#undef NAME

/* Bit n: a name of n bytes may be one of them. */
static const uint32_t only_once_lengths =
    1u << 4 | 1u << 14 | 1u << 17 | 1u << 13 | 1u << 12 | 1u << 6;

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

/* Eight bytes at a time: a token of 400 bytes comes with every poll. */
static bool has_control_byte(struct slice s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    size_t i = 0;

    for (; s.n - i >= 8; i += 8) {
        uint64_t w, del;
        memcpy(&w, s.p + i, 8);
        del = w ^ (ones * 0x7f);
        /* Some byte is below 0x20 or is 0x7f (or sits above one that is): look closely. */
        if (((((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) & tops) != 0)
            for (size_t k = 0; k < 8; k++)
                if (is_control(s.p[i + k]))
                    return true;
    }
    for (; i < s.n; i++)
        if (is_control(s.p[i]))
            return true;
    return false;
}

static enum err_code check_fields(const struct gate_request *rq,
                                  const struct gate_field *one[ONE_N], struct err *e)
{
    for (size_t i = 0; i < rq->n_fields; i++) {
        const struct gate_field *f = &rq->fields[i];
        if (!is_token(f->name))
            return err_set(e, ERR_MALFORMED, "a header name holds a byte that is not allowed");
        if (has_control_byte(f->value))
            return err_set(e, ERR_MALFORMED, "a header value holds a control byte");
        if (f->name.n > 31 || (only_once_lengths >> f->name.n & 1) == 0)
            continue;
        for (size_t k = 0; k < ONE_N; k++) {
            if (f->name.n != only_once[k].n ||
                strncasecmp(f->name.p, only_once[k].p, f->name.n) != 0)
                continue;
            if (one[k] != NULL)
                return err_set(e, ERR_MALFORMED, "header %s stands twice", only_once[k].p);
            one[k] = f;
        }
    }
    return ERR_OK;
}

static enum err_code check_framing(const struct gate_request *rq, const struct gate_field *length,
                                   const struct gate_field *coding, struct gate_result *ret,
                                   struct err *e)
{
    const struct gate_field *f;

    if (length != NULL && coding != NULL)
        return err_set(e, ERR_MALFORMED, "Content-Length and Transfer-Encoding exclude each other");
    if (coding != NULL && !name_is(coding->value, "chunked"))
        return err_set(e, ERR_MALFORMED, "the only transfer coding is chunked");
    if (length != NULL && !parse_u64(length->value, 0, INT64_MAX, &ret->length))
        return err_set(e, ERR_MALFORMED, "Content-Length is not a number");
    ret->chunked = coding != NULL;
    ret->has_body = ret->chunked || ret->length > 0;
    if (ret->has_body && (slice_is(rq->method, "GET") || slice_is(rq->method, "HEAD")))
        return err_set(e, ERR_MALFORMED, "this method has no body");
    f = gate_field(rq->fields, rq->n_fields, "Content-Encoding");
    ret->zstd = f != NULL && name_is(f->value, "zstd");
    if (f != NULL && !ret->zstd && !name_is(f->value, "identity"))
        return err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE,
                       "the only content coding is zstd, for events");
    f = gate_field(rq->fields, rq->n_fields, "Expect");
    if (f != NULL && !name_is(f->value, "100-continue"))
        return err_set(e, ERR_MALFORMED, "the only expectation is 100-continue");
    return ERR_OK;
}

enum err_code gate_check(const struct gate_request *rq, struct gate_result *ret, struct err *e)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    const struct gate_field *one[ONE_N] = {NULL};
    enum err_code rc;
    size_t i;

    *ret = (struct gate_result){0};
    for (i = 0; i < COUNT_OF(methods) && !slice_is(rq->method, methods[i]);)
        i++;
    if (i == COUNT_OF(methods))
        return err_set(e, ERR_METHOD_NOT_ALLOWED, "the method is not supported");
    if (!slice_is(rq->version, "HTTP/1.1"))
        return err_set(e, ERR_MALFORMED, "the protocol must be HTTP/1.1");
    if (rq->n_fields > GATE_FIELDS_MAX)
        return err_set(e, ERR_HEADERS_TOO_LARGE, "more than %d headers", GATE_FIELDS_MAX);
    rc = check_target(rq->target, ret, e);
    if (rc == ERR_OK)
        rc = check_fields(rq, one, e);
    if (rc == ERR_OK)
        rc = check_framing(rq, one[ONE_LENGTH], one[ONE_CODING], ret, e);
    if (rc == ERR_OK && (one[ONE_HOST] == NULL || !gate_host(one[ONE_HOST]->value, ret->host)))
        rc = err_set(e, ERR_MALFORMED, "the request needs exactly one valid Host header");
    return rc;
}
