#include "loop/edits.h"

#include "base/clock.h"
#include "base/macros.h"
#include "loop/loop.h"

#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

void edits_clear(struct loop *l)
{
    if (l->edits.fd >= 0)
        (void)close(l->edits.fd);
    l->edits.fd = -1;
}

static void begin(struct loop *l, int64_t now)
{
    l->edits.open_next = now + LOOP_CHECK_MS;
    l->edits.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (l->edits.fd >= 0 && inotify_add_watch(l->edits.fd, l->settings->postfix_config,
                                              IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) < 0)
        edits_clear(l);
}

/* Whether one of them is about a file that says what Postfix does; *gone: the folder is no longer
 * there. */
static bool is_hint(const char *buf, ssize_t n, bool *gone)
{
    bool hint = false;

    for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
        const struct inotify_event *ev = (const struct inotify_event *)(const void *)(buf + at);
        *gone = *gone || (ev->mask & IN_IGNORED) != 0;
        hint = hint || (ev->mask & IN_Q_OVERFLOW) != 0 ||
               (ev->len > 0 &&
                (strcmp(ev->name, "main.cf") == 0 || strcmp(ev->name, "master.cf") == 0));
        at += (ssize_t)(sizeof *ev + ev->len);
    }
    return hint;
}

static void take(struct loop *l)
{
    _Alignas(struct inotify_event) char buf[16 * KIB];
    bool gone = false;
    ssize_t n;

    while ((n = read(l->edits.fd, buf, sizeof buf)) > 0)
        l->edits.hinted = is_hint(buf, n, &gone) || l->edits.hinted;
    if (gone)
        edits_clear(l);
}

void edits_forget(struct loop *l)
{
    if (l->edits.fd >= 0)
        take(l);
    l->edits.hinted = false;
}

void edits_turn(struct loop *l)
{
    int64_t now = clock_mono_ms();

    if (l->edits.fd < 0 && now >= l->edits.open_next)
        begin(l, now);
    if (l->edits.fd >= 0)
        take(l);
    if (!l->edits.hinted)
        return;
    if (now < l->edits.looked + EDITS_PAUSE_MS) {
        loop_wake(l, l->edits.looked + EDITS_PAUSE_MS);
        return;
    }
    l->edits.hinted = false;
    l->edits.looked = now;
    l->work.next_check = 0;
}
