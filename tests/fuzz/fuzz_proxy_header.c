// libs: inari_foxproxy
/* PROXY headers of balancers: never a read past the end, nothing of two families, and what is
 * written reads back as it was. */
#include "foxproxy/proxy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void written_reads_back(const struct proxy_peers *p)
{
    struct proxy_peers again;
    char buf[PROXY_V2_MAX];
    size_t n = proxy_write(&p->src, &p->dst, buf), used = 0;

    if (n > sizeof buf || proxy_read((struct slice){buf, n}, &again, &used) != PROXY_DONE ||
        used != n || again.local || !addr_eq(&again.src.addr, &p->src.addr) ||
        again.src.port != p->src.port || !addr_eq(&again.dst.addr, &p->dst.addr) ||
        again.dst.port != p->dst.port)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_peers p = {0};
    size_t used = 0;
    enum proxy_result r = proxy_read((struct slice){(const char *)data, size}, &p, &used);

    if (r == PROXY_MORE && size >= PROXY_READ_MAX)
        abort();
    if (r != PROXY_DONE)
        return 0;
    if (used == 0 || used > size || used > PROXY_READ_MAX)
        abort();
    if (p.local)
        return 0;
    if (iplist_is_v4(&p.src.addr) != iplist_is_v4(&p.dst.addr))
        abort();
    written_reads_back(&p);
    /* Cut short, it is never done. */
    if (proxy_read((struct slice){(const char *)data, used - 1}, &p, &used) == PROXY_DONE)
        abort();
    return 0;
}
