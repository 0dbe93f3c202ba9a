/*
 * control.c - /run/inari/agent.sock: the people at the host (inari-agent status, hold, release,
 * rollback, leave). Frames as on the helper's socket.  One request a connection; root, the agent's
 * own user and members of agent.group.
 */
#include "base/clock.h"
#include "base/log.h"
#include "common/frame.h"
#include "loop/loop.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONTROL_CONNECTIONS = 8,
    CONTROL_REQUEST_MAX = 16 * 1024,
    CONTROL_IDLE_MS = 10000,
    CONTROL_WRITE_MS = 2000
};

struct control_conn {
    int fd; /* -1: free */
    struct strbuf in;
    int64_t until;
};

struct control {
    int fd;
    gid_t group;
    bool have_group;
    char path[108];
    struct control_conn conn[CONTROL_CONNECTIONS];
};

static void conn_close(struct control_conn *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    strbuf_clear(&c->in);
    *c = (struct control_conn){.fd = -1, .in = STRBUF_INIT(CONTROL_REQUEST_MAX)};
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        conn_close(&c->conn[i]);
    if (c->fd >= 0) {
        (void)close(c->fd);
        (void)unlink(c->path);
    }
    free(c);
}

DEFINE_CLEANUP(struct control, control_free);

enum err_code control_new(const struct agent_settings *s, struct control **ret, struct err *e)
{
    AUTO(control_free) struct control *c = calloc(1, sizeof *c);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const struct group *g = getgrnam(s->agent_group);

    if (c == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    c->fd = -1;
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        c->conn[i] = (struct control_conn){.fd = -1, .in = STRBUF_INIT(CONTROL_REQUEST_MAX)};
    if (strlen(s->agent_socket) >= sizeof a.sun_path)
        return err_set(e, ERR_INVALID, "agent.socket \"%s\" is too long", s->agent_socket);
    memcpy(a.sun_path, s->agent_socket, strlen(s->agent_socket) + 1);
    memcpy(c->path, a.sun_path, sizeof c->path);
    (void)unlink(c->path); /* the lock says that nobody else uses it */
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0 || bind(c->fd, (const struct sockaddr *)(const void *)&a, sizeof a) != 0 ||
        chmod(c->path, 0660) != 0 || listen(c->fd, CONTROL_CONNECTIONS) != 0)
        return err_errno(e, ERR_UNAVAILABLE, errno, "could not listen on \"%s\"", c->path);
    if (g != NULL) {
        c->group = g->gr_gid;
        c->have_group = true;
        if (geteuid() == 0 && chown(c->path, (uid_t)-1, g->gr_gid) != 0)
            log_event(LOG_LEVEL_WARN, "control.chown", KV_STR("path", c->path));
    }
    *ret = TAKE(c);
    return ERR_OK;
}

unsigned control_fds(const struct control *c, struct curl_waitfd *fds, unsigned max)
{
    unsigned n = 0;

    if (n < max)
        fds[n++] = (struct curl_waitfd){c->fd, CURL_WAIT_POLLIN, 0};
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        if (c->conn[i].fd >= 0 && n < max)
            fds[n++] = (struct curl_waitfd){c->conn[i].fd, CURL_WAIT_POLLIN, 0};
    return n;
}

static bool in_group(const struct control *c, const struct ucred *who)
{
    const struct passwd *pw = getpwuid(who->uid);
    gid_t list[64];
    int n = COUNT_OF(list);

    if (!c->have_group)
        return false;
    if (who->gid == c->group)
        return true;
    if (pw == NULL || getgrouplist(pw->pw_name, pw->pw_gid, list, &n) < 0)
        return false;
    for (int i = 0; i < n; i++)
        if (list[i] == c->group)
            return true;
    return false;
}

static bool may_talk(const struct control *c, int fd)
{
    struct ucred who = {0};
    socklen_t n = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0)
        return false;
    return who.uid == 0 || who.uid == geteuid() || in_group(c, &who);
}

/* --- verbs --- */

static json_t *ok(void)
{
    return json_pack("{s:b}", "ok", 1);
}

static json_t *no(const struct err *e)
{
    return json_pack("{s:b,s:s,s:s}", "ok", 0, "error", err_word(e->code), "message", e->msg);
}

static json_t *verb_status(struct loop *l)
{
    static const char *const states[] = {"ok", "revoked", "retired", "foreign"};
    char contact[CLOCK_TEXT_SIZE] = "", until[CLOCK_TEXT_SIZE] = "";
    json_t *answer;

    if (l->parent.contact_ms != 0)
        clock_format(l->parent.contact_ms, contact);
    if (l->memory.hold != NULL)
        clock_format(hold_until_ms(&l->memory), until);
    answer = json_pack("{s:b,s:s,s:{s:s,s:s,s:b,s:s,s:s},s:{s:b,s:s,s:s},s:o,s:o}", "ok", 1, "name",
                       l->id.name, "parent", "address", http_base(l->http), "state",
                       states[l->parent.state], "reachable", (int)l->parent.reachable,
                       "last_contact", contact, "trouble", l->parent.trouble, "hold", "active",
                       l->memory.hold != NULL, "reason", hold_reason(&l->memory), "until", until,
                       "status", report_build(l, 0), "events", ship_json(l));
    return answer;
}

static json_t *verb_hold(struct loop *l, const json_t *ask)
{
    struct err e = {0};

    if (hold_set(&l->memory, json_str(ask, "reason", NULL), json_int(ask, "minutes", 0),
                 clock_wall_ms(), &e) != ERR_OK)
        return no(&e);
    log_event(LOG_LEVEL_WARN, "hold.set", KV_STR("reason", hold_reason(&l->memory)),
              KV_INT("minutes", json_int(ask, "minutes", 0)));
    loop_touch(l);
    return ok();
}

static json_t *verb_release(struct loop *l)
{
    struct err e = {0};

    if (hold_release(&l->memory, &e) != ERR_OK)
        return no(&e);
    log_event(LOG_LEVEL_INFO, "hold.released", KV_STR("by", "local"));
    work_again(l);
    loop_touch(l);
    return ok();
}

/* Going back only lasts when the newest bundle is kept from coming again: so it holds, at most a
 * day. */
static json_t *verb_rollback(struct loop *l, const json_t *ask)
{
    bool held = hold_active(&l->memory, clock_wall_ms(), NULL);
    struct err e = {0};

    if (!held && hold_set(&l->memory, "rolled back on the device", HOLD_MAX_MIN, clock_wall_ms(),
                          &e) != ERR_OK)
        return no(&e);
    loop_touch(l);
    if (work_rollback(l, json_str(ask, "digest", NULL), &e) != ERR_OK) {
        if (!held && hold_release(&l->memory, NULL) == ERR_OK)
            work_again(l);
        return no(&e);
    }
    log_event(LOG_LEVEL_WARN, "rollback.done",
              KV_STR("digest", json_str(ask, "digest", "last known good")));
    return ok();
}

static json_t *verb_rotate_key(struct loop *l)
{
    struct err e = {0};

    if (rotate_run(l, "", &e) != ERR_OK)
        return no(&e);
    return json_pack("{s:b,s:s}", "ok", 1, "kid", jose_key_kid(l->id.key.sig));
}

static json_t *verb_confirm_machine(struct loop *l)
{
    struct err e = {0};

    return parent_confirm_machine(l, &e) == ERR_OK ? ok() : no(&e);
}

static json_t *verb_leave(struct loop *l)
{
    AUTO(json_free) json_t *answer = NULL;
    struct err parent = {0}, e = {0};
    bool told = parent_leave(l, &parent) == ERR_OK;
    enum err_code rc = helper_ask(&l->helper, "disown", NULL, HELPER_SLOW_MS, &answer, &e);

    if (rc != ERR_OK)
        return no(&e);
    if (identity_put_aside(l->memory.dir, "left", &e) != ERR_OK)
        return no(&e);
    log_event(LOG_LEVEL_WARN, "left", KV_STR("parent", told ? "told" : parent.msg));
    l->left = l->stop = true;
    return json_pack("{s:b,s:b,s:s}", "ok", 1, "parent_told", told, "parent_problem", parent.msg);
}

static json_t *answer_to(struct loop *l, const json_t *ask)
{
    const char *verb = json_str(ask, "verb", "");
    struct err e = {0};

    if (strcmp(verb, "status") == 0)
        return verb_status(l);
    if (strcmp(verb, "hold") == 0)
        return verb_hold(l, ask);
    if (strcmp(verb, "release") == 0)
        return verb_release(l);
    if (strcmp(verb, "rollback") == 0)
        return verb_rollback(l, ask);
    if (strcmp(verb, "rotate-key") == 0)
        return verb_rotate_key(l);
    if (strcmp(verb, "confirm-machine") == 0)
        return verb_confirm_machine(l);
    if (strcmp(verb, "leave") == 0)
        return verb_leave(l);
    (void)err_set(&e, ERR_INVALID, "there is no verb \"%.40s\"", verb);
    return no(&e);
}

static void conn_turn(struct loop *l, struct control_conn *c)
{
    AUTO(json_free) json_t *ask = NULL;
    AUTO(json_free) json_t *answer = NULL;
    char buf[4096];
    size_t used = 0;
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (clock_mono_ms() > c->until)
            conn_close(c);
        return;
    }
    if (n > 0)
        strbuf_add(&c->in, (struct slice){buf, (size_t)n});
    if (n <= 0 || !strbuf_ok(&c->in) ||
        frame_decode(strbuf_slice(&c->in), &used, &ask, NULL) != ERR_OK) {
        conn_close(c);
        return;
    }
    if (used == 0)
        return;
    answer = answer_to(l, ask);
    if (answer != NULL && frame_write(c->fd, answer, CONTROL_WRITE_MS, NULL) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "control.write", KV_STR("problem", "the caller went away"));
    conn_close(c);
}

void control_turn(struct loop *l)
{
    struct control *c = l->control;

    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
        if (c->conn[i].fd < 0) {
            int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (fd < 0)
                continue;
            if (!may_talk(c, fd)) {
                (void)close(fd);
                continue;
            }
            c->conn[i].fd = fd;
            c->conn[i].until = clock_mono_ms() + CONTROL_IDLE_MS;
        }
        conn_turn(l, &c->conn[i]);
    }
}
