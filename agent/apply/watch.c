#include "apply/watch.h"

#include "apply/drain.h"
#include "base/log.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

int watch_open(const struct helper *h)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd >= 0 && inotify_add_watch(fd, h->s->postfix_config,
                                     IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
                                         IN_ONLYDIR) < 0) {
        (void)close(fd);
        fd = -1;
    }
    if (fd < 0)
        log_event(LOG_LEVEL_WARN, "watch.not-possible", KV_INT("errno", errno));
    return fd;
}

void watch_take(struct helper *h, int fd)
{
    _Alignas(struct inotify_event) char buf[16 * KIB];
    bool ours = false;
    ssize_t n;

    while ((n = read(fd, buf, sizeof buf)) > 0) {
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
            const struct inotify_event *ev = (const struct inotify_event *)(const void *)(buf + at);
            ours = ours || (ev->mask & IN_Q_OVERFLOW) != 0 ||
                   (ev->len > 0 && strcmp(ev->name, PLAN_DRAIN_TABLE) == 0);
            at += (ssize_t)(sizeof *ev + ev->len);
        }
    }
    if (ours)
        drain_mend(h);
}
