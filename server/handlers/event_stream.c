#include "handlers/event_stream.h"

#include "base/hash.h"
#include "domain/event_feed.h"
#include "domain/figure_series.h"
#include "handlers/common.h"

#include <stdio.h>
#include <string.h>

/* A filter's text: printable, short enough for its place, of these characters (NULL: any). */
static enum err_code take(const struct req *rq, const char *name, const char *allowed, char *to,
                          size_t size, struct err *e)
{
    const char *v = req_query(rq, name);
    char pointer[64];

    (void)snprintf(pointer, sizeof pointer, "/query/%s", name);
    to[0] = '\0';
    if (v == NULL)
        return ERR_OK;
    if (allowed != NULL && (v[0] == '\0' || strlen(v) >= size || strspn(v, allowed) != strlen(v)))
        return err_field(e, ERR_INVALID, pointer,
                         "%s must have 1 to %zu letters from a to z and dots; leave it out for all",
                         name, size - 1);
    if (v[0] == '\0' || strlen(v) >= size || !slice_is_text(slice_of(v)))
        return err_field(e, ERR_INVALID, pointer,
                         "%s must have 1 to %zu characters; leave it out for all", name, size - 1);
    text_copy(to, size, v);
    return ERR_OK;
}

static enum err_code filter_of(struct req *rq, struct feed_filter *f, struct err *e)
{
    static const char lower[] = "abcdefghijklmnopqrstuvwxyz.";
    const struct {
        const char *name, *allowed;
        char *to;
        size_t size;
    } texts[] = {{"kind", lower, f->kind, sizeof f->kind},
                 {"stream", lower, f->stream, sizeof f->stream},
                 {"queue_id", NULL, f->queue_id, sizeof f->queue_id},
                 {"sender", NULL, f->sender, sizeof f->sender},
                 {"recipient", NULL, f->recipient, sizeof f->recipient}};
    const char *device = req_query(rq, "device"), *id = NULL;
    enum err_code rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < COUNT_OF(texts); i++)
        rc = take(rq, texts[i].name, texts[i].allowed, texts[i].to, texts[i].size, e);
    if (rc == ERR_OK && device != NULL)
        rc = figure_device(rq->db, rq->arena, device, &id, e);
    if (rc == ERR_OK && id != NULL)
        text_copy(f->device, sizeof f->device, id);
    return rc;
}

static enum err_code place_of(const struct req *rq, struct feed_ask *ask, struct err *e)
{
    const char *last = req_header(rq, "Last-Event-ID");

    ask->resume = last != NULL && last[0] != '\0';
    if (!ask->resume || feed_place_parse(last, &ask->epoch, &ask->place))
        return ERR_OK;
    return err_field(e, ERR_INVALID, "/header/Last-Event-ID",
                     "Last-Event-ID must be the id of an event of this stream; leave it out to "
                     "begin now");
}

/* What the feed asks for again and again. */
static void credential(const struct req *rq, char ret[65])
{
    const char *cookie = rq->who.kind == WHO_TOKEN ? NULL : req_session_cookie(rq);
    unsigned char hash[SHA256_SIZE];

    text_copy(ret, 65, rq->who.id);
    if (cookie == NULL)
        return;
    sha256(slice_of(cookie), hash);
    for (size_t i = 0; i < sizeof hash; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", hash[i]);
}

enum err_code event_stream_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct feed_ask ask = {.who = &rq->who};
    enum err_code rc = filter_of(rq, &ask.filter, e);

    if (rc == ERR_OK)
        rc = place_of(rq, &ask, e);
    if (rc != ERR_OK)
        return rc;
    credential(rq, ask.credential);
    rc = feed_follow(rq->app->feed, &ask, &rp->stream, e);
    if (rc != ERR_OK)
        return rc;
    rp->content_type = "text/event-stream";
    reply_header(rp, "X-Accel-Buffering", "no"); /* nginx would keep events for itself */
    return ERR_OK;
}
