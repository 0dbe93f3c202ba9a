/*
 * parent.c - what the loop asks of the parent, and how each answer is taken
 * (docs/internals/wire.md; protocol 6.4, 6.7, 6.13).  Nothing the parent says or fails to say ends
 * this process or touches the mail.
 */
#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/notice.h"
#include "loop/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    BOOT_FRESH_S = 600, /* a machine up for less has just booted */
    CUT_HELD_MS =
        5000, /* a held poll that lived longer and then broke was cut by something between us */
    WAIT_MIN_S = 10,
    WAIT_SLACK_MS = 15 * 1000,
    ELSEWHERE_MS = 30 * 1000, /* between two parents that are both cut off from their database */
    STATUS_GAP_MS = 200,      /* whatever happens: not more than five a second */
    CLOCK_GRAIN_MS = 1500,    /* Date has whole seconds */
    /* A busy parent takes its time over a report; a poll beside it would cost a second connection.
     */
    REPORT_FIRST_MS = 10000,
};

/* --- the clock --- */

static void take_offset(struct loop *l, int64_t offset_ms)
{
    int64_t was = l->parent.offset_ms;

    if (l->parent.offset_known && llabs(offset_ms - was) <= CLOCK_GRAIN_MS)
        return;
    l->parent.offset_ms = llabs(offset_ms) <= CLOCK_GRAIN_MS ? 0 : offset_ms;
    l->parent.offset_known = true;
    if (llabs(offset_ms) > LOOP_CLOCK_LIMIT_MS)
        (void)condition_set(
            &l->conditions, COND_CLOCK_SYNCED, COND_FALSE, "Skewed",
            "this clock differs from the parent's by %lld s; documents are dated with the parent's",
            (long long)(offset_ms / 1000));
    else
        (void)condition_set(&l->conditions, COND_CLOCK_SYNCED, COND_TRUE, "Synced", "%s", "");
    loop_touch(l);
}

/* This clock was set while nothing was heard of the parent: its time went on as before.  Asleep,
 * both went on. */
static void watch_clock(struct loop *l)
{
    struct loop_parent *p = &l->parent;
    int64_t base = clock_wall_ms() - clock_boot_ms(), jump = base - p->clock_base;

    if (p->clock_base != 0 && p->offset_known && llabs(jump) > 2 * CLOCK_GRAIN_MS)
        take_offset(l, p->offset_ms - jump);
    p->clock_base = base;
}

/* Its key is what we trust, so mail and changes go on; but nobody else will believe that
 * certificate. */
static void look_at_certificate(struct loop *l, const struct http_answer *a)
{
    char end[CLOCK_TEXT_SIZE];
    bool changed;

    if (a->cert_end_ms == 0)
        return;
    clock_format(a->cert_end_ms, end);
    if (a->cert_end_ms < loop_now_ms(l))
        changed = condition_set(&l->conditions, COND_PARENT_CERTIFICATE, COND_FALSE, "Expired",
                                "the certificate of %s ended at %s; its key is pinned, so this "
                                "device goes on with it: renew the certificate",
                                http_base(l->http), end);
    else
        changed =
            condition_set(&l->conditions, COND_PARENT_CERTIFICATE, COND_TRUE, "Valid", "%s", "");
    if (changed)
        loop_touch(l);
}

static void note_contact(struct loop *l, const struct http_answer *a, bool authenticated)
{
    l->parent.reachable = true;
    l->parent.contact_ms = clock_wall_ms();
    l->parent.trouble[0] = '\0';
    if (authenticated && a->date_ms > 0) {
        take_offset(l, a->date_ms - a->at_wall_ms);
        l->memory.server_ms = a->date_ms;
    }
    look_at_certificate(l, a);
    if (a->trust > trust_number(l->id.trust))
        l->parent.trust_wanted = a->trust;
    /* also before the first held poll has ended */
    if (authenticated &&
        condition_set(&l->conditions, COND_AUTHENTICATED, COND_TRUE, "Accepted", "%s", ""))
        loop_touch(l);
}

void parent_heard(struct loop *l, const struct http_answer *a)
{
    note_contact(l, a, true);
}

/* --- what a refusal means --- */

static void next_address(struct loop *l)
{
    size_t n = json_array_size(l->id.addresses);
    struct err e = {0};

    if (n < 2)
        return;
    l->parent.address = (l->parent.address + 1) % n;
    if (http_set_peer(l->http,
                      json_string_value(json_array_get(l->id.addresses, l->parent.address)),
                      trust_pins(l->id.trust), &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "parent.address", KV_STR("problem", e.msg));
}

static int64_t unreachable(struct loop *l, const struct http_answer *a, struct backoff *b)
{
    if (l->parent.reachable || l->parent.trouble[0] == '\0')
        log_event(LOG_LEVEL_WARN, "parent.unreachable", KV_STR("parent", http_base(l->http)),
                  KV_STR("problem", a->problem));
    l->parent.reachable = false;
    (void)snprintf(l->parent.trouble, sizeof l->parent.trouble, "%s", a->problem);
    next_address(l);
    l->parent.notice_next = 0; /* the first question when somebody answers: where parents are now */
    return backoff_next(b);
}

static void drop_token(struct loop *l)
{
    if (l->parent.token != NULL)
        secret_wipe(l->parent.token, strlen(l->parent.token));
    free(l->parent.token);
    l->parent.token = NULL;
}

static void revoked(struct loop *l)
{
    l->parent.state = PARENT_REVOKED;
    l->parent.notice_next = clock_mono_ms() + LOOP_NOTICE_MS;
    drop_token(l);
    (void)condition_set(
        &l->conditions, COND_AUTHENTICATED, COND_FALSE, "Revoked", "%s",
        "the parent has revoked this device; mail goes on as configured, nothing is fetched");
}

static void retired(struct loop *l)
{
    struct err e = {0};

    l->parent.state = PARENT_RETIRED;
    drop_token(l);
    (void)condition_set(&l->conditions, COND_AUTHENTICATED, COND_FALSE, "Retired", "%s",
                        "the parent has retired this device; its identity is put aside, mail goes "
                        "on as configured");
    if (identity_put_aside(l->memory.dir, "retired", &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "identity.put_aside", KV_STR("problem", e.msg));
}

/* Reasons only a person can take away: ask slowly and say so. */
static int64_t refused(struct loop *l, const struct http_answer *a, const char *reason)
{
    (void)condition_set(&l->conditions, COND_AUTHENTICATED, COND_FALSE, reason, "%s", a->problem);
    return LOOP_SLOW_MS / 2 + (int64_t)rand_below(LOOP_SLOW_MS / 2);
}

/* How long to wait after this answer, for every kind of request alike; may change the parent's
 * state. */
int64_t parent_react(struct loop *l, const struct http_answer *a, struct backoff *b)
{
    enum err_code code =
        a->server_problem[0] != '\0' ? err_code_of_word(a->server_problem) : ERR_INTERNAL;
    int64_t wait;

    if (a->status == 0)
        return unreachable(l, a, b);
    log_event(LOG_LEVEL_WARN, "parent.refused", KV_INT("status", a->status),
              KV_STR("problem", a->server_problem), KV_STR("detail", a->problem));
    if (a->status == 429 || a->status == 503) {
        wait = backoff_retry_after(slice_of(a->retry_after), clock_wall_ms() + l->parent.offset_ms);
        if (a->status == 503) /* cut off from its database perhaps, while another parent is not */
            next_address(l);
        return wait >= 0 ? wait : backoff_next(b);
    }
    loop_touch(l);
    if (code == ERR_DEVICE_REVOKED) {
        revoked(l);
        return LOOP_NOTICE_MS;
    }
    if (a->status == 410) {
        retired(l);
        return LOOP_NOTICE_MS;
    }
    if (a->status == 401) {
        drop_token(l);
        wait = l->parent.token_refused ? backoff_next(b)
                                       : 0; /* one new token at once, then patience */
        l->parent.token_refused = true;
        l->parent.token_next = clock_mono_ms() + wait;
        return wait;
    }
    if (code == ERR_IDENTITY_FORK)
        return refused(l, a, "IdentityFork");
    if (code == ERR_PARENT_BEHIND) {
        l->parent.kept_wanted = true;
        return refused(l, a, "ParentBehind");
    }
    if (code == ERR_AGENT_TOO_OLD)
        return refused(l, a, "AgentTooOld");
    if (code == ERR_AGENT_TOO_NEW)
        return refused(l, a, "AgentTooNew");
    if (code == ERR_DEVICE_UNKNOWN) {
        reattach_want(l);
        return refused(l, a, "DeviceUnknown");
    }
    if (code == ERR_TOKEN_SCOPE) { /* a person is waited for: the receipt finds out for whom */
        reattach_want(l);
        return refused(l, a, "Forbidden");
    }
    if (a->status == 403)
        return refused(l, a, "Forbidden");
    if (a->status >= 500)
        return backoff_next(b);
    return LOOP_SLOW_MS; /* 400, 413, 422 ...: the same again would be refused again */
}

/* --- token --- */

void parent_take_token(struct loop *l, char *token, int64_t life_s)
{
    drop_token(l);
    l->parent.token = token;
    l->parent.token_n++;
    l->parent.token_refresh = clock_mono_ms() + token_refresh_ms(life_s);
}

void parent_forget_token(struct loop *l)
{
    drop_token(l);
    l->parent.token_next = clock_mono_ms();
}

static void on_token(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct loop_parent *p = &l->parent;
    AUTO(json_free) json_t *doc = NULL;
    int64_t life = 0, now = clock_mono_ms(), server_ms = 0;
    struct err e = {0};
    char *token = NULL;

    p->token_busy = false;
    if (a->status == 200 &&
        token_read(strbuf_slice(&a->body), "device", &token, &life, &e) == ERR_OK) {
        parent_take_token(l, token, life);
        rotate_accepted(l);
        p->token_skew_retry = false;
        backoff_reset(&p->token_backoff);
        note_contact(l, a, true);
        return;
    }
    /* The parent proved who it is by its pinned key: its word about the time is taken once. */
    if (strcmp(a->server_problem, "clock-skew") == 0 && !p->token_skew_retry &&
        json_in_parse(strbuf_slice(&a->body), 64 * KIB, &doc, NULL) == ERR_OK) {
        const char *text = json_str(doc, "server_time", NULL);
        bool ok = text != NULL && clock_parse(slice_of(text), &server_ms);
        if (!ok && a->date_ms > 0)
            server_ms = a->date_ms;
        if (server_ms > 0) {
            take_offset(l, server_ms - a->at_wall_ms);
            p->token_skew_retry = true;
            p->token_next = now;
            return;
        }
    }
    p->token_next = INT64_MAX; /* parent_react() may set an earlier time */
    life = parent_react(l, a, &p->token_backoff);
    if (p->token_next == INT64_MAX || p->token_next < now + life)
        p->token_next = now + life;
    if (a->status == 401) {
        /* Keys are renewed in two phases: the one it takes may be another of ours. */
        bool another = rotate_another(l);
        p->token_next = another ? now : now + backoff_next(&p->token_backoff);
        if (!another) /* who is not known is told no more than who is not believed */
            reattach_want(l);
        (void)condition_set(&l->conditions, COND_AUTHENTICATED, COND_FALSE, "Refused", "%s",
                            a->problem);
    }
}

static void ask_token(struct loop *l)
{
    AUTO_STR char *form = NULL;
    struct http_req *r;
    struct err e = {0};
    enum err_code rc = token_client_form(rotate_signer(l), l->id.device_id,
                                         trust_issuer(l->id.trust), loop_now_ms(l), &form, &e);

    if (rc == ERR_OK) {
        r = http_req_new("POST", "/oauth2/token");
        if (r != NULL)
            http_req_body(r, "application/x-www-form-urlencoded", slice_of(form));
        rc = http_start(l->http, r, on_token, l, &e);
    }
    l->parent.token_busy = rc == ERR_OK;
    if (rc != ERR_OK)
        l->parent.token_next = clock_mono_ms() + backoff_next(&l->parent.token_backoff);
}

/* --- desired --- */

static void take_fresh(struct loop *l, const struct http_answer *a)
{
    struct bundle_known k = loop_known(l);
    struct err e = {0};
    int64_t iat = 0;

    if (a->fresh[0] == '\0')
        return;
    if (bundle_fresh(slice_of(a->fresh), &k, &iat, &e) != ERR_OK) {
        log_event(LOG_LEVEL_WARN, "parent.fresh", KV_STR("problem", e.msg));
        return;
    }
    l->parent.fresh_next = clock_mono_ms() + LOOP_FRESH_MS;
    if (iat > l->memory.fresh_ms) {
        l->memory.fresh_ms = iat;
        loop_save(l);
    }
}

static void desired_304(struct loop *l, const struct http_answer *a, bool other_lists)
{
    struct loop_parent *p = &l->parent;
    int64_t now = clock_mono_ms();

    if (other_lists) { /* answered early for that: the next poll names them */
        p->poll_next = now + loop_guard_take(&p->guard, now);
        return;
    }

    if (a->elapsed_ms >= p->wait_s * 800) {
        p->poll_next = now; /* held to its end */
        return;
    }
    if (a->commands > 0 && !l->orders.fruitless) {
        p->poll_next = now; /* asked for now; the next poll waits until they are here */
        return;
    }
    if (a->commands > 0 || strcmp(a->report, "full") == 0) {
        /* Answered early for want of our report or because of orders, both dealt with now: nothing
         * to wait for after it.
         */
        p->poll_next = now + loop_guard_take(&p->guard, now);
        return;
    }
    /* The wait was refused or cut short: come back when told. */
    p->poll_next = now + (a->next_poll_s >= 0 ? a->next_poll_s : l->id.interval_s) * 1000;
    if (p->poll_next <= now + 1000 && a->elapsed_ms < 1000)
        p->poll_next = now + loop_guard_take(&p->guard, now);
    p->notice_next = 0; /* a parent that stops may come back beside another one */
}

static void desired_200(struct loop *l, struct http_answer *a)
{
    struct loop_parent *p = &l->parent;
    char digest[65];

    sha256_hex(strbuf_slice(&a->body), digest);
    if (a->etag[0] != '\0' && strcmp(a->etag, digest) != 0) {
        (void)condition_set(
            &l->conditions, COND_CONFIG_VERIFIED, COND_FALSE, "Digest", "%s",
            "the bundle that arrived is not the one the parent announced; it was dropped");
        loop_touch(l);
        p->poll_next = clock_mono_ms() + backoff_next(&p->poll_backoff);
        return;
    }
    strbuf_clear(&p->incoming);
    p->incoming = a->body;
    a->body = STRBUF_INIT(0);
    p->incoming_full = true;
    p->incoming_quick = a->elapsed_ms < 1000;
    p->poll_next = INT64_MAX; /* parent_bundle_done() */
}

/* How the parent says it is, whatever else it answers. */
static void take_word(struct loop *l, const struct http_answer *a)
{
    struct loop_parent *p = &l->parent;
    bool fenced = strcmp(a->parent, PROTO_PARENT_FENCED) == 0;

    if (a->status == 0)
        return;
    p->notice_given = p->notice_given && fenced;
    p->notice_wanted = fenced && !p->notice_given;
    if (!fenced && (a->status == 200 || a->status == 304) && a->notice != p->notice_n)
        p->notice_next = 0; /* somebody was revoked: so that a parent that forgets it can be told */
}

/* A parent that is cut off from its database answers from memory for a while; where there is
 * another one we ask that, and come back slowly when it is no better. */
static bool goes_elsewhere(struct loop *l, const struct http_answer *a)
{
    struct loop_parent *p = &l->parent;
    int64_t now = clock_mono_ms();

    if (strcmp(a->parent, PROTO_PARENT_STALE) != 0 || json_array_size(l->id.addresses) < 2)
        return false;
    p->poll_next = now + (int64_t)rand_below(2000);
    if (p->poll_address != p->address) /* another answer sent us on while this one was held */
        return true;
    log_event(LOG_LEVEL_WARN, "parent.cut_off", KV_STR("parent", http_base(l->http)));
    next_address(l);
    if (p->elsewhere_ms != 0 && now - p->elsewhere_ms < ELSEWHERE_MS)
        p->poll_next = now + ELSEWHERE_MS / 2 + (int64_t)rand_below(ELSEWHERE_MS);
    p->elsewhere_ms = now;
    return true;
}

static void on_desired(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct loop_parent *p = &l->parent;
    int64_t now = clock_mono_ms();
    bool other_lists;

    p->poll_busy = false;
    take_word(l, a);
    if (a->status == 200 || a->status == 304) {
        backoff_reset(&p->poll_backoff);
        p->token_refused = false;
        note_contact(l, a, true);
        take_fresh(l, a);
        other_lists = lists_seen(l, a->lists);
        command_waiting(l, a->commands);
        /* A report that was accepted after this poll began is what the parent still missed then. */
        if (strcmp(a->report, "full") == 0 && l->report.acked_at < p->poll_started)
            l->report.force = true;
        if (a->figures_s > 0)
            figures_watched(l, a->figures_s * 1000);
        if (a->status == 200)
            desired_200(l, a);
        else if (!goes_elsewhere(l, a))
            desired_304(l, a, other_lists);
        return;
    }
    if (a->status == 0 && a->elapsed_ms > CUT_HELD_MS && a->elapsed_ms < p->wait_s * 1000 &&
        l->parent.reachable) {
        /* Something between us and the parent does not like long silences: be shorter, without any
         * alarm. */
        p->wait_s = a->elapsed_ms / 1000 - 5 > WAIT_MIN_S ? a->elapsed_ms / 1000 - 5 : WAIT_MIN_S;
        p->poll_next = now + (int64_t)rand_below(2000);
        p->reachable = false; /* twice in a row is an outage */
        return;
    }
    if (a->status == 401 && p->poll_token != p->token_n) {
        p->poll_next = now; /* it went out with a token that is renewed since */
        return;
    }
    p->poll_next = now + parent_react(l, a, &p->poll_backoff);
}

static void ask_desired(struct loop *l)
{
    struct loop_parent *p = &l->parent;
    struct http_req *r = http_req_new("GET", "/api/agent/v1/desired");
    struct err e = {0};
    int64_t seq = 0;
    int64_t now = clock_mono_ms();

    if (memory_next_seq(&l->memory, &seq, &e) != ERR_OK) {
        (void)condition_set(&l->conditions, COND_STORAGE_OK, COND_FALSE, "Storage", "%s", e.msg);
        p->poll_next =
            now + LOOP_SLOW_MS; /* without numbers that never repeat we would look like a clone */
        http_req_free(r);
        return;
    }
    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", p->token);
        http_req_header(r, "Prefer: wait=%lld", (long long)p->wait_s);
        http_req_header(r, PROTO_H_HAVE ": %lld.%lld", (long long)l->memory.epoch,
                        (long long)l->memory.rev);
        http_req_header(r, PROTO_H_BOOT ": %s", l->boot);
        http_req_header(r, PROTO_H_SEQ ": %lld", (long long)seq);
        http_req_header(r, PROTO_H_MACHINE ": %s", l->here.whole);
        http_req_header(r, PROTO_H_API ": %d", PROTO_API);
        http_req_header(r, PROTO_H_LISTS ": %s", l->lists.known);
        if (l->report.sent[0] != '\0')
            http_req_header(r, PROTO_H_STATUS ": %s", l->report.sent);
        if (l->memory.etag[0] != '\0' && l->work.have_bundle)
            http_req_header(r, "If-None-Match: \"%s\"", l->memory.etag);
        if (now >= p->fresh_next)
            http_req_header(r, PROTO_H_WANT_FRESH ": 1");
        http_req_limits(r, PROTO_BUNDLE_MAX, p->wait_s * 1000 + WAIT_SLACK_MS);
    }
    p->poll_started = now;
    p->poll_address = p->address;
    p->poll_token = p->token_n;
    p->poll_busy = http_start(l->http, r, on_desired, l, &e) == ERR_OK;
    if (!p->poll_busy)
        p->poll_next = now + backoff_next(&p->poll_backoff);
}

void parent_bundle_done(struct loop *l, const char *digest)
{
    struct loop_parent *p = &l->parent;
    int64_t now = clock_mono_ms();

    strbuf_clear(&p->incoming);
    p->incoming_full = false;
    if (digest == NULL) {
        p->poll_next =
            now + backoff_next(&p->poll_backoff); /* the same answer would come at once */
        return;
    }
    p->poll_next = now + churn_took(&p->churn, digest, p->incoming_quick, now);
}

/* A parent whose answers always differ: asked slowly, and said. */
static void show_churning(struct loop *l, int64_t now)
{
    struct churn *c = &l->parent.churn;
    bool changed;

    if (churn_seen(c) && churn_over(c, now))
        c->paced = 0;
    changed = churn_seen(c)
                  ? condition_set(&l->conditions, COND_CHURNING, COND_TRUE, "AnswersDiffer", "%s",
                                  "the parent answers every question at once with another bundle; "
                                  "it is asked slowly until that ends")
                  : condition_set(&l->conditions, COND_CHURNING, COND_FALSE, "Quiet", "%s", "");
    if (changed)
        loop_touch(l);
}

/* --- trust documents and the notice --- */

static void on_trust(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct err e = {0};

    l->parent.trust_busy = false;
    if (a->status != 200) {
        l->parent.trust_wanted = 0; /* the next answer names it again */
        (void)parent_react(l, a, &l->parent.poll_backoff);
        return;
    }
    if (identity_trust_next(l->memory.dir, &l->id, strbuf_slice(&a->body), &e) != ERR_OK) {
        l->parent.trust_wanted = 0;
        log_event(LOG_LEVEL_ERROR, "trust.refused", KV_STR("problem", e.msg));
        (void)condition_set(&l->conditions, COND_CONFIG_VERIFIED, COND_FALSE, "Trust", "%s", e.msg);
        loop_touch(l);
        return;
    }
    l->parent.notice_next = 0; /* it may be signed by a key that is known since now */
    log_event(LOG_LEVEL_INFO, "trust.next", KV_INT("n", trust_number(l->id.trust)),
              KV_INT("epoch", trust_epoch(l->id.trust)));
    if (http_set_peer(l->http, http_base(l->http), trust_pins(l->id.trust), &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "trust.pins", KV_STR("problem", e.msg));
}

static void ask_trust(struct loop *l)
{
    char path[64];
    struct http_req *r;

    (void)snprintf(path, sizeof path, "/api/agent/v1/trust/%lld",
                   (long long)trust_number(l->id.trust) + 1);
    r = http_req_new("GET", path);
    if (r != NULL)
        http_req_limits(r, PROTO_TRUST_MAX, HTTP_HEAD_MS);
    l->parent.trust_busy = http_start(l->http, r, on_trust, l, NULL) == ERR_OK;
    if (!l->parent.trust_busy)
        l->parent.trust_wanted = 0;
}

bool parent_walks_trust(const struct loop *l)
{
    return l->parent.state == PARENT_OK && l->parent.token != NULL &&
           (l->parent.trust_busy || l->parent.trust_wanted > trust_number(l->id.trust));
}

/* The one that answers stays first: a fleet that moved here does not move back all at once. */
static void take_addresses(struct loop *l, const json_t *notice)
{
    json_t *all = notice_addresses(notice, http_base(l->http)), *old = l->id.addresses;
    struct err e = {0};

    if (all == NULL || json_equal(all, old)) {
        json_decref(all);
        return;
    }
    l->id.addresses = all;
    if (identity_save(l->memory.dir, &l->id, &e) != ERR_OK) {
        log_event(LOG_LEVEL_WARN, "parent.addresses", KV_STR("problem", e.msg));
        l->id.addresses = old;
        json_decref(all);
        return;
    }
    l->parent.address = 0;
    json_decref(old);
    log_event(LOG_LEVEL_INFO, "parent.addresses", KV_INT("count", (int64_t)json_array_size(all)));
}

/* What a fenced parent signs may lack what it has lost: that is what the kept one is for. */
static void keep_notice(struct loop *l, const json_t *doc, struct slice text)
{
    struct err e = {0};

    if (json_bool(doc, "fenced", false))
        return;
    if (notice_keep(l->memory.dir, text, &e) == ERR_OK)
        l->parent.notice_n = json_int(doc, "n", 0);
    else
        log_event(LOG_LEVEL_WARN, "parent.notice", KV_STR("problem", e.msg));
}

static void on_notice(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    AUTO(json_free) json_t *doc = NULL;
    struct err e = {0};

    l->parent.notice_busy = false;
    if (l->parent.state == PARENT_OK && (a->status == 0 || a->status == 429 || a->status == 503)) {
        /* Not heard, or by one that is only starting: what it asks is still open. */
        l->parent.poll_next = clock_mono_ms() + parent_react(l, a, &l->parent.poll_backoff);
        l->parent.notice_next = 0;
    }
    if (a->status != 200)
        return;
    note_contact(l, a, false);
    if (notice_open(strbuf_slice(&a->body), l->id.trust, l->id.fleet, loop_now_ms(l), &doc, &e) !=
        ERR_OK) {
        log_event(LOG_LEVEL_WARN, "parent.notice", KV_STR("problem", e.msg));
        return;
    }
    take_addresses(l, doc);
    keep_notice(l, doc, strbuf_slice(&a->body));
    if (l->parent.state == PARENT_REVOKED && !notice_revokes(doc, l->id.device_id)) {
        /* Reinstated: try once, a refusal brings us back here. */
        l->parent.state = PARENT_OK;
        l->parent.token_next = l->parent.poll_next = clock_mono_ms();
    }
}

static void ask_notice(struct loop *l, int64_t now)
{
    struct http_req *r = http_req_new("GET", "/api/agent/v1/notice");

    if (r != NULL)
        http_req_limits(r, PROTO_BUNDLE_MAX, HTTP_HEAD_MS);
    l->parent.notice_next = now + LOOP_NOTICE_MS + (int64_t)rand_below(LOOP_NOTICE_MS / 10);
    l->parent.notice_busy = http_start(l->http, r, on_notice, l, NULL) == ERR_OK;
}

/* --- what we send --- */

/* 413 and 422: leave more out next time; never the same again. */
static int64_t report_refused(struct loop *l, const struct http_answer *a)
{
    int64_t wait = parent_react(l, a, &l->parent.status_backoff);

    if (a->status == 413 || a->status == 422 || a->status == 400) {
        l->report.level++;
        l->report.force = l->report.level <= 3;
        wait = l->report.level <= 3 ? 0 : wait;
    }
    return wait;
}

static void on_status(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;

    l->parent.status_busy = false;
    if (a->status == 204 || a->status == 200) {
        backoff_reset(&l->parent.status_backoff);
        note_contact(l, a, true);
        (void)snprintf(l->report.sent, sizeof l->report.sent, "%s", l->report.sending);
        (void)snprintf(l->report.sent_change, sizeof l->report.sent_change, "%s",
                       l->report.sending_change);
        l->report.next_by = clock_mono_ms() + LOOP_STATUS_MS;
        l->report.acked_at = clock_mono_ms();
        /* An answer that lay here while the change was made says nothing about the way after it. */
        if (l->parent.status_started >= l->work.pending.began)
            l->report.confirmed = true;
        return;
    }
    l->report.force = true;
    l->parent.status_next = clock_mono_ms() + report_refused(l, a);
}

static char *signed_text(struct loop *l, const char *typ, const json_t *doc, char digest[65])
{
    AUTO_STR char *text = json_canonical(doc);
    char *jws = NULL;
    struct err e = {0};

    if (text == NULL)
        return NULL;
    sha256_hex(slice_of(text), digest);
    if (jose_jws_sign(l->id.key.sig, typ, slice_of(text), false, &jws, &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "sign.failed", KV_STR("problem", e.msg));
    return jws;
}

static bool send_signed(struct loop *l, const char *method, const char *path, const char *jws,
                        http_done *done)
{
    struct http_req *r = http_req_new(method, path);
    struct err e = {0};

    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", l->parent.token);
        http_req_body(r, "application/jose+json", slice_of(jws));
    }
    return http_start(l->http, r, done, l, &e) == ERR_OK;
}

/* The newest state, signed, small enough; nothing queues. */
static void send_status(struct loop *l)
{
    int64_t now = clock_mono_ms(), seq = 0;

    l->parent.status_next = now + STATUS_GAP_MS;
    if (memory_next_seq(&l->memory, &seq, NULL) != ERR_OK)
        return;
    for (;; l->report.level++) {
        AUTO(json_free) json_t *doc = report_build(l, seq);
        AUTO_STR char *jws =
            doc == NULL ? NULL : signed_text(l, PROTO_TYP_STATUS, doc, l->report.sending);
        if (jws == NULL)
            return;
        if (strlen(jws) > PROTO_STATUS_MAX && l->report.level < 3)
            continue;
        l->parent.status_busy = send_signed(l, "PUT", "/api/agent/v1/status", jws, on_status);
        l->parent.status_started = clock_mono_ms();
        l->report.force = !l->parent.status_busy;
        return;
    }
}

static void on_proposal(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    char digest[65];

    l->parent.proposal_busy = false;
    if (a->status != 204 && a->status != 200) {
        l->parent.proposal_next =
            clock_mono_ms() + parent_react(l, a, &l->parent.status_backoff) + 10000;
        return;
    }
    note_contact(l, a, true);
    if (l->work.proposal != NULL && json_digest(l->work.proposal, digest)) {
        (void)snprintf(l->memory.proposal, sizeof l->memory.proposal, "%s", digest);
        loop_save(l);
    }
}

static void send_proposal(struct loop *l, int64_t now)
{
    AUTO_STR char *jws = NULL;
    char digest[65];

    l->parent.proposal_next = now + 10000;
    if (!json_digest(l->work.proposal, digest) || strcmp(digest, l->memory.proposal) == 0)
        return;
    jws = signed_text(l, PROTO_TYP_PROPOSAL, l->work.proposal, digest);
    if (jws == NULL || strlen(jws) > PROTO_PROPOSAL_MAX) {
        log_event(LOG_LEVEL_WARN, "proposal.too_large",
                  KV_INT("bytes", jws == NULL ? 0 : (int64_t)strlen(jws)));
        l->parent.proposal_next = now + LOOP_STATUS_MS;
        return;
    }
    l->parent.proposal_busy = send_signed(l, "POST", "/api/agent/v1/proposals", jws, on_proposal);
}

static void on_kept(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;

    l->parent.kept_busy = false;
    if (a->status == 204)
        log_event(LOG_LEVEL_INFO, "parent.kept", KV_INT("rev", l->memory.rev));
    else
        log_event(LOG_LEVEL_WARN, "parent.kept_refused", KV_INT("status", a->status),
                  KV_STR("problem", a->problem));
}

/* Once for each time the parent says that it is behind. */
static void send_kept(struct loop *l)
{
    AUTO_STR char *text = NULL;
    size_t n = 0;
    struct err e = {0};

    l->parent.kept_wanted = false;
    if (memory_read_bundle(&l->memory, &text, &n, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "parent.kept", KV_STR("problem", e.msg));
    else
        l->parent.kept_busy = send_signed(l, "POST", "/api/agent/v1/kept", text, on_kept);
}

static void on_notice_sent(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;

    l->parent.notice_sending = false;
    if (a->status == 204 || a->status == 422) /* the same again would be no better */
        l->parent.notice_given = true;
    log_event(LOG_LEVEL_INFO, "parent.notice_given", KV_INT("status", a->status),
              KV_STR("problem", a->problem));
}

/* Asked for with the next answer again when it did not arrive. */
static void send_notice(struct loop *l)
{
    AUTO_STR char *text = NULL;

    l->parent.notice_wanted = false;
    if (notice_kept(l->memory.dir, &text, NULL) == ERR_OK)
        l->parent.notice_sending =
            send_signed(l, "POST", "/api/agent/v1/kept", text, on_notice_sent);
}

/* --- turns --- */

static int64_t since_boot_s(void)
{
    return clock_boot_ms() / 1000;
}

/* A disk that was copied to another machine must not speak as the device it was copied from. */
static void look_at_machine(struct loop *l)
{
    struct err e = {0};

    if (identity_foreign(&l->id, &l->here)) {
        l->parent.state = PARENT_FOREIGN;
        (void)condition_set(
            &l->conditions, COND_AUTHENTICATED, COND_FALSE, "ForeignMachine", "%s",
            "this identity was made on another machine and is not used here: \"inarictl\" knows "
            "the "
            "original; join anew after \"inari-agent prepare-image\", or \"inari-agent "
            "confirm-machine\" if the original is gone");
        return;
    }
    if (strcmp(l->id.machine.whole, l->here.whole) == 0 && l->id.machine.id[0] != '\0')
        return;
    log_event(LOG_LEVEL_WARN, "machine.changed", KV_STR("was", l->id.machine.whole),
              KV_STR("is", l->here.whole));
    if (identity_moved(l->memory.dir, &l->id, &l->here, &e) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "machine.not_stored", KV_STR("problem", e.msg));
}

void parent_begin(struct loop *l)
{
    struct loop_parent *p = &l->parent;
    AUTO_STR char *kept = NULL;
    AUTO(json_free) json_t *doc = NULL;
    int64_t slot = (int64_t)rand_below(500);

    p->wait_s = l->id.wait_s < WAIT_MIN_S ? WAIT_MIN_S : l->id.wait_s;
    if (since_boot_s() < BOOT_FRESH_S && l->memory.rev > 0)
        slot = backoff_boot_slot_ms(l->id.device_id);
    p->token_next = p->poll_next = clock_mono_ms() + slot;
    p->incoming = STRBUF_INIT(PROTO_BUNDLE_MAX);
    if (notice_kept(l->memory.dir, &kept, NULL) == ERR_OK &&
        notice_open(slice_of(kept), l->id.trust, l->id.fleet, 0, &doc, NULL) == ERR_OK)
        p->notice_n = json_int(doc, "n", 0);
    (void)condition_set(&l->conditions, COND_AUTHENTICATED, COND_UNKNOWN, "Starting", "%s", "");
    look_at_machine(l);
}

enum err_code parent_confirm_machine(struct loop *l, struct err *e)
{
    enum err_code rc;

    if (l->parent.state != PARENT_FOREIGN)
        return err_set(e, ERR_CONFLICT,
                       "this is the machine that joined; there is nothing to confirm");
    rc = identity_moved(l->memory.dir, &l->id, &l->here, e);
    if (rc != ERR_OK)
        return rc;
    l->parent.state = PARENT_OK;
    l->parent.token_next = l->parent.poll_next = clock_mono_ms();
    (void)condition_set(&l->conditions, COND_AUTHENTICATED, COND_UNKNOWN, "Starting", "%s", "");
    log_event(LOG_LEVEL_WARN, "machine.confirmed", KV_STR("fingerprint", l->here.whole));
    return ERR_OK;
}

void parent_clear(struct loop *l)
{
    drop_token(l);
    strbuf_clear(&l->parent.incoming);
}

static void turn_authenticated(struct loop *l, int64_t now)
{
    struct loop_parent *p = &l->parent;

    rotate_turn(l);
    if (p->token == NULL)
        return;

    if (!p->status_busy && l->report.force) {
        if (now >= p->status_next)
            send_status(l);
        else
            loop_wake(l, p->status_next);
    }
    if (!p->poll_busy && !p->incoming_full && !p->notice_busy) {
        int64_t report_first = p->status_busy ? p->status_started + REPORT_FIRST_MS : 0;

        /* A report on its way would end the held poll at once: let it arrive first. */
        if (now >= p->poll_next && now < report_first)
            loop_wake(l, report_first);
        else if (now >= p->poll_next && command_busy(l) && now < p->poll_next + REPORT_FIRST_MS)
            loop_wake(l, p->poll_next + REPORT_FIRST_MS); /* so would orders nobody said are here */
        else if (now >= p->poll_next && now >= p->notice_next)
            ask_notice(l, now); /* before the poll, on its connection */
        else if (now >= p->poll_next)
            ask_desired(l);
        else
            loop_wake(l, p->poll_next);
    }
    if (!p->proposal_busy && l->work.proposal != NULL && now >= p->proposal_next)
        send_proposal(l, now);
    if (p->kept_wanted && !p->kept_busy)
        send_kept(l);
    if (p->notice_wanted && !p->notice_sending)
        send_notice(l);
    command_turn_parent(l);
    if (!p->trust_busy && p->trust_wanted > trust_number(l->id.trust))
        ask_trust(l);
}

void parent_turn(struct loop *l)
{
    struct loop_parent *p = &l->parent;
    int64_t now = clock_mono_ms();

    watch_clock(l);
    if (p->state == PARENT_RETIRED || p->state == PARENT_FOREIGN)
        return;
    show_churning(l, now);
    if (p->state == PARENT_REVOKED) {
        if (!p->notice_busy && now >= p->notice_next)
            ask_notice(l, now);
        return;
    }
    reattach_turn(l);
    if (reattach_waits(l))
        return;
    if (!p->token_busy && (p->token == NULL || now >= p->token_refresh)) {
        if (now >= p->token_next)
            ask_token(l);
        else
            loop_wake(l, p->token_next);
    }
    if (p->token != NULL)
        turn_authenticated(l, now);
}

enum err_code parent_leave(struct loop *l, struct err *e)
{
    AUTO_STR char *proof = NULL;
    struct http_answer a = {0};
    struct http_req *r;
    enum err_code rc;

    if (l->parent.token == NULL)
        return err_set(e, ERR_UNAVAILABLE, "the parent was not reached (%s)", l->parent.trouble);
    rc = token_proof(l->id.key.sig, l->id.device_id, trust_issuer(l->id.trust), PROTO_ACT_LEAVE,
                     loop_now_ms(l), &proof, e);
    if (rc != ERR_OK)
        return rc;
    r = http_req_new("DELETE", "/api/agent/v1/self");
    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", l->parent.token);
        http_req_header(r, PROTO_H_BOOT ": %s", l->boot);
        http_req_header(r, PROTO_H_PROOF ": %s", proof);
    }
    rc = http_call(l->http, r, &a, e);
    if (rc != ERR_OK)
        return rc;
    rc = a.status == 204 || a.status == 200 ? ERR_OK : http_answer_err(&a, e);
    http_answer_clear(&a);
    return rc;
}
