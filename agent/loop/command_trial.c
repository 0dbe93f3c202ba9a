/* command_trial.c - a dry run: fetch what the parent wants tried, stage and validate it, talk to
 * the throw-away instance, and leave everything as it is.  Nothing of it counts for what this
 * device is given or runs. */
#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"

enum { HELPER_AGAIN_MS = 2000 };

void command_trial_clear(struct orders *all)
{
    strbuf_clear(&all->trial.text);
    all->trial.id[0] = '\0';
    all->trial.busy = all->trial.here = false;
    all->trial.refused = 0;
}

static void on_bundle(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct orders *all = &l->orders;

    all->trial.busy = false;
    if (a->status == 200) {
        backoff_reset(&all->trial.backoff);
        strbuf_add(&all->trial.text, strbuf_slice(&a->body));
        all->trial.here = true;
    } else if (a->status == 404 || a->status == 409 || a->status == 410 || a->status == 422) {
        all->trial.refused = a->status;
    } else {
        all->trial.next = clock_mono_ms() + parent_react(l, a, &all->trial.backoff);
    }
}

static void fetch(struct loop *l, const struct order *o, int64_t now)
{
    struct orders *all = &l->orders;
    char path[128];
    struct http_req *r;

    (void)snprintf(path, sizeof path, "/api/agent/v1/commands/%s/bundle", o->id);
    r = http_req_new("GET", path);
    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", l->parent.token);
        http_req_limits(r, PROTO_BUNDLE_MAX, HTTP_HEAD_MS);
    }
    all->trial.busy = http_start(l->http, r, on_bundle, l, NULL) == ERR_OK;
    if (!all->trial.busy)
        all->trial.next = now + backoff_next(&all->trial.backoff);
}

/* It must be what this order asks for: no other bundle is tried, and it has no place in the order
 * of revisions. */
static bool verified(struct loop *l, struct order *o, struct bundle *b)
{
    struct bundle_known k = loop_known(l);
    struct err e = {0};
    enum bundle_refusal r;

    k.epoch = k.rev = 0;
    k.etag = "";
    r = bundle_verify(strbuf_slice(&l->orders.trial.text), &k, b, &e);
    if (r == BUNDLE_OK && b->mode == BUNDLE_DRY_RUN && strcmp(b->jti, o->id) == 0)
        return true;
    if (r == BUNDLE_OK) {
        (void)err_set(&e, ERR_SIGNATURE, "the bundle is not the one this order is about");
        bundle_clear(b);
    }
    order_fail(o, COMMAND_FAILED, err_word(e.code), "%s: %s", bundle_refusal_word(r), e.msg);
    return false;
}

static void try_it(struct loop *l, struct order *o, const struct bundle *b)
{
    struct apply a = {.settings = l->apply.settings,
                      .helper = l->apply.helper,
                      .sink = l->apply.sink,
                      .device_id = l->apply.device_id,
                      .id = l->apply.id};

    if (apply_start(&a, b) == APPLY_AWAY) {
        o->next = clock_mono_ms() + HELPER_AGAIN_MS;
        apply_clear(&a);
        return;
    }
    json_decref(o->result);
    o->result =
        json_pack("{s:b,s:s,s:I,s:s,s:I}", "ok", a.problem == NULL, "digest", a.digest, "pub",
                  (json_int_t)a.pub, "phase", a.phase, "duration_ms", (json_int_t)a.duration_ms);
    json_decref(o->problem);
    o->problem = json_incref(a.problem);
    o->state = a.problem == NULL ? COMMAND_DONE : COMMAND_FAILED;
    apply_clear(&a);
}

void command_trial(struct loop *l, struct order *o)
{
    struct orders *all = &l->orders;
    int64_t now = clock_mono_ms();
    struct bundle b = {0};

    if (o->expires_ms != 0 && loop_now_ms(l) > o->expires_ms) {
        order_fail(o, COMMAND_FAILED, "timeout", "its time was over before it could be tried");
    } else if (strcmp(all->trial.id, o->id) != 0) {
        if (all->trial.busy)
            return; /* of an order that ended meanwhile */
        command_trial_clear(all);
        all->trial.text = STRBUF_INIT(PROTO_BUNDLE_MAX + 1);
        (void)snprintf(all->trial.id, sizeof all->trial.id, "%s", o->id);
    } else if (all->trial.refused != 0) {
        order_fail(o, COMMAND_FAILED, "not-found", "the parent has nothing to try any more (%d)",
                   all->trial.refused);
    } else if (all->trial.here) {
        if (verified(l, o, &b))
            try_it(l, o, &b);
        bundle_clear(&b);
    } else if (!all->trial.busy && now >= all->trial.next) {
        fetch(l, o, now);
    }
    if (o->state >= COMMAND_DONE && !all->trial.busy)
        command_trial_clear(all);
}
