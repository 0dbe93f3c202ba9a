/* "inarictl events --follow": events as they are stored, over lost connections and restarts of the
 * parent. */
#include "follow.h"

#include "apiclient/sse.h"
#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    SILENCE_S = 45, /* the parent gives a sign of life every 15 s */
    MESSAGE_MAX = 1 << 20,
    RETRY_MS = 2000, /* until the parent says otherwise */
    RETRY_MAX_MS = 30 * 1000
};

struct follow {
    struct cli *c;
    void (*show)(struct cli *c, const json_t *event);
    int64_t left;                  /* events to show; negative: without end */
    bool any, ever, enough, again; /* any, ever: something came, on this connection, on one */
    struct sse sse;
    struct err e;
};

/* What the parent says about the stream itself. */
static void about_stream(struct follow *f, const struct sse_message *m, const json_t *doc)
{
    if (strcmp(m->name, "gap") == 0)
        complain(f->c, T_FOLLOW_GAP, json_str(doc, "reason", "?"));
    else if (strcmp(m->name, "overflow") == 0)
        f->again = true;
}

static bool on_message(void *ctx, const struct sse_message *m)
{
    struct follow *f = ctx;
    AUTO(json_free) json_t *doc = NULL;
    struct err e = {0};

    if (json_in_parse(slice_of(m->data), MESSAGE_MAX, &doc, &e) != ERR_OK)
        return true; /* not of a parent that we know */
    if (m->name[0] != '\0') {
        about_stream(f, m, doc);
        return true;
    }
    if (f->c->json) {
        (void)json_dumpf(doc, stdout, JSON_COMPACT);
        fputc('\n', stdout);
    } else {
        f->show(f->c, doc);
    }
    f->left -= f->left > 0;
    f->enough = f->left == 0 || fflush(stdout) != 0 || ferror(stdout) != 0;
    return !f->enough;
}

static bool on_piece(void *ctx, struct slice piece)
{
    struct follow *f = ctx;
    bool stopped = false;

    f->any = f->ever = true;
    return sse_feed(&f->sse, piece, &stopped, &f->e) == ERR_OK && !stopped;
}

/* Lost, restarted, busy: it comes back.  Anything else is the caller's fault. */
static bool passes(enum err_code rc)
{
    return rc == ERR_OK || rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT || rc == ERR_OVERLOADED ||
           rc == ERR_MAINTENANCE;
}

/* Half of it, and a part that is drawn by the time: those who were cut off together do not come
 * back together. */
static void wait_ms(int64_t ms)
{
    (void)usleep((useconds_t)((ms / 2 + clock_mono_us() % (ms / 2 + 1)) * 1000));
}

static enum cli_exit once(struct follow *f, const char *path, const char *last, int64_t *retry_ms)
{
    const struct apistream s = {path, "text/event-stream", last, SILENCE_S, on_piece, f};
    struct apireply r;
    struct err e = {0};
    enum err_code rc;
    enum cli_exit status = EXIT_OK_;

    f->any = f->again = false;
    rc = apiclient_stream(f->c->client, &s, &r, &e);
    if (f->e.code != ERR_OK) {
        status = fail(f->c, &f->e, NULL);
    } else if (!passes(rc) || (!f->ever && rc != ERR_OK)) {
        status = fail(f->c, &e, r.json);
    } else if (!f->enough) {
        int64_t usual = f->sse.retry_ms < 0 ? RETRY_MS : f->sse.retry_ms;
        if (rc != ERR_OK && !f->any)
            *retry_ms = *retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : *retry_ms * 2;
        else
            *retry_ms = usual;
        if (!f->again)
            wait_ms(*retry_ms);
    }
    apireply_clear(&r);
    return status;
}

enum cli_exit follow(struct cli *c, const char *path, int64_t limit,
                     void (*show)(struct cli *c, const json_t *event))
{
    struct follow f = {.c = c, .show = show, .left = limit};
    char last[sizeof f.sse.id] = "";
    int64_t retry_ms = RETRY_MS;
    enum cli_exit rc = cli_connect(c);

    while (rc == EXIT_OK_ && !f.enough) {
        sse_init(&f.sse, MESSAGE_MAX, last, on_message, &f);
        rc = once(&f, path, last, &retry_ms);
        memcpy(last, f.sse.id, sizeof last);
        sse_clear(&f.sse);
    }
    return rc;
}
