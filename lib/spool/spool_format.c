#include "spool/spool_private.h"

#include "base/macros.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An item: magic, CRC-32C of what follows it, length of the payload, type, number; then the
 * payload. The payload of a mark has the wall clock in its first 8 bytes.  All little-endian. */
static const char magic[4] = {'S', 'P', 'L', '1'};
enum { AT_CRC = 4, AT_LENGTH = 8, AT_TYPE = 12, AT_SEQ = 16, MARK_CLOCK = 8 };

uint32_t spool_crc(uint32_t crc, const void *p, size_t n)
{
    static uint32_t table[256];
    const unsigned char *c = p;

    if (table[1] == 0) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t v = i;
            for (int bit = 0; bit < 8; bit++)
                v = (v >> 1) ^ ((v & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
            table[i] = v;
        }
    }
    crc = ~crc;
    for (size_t i = 0; i < n; i++)
        crc = (crc >> 8) ^ table[(crc ^ c[i]) & 0xff];
    return ~crc;
}

static uint32_t get32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static uint64_t get64(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static void put32(char *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static void put64(char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

size_t spool_item_size(int type, size_t payload)
{
    return (size_t)SPOOL_HEADER + (type == SPOOL_MARK ? (size_t)MARK_CLOCK : 0) + payload;
}

void spool_item_put(char *p, int type, uint64_t seq, int64_t at_ms, struct slice payload)
{
    size_t size = spool_item_size(type, payload.n);

    memcpy(p, magic, sizeof magic);
    put32(p + AT_LENGTH, (uint32_t)(size - SPOOL_HEADER));
    put32(p + AT_TYPE, (uint32_t)type);
    put64(p + AT_SEQ, seq);
    if (type == SPOOL_MARK)
        put64(p + SPOOL_HEADER, (uint64_t)at_ms);
    if (payload.n > 0)
        memcpy(p + size - payload.n, payload.p, payload.n);
    put32(p + AT_CRC, spool_crc(0, p + AT_LENGTH, size - AT_LENGTH));
}

bool spool_item_get(struct slice in, struct spool_item *ret)
{
    size_t n, most;
    uint32_t type;

    if (in.n < SPOOL_HEADER || memcmp(in.p, magic, sizeof magic) != 0)
        return false;
    n = get32(in.p + AT_LENGTH);
    type = get32(in.p + AT_TYPE);
    most = type == SPOOL_MARK ? SPOOL_MARK_MAX + MARK_CLOCK : SPOOL_PAYLOAD_MAX;
    if ((type != SPOOL_RECORD && type != SPOOL_MARK) || n > most || in.n - SPOOL_HEADER < n ||
        (type == SPOOL_MARK && n < MARK_CLOCK) ||
        spool_crc(0, in.p + AT_LENGTH, SPOOL_HEADER - AT_LENGTH + n) != get32(in.p + AT_CRC))
        return false;
    *ret = (struct spool_item){.type = (int)type,
                               .seq = get64(in.p + AT_SEQ),
                               .payload = {in.p + SPOOL_HEADER, n},
                               .size = SPOOL_HEADER + n};
    if (type == SPOOL_MARK) {
        ret->at_ms = (int64_t)get64(in.p + SPOOL_HEADER);
        ret->payload.p += MARK_CLOCK;
        ret->payload.n -= MARK_CLOCK;
    }
    return true;
}

bool spool_item_find(struct slice in, size_t *at, struct spool_item *ret)
{
    while (*at < in.n) {
        const char *next;

        if (spool_item_get((struct slice){in.p + *at, in.n - *at}, ret))
            return true;
        next = memmem(in.p + *at + 1, in.n - *at - 1, magic, sizeof magic);
        if (next == NULL)
            return false;
        *at = (size_t)(next - in.p);
    }
    return false;
}

size_t spool_last_mark(struct slice in, struct spool_item *ret)
{
    struct spool_item it;
    size_t end = 0;

    for (size_t at = 0; spool_item_find(in, &at, &it); at += it.size) {
        if (it.type == SPOOL_MARK) {
            *ret = it;
            end = at + it.size;
        }
    }
    return end;
}

void spool_segment_path(const char *dir, uint64_t first, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/%020" PRIu64 ".seg", dir, first);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

enum err_code spool_segments(const char *dir, uint64_t *ret, size_t *ret_n, struct err *e)
{
    DIR *d = opendir(dir);
    const struct dirent *entry;
    size_t n = 0;

    if (d == NULL)
        return err_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE, errno,
                         "could not open \"%s\"", dir);
    while ((entry = readdir(d)) != NULL && n < SPOOL_SEGMENTS_MAX) {
        struct slice name = slice_of(entry->d_name);

        if (name.n == SPOOL_NAME_SIZE - 1 && strcmp(entry->d_name + 20, ".seg") == 0 &&
            parse_u64((struct slice){name.p, 20}, 1, INT64_MAX, &ret[n]))
            n++;
    }
    (void)closedir(d);
    qsort(ret, n, sizeof ret[0], by_number);
    *ret_n = n;
    return ERR_OK;
}

enum err_code spool_segment_read(int fd, uint64_t at, size_t max, char **ret, size_t *ret_n,
                                 struct err *e)
{
    AUTO_STR char *buf = NULL;
    size_t n = 0, size = max < 64 * KIB ? max : 64 * KIB;

    buf = malloc(size);
    if (buf == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (;;) {
        ssize_t got = pread(fd, buf + n, size - n, (off_t)(at + n));
        char *more;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, ERR_STORAGE, errno, "could not read a segment of the spool");
        n += (size_t)got;
        if (got == 0 || n == max)
            break;
        if (n < size)
            continue;
        size = size * 2 < max ? size * 2 : max;
        more = realloc(buf, size);
        if (more == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        buf = more;
    }
    *ret = TAKE(buf);
    *ret_n = n;
    return ERR_OK;
}
