#include "settings.h"

#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(struct inarid_settings, member)

// clang-format off
const struct settings_row inarid_rows[] = {
    /* key                          kind    field                     default       min    max          flags        document */
    { "api.listen",                 S_STR,  AT(listen),               "[::]:8445",  0,     0,           SF_RESTART,  "address and port of the HTTPS listener; [::] takes IPv4 too" },
    { "api.name",                   S_STR,  AT(name),                 NULL,         0,     0,           SF_RESTART,  "the parent's host name, as children and browsers reach it; default: this machine's" },
    { "api.hosts",                  S_LIST, AT(hosts),                NULL,         0,     0,           SF_RELOAD,   "further names the parent answers to, beside api.name, this machine's names and all its addresses" },
    { "api.addresses",              S_LIST, AT(addresses),            NULL,         0,     0,           SF_RESTART,  "https:// addresses put into join strings, the preferred first; default: api.name and the port" },
    { "api.certificate",            S_PATH, AT(certificate),          NULL,         0,     0,           SF_RESTART,  "PEM certificate (chain) of a pinned key; default: self-signed, below state" },
    { "api.private_key",            S_PATH, AT(private_key),          NULL,         0,     0,           SF_RESTART,  "PEM key of api.certificate" },
    { "api.io_threads",             S_INT,  AT(io_threads),           "0",          0,     64,          SF_RESTART,  "threads that move bytes; 0: one a core" },
    { "api.workers",                S_INT,  AT(workers),              "4",          1,     16,          SF_RESTART,  "threads that use the database, each with a connection" },
    { "api.queue",                  S_INT,  AT(queue),                "512",        1,     100000,      SF_RESTART,  "requests that may wait for a worker, children's and people's each; beyond, 503" },
    { "api.connections",            S_INT,  AT(connections),          "25000",      16,    1000000,     SF_RESTART,  "connections in all (also bounded by the process's open files)" },
    { "api.connections_per_address",S_INT,  AT(connections_address),  "25000",      1,     1000000,     SF_RESTART,  "connections from one address (IPv6: /64); a fleet behind NAT needs many" },
    { "api.strangers_per_address",  S_INT,  AT(strangers_address),    "2000",       1,     1000000,     SF_RESTART,  "of these, connections on which no device has proved itself yet" },
    { "api.body_memory",            S_SIZE, AT(body_memory),          "256M",       1 << 20, 1L << 36,  SF_RESTART,  "memory for request bodies being received, in all" },
    { "api.header_deadline",        S_MSEC, AT(header_deadline_ms),   "10s",        500,   300000,      SF_RESTART,  "longest time from connecting to complete headers" },
    { "api.idle",                   S_MSEC, AT(idle_ms),              "30s",        1000,  600000,      SF_RESTART,  "longest silence on a connection that is not held" },
    { "api.drain",                  S_MSEC, AT(drain_ms),             "10s",        100,   300000,      SF_RESTART,  "at a stop, how long running requests may take" },
    { "enrol.rate",                 S_INT,  AT(enrol_rate),           "10",         1,     10000,       SF_RESTART,  "enrolments a second that are let in; beyond, 429; raise it while a whole fleet joins" },
    { "poll.wake_rate",             S_INT,  AT(wake_rate),            "100",        0,     100000,      SF_RESTART,  "held polls woken a second when many children have news (as many at once first); 0: all at once" },
    { "alert.webhook_networks",     S_LIST, AT(alert_networks),       NULL,         0,     0,           SF_RESTART,  "networks like 10.1.0.0/16 that webhooks of alerts may reach although they are no public ones" },
    { "db.conninfo",                S_STR,  AT(conninfo),             "host=/run/inari-db dbname=inari user=inari", 0, 0, SF_RESTART | SF_SECRET, "libpq connection string" },
    { "state",                      S_PATH, AT(state),                "/var/lib/inari-parent", 0, 0,    SF_RESTART,  "folder of the parent's own files: keys, certificate" },
    { "web_dir",                    S_PATH, AT(web_dir),              "/usr/share/inari/web", 0, 0,     SF_RESTART,  "built console; read into memory at start" },
    { "log.level",                  S_STR,  AT(log_level),            "info",       0,     0,           SF_RESTART,  "debug, info, warn or error" },
    { "lab",                        S_BOOL, AT(lab),                  "no",         0,     0,           SF_RESTART,  "a laboratory: the first password need not be changed" },
};
// clang-format on
const size_t inarid_rows_n = COUNT_OF(inarid_rows);

static enum err_code check_addresses(const char *list, struct err *e)
{
    struct slice rest = slice_of(list);

    while (rest.n > 0) {
        size_t n = strcspn(rest.p, ", \t");
        if (n > 0 && !slice_starts((struct slice){rest.p, n}, "https://"))
            return err_set(e, ERR_INVALID, "api.addresses: \"%.*s\" must begin with https://", (int)n, rest.p);
        n += n < rest.n;
        rest = (struct slice){rest.p + n, rest.n - n};
    }
    return ERR_OK;
}

/* Rules between settings. */
static enum err_code verify(const struct inarid_settings *s, struct err *e)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    size_t i = 0;

    if ((s->certificate == NULL) != (s->private_key == NULL))
        return err_set(e, ERR_INVALID, "api.certificate and api.private_key go together");
    while (i < COUNT_OF(levels) && strcmp(levels[i], s->log_level) != 0)
        i++;
    if (i == COUNT_OF(levels))
        return err_set(e, ERR_INVALID, "log.level must be debug, info, warn or error");
    return s->addresses == NULL ? ERR_OK : check_addresses(s->addresses, e);
}

enum err_code inarid_settings_load(const char *path, struct inarid_settings *ret, struct err *e)
{
    if (path == NULL && access(INARID_CONFIG, F_OK) == 0)
        path = INARID_CONFIG;
    *ret = (struct inarid_settings){0};
    if (settings_load(inarid_rows, inarid_rows_n, path, ret, e) != ERR_OK)
        return e->code;
    if (verify(ret, e) != ERR_OK) {
        inarid_settings_clear(ret);
        return path == NULL ? e->code : err_wrap(e, "%s", path);
    }
    return ERR_OK;
}

void inarid_settings_clear(struct inarid_settings *s)
{
    settings_clear(inarid_rows, inarid_rows_n, s);
}
