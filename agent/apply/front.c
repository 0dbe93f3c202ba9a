#include "apply/front.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "targets/mutate.h"
#include "targets/postfix_stage.h"
#include "targets/syn_hold.h"
#include "targets/tcp_port.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ACCEPTED_MS = 500, /* what the old owner has not taken yet */
    GRACE_MS = 1500, /* sessions with the old owner: Postfix cuts those of a listener it gives up */
    OWNED_MS = 3000, /* the new owner listens */
    INI_MODE = 0644,
};

const char *front_of(const struct plan *p)
{
    return p->foxproxy != NULL && p->foxproxy[0] != '\0' ? p->foxproxy : NULL;
}

static void beside(const struct helper *h, const char *suffix, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s%s", h->s->foxproxy_config, suffix);
}

static void undo_path(const struct helper *h, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/undo/foxproxy.ini", h->s->helper_state);
}

static void staged_path(const char *dir, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/foxproxy.ini", dir);
}

static enum err_code sync_folder(const struct helper *h, struct err *e)
{
    char folder[4200];

    (void)snprintf(folder, sizeof folder, "%s", h->s->foxproxy_config);
    return file_fsync_dir(dirname(folder), e);
}

/* The live ini; *ret NULL: there is none. */
static enum err_code read_live(const struct helper *h, char **ret, size_t *ret_n, struct err *e)
{
    enum err_code rc = file_read(h->s->foxproxy_config, FOXPROXY_INI_MAX, ret, ret_n, e);

    if (rc != ERR_NOT_FOUND)
        return rc;
    *ret = NULL;
    *ret_n = 0;
    return ERR_OK;
}

/* SHA-256 of a file; "" when there is none or it cannot be read. */
static void sum_of(const char *path, char ret[SHA256_HEX_SIZE])
{
    AUTO_STR char *text = NULL;
    size_t n;

    ret[0] = '\0';
    if (file_read(path, FOXPROXY_INI_MAX, &text, &n, NULL) == ERR_OK)
        sha256_hex((struct slice){text, n}, ret);
}

/* --- staged --- */

enum err_code front_stage(const struct plan *p, const char *dir, struct err *e)
{
    char path[4300];

    staged_path(dir, path, sizeof path);
    return front_of(p) == NULL ? ERR_OK
                               : file_write_atomic(path, slice_of(front_of(p)), INI_MODE, e);
}

enum err_code front_check(struct helper *h, const struct plan *p, const char *dir, struct err *e)
{
    char path[4300];

    staged_path(dir, path, sizeof path);
    return front_of(p) == NULL ? ERR_OK : foxproxy_check(&h->fox, path, &h->output, e);
}

/* --- the file --- */

static enum err_code keep_old(struct helper *h, struct err *e)
{
    AUTO_STR char *text = NULL;
    char path[4300];
    size_t n = 0;
    enum err_code rc = read_live(h, &text, &n, e);

    h->j.s.old_front[0] = '\0';
    undo_path(h, path, sizeof path);
    if (rc != ERR_OK)
        return rc;
    if (text == NULL)
        return unlink(path) == 0 || errno == ENOENT
                   ? ERR_OK
                   : err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", path);
    sha256_hex((struct slice){text, n}, h->j.s.old_front);
    return file_write_atomic(path, (struct slice){text, n}, 0600, e);
}

enum err_code front_prepare(struct helper *h, const char *dir, const struct plan *p, struct err *e)
{
    AUTO_STR char *text = NULL;
    char staged[4300], new[4200], folder[4200];
    size_t n;
    enum err_code rc = keep_old(h, e);

    h->j.s.new_front[0] = '\0';
    if (rc != ERR_OK || front_of(p) == NULL)
        return rc;
    staged_path(dir, staged, sizeof staged);
    beside(h, ".inari-new", new, sizeof new);
    (void)snprintf(folder, sizeof folder, "%s", h->s->foxproxy_config);
    rc = file_mkdirs(dirname(folder), 0755, e);
    if (rc == ERR_OK && chmod(folder, 0755) != 0) /* whatever our umask is */
        rc = err_errno(e, ERR_STORAGE, errno, "could not set the mode of \"%s\"", folder);
    if (rc == ERR_OK)
        rc = file_read(staged, FOXPROXY_INI_MAX, &text, &n, e);
    if (rc == ERR_OK)
        rc = file_write_atomic(new, (struct slice){text, n}, INI_MODE, e);
    if (rc == ERR_OK)
        sha256_hex((struct slice){text, n}, h->j.s.new_front);
    return rc;
}

void front_forget(struct helper *h)
{
    static const char *const suffix[] = {".inari-new", ".inari-new.inari-tmp", ".inari-tmp"};
    char path[4200];

    for (size_t i = 0; i < COUNT_OF(suffix); i++) {
        beside(h, suffix[i], path, sizeof path);
        (void)unlink(path);
    }
}

static enum err_code remove_live(struct helper *h, struct err *e)
{
    if (unlink(h->s->foxproxy_config) != 0 && errno != ENOENT)
        return err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", h->s->foxproxy_config);
    return sync_folder(h, e);
}

enum err_code front_place(struct helper *h, struct err *e)
{
    char new[4200];

    if (!front_will_be(h))
        return front_was(h) ? remove_live(h, e) : ERR_OK;
    beside(h, ".inari-new", new, sizeof new);
    if (rename(new, h->s->foxproxy_config) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not rename to \"%s\"",
                         h->s->foxproxy_config);
    return sync_folder(h, e);
}

bool front_is_back(const struct helper *h)
{
    char have[SHA256_HEX_SIZE];

    if (!front_was(h))
        return !front_will_be(h) || access(h->s->foxproxy_config, F_OK) != 0;
    sum_of(h->s->foxproxy_config, have);
    return strcmp(have, h->j.s.old_front) == 0;
}

enum err_code front_put_back(struct helper *h, struct err *e)
{
    AUTO_STR char *text = NULL;
    char path[4300];
    size_t n;
    enum err_code rc;

    if (front_is_back(h))
        return ERR_OK;
    if (!front_was(h))
        return remove_live(h, e);
    undo_path(h, path, sizeof path);
    rc = file_read(path, FOXPROXY_INI_MAX, &text, &n, e);
    return rc == ERR_OK
               ? file_write_atomic(h->s->foxproxy_config, (struct slice){text, n}, INI_MODE, e)
               : rc;
}

/* Where two texts differ first, as one line. */
static void first_line(struct slice want, struct slice have, size_t *ret_line, char *a, char *b,
                       size_t size)
{
    struct slice x = {NULL, 0}, y = {NULL, 0};

    *ret_line = 0;
    do {
        (*ret_line)++;
        x = slice_cut(&want, '\n');
        y = slice_cut(&have, '\n');
    } while (slice_eq(x, y) && (want.p != NULL || have.p != NULL));
    (void)snprintf(a, size, "%.*s", (int)(x.n < size ? x.n : size - 1), x.p == NULL ? "" : x.p);
    (void)snprintf(b, size, "%.*s", (int)(y.n < size ? y.n : size - 1), y.p == NULL ? "" : y.p);
}

/* Only root may write it, whoever may read it. */
static bool inode_ok(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 07777) == INI_MODE;
}

enum err_code front_diff(const struct helper *h, const struct plan *p, cf_diff_fn *fn, void *ctx,
                         struct err *e)
{
    AUTO_STR char *text = NULL;
    const char *want = front_of(p);
    char a[200], b[200];
    size_t n = 0, line;
    enum err_code rc = read_live(h, &text, &n, e);

    if (rc != ERR_OK || (want == NULL && text == NULL))
        return rc;
    if (want == NULL || text == NULL) {
        fn(ctx, "foxproxy.ini", "file", want == NULL ? NULL : "there",
           text == NULL ? NULL : "there");
        return ERR_OK;
    }
    first_line(slice_of(want), (struct slice){text, n}, &line, a, b, sizeof a);
    if (!slice_eq(slice_of(want), (struct slice){text, n}))
        fn(ctx, "foxproxy.ini", "file", a, b);
    else if (!inode_ok(h->s->foxproxy_config))
        fn(ctx, "foxproxy.ini", "file", "a file of root, mode 0644", "another owner or mode");
    return ERR_OK;
}

enum err_code front_compare(const struct helper *h, const struct plan *p, const char *dir,
                            struct err *e)
{
    AUTO_STR char *want = NULL;
    AUTO_STR char *found = NULL;
    char path[4300], a[100], b[100];
    size_t n_want = 0, n_found = 0, line;
    enum err_code rc = read_live(h, &found, &n_found, e);

    staged_path(dir, path, sizeof path);
    if (rc == ERR_OK && front_of(p) != NULL)
        rc = file_read(path, FOXPROXY_INI_MAX, &want, &n_want, e);
    if (rc != ERR_OK)
        return rc;
    if ((want == NULL) != (found == NULL))
        return err_set(e, ERR_CHANGED_MEANWHILE, "\"%s\" is %s", h->s->foxproxy_config,
                       found == NULL ? "gone" : "there again");
    if (n_want != n_found || (n_want > 0 && memcmp(want, found, n_want) != 0)) {
        first_line((struct slice){want, n_want}, (struct slice){found, n_found}, &line, a, b,
                   sizeof a);
        return err_set(e, ERR_CHANGED_MEANWHILE,
                       "\"%s\" is not what was validated: line %zu is \"%s\", not \"%s\"",
                       h->s->foxproxy_config, line, b, a);
    }
    return want == NULL || inode_ok(h->s->foxproxy_config)
               ? ERR_OK
               : err_set(e, ERR_CHANGED_MEANWHILE,
                         "\"%s\" does not belong to root with mode 0644 any more",
                         h->s->foxproxy_config);
}

/* --- the public port --- */

static bool owner_changes(const struct helper *h)
{
    return front_was(h) != front_will_be(h);
}

/* The ports that go from one to the other: of whichever ini there is. */
static size_t moving(const struct helper *h, int *ports)
{
    AUTO_STR char *text = NULL;
    char path[4300];
    size_t n = 0;

    undo_path(h, path, sizeof path);
    if (front_was(h))
        (void)!file_read(path, FOXPROXY_INI_MAX, &text, &n, NULL);
    else
        (void)stage_path(h->s, h->j.s.to, path, sizeof path);
    if (!front_was(h)) {
        char staged[4300];
        staged_path(path, staged, sizeof staged);
        (void)!file_read(staged, FOXPROXY_INI_MAX, &text, &n, NULL);
    }
    return text == NULL ? 0 : foxproxy_ini_ports((struct slice){text, n}, ports);
}

void front_hold(struct helper *h)
{
    struct err e = {0};

    if (!owner_changes(h) || h->held)
        return;
    h->n_moving = moving(h, h->moving);
    if (h->n_moving == 0)
        return;
    h->held = true;
    if (syn_hold_begin(h->fox.systemd, h->moving, h->n_moving, &e) != ERR_OK) {
        log_event(LOG_LEVEL_WARN, "front.not-held", KV_STR("reason", e.msg));
        return;
    }
    /* What came before is taken by the old owner; what it talks about may end. */
    if (!tcp_port_wait(h->moving, h->n_moving, TCP_PORT_TAKEN, ACCEPTED_MS))
        log_event(LOG_LEVEL_WARN, "front.left-waiting", KV_INT("port", h->moving[0]));
    (void)!tcp_port_wait(h->moving, h->n_moving, TCP_PORT_QUIET, GRACE_MS);
}

void front_end(struct helper *h)
{
    if (h->held)
        syn_hold_end(h->fox.systemd, h->moving, h->n_moving);
    h->held = false;
}

/* Nothing of foxproxy listens on what Postfix is about to open. */
void front_let_go(struct helper *h, bool wanted)
{
    struct err e = {0};

    if (!owner_changes(h) || wanted)
        return;
    crash_at("front-let-go");
    if (foxproxy_release(&h->fox, &e) != ERR_OK && foxproxy_stop(&h->fox, &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "front.not-released", KV_STR("reason", e.msg));
    if (!tcp_port_wait(h->moving, h->n_moving, TCP_PORT_FREE, OWNED_MS))
        log_event(LOG_LEVEL_ERROR, "front.port-not-free", KV_INT("port", h->moving[0]));
}

/* It listens already, whoever had the port by the journal. */
static bool takes_mail(const struct helper *h)
{
    struct foxproxy_state s;
    bool is;

    foxproxy_look(&h->fox, &s);
    is = s.answers && !s.draining;
    foxproxy_state_clear(&s);
    return is;
}

static enum err_code run_it(struct helper *h, struct err *e)
{
    AUTO_STR char *text = NULL;
    char digest[65];
    size_t n = 0;
    struct err why = {0};
    enum err_code rc = file_read(h->s->foxproxy_config, FOXPROXY_INI_MAX, &text, &n, e);

    if (rc != ERR_OK)
        return rc;
    foxproxy_ini_digest((struct slice){text, n}, digest);
    if (takes_mail(h)) {
        if (foxproxy_reload(&h->fox, digest, &why) == ERR_OK)
            return ERR_OK;
        log_event(LOG_LEVEL_WARN, "front.not-reloaded", KV_STR("reason", why.msg));
        if (foxproxy_stop(&h->fox, e) != ERR_OK) /* it does not take what it checked itself */
            return e->code;
    } else if (owner_changes(h) &&
               !tcp_port_wait(h->moving, h->n_moving, TCP_PORT_FREE, OWNED_MS)) {
        /* Postfix lets go of the port a moment after the command that tells it to. */
        return err_set(e, ERR_UNAVAILABLE, "port %d is still taken: foxproxy cannot be started",
                       h->moving[0]);
    }
    return foxproxy_start(&h->fox, digest, e);
}

enum err_code front_take(struct helper *h, bool wanted, struct err *e)
{
    if (!front_was(h) && !front_will_be(h))
        return ERR_OK;
    crash_at("front-take");
    if (wanted)
        return run_it(h, e);
    if (!owner_changes(h))
        return ERR_OK;
    if (postfix_pid(h->s->postfix_queue) != 0 &&
        !tcp_port_wait(h->moving, h->n_moving, TCP_PORT_OWNED, OWNED_MS)) {
        struct err ignored;
        (void)!foxproxy_stop(&h->fox, &ignored);
        return err_set(e, ERR_UNAVAILABLE, "nobody listens on port %d after the change",
                       h->moving[0]);
    }
    front_end(h); /* nobody waits for the last sessions of foxproxy */
    return foxproxy_stop(&h->fox, e);
}

/* --- what runs --- */

bool front_is_wanted(const struct helper *h)
{
    return access(h->s->foxproxy_config, F_OK) == 0;
}

enum err_code front_runs(const struct helper *h, struct err *e)
{
    AUTO_STR char *text = NULL;
    struct foxproxy_state s;
    char digest[65];
    size_t n = 0;
    enum err_code rc = read_live(h, &text, &n, e);

    if (rc != ERR_OK || text == NULL)
        return rc;
    foxproxy_ini_digest((struct slice){text, n}, digest);
    foxproxy_look(&h->fox, &s);
    if (!s.answers)
        rc = err_set(e, ERR_UNAVAILABLE,
                     s.pid == 0 ? "foxproxy does not run" : "foxproxy runs and does not answer");
    else if (s.draining || strcmp(s.digest, digest) != 0)
        rc =
            err_set(e, ERR_REFUSED,
                    "foxproxy runs with the settings %.16s (%s), not with those in its file, %.16s",
                    s.digest, s.draining ? "draining" : "running", digest);
    foxproxy_state_clear(&s);
    return rc;
}
