/* After the end: devices that were away, held, new or regrouped catch up as they come back. */
#include "domain/rollout_private.h"

#include "store/revision_store.h"

#include <stdlib.h>
#include <string.h>

enum {
    BACK_SOON_MS =
        10 * 60 * 1000 /* one that was seen so lately is waited for, a poll of the others tells */
};

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct lagging {
    const char **ids; /* sorted */
    size_t n;
    const char **same, **there; /* it changes nothing for them; it does, and they are there */
    size_t n_same, n_there, n_soon;
};

static bool lags(const struct lagging *l, const char *id)
{
    return bsearch(&id, l->ids, l->n, sizeof *l->ids, by_id) != NULL;
}

static void look_at(const struct rollout_run *x, struct lagging *l, const struct issue_change *c,
                    const struct rollout_target *t)
{
    int64_t seen_ms = rollout_seen_ms(x->app, t->id, t->seen_ms);
    const struct rollout_device d = {
        .id = t->id, .device_state = t->state, .mode = t->mode, .seen_ms = seen_ms};

    if (!c->changed)
        l->same[l->n_same++] = t->id;
    else if (rollout_skip_reason(x, &d, true) == NULL &&
             seen_ms > x->now_ms - x->s.offline_after_s * 1000)
        l->there[l->n_there++] = t->id;
    else
        l->n_soon += seen_ms > x->now_ms - BACK_SOON_MS && strcmp(t->state, "held") != 0 &&
                     strcmp(t->state, "quarantined") != 0;
}

/* Whom it would change, and who is there. */
static enum err_code sort_out(struct rollout_run *x, struct lagging *l, struct err *e)
{
    struct issue_change *changes = NULL;
    struct rollout_target *targets = NULL;
    struct revision_row r = {0};
    size_t n = 0, n_targets = 0;
    enum err_code rc = revision_store_get(x->db, x->row.pub, x->a, &r, e);

    if (rc == ERR_OK)
        rc = issue_compare(x->db, x->app, r.content, x->row.urgent, x->a, &changes, &n, e);
    if (rc == ERR_OK)
        rc = rollout_target_store_list(x->db, x->a, &targets, &n_targets, e);
    if (rc == ERR_OK && n != n_targets)
        rc = err_set(e, ERR_CONFLICT, "the devices changed meanwhile");
    l->same = arena_alloc(x->a, (l->n + 1) * sizeof *l->same);
    l->there = arena_alloc(x->a, (l->n + 1) * sizeof *l->there);
    if (rc == ERR_OK && (l->same == NULL || l->there == NULL))
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        if (lags(l, targets[i].id))
            look_at(x, l, &changes[i], &targets[i]);
    }
    return rc;
}

/* Those that could not be released now wait outside of it: the next pass looks at them again. */
static enum err_code put_aside(struct rollout_run *x, size_t *ret_n, struct err *e)
{
    AUTO(json_free) json_t *rows = json_array();

    for (size_t i = 0; i < x->n; i++) {
        if (strcmp(x->d[i].state, "queued") == 0)
            (void)json_array_append_new(rows, json_pack("{s:s,s:s,s:s}", "device_id", x->d[i].id,
                                                        "state", "skipped", "reason", "waits"));
    }
    *ret_n += json_array_size(rows);
    return rollout_device_store_set(x->db, x->row.id, rows, x->now_ms, e);
}

static enum err_code offer(struct rollout_run *x, const struct lagging *l, size_t *ret_n,
                           struct err *e)
{
    const char *ids = issue_id_array(l->there, l->n_there, x->a);
    enum err_code rc = ids == NULL
                           ? err_set(e, ERR_NO_MEMORY, "out of memory")
                           : rollout_device_store_catch_up(x->db, x->row.id, ids, x->row.wave, e);

    if (rc == ERR_OK)
        rc = rollout_reload(x, e);
    if (rc == ERR_OK)
        rc = rollout_release(x, e);
    return rc == ERR_OK ? put_aside(x, ret_n, e) : rc;
}

enum err_code rollout_catch_up(struct rollout_run *x, size_t *ret_n, struct err *e)
{
    struct lagging l = {0};
    const struct issue_of of = rollout_gives(x);
    enum err_code rc =
        rollout_target_store_behind(x->db, x->row.id, x->row.pub, x->a, &l.ids, &l.n, e);

    if (rc != ERR_OK || l.n == 0)
        return rc;
    rc = sort_out(x, &l, e);
    if (rc == ERR_OK && l.n_same > 0)
        rc = issue_entitle(x->db, &of, l.same, l.n_same, x->a, e);
    *ret_n += l.n_soon;
    return rc == ERR_OK && l.n_there > 0 ? offer(x, &l, ret_n, e) : rc;
}
