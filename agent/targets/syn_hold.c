#include "targets/syn_hold.h"

#include "base/log.h"
#include "proc/proc.h"

#include <stdio.h>
#include <unistd.h>

enum { NFT_MS = 2000 };

static const char nft[] = "/usr/sbin/nft";
/* The first two lines make it new, whatever was there; a file is one transaction of the kernel. */
static const char rules[] =
    "add table inet inari_hold\n"
    "delete table inet inari_hold\n"
    "table inet inari_hold {\n"
    "  set ports { type inet_service; flags timeout; }\n"
    "  chain input { type filter hook input priority -300; policy accept;\n"
    "    tcp flags & (fin | syn | rst | ack) == syn tcp dport @ports drop; }\n"
    "}\n";

static enum err_code run(const char *const *argv, struct slice input, struct err *e)
{
    struct proc_result r = {0};
    enum err_code rc = proc_run(argv, NULL, input, NFT_MS, &r, e);

    if (rc == ERR_OK && (r.timed_out || r.status != 0))
        rc = err_set(e, ERR_UNAVAILABLE, "nft: %.200s",
                     r.timed_out       ? "no result in time"
                     : r.output_n == 0 ? "failed"
                                       : r.output);
    proc_result_clear(&r);
    return rc;
}

enum err_code syn_hold_begin(const int *ports, size_t n, struct err *e)
{
    const char *const argv[] = {nft, "-f", "-", NULL};
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(4 * KIB);

    if (access(nft, X_OK) != 0)
        return err_set(e, ERR_UNAVAILABLE, "%s is not installed", nft);
    strbuf_puts(&text, rules);
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&text, "add element inet inari_hold ports { %d timeout %ds }\n", ports[i],
                      SYN_HOLD_MAX_MS / 1000);
    return strbuf_ok(&text) ? run(argv, strbuf_slice(&text), e)
                            : err_set(e, ERR_NO_MEMORY, "out of memory");
}

void syn_hold_end(void)
{
    const char *const argv[] = {nft, "delete", "table", "inet", "inari_hold", NULL};
    struct err e = {0};

    if (access(nft, X_OK) == 0 && run(argv, (struct slice){NULL, 0}, &e) != ERR_OK)
        log_event(LOG_LEVEL_DEBUG, "hold.nothing", KV_STR("reason", e.msg));
}
