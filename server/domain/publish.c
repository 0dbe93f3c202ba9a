#include "domain/publish.h"

#include "base/rand.h"
#include "domain/change.h"
#include "domain/combine.h"
#include "domain/draft.h"
#include "domain/issue.h"
#include "domain/live_layers.h"
#include "domain/rollout.h"
#include "store/bundle_store.h"
#include "store/revision_store.h"
#include "store/rollout_store.h"
#include "store/secret_store.h"

#include <stdio.h>
#include <string.h>

enum {
    PUBLISH_ARENA = 512 * 1024 * 1024,
    AUDIT_LEAVES_MAX = 200,
    REVERT_BAKE_S = 30,
    REVERT_SHADOW_S = 20
};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

void published_clear(struct published *p)
{
    findings_clear(&p->findings);
    json_decref(p->result);
    json_decref(p->problem);
    *p = (struct published){0};
}

enum source { FROM_DRAFT, FROM_RESTORE, FROM_UNDO };
static const char *const kind_words[] = {"publish", "restore", "undo"};

struct publication {
    struct app *app;
    const struct publish *how;
    struct published *ret;
    enum source source;
    const char *draft_id;
    int64_t pub_of;      /* restored or undone */
    const char *reverts; /* rollout; "" none */
    const struct publish_fence *fence;
    /* one run of the transaction */
    struct arena *a;
    struct revision_row head;
    json_t *content, *diff, *kept, *devices, *rollout;
};

/* --- what it will be --- */

/* Who published each leaf in the way; the problem document names them, the first one also in its
 * text. */
static enum err_code stale(struct db *db, struct publication *p, int64_t base_pub,
                           json_t *conflicts, struct err *e)
{
    char pointer[sizeof e->pointer] = "";
    struct revision_row first = {.author = ""};
    json_t *leaf;
    size_t i;

    json_array_foreach(conflicts, i, leaf)
    {
        AUTO(json_free)
        json_t *one = json_pack("[{s:O,s:O,s:O,s:O}]", "layer", json_object_get(leaf, "layer"),
                                "id", json_object_get(leaf, "id"), "key",
                                json_object_get(leaf, "key"), "row", json_object_get(leaf, "row"));
        struct revision_row r = {.author = ""};
        enum err_code rc =
            one == NULL ? no_memory(e) : revision_store_last_change(db, base_pub, one, p->a, &r, e);

        if (rc != ERR_OK && rc != ERR_NOT_FOUND)
            return rc;
        (void)json_object_set_new(leaf, "pub", json_integer(r.pub));
        (void)json_object_set_new(leaf, "author", json_string(r.author));
        if (i == 0)
            first = r;
    }
    leaf = json_array_get(conflicts, 0);
    leaf_pointer(leaf, pointer, sizeof pointer);
    json_decref(p->ret->problem);
    p->ret->problem = json_pack("{s:O}", "conflicts", conflicts);
    return err_field(e, ERR_STALE_DRAFT, pointer,
                     "\"%s\" was published in revision %lld by %s meanwhile",
                     json_str(leaf, "key", ""), (long long)first.pub, first.author);
}

static enum err_code from_draft(struct db *db, struct publication *p, struct err *e)
{
    AUTO(json_free) json_t *leaves = NULL, *conflicts = NULL;
    struct draft_row draft;
    enum err_code rc = uuid_is_valid(p->draft_id)
                           ? draft_store_lock(db, p->draft_id, p->a, &draft, e)
                           : err_set(e, ERR_NOT_FOUND, "there is no such draft");

    if (rc == ERR_OK)
        rc = draft_may_change(&draft, p->how->by, p->how->any_owner, e);
    if (rc == ERR_OK)
        rc = draft_leaves(db, &draft, p->a, &p->ret->findings, &leaves, e);
    if (rc == ERR_OK && p->ret->findings.errors > 0)
        return ERR_OK; /* refused with its findings below */
    if (rc == ERR_OK)
        rc = content_apply(p->content, leaves, false, &conflicts, e);
    if (rc == ERR_OK && json_array_size(conflicts) > 0)
        rc = stale(db, p, draft.base_pub, conflicts, e);
    return rc;
}

static enum err_code from_history(struct db *db, struct publication *p, struct err *e)
{
    AUTO(json_free) json_t *back = NULL;
    struct revision_row r;
    enum err_code rc = revision_store_get(db, p->pub_of, p->a, &r, e);

    if (rc != ERR_OK)
        return rc;
    if (p->source == FROM_RESTORE) {
        json_decref(p->content);
        p->content = json_deep_copy(r.content);
        return p->content == NULL ? no_memory(e) : ERR_OK;
    }
    if (json_array_size(r.diff) == 0)
        return err_set(e, ERR_CONFLICT, "revision %lld changed nothing", (long long)p->pub_of);
    back = content_inverse(r.diff);
    if (back == NULL)
        return no_memory(e);
    rc = content_apply(p->content, back, false, &p->kept, e);
    if (rc == ERR_OK && json_array_size(p->kept) == json_array_size(back))
        return err_set(e, ERR_CONFLICT,
                       "everything that revision %lld changed was changed again since",
                       (long long)p->pub_of);
    return rc;
}

static bool is_in(const json_t *const *v, size_t n, const json_t *one)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i] == one)
            return true;
    }
    return false;
}

/* Laid over what each device has, it must be as good as on the newest revision. */
static enum err_code judge_on_top(struct db *db, struct publication *p, struct check *c,
                                  struct err *e)
{
    struct combine combine = {db, p->a, NULL};
    struct bundle_target *t = NULL;
    const json_t *before = NULL, **judged = NULL;
    size_t n = 0, n_judged = 0;
    enum err_code rc = bundle_store_targets(db, NULL, p->a, &t, &n, e);

    if (rc == ERR_OK && (judged = arena_alloc(p->a, (n + 1) * sizeof *judged)) == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        AUTO(json_free) json_t *after = NULL, *others = NULL;
        rc = combine_content(&combine, t[i].pub, t[i].urgent, &before, e);
        if (rc != ERR_OK || is_in(judged, n_judged, before))
            continue;
        judged[n_judged++] = before; /* few, however large the fleet */
        if (json_equal((json_t *)(uintptr_t)before, (json_t *)(uintptr_t)p->head.content))
            continue;
        after = json_deep_copy(before);
        if (after == NULL)
            return no_memory(e);
        rc = content_apply(after, p->diff, true, &others, e);
        c->before = before;
        c->after = after;
        if (rc == ERR_OK)
            rc = check_devices(db, c, &p->ret->findings, NULL, e);
    }
    return rc;
}

static enum err_code judge(struct db *db, struct publication *p, json_t **ret_devices,
                           struct err *e)
{
    struct findings *f = &p->ret->findings;
    bool draft = p->source == FROM_DRAFT;
    struct check c = {.before = p->head.content,
                      .after = p->content,
                      .at_changes = draft,
                      .plans = p->how->dry_run,
                      .lang = p->how->lang};
    bool expedited = false;
    enum err_code rc = ERR_OK;

    p->diff = content_diff(p->head.content, p->content);
    if (p->diff == NULL)
        return no_memory(e);
    c.leaves = p->diff;
    if (f->errors == 0)
        rc = check_values(p->content, p->diff, draft, f, e);
    if (rc == ERR_OK && f->errors == 0)
        rc = check_devices(db, &c, f, ret_devices, e);
    if (rc == ERR_OK && f->errors == 0)
        rc = rollout_is_expedited(db, p->how->rollout, p->a, &expedited, e);
    if (rc == ERR_OK && expedited)
        rc = judge_on_top(db, p, &c, e);
    if (rc != ERR_OK)
        return rc;
    if (check_hard(f) > 0)
        return err_set(e, ERR_INVALID, "%zu of the values cannot be published", check_hard(f));
    if (check_forceable(f) > 0 && p->how->force_reason == NULL)
        return err_field(e, ERR_INVALID, "/force",
                         "%zu of the values can only be published with a reason in force.reason",
                         check_forceable(f));
    return ERR_OK;
}

/* --- storing it --- */

static json_t *forced_json(const struct publication *p)
{
    const struct findings *f = &p->ret->findings;
    json_t *ids = json_array();

    if (check_forceable(f) == 0) {
        json_decref(ids);
        return NULL;
    }
    for (size_t i = 0; i < f->n; i++)
        if (!f->v[i].warning && f->v[i].forceable)
            (void)json_array_append_new(ids,
                                        json_pack("{s:s,s:s}", "id", finding_texts[f->v[i].id].id,
                                                  "pointer", f->v[i].pointer));
    return json_pack("{s:s,s:o}", "reason", p->how->force_reason, "findings", ids);
}

static enum err_code audit_it(struct db *db, struct publication *p, int64_t pub, const char *digest,
                              const json_t *forced, struct err *e)
{
    size_t n = json_array_size(p->diff);
    AUTO(json_free)
    json_t *detail = json_pack(
        "{s:s,s:I,s:s,s:s,s:O?,s:O?,s:I}", "reason", p->how->reason, "changes", (json_int_t)n,
        "digest_before", p->head.digest, "digest_after", digest, "diff",
        n <= AUDIT_LEAVES_MAX ? p->diff : NULL, "forced", forced, "source", (json_int_t)p->pub_of);
    char action[40], object[40];

    (void)snprintf(action, sizeof action, "revision.%s", kind_words[p->source]);
    (void)snprintf(object, sizeof object, "revision/%lld", (long long)pub);
    return detail == NULL ? no_memory(e) : audit_append(db, p->how->by, action, object, detail, e);
}

static enum err_code audit_revert(struct db *db, const struct publication *p, int64_t pub,
                                  struct err *e)
{
    AUTO(json_free)
    json_t *detail = json_pack("{s:I,s:s}", "pub", (json_int_t)pub, "reason", p->how->reason);
    char object[64];

    (void)snprintf(object, sizeof object, "rollout/%s", p->reverts);
    return detail == NULL ? no_memory(e)
                          : audit_append(db, p->how->by, "rollout.revert", object, detail, e);
}

static json_t *reach_json(const struct rollout_reach *r)
{
    return json_pack("{s:I,s:I,s:b}", "devices", (json_int_t)r->devices, "of", (json_int_t)r->of,
                     "confirm", (int)r->confirm);
}

static enum err_code roll_out(struct db *db, struct publication *p, const char *id, int64_t pub,
                              struct rollout_reach *reach, struct err *e)
{
    enum err_code rc =
        rollout_make(db, p->app,
                     &(struct rollout_new){.id = id,
                                           .pub = pub,
                                           .content = p->content,
                                           .asked = p->how->rollout,
                                           .author = p->how->by->name,
                                           .author_id = p->how->by->account,
                                           .reverts = p->reverts == NULL ? "" : p->reverts,
                                           .owed = p->fence != NULL,
                                           .confirm = p->how->confirm,
                                           .dry_run = p->how->dry_run,
                                           .ret_reach = reach},
                     p->a, &p->devices, &p->rollout, e);

    if (rc != ERR_CONFIRMATION_NEEDED)
        return rc;
    json_decref(p->ret->problem);
    p->ret->problem = json_pack("{s:o}", "reach", reach_json(reach));
    return rc;
}

static enum err_code store(struct db *db, struct publication *p, json_t *checked, struct err *e)
{
    AUTO(json_free) json_t *forced = forced_json(p);
    char digest[65], rollout[UUID_TEXT_SIZE];
    struct rollout_reach reach = {0};
    struct revision_row row = {.pub = p->head.pub + 1,
                               .content = p->content,
                               .diff = p->diff,
                               .forced = forced,
                               .digest = digest,
                               .author = p->how->by->name,
                               .reason = p->how->reason,
                               .kind = kind_words[p->source],
                               .source = p->pub_of};
    enum err_code rc;

    uuid7(rollout);
    if (!json_digest(p->content, digest))
        return no_memory(e);
    rc = revision_store_insert(db, &row, e);
    if (rc == ERR_OK)
        rc = secret_store_published(db, row.pub, e);
    if (rc == ERR_OK)
        rc = revision_store_set_origins(db, p->diff, row.pub, e);
    if (rc == ERR_OK)
        rc = roll_out(db, p, rollout, row.pub, &reach, e);
    if (rc == ERR_OK && p->source == FROM_DRAFT)
        rc = draft_store_delete(db, p->draft_id, e);
    if (rc == ERR_OK)
        rc = revision_store_notify(db, row.pub, e);
    if (rc == ERR_OK)
        rc = audit_it(db, p, row.pub, digest, forced, e);
    if (rc == ERR_OK && p->reverts != NULL)
        rc = audit_revert(db, p, row.pub, e);
    if (rc != ERR_OK)
        return rc;
    json_decref(p->ret->result);
    p->ret->result = json_pack(
        "{s:I,s:s?,s:O,s:O,s:O,s:I,s:O?,s:O?,s:b,s:o}", "pub", (json_int_t)row.pub, "rollout_id",
        p->how->dry_run ? NULL : rollout, "rollout", p->rollout, "devices", p->devices, "diff",
        p->diff, "changes", (json_int_t)json_array_size(p->diff), "kept", p->kept, "check", checked,
        "dry_run", p->how->dry_run, "reach", reach_json(&reach));
    return p->ret->result == NULL ? no_memory(e) : ERR_OK;
}

static void forget_run(struct publication *p)
{
    arena_free(p->a);
    json_decref(p->content);
    json_decref(p->diff);
    json_decref(p->kept);
    json_decref(p->devices);
    json_decref(p->rollout);
    p->a = NULL;
    p->content = p->diff = p->kept = p->devices = p->rollout = NULL;
}

static enum err_code run(struct db *db, struct publication *p, struct err *e)
{
    AUTO(json_free) json_t *checked = NULL;
    enum err_code rc = p->fence == NULL
                           ? ERR_OK
                           : lease_store_hold(db, "engine", p->fence->holder, p->fence->term, e);

    if (rc == ERR_OK)
        rc = revision_store_lock(db, e);
    if (rc == ERR_OK)
        rc = revision_store_get(db, 0, p->a, &p->head, e);
    if (rc != ERR_OK)
        return rc;
    p->content = json_deep_copy(p->head.content);
    if (p->content == NULL)
        return no_memory(e);
    rc = p->source == FROM_DRAFT ? from_draft(db, p, e) : from_history(db, p, e);
    if (rc == ERR_OK)
        rc = live_layers(db, p->content, p->head.content, p->source == FROM_DRAFT, p->a, e);
    if (rc == ERR_OK)
        rc = judge(db, p, &checked, e);
    return rc == ERR_OK ? store(db, p, checked, e) : rc;
}

static enum err_code publish_in_tx(struct db *db, void *ctx, struct err *e)
{
    struct publication *p = ctx;
    enum err_code rc;

    findings_clear(&p->ret->findings); /* a repeated transaction begins anew */
    p->a = arena_new(PUBLISH_ARENA);
    rc = p->a == NULL ? no_memory(e) : run(db, p, e);
    forget_run(p);
    return rc;
}

static enum err_code publish(struct db *db, struct publication *p, struct err *e)
{
    enum err_code rc = change_run(db, "publish", p->how->dry_run, publish_in_tx, p, e);
    struct err later;

    if (rc == ERR_OK && !p->how->dry_run)
        (void)issue_committed(db, p->app,
                              &later); /* the job thread follows the hint of the commit */
    return rc;
}

enum err_code publish_draft(struct db *db, struct app *app, const char *draft_id,
                            const struct publish *how, struct published *ret, struct err *e)
{
    struct publication p = {
        .app = app, .how = how, .ret = ret, .source = FROM_DRAFT, .draft_id = draft_id};

    return publish(db, &p, e);
}

enum err_code publish_restore(struct db *db, struct app *app, int64_t pub,
                              const struct publish *how, struct published *ret, struct err *e)
{
    struct publication p = {
        .app = app, .how = how, .ret = ret, .source = FROM_RESTORE, .pub_of = pub};

    return publish(db, &p, e);
}

enum err_code publish_undo(struct db *db, struct app *app, int64_t pub, const struct publish *how,
                           struct published *ret, struct err *e)
{
    struct publication p = {.app = app, .how = how, .ret = ret, .source = FROM_UNDO, .pub_of = pub};

    return publish(db, &p, e);
}

/* The same way through the devices; what baked for an hour to be trusted is put back within the
 * minute. */
static json_t *back_the_same_way(const json_t *strategy)
{
    json_t *j = json_copy((json_t *)(uintptr_t)strategy);

    if (j == NULL || json_object_set_new(j, "canary_bake_s", json_integer(REVERT_BAKE_S)) != 0 ||
        json_object_set_new(j, "bake_s", json_integer(0)) != 0 ||
        json_object_set_new(j, "approval", json_false()) != 0 ||
        json_object_set_new(j, "on_failure", json_string("halt")) != 0 ||
        (strcmp(json_str(j, "shadow", "auto"), "never") != 0 && /* old content, new daemons */
         (json_object_set_new(j, "shadow", json_string("always")) != 0 ||
          json_object_set_new(j, "shadow_s", json_integer(REVERT_SHADOW_S)) != 0))) {
        json_decref(j);
        return NULL;
    }
    return j;
}

enum err_code publish_revert(struct db *db, struct app *app, const char *rollout_id,
                             const struct publish *how, const struct publish_fence *fence,
                             struct published *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);
    AUTO(json_free) json_t *strategy = NULL;
    struct publish same = *how;
    struct rollout_row r;
    struct publication p = {.app = app,
                            .how = &same,
                            .ret = ret,
                            .source = FROM_UNDO,
                            .reverts = rollout_id,
                            .fence = fence};
    enum err_code rc = a == NULL ? no_memory(e)
                       : uuid_is_valid(rollout_id)
                           ? rollout_store_get(db, rollout_id, a, &r, e)
                           : err_set(e, ERR_NOT_FOUND, "there is no rollout \"%s\"", rollout_id);

    if (rc != ERR_OK)
        return rc;
    strategy = back_the_same_way(r.strategy);
    if (strategy == NULL)
        return no_memory(e);
    same.rollout = strategy;
    p.pub_of = r.pub;
    return publish(db, &p, e);
}

enum err_code publish_bootstrap(struct db *db, struct err *e)
{
    AUTO(json_free) json_t *content = content_new(), *diff = json_array();
    char digest[65];
    struct revision_row row = {.pub = 1,
                               .content = content,
                               .diff = diff,
                               .digest = digest,
                               .author = "inarid",
                               .reason = "the beginning",
                               .kind = "initial"};

    if (content == NULL || diff == NULL || !json_digest(content, digest))
        return no_memory(e);
    return revision_store_insert(db, &row, e);
}
