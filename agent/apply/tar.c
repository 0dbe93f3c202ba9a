#include "apply/tar.h"

#include <stdio.h>

enum { BLOCK = 512 };

struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

static void fill(struct strbuf *out, size_t n)
{
    for (; n % BLOCK != 0; n++)
        strbuf_putc(out, '\0');
}

void tar_add(struct strbuf *out, const char *name, struct slice data, int64_t mtime_s)
{
    struct ustar h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
    unsigned sum = 0;

    _Static_assert(sizeof h == BLOCK, "a header is one block");
    (void)snprintf(h.name, sizeof h.name, "%s", name);
    (void)snprintf(h.mode, sizeof h.mode, "%07o", 0600u);
    (void)snprintf(h.uid, sizeof h.uid, "%07o", 0u);
    (void)snprintf(h.gid, sizeof h.gid, "%07o", 0u);
    (void)snprintf(h.size, sizeof h.size, "%011llo", (unsigned long long)data.n);
    (void)snprintf(h.mtime, sizeof h.mtime, "%011llo", (unsigned long long)mtime_s);
    (void)snprintf(h.user, sizeof h.user, "%s", "root");
    (void)snprintf(h.group, sizeof h.group, "%s", "root");
    memset(h.checksum, ' ', sizeof h.checksum);
    for (size_t i = 0; i < sizeof h; i++)
        sum += ((const unsigned char *)&h)[i];
    (void)snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
    strbuf_add(out, (struct slice){(const char *)&h, sizeof h});
    strbuf_add(out, data);
    fill(out, data.n);
}

void tar_end(struct strbuf *out)
{
    static const char zeros[2 * BLOCK];

    strbuf_add(out, (struct slice){zeros, sizeof zeros});
}
