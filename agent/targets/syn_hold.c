#include "targets/syn_hold.h"

#include "base/log.h"
#include "proc/proc.h"

#include <stdio.h>
#include <unistd.h>

enum { NFT_MS = 2000, UNIT_MS = 4000 };

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

static enum err_code run(const char *const *argv, struct slice input, int timeout_ms, struct err *e)
{
    struct proc_result r = {0};
    enum err_code rc = proc_run(argv, NULL, input, timeout_ms, &r, e);

    if (rc == ERR_OK && (r.timed_out || r.status != 0))
        rc = err_set(e, ERR_UNAVAILABLE, "%s: %.200s", argv[0],
                     r.timed_out       ? "no result in time"
                     : r.output_n == 0 ? "failed"
                                       : r.output);
    proc_result_clear(&r);
    return rc;
}

/* --- by ourselves --- */

static enum err_code hold(const int *ports, size_t n, struct err *e)
{
    const char *const argv[] = {nft, "-f", "-", NULL};
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(4 * KIB);

    if (access(nft, X_OK) != 0)
        return err_set(e, ERR_UNAVAILABLE, "%s is not installed", nft);
    strbuf_puts(&text, rules);
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&text, "add element inet inari_hold ports { %d timeout %ds }\n", ports[i],
                      SYN_HOLD_MAX_MS / 1000);
    return strbuf_ok(&text) ? run(argv, strbuf_slice(&text), NFT_MS, e)
                            : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err_code let_in(struct err *e)
{
    const char *const argv[] = {nft, "delete", "table", "inet", "inari_hold", NULL};

    return access(nft, X_OK) != 0 ? ERR_OK : run(argv, (struct slice){NULL, 0}, NFT_MS, e);
}

/* --- through the unit --- */

/* restart: one that a dead helper left is begun anew. */
static enum err_code ask_unit(const char *word, const int *ports, size_t n, struct err *e)
{
    AUTO_STRBUF struct strbuf name = STRBUF_INIT(256);

    strbuf_puts(&name, "inari-hold@");
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&name, "%s%d", i == 0 ? "" : "-", ports[i]);
    strbuf_puts(&name, ".service");
    return strbuf_ok(&name)
               ? run((const char *const[]){"/usr/bin/systemctl", word, strbuf_str(&name), NULL},
                     (struct slice){NULL, 0}, UNIT_MS, e)
               : err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code syn_hold_unit(const char *text, struct err *e)
{
    struct slice rest = slice_of(text);
    int ports[SYN_HOLD_PORTS];
    size_t n = 0;

    if (*text == '\0')
        return let_in(e);
    while (rest.p != NULL) {
        uint64_t port;
        if (n == SYN_HOLD_PORTS || !parse_u64(slice_cut(&rest, '-'), 1, 65535, &port))
            return err_set(e, ERR_INVALID, "\"%s\": ports from 1 to 65535 with \"-\" between them",
                           text);
        ports[n++] = (int)port;
    }
    return hold(ports, n, e);
}

/* --- */

enum err_code syn_hold_begin(bool systemd, const int *ports, size_t n, struct err *e)
{
    return systemd ? ask_unit("restart", ports, n, e) : hold(ports, n, e);
}

void syn_hold_end(bool systemd, const int *ports, size_t n)
{
    struct err e = {0};

    if ((systemd ? ask_unit("stop", ports, n, &e) : let_in(&e)) != ERR_OK)
        log_event(LOG_LEVEL_DEBUG, "hold.nothing", KV_STR("reason", e.msg));
}
