#include "targets/foxproxy.h"

#include "base/clock.h"
#include "base/file.h"
#include "proc/proc.h"
#include "targets/foxproxy_spawn.h"
#include "targets/postfix.h"
#include "targets/process.h"
#include "targets/sockets.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 1024 * 1024,
    VERSION_MS = 3000,
    CHECK_MS = 10 * 1000,
    LOOK_MS = 1000,
    START_MS = 5000, /* it reads its lists before it listens */
    RELOAD_MS = 5000,
    RELEASE_MS = 2000,
    STOP_MS = 3000,
    STEP_MS = 10,
};

/* --- its settings file --- */

/* The next line of [main]: key and value, both trimmed; false: no more. */
static bool next_main(struct slice *rest, bool *inside, struct slice *key, struct slice *value)
{
    while (rest->n > 0) {
        struct slice line = slice_trim(slice_cut(rest, '\n'));
        if (line.n > 0 && line.p[0] == '[') {
            *inside = slice_eq(line, slice_of("[main]"));
            continue;
        }
        if (!*inside || line.n == 0 || line.p[0] == '#' || memchr(line.p, '=', line.n) == NULL)
            continue;
        *key = slice_trim(slice_cut(&line, '='));
        *value = slice_trim(line);
        return true;
    }
    return false;
}

void foxproxy_ini_digest(struct slice ini, char ret[65])
{
    struct slice key, value;
    bool inside = false;

    ret[0] = '\0';
    while (next_main(&ini, &inside, &key, &value))
        if (slice_eq(key, slice_of("digest")) && value.n == 64)
            (void)snprintf(ret, 65, "%.64s", value.p);
}

size_t foxproxy_ini_ports(struct slice ini, int *ret)
{
    struct slice key, value;
    bool inside = false;
    size_t n = 0;

    while (n < FOXPROXY_PORTS_MAX && next_main(&ini, &inside, &key, &value)) {
        const char *colon =
            slice_eq(key, slice_of("listen")) ? memrchr(value.p, ':', value.n) : NULL;
        struct slice port;
        uint64_t v;
        bool known = false;
        if (colon == NULL)
            continue;
        port = (struct slice){colon + 1, (size_t)(value.p + value.n - colon) - 1};
        if (!parse_u64(port, 1, 65535, &v))
            continue;
        for (size_t i = 0; i < n; i++)
            known = known || ret[i] == (int)v;
        if (!known)
            ret[n++] = (int)v;
    }
    return n;
}

/* --- the program --- */

/* A build with sanitizers looks for leaks by tracing itself, which the helper's unit does not let
 * it. */
#ifdef INARI_TEST_HOOKS
static const char *const own_env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
#else
static const char *const own_env[] = {NULL};
#endif

void foxproxy_open(struct foxproxy *f, const struct agent_settings *s, bool systemd)
{
    const char *const argv[] = {s->foxproxy_program, "--version", NULL};
    struct proc_result r = {0};

    *f = (struct foxproxy){.s = s, .systemd = systemd};
    if (access(s->foxproxy_program, X_OK) == 0 &&
        proc_run(argv, own_env, (struct slice){NULL, 0}, VERSION_MS, &r, NULL) == ERR_OK &&
        r.status == 0 && r.output != NULL && strncmp(r.output, "foxproxy ", 9) == 0)
        (void)snprintf(f->version, sizeof f->version, "%.*s", (int)strcspn(r.output + 9, " \n"),
                       r.output + 9);
    proc_result_clear(&r);
}

enum err_code foxproxy_check(const struct foxproxy *f, const char *path, struct strbuf *output,
                             struct err *e)
{
    const char *const argv[] = {f->s->foxproxy_program, "--check", path, NULL};
    struct proc_result r = {0};
    enum err_code rc = proc_run(argv, own_env, (struct slice){NULL, 0}, CHECK_MS, &r, e);

    if (rc == ERR_OK && r.status == 127)
        rc = err_set(e, ERR_UNAVAILABLE, "cannot run %s: is it installed?", f->s->foxproxy_program);
    else if (rc == ERR_OK && r.timed_out)
        rc = err_set(e, ERR_TIMEOUT, "\"foxproxy --check\" gave no result in time");
    else if (rc == ERR_OK && r.status != 0)
        rc = err_set(e, ERR_REFUSED, "foxproxy does not take its settings");
    if (rc != ERR_OK && r.output != NULL && output != NULL)
        strbuf_puts(output, r.output);
    proc_result_clear(&r);
    return rc;
}

/* --- its control socket --- */

static bool send_all(int fd, const char *text, int64_t until)
{
    size_t n = strlen(text);

    while (n > 0) {
        struct pollfd p = {fd, POLLOUT, 0};
        ssize_t done;
        int64_t left = until - clock_mono_ms();
        if (left <= 0 || poll(&p, 1, (int)left) != 1)
            return false;
        done = send(fd, text, n, MSG_NOSIGNAL);
        if (done < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        text += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

static bool read_line(int fd, struct strbuf *out, int64_t until)
{
    char buf[4096];

    while (strbuf_ok(out) && (out->n == 0 || out->p[out->n - 1] != '\n')) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = until - clock_mono_ms();
        ssize_t n;
        if (left <= 0 || poll(&p, 1, (int)left) != 1)
            return false;
        n = read(fd, buf, sizeof buf);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        strbuf_add(out, (struct slice){buf, n > 0 ? (size_t)n : 0});
    }
    return strbuf_ok(out);
}

/* Who made the socket: the process, without its word for it. */
static pid_t owner_of(int fd)
{
    struct ucred peer = {0};
    socklen_t n = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 ? peer.pid : 0;
}

static enum err_code converse(const struct foxproxy *f, const char *verb, int timeout_ms,
                              pid_t *ret_pid, json_t **ret, struct err *e)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(ANSWER_MAX);
    AUTO_FD int fd = sockets_connect_unix(f->s->foxproxy_control, timeout_ms);
    int64_t until = clock_mono_ms() + timeout_ms;
    char request[64];
    enum err_code rc;

    if (fd < 0)
        return err_set(e, ERR_UNAVAILABLE, "foxproxy does not answer on \"%s\"",
                       f->s->foxproxy_control);
    *ret_pid = owner_of(fd);
    (void)snprintf(request, sizeof request, "{\"verb\":\"%s\"}\n", verb);
    if (!send_all(fd, request, until) || !read_line(fd, &text, until))
        return err_set(e, ERR_UNAVAILABLE, "foxproxy gave no answer to \"%s\"", verb);
    rc = json_in_parse(slice_trim(strbuf_slice(&text)), ANSWER_MAX, ret, e);
    return rc == ERR_OK ? rc : err_wrap(e, "the answer of foxproxy");
}

/* "message", "error" or the first of "faults", whichever it gave. */
static const char *words_of(const json_t *answer)
{
    const char *first = json_string_value(json_array_get(json_object_get(answer, "faults"), 0));

    return first != NULL ? first
                         : json_str(answer, "message", json_str(answer, "error", "it says no"));
}

enum err_code foxproxy_ask(const struct foxproxy *f, const char *verb, int timeout_ms, json_t **ret,
                           struct err *e)
{
    AUTO(json_free) json_t *answer = NULL;
    pid_t pid = 0;
    enum err_code rc = converse(f, verb, timeout_ms, &pid, &answer, e);

    if (rc == ERR_OK && !json_bool(answer, "ok", false))
        rc = err_set(e, ERR_REFUSED, "foxproxy: %.300s", words_of(answer));
    if (rc == ERR_OK)
        *ret = TAKE(answer);
    return rc;
}

/* --- does it run? --- */

static bool is_foxproxy(pid_t pid, int64_t start)
{
    struct process p;

    return pid > 1 && process_look(pid, &p) && p.state != 'Z' && strcmp(p.name, "foxproxy") == 0 &&
           (start == 0 || (int64_t)p.start == start);
}

/* Which process it is when nobody answers: systemd's word, or the one we started. */
static pid_t find(const struct foxproxy *f)
{
    const char *const argv[] = {"/usr/bin/systemctl", "show", "--property=MainPID", "--value",
                                f->s->foxproxy_unit,  NULL};
    struct proc_result r = {0};
    int64_t start = 0;
    pid_t pid = 0;

    if (!f->systemd) {
        pid = foxproxy_spawned(f->s, &start);
    } else if (proc_run(argv, NULL, (struct slice){NULL, 0}, (int)f->s->command_timeout_ms, &r,
                        NULL) == ERR_OK &&
               r.status == 0 && r.output != NULL) {
        pid = (pid_t)strtol(r.output, NULL, 10);
    }
    proc_result_clear(&r);
    return is_foxproxy(pid, start) ? pid : 0;
}

void foxproxy_look(const struct foxproxy *f, struct foxproxy_state *ret)
{
    struct foxproxy_state s = {0};
    pid_t pid = 0;

    s.answers = converse(f, "status", LOOK_MS, &pid, &s.said, NULL) == ERR_OK &&
                json_bool(s.said, "ok", false);
    s.pid = is_foxproxy(pid, 0) ? pid : find(f);
    if (s.answers) {
        (void)snprintf(s.digest, sizeof s.digest, "%.64s", json_str(s.said, "digest", ""));
        s.draining = strcmp(json_str(s.said, "state", "running"), "running") != 0;
    }
    if (s.pid != 0)
        s.since_ms = postfix_since_ms(s.pid);
    *ret = s;
}

void foxproxy_state_clear(struct foxproxy_state *s)
{
    json_decref(s->said);
    s->said = NULL;
}

/* --- starting, stopping --- */

static enum err_code systemctl(const struct foxproxy *f, const char *word, struct err *e)
{
    const char *const argv[] = {"/usr/bin/systemctl", word, f->s->foxproxy_unit, NULL};
    struct proc_result r = {0};
    enum err_code rc =
        proc_run(argv, NULL, (struct slice){NULL, 0}, (int)f->s->command_timeout_ms, &r, e);

    if (rc == ERR_OK && r.timed_out)
        rc = err_set(e, ERR_TIMEOUT, "\"systemctl %s\" gave no result in time", word);
    if (rc == ERR_OK && r.status != 0)
        rc = err_set(e, ERR_UNAVAILABLE, "systemctl %s: %.300s", word,
                     r.output == NULL ? "failed" : r.output);
    proc_result_clear(&r);
    return rc;
}

/* Wait until it says that it runs with digest. */
static enum err_code wait_for(const struct foxproxy *f, const char *digest, int64_t until,
                              struct err *e)
{
    for (;;) {
        struct foxproxy_state s;
        bool there, ours;
        foxproxy_look(f, &s);
        there = s.answers && !s.draining;
        ours = there && (digest[0] == '\0' || strcmp(s.digest, digest) == 0);
        foxproxy_state_clear(&s);
        if (ours)
            return ERR_OK;
        if (s.pid == 0 && !s.answers)
            return err_set(e, ERR_UNAVAILABLE, "foxproxy ended right after its start: %.300s",
                           foxproxy_last_words(f->s, (char[301]){0}, 301));
        if (clock_mono_ms() >= until)
            return there ? err_set(e, ERR_REFUSED,
                                   "foxproxy runs with the settings %.16s, not with %.16s",
                                   s.digest, digest)
                         : err_set(e, ERR_UNAVAILABLE, "foxproxy was started and does not answer");
        (void)poll(NULL, 0, STEP_MS);
    }
}

enum err_code foxproxy_start(const struct foxproxy *f, const char *digest, struct err *e)
{
    int64_t until = clock_mono_ms() + START_MS;
    struct foxproxy_state s;
    bool left;
    enum err_code rc = ERR_OK;

    foxproxy_look(f, &s);
    left = s.pid != 0 && (!s.answers || s.draining); /* of before: it takes nothing any more */
    if (s.pid != 0 && !left && strcmp(s.digest, digest) == 0) {
        foxproxy_state_clear(&s);
        return ERR_OK;
    }
    foxproxy_state_clear(&s);
    if (left)
        rc = foxproxy_stop(f, e);
    else if (s.pid != 0)
        return foxproxy_reload(f, digest, e);
    if (rc == ERR_OK)
        rc = f->systemd ? systemctl(f, "start", e) : foxproxy_spawn(f->s, e);
    return rc == ERR_OK ? wait_for(f, digest, until, e) : rc;
}

enum err_code foxproxy_reload(const struct foxproxy *f, const char *digest, struct err *e)
{
    AUTO(json_free) json_t *answer = NULL;
    enum err_code rc = foxproxy_ask(f, "reload", RELOAD_MS, &answer, e);

    return rc == ERR_OK ? wait_for(f, digest, clock_mono_ms() + LOOK_MS, e) : rc;
}

enum err_code foxproxy_release(const struct foxproxy *f, struct err *e)
{
    AUTO(json_free) json_t *answer = NULL;

    return foxproxy_ask(f, "release", RELEASE_MS, &answer, e);
}

enum err_code foxproxy_stop(const struct foxproxy *f, struct err *e)
{
    AUTO(json_free) json_t *answer = NULL;
    int64_t until = clock_mono_ms() + STOP_MS;
    struct foxproxy_state s;
    pid_t pid;

    foxproxy_look(f, &s);
    pid = s.pid;
    foxproxy_state_clear(&s);
    if (f->systemd) /* also one that waits to be started again */
        return systemctl(f, "stop", e);
    if (pid == 0)
        return ERR_OK;
    if (foxproxy_ask(f, "quit", LOOK_MS, &answer, NULL) != ERR_OK)
        (void)kill(pid, SIGTERM);
    while (is_foxproxy(pid, 0)) {
        if (clock_mono_ms() >= until) {
            (void)kill(pid, SIGKILL);
            until += STOP_MS;
            if (clock_mono_ms() >= until)
                return err_set(e, ERR_TIMEOUT, "foxproxy (pid %d) does not end", (int)pid);
        }
        (void)poll(NULL, 0, STEP_MS);
    }
    return ERR_OK;
}
