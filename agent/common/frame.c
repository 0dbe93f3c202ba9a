#include "common/frame.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static enum err_code wait_for(int fd, short what, int64_t deadline, struct err *e)
{
    for (;;) {
        struct pollfd p = {fd, what, 0};
        int64_t left = deadline < 0 ? -1 : deadline - clock_mono_ms();
        int n;

        if (deadline >= 0 && left <= 0)
            return err_set(e, ERR_TIMEOUT, "no %s in time", what == POLLIN ? "answer" : "reader");
        n = poll(&p, 1, (int)left);
        if (n > 0)
            return ERR_OK;
        if (n < 0 && errno != EINTR)
            return err_errno(e, ERR_UNAVAILABLE, errno, "could not wait for the peer");
    }
}

static enum err_code read_all(int fd, char *to, size_t n, int64_t deadline, struct err *e)
{
    while (n > 0) {
        enum err_code rc = wait_for(fd, POLLIN, deadline, e);
        ssize_t got;

        if (rc != ERR_OK)
            return rc;
        got = recv(fd, to, n, MSG_DONTWAIT);
        if (got == 0)
            return err_set(e, ERR_UNAVAILABLE, "the peer closed the connection");
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return err_errno(e, ERR_UNAVAILABLE, errno, "could not read from the peer");
        if (got > 0) {
            to += got;
            n -= (size_t)got;
        }
    }
    return ERR_OK;
}

static enum err_code write_all(int fd, struct slice s, int64_t deadline, struct err *e)
{
    while (s.n > 0) {
        enum err_code rc = wait_for(fd, POLLOUT, deadline, e);
        ssize_t sent;

        if (rc != ERR_OK)
            return rc;
        sent = send(fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            return err_errno(e, ERR_UNAVAILABLE, errno, "could not write to the peer");
        if (sent > 0) {
            s.p += sent;
            s.n -= (size_t)sent;
        }
    }
    return ERR_OK;
}

static enum err_code head_size(const char *head, size_t *ret, struct err *e)
{
    const unsigned char *u = (const unsigned char *)head;
    size_t n = (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | (size_t)u[3];

    if (n > FRAME_MAX)
        return err_set(e, ERR_TOO_LARGE, "frame of %zu bytes; at most %d are accepted", n,
                       FRAME_MAX);
    if (n < 2)
        return err_set(e, ERR_MALFORMED, "frame of %zu bytes cannot be a JSON object", n);
    *ret = n;
    return ERR_OK;
}

static enum err_code parse_object(struct slice text, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    enum err_code rc = json_in_parse(text, FRAME_MAX, &j, e);

    if (rc != ERR_OK)
        return rc;
    if (!json_is_object(j))
        return err_set(e, ERR_MALFORMED, "a frame must hold a JSON object");
    *ret = TAKE(j);
    return ERR_OK;
}

enum err_code frame_decode(struct slice bytes, size_t *ret_used, json_t **ret, struct err *e)
{
    enum err_code rc;
    size_t n = 0;

    *ret_used = 0;
    if (bytes.n < FRAME_HEAD)
        return ERR_OK;
    rc = head_size(bytes.p, &n, e);
    if (rc != ERR_OK)
        return rc;
    if (bytes.n - FRAME_HEAD < n)
        return ERR_OK;
    rc = parse_object((struct slice){bytes.p + FRAME_HEAD, n}, ret, e);
    if (rc == ERR_OK)
        *ret_used = FRAME_HEAD + n;
    return rc;
}

enum err_code frame_encode(const json_t *object, struct strbuf *out, struct err *e)
{
    AUTO_STR char *text = json_text(object, JSON_COMPACT);
    size_t n;
    char head[FRAME_HEAD];

    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    n = strlen(text);
    if (n > FRAME_MAX)
        return err_set(e, ERR_TOO_LARGE, "frame of %zu bytes; at most %d are allowed", n,
                       FRAME_MAX);
    for (int i = 0; i < FRAME_HEAD; i++)
        head[i] = (char)(n >> (8 * (FRAME_HEAD - 1 - i)) & 0xff);
    strbuf_add(out, (struct slice){head, FRAME_HEAD});
    strbuf_add(out, (struct slice){text, n});
    return strbuf_ok(out) ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code frame_write(int fd, const json_t *object, int timeout_ms, struct err *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(FRAME_MAX + FRAME_HEAD + 1);
    enum err_code rc = frame_encode(object, &b, e);

    return rc != ERR_OK ? rc : write_all(fd, strbuf_slice(&b), clock_mono_ms() + timeout_ms, e);
}

enum err_code frame_read(int fd, int timeout_ms, json_t **ret, struct err *e)
{
    int64_t deadline = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
    AUTO_STR char *text = NULL;
    char head[FRAME_HEAD];
    enum err_code rc;
    size_t n = 0;

    rc = read_all(fd, head, sizeof head, deadline, e);
    if (rc == ERR_OK)
        rc = head_size(head, &n, e);
    if (rc != ERR_OK)
        return rc;
    text = malloc(n);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = read_all(fd, text, n, deadline, e);
    return rc != ERR_OK ? rc : parse_object((struct slice){text, n}, ret, e);
}

enum err_code helper_connect(const char *path, int *ret_fd, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof a.sun_path)
        return err_set(e, ERR_INVALID, "socket path \"%s\" is too long", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&a, sizeof a) != 0)
        return err_errno(e, ERR_UNAVAILABLE, errno, "could not connect to the helper at \"%s\"",
                         path);
    *ret_fd = TAKE_FD(fd);
    return ERR_OK;
}

enum err_code helper_call(int fd, const json_t *request, int timeout_ms, json_t **ret_answer,
                          struct err *e)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    enum err_code rc = frame_write(fd, request, timeout_ms, e);
    int64_t left;

    if (rc != ERR_OK)
        return rc;
    left = deadline - clock_mono_ms();
    return frame_read(fd, left > 0 ? (int)left : 0, ret_answer, e);
}

enum err_code helper_ok(const json_t *answer, struct err *e)
{
    if (json_bool(answer, "ok", false))
        return ERR_OK;
    return err_set(e, err_code_of_word(json_str(answer, "error", "internal")), "%s",
                   json_str(answer, "message", "the helper gave no reason"));
}
