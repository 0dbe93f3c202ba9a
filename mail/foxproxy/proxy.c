#include "foxproxy/proxy.h"

#include <arpa/inet.h>

enum {
    V1_MAX = 107, /* with CRLF */
    V2_HEAD = 16,
    V2_V4 = 12,
    V2_V6 = 36,
    V2_LOCAL = 0x20,
    V2_PROXY = 0x21,
    TCP4 = 0x11,
    TCP6 = 0x21
};

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
enum { SIGNATURE = sizeof signature - 1 };

static uint16_t get16(const char *p)
{
    return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

static void put16(char *p, uint16_t n)
{
    p[0] = (char)(n >> 8);
    p[1] = (char)(n & 0xff);
}

static bool one_family(const struct proxy_peers *p)
{
    return iplist_is_v4(&p->src.addr) == iplist_is_v4(&p->dst.addr);
}

static enum proxy_result v2_addresses(uint8_t family, struct slice body, struct proxy_peers *ret)
{
    struct proxy_peers p = {0};
    uint8_t v4[4];

    if (family == TCP4 && body.n >= V2_V4) {
        memcpy(v4, body.p, sizeof v4);
        p.src = (struct addr_port){iplist_v4(v4), get16(body.p + 8)};
        memcpy(v4, body.p + 4, sizeof v4);
        p.dst = (struct addr_port){iplist_v4(v4), get16(body.p + 10)};
    } else if (family == TCP6 && body.n >= V2_V6) {
        memcpy(p.src.addr.b, body.p, 16);
        memcpy(p.dst.addr.b, body.p + 16, 16);
        p.src.port = get16(body.p + 32);
        p.dst.port = get16(body.p + 34);
    } else {
        return PROXY_BAD;
    }
    if (!one_family(&p))
        return PROXY_BAD;
    *ret = p;
    return PROXY_DONE;
}

/* Behind the addresses: type, length, value, up to the end. */
static bool tlvs_are_whole(struct slice s)
{
    while (s.n > 0) {
        if (s.n < 3 || get16(s.p + 1) > s.n - 3)
            return false;
        size_t n = 3 + (size_t)get16(s.p + 1);
        s = (struct slice){s.p + n, s.n - n};
    }
    return true;
}

static enum proxy_result read_v2(struct slice in, struct proxy_peers *ret, size_t *used)
{
    struct slice body;
    size_t addresses;
    uint8_t family;
    enum proxy_result r;

    if (in.n < V2_HEAD)
        return PROXY_MORE;
    body.n = get16(in.p + 14);
    if (V2_HEAD + body.n > PROXY_READ_MAX ||
        ((uint8_t)in.p[12] != V2_PROXY && (uint8_t)in.p[12] != V2_LOCAL))
        return PROXY_BAD;
    if (in.n < V2_HEAD + body.n)
        return PROXY_MORE;
    body.p = in.p + V2_HEAD;
    *used = V2_HEAD + body.n;
    if ((uint8_t)in.p[12] == V2_LOCAL) { /* what follows is to be ignored */
        *ret = (struct proxy_peers){.local = true};
        return PROXY_DONE;
    }
    family = (uint8_t)in.p[13];
    r = v2_addresses(family, body, ret);
    addresses = family == TCP4 ? V2_V4 : V2_V6;
    if (r == PROXY_DONE && !tlvs_are_whole((struct slice){body.p + addresses, body.n - addresses}))
        return PROXY_BAD;
    return r;
}

/* An address of the family that the line names, as it must be written there. */
static bool v1_address(struct slice s, bool v4, struct iplist_addr *ret)
{
    bool colon = s.n > 0 && memchr(s.p, ':', s.n) != NULL;

    return colon != v4 && addr_parse(s, ret);
}

static bool v1_port(struct slice s, uint16_t *ret)
{
    uint64_t n;

    if (!parse_u64(s, 0, UINT16_MAX, &n) || (s.n > 1 && s.p[0] == '0'))
        return false;
    *ret = (uint16_t)n;
    return true;
}

static enum proxy_result v1_line(struct slice line, struct proxy_peers *ret)
{
    struct slice rest = line, word = slice_cut(&rest, ' ');
    struct proxy_peers p = {0};
    bool v4;

    word = slice_cut(&rest, ' ');
    if (slice_is(word, "UNKNOWN")) { /* the rest of the line is to be ignored */
        *ret = (struct proxy_peers){.local = true};
        return PROXY_DONE;
    }
    v4 = slice_is(word, "TCP4");
    if (!v4 && !slice_is(word, "TCP6"))
        return PROXY_BAD;
    if (!v1_address(slice_cut(&rest, ' '), v4, &p.src.addr) ||
        !v1_address(slice_cut(&rest, ' '), v4, &p.dst.addr) ||
        !v1_port(slice_cut(&rest, ' '), &p.src.port) || !v1_port(rest, &p.dst.port) ||
        !one_family(&p))
        return PROXY_BAD;
    *ret = p;
    return PROXY_DONE;
}

static enum proxy_result read_v1(struct slice in, struct proxy_peers *ret, size_t *used)
{
    const char *lf = memchr(in.p, '\n', in.n);
    struct slice line;

    if (lf == NULL)
        return in.n < V1_MAX ? PROXY_MORE : PROXY_BAD;
    line = (struct slice){in.p, (size_t)(lf - in.p)};
    if (line.n + 1 > V1_MAX || line.n == 0 || line.p[line.n - 1] != '\r')
        return PROXY_BAD;
    line.n--;
    if (v1_line(line, ret) != PROXY_DONE)
        return PROXY_BAD;
    *used = line.n + 2;
    return PROXY_DONE;
}

enum proxy_result proxy_read(struct slice in, struct proxy_peers *ret, size_t *used)
{
    static const char v1[] = "PROXY ";
    size_t n = in.n < SIGNATURE ? in.n : SIGNATURE, m = in.n < 6 ? in.n : 6;

    if (in.n == 0)
        return PROXY_MORE;
    if (memcmp(in.p, signature, n) == 0)
        return n == SIGNATURE ? read_v2(in, ret, used) : PROXY_MORE;
    if (memcmp(in.p, v1, m) == 0)
        return m == 6 ? read_v1(in, ret, used) : PROXY_MORE;
    return PROXY_BAD;
}

size_t proxy_write(const struct addr_port *src, const struct addr_port *dst, char buf[PROXY_V2_MAX])
{
    bool v4 = iplist_is_v4(&src->addr);
    char *p = buf + V2_HEAD;

    memcpy(buf, signature, SIGNATURE);
    buf[12] = V2_PROXY;
    buf[13] = v4 ? TCP4 : TCP6;
    put16(buf + 14, v4 ? V2_V4 : V2_V6);
    if (v4) {
        memcpy(p, src->addr.b + 12, 4);
        memcpy(p + 4, dst->addr.b + 12, 4);
        p += 8;
    } else {
        memcpy(p, src->addr.b, 16);
        memcpy(p + 16, dst->addr.b, 16);
        p += 32;
    }
    put16(p, src->port);
    put16(p + 2, dst->port);
    return (size_t)(p + 4 - buf);
}
