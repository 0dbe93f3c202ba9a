#include "device.h"

#include "wait.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { WATCH_STEP_S = 2 };

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static void count(const json_t *devices, int *n)
{
    size_t i;
    json_t *d;

    json_array_foreach(json_object_get(devices, "items"), i, d)
    {
        const char *want = json_str(json_object_get(d, "desired"), "digest", "");
        const char *disk = json_str(json_object_get(d, "on_disk"), "digest", "");
        const char *result = json_str(json_object_get(d, "last_attempt"), "result", "");
        const char *tried = json_str(json_object_get(d, "last_attempt"), "digest", "");
        bool same = want[0] != '\0' && strcmp(want, disk) == 0 &&
                    strcmp(want, device_running_digest(d)) == 0;
        bool bad =
            is_one_of(json_str(d, "state", ""), "quarantined|revoked") ||
            (!same && strcmp(tried, want) == 0 && is_one_of(result, "rejected|reverted|degraded"));

        n[0]++;
        n[1] += same;
        n[2] += !same && !bad;
        n[3] += bad;
        n[4] += strcmp(json_str(d, "presence", ""), "online") != 0;
    }
}

/* What is wrong with the parent itself. */
static void show_conditions(const struct cli *c, const json_t *parent)
{
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(parent, "conditions"), i, v)
    {
        if (strcmp(json_str(v, "reason", ""), "fleet-silent") == 0)
            say(c, T_FLEET_SILENT, (long long)json_int(v, "gone", 0),
                (long long)json_int(v, "of", 0), json_str(v, "since", "?"));
    }
}

static enum cli_exit once(struct cli *c)
{
    AUTO(json_free) json_t *parent = NULL;
    AUTO(json_free) json_t *devices = NULL;
    int n[5] = {0};
    enum cli_exit rc = cli_get(c, "/api/v1/parent", &parent);

    if (rc == EXIT_OK_)
        rc = cli_list(c, "/api/v1/devices", &devices);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        AUTO(json_free)
        json_t *out =
            json_pack("{s:O, s:O}", "parent", parent, "devices", json_object_get(devices, "items"));
        if (cli_flag(c, "watch"))
            json_dumpf(out, stdout, JSON_COMPACT);
        else
            json_dumpf(out, stdout, JSON_INDENT(1));
        fputc('\n', stdout);
    } else {
        if (cli_flag(c, "watch") && isatty(STDOUT_FILENO) == 1)
            fputs("\033[H\033[2J", stdout);
        count(devices, n);
        printf("%s %s  %s %s\n", tx(c, T_PARENT), c->conf.url, tx(c, T_VERSION),
               json_str(parent, "version", "?"));
        if (json_bool(parent, "clock_wrong", false))
            say(c, T_CLOCK_WRONG, (long long)(json_int(parent, "clock_offset_ms", 0) / 1000));
        show_conditions(c, parent);
        say(c, T_STATUS_DEVICES, n[0], n[1], n[2], n[3], n[4]);
        if (n[0] > 0)
            device_table(c, devices);
    }
    fflush(stdout);
    return EXIT_OK_;
}

enum cli_exit verb_status(struct cli *c)
{
    struct sigaction sa = {.sa_handler = on_signal};
    enum cli_exit rc = once(c);

    if (!cli_flag(c, "watch"))
        return rc;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    /* A parent that is away for a moment does not end a watch; a refused credential does. */
    while (!stop && (rc == EXIT_OK_ || rc == EXIT_UNREACHABLE || rc == EXIT_BUSY)) {
        sleep(WATCH_STEP_S);
        if (!stop)
            rc = once(c);
    }
    return stop ? EXIT_OK_ : rc;
}
