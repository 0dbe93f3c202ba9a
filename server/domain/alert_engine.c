#include "domain/alert_engine.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/alert_engine_store.h"

#include <stdio.h>

enum { ENGINE_ARENA = 16 * 1024 * 1024, DAY_MS = 86400 * 1000, CERTIFICATE_DAYS = 91, LOGGED = 20 };

/* The name people know this parent by, without "https://". */
static const char *own_name(const struct app *app)
{
    return slice_starts(slice_of(app->issuer), "https://") ? app->issuer + 8 : app->issuer;
}

static void own_subject(const struct app *app, char *buf, size_t size)
{
    (void)snprintf(buf, size, "parent/%s", own_name(app));
}

static void add_fact(json_t *facts, const struct app *app, const char *kind, int64_t value)
{
    char subject[300];

    own_subject(app, subject, sizeof subject);
    (void)json_array_append_new(facts, json_pack("{s:s,s:s,s:s,s:I,s:{}}", "kind", kind, "subject",
                                                 subject, "name", own_name(app), "value",
                                                 (json_int_t)value, "detail"));
}

json_t *alert_engine_facts(const struct app *app, int64_t away_s)
{
    uint64_t failed = json_failures();
    json_t *facts = json_array();
    int64_t end = app->certificate_end_ms == NULL ? 0 : app->certificate_end_ms();
    int64_t days = (end - clock_wall_ms()) / DAY_MS;

    if (end != 0 && days <= CERTIFICATE_DAYS)
        add_fact(facts, app, "parent-certificate", days);
    if (away_s > 0)
        add_fact(facts, app, "parent-database", away_s);
    if (atomic_load(&app->fenced))
        add_fact(facts, app, "parent-fenced", 1);
    if (json_failures() == failed)
        return facts;
    json_decref(facts);
    return NULL;
}

struct pass {
    const struct app *app;
    const json_t *facts;
    struct arena *a;
    struct alert_move *moves;
    size_t n;
    int64_t notices;
};

static enum err_code pass_in_tx(struct db *db, void *ctx, struct err *e)
{
    struct pass *p = ctx;
    int64_t now = clock_wall_ms();
    char self[300];
    enum err_code rc = alert_engine_store_lock(db, e);

    own_subject(p->app, self, sizeof self);
    if (rc == ERR_OK)
        rc = alert_engine_store_step(db, now, p->facts, self, p->a, &p->moves, &p->n, e);
    if (rc == ERR_OK)
        rc = alert_engine_store_tell(db, now, &p->notices, e);
    return rc == ERR_OK ? alert_engine_store_next(db, now, e) : rc;
}

enum err_code alert_engine_run(struct db *db, const struct app *app, const json_t *facts,
                               int64_t *ret_notices, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(ENGINE_ARENA);
    struct pass p = {.app = app, .facts = facts, .a = a};
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : tx_run(db, "alerts", pass_in_tx, &p, e);

    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < p.n && i < LOGGED; i++)
        log_event(strcmp(p.moves[i].state, "firing") == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
                  strcmp(p.moves[i].state, "firing") == 0 ? "alert.firing" : "alert.resolved",
                  KV_STR("rule", p.moves[i].rule), KV_STR("severity", p.moves[i].severity),
                  KV_STR("name", p.moves[i].name), KV_STR("alert", p.moves[i].id));
    if (p.n > LOGGED)
        log_event(LOG_LEVEL_WARN, "alert.more", KV_INT("changed", p.n), KV_INT("logged", LOGGED));
    *ret_notices = p.notices;
    return ERR_OK;
}

enum err_code alert_engine_trim(struct db *db, struct err *e)
{
    return alert_engine_store_trim(db, clock_wall_ms(), e);
}
