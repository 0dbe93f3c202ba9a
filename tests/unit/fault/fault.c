#include "fault.h"

#include "power.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
char *__real_strdup(const char *s);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);
int __real_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_rename(const char *from, const char *to);
int __real_link(const char *from, const char *to);
int __real_unlink(const char *path);
int __real_mkdir(const char *path, mode_t mode);
int __real_fchmod(int fd, mode_t mode);
int __real_ftruncate(int fd, off_t n);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);
char *__wrap_strdup(const char *s);
int __wrap_asprintf(char **ret, const char *fmt, ...);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_unlink(const char *path);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_ftruncate(int fd, off_t n);

/* Weak: a program without power.c has no power to cut. */
#pragma weak power_before_write
#pragma weak power_before_create
#pragma weak power_before_rename
#pragma weak power_before_unlink
#pragma weak power_after_fsync
#pragma weak power_cut

/* Of the sanitizers: who asked, when INARI_FAULT_TRACE is set. */
void __sanitizer_print_stack_trace(void);
#pragma weak __sanitizer_print_stack_trace

static struct fault now;
static long seen, hits;
static const char *where = "";

void fault_arm(struct fault f)
{
    now = f;
    seen = hits = 0;
}

long fault_disarm(void)
{
    now.mode = FAULT_OFF;
    return seen;
}

long fault_hits(void)
{
    return hits;
}

const char *fault_where(void)
{
    return where;
}

/* Is this call the one? */
static bool meant(enum fault_kind kind, const char *name)
{
    if (now.mode == FAULT_OFF || now.kind != kind)
        return false;
    seen++;
    if (now.mode == FAULT_COUNT || (seen != now.at && !(now.lasting && seen > now.at)))
        return false;
    hits++;
    where = name;
    if (__sanitizer_print_stack_trace != NULL && getenv("INARI_FAULT_TRACE") != NULL)
        __sanitizer_print_stack_trace();
    if (now.mode == FAULT_CUT) {
        power_cut(now.variant);
        (void)kill(getpid(), SIGKILL);
    }
    if (now.mode == FAULT_KILL && now.variant == 0)
        (void)kill(getpid(), SIGKILL);
    return true;
}

static void die_behind(bool hit)
{
    if (hit && now.mode == FAULT_KILL)
        (void)kill(getpid(), SIGKILL);
}

/* --- memory: a table of what is not freed, so that a leak on a path of failure shows at once ---
 */

enum { SLOTS = 1 << 18 };
static void *live[SLOTS];
static size_t n_live;
static void *const gone = (void *)(intptr_t)-1;

static size_t slot_of(const void *p)
{
    return (size_t)(((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) % SLOTS;
}

static void *keep(void *p)
{
    size_t i = slot_of(p);

    if (p == NULL)
        return NULL;
    while (live[i] != NULL && live[i] != gone)
        i = (i + 1) % SLOTS;
    live[i] = p;
    if (++n_live > SLOTS / 2)
        abort();
    return p;
}

/* false: none of ours (libraries allocate by themselves what our code frees). */
static bool forget(const void *p)
{
    size_t i = slot_of(p);

    for (; live[i] != NULL; i = (i + 1) % SLOTS) {
        if (live[i] == p) {
            live[i] = live[(i + 1) % SLOTS] == NULL ? NULL : gone;
            n_live--;
            return true;
        }
    }
    return false;
}

size_t fault_live(void)
{
    return n_live;
}

static bool no_memory(const char *name)
{
    if (!meant(FAULT_ALLOC, name))
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return no_memory("malloc") ? NULL : keep(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory("calloc") ? NULL : keep(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    void *more;
    bool ours;

    if (no_memory("realloc"))
        return NULL;
    ours = p == NULL || forget(p);
    more = __real_realloc(p, n);
    if (more == NULL)
        return NULL;
    return ours ? keep(more) : more;
}

void __wrap_free(void *p)
{
    if (p != NULL)
        (void)forget(p);
    __real_free(p);
}

char *__wrap_strdup(const char *s)
{
    return no_memory("strdup") ? NULL : keep(__real_strdup(s));
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
    int n;

    if (no_memory("asprintf"))
        return -1;
    n = __real_vasprintf(ret, fmt, ap);
    if (n >= 0)
        (void)keep(*ret);
    return n;
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = __wrap_vasprintf(ret, fmt, ap);
    va_end(ap);
    return n;
}

void fault_begin(void)
{
    json_object_seed(1); /* else every run has its own order of allocations */
}

/* --- calls on files --- */

/* true: the call is not made. */
static bool broken(bool *ret_hit, const char *name)
{
    *ret_hit = meant(FAULT_CALL, name);
    if (!*ret_hit || now.mode != FAULT_FAIL || now.err == FAULT_SHORT)
        return false;
    errno = now.err;
    return true;
}

/* How much of n bytes: half of them for a short one, and for a death in the middle. */
static size_t part(bool hit, size_t n)
{
    return hit && (now.mode == FAULT_KILL || now.err == FAULT_SHORT) && n > 1 ? n / 2 : n;
}

static bool with_power(void)
{
    return now.mode == FAULT_CUT;
}

static bool is_new(int flags)
{
    return (flags & O_CREAT) != 0;
}

int __wrap_openat(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;
    bool hit;
    int fd;

    if (is_new(flags)) {
        va_list ap;
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    if (broken(&hit, "open"))
        return -1;
    if (is_new(flags) && with_power())
        power_before_create(path);
    fd = __real_openat(dir, path, flags, mode);
    die_behind(hit);
    return fd;
}

int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;

    if (is_new(flags)) {
        va_list ap;
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return __wrap_openat(AT_FDCWD, path, flags, mode);
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    bool hit;

    ssize_t got = broken(&hit, "read") ? -1 : __real_read(fd, p, part(hit, n));

    die_behind(hit);
    return got;
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    bool hit;

    ssize_t got = broken(&hit, "pread") ? -1 : __real_pread(fd, p, n, at);

    die_behind(hit);
    return got;
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    ssize_t done;
    bool hit;

    if (broken(&hit, "write"))
        return -1;
    if (with_power())
        power_before_write(fd);
    done = __real_write(fd, p, part(hit, n));
    die_behind(hit);
    return done;
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    ssize_t done;
    bool hit;

    if (broken(&hit, "pwrite"))
        return -1;
    if (with_power())
        power_before_write(fd);
    done = __real_pwrite(fd, p, part(hit, n), at);
    die_behind(hit);
    return done;
}

static int sync_it(int fd, int (*fn)(int), const char *name)
{
    bool hit;
    int rc;

    if (broken(&hit, name))
        return -1;
    rc = fn(fd);
    if (with_power() && rc == 0)
        power_after_fsync(fd);
    die_behind(hit);
    return rc;
}

int __wrap_fsync(int fd)
{
    return sync_it(fd, __real_fsync, "fsync");
}

int __wrap_fdatasync(int fd)
{
    return sync_it(fd, __real_fdatasync, "fdatasync");
}

int __wrap_rename(const char *from, const char *to)
{
    bool hit;
    int rc;

    if (broken(&hit, "rename"))
        return -1;
    if (with_power())
        power_before_rename(from, to);
    rc = __real_rename(from, to);
    die_behind(hit);
    return rc;
}

int __wrap_link(const char *from, const char *to)
{
    bool hit;
    int rc;

    if (broken(&hit, "link"))
        return -1;
    if (with_power())
        power_before_create(to);
    rc = __real_link(from, to);
    die_behind(hit);
    return rc;
}

int __wrap_unlink(const char *path)
{
    bool hit;
    int rc;

    if (broken(&hit, "unlink"))
        return -1;
    if (with_power())
        power_before_unlink(path);
    rc = __real_unlink(path);
    die_behind(hit);
    return rc;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    bool hit;

    int rc = broken(&hit, "mkdir") ? -1 : __real_mkdir(path, mode);

    die_behind(hit);
    return rc;
}

int __wrap_fchmod(int fd, mode_t mode)
{
    bool hit;

    int rc = broken(&hit, "fchmod") ? -1 : __real_fchmod(fd, mode);

    die_behind(hit);
    return rc;
}

int __wrap_ftruncate(int fd, off_t n)
{
    bool hit;
    int rc;

    if (broken(&hit, "ftruncate"))
        return -1;
    if (with_power())
        power_before_write(fd);
    rc = __real_ftruncate(fd, n);
    die_behind(hit);
    return rc;
}

/* --- for the tests --- */

char *fault_folder(void)
{
    static char path[64];

    /* In memory where there is such a place: these tests fsync tens of thousands of times. */
    (void)snprintf(path, sizeof path, "%s/inari-fault-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(path);
}

size_t fault_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        (void)closedir(d);
    return n;
}

void fault_report(const char *kind, long n)
{
    const char *path = getenv("INARI_FAULT_COUNTS");
    FILE *f = path == NULL ? NULL : fopen(path, "a");

    (void)printf("%s: %ld injected\n", kind, n);
    if (f != NULL) {
        (void)fprintf(f, "%s\t%ld\n", kind, n);
        (void)fclose(f);
    }
}
