#include "domain/event_ingest.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "domain/event_policy.h"
#include "domain/event_read.h"
#include "domain/figure.h"
#include "domain/fleet_cache.h"
#include "store/db_copy.h"
#include "store/event_store.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    POLICY_TRIES = 3,
    AT_ONCE = 16, /* more than the pool ever runs */
    PIECE = 64 * 1024,
    DAY_MS = 24 * 3600 * 1000
};

/* --- one batch of a device at a time --- */

static pthread_mutex_t busy_lock = PTHREAD_MUTEX_INITIALIZER; /* taken alone */
static char busy[AT_ONCE][37];

static char *enter(const char *device_id)
{
    char *place = NULL;

    (void)pthread_mutex_lock(&busy_lock);
    for (size_t i = 0; i < AT_ONCE; i++) {
        if (strcmp(busy[i], device_id) == 0) {
            place = NULL;
            break;
        }
        if (place == NULL && busy[i][0] == '\0')
            place = busy[i];
    }
    if (place != NULL)
        (void)snprintf(place, sizeof busy[0], "%s", device_id);
    (void)pthread_mutex_unlock(&busy_lock);
    return place;
}

static void leave(char *place)
{
    (void)pthread_mutex_lock(&busy_lock);
    place[0] = '\0';
    (void)pthread_mutex_unlock(&busy_lock);
}

/* --- the transaction --- */

struct ingest {
    struct event_spool spool;
    struct event_rules rules;
    struct event_read in;
    int64_t policy_version, floor_day;
    struct figure_batch *figures; /* of the last try */
    int64_t acknowledged;
    bool again; /* the policy is another one meanwhile */
};

static struct slice span(const struct strbuf *b, struct event_span s)
{
    return s.n == 0 ? (struct slice){"", 0} : (struct slice){b->p + s.at, s.n};
}

static bool count(struct figure_batch *f, const struct strbuf *rows, const struct event_row *r)
{
    char client[INET6_ADDRSTRLEN] = "";

    if (r->family != 0)
        (void)inet_ntop(r->family, r->client, client, sizeof client);
    return figure_batch_add(f, &(struct figure_event){.at_ms = r->at_ms,
                                                      .kind = span(rows, r->kind),
                                                      .status = span(rows, r->status),
                                                      .reason = span(rows, r->reason),
                                                      .client = slice_of(client),
                                                      .size = r->size,
                                                      .delay_ms = r->delay_ms,
                                                      .count = r->count,
                                                      .internal = r->internal,
                                                      .detail = span(rows, r->detail)});
}

static enum err_code flush(struct db *db, struct strbuf *out, struct err *e)
{
    enum err_code rc = strbuf_check(out, e);

    if (rc == ERR_OK)
        rc = db_copy_put(db, strbuf_slice(out), e);
    out->n = 0;
    return rc;
}

static enum err_code put_row(struct db *db, struct strbuf *out, int64_t batch,
                             const struct strbuf *rows, const struct event_row *r, struct err *e)
{
    event_row_head(out, batch);
    strbuf_add(out, span(rows, r->row));
    return out->n >= PIECE ? flush(db, out, e) : ERR_OK;
}

static enum err_code copy_rows(struct db *db, const struct ingest *x, size_t from, int64_t batch,
                               const struct strbuf *gap_row, const struct event_row *gap,
                               struct err *e)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(PIECE + 8 * EVENT_LINE_MAX);
    int64_t want = x->in.n - (int64_t)from + (gap != NULL), copied = 0;
    enum err_code rc = db_copy_begin(db, EVENT_COPY, EVENT_COPY_LIMIT_MS, e);

    if (rc == ERR_OK && gap != NULL)
        rc = put_row(db, &out, batch, gap_row, gap, e);
    for (size_t i = from; rc == ERR_OK && i < x->in.n_rows; i++)
        rc = put_row(db, &out, batch, &x->in.rows, &x->in.row[i], e);
    if (rc == ERR_OK)
        rc = flush(db, &out, e);
    if (rc == ERR_OK)
        rc = db_copy_end(db, &copied, e);
    return rc == ERR_OK && copied != want
               ? err_set(e, ERR_INTERNAL, "%lld rows of %lld were stored", (long long)copied,
                         (long long)want)
               : rc;
}

/* The log of Postfix is stored up to a moment: the batch of its own stream says so, and where there
 * is nothing to send the figures of each minute. */
static enum err_code write_until(struct db *db, const struct ingest *x, struct err *e)
{
    bool own = strcmp(x->spool.stream, EVENT_STREAM_POSTFIX) == 0;
    int64_t until = own ? x->in.until_ms
                    : strcmp(x->spool.stream, EVENT_STREAM_AGENT) == 0
                        ? figure_batch_until(x->figures)
                        : 0;

    if (until <= 0)
        return ERR_OK;
    return event_store_until(db, x->spool.device_id, EVENT_STREAM_POSTFIX,
                             until < x->rules.now_ms ? until : x->rules.now_ms, e);
}

static enum err_code write_figures(struct db *db, struct ingest *x, size_t from,
                                   const struct strbuf *gap_row, const struct event_row *gap,
                                   struct err *e)
{
    enum err_code rc;
    bool ok;

    x->figures = figure_batch_new();
    ok = x->figures != NULL && (gap == NULL || count(x->figures, gap_row, gap));
    for (size_t i = from; ok && i < x->in.n_rows; i++)
        ok = count(x->figures, &x->in.rows, &x->in.row[i]);
    if (!ok)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = write_until(db, x, e);
    return rc == ERR_OK ? figure_batch_write(db, x->spool.device_id, x->figures, e) : rc;
}

/* from: the first row that is not stored yet.  known: acknowledged before. */
static enum err_code store(struct db *db, struct ingest *x, struct arena *a, size_t from,
                           int64_t known, struct err *e)
{
    AUTO_STRBUF struct strbuf gap_row = STRBUF_INIT(8 * KIB);
    int64_t batch = 0, last = x->in.first + x->in.n - 1, missing = x->in.first - 1 - known;
    struct event_row gap = {0};
    const struct event_row *g = missing > 0 ? &gap : NULL;
    enum err_code rc;

    if (g != NULL)
        event_line_gap(&x->rules, x->in.spool, known + 1, x->in.first - 1, &gap_row, &gap);
    rc = strbuf_check(&gap_row, e);
    if (rc == ERR_OK)
        rc = event_store_batch(db, &x->spool, x->rules.now_ms, x->in.first + (int64_t)from, last,
                               x->in.n - (int64_t)from + (g != NULL), a, &batch, e);
    if (rc == ERR_OK)
        rc = copy_rows(db, x, from, batch, &gap_row, g, e);
    if (rc == ERR_OK)
        rc = event_store_advance(db, &x->spool, last, x->in.dropped, g != NULL ? missing : 0, batch,
                                 e);
    if (rc == ERR_OK)
        rc = write_figures(db, x, from, &gap_row, g, e);
    if (rc == ERR_OK && g != NULL)
        log_event(LOG_LEVEL_WARN, "events.gap", KV_STR("device", x->spool.device_id),
                  KV_STR("stream", x->spool.stream), KV_INT("first", known + 1),
                  KV_INT("last", x->in.first - 1));
    x->acknowledged = last;
    return rc;
}

static enum err_code store_tx(struct db *db, void *ctx, struct err *e)
{
    struct ingest *x = ctx;
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    int64_t last = x->in.first + x->in.n - 1, from;
    struct event_known known;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : event_store_lock(db, &x->spool, a, &known, e);

    if (rc != ERR_OK)
        return rc;
    figure_batch_free(x->figures);
    x->figures = NULL;
    x->again = known.policy_version != x->policy_version || known.floor_day != x->floor_day;
    if (x->again)
        return err_set(e, ERR_OVERLOADED, "the policy of events was changed meanwhile");
    x->acknowledged = known.acknowledged;
    if (last <= known.acknowledged)
        return ERR_OK;
    from = known.acknowledged < x->in.first ? 0 : known.acknowledged - x->in.first + 1;
    /* A spool that was never heard of begins where it says: what was before was another one's. */
    return store(db, x, a, (size_t)from,
                 known.acknowledged == 0 ? x->in.begins - 1 : known.acknowledged, e);
}

/* --- before it --- */

static bool device_bytes(const char *id, unsigned char out[16])
{
    char hex[33];
    size_t n = 0;

    for (; *id != '\0' && n < sizeof hex - 1; id++)
        if (*id != '-')
            hex[n++] = *id;
    return *id == '\0' && n == 32 && hex_decode((struct slice){hex, n}, out, 16);
}

static enum err_code make_rules(struct ingest *x, struct db *db, const struct app *app,
                                struct arena *a, struct err *e)
{
    struct event_policy p;
    enum err_code rc = event_store_policy(db, a, &p, e);
    int64_t now = clock_wall_ms(), oldest = now / DAY_MS - p.keep_days;

    if (rc != ERR_OK)
        return rc;
    x->policy_version = p.version;
    x->floor_day = p.floor_day;
    x->rules =
        (struct event_rules){.stream = x->spool.stream,
                             .now_ms = now,
                             .oldest_ms = (oldest > p.floor_day ? oldest : p.floor_day) * DAY_MS,
                             .blind = event_policy_blind,
                             .blind_ctx = app};
    while (strcmp(event_subject_words[x->rules.subject], p.subject) != 0)
        x->rules.subject++;
    return device_bytes(x->spool.device_id, x->rules.device)
               ? ERR_OK
               : err_set(e, ERR_INTERNAL, "a device's id is none");
}

static enum err_code once(struct ingest *x, struct db *db, const struct app *app,
                          const struct event_batch *b, struct arena *a, struct err *e)
{
    enum err_code rc = make_rules(x, db, app, a, e);

    event_read_clear(&x->in);
    if (rc == ERR_OK)
        rc = event_read_body(b->body, b->zstd, &x->rules, &x->in, e);
    x->spool.spool = x->in.spool;
    for (size_t i = 0; rc == ERR_OK && i < x->rules.n_days; i++)
        rc = event_store_make_day(db, x->rules.days[i], NULL, e);
    return rc == ERR_OK ? tx_run(db, "events", store_tx, x, e) : rc;
}

enum err_code event_ingest(struct db *db, const struct app *app, const struct event_batch *batch,
                           struct arena *a, int64_t *ret_acknowledged, struct err *e)
{
    struct ingest x = {.spool = {batch->device_id, batch->stream, ""}};
    char *place = enter(batch->device_id);
    enum err_code rc;
    int tries = 0;

    if (place == NULL)
        return err_set(e, ERR_SLOW_DOWN, "another batch of this device is being stored");
    do {
        x.again = false;
        rc = once(&x, db, app, batch, a, e);
    } while (rc != ERR_OK && x.again && ++tries < POLICY_TRIES);
    leave(place);
    if (rc == ERR_OK && x.figures != NULL)
        figure_batch_committed(x.figures);
    if (rc == ERR_OK && x.figures != NULL && figure_batch_queue_age(x.figures) >= 0)
        fleet_set_queue_age(app->fleet, batch->device_id, figure_batch_queue_age(x.figures));
    if (rc == ERR_OK)
        *ret_acknowledged = x.acknowledged;
    figure_batch_free(x.figures);
    event_read_clear(&x.in);
    /* Repeating it is all there is to do, whatever became of it. */
    return rc == ERR_OUTCOME_UNKNOWN ? err_set(e, ERR_OVERLOADED, "send this batch again") : rc;
}
