#include "domain/message_id.h"

#include "base/hash.h"
#include "base/rand.h"

#include <stdio.h>

enum {
    WITH_QUEUE_ID = 1,
    WITHOUT = 2,
    DEVICE_BYTES = 16,
    TIME_BYTES = 6,
    HEAD = 1 + DEVICE_BYTES + TIME_BYTES
};
enum { REF_MAX = HEAD + MESSAGE_QUEUE_ID_MAX, CHECK_SIZE = 8 };

static void put_number(unsigned char *out, size_t n, uint64_t v)
{
    for (size_t i = n; i-- > 0; v >>= 8)
        out[i] = (unsigned char)v;
}

static uint64_t get_number(const unsigned char *in, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 8 | in[i];
    return v;
}

static void device_bytes(const char *id, unsigned char out[DEVICE_BYTES])
{
    char hex[2 * DEVICE_BYTES + 1] = "";
    size_t n = 0;

    for (; *id != '\0' && n < 2 * DEVICE_BYTES; id++)
        if (*id != '-')
            hex[n++] = *id;
    if (!hex_decode((struct slice){hex, n}, out, DEVICE_BYTES))
        memset(out, 0, DEVICE_BYTES);
}

static void device_text(const unsigned char *in, char out[37])
{
    char hex[2 * DEVICE_BYTES + 1];

    hex_encode(in, DEVICE_BYTES, hex);
    (void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
}

/* base64url of bytes into a fixed buffer; "" when it does not fit. */
static void to_text(const void *bytes, size_t n, char *out, size_t size)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(size - 1);

    b64u_add(&b, (struct slice){bytes, n});
    text_copy(out, size, strbuf_ok(&b) ? strbuf_str(&b) : "");
}

void message_id_make(const struct message_ref *m, char out[MESSAGE_ID_SIZE])
{
    unsigned char b[REF_MAX + 16];
    size_t n = HEAD, queue = strlen(m->queue_id);

    b[0] = queue > 0 ? WITH_QUEUE_ID : WITHOUT;
    device_bytes(m->device_id, b + 1);
    put_number(b + 1 + DEVICE_BYTES, TIME_BYTES, (uint64_t)m->place.at_ms);
    if (queue > 0) {
        memcpy(b + HEAD, m->queue_id, queue);
        n += queue;
    } else {
        put_number(b + HEAD, 8, (uint64_t)m->place.batch);
        put_number(b + HEAD + 8, 4, (uint64_t)m->place.n);
        n += 12;
    }
    to_text(b, n, out, MESSAGE_ID_SIZE);
}

bool message_id_read(const char *text, struct message_ref *ret)
{
    unsigned char b[REF_MAX];
    size_t n = 0;

    *ret = (struct message_ref){0};
    if (!b64u_decode(slice_of(text), b, sizeof b, &n) || n <= HEAD)
        return false;
    device_text(b + 1, ret->device_id);
    ret->place.at_ms = (int64_t)get_number(b + 1 + DEVICE_BYTES, TIME_BYTES);
    if (b[0] == WITHOUT && n == HEAD + 12) {
        ret->place.batch = (int64_t)(get_number(b + HEAD, 8) & INT64_MAX);
        ret->place.n = (int)(get_number(b + HEAD + 8, 4) & INT32_MAX);
        return true;
    }
    memcpy(ret->queue_id, b + HEAD, n - HEAD);
    return b[0] == WITH_QUEUE_ID && memchr(b + HEAD, '\0', n - HEAD) == NULL &&
           slice_is_text(slice_of(ret->queue_id));
}

/* --- cursors: not a secret, but only what was given out is taken back */

static void check_of(struct slice s, char out[CHECK_SIZE + 1])
{
    char hex[SHA256_HEX_SIZE];

    sha256_hex(s, hex);
    (void)snprintf(out, CHECK_SIZE + 1, "%.8s", hex);
}

void message_cursor_make(const struct message_cursor *c, char out[MESSAGE_CURSOR_SIZE])
{
    char text[MESSAGE_SNAPSHOT_MAX + 140], check[CHECK_SIZE + 1];
    int n = snprintf(text + CHECK_SIZE, sizeof text - CHECK_SIZE, "%lld,%lld,%d,%lld,%lld,%lld,%s",
                     (long long)c->place.at_ms, (long long)c->place.batch, c->place.n,
                     (long long)c->since_ms, (long long)c->until_ms, (long long)c->snapshot_ms,
                     c->snapshot);

    check_of((struct slice){text + CHECK_SIZE, (size_t)n}, check);
    memcpy(text, check, CHECK_SIZE);
    to_text(text, CHECK_SIZE + (size_t)n, out, MESSAGE_CURSOR_SIZE);
}

bool message_cursor_read(const char *text, struct message_cursor *ret)
{
    unsigned char b[MESSAGE_SNAPSHOT_MAX + 140];
    char check[CHECK_SIZE + 1];
    struct slice rest;
    int64_t n = 0;
    size_t size = 0;

    *ret = (struct message_cursor){0};
    if (!b64u_decode(slice_of(text), b, sizeof b, &size) || size <= CHECK_SIZE)
        return false;
    rest = (struct slice){(const char *)b + CHECK_SIZE, size - CHECK_SIZE};
    check_of(rest, check);
    if (memcmp(check, b, CHECK_SIZE) != 0)
        return false;
    if (!parse_i64(slice_cut(&rest, ','), 0, INT64_MAX, &ret->place.at_ms) ||
        !parse_i64(slice_cut(&rest, ','), 0, INT64_MAX, &ret->place.batch) ||
        !parse_i64(slice_cut(&rest, ','), 0, INT32_MAX, &n) ||
        !parse_i64(slice_cut(&rest, ','), 0, INT64_MAX, &ret->since_ms) ||
        !parse_i64(slice_cut(&rest, ','), 0, INT64_MAX, &ret->until_ms) ||
        !parse_i64(slice_cut(&rest, ','), 0, INT64_MAX, &ret->snapshot_ms) ||
        rest.n > MESSAGE_SNAPSHOT_MAX)
        return false;
    ret->place.n = (int)n;
    if (rest.n > 0)
        memcpy(ret->snapshot, rest.p, rest.n);
    return true;
}
