/* The 304 of a child's poll, by far the most frequent answer: made from a response of an earlier
 * one, of which only the headers that differ are replaced.  Building one anew costs some 30
 * allocations. */
#include "http/http_private.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEADERS_MAX = 14, KEPT_MAX = 64 };

struct unchanged {
    struct unchanged *next;
    struct MHD_Response *response;
    size_t n;
    struct {
        const char *name; /* static */
        char value[80];
    } header[HEADERS_MAX];
};

static struct unchanged *take(struct http *h)
{
    static char nothing[1];
    struct unchanged *u;

    (void)pthread_mutex_lock(&h->unchanged_lock);
    u = h->unchanged;
    if (u != NULL) {
        h->unchanged = u->next;
        h->unchanged_n--;
    }
    (void)pthread_mutex_unlock(&h->unchanged_lock);
    if (u != NULL || (u = calloc(1, sizeof *u)) == NULL)
        return u;
    u->response = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    if (u->response == NULL) {
        free(u);
        return NULL;
    }
    return u;
}

static void destroy(struct unchanged *u)
{
    MHD_destroy_response(u->response);
    free(u);
}

void unchanged_give(struct http *h, struct unchanged *u)
{
    bool keep;

    if (u == NULL)
        return;
    (void)pthread_mutex_lock(&h->unchanged_lock);
    keep = h->unchanged_n < KEPT_MAX;
    if (keep) {
        u->next = h->unchanged;
        h->unchanged = u;
        h->unchanged_n++;
    }
    (void)pthread_mutex_unlock(&h->unchanged_lock);
    if (!keep)
        destroy(u);
}

void unchanged_clear(struct http *h)
{
    while (h->unchanged != NULL) {
        struct unchanged *u = h->unchanged;
        h->unchanged = u->next;
        destroy(u);
    }
}

/* The time of the answer; the library would format it for each. */
static const char *date(void)
{
    static _Thread_local int64_t at_s = -1;
    static _Thread_local char text[CLOCK_TEXT_SIZE];
    int64_t now_ms = clock_wall_coarse_ms();

    if (now_ms / 1000 != at_s) {
        at_s = now_ms / 1000;
        clock_format_http(now_ms, text);
    }
    return text;
}

static bool put(struct unchanged *u, size_t i, const char *name, const char *value)
{
    if (i < u->n && strcmp(u->header[i].name, name) == 0 && strcmp(u->header[i].value, value) == 0)
        return true;
    if (i == HEADERS_MAX || strlen(value) >= sizeof u->header[i].value)
        return false;
    if (i < u->n &&
        MHD_del_response_header(u->response, u->header[i].name, u->header[i].value) != MHD_YES)
        return false;
    if (MHD_add_response_header(u->response, name, value) != MHD_YES)
        return false;
    u->header[i].name = name;
    text_copy(u->header[i].value, sizeof u->header[i].value, value);
    u->n += i == u->n;
    return true;
}

/* Headers of an earlier answer beyond the first n. */
static bool cut(struct unchanged *u, size_t n)
{
    for (; u->n > n; u->n--)
        if (MHD_del_response_header(u->response, u->header[u->n - 1].name,
                                    u->header[u->n - 1].value) != MHD_YES)
            return false;
    return true;
}

static bool fill(struct unchanged *u, const struct call *c, const struct reply *rp)
{
    char etag[sizeof rp->etag + 2];
    size_t i = 0, n = strlen(rp->etag);

    etag[0] = etag[n + 1] = '"';
    memcpy(etag + 1, rp->etag, n);
    etag[n + 2] = '\0';
    if (!put(u, i++, "Date", date()) || !put(u, i++, "Inari-Request-Id", c->id) ||
        !put(u, i++, "ETag", etag))
        return false;
    for (size_t k = 0; k < rp->n_headers; k++)
        if (!put(u, i++, rp->header[k].name, rp->header[k].value))
            return false;
    return cut(u, i);
}

bool unchanged_make(struct call *c, const struct reply *rp)
{
    struct unchanged *u;

    if (c->rq.who.kind != WHO_DEVICE || rp->location[0] != '\0' ||
        atomic_load_explicit(&c->h->stopping, memory_order_relaxed))
        return false;
    u = take(c->h);
    if (u == NULL)
        return false;
    if (!fill(u, c, rp)) { /* which headers it has now is not known */
        destroy(u);
        return false;
    }
    c->unchanged = u;
    c->response = u->response;
    return true;
}
