#include "targets/postfix_requeue.h"

#include "base/clock.h"
#include "targets/postfix_cf.h"
#include "targets/postfix_stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const long FILE_MAX = 1L << 40;
static const long long TIME_MAX = 1LL << 40;
enum { RECORDS_MAX = 4096, RECORD_KEPT = 256, FLUSH_EACH_MAX = 20, DEPTH_MAX = 2, ID_MAX = 64 };

struct look {
    const struct postfix *p;
    const struct requeue_request *rq;
    struct cf_service *services;
    size_t n_services, looked, n_requeue, n_flush;
    struct strbuf requeue, flush; /* queue ids, one a line */
    int64_t now_s;
    bool deferred; /* of the queue being walked */
};

/* --- one queue file --- */

struct envelope {
    int64_t arrival_ms;
    char filter[REQUEUE_FILTER_SIZE];
    bool whole; /* sizes, arrival, content and end were there: damaged files are Postfix's business
                 */
};

/* Type and data of the next record; what is longer than buf is skipped.  0: the end, or no record.
 */
static int next_record(FILE *f, char *buf, size_t size)
{
    unsigned long len = 0;
    int type = getc(f), c = 0;

    for (unsigned shift = 0; type != EOF; shift += 7) {
        c = getc(f);
        if (c == EOF || shift > 28)
            return 0;
        len |= (unsigned long)(c & 0x7f) << shift;
        if ((c & 0x80) == 0)
            break;
    }
    if (type == EOF)
        return 0;
    if (len < size) {
        if (fread(buf, 1, len, f) != len)
            return 0;
        buf[len] = '\0';
        return type;
    }
    buf[0] = '\0';
    return fseek(f, (long)len, SEEK_CUR) == 0 ? type : 0;
}

/* The envelope in front of the content and, since header checks add theirs there, behind it. */
static void read_envelope(FILE *f, struct envelope *v)
{
    char buf[RECORD_KEPT];
    long size = 0, start = 0;
    long long s, us;
    bool content = false;
    int type;

    for (int i = 0; i < RECORDS_MAX && (type = next_record(f, buf, sizeof buf)) != 0; i++) {
        if (type == 'C') {
            if (sscanf(buf, "%ld %ld", &size, &start) != 2 || size > FILE_MAX || start > FILE_MAX)
                return;
        } else if (type == 'T') {
            if (sscanf(buf, "%lld %lld", &s, &us) == 2 && s >= 0 && s < TIME_MAX)
                v->arrival_ms = s * 1000 + us / 1000;
        } else if (type == 'L') {
            (void)snprintf(v->filter, sizeof v->filter, "%s", buf);
        } else if (type == 'M') {
            if (content || size <= 0 || start <= 0 || fseek(f, start + size, SEEK_SET) != 0)
                return;
            content = true;
        } else if (type == 'E') {
            v->whole = content && v->arrival_ms > 0;
            return;
        }
    }
}

static bool transport_exists(const struct look *l, const char *filter)
{
    size_t n = strcspn(filter, ":");

    for (size_t i = 0; i < l->n_services; i++)
        if (strlen(l->services[i].name) == n && strncmp(l->services[i].name, filter, n) == 0 &&
            strcmp(l->services[i].type, "inet") != 0)
            return true;
    return false;
}

static void judge(struct look *l, const char *id, const struct envelope *v, const struct stat *st)
{
    const struct requeue_request *rq = l->rq;
    bool waits = l->deferred && st->st_mtime > l->now_s + 1;
    bool wrong = v->filter[0] != '\0' &&
                 (strcmp(v->filter, rq->filters[0]) == 0 || strcmp(v->filter, rq->filters[1]) == 0);

    if (!v->whole || v->arrival_ms < rq->since_ms)
        return;
    if (v->filter[0] != '\0' && (!transport_exists(l, v->filter) || (wrong && waits))) {
        if (l->n_requeue < REQUEUE_MAX) {
            strbuf_printf(&l->requeue, "%s\n", id);
            l->n_requeue++;
        }
    } else if (rq->flush && waits && !wrong && v->arrival_ms <= rq->until_ms) {
        if (l->n_flush < REQUEUE_MAX) {
            strbuf_printf(&l->flush, "%s\n", id);
            l->n_flush++;
        }
    }
}

/* --- the queues --- */

static bool is_id(const char *name)
{
    size_t n = strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    return n >= 6 && n < ID_MAX && name[n] == '\0';
}

/* The spool is Postfix's, not ours: nothing in it is followed, and only whole messages are read. */
static void look_at(struct look *l, int dir, const char *name)
{
    struct envelope v = {0};
    struct stat st;
    FILE *f;
    int fd;

    l->looked++;
    if (!is_id(name) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        (st.st_mode & S_IXUSR) == 0 || (int64_t)st.st_ctime < l->rq->since_ms / 1000)
        return;
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    f = fd < 0 ? NULL : fdopen(fd, "r");
    if (f == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        read_envelope(f, &v);
        judge(l, name, &v, &st);
    }
    (void)fclose(f);
}

static void walk(struct look *l, int parent, const char *name, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *f;

    if (d == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    while (l->looked < REQUEUE_LOOK_MAX && (f = readdir(d)) != NULL) {
        if (f->d_name[0] == '.')
            continue;
        if (f->d_type == DT_DIR) {
            if (depth > 0)
                walk(l, dirfd(d), f->d_name, depth - 1);
        } else {
            look_at(l, dirfd(d), f->d_name);
        }
    }
    (void)closedir(d);
}

/* --- the commands --- */

static enum err_code run(const struct postfix *p, const char *const *args, struct slice input,
                         struct err *e)
{
    const char *argv[10] = {NULL};
    struct proc_result r = {0};
    char path[4096];
    size_t n = 1;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/%s", p->s->postfix_commands, args[0]);
    argv[0] = path;
    while (args[n] != NULL && n + 1 < COUNT_OF(argv)) {
        argv[n] = args[n];
        n++;
    }
    rc = proc_run(argv, NULL, input, (int)p->s->command_timeout_ms, &r, e);
    if (rc == ERR_OK && r.timed_out)
        rc = err_set(e, ERR_TIMEOUT, "\"%s\" gave no result in time", args[0]);
    else if (rc == ERR_OK && r.status != 0)
        rc = err_set(e, ERR_UNAVAILABLE, "\"%s\" ended with status %d: %.200s", args[0], r.status,
                     r.output == NULL ? "" : r.output);
    proc_result_clear(&r);
    return rc;
}

static enum err_code requeue(struct look *l, struct err *e)
{
    const char *config = l->p->s->postfix_config;
    const char *const take[] = {"postsuper", "-c",     config,     "-r", "-",
                                "incoming",  "active", "deferred", NULL};
    const char *const wake[] = {"postkick", "-c", config, "public", "pickup", "W", NULL};
    enum err_code rc;

    if (l->n_requeue == 0)
        return ERR_OK;
    rc = run(l->p, take, strbuf_slice(&l->requeue), e);
    return rc == ERR_OK ? run(l->p, wake, (struct slice){NULL, 0}, e) : rc;
}

static enum err_code flush(struct look *l, struct err *e)
{
    const char *config = l->p->s->postfix_config;
    const char *const all[] = {"postqueue", "-c", config, "-f", NULL};
    struct slice rest = strbuf_slice(&l->flush);
    enum err_code rc = ERR_OK;

    if (l->n_flush > FLUSH_EACH_MAX)
        return run(l->p, all, (struct slice){NULL, 0}, e);
    while (rest.p != NULL && rest.n > 0 && rc == ERR_OK) {
        struct slice id = slice_cut(&rest, '\n');
        char text[ID_MAX];
        const char *const one[] = {"postqueue", "-c", config, "-i", text, NULL};
        (void)snprintf(text, sizeof text, "%.*s", (int)id.n, id.p);
        rc = id.n == 0 ? ERR_OK : run(l->p, one, (struct slice){NULL, 0}, e);
    }
    return rc;
}

enum err_code postfix_requeue(const struct postfix *p, const struct requeue_request *rq,
                              size_t *ret_requeued, size_t *ret_flushed, struct err *e)
{
    static const char *const queues[] = {"incoming", "active", "deferred"}; /* the way mail goes */
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO_STR char *text = NULL;
    struct look l = {.p = p,
                     .rq = rq,
                     .requeue = STRBUF_INIT((size_t)REQUEUE_MAX * ID_MAX),
                     .flush = STRBUF_INIT((size_t)REQUEUE_MAX * ID_MAX),
                     .now_s = clock_wall_s()};
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
    size_t n;

    if (rc == ERR_OK)
        rc = stage_read_live(p->s, "master.cf", &text, &n, NULL, e);
    if (rc == ERR_OK)
        rc = master_cf_parse((struct slice){text, n}, a, &l.services, &l.n_services, e);
    for (size_t i = 0; i < COUNT_OF(queues) && rc == ERR_OK; i++) {
        char dir[4200];
        l.deferred = i == 2;
        (void)snprintf(dir, sizeof dir, "%s/%s", p->s->postfix_queue, queues[i]);
        walk(&l, AT_FDCWD, dir, DEPTH_MAX);
    }
    if (rc == ERR_OK)
        rc = requeue(&l, e);
    if (rc == ERR_OK)
        rc = flush(&l, e);
    *ret_requeued = l.n_requeue;
    *ret_flushed = l.n_flush;
    strbuf_clear(&l.requeue);
    strbuf_clear(&l.flush);
    return rc;
}
