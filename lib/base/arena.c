#include "base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

struct block {
    struct block *next;
    size_t used, size;
    alignas(max_align_t) char data[];
};

struct deferred {
    struct deferred *next;
    void (*fn)(void *);
    void *p;
};

struct arena {
    struct block *blocks; /* newest first; the last one is first */
    struct deferred *deferred;
    size_t total, max;
    bool failed;
    struct block first; /* in one allocation with the arena: most requests need no other */
};

static _Thread_local uint64_t failures;

uint64_t arena_failures(void)
{
    return failures;
}

/* A held poll keeps its arena for a minute: what it needs (1.6 KiB) and little more. */
enum { FIRST_BLOCK = 2048 };

struct arena *arena_new(size_t max)
{
    size_t size = max < FIRST_BLOCK ? max : FIRST_BLOCK;
    struct arena *a = malloc(sizeof *a + size);

    if (a == NULL)
        return NULL;
    a->blocks = &a->first;
    a->deferred = NULL;
    a->total = size;
    a->max = max;
    a->failed = false;
    a->first.next = NULL;
    a->first.used = 0;
    a->first.size = size;
    return a;
}

void arena_reset(struct arena *a)
{
    for (struct deferred *d = a->deferred; d != NULL; d = d->next)
        d->fn(d->p);
    for (struct block *b = a->blocks, *next; b != &a->first; b = next) {
        next = b->next;
        free(b);
    }
    a->deferred = NULL;
    a->blocks = &a->first;
    a->total = a->first.size;
    a->failed = false;
    a->first.used = 0;
}

bool arena_ok(const struct arena *a)
{
    return !a->failed;
}

static void *failed(struct arena *a)
{
    a->failed = true;
    return NULL;
}

void arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    arena_reset(a);
    free(a);
}

void *arena_alloc(struct arena *a, size_t n)
{
    struct block *b = a->blocks;
    size_t align = alignof(max_align_t);
    void *p;

    if (n > a->max)
        return failed(a);
    n = (n + align - 1) / align * align;
    if (b->size - b->used < n) {
        size_t size = b->size < FIRST_BLOCK ? FIRST_BLOCK : b->size * 2;
        if (size > 256 * KIB)
            size = 256 * KIB;
        if (size < n)
            size = n;
        if (a->total + n > a->max)
            return failed(a);
        b = calloc(1, sizeof *b + size);
        if (b == NULL) {
            failures++;
            return failed(a);
        }
        b->size = size;
        b->next = a->blocks;
        a->blocks = b;
        a->total += size;
    }
    p = b->data + b->used;
    b->used += n;
    if (b == &a->first) /* the others were made of zeros */
        memset(p, 0, n);
    return p;
}

char *arena_slice_dup(struct arena *a, struct slice s)
{
    char *p = arena_alloc(a, s.n + 1);

    if (p != NULL && s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s == NULL ? NULL : arena_slice_dup(a, slice_of(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p == NULL)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

bool arena_defer(struct arena *a, void (*fn)(void *), void *p)
{
    struct deferred *d = arena_alloc(a, sizeof *d);

    if (d == NULL) {
        fn(p);
        return false;
    }
    *d = (struct deferred){a->deferred, fn, p};
    a->deferred = d;
    return true;
}
