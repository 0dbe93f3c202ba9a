/*
 * alloc_fault.c - allocations that fail in a running daemon.  Only in builds with INARI_TEST_HOOKS,
 * linked into inarid, inari-agent, inari-helper and foxproxy with ld --wrap, so that every allocation their
 * own code and jansson make comes here; OpenSSL, libpq, libcurl and libmicrohttpd are left alone.
 * Source:   INARI_ALLOC_FAULTS names a file of 32 bytes, mapped at the start: a test writes
 * "one_in" and "seed" into it while the daemon runs and reads how many there were.  Without the
 *           variable nothing ever fails.
 * Threads:  any.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
int __wrap_asprintf(char **ret, const char *fmt, ...);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);

static struct faults {
    _Atomic uint32_t one_in; /* 0: none fails */
    _Atomic uint32_t seed;
    _Atomic uint64_t seen, injected;
    uint64_t unused;
} * faults;

__attribute__((constructor)) static void map_faults(void)
{
    const char *path = getenv("INARI_ALLOC_FAULTS");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *p;

    if (fd < 0)
        return;
    p = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (p != MAP_FAILED)
        faults = p;
}

/* splitmix64: which ones fail depends on the seed and on their number alone. */
static bool fails(void)
{
    uint32_t one_in =
        faults == NULL ? 0 : atomic_load_explicit(&faults->one_in, memory_order_relaxed);
    uint64_t x;

    if (one_in == 0)
        return false;
    x = atomic_fetch_add_explicit(&faults->seen, 1, memory_order_relaxed) +
        ((uint64_t)atomic_load_explicit(&faults->seed, memory_order_relaxed) << 32);
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    if (x % one_in != 0)
        return false;
    atomic_fetch_add_explicit(&faults->injected, 1, memory_order_relaxed);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
    if (fails()) {
        *ret = NULL;
        return -1;
    }
    return __real_vasprintf(ret, fmt, ap);
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
