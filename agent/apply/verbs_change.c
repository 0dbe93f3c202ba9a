/* The verbs that change something. */
#include "apply/command.h"
#include "apply/desired.h"
#include "apply/drain.h"
#include "apply/front.h"
#include "apply/partial.h"
#include "apply/verbs.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "targets/mutate.h"
#include "targets/postfix_cf.h"
#include "targets/postfix_lint.h"
#include "targets/postfix_stage.h"
#include "targets/postfix_trial.h"

#include <stdio.h>
#include <unistd.h>

enum { REPAIR_ITEMS_MAX = 500 };

static enum err_code new_arena(struct arena **ret, struct err *e)
{
    *ret = arena_new(512 * MIB);
    return *ret != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err_code not_open(const struct helper *h, struct err *e)
{
    return apply_is_open(h)
               ? err_set(e, ERR_CONFLICT,
                         "a change to %.16s is open in phase %s; commit or revert it first",
                         h->j.s.to, phase_word(h->j.s.phase))
               : ERR_OK;
}

static json_t *listeners_json(const struct plan *p)
{
    static const char *const roles[] = {"public", "submission", "reinject",
                                        "probe",  "digest",     "front"};
    json_t *list = json_array();

    for (size_t i = 0; i < p->n_listeners; i++)
        (void)json_array_append_new(
            list, json_pack("{s:s,s:I,s:s}", "address", p->listeners[i].address, "port",
                            (json_int_t)p->listeners[i].port, "role", roles[p->listeners[i].role]));
    return list;
}

static void put_plan(json_t *answer, const struct plan *p)
{
    (void)json_object_set_new(answer, "listeners", listeners_json(p));
    (void)json_object_set_new(answer, "mail_path", json_string(p->mail_path));
    (void)json_object_set_new(answer, "probe_domain", json_string(p->probe_domain));
    (void)json_object_set_new(answer, "sink_port", json_integer((json_int_t)p->sink_port));
}

/* left: rows of a drift list that stay as they were found; NULL: nothing does. */
static enum err_code stage_plan(struct helper *h, const struct planned *p, const json_t *left,
                                struct arena *a, json_t *answer, struct err *e)
{
    struct plan *whole = apply_widen(h, p->plan, a);
    bool all = json_array_size(left) == 0;
    const struct stage_request rq = {p->digest,
                                     p->device_id,
                                     p->epoch,
                                     p->rev,
                                     p->pub,
                                     all || whole == NULL ? whole : partial_plan(h, whole, left, a),
                                     all ? NULL : whole};
    struct relay_clients clients;
    struct rendition r;
    enum err_code rc = rq.plan == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                       : relay_clients_choose(whole, &clients, e);

    if (rc == ERR_OK)
        rc = drain_ensure(h, e); /* what is staged asks this table: it is copied beside it */
    if (rc == ERR_OK)
        rc = postfix_stage(&h->pf, &rq, a, &r, e);
    if (rc == ERR_OK) {
        char dir[4200];
        stage_path(h->s, r.digest, dir, sizeof dir);
        rc = front_stage(r.plan, dir, e);
    }
    if (rc != ERR_OK)
        return rc;
    h->clients = clients;
    (void)snprintf(h->clients_of, sizeof h->clients_of, "%s", r.digest);
    verbs_put_clients(answer, &clients);
    (void)snprintf(h->j.s.to, sizeof h->j.s.to, "%s", r.digest);
    h->j.s.rev = r.rev;
    h->j.s.pub = r.pub;
    h->j.s.epoch = r.epoch;
    rc = journal_phase(&h->j, PHASE_STAGED, e);
    crash_at("staged");
    put_plan(answer, r.plan);
    (void)json_object_set_new(answer, "restart", json_boolean(r.restart));
    return rc;
}

static enum err_code stage(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    AUTO(arena_free) struct arena *a = NULL;
    struct planned p = {0};
    enum err_code rc = new_arena(&a, e);

    if (rc == ERR_OK)
        rc = not_open(h, e);
    if (rc == ERR_OK)
        rc = verbs_plan(h, request, true, a, &p, answer, e);
    return rc == ERR_OK ? stage_plan(h, &p, NULL, a, answer, e) : rc;
}

/* Load what is staged under digest. */
static enum err_code load_stage(struct helper *h, const char *digest, struct arena *a, char *dir,
                                size_t size, struct rendition *r, struct err *e)
{
    enum err_code rc;

    stage_path(h->s, digest, dir, size);
    rc = rendition_load(dir, a, r, e);
    return rc == ERR_NOT_FOUND ? err_set(e, ERR_CONFLICT, "%.16s is not staged", digest) : rc;
}

static enum err_code mark_valid(const char *dir, struct rendition *r, struct err *e)
{
    if (r->validated)
        return ERR_OK;
    r->validated = true;
    return rendition_save(dir, r, e);
}

struct trying {
    struct helper *h;
    const struct rendition *r;
    const char *etc;
    struct arena *a;
    struct trial_listener *v;
    size_t n;
    bool started;
    struct strbuf words; /* apart from those of the commands that run at the same time */
};

static enum err_code start_trial(void *ctx, struct err *e)
{
    struct trying *t = ctx;

    t->started = true;
    return postfix_trial_start(&t->h->pf, t->r, t->etc, t->a, &t->v, &t->n, &t->words, e);
}

/* Faults the live configuration has as well held the trial back; it is made up for. */
static enum err_code check_and_try(struct trying *t, json_t *answer, struct err *e)
{
    struct helper *h = t->h;
    enum err_code rc = postfix_validate(&h->pf, t->etc, t->r, start_trial, t, &h->output, e);

    if (rc == ERR_OK && !t->started)
        rc = start_trial(t, e);
    (void)json_object_set_new(
        answer, "step",
        json_string(rc != ERR_OK && t->v == NULL && t->started ? "trial" : "check"));
    strbuf_puts(&h->output, strbuf_str(&t->words));
    if (rc != ERR_OK && t->started)
        postfix_trial_stop(&h->pf);
    return rc;
}

static enum err_code validate(struct helper *h, const json_t *request, json_t *answer,
                              struct err *e)
{
    AUTO(arena_free) struct arena *a = NULL;
    struct trying t = {.h = h, .words = STRBUF_INIT(32 * KIB)};
    const char *digest;
    struct rendition r;
    char dir[4200], etc[4300];
    json_t *trial = json_array();
    enum err_code rc = new_arena(&a, e);

    (void)json_object_set_new(answer, "trial", trial);
    if (rc == ERR_OK)
        rc = verbs_digest(request, &digest, e);
    if (rc == ERR_OK)
        rc = load_stage(h, digest, a, dir, sizeof dir, &r, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(etc, sizeof etc, "%s/etc", dir);
    t.r = &r;
    t.etc = etc;
    t.a = a;
    (void)json_object_set_new(answer, "step", json_string("check"));
    h->pf.deadline_ms = clock_mono_ms() + h->s->validate_timeout_ms;
    rc = front_check(h, r.plan, dir, e);
    if (rc == ERR_OK)
        rc = check_and_try(&t, answer, e);
    h->pf.deadline_ms = 0;
    strbuf_clear(&t.words);
    if (rc == ERR_OK)
        rc = mark_valid(dir, &r, e);
    for (size_t i = 0; i < t.n && rc == ERR_OK; i++)
        (void)json_array_append_new(trial, json_pack("{s:s,s:i,s:s,s:s}", "address", t.v[i].address,
                                                     "port", t.v[i].port, "role", t.v[i].role,
                                                     "service", t.v[i].live));
    return rc;
}

static enum err_code trial_stop(struct helper *h, const json_t *request, json_t *answer,
                                struct err *e)
{
    const char *digest;
    enum err_code rc = verbs_digest(request, &digest, e);

    if (rc != ERR_OK)
        return rc;
    (void)json_object_set_new(answer, "died", json_boolean(postfix_trial_died(&h->pf)));
    postfix_trial_log(&h->pf, &h->output);
    postfix_trial_stop(&h->pf);
    return ERR_OK;
}

/* {id of a box: text}, opened by the agent: never logged, never kept. */
static enum err_code check_secrets(const json_t *secrets, struct err *e)
{
    const char *id;
    json_t *v;

    if (secrets != NULL && !json_is_object(secrets))
        return err_field(e, ERR_INVALID, "/secrets", "\"secrets\" must be an object of strings");
    json_object_foreach((json_t *)(uintptr_t)secrets, id, v)
    {
        if (!uuid_is_valid(id) || !json_is_string(v))
            return err_field(e, ERR_INVALID, "/secrets",
                             "\"secrets\" must be an object of strings");
    }
    return ERR_OK;
}

static enum err_code switch_to(struct helper *h, const json_t *request, json_t *answer,
                               struct err *e)
{
    const json_t *secrets = json_object_get(request, "secrets");
    AUTO(json_free) json_t *bare = json_copy((json_t *)(uintptr_t)request);
    const char *digest;
    bool restarted = false;
    enum err_code rc = check_secrets(secrets, e);

    (void)json_object_del(bare, "secrets");
    if (rc == ERR_OK)
        rc = verbs_digest(bare, &digest, e);

    if (rc == ERR_OK && apply_is_open(h) && h->j.s.phase == PHASE_PROBING &&
        strcmp(h->j.s.to, digest) == 0)
        return ERR_OK; /* said twice: it is done and waits for its commit */
    if (rc == ERR_OK)  /* a switch ends with a Postfix that runs */
        rc = desired_may_run(h, e);
    if (rc == ERR_OK)
        rc = apply_switch(h, digest, secrets, &restarted, e);
    (void)json_object_set_new(answer, "restarted", json_boolean(restarted));
    return rc;
}

static enum err_code commit(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    const char *digest;
    enum err_code rc = verbs_digest(request, &digest, e);

    (void)answer;
    return rc == ERR_OK ? apply_commit(h, digest, e) : rc;
}

static enum err_code revert(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    bool healthy = true;
    enum err_code rc = verbs_bare(request, e);

    if (rc == ERR_OK && h->j.s.phase == PHASE_STAGED) {
        char dir[4200];
        (void)snprintf(dir, sizeof dir, "%s/stage", h->s->helper_state);
        rc = file_remove_tree(dir, e);
        if (rc == ERR_OK)
            rc = journal_end(&h->j, "dropped", "", e);
    } else if (rc == ERR_OK && apply_is_open(h)) {
        struct err why = {0};
        if (apply_still_same(h, &why) == ERR_CHANGED_MEANWHILE)
            (void)json_object_set_new(answer, "changed", json_string(why.msg));
        rc = apply_revert(h, "reverted", "the agent asked for it", &healthy, e);
    }
    (void)json_object_set_new(
        answer, "to", json_string(h->j.s.managed && h->j.s.n_lkg > 0 ? h->j.s.lkg[0].digest : ""));
    (void)json_object_set_new(answer, "healthy", json_boolean(healthy));
    return rc;
}

/* A rendering of ours once more, on the files as they are now: staged, checked, switched; the trial
 * was when it came.  It stays open until it is committed or reverted. */
static enum err_code put_in_force(struct helper *h, const struct rendition *of, const json_t *left,
                                  const json_t *secrets, struct arena *a, json_t *answer,
                                  struct err *e)
{
    const struct planned p = {of->digest, of->device_id,
                              of->epoch,  of->rev,
                              of->pub,    (struct plan *)(uintptr_t)rendition_wanted(of)};
    struct rendition r;
    char dir[4200], etc[4300];
    bool restarted = false;
    enum err_code rc = stage_plan(h, &p, left, a, answer, e);

    if (rc == ERR_OK)
        rc = load_stage(h, of->digest, a, dir, sizeof dir, &r, e);
    (void)snprintf(etc, sizeof etc, "%s/etc", dir);
    if (rc == ERR_OK)
        rc = front_check(h, r.plan, dir, e);
    if (rc == ERR_OK)
        rc = postfix_validate(&h->pf, etc, &r, NULL, NULL, &h->output, e);
    if (rc == ERR_OK)
        rc = mark_valid(dir, &r, e);
    if (rc == ERR_OK)
        rc = apply_switch(h, of->digest, secrets, &restarted, e);
    (void)json_object_set_new(answer, "restarted", json_boolean(restarted));
    return rc;
}

static enum err_code restore(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    AUTO(arena_free) struct arena *a = NULL;
    const char *digest;
    struct rendition kept;
    char dir[4200];
    enum err_code rc = new_arena(&a, e);

    if (rc == ERR_OK)
        rc = verbs_digest(request, &digest, e);
    if (rc == ERR_OK)
        rc = not_open(h, e);
    if (rc == ERR_OK)
        rc = desired_may_run(h, e);
    if (rc != ERR_OK)
        return rc;
    apply_lkg_path(h->s, digest, dir, sizeof dir);
    rc = rendition_load(dir, a, &kept, e);
    if (rc != ERR_OK || strcmp(kept.digest, digest) != 0)
        return err_set(e, ERR_NOT_FOUND, "%.16s is not one of the kept configurations", digest);
    return put_in_force(h, &kept, NULL, NULL, a, answer, e);
}

static enum err_code service(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    static const char *const words[] = {"start", "stop", "reload"};
    const char *op = json_str(request, "op", "");
    enum err_code rc = not_open(h, e);

    for (size_t i = 0; i < COUNT_OF(words) && rc == ERR_OK; i++) {
        if (strcmp(words[i], op) != 0)
            continue;
        if (i != POSTFIX_STOP)
            rc = desired_may_run(h, e);
        if (rc == ERR_OK)
            rc = postfix_do(&h->pf, (enum postfix_op)i, &h->output, e);
        (void)json_object_set_new(
            answer, "state",
            json_string(postfix_pid(h->s->postfix_queue) != 0 ? "running" : "stopped"));
        return rc;
    }
    return rc != ERR_OK ? rc
                        : err_field(e, ERR_INVALID, "/op", "\"op\" must be start, stop or reload");
}

/* --- what drifted --- */

/* Is it to be put back?  items: names as partial.h has them; NULL: all. */
static bool chosen(const json_t *row, const json_t *items)
{
    char name[500];
    size_t i;
    json_t *v;

    partial_name(row, name, sizeof name);
    json_array_foreach(items, i, v)
    {
        if (strcmp(json_string_value(v), name) == 0)
            return true;
    }
    return items == NULL;
}

static enum err_code read_items(const json_t *request, json_t **ret, struct err *e)
{
    struct repairing {
        json_t *items;
    } in = {NULL};
    static const struct jdec_field fields[] = {
        JDEC_ARRAY(struct repairing, items, 0, REPAIR_ITEMS_MAX), JDEC_END};
    AUTO(json_free) json_t *rest = json_copy((json_t *)(uintptr_t)request);
    enum err_code rc;
    size_t i;
    json_t *v;

    (void)json_object_del(rest, "v");
    (void)json_object_del(rest, "verb");
    (void)json_object_del(rest, "secrets");
    rc = jdec_object(rest, fields, JD_REFUSE_UNKNOWN, "", &in, e);
    json_array_foreach(in.items, i, v)
    {
        if (rc == ERR_OK && !json_is_string(v))
            rc = err_field(e, ERR_INVALID, "/items", "\"items\" must be an array of strings");
    }
    *ret = rc == ERR_OK ? in.items : NULL;
    return rc;
}

/* The configuration in force once more, with what is not chosen left as it was found.  The caller
 * proves and commits it, or reverts. */
static enum err_code repair(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    AUTO(arena_free) struct arena *a = NULL;
    AUTO(json_free) json_t *rows = json_array();
    const json_t *secrets = json_object_get(request, "secrets");
    json_t *items = NULL, *back = json_array(), *left = json_array(), *v;
    struct rendition current;
    size_t i;
    enum err_code rc = new_arena(&a, e);

    (void)json_object_set_new(answer, "repaired", back);
    (void)json_object_set_new(answer, "left", left);
    if (rc == ERR_OK)
        rc = read_items(request, &items, e);
    if (rc == ERR_OK)
        rc = check_secrets(secrets, e);
    if (rc == ERR_OK)
        rc = not_open(h, e);
    if (rc == ERR_OK)
        rc = desired_may_run(h, e);
    if (rc == ERR_OK)
        rc = apply_current(h, a, &current, e);
    if (rc == ERR_OK)
        rc = verbs_drift(h, &current, verbs_note_drift, rows, e);
    if (rc != ERR_OK)
        return rc;
    json_array_foreach(rows, i, v)
    {
        bool stays = !chosen(v, items) && partial_may_stay(v, rendition_wanted(&current));
        (void)json_array_append(stays ? left : back, v);
    }
    if (json_array_size(back) == 0)
        return ERR_OK;
    (void)json_object_set_new(answer, "digest", json_string(current.digest));
    return put_in_force(h, &current, left, secrets, a, answer, e);
}

static enum err_code disown(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    enum err_code rc = verbs_bare(request, e);

    (void)answer;
    if (rc == ERR_OK)
        rc = not_open(h, e);
    if (rc != ERR_OK)
        return rc;
    h->j.s.managed = false;
    (void)snprintf(h->j.s.to, sizeof h->j.s.to, "%s", "");
    log_event(LOG_LEVEL_INFO, "helper.disowned", KV_INT("kept", h->j.s.n_lkg));
    return journal_end(&h->j, "disowned", "", e);
}

const struct verb verbs_change[] = {
    {"stage", stage},   {"validate", validate}, {"trial_stop", trial_stop}, {"switch", switch_to},
    {"commit", commit}, {"revert", revert},     {"restore", restore},       {"service", service},
    {"repair", repair}, {"disown", disown},     {"command", command_serve}, {NULL, NULL},
};
