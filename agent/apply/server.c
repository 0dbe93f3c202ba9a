#include "apply/server.h"

#include "apply/drain.h"
#include "apply/front.h"
#include "apply/verbs.h"
#include "apply/watch.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "common/frame.h"
#include "targets/postfix_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A peer that began a frame must finish it; one that stopped reading must not block us. */
enum { FRAME_MS = 10000, WAKE_MS = 500 };

enum err_code server_lock(struct server *s, const struct agent_settings *set, struct err *e)
{
    char path[4200];
    enum err_code rc = file_mkdirs(set->helper_state, 0700, e);

    if (rc != ERR_OK)
        return rc;
    (void)snprintf(path, sizeof path, "%s/lock", set->helper_state);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    return file_lock(s->lock_fd)
               ? ERR_OK
               : err_set(e, ERR_CONFLICT, "another inari-helper already serves \"%s\"",
                         set->helper_state);
}

static void give_to_group(const char *path, const char *group)
{
    struct group *g = getgrnam(group);

    if (g == NULL || chown(path, (uid_t)-1, g->gr_gid) != 0)
        log_event(LOG_LEVEL_WARN, "helper.socket-group", KV_STR("group", group),
                  KV_STR("hint", "only root can connect until the group exists"));
}

enum err_code server_listen(struct server *s, const struct agent_settings *set, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct passwd *pw = getpwnam(set->agent_user);

    s->allowed = pw == NULL ? 0 : pw->pw_uid;
    if (strlen(set->helper_socket) >= sizeof a.sun_path)
        return err_set(e, ERR_INVALID, "helper.socket: \"%s\" is too long", set->helper_socket);
    memcpy(a.sun_path, set->helper_socket, strlen(set->helper_socket) + 1);
    (void)unlink(a.sun_path);
    s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0 ||
        bind(s->listen_fd, (const struct sockaddr *)(const void *)&a, sizeof a) != 0 ||
        chmod(a.sun_path, 0660) != 0 || listen(s->listen_fd, 4) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not listen on \"%s\"", set->helper_socket);
    give_to_group(a.sun_path, set->agent_group);
    return ERR_OK;
}

static int take_connection(struct server *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer;
    socklen_t n = sizeof peer;

    if (fd < 0)
        return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
        (peer.uid == 0 || peer.uid == s->allowed))
        return fd;
    log_event(LOG_LEVEL_WARN, "helper.peer-refused", KV_INT("uid", peer.uid),
              KV_INT("pid", peer.pid));
    (void)close(fd);
    return -1;
}

/* One request; false: the connection is over. */
static bool serve(struct server *s, int fd)
{
    AUTO(json_free) json_t *request = NULL;
    AUTO(json_free) json_t *answer = NULL;
    struct err e = {0};
    int64_t began = clock_mono_ms();
    enum err_code rc = frame_read(fd, FRAME_MS, &request, &e);

    if (rc == ERR_UNAVAILABLE)
        return false;
    if (rc != ERR_OK) { /* say why, then close: the stream cannot be followed any more */
        answer = json_pack("{s:b,s:s,s:s}", "ok", 0, "error", err_word(rc), "message", e.msg);
        (void)!frame_write(fd, answer, FRAME_MS, &e);
        return false;
    }
    answer = verbs_serve(s->h, request);
    if (answer == NULL)
        return false;
    log_event(LOG_LEVEL_DEBUG, "helper.served", KV_STR("verb", json_str(request, "verb", "")),
              KV_INT("ms", clock_mono_ms() - began));
    return frame_write(fd, answer, FRAME_MS, &e) == ERR_OK;
}

static void take_over(struct server *s)
{
    struct err e = {0};
    bool healthy = false;

    log_event(LOG_LEVEL_WARN, "helper.takeover", KV_STR("digest", s->h->j.s.to),
              KV_STR("phase", phase_word(s->h->j.s.phase)));
    if (apply_revert(s->h, "interrupted", "the agent went away in the middle of the change",
                     &healthy, &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "helper.takeover-failed", KV_STR("reason", e.msg));
}

void server_run(struct server *s, volatile const int *stop)
{
    int64_t alone_since = clock_mono_ms();
    int fd = -1, watch = watch_open(s->h);

    drain_mend(s->h); /* it may have gone while no helper looked */
    while (!*stop) {
        struct pollfd p[3] = {{fd < 0 ? s->listen_fd : fd, POLLIN, 0},
                              {watch, POLLIN, 0},
                              {front_watch(s->h), POLLIN, 0}};
        int n = poll(p, 3, WAKE_MS);

        if (n > 0 && p[1].revents != 0)
            watch_take(s->h, watch);
        if (n > 0 && p[0].revents != 0 && fd < 0) {
            fd = take_connection(s);
        } else if (n > 0 && p[0].revents != 0 && !serve(s, fd)) {
            (void)close(fd);
            fd = -1;
            alone_since = clock_mono_ms();
            postfix_trial_stop(&s->h->pf); /* nobody is there to finish it */
        }
        after_revert_tick(s->h);
        front_tick(s->h);
        if (fd < 0 && apply_is_open(s->h) &&
            clock_mono_ms() - alone_since >= s->h->s->takeover_ms) {
            take_over(s);
            alone_since = clock_mono_ms(); /* when even that failed: again after the same wait */
        }
    }
    if (fd >= 0)
        (void)close(fd);
    if (watch >= 0)
        (void)close(watch);
}

void server_close(struct server *s)
{
    if (s->listen_fd >= 0)
        (void)close(s->listen_fd);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
}
