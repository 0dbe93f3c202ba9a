#include "control/control.h"

#include "base/clock.h"
#include "base/strbuf.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECTIONS = 16, REQUEST_MAX = 64 * 1024, IDLE_MS = 10000, WRITE_MS = 2000 };

struct conn {
    int fd; /* -1: free */
    struct strbuf in;
    int64_t until_ms;
};

struct control {
    int fd, ep;
    uid_t also;
    control_answer *answer;
    void *user;
    struct stat name; /* of the socket's name, as we made it */
    struct sockaddr_un at;
    struct conn conn[CONNECTIONS];
};

static void conn_close(struct conn *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    strbuf_clear(&c->in);
    *c = (struct conn){.fd = -1, .in = STRBUF_INIT(REQUEST_MAX)};
}

void control_close(struct control *c)
{
    struct stat now;

    if (c == NULL)
        return;
    for (size_t i = 0; i < CONNECTIONS; i++)
        conn_close(&c->conn[i]);
    if (c->name.st_ino != 0 && lstat(c->at.sun_path, &now) == 0 && now.st_ino == c->name.st_ino &&
        now.st_dev == c->name.st_dev)
        (void)unlink(c->at.sun_path);
    if (c->fd >= 0)
        (void)close(c->fd);
    if (c->ep >= 0)
        (void)close(c->ep);
    free(c);
}

DEFINE_CLEANUP(struct control, control_close);

static enum err_code address(const char *path, struct sockaddr_un *ret, struct err *e)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof ret->sun_path)
        return err_set(e, ERR_INVALID, "the path \"%s\" is too long for a socket", path);
    memcpy(ret->sun_path, path, strlen(path) + 1);
    return ERR_OK;
}

enum err_code control_open(const char *path, uid_t also, control_answer *answer, void *user,
                           struct control **ret, struct err *e)
{
    AUTO(control_close) struct control *c = calloc(1, sizeof *c);
    struct epoll_event ev = {.events = EPOLLIN};

    if (c == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    c->fd = c->ep = -1;
    c->also = also;
    c->answer = answer;
    c->user = user;
    for (size_t i = 0; i < CONNECTIONS; i++)
        c->conn[i] = (struct conn){.fd = -1, .in = STRBUF_INIT(REQUEST_MAX)};
    if (address(path, &c->at, e) != ERR_OK)
        return e->code;
    (void)unlink(path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    c->ep = epoll_create1(EPOLL_CLOEXEC);
    /* Everybody may connect, and is closed at once unless SO_PEERCRED says one of the few. */
    if (c->fd < 0 || c->ep < 0 ||
        bind(c->fd, (const struct sockaddr *)(const void *)&c->at, sizeof c->at) != 0 ||
        chmod(path, 0666) != 0 || listen(c->fd, CONNECTIONS) != 0 || lstat(path, &c->name) != 0 ||
        epoll_ctl(c->ep, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        return err_errno(e, ERR_UNAVAILABLE, errno, "could not listen on \"%s\"", path);
    *ret = TAKE(c);
    return ERR_OK;
}

int control_fd(const struct control *c)
{
    return c->ep;
}

static bool may_ask(const struct control *c, int fd)
{
    struct ucred who = {0};
    socklen_t n = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
           (who.uid == 0 || who.uid == geteuid() || (c->also != (uid_t)-1 && who.uid == c->also));
}

json_t *control_ok(void)
{
    return json_pack("{s:b}", "ok", 1);
}

json_t *control_no(const struct err *e)
{
    return json_pack("{s:b,s:s,s:s,s:s}", "ok", 0, "error", err_word(e->code), "message", e->msg,
                     "message_ja", e->msg_ja);
}

/* false: the peer does not take it. */
static bool send_all(int fd, struct slice s, int timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;

    while (s.n > 0) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            s = (struct slice){s.p + n, s.n - (size_t)n};
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (clock_mono_ms() >= until)
            return false;
        (void)poll(&p, 1, (int)(until - clock_mono_ms()));
    }
    return true;
}

static bool send_json(int fd, const json_t *j)
{
    AUTO_STR char *text = j == NULL ? NULL : json_text(j, JSON_COMPACT);

    return text != NULL && send_all(fd, slice_of(text), WRITE_MS) &&
           send_all(fd, slice_of("\n"), WRITE_MS);
}

static json_t *answer_to(struct control *c, struct slice line)
{
    AUTO(json_free) json_t *ask = NULL;
    struct err e;

    if (json_in_parse(line, REQUEST_MAX, &ask, &e) != ERR_OK)
        return control_no(&e);
    if (!json_is_object(ask)) {
        (void)err_set(&e, ERR_INVALID, "a request is a JSON object in one line");
        return control_no(&e);
    }
    return c->answer(c->user, ask);
}

/* All whole lines that are there.  false: the connection ends. */
static bool serve_lines(struct control *c, struct conn *at)
{
    struct slice rest = strbuf_slice(&at->in);
    struct strbuf left = STRBUF_INIT(REQUEST_MAX);
    bool ok = true;

    while (ok && rest.n > 0 && memchr(rest.p, '\n', rest.n) != NULL) {
        AUTO(json_free) json_t *answer = answer_to(c, slice_cut(&rest, '\n'));
        ok = send_json(at->fd, answer);
    }
    if (rest.n > 0)
        strbuf_add(&left, rest);
    ok = ok && strbuf_ok(&left);
    strbuf_clear(&at->in);
    at->in = left;
    return ok;
}

static void conn_turn(struct control *c, struct conn *at)
{
    char buf[4096];
    ssize_t n = recv(at->fd, buf, sizeof buf, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (clock_mono_ms() > at->until_ms)
            conn_close(at);
        return;
    }
    if (n > 0)
        strbuf_add(&at->in, (struct slice){buf, (size_t)n});
    at->until_ms = clock_mono_ms() + IDLE_MS;
    if (n <= 0 || !strbuf_ok(&at->in) || !serve_lines(c, at))
        conn_close(at);
}

/* A free place, or that of who has been silent for longest: a socket that nobody accepts from would
 * keep poll() awake. */
static struct conn *place(struct control *c)
{
    struct conn *oldest = &c->conn[0];

    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (c->conn[i].fd < 0)
            return &c->conn[i];
        if (c->conn[i].until_ms < oldest->until_ms)
            oldest = &c->conn[i];
    }
    conn_close(oldest);
    return oldest;
}

static void take_new(struct control *c)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        struct epoll_event ev = {.events = EPOLLIN};
        struct conn *at;
        int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (!may_ask(c, fd) || epoll_ctl(c->ep, EPOLL_CTL_ADD, fd, &ev) != 0) {
            (void)close(fd);
            continue;
        }
        at = place(c);
        at->fd = fd;
        at->until_ms = clock_mono_ms() + IDLE_MS;
    }
}

void control_turn(struct control *c)
{
    take_new(c);
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (c->conn[i].fd >= 0)
            conn_turn(c, &c->conn[i]);
}

static enum err_code read_answer(int fd, int timeout_ms, struct strbuf *in, struct err *e)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    char buf[4096];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - clock_mono_ms();
        ssize_t n;
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return err_set(e, ERR_UNAVAILABLE, "no answer within %d ms", timeout_ms);
        n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return err_set(e, ERR_FORBIDDEN, "the connection was closed without an answer");
        strbuf_add(in, (struct slice){buf, (size_t)n});
        if (memchr(buf, '\n', (size_t)n) != NULL)
            return strbuf_check(in, e);
    }
}

enum err_code control_ask(const char *path, const json_t *ask, int timeout_ms, json_t **ret,
                          struct err *e)
{
    AUTO_STRBUF struct strbuf in = STRBUF_INIT(MIB);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at;

    if (address(path, &at, e) != ERR_OK)
        return e->code;
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&at, sizeof at) != 0)
        return err_errno(e, ERR_UNAVAILABLE, errno, "could not reach \"%s\"", path);
    if (!send_json(fd, ask))
        return err_set(e, ERR_FORBIDDEN, "the connection was closed without an answer");
    if (read_answer(fd, timeout_ms, &in, e) != ERR_OK)
        return e->code;
    return json_in_parse(strbuf_slice(&in), MIB, ret, e);
}
