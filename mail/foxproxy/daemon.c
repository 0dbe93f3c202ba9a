#include "foxproxy/daemon.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "foxproxy/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    OWN_MS = 10000,     /* addresses of this host may come and go */
    STALLED_MS = 10000, /* a loop that has not turned for so long is not alive */
    LOOPS_MAX = 64
};

/* A snapshot of what d holds goes into force.  false: a loop has not gone over yet. */
static enum err_code publish(struct daemon *d, const struct listen_set *listeners, bool *ret_all,
                             struct err *e)
{
    struct snapshot *s = snapshot_new(&d->ini, d->approved, d->blocked, listeners->v, listeners->n);

    if (s == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    memcpy(s->own, d->own, sizeof s->own);
    s->owns = d->owns;
    s->drained = d->drained;
    *ret_all = front_publish(&d->front, s);
    return ERR_OK;
}

/* With other listeners; those that go are closed when no loop has them any more. */
static enum err_code publish_listeners(struct daemon *d, struct listen_set *now, struct err *e)
{
    bool all = false;

    if (publish(d, now, &all, e) != ERR_OK)
        return e->code;
    if (all)
        listen_drop(&d->listeners, now);
    else
        free(d->listeners.v); /* a loop may still look at them: they stay open */
    d->listeners = *now;
    *now = (struct listen_set){0};
    return ERR_OK;
}

/* The file of a list as it is now.  One that is gone or damaged changes nothing: the list in force
 * is mapped, whole, and stays until there is another. */
static struct list *read_again(struct list *now, char *trouble, size_t size)
{
    struct list *l = NULL;
    struct err e;

    if (now == NULL)
        return NULL;
    trouble[0] = '\0';
    if (list_open(now->path, &l, &e) == ERR_OK)
        return l;
    (void)snprintf(trouble, size, "%s", e.msg);
    log_event(LOG_LEVEL_ERROR, "list.kept", KV_STR("path", now->path), KV_STR("problem", e.msg));
    return list_ref(now);
}

enum err_code daemon_reload(struct daemon *d, struct ini_faults *f, struct err *e)
{
    AUTO(list_unref) struct list *approved = NULL;
    AUTO(list_unref) struct list *blocked = NULL;
    struct listen_set now = {0};
    struct ini *ini = malloc(2 * sizeof *ini), *old = ini + 1;
    enum err_code rc = ini == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                   : ini_load(d->o->config, ini, f, e);

    if (rc == ERR_OK) {
        approved = read_again(d->approved, d->list_trouble[0], sizeof d->list_trouble[0]);
        blocked = read_again(d->blocked, d->list_trouble[1], sizeof d->list_trouble[1]);
    }
    if (rc == ERR_OK && d->state != DAEMON_RUNNING)
        rc = err_set(e, ERR_CONFLICT, "this process is ending");
    if (rc == ERR_OK)
        rc = listen_make(ini, &d->listeners, NULL, d->front.loops, &now, e);
    if (rc == ERR_OK)
        rc = reputation_configure(d->rep, &ini->rep, clock_mono_ms(), e);
    if (rc == ERR_OK) {
        struct list *was_approved = d->approved, *was_blocked = d->blocked;
        *old = d->ini;
        d->ini = *ini;
        d->approved = approved;
        d->blocked = blocked;
        rc = publish_listeners(d, &now, e);
        approved = rc == ERR_OK ? was_approved : approved;
        blocked = rc == ERR_OK ? was_blocked : blocked;
        if (rc != ERR_OK) {
            d->ini = *old;
            d->approved = was_approved;
            d->blocked = was_blocked;
            (void)!reputation_configure(d->rep, &d->ini.rep, clock_mono_ms(), NULL);
        }
    }
    if (rc != ERR_OK) /* a new address that stayed bound would be in its own way the next time */
        listen_drop(&now, &d->listeners);
    free(ini);
    log_event(rc == ERR_OK ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              rc == ERR_OK ? "settings.loaded" : "settings.refused",
              KV_STR("digest", d->ini.digest), KV_STR("problem", rc == ERR_OK ? "" : e->msg));
    return rc;
}

static enum err_code wished(const struct list_wish *w, struct list *now, struct list **ret,
                            struct err *e)
{
    if (w->change == LIST_PATH)
        return list_open(w->path, ret, e);
    *ret = w->change == LIST_STAYS ? list_ref(now) : NULL;
    return ERR_OK;
}

enum err_code daemon_lists(struct daemon *d, const struct list_wish *approved,
                           const struct list_wish *blocked, struct err *e)
{
    struct list *was_approved = d->approved, *was_blocked = d->blocked;
    AUTO(list_unref) struct list *a = NULL;
    AUTO(list_unref) struct list *b = NULL;
    bool all;

    if (wished(approved, d->approved, &a, e) != ERR_OK ||
        wished(blocked, d->blocked, &b, e) != ERR_OK)
        return e->code;
    d->approved = a;
    d->blocked = b;
    if (publish(d, &d->listeners, &all, e) != ERR_OK) {
        d->approved = was_approved;
        d->blocked = was_blocked;
        return e->code;
    }
    a = was_approved;
    b = was_blocked;
    d->list_trouble[0][0] = approved->change == LIST_STAYS ? d->list_trouble[0][0] : '\0';
    d->list_trouble[1][0] = blocked->change == LIST_STAYS ? d->list_trouble[1][0] : '\0';
    log_event(LOG_LEVEL_INFO, "lists.loaded",
              KV_INT("approved", d->approved == NULL ? 0 : iplist_rows(d->approved->rows)),
              KV_INT("blocked", d->blocked == NULL ? 0 : iplist_rows(d->blocked->rows)));
    return state_write(d, e);
}

enum err_code daemon_drain(struct daemon *d, bool on, struct err *e)
{
    bool all, was = d->drained;

    d->drained = on;
    if (publish(d, &d->listeners, &all, e) != ERR_OK) {
        d->drained = was;
        return e->code;
    }
    log_event(LOG_LEVEL_INFO, on ? "drained" : "undrained", KV_INT("sessions", d->front.held));
    return state_write(d, e);
}

void daemon_end(struct daemon *d, int64_t ms)
{
    struct listen_set none = {0};
    struct err e;

    d->end_at_ms = clock_mono_ms() + ms;
    if (d->state != DAEMON_RUNNING)
        return;
    d->state = DAEMON_ENDING;
    (void)sd_notify(0, "STOPPING=1");
    if (publish_listeners(d, &none, &e) != ERR_OK)
        d->end_at_ms = clock_mono_ms();
    log_event(LOG_LEVEL_INFO, "ending", KV_INT("sessions", d->front.held), KV_INT("ms", ms));
}

void daemon_release(struct daemon *d, int64_t ms)
{
    daemon_end(d, ms);
    if (d->lock >= 0)
        (void)close(d->lock);
    d->lock = -1;
}

/* --- start --- */

static enum err_code read_own(struct daemon *d, bool *ret_changed)
{
    struct snapshot *s = calloc(1, sizeof *s);

    *ret_changed = false;
    if (s == NULL)
        return ERR_NO_MEMORY;
    if (snapshot_read_own(s) &&
        (s->owns != d->owns || memcmp(s->own, d->own, sizeof s->own) != 0)) {
        memcpy(d->own, s->own, sizeof d->own);
        d->owns = s->owns;
        *ret_changed = true;
    }
    free(s);
    d->own_at_ms = clock_mono_ms() + OWN_MS;
    return ERR_OK;
}

static void raise_descriptors(int64_t sessions)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    if (r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
        (void)getrlimit(RLIMIT_NOFILE, &r);
    }
    if ((int64_t)r.rlim_cur / 3 < sessions)
        log_event(LOG_LEVEL_WARN, "few_descriptors", KV_INT("limit", r.rlim_cur),
                  KV_INT("max_sessions", sessions));
}

/* A folder of the user's; one that is there already stays as it is. */
static enum err_code own_folder(const char *path, mode_t mode, const struct privilege_user *u,
                                struct err *e)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? ERR_OK
                               : err_errno(e, ERR_STORAGE, errno, "could not make \"%s\"", path);
    if (u != NULL && chown(path, u->uid, u->gid) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not give \"%s\" to its user", path);
    return ERR_OK;
}

static enum err_code folders(const struct daemon_options *o, const struct privilege_user *u,
                             struct err *e)
{
    char dir[LIST_PATH_MAX];
    char *slash;

    (void)snprintf(dir, sizeof dir, "%s", o->control);
    slash = strrchr(dir, '/');
    if (slash != NULL && slash != dir) {
        *slash = '\0';
        if (own_folder(dir, 0755, u, e) != ERR_OK)
            return e->code;
    }
    return own_folder(o->state, 0750, u, e);
}

static enum err_code take_lock(struct daemon *d, struct err *e)
{
    char path[LIST_PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/lock", d->o->state);
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    if (!file_lock(d->lock))
        return err_set(e, ERR_CONFLICT, "another foxproxy uses \"%s\"", d->o->state);
    return ERR_OK;
}

static enum err_code become(const struct daemon_options *o, struct err *e)
{
    struct privilege_user u;

    if (geteuid() != 0)
        return folders(o, NULL, e);
    if (privilege_find(o->user, &u, e) != ERR_OK || folders(o, &u, e) != ERR_OK)
        return e->code;
    return u.uid == 0 ? ERR_OK : privilege_drop(&u, e);
}

static uid_t agent_user(void)
{
    struct privilege_user u;
    struct err e;

    return privilege_find("inari-agent", &u, &e) == ERR_OK ? u.uid : (uid_t)-1;
}

static unsigned loops_wanted(const struct daemon_options *o)
{
    long n = o->loops > 0 ? (long)o->loops : sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > LOOPS_MAX ? LOOPS_MAX : (unsigned)n;
}

static enum err_code open_front(struct daemon *d, unsigned loops, struct err *e)
{
    struct listen_set given, none = {0};
    struct snapshot *s;
    bool changed;

    listen_take_given(&given);
    if (listen_make(&d->ini, &none, &given, loops, &d->listeners, e) != ERR_OK) {
        listen_close(&given);
        return e->code;
    }
    if (read_own(d, &changed) != ERR_OK ||
        (s = snapshot_new(&d->ini, d->approved, d->blocked, d->listeners.v, d->listeners.n)) ==
            NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    memcpy(s->own, d->own, sizeof s->own);
    s->owns = d->owns;
    s->drained = d->drained;
    return front_start(&d->front, loops, s, d->rep, e);
}

enum err_code daemon_start(struct daemon *d, const struct daemon_options *o, struct err *e)
{
    struct ini_faults *f = calloc(1, sizeof *f);
    uid_t agent = agent_user();
    sigset_t signals;
    enum err_code rc;

    *d = (struct daemon){.o = o, .lock = -1, .started_ms = clock_wall_ms()};
    if (f == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = ini_load(o->config, &d->ini, f, e);
    free(f);
    if (rc != ERR_OK)
        return rc;
    d->rep = reputation_new();
    if (d->rep == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (reputation_configure(d->rep, &d->ini.rep, clock_mono_ms(), e) != ERR_OK)
        return e->code;
    raise_descriptors(d->ini.max_sessions);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before the threads: they inherit it */
    if (become(o, e) != ERR_OK || take_lock(d, e) != ERR_OK || state_read(d, e) != ERR_OK ||
        privilege_sandbox(e) != ERR_OK || open_front(d, loops_wanted(o), e) != ERR_OK)
        return e->code;
    return control_open(o->control, agent, verbs_answer, d, &d->control, e);
}

void daemon_clear(struct daemon *d)
{
    if (d->front.loop != NULL)
        front_stop(&d->front);
    reputation_free(d->rep);
    listen_close(&d->listeners);
    control_close(d->control);
    list_unref(d->approved);
    list_unref(d->blocked);
    if (d->lock >= 0)
        (void)close(d->lock);
}

/* --- run --- */

static void on_signal(struct daemon *d, int fd)
{
    struct ini_faults *f;
    struct signalfd_siginfo s;
    struct err e;

    if (read(fd, &s, sizeof s) != (ssize_t)sizeof s)
        return;
    if (s.ssi_signo != SIGHUP) {
        daemon_end(d, d->state == DAEMON_RUNNING ? d->o->grace_s * 1000 : 0);
        return;
    }
    f = calloc(1, sizeof *f);
    if (f != NULL)
        (void)!daemon_reload(d, f, &e); /* it has said how that went */
    free(f);
}

static void tick(struct daemon *d, bool watchdog)
{
    int64_t now = clock_mono_ms();
    bool changed = false, all;
    struct err e;

    if (watchdog && front_stalled_ms(&d->front, now) < STALLED_MS)
        (void)sd_notify(0, "WATCHDOG=1");
    if (d->state == DAEMON_RUNNING && now >= d->own_at_ms && read_own(d, &changed) == ERR_OK &&
        changed && publish(d, &d->listeners, &all, &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "addresses.lost", KV_STR("problem", e.msg));
    if (d->state == DAEMON_ENDING) {
        struct loop_counters c;
        front_counters(&d->front, &c);
        if (now >= d->end_at_ms || (atomic_load(&d->front.held) == 0 && c.lingering == 0))
            d->state = DAEMON_OVER;
    }
    if (d->state == DAEMON_ENDING && d->lock < 0 && d->control != NULL) {
        control_close(d->control); /* released: the next process has its place */
        d->control = NULL;
    }
}

static int tick_ms(const struct daemon *d, uint64_t watchdog_us)
{
    int ms = d->state == DAEMON_ENDING ? TICK_MS / 20 : TICK_MS;

    return watchdog_us > 0 && watchdog_us / 4000 < (uint64_t)ms ? (int)(watchdog_us / 4000) : ms;
}

int daemon_run(struct daemon *d)
{
    struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
    uint64_t watchdog_us = 0;
    sigset_t signals;
    bool watchdog = sd_watchdog_enabled(0, &watchdog_us) > 0;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    p[0].fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (p[0].fd < 0)
        return EXIT_FAILURE;
    log_event(LOG_LEVEL_INFO, "started", KV_INT("loops", d->front.loops),
              KV_INT("listeners", d->listeners.n), KV_STR("digest", d->ini.digest),
              KV_INT("uid", geteuid()));
    (void)sd_notify(0, "READY=1");
    while (d->state != DAEMON_OVER) {
        p[1].fd = d->control == NULL ? -1 : control_fd(d->control);
        (void)poll(p, COUNT_OF(p), tick_ms(d, watchdog_us));
        if ((p[0].revents & POLLIN) != 0)
            on_signal(d, p[0].fd);
        if (d->control != NULL)
            control_turn(d->control);
        tick(d, watchdog);
    }
    (void)close(p[0].fd);
    log_event(LOG_LEVEL_INFO, "ended", KV_INT("cut", atomic_load(&d->front.held)));
    return EXIT_SUCCESS;
}
