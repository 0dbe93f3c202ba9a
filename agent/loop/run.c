#include "loop/run.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/place.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { TURN_MAX_MS = 1000, FDS_MAX = 32 };

static volatile sig_atomic_t stop_asked;

static void on_signal(int sig)
{
    (void)sig;
    stop_asked = 1;
}

static void watch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};

    (void)sigaction(SIGTERM, &sa, NULL);
    (void)sigaction(SIGINT, &sa, NULL);
}

static void loop_clear(struct loop *l)
{
    work_clear(l);
    command_clear(l);
    figures_clear(l);
    edits_clear(l);
    events_clear(l);
    ship_clear(l);
    evidence_clear(l);
    lists_clear(l);
    parent_clear(l);
    control_free(l->control);
    sink_free(l->apply.sink);
    apply_clear(&l->apply);
    http_free(l->http);
    helper_link_close(&l->helper);
    memory_clear(&l->memory);
    identity_clear(&l->id);
}

static enum err_code open_identity(struct loop *l, const struct agent_settings *s, struct err *e)
{
    enum err_code rc = identity_load(s->agent_state, &l->id, e);

    if (rc == ERR_OK)
        rc = memory_load(s->agent_state, &l->memory, e);
    if (rc == ERR_OK)
        rc = http_new(json_string_value(json_array_get(l->id.addresses, 0)),
                      trust_pins(l->id.trust), &l->http, e);
    return rc;
}

static enum err_code loop_open(struct loop *l, const struct agent_settings *s, struct err *e)
{
    enum err_code rc = control_new(s, &l->control, e);

    identity_machine(&l->here);
    if (rc == ERR_OK)
        rc = place_drop_root(s, e);
    if (rc == ERR_OK)
        rc = open_identity(l, s, e);
    if (rc == ERR_OK)
        rc = sink_new(l->id.device_id, APPLY_PORT_SINK, &l->apply.sink, e);
    if (rc != ERR_OK)
        return rc;
    l->settings = s;
    l->helper.path = s->helper_socket;
    l->apply.settings = s;
    l->apply.helper = &l->helper;
    l->apply.device_id = l->id.device_id;
    l->apply.id = &l->id;
    l->apply.phase = "idle";
    uuid7(l->boot);
    l->started_mono = clock_mono_ms();
    l->report.force = l->report.touched = true;
    l->report.next_by = l->started_mono + LOOP_STATUS_MS;
    return ERR_OK;
}

static void wait_for_something(struct loop *l)
{
    struct curl_waitfd fds[FDS_MAX];
    struct pollfd sink[SINK_FDS];
    unsigned n = control_fds(l->control, fds, FDS_MAX - SINK_FDS - 3);
    size_t k = sink_fds(l->apply.sink, sink);
    int64_t wait = l->wake_at - clock_mono_ms();

    for (size_t i = 0; i < k; i++)
        fds[n++] = (struct curl_waitfd){sink[i].fd, CURL_WAIT_POLLIN, 0};
    if (l->edits.fd >= 0)
        fds[n++] = (struct curl_waitfd){l->edits.fd, CURL_WAIT_POLLIN, 0};
    if (l->ship.fd >= 0)
        fds[n++] = (struct curl_waitfd){l->ship.fd, CURL_WAIT_POLLIN, 0};
    if (evidence_fd(l) >= 0)
        fds[n++] = (struct curl_waitfd){evidence_fd(l), CURL_WAIT_POLLIN, 0};
    http_step(l->http, fds, n, (int)(wait < 0 ? 0 : wait > TURN_MAX_MS ? TURN_MAX_MS : wait));
}

static void turn(struct loop *l)
{
    l->wake_at = clock_mono_ms() + TURN_MAX_MS;
    control_turn(l);
    if (l->stop)
        return;
    sink_work(l->apply.sink);
    edits_turn(l);
    work_turn(l);
    figures_turn(l);
    evidence_turn(l);
    report_turn(l);
    parent_turn(l);
    lists_turn(l);
    events_turn(l);
    ship_turn(l);
    wait_for_something(l);
}

static int not_opened(enum err_code rc, const struct err *e)
{
    if (rc == ERR_NOT_FOUND) {
        (void)fprintf(stderr, "inari-agent: %s\n",
                      say_tr("this host has not joined a parent yet: inari-agent join",
                             "このホストはまだ上位デバイスに参加していません: inari-agent join"));
        return EXIT_NOT_JOINED;
    }
    say_error(e);
    return EXIT_FAILED;
}

int run_main(const struct agent_settings *s)
{
    static struct loop l; /* large; there is one */
    struct err e = {0};
    AUTO_FD int lock = -1;
    enum err_code rc = place_make(s, &e);

    if (rc == ERR_OK && place_lock(s, &lock, &e) != ERR_OK) {
        say_error(&e);
        return EXIT_LOCKED;
    }
    if (rc != ERR_OK) {
        say_error(&e);
        return EXIT_FAILED;
    }
    l = (struct loop){.helper.fd = -1,
                      .figures.follow.fd = -1,
                      .lists.fd = -1,
                      .edits.fd = -1,
                      .ship.fd = -1,
                      .evidence.fd = -1,
                      .evidence.watch = -1,
                      .evidence.source.trail.fd = -1};
    watch_signals();
    rc = loop_open(&l, s, &e);
    if (rc != ERR_OK) {
        loop_clear(&l);
        return not_opened(rc, &e);
    }
    log_event(LOG_LEVEL_INFO, "agent.started", KV_STR("version", INARI_VERSION),
              KV_STR("device", l.id.device_id), KV_STR("parent", http_base(l.http)),
              KV_STR("boot", l.boot));
    events_begin(&l);
    work_begin(&l);
    command_begin(&l);
    parent_begin(&l);
    figures_begin(&l);
    ship_begin(&l);
    evidence_begin(&l);
    lists_begin(&l);
    while (!l.stop && !stop_asked)
        turn(&l);
    loop_save(&l);
    log_event(LOG_LEVEL_INFO, "agent.stopped", KV_STR("reason", l.left ? "left" : "signal"));
    loop_clear(&l);
    return EXIT_OK;
}
