#include "targets/postfix_trial.h"

#include "base/clock.h"
#include "base/file.h"
#include "targets/postfix_cf.h"
#include "targets/postfix_stage.h"
#include "targets/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Who owns what in a queue directory, from Postfix's own postfix-files. */
static const struct {
    const char *name;
    char owner; /* r: root, p: mail_owner */
    bool drop_group;
    mode_t mode;
    bool emptied; /* messages: removed after each trial */
} skeleton[] = {
    {"active", 'p', false, 0700, true},   {"bounce", 'p', false, 0700, true},
    {"corrupt", 'p', false, 0700, true},  {"defer", 'p', false, 0700, true},
    {"deferred", 'p', false, 0700, true}, {"flush", 'p', false, 0700, true},
    {"hold", 'p', false, 0700, true},     {"incoming", 'p', false, 0700, true},
    {"saved", 'p', false, 0700, true},    {"trace", 'p', false, 0700, true},
    {"private", 'p', false, 0700, false}, {"public", 'p', true, 0710, false},
    {"maildrop", 'p', true, 0730, true},  {"pid", 'r', false, 0755, false},
};

static void trial_path(const struct postfix *p, const char *name, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/%s", p->s->trial_dir, name);
}

/* --- ending it --- */

static void nap_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};

    (void)nanosleep(&t, NULL);
}

/* Does its master live?  While it does it holds the lock of its own pid file, which is root's: no
 * other process that has the number by now can be taken for it. */
static bool trial_lives(const char *spool)
{
    char path[4200];
    AUTO_FD int fd = -1;

    (void)snprintf(path, sizeof path, "%s/pid/master.pid", spool);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* The folders below belong to Postfix's user: every step goes through a descriptor and follows no
 * link, so that nothing a broken daemon puts there can lead us elsewhere (security.md C25).  fd is
 * taken. */
static void empty_dir(int fd, int depth)
{
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *f;

    if (d == NULL && fd >= 0)
        (void)close(fd);
    while (d != NULL && (f = readdir(d)) != NULL) {
        if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
            continue;
        if (f->d_type != DT_DIR)
            (void)unlinkat(dirfd(d), f->d_name, 0);
        else if (depth > 0) /* the hash folders of a queue stay: they are what makes it warm */
            empty_dir(openat(dirfd(d), f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                      depth - 1);
    }
    if (d != NULL)
        (void)closedir(d);
}

void postfix_trial_stop(const struct postfix *p)
{
    char spool[4096], path[4200];
    pid_t pid;

    trial_path(p, "spool", spool, sizeof spool);
    pid = trial_lives(spool) ? postfix_pid(spool) : 0;
    if (pid > 1) {
        (void)kill(getpgid(pid) == pid ? -pid : pid, SIGKILL);
        for (int i = 0; i < 200 && postfix_pid(spool) == pid; i++)
            nap_ms(1);
    }
    for (size_t i = 0; i < COUNT_OF(skeleton); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", spool, skeleton[i].name);
        if (skeleton[i].emptied || skeleton[i].owner == 'p')
            empty_dir(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), 4);
    }
    trial_path(p, "etc", path, sizeof path);
    (void)!file_remove_tree(path, NULL);
    trial_path(p, "log", path, sizeof path);
    (void)unlink(path);
}

/* --- its log --- */

static bool is_interesting(struct slice line)
{
    static const char *const words[] = {
        "fatal:", "panic:", "error:", "warning:", "throttling", NULL};

    for (size_t i = 0; words[i] != NULL; i++)
        if (memmem(line.p, line.n, words[i], strlen(words[i])) != NULL)
            return true;
    return false;
}

void postfix_trial_log(const struct postfix *p, struct strbuf *out)
{
    AUTO_STR char *text = NULL;
    struct slice rest;
    char path[4096];
    size_t n;

    trial_path(p, "log", path, sizeof path);
    if (file_read(path, MIB, &text, &n, NULL) != ERR_OK)
        return;
    rest = (struct slice){text, n};
    while (rest.p != NULL) {
        struct slice line = slice_cut(&rest, '\n');
        if (line.n == 0 || !is_interesting(line) || out->n + line.n + 2 > out->max)
            continue;
        strbuf_add(out, line);
        strbuf_putc(out, '\n');
    }
}

bool postfix_trial_died(const struct postfix *p)
{
    AUTO_STRBUF struct strbuf log = STRBUF_INIT(64 * KIB);

    postfix_trial_log(p, &log);
    return strstr(strbuf_str(&log), "fatal:") != NULL ||
           strstr(strbuf_str(&log), "panic:") != NULL ||
           strstr(strbuf_str(&log), "throttling") != NULL;
}

/* --- starting it --- */

/* No fsync: what is lost with the power is not wanted back. */
static enum err_code file_write_quick(const char *path, struct slice data, mode_t mode,
                                      struct err *e)
{
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd < 0 || fchmod(fd, mode) != 0 || write(fd, data.p, data.n) != (ssize_t)data.n)
        return err_errno(e, ERR_STORAGE, errno, "could not write \"%s\"", path);
    stage_cool(path);
    return ERR_OK;
}

static enum err_code make_skeleton(const struct postfix *p, struct err *e)
{
    struct passwd *pw = getpwnam(p->owner);
    struct group *gr = getgrnam(p->setgid);
    char path[4096];
    enum err_code rc;

    if (pw == NULL || gr == NULL)
        return err_set(e, ERR_UNAVAILABLE, "user \"%s\" or group \"%s\" does not exist", p->owner,
                       p->setgid);
    trial_path(p, "spool", path, sizeof path);
    rc = file_mkdirs(path, 0711, e);
    if (rc != ERR_OK)
        return rc;
    (void)chmod(p->s->trial_dir, 0711);
    (void)chmod(path, 0755);
    for (size_t i = 0; i < COUNT_OF(skeleton); i++) {
        (void)snprintf(path, sizeof path, "%s/spool/%s", p->s->trial_dir, skeleton[i].name);
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", path);
        if (chown(path, skeleton[i].owner == 'p' ? pw->pw_uid : 0,
                  skeleton[i].drop_group ? gr->gr_gid : 0) != 0 ||
            chmod(path, skeleton[i].mode) != 0)
            return err_errno(e, ERR_STORAGE, errno, "could not set the owner of \"%s\"", path);
    }
    trial_path(p, "data", path, sizeof path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", path);
    return chown(path, pw->pw_uid, pw->pw_gid) == 0
               ? ERR_OK
               : err_errno(e, ERR_STORAGE, errno, "could not own \"%s\"", path);
}

/* What other programs put into the live queue directory (a milter's or an authentication server's
 * socket) is reached through links, since names relative to the queue directory must mean the same
 * here. */
static void link_foreign(const struct postfix *p, const char *sub, const struct cf_service *v,
                         size_t n)
{
    char dir[4096];
    struct dirent *f;
    DIR *d;

    (void)snprintf(dir, sizeof dir, "%s%s", p->s->postfix_queue, sub);
    d = opendir(dir);
    while (d != NULL && (f = readdir(d)) != NULL) {
        char from[4400], to[4400];
        struct stat st;
        bool own = f->d_name[0] == '.';
        for (size_t i = 0; i < COUNT_OF(skeleton) && *sub == '\0'; i++)
            own = own || strcmp(skeleton[i].name, f->d_name) == 0;
        for (size_t i = 0; i < n && *sub != '\0'; i++)
            own = own || strcmp(v[i].name, f->d_name) == 0;
        (void)snprintf(from, sizeof from, "%s/%s", dir, f->d_name);
        (void)snprintf(to, sizeof to, "%s/spool%s/%s", p->s->trial_dir, sub, f->d_name);
        if (own || stat(from, &st) != 0 || (!S_ISDIR(st.st_mode) && !S_ISSOCK(st.st_mode)))
            continue;
        (void)unlink(to);
        (void)!symlink(from, to);
    }
    if (d != NULL)
        (void)closedir(d);
}

static const char *role_of(const struct rendition *r, const char *service)
{
    static const char *const roles[] = {"public", "submission", "reinject", "probe", "digest", "front"};

    for (size_t i = 0; i < r->plan->n_listeners; i++) {
        const struct plan_listener *l = &r->plan->listeners[i];
        char four[80], six[80], any[16];
        (void)snprintf(four, sizeof four, "%s:%lld", l->address, (long long)l->port);
        (void)snprintf(six, sizeof six, "[%s]:%lld", l->address, (long long)l->port);
        (void)snprintf(any, sizeof any, "%lld", (long long)l->port);
        if (strcmp(service, four) == 0 || strcmp(service, six) == 0 || strcmp(service, any) == 0 ||
            (l->port == 25 && strcmp(service, "smtp") == 0))
            return (size_t)l->role < COUNT_OF(roles) ? roles[l->role] : "foreign";
    }
    return "foreign";
}

struct making {
    const struct rendition *r;
    struct arena *a;
    struct listener *busy;
    size_t n_busy, n;
    struct trial_listener *v;
    int port;
    struct strbuf master, transports;
};

static bool is_delivery(const char *command)
{
    static const char *const words[] = {"smtp", "lmtp", "local", "virtual", "pipe", NULL};

    for (size_t i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], command) == 0)
            return true;
    return false;
}

static void put_service(struct making *m, const struct cf_service *s, const char *name)
{
    strbuf_printf(&m->master, "%s %s %s %s n %s %s %s %s\n", name, s->type, s->priv, s->unpriv,
                  s->wakeup, s->maxproc, s->command, s->args);
    for (size_t i = 0; i < s->n_options; i++) /* its messages belong into our log under our name */
        if (strcmp(s->options[i].name, "syslog_name") != 0)
            strbuf_printf(&m->master, "    -o { %s = %s }\n", s->options[i].name,
                          s->options[i].value);
}

/* One service of the staged master.cf as it is in the trial: no chroot (paths mean the same), inet
 * moved. */
static enum err_code place(struct making *m, const struct cf_service *s, struct err *e)
{
    char name[32];

    if (strcmp(s->command, "postlogd") == 0)
        return ERR_OK;
    if (is_delivery(s->command) && strcmp(s->type, "unix") == 0)
        strbuf_printf(&m->transports, " %s", s->name);
    if (strcmp(s->type, "inet") != 0) {
        put_service(m, s, s->name);
        return ERR_OK;
    }
    if (strcmp(s->command, "smtpd") != 0)
        return ERR_OK; /* postscreen, spawn: not tried here */
    m->port = sockets_free_port(m->busy, m->n_busy, m->port + 1);
    if (m->port == 0)
        return err_set(e, ERR_UNAVAILABLE, "no free loopback port for the trial");
    (void)snprintf(name, sizeof name, "127.0.0.1:%d", m->port);
    put_service(m, s, name);
    m->v[m->n++] = (struct trial_listener){"127.0.0.1", m->port, role_of(m->r, s->name),
                                           arena_strdup(m->a, s->name)};
    return ERR_OK;
}

/* main.cf of the trial: the staged one with a few parameters of its own in place of what stands
 * there. */
static enum err_code trial_main(const struct postfix *p, struct slice staged, struct making *m,
                                struct strbuf *out, struct err *e)
{
    const char *t = p->s->trial_dir;
    const struct plan_param own[] = {
        {"queue_directory", arena_printf(m->a, "%s/spool", t)},
        {"data_directory", arena_printf(m->a, "%s/data", t)},
        {"syslog_name", "inari-trial"},
        {"inet_interfaces", "all"},
        {"maillog_file", arena_printf(m->a, "%s/log", t)},
        {"maillog_file_prefixes", t},
        {"multi_instance_enable", "no"},
        {"multi_instance_name", ""},
        {"multi_instance_group", ""},
        {"multi_instance_directories", ""},
        {"service_throttle_time", "1s"},
        {"defer_transports", arena_strdup(m->a, slice_trim(strbuf_slice(&m->transports)).n == 0
                                                    ? ""
                                                    : strbuf_str(&m->transports) + 1)},
    };
    const struct plan plan = {.params = own, .n_params = COUNT_OF(own)};

    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (own[i].value == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    return main_cf_edit(staged, &plan, out, e);
}

/* $config_directory/inari/... and dynamicmaps.cf must be found below the trial's own directory. */
static enum err_code link_config(const struct postfix *p, const char *staged_etc, struct err *e)
{
    static const char *const links[] = {
        "inari", PLAN_DRAIN_TABLE, "dynamicmaps.cf", "dynamicmaps.cf.d", "postfix-files", "sasl"};

    for (size_t i = 0; i < COUNT_OF(links); i++) {
        char from[4300], to[4300];
        (void)snprintf(from, sizeof from, "%s/%s", staged_etc, links[i]);
        (void)snprintf(to, sizeof to, "%s/etc/%s", p->s->trial_dir, links[i]);
        if (access(from, F_OK) == 0 && symlink(from, to) != 0)
            return err_errno(e, ERR_STORAGE, errno, "could not link \"%s\"", to);
    }
    return ERR_OK;
}

static enum err_code write_config(const struct postfix *p, const char *staged_etc, struct making *m,
                                  struct err *e)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(CF_FILE_MAX + 64 * KIB);
    AUTO_STR char *text = NULL;
    char path[4200];
    size_t n;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/main.cf", staged_etc);
    rc = file_read(path, CF_FILE_MAX, &text, &n, e);
    if (rc == ERR_OK)
        rc = trial_main(p, (struct slice){text, n}, m, &out, e);
    trial_path(p, "etc", path, sizeof path);
    if (rc == ERR_OK)
        rc = file_remove_tree(path, e);
    if (rc == ERR_OK)
        rc = file_mkdirs(path, 0755, e);
    if (rc != ERR_OK)
        return rc;
    (void)chmod(path, 0755);
    trial_path(p, "etc/main.cf", path, sizeof path);
    rc = file_write_quick(path, strbuf_slice(&out), 0644, e);
    trial_path(p, "etc/master.cf", path, sizeof path);
    if (rc == ERR_OK)
        rc = file_write_quick(path, strbuf_slice(&m->master), 0644, e);
    return rc == ERR_OK ? link_config(p, staged_etc, e) : rc;
}

static enum err_code build(const struct postfix *p, const char *staged_etc, struct making *m,
                           struct err *e)
{
    AUTO_STR char *text = NULL;
    struct cf_service *v;
    char path[4200];
    size_t n, len;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/master.cf", staged_etc);
    rc = file_read(path, CF_FILE_MAX, &text, &len, e);
    if (rc == ERR_OK)
        rc = master_cf_parse((struct slice){text, len}, m->a, &v, &n, e);
    if (rc == ERR_OK)
        rc = sockets_listeners(m->a, &m->busy, &m->n_busy, e);
    if (rc != ERR_OK)
        return rc;
    m->v = arena_alloc(m->a, (n + 1) * sizeof *m->v);
    if (m->v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        rc = place(m, &v[i], e);
    strbuf_puts(&m->master, "postlog unix-dgram n - n - 1 postlogd\n");
    link_foreign(p, "", v, n);
    link_foreign(p, "/private", v, n);
    return rc == ERR_OK ? write_config(p, staged_etc, m, e) : rc;
}

static enum err_code start(const struct postfix *p, struct strbuf *output, struct err *e)
{
    char program[600], config[4200], life[16], log[4200];
    const char *const argv[] = {program, "-w", "-e", life, NULL};
    const char *const env[] = {config, NULL};
    struct proc_result r = {0};
    char spool[4096];
    enum err_code rc;

    (void)snprintf(program, sizeof program, "%s/master", p->daemons);
    (void)snprintf(config, sizeof config, "MAIL_CONFIG=%s/etc", p->s->trial_dir);
    (void)snprintf(life, sizeof life, "%d", TRIAL_LIFE_S);
    trial_path(p, "spool", spool, sizeof spool);
    trial_path(p, "log", log, sizeof log);
    (void)unlink(log);
    rc = proc_run(argv, env, (struct slice){NULL, 0}, (int)p->s->command_timeout_ms, &r, e);
    if (rc == ERR_OK && r.timed_out)
        rc = err_set(e, ERR_TIMEOUT, "the trial instance did not start in time");
    else if (rc == ERR_OK && (r.status != 0 || postfix_pid(spool) == 0))
        rc = err_set(e, ERR_REFUSED, "the trial instance did not start (status %d)", r.status);
    if (rc != ERR_OK && r.output != NULL)
        strbuf_puts(output, r.output);
    proc_result_clear(&r);
    return rc;
}

enum err_code postfix_trial_start(const struct postfix *p, const struct rendition *r,
                                  const char *staged_etc, struct arena *a,
                                  struct trial_listener **ret, size_t *ret_n, struct strbuf *output,
                                  struct err *e)
{
    struct making m = {.r = r,
                       .a = a,
                       .port = (int)p->s->trial_port - 1,
                       .master = STRBUF_INIT(CF_FILE_MAX),
                       .transports = STRBUF_INIT(64 * KIB)};
    enum err_code rc;

    postfix_trial_stop(p);
    rc = make_skeleton(p, e);
    if (rc == ERR_OK)
        rc = build(p, staged_etc, &m, e);
    if (rc == ERR_OK)
        rc = strbuf_check(&m.master, e);
    if (rc == ERR_OK)
        rc = strbuf_check(&m.transports, e);
    if (rc == ERR_OK)
        rc = start(p, output, e);
    strbuf_clear(&m.master);
    strbuf_clear(&m.transports);
    if (rc != ERR_OK) {
        postfix_trial_log(p, output);
        postfix_trial_stop(p);
        return rc;
    }
    *ret = m.v;
    *ret_n = m.n;
    return ERR_OK;
}
