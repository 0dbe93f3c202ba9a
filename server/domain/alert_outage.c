#include "domain/alert_outage.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "domain/alert_send.h"

#include <stdio.h>
#include <stdlib.h>

enum { OUTAGE_ARENA = 4 * 1024 * 1024 };
/* After the first, second ... failed try. */
static const int64_t pauses_ms[ALERT_NOTICE_TRIES - 1] = {30000, 120000, 600000, 1800000};

struct told {
    int64_t tries, again_ms; /* monotonic */
    bool done;
    char id[UUID_TEXT_SIZE]; /* of the notice: the same for each try */
};

struct alert_outage {
    struct arena *a;
    struct alert_outage_row *row; /* one a rule and channel */
    struct told *told;
    size_t n;
};

void alert_outage_free(struct alert_outage *o)
{
    if (o == NULL)
        return;
    arena_free(o->a);
    free(o->told);
    free(o);
}

enum err_code alert_outage_load(struct db *db, struct alert_outage **ret, struct err *e)
{
    struct alert_outage *o = calloc(1, sizeof *o);
    enum err_code rc;

    if (o == NULL || (o->a = arena_new(OUTAGE_ARENA)) == NULL) {
        free(o);
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    rc = alert_engine_store_outage(db, clock_wall_ms(), o->a, &o->row, &o->n, e);
    o->told = calloc(o->n + 1, sizeof *o->told);
    if (rc == ERR_OK && o->told == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc != ERR_OK) {
        alert_outage_free(o);
        return rc;
    }
    *ret = o;
    return ERR_OK;
}

/* As the engine writes them. */
static json_t *body_of(const struct app *app, const struct alert_outage_row *r, int64_t away_s)
{
    const char *name =
        slice_starts(slice_of(app->issuer), "https://") ? app->issuer + 8 : app->issuer;
    char subject[300];

    (void)snprintf(subject, sizeof subject, "parent/%s", name);
    return json_pack(
        "{s:s,s:s,s:{s:I},s:s,s:I,s:{s:i,s:i,s:i},s:[{s:s,s:s,s:s,s:n,s:s,s:s,s:I,s:{},s:I}]}",
        "rule", r->rule, "kind", "parent-database", "parameters", "away_s", (json_int_t)r->away_s,
        "severity", r->severity, "trap", (json_int_t)r->trap, "counts", "firing", 1, "still", 0,
        "resolved", 0, "alerts", "id", "", "what", "firing", "subject", subject, "device", "name",
        name, "kind", "parent-database", "value", (json_int_t)away_s, "detail", "since_ms",
        (json_int_t)(clock_wall_ms() - away_s * 1000));
}

static void tell(const struct alert_outage_row *r, struct told *t, const struct app *app,
                 int64_t away_s, const struct notify_run *run)
{
    AUTO(json_free) json_t *body = body_of(app, r, away_s);
    struct alert_notice n = {.id = t->id,
                             .channel_id = r->channel_id,
                             .channel = r->channel,
                             .kind = r->channel_kind,
                             .lang = r->lang,
                             .config = r->config,
                             .body = body,
                             .box = r->box,
                             .created_ms = clock_wall_ms()};
    struct err e = {0};
    enum err_code rc;

    if (t->tries == 0)
        uuid7(t->id);
    rc = body == NULL ? err_set(&e, ERR_NO_MEMORY, "out of memory") : alert_send(app, &n, run, &e);
    t->tries++;
    t->done = rc == ERR_OK || t->tries >= ALERT_NOTICE_TRIES;
    if (!t->done)
        t->again_ms = clock_mono_ms() + pauses_ms[t->tries - 1];
    log_event(rc == ERR_OK ? LOG_LEVEL_INFO
              : t->done    ? LOG_LEVEL_ERROR
                           : LOG_LEVEL_INFO,
              rc == ERR_OK ? "alert.sent"
              : t->done    ? "alert.given_up"
                           : "alert.not_sent",
              KV_STR("notice", t->id), KV_STR("channel", r->channel), KV_INT("try", t->tries),
              KV_STR("problem", e.msg));
}

void alert_outage_tell(struct alert_outage *o, const struct app *app, int64_t away_s,
                       const struct notify_run *run)
{
    for (size_t i = 0; o != NULL && i < o->n; i++) {
        if (o->told[i].done || o->row[i].away_s > away_s || clock_mono_ms() < o->told[i].again_ms)
            continue;
        if (run->stop != NULL && atomic_load(run->stop))
            return;
        tell(&o->row[i], &o->told[i], app, away_s, run);
    }
}
