#include "targets/postfix_stage.h"

#include "base/clock.h"
#include "base/file.h"
#include "targets/secret_table.h"
#include "base/hash.h"
#include "targets/mutate.h"
#include "targets/postfix_cf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What of a configuration directory is copied for the checks. */
enum { COPY_FILES_MAX = 2000, COPY_DEPTH_MAX = 4, COPY_BYTES_MAX = 64 * 1024 * 1024, COOL_S = 5 };

void stage_path(const struct agent_settings *s, const char *digest, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/stage/%s", s->helper_state, digest);
}

enum err_code stage_read_live(const struct agent_settings *s, const char *name, char **ret,
                              size_t *ret_n, mode_t *ret_mode, struct err *e)
{
    char path[4096];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/%s", s->postfix_config, name);
    if (lstat(path, &st) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not look at \"%s\"", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_STORAGE, "cannot manage \"%s\": it is not a regular file (a link?)",
                       path);
    if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return err_set(e, ERR_STORAGE,
                       "cannot manage \"%s\": it must belong to root and be writable by root only",
                       path);
    if (ret_mode != NULL)
        *ret_mode = st.st_mode & 07777;
    return file_read(path, CF_FILE_MAX, ret, ret_n, e);
}

void stage_cool(const char *path)
{
    struct timespec t[2] = {{.tv_sec = (time_t)(clock_wall_s() - COOL_S)}};

    t[1] = t[0];
    (void)utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
}

struct copy {
    size_t files, bytes;
};

static enum err_code copy_file(const char *from, const char *to, mode_t mode, struct copy *c,
                               struct err *e)
{
    AUTO_STR char *text = NULL;
    AUTO_FD int fd = -1;
    size_t n;
    enum err_code rc = file_read(from, COPY_BYTES_MAX, &text, &n, e);

    if (rc != ERR_OK)
        return rc;
    c->bytes += n;
    fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode & 0755);
    if (fd < 0 || fchmod(fd, mode & 0755) != 0 || write(fd, text, n) != (ssize_t)n)
        return err_errno(e, ERR_STORAGE, errno, "could not copy \"%s\"", from);
    return ERR_OK;
}

static bool is_ours(const char *name, int depth)
{
    return name[0] == '.' ||
           (depth == 0 && (strcmp(name, "main.cf") == 0 || strcmp(name, "master.cf") == 0 ||
                           strcmp(name, "inari") == 0)) ||
           strstr(name, ".inari-") != NULL;
}

static enum err_code copy_tree(const char *from, const char *to, int depth, struct copy *c,
                               struct err *e);

static enum err_code copy_entry(const char *from, const char *to, int depth, struct copy *c,
                                struct err *e)
{
    char link[4096];
    struct stat st;
    ssize_t n;

    if (lstat(from, &st) != 0)
        return ERR_OK; /* it went away meanwhile */
    if (++c->files > COPY_FILES_MAX || c->bytes > COPY_BYTES_MAX)
        return err_set(e, ERR_TOO_LARGE,
                       "the configuration directory holds more than %d files or %d bytes",
                       COPY_FILES_MAX, COPY_BYTES_MAX);
    if (S_ISREG(st.st_mode))
        return copy_file(from, to, st.st_mode, c, e);
    if (S_ISDIR(st.st_mode) && depth < COPY_DEPTH_MAX)
        return copy_tree(from, to, depth + 1, c, e);
    if (S_ISLNK(st.st_mode) && (n = readlink(from, link, sizeof link - 1)) > 0) {
        link[n] = '\0';
        if (symlink(link, to) != 0)
            return err_errno(e, ERR_STORAGE, errno, "could not copy \"%s\"", from);
    }
    return ERR_OK; /* sockets, devices, pipes: not configuration */
}

static enum err_code copy_tree(const char *from, const char *to, int depth, struct copy *c,
                               struct err *e)
{
    enum err_code rc = ERR_OK;
    struct dirent *f;
    DIR *d;

    if (mkdir(to, 0755) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", to);
    d = opendir(from);
    if (d == NULL)
        return err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", from);
    while (rc == ERR_OK && (f = readdir(d)) != NULL) {
        char a[4096], b[4096];
        if (is_ours(f->d_name, depth))
            continue;
        if (snprintf(a, sizeof a, "%s/%s", from, f->d_name) >= (int)sizeof a ||
            snprintf(b, sizeof b, "%s/%s", to, f->d_name) >= (int)sizeof b)
            continue;
        rc = copy_entry(a, b, depth, c, e);
    }
    (void)closedir(d);
    return rc;
}

static bool table_name_ok(const char *s)
{
    return *s != '\0' && *s != '.' &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.")] == '\0';
}

/* As it would be written: content, owner and mode. */
static bool same_file(const char *path, const char *content)
{
    AUTO_STR char *text = NULL;
    struct stat st;
    size_t n;

    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 07777) != 0644)
        return false;
    return file_read(path, REND_MANIFEST_MAX, &text, &n, NULL) == ERR_OK &&
           slice_eq((struct slice){text, n}, slice_of(content));
}

/* A new file in a folder nobody looks at yet needs no rename; it is fsynced with the others. */
static enum err_code write_new(const char *path, const char *content, struct err *e)
{
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    size_t n = strlen(content);

    if (fd < 0 || fchmod(fd, 0644) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", path);
    while (n > 0) {
        ssize_t done = write(fd, content, n);
        if (done < 0 && errno != EINTR)
            return err_errno(e, ERR_STORAGE, errno, "could not write \"%s\"", path);
        content += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return ERR_OK;
}

static enum err_code sync_file(const char *path, struct err *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && fsync(fd) == 0
               ? ERR_OK
               : err_errno(e, ERR_STORAGE, errno, "could not fsync \"%s\"", path);
}

static enum err_code one_table(const struct plan_table *t, const char *path, struct err *e)
{
    enum err_code rc;

    if (!table_name_ok(t->name))
        return err_set(e, ERR_INVALID, "cannot write table \"%s\"", t->name);
    if (access(path, F_OK) != 0)
        rc = write_new(path, t->content, e);
    else if (same_file(path, t->content))
        return ERR_OK;
    else
        rc = file_write_atomic(path, slice_of(t->content), 0644, e);
    stage_cool(path);
    return rc;
}

/* First all written, then all fsynced: one commit of the file system instead of one a file. */
enum err_code stage_tables(const struct plan *p, const char *dir, bool live, const json_t *secrets,
                           struct err *e)
{
    char path[4300], parent[4200];
    enum err_code rc;

    if (p->n_tables == 0)
        return ERR_OK;
    rc = file_mkdirs(dir, 0755, e);
    (void)snprintf(parent, sizeof parent, "%s", dir);
    (void)dirname(parent);
    if (rc == ERR_OK &&
        (chmod(dir, 0755) != 0 || chmod(parent, 0755) != 0)) /* whatever our umask is */
        rc = err_errno(e, ERR_STORAGE, errno, "could not set the mode of \"%s\"", dir);
    for (size_t i = 0; i < p->n_tables && rc == ERR_OK; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, p->tables[i].name);
        rc = live && p->tables[i].secret ? secret_table_write(dir, &p->tables[i], secrets, e)
                                         : one_table(&p->tables[i], path, e);
    }
    for (size_t i = 0; i < p->n_tables && rc == ERR_OK; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, p->tables[i].name);
        rc = sync_file(path, e);
    }
    if (rc == ERR_OK)
        rc = file_fsync_dir(dir, e);
    return rc == ERR_OK ? file_fsync_dir(parent, e) : rc;
}

struct mismatch {
    size_t n;
    char first[200];
};

static void mismatch(void *ctx, const char *file, const char *item, const char *expected,
                     const char *found)
{
    struct mismatch *m = ctx;

    (void)expected;
    (void)found;
    if (m->n++ == 0)
        (void)snprintf(m->first, sizeof m->first, "%s %s", file, item);
}

static enum err_code read_back(const struct strbuf *main_cf, const struct strbuf *master_cf,
                               const struct plan *plan, struct err *e)
{
    struct mismatch m = {0};
    enum err_code rc = main_cf_diff(strbuf_slice(main_cf), plan, mismatch, &m, e);

    if (rc == ERR_OK)
        rc = master_cf_diff(strbuf_slice(master_cf), plan, mismatch, &m, e);
    if (rc == ERR_OK && m.n > 0)
        return err_set(e, ERR_INTERNAL, "%s was not rendered as planned (%zu items differ)",
                       m.first, m.n);
    return rc;
}

/* Render both files from the live ones; remember what they were made from. */
static enum err_code render(const struct postfix *p, const struct plan *plan, struct rendition *r,
                            struct strbuf *main_cf, struct strbuf *master_cf, struct err *e)
{
    AUTO_STR char *live_main = NULL;
    AUTO_STR char *live_master = NULL;
    size_t n_main, n_master;
    enum err_code rc = stage_read_live(p->s, "main.cf", &live_main, &n_main, NULL, e);

    if (rc == ERR_OK)
        rc = stage_read_live(p->s, "master.cf", &live_master, &n_master, NULL, e);
    if (rc != ERR_OK)
        return rc;
    sha256_hex((struct slice){live_main, n_main}, r->base_main);
    sha256_hex((struct slice){live_master, n_master}, r->base_master);
    rc = main_cf_edit((struct slice){live_main, n_main}, plan, main_cf, e);
    if (rc == ERR_OK)
        rc = master_cf_edit((struct slice){live_master, n_master}, plan, master_cf, e);
    return rc == ERR_OK ? read_back(main_cf, master_cf, plan, e) : rc;
}

/* Values that a running master does not take over on reload (mailpath.md 1.5). */
static bool needs_restart(const struct postfix *p, const struct strbuf *main_cf, struct arena *a)
{
    static const char *const sticky[] = {"inet_interfaces", "inet_protocols", "import_environment",
                                         NULL};
    AUTO_STR char *live = NULL;
    struct cf_param *old, *now;
    size_t n, n_old, n_now;

    if (stage_read_live(p->s, "main.cf", &live, &n, NULL, NULL) != ERR_OK ||
        main_cf_parse((struct slice){live, n}, a, &old, &n_old, NULL) != ERR_OK ||
        main_cf_parse(strbuf_slice(main_cf), a, &now, &n_now, NULL) != ERR_OK)
        return true;
    for (size_t i = 0; sticky[i] != NULL; i++) {
        const char *x = cf_param_value(old, n_old, sticky[i]),
                   *y = cf_param_value(now, n_now, sticky[i]);
        bool is_default =
            i < 2 && (x == NULL || strcmp(x, "all") == 0) && (y == NULL || strcmp(y, "all") == 0);
        if (!is_default && (x == NULL) != (y == NULL))
            return true;
        if (x != NULL && y != NULL && strcmp(x, y) != 0)
            return true;
    }
    return false;
}

static enum err_code write_files(const char *dir, const struct plan *plan, struct strbuf *main_cf,
                                 struct strbuf *master_cf, bool no_main, struct err *e)
{
    char path[4096];
    enum err_code rc = ERR_OK;

    (void)snprintf(path, sizeof path, "%s/etc/main.cf", dir);
    if (!no_main)
        rc = file_write_atomic(path, strbuf_slice(main_cf), 0644, e);
    stage_cool(path);
    (void)snprintf(path, sizeof path, "%s/etc/master.cf", dir);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, strbuf_slice(master_cf), 0644, e);
    stage_cool(path);
    (void)snprintf(path, sizeof path, "%s/etc/%s", dir,
                   plan->tables_dir == NULL ? "" : plan->tables_dir);
    return rc == ERR_OK ? stage_tables(plan, path, false, NULL, e) : rc;
}

static enum err_code fill(const struct postfix *p, const struct stage_request *rq, const char *dir,
                          struct arena *a, struct rendition *r, struct err *e)
{
    AUTO_STRBUF struct strbuf main_cf = STRBUF_INIT(CF_FILE_MAX);
    AUTO_STRBUF struct strbuf master_cf = STRBUF_INIT(CF_FILE_MAX);
    const char *mutation = mutate_wanted(MUTATE_STAGE);
    struct copy c = {0};
    bool no_main = false;
    char etc[4096];
    enum err_code rc = render(p, rq->plan, r, &main_cf, &master_cf, e);

    if (rc != ERR_OK)
        return rc;
    r->restart = needs_restart(p, &main_cf, a);
    if (mutation != NULL && !mutate_apply(mutation, &main_cf, &master_cf, &no_main))
        return err_set(e, ERR_INTERNAL, "no mutation \"%s\"", mutation);
    (void)snprintf(etc, sizeof etc, "%s/etc", dir);
    rc = copy_tree(p->s->postfix_config, etc, 0, &c, e);
    if (rc == ERR_OK)
        rc = write_files(dir, rq->plan, &main_cf, &master_cf, no_main, e);
    return rc == ERR_OK ? rendition_save(dir, r, e) : rc;
}

enum err_code postfix_stage(const struct postfix *p, const struct stage_request *rq,
                            struct arena *a, struct rendition *ret, struct err *e)
{
    struct rendition r = {
        .epoch = rq->epoch, .rev = rq->rev, .pub = rq->pub, .plan = rq->plan, .whole = rq->whole};
    char parent[4096], dir[4096];
    enum err_code rc;

    if (!digest_is_valid(rq->digest))
        return err_field(e, ERR_INVALID, "/digest", "\"digest\" must be 64 hexadecimal digits");
    (void)snprintf(r.digest, sizeof r.digest, "%s", rq->digest);
    (void)snprintf(r.device_id, sizeof r.device_id, "%s", rq->device_id);
    (void)snprintf(parent, sizeof parent, "%s/stage", p->s->helper_state);
    stage_path(p->s, rq->digest, dir, sizeof dir);
    rc = file_remove_tree(parent, e);
    if (rc == ERR_OK)
        rc = file_mkdirs(dir, 0755, e);
    if (rc == ERR_OK)
        rc = fill(p, rq, dir, a, &r, e);
    if (rc == ERR_OK)
        rc = file_fsync_dir(parent, e);
    if (rc != ERR_OK) {
        (void)!file_remove_tree(parent, NULL);
        return rc;
    }
    *ret = r;
    return ERR_OK;
}
