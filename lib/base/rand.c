#include "base/rand.h"

#include "base/clock.h"
#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <errno.h>

void rand_bytes(void *buf, size_t n)
{
    char *p = buf;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        p += got;
        n -= (size_t)got;
    }
}

/* Numbers are drawn in small batches (each poll's answer needs one): the kernel is asked once for 32. */
static uint64_t next_number(void)
{
    static _Thread_local struct {
        uint64_t v[32];
        size_t left;
    } pool;

    if (pool.left == 0) {
        rand_bytes(pool.v, sizeof pool.v);
        pool.left = COUNT_OF(pool.v);
    }
    return pool.v[--pool.left];
}

uint64_t rand_below(uint64_t limit)
{
    uint64_t v, cut = UINT64_MAX - UINT64_MAX % limit;

    do
        v = next_number();
    while (v >= cut);
    return v % limit;
}

void uuid7(char buf[UUID_TEXT_SIZE])
{
    uint64_t ms = (uint64_t)clock_wall_ms();
    unsigned char b[16];

    rand_bytes(b, sizeof b);
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)(ms >> (40 - 8 * i));
    b[6] = (unsigned char)(0x70 | (b[6] & 0x0f));
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
    (void)snprintf(buf, UUID_TEXT_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

_Bool uuid_is_valid(const char *s)
{
    for (int i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (s[i] != '-')
                return 0;
        } else if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f'))) {
            return 0;
        }
    }
    return s[36] == '\0';
}
