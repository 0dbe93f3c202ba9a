#include "reputation/dnsbl_answer.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { TYPE_A = 1, TYPE_SOA = 6, CLASS_IN = 1, HEADER = 12, RECORDS_MAX = 128, LABELS_MAX = 128 };

bool dnsbl_is_ipv4(const uint8_t addr[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(addr, prefix, sizeof prefix) == 0;
}

void dnsbl_name(const uint8_t addr[16], bool nibbles, const char *zone, char ret[DNSBL_NAME_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *p = ret;

    if (dnsbl_is_ipv4(addr) && !nibbles) {
        (void)snprintf(ret, DNSBL_NAME_SIZE, "%u.%u.%u.%u.%s", addr[15], addr[14], addr[13],
                       addr[12], zone);
        return;
    }
    for (size_t i = 16; i-- > 0;) {
        *p++ = hex[addr[i] & 15];
        *p++ = '.';
        *p++ = hex[addr[i] >> 4];
        *p++ = '.';
    }
    text_copy(p, DNSBL_NAME_SIZE - 64, zone);
}

struct dnsbl_answer dnsbl_answer_error(enum dnsbl_error error)
{
    return (struct dnsbl_answer){.kind = DNSBL_ERROR, .error = error};
}

struct reader {
    const uint8_t *p;
    size_t n, at;
    bool bad;
};

static uint32_t take(struct reader *r, size_t bytes)
{
    uint32_t v = 0;

    if (r->n - r->at < bytes) {
        r->bad = true;
        r->at = r->n;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | r->p[r->at++];
    return v;
}

static void skip(struct reader *r, size_t bytes)
{
    if (r->n - r->at < bytes) {
        r->bad = true;
        bytes = r->n - r->at;
    }
    r->at += bytes;
}

/* A name is only stepped over: who it belongs to is the resolver's business. */
static void skip_name(struct reader *r)
{
    for (size_t labels = 0; !r->bad; labels++) {
        uint32_t len = take(r, 1);
        if (len >= 0xc0) {
            skip(r, 1);
            return;
        }
        if (len >= 0x40 || labels > LABELS_MAX)
            r->bad = true;
        if (len == 0)
            return;
        skip(r, len);
    }
}

static void add_code(struct dnsbl_answer *a, uint32_t code)
{
    if (code >> 24 != 127 || code >> 8 == 0x7fffff) {
        a->kind = DNSBL_ERROR;
        a->error = code >> 24 != 127 ? DNSBL_E_OUTSIDE : DNSBL_E_ZONE;
        a->detail = code;
        return;
    }
    if (a->kind != DNSBL_ERROR)
        a->kind = DNSBL_LISTED;
    for (size_t i = 0; i < a->n; i++) {
        if (a->codes[i] == code)
            return;
    }
    if (a->n < DNSBL_CODES_MAX)
        a->codes[a->n++] = code;
}

/* A record's time to live; RFC 2181 8: one with its top bit set is 0. */
static uint32_t lower(uint32_t so_far, uint32_t ttl)
{
    ttl = ttl > INT32_MAX ? 0 : ttl;
    return ttl < so_far ? ttl : so_far;
}

struct times {
    uint32_t answer, soa; /* the shortest; UINT32_MAX: there was none */
};

/* One record; in_answer: of the answer section, else of the authority section. */
static void read_record(struct reader *r, bool in_answer, struct dnsbl_answer *a, struct times *t)
{
    uint32_t type, class, ttl, len;
    size_t end;

    skip_name(r);
    type = take(r, 2);
    class = take(r, 2);
    ttl = take(r, 4);
    len = take(r, 2);
    if (r->bad || r->n - r->at < len) {
        r->bad = true;
        return;
    }
    end = r->at + len;
    if (in_answer && class == CLASS_IN) { /* the addresses, and aliases on the way to them */
        t->answer = lower(t->answer, ttl);
        if (type == TYPE_A && len == 4)
            add_code(a, take(r, 4));
    } else if (!in_answer && class == CLASS_IN && type == TYPE_SOA && len >= 22) {
        struct reader minimum = {r->p, end, end - 4, false};
        t->soa = lower(lower(t->soa, ttl), take(&minimum, 4));
    }
    r->at = end;
}

static struct dnsbl_answer of_rcode(uint32_t rcode)
{
    struct dnsbl_answer a = {.kind = DNSBL_ERROR, .detail = rcode};

    a.error = rcode == 2 ? DNSBL_E_SERVFAIL : rcode == 5 ? DNSBL_E_REFUSED : DNSBL_E_RCODE;
    return a;
}

void dnsbl_answer_parse(const uint8_t *message, size_t n, struct dnsbl_answer *ret)
{
    struct reader r = {message, n, 2, false};
    struct dnsbl_answer a = {.kind = DNSBL_NOT_LISTED};
    struct times t = {UINT32_MAX, UINT32_MAX};
    uint32_t flags, questions, answers, authority;

    *ret = dnsbl_answer_error(DNSBL_E_MALFORMED);
    if (n < HEADER)
        return;
    flags = take(&r, 2);
    questions = take(&r, 2);
    answers = take(&r, 2);
    authority = take(&r, 2);
    skip(&r, 2);
    if ((flags & 0x8000) == 0 || (flags & 0x0200) != 0 || questions != 1 || answers > RECORDS_MAX ||
        authority > RECORDS_MAX)
        return; /* a question, or cut off */
    if ((flags & 15) != 0 && (flags & 15) != 3) {
        *ret = of_rcode(flags & 15);
        return;
    }
    skip_name(&r);
    skip(&r, 4);
    for (uint32_t i = 0; i < answers && !r.bad; i++)
        read_record(&r, true, &a, &t);
    for (uint32_t i = 0; i < authority && !r.bad; i++)
        read_record(&r, false, &a, &t);
    if (r.bad || ((flags & 15) == 3 && a.kind == DNSBL_LISTED))
        return;
    a.has_ttl = a.kind == DNSBL_LISTED || (a.kind == DNSBL_NOT_LISTED && t.soa != UINT32_MAX);
    a.ttl_s = !a.has_ttl ? 0 : a.kind == DNSBL_LISTED || t.answer < t.soa ? t.answer : t.soa;
    *ret = a;
}

static void code_text(uint32_t code, char ret[INET_ADDRSTRLEN])
{
    struct in_addr a = {htonl(code)};

    (void)inet_ntop(AF_INET, &a, ret, INET_ADDRSTRLEN);
}

static void error_text(const struct dnsbl_answer *a, char ret[DNSBL_TEXT_SIZE])
{
    static const char *const texts[] = {
        [DNSBL_E_NONE] = "",
        [DNSBL_E_ZONE] = "the zone refuses us (%s)",
        [DNSBL_E_OUTSIDE] = "an answer outside of 127.0.0.0/8 (%s)",
        [DNSBL_E_MALFORMED] = "an answer that cannot be read",
        [DNSBL_E_SERVFAIL] = "the resolver says SERVFAIL",
        [DNSBL_E_REFUSED] = "the resolver says REFUSED",
        [DNSBL_E_RCODE] = "the resolver says error %s",
        [DNSBL_E_TIMEOUT] = "no answer",
        [DNSBL_E_NETWORK] = "the resolver cannot be reached",
    };
    const char *text = texts[a->error], *hole = strstr(text, "%s");
    char what[INET_ADDRSTRLEN];

    if (hole == NULL) {
        text_copy(ret, DNSBL_TEXT_SIZE, text);
        return;
    }
    if (a->error == DNSBL_E_RCODE)
        (void)snprintf(what, sizeof what, "%u", a->detail);
    else
        code_text(a->detail, what);
    (void)snprintf(ret, DNSBL_TEXT_SIZE, "%.*s%s%s", (int)(hole - text), text, what, hole + 2);
}

void dnsbl_answer_text(const struct dnsbl_answer *a, char ret[DNSBL_TEXT_SIZE])
{
    char code[INET_ADDRSTRLEN];
    size_t n;

    if (a->kind == DNSBL_ERROR) {
        error_text(a, ret);
        return;
    }
    text_copy(ret, DNSBL_TEXT_SIZE, a->kind == DNSBL_LISTED ? "listed:" : "not listed");
    n = strlen(ret);
    for (size_t i = 0; i < a->n && n + sizeof code + 1 < DNSBL_TEXT_SIZE; i++) {
        code_text(a->codes[i], code);
        n += (size_t)snprintf(ret + n, DNSBL_TEXT_SIZE - n, " %s", code);
    }
}
