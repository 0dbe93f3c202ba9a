/* Dry runs on demand, and reading them. */
#include "domain/dry_run.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/change.h"
#include "domain/draft_private.h"
#include "domain/live_layers.h"
#include "domain/page.h"
#include "domain/strategy.h"
#include "store/rollout_store.h"

#include <stdio.h>

enum { DEVICES_SHOWN = 500 };

/* --- reading --- */

static json_t *text_or_null(const char *s)
{
    return s == NULL || s[0] == '\0' ? json_null() : json_string(s);
}

static json_t *row_json(const struct dry_run_row *r)
{
    json_t *j = json_pack("{s:s,s:o,s:o,s:I,s:s,s:s,s:o,s:o,s:o}", "id", r->id, "rollout_id",
                          text_or_null(r->rollout_id), "draft_id", text_or_null(r->draft_id), "pub",
                          (json_int_t)r->pub, "state", r->state, "author", r->author, "created_at",
                          time_json(r->created_ms), "deadline_at", time_json(r->deadline_ms),
                          "ended_at", time_json(r->ended_ms));

    if (j != NULL && r->counts != NULL)
        (void)json_object_set(j, "counts", (json_t *)(uintptr_t)r->counts);
    return j;
}

static enum err_code whole(struct db *db, const struct dry_run_row *r, struct arena *a,
                           json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *devices = NULL;
    enum err_code rc = dry_run_store_devices(db, r->id, DEVICES_SHOWN, a, &devices, e);
    json_t *j;

    if (rc != ERR_OK)
        return rc;
    j = row_json(r);
    if (j == NULL || json_object_set(j, "devices", devices) != 0)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *ret = j;
    return ERR_OK;
}

enum err_code dry_run_get(struct db *db, const char *id, struct arena *a, json_t **ret,
                          struct err *e)
{
    struct dry_run_row r = {0};
    enum err_code rc = uuid_is_valid(id)
                           ? dry_run_store_get(db, id, a, &r, e)
                           : err_set(e, ERR_NOT_FOUND, "there is no dry run \"%s\"", id);

    return rc == ERR_OK ? whole(db, &r, a, ret, e) : rc;
}

enum err_code dry_run_of_rollout(struct db *db, const char *rollout_id, struct arena *a,
                                 json_t **ret, struct err *e)
{
    struct dry_run_row r = {0};
    enum err_code rc = dry_run_store_of_rollout(db, rollout_id, a, &r, e);

    if (rc == ERR_NOT_FOUND) {
        *ret = json_null();
        return ERR_OK;
    }
    return rc == ERR_OK ? whole(db, &r, a, ret, e) : rc;
}

enum err_code dry_run_list(struct db *db, const char *cursor, int64_t limit, struct arena *a,
                           json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct dry_run_row *v = NULL;
    size_t n = 0;
    enum err_code rc;

    if (page_cursor(cursor, e) != ERR_OK)
        return e->code;
    rc = dry_run_store_list(db, cursor, limit, a, &v, &n, e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        (void)json_array_append_new(items, row_json(&v[i]));
    if (rc == ERR_OK)
        *ret = page_json(TAKE(items), n, limit, n == 0 ? "" : v[n - 1].id);
    return rc;
}

/* --- on demand --- */

struct asking {
    const struct dry_run_ask *o;
    struct app *app;
    struct arena *a;
    struct findings *f;
    json_t *json;
};

/* The draft laid over the newest revision; refused where the planner refuses it. */
static enum err_code content_of(struct db *db, struct asking *x, struct preview *p,
                                int64_t *ret_pub, struct err *e)
{
    struct draft_row draft;
    struct revision_row head = {0};
    enum err_code rc = uuid_is_valid(x->o->draft_id)
                           ? draft_store_get(db, x->o->draft_id, x->a, &draft, e)
                           : err_set(e, ERR_NOT_FOUND, "there is no draft \"%s\"", x->o->draft_id);

    if (rc == ERR_OK)
        rc = draft_may_change(&draft, x->o->by, x->o->any_owner, e);
    if (rc == ERR_OK)
        rc = draft_preview(db, &draft, x->a, false, x->o->lang, x->f, p, e);
    if (rc == ERR_OK && (check_hard(x->f) > 0 || p->after == NULL))
        rc = err_set(e, ERR_INVALID, "%zu of the values cannot be published", check_hard(x->f));
    if (rc == ERR_OK)
        rc = revision_store_get(db, 0, x->a, &head, e);
    if (rc == ERR_OK)
        rc = live_layers(db, p->after, head.content, true, x->a, e);
    *ret_pub = head.pub;
    return rc;
}

static enum err_code offline_after(struct db *db, struct arena *a, int64_t *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    const json_t *policy = NULL;
    struct strategy s;
    int64_t version = 0;
    enum err_code rc = rollout_store_policy(db, a, &policy, &version, e);

    if (rc == ERR_OK)
        rc = strategy_merge(policy, NULL, "", &j, e);
    if (rc == ERR_OK)
        rc = strategy_read(j, "", &s, e);
    if (rc == ERR_OK)
        *ret = s.offline_after_s;
    return rc;
}

static enum err_code begin(struct db *db, struct asking *x, const struct preview *p, int64_t pub,
                           struct err *e)
{
    char id[UUID_TEXT_SIZE], object[64];
    struct issue_change *changes = NULL;
    struct rollout_target *targets = NULL;
    struct dry_run_new w = {.wait_s = x->o->wait_s};
    struct dry_run_row now = {0};
    size_t n = 0;
    enum err_code rc = issue_compare(db, x->app, p->after, "", x->a, &changes, &w.n, e);

    uuid7(id);
    w.row = (struct dry_run_row){.id = id,
                                 .draft_id = x->o->draft_id,
                                 .pub = pub,
                                 .content = p->after,
                                 .author = x->o->by->name};
    if (rc == ERR_OK)
        rc = rollout_target_store_list(db, x->a, &targets, &n, e);
    if (rc == ERR_OK && n != w.n)
        rc = err_set(e, ERR_CONFLICT, "the devices changed meanwhile");
    if (rc == ERR_OK)
        rc = offline_after(db, x->a, &w.offline_after_s, e);
    w.changes = changes;
    w.targets = targets;
    if (rc == ERR_OK)
        rc = dry_run_make(db, x->app, &w, x->a, e);
    if (rc == ERR_OK) /* over at once when nobody can be asked */
        rc = dry_run_step(db, id, false, w.row.created_ms, x->a, &now, e);
    if (rc != ERR_OK)
        return rc;
    json_decref(x->json);
    x->json = NULL;
    rc = dry_run_get(db, id, x->a, &x->json, e);
    (void)snprintf(object, sizeof object, "dry-run/%s", id);
    if (rc == ERR_OK) {
        AUTO(json_free)
        json_t *detail = json_pack("{s:s,s:O?}", "draft", x->o->draft_id, "counts",
                                   json_object_get(x->json, "counts"));
        rc = audit_append(db, x->o->by, "draft.dry-run", object, detail, e);
    }
    return rc;
}

static enum err_code ask_tx(struct db *db, void *ctx, struct err *e)
{
    struct asking *x = ctx;
    struct preview p = {0};
    int64_t pub = 0;
    enum err_code rc;

    findings_clear(x->f); /* a repeated transaction begins anew */
    rc = content_of(db, x, &p, &pub, e);
    if (rc == ERR_OK)
        rc = begin(db, x, &p, pub, e);
    draft_preview_clear(&p);
    return rc;
}

enum err_code dry_run_draft(struct db *db, struct app *app, const struct dry_run_ask *o,
                            struct arena *a, struct findings *f, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *work = arena_new(DRAFT_ARENA);
    struct asking x = {.o = o, .app = app, .a = work, .f = f};
    enum err_code rc = work == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                    : change_run(db, "dry_run.draft", o->dry_run, ask_tx, &x, e);

    (void)a;
    if (rc != ERR_OK) {
        json_decref(x.json);
        return rc;
    }
    if (!o->dry_run)
        (void)issue_committed(db, app, NULL);
    *ret = x.json;
    return ERR_OK;
}
