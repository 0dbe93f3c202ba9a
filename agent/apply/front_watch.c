/* foxproxy is there as long as its ini is: it is started again when it ended. */
#include "apply/front.h"

#include "apply/desired.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    AGAIN_MS = 100, /* the first pause, then twice as long each time */
    AGAIN_MAX_MS = 30000,
    STEADY_MS = 60 * 1000, /* it ran that long: what was before does not count */
    LOOK_AGAIN_MS = 2000,  /* somebody else (systemd) starts it, or it is not known to us */
};

/* {zone: {state, error}}: what does not change with each mail. */
static json_t *zones_json(const json_t *said)
{
    const char *name;
    const json_t *zone;
    json_t *all = json_object();

    json_object_foreach(json_object_get(said, "zones"), name, zone)
    {
        const char *state = json_str(zone, "state", "");
        const char *error = strcmp(state, "down") == 0 ? json_str(zone, "last_error", "") : "";
        (void)json_object_set_new(all, name,
                                  json_pack("{s:s,s:s}", "state", state, "error", error));
    }
    return all;
}

json_t *front_running(struct helper *h)
{
    struct foxproxy_state s;
    char since[CLOCK_TEXT_SIZE];
    json_t *j;

    if (h->fox.version[0] == '\0' && !front_is_wanted(h))
        return NULL;
    foxproxy_look(&h->fox, &s);
    if (s.pid == 0 && !front_is_wanted(h)) {
        foxproxy_state_clear(&s);
        return NULL;
    }
    clock_format(s.since_ms, since);
    j = json_pack("{s:s,s:I,s:s?,s:s,s:s,s:b,s:I,s:o}", "state",
                  s.pid == 0   ? "stopped"
                  : !s.answers ? "mute"
                  : s.draining ? "draining"
                               : "running",
                  "pid", (json_int_t)s.pid, "since", s.pid == 0 ? NULL : since, "version",
                  h->fox.version, "digest", s.digest, "wanted", front_is_wanted(h), "ended",
                  (json_int_t)h->front.ended, "zones", zones_json(s.said));
    foxproxy_state_clear(&s);
    return j;
}

int front_watch(struct helper *h)
{
    return h->front.pidfd;
}

static void forget(struct helper *h)
{
    if (h->front.pidfd >= 0)
        (void)close(h->front.pidfd);
    h->front.pidfd = -1;
}

static bool lives(int pidfd)
{
    struct pollfd p = {pidfd, POLLIN, 0};

    return poll(&p, 1, 0) == 0;
}

/* The next pause; what ran for a while begins anew. */
static int64_t pause_ms(struct helper *h, int64_t now)
{
    int64_t ms = AGAIN_MS;

    if (h->front.started_ms != 0 && now - h->front.started_ms > STEADY_MS)
        h->front.tries = 0;
    for (unsigned i = 0; i < h->front.tries && ms < AGAIN_MAX_MS; i++)
        ms *= 2;
    h->front.tries++;
    return ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS;
}

/* The process that runs, to be watched; false: none does. */
static bool find(struct helper *h)
{
    struct foxproxy_state s;

    foxproxy_look(&h->fox, &s);
    if (s.pid != 0)
        h->front.pidfd = (int)syscall(SYS_pidfd_open, s.pid, 0u);
    foxproxy_state_clear(&s);
    return s.pid != 0;
}

static void start_again(struct helper *h, int64_t now)
{
    AUTO_STR char *text = NULL;
    struct err e = {0};
    char digest[65];
    size_t n = 0;

    if (file_read(h->s->foxproxy_config, FOXPROXY_INI_MAX, &text, &n, &e) != ERR_OK)
        return;
    foxproxy_ini_digest((struct slice){text, n}, digest);
    h->front.next_ms = now + pause_ms(h, now);
    h->front.started_ms = now;
    if (foxproxy_start(&h->fox, digest, &e) == ERR_OK && find(h))
        log_event(LOG_LEVEL_WARN, "front.started-again", KV_INT("times", h->front.ended));
    else
        log_event(LOG_LEVEL_ERROR, "front.not-started", KV_STR("reason", e.msg),
                  KV_INT("again_ms", h->front.next_ms - now));
}

void front_tick(struct helper *h)
{
    int64_t now = clock_mono_ms();

    if (apply_is_open(h) || !front_is_wanted(h)) {
        forget(h);
        h->front.next_ms = 0;
        return;
    }
    if (h->front.pidfd >= 0 && lives(h->front.pidfd))
        return;
    if (h->front.pidfd >= 0) { /* it ended just now */
        forget(h);
        h->front.ended++;
        log_event(LOG_LEVEL_WARN, "front.ended", KV_INT("times", h->front.ended));
        if (h->fox.systemd) /* its unit starts it at once */
            h->front.next_ms = now + LOOK_AGAIN_MS;
    }
    if (now < h->front.next_ms)
        return;
    if (!find(h))
        start_again(h, now);
    else if (h->front.pidfd < 0)
        h->front.next_ms = now + LOOK_AGAIN_MS;
}
