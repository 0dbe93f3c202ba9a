/*
 * work.c - what the loop does on this host: verify what came, apply it, wait for the confirmation,
 * look for drift, check what runs, recover what a dead process left behind.
 */
#include "base/clock.h"
#include "base/log.h"
#include "loop/drift.h"
#include "loop/front.h"
#include "loop/loop.h"
#include "plan/plan.h"

#include <stdio.h>
#include <stdlib.h>

enum { FACTS_MS = 600 * 1000, LKG_MS = 60 * 1000, SOAK_STEP_MS = 5000, LEFT_OPEN_MS = 20 * 1000 };

void work_again(struct loop *l)
{
    l->work.wanted = l->work.have_bundle;
    l->work.next = 0;
}

void work_clear(struct loop *l)
{
    bundle_clear(&l->work.bundle);
    json_decref(l->work.running);
    json_decref(l->work.drift);
    json_decref(l->work.facts);
    json_decref(l->work.proposal);
}

static void cond(struct loop *l, enum condition_type type, enum condition_status status,
                 const char *reason, const char *message)
{
    if (condition_set(&l->conditions, type, status, reason, "%s", message))
        loop_touch(l);
}

/* How an attempt ended, as an event; nothing was tried when it was only looked at. */
static void say_attempt(struct loop *l)
{
    const char *result = l->apply.result, *kind = "device.reverted";

    if (result == NULL || strcmp(result, "observed") == 0)
        return;
    if (strcmp(result, "committed") == 0)
        kind = "device.applied";
    if (strcmp(result, "rejected") == 0 || strcmp(result, "held") == 0)
        kind = "device.refused";
    events_say(l, kind,
               json_pack("{s:I,s:I,s:s,s:s,s:s,s:s,s:s}", "revision", (json_int_t)l->apply.rev,
                         "pub", (json_int_t)l->apply.pub, "bundle", l->apply.jti, "digest",
                         l->apply.digest, "result", result, "phase", l->apply.phase, "reason",
                         json_str(l->apply.problem, "detail", "")));
}

static void keep_attempt(struct loop *l)
{
    json_t *j = apply_to_json(&l->apply);

    say_attempt(l);
    if (j != NULL) {
        json_decref(l->memory.last_attempt);
        l->memory.last_attempt = j;
    }
    loop_save(l);
    loop_touch(l);
}

/* --- what the helper knows --- */

static json_t *ask(struct loop *l, const char *verb, json_t *members)
{
    json_t *answer = NULL;
    struct err e = {0};

    if (helper_ask(&l->helper, verb, members, HELPER_QUICK_MS, &answer, &e) == ERR_OK)
        return answer;
    log_event(LOG_LEVEL_WARN, "helper.failed", KV_STR("verb", verb), KV_STR("problem", e.msg));
    json_decref(answer);
    return NULL;
}

static void refresh_facts(struct loop *l)
{
    json_t *names, *domains, *files, *answer, *facts;

    plan_wanted(l->work.bundle.settings, &names, &domains, &files);
    answer =
        ask(l, "facts", json_pack("{s:o,s:o,s:o}", "names", names, "mx", domains, "files", files));
    facts = json_object_get(answer, "facts");

    l->work.next_facts = clock_mono_ms() + FACTS_MS;
    if (json_is_object(facts) && !json_equal(facts, l->work.facts)) {
        json_decref(l->work.facts);
        l->work.facts = json_incref(facts);
        loop_touch(l);
    }
    json_decref(answer);
}

static const char *disk_digest(const struct loop *l)
{
    return json_str(l->work.running, "on_disk", "");
}

static bool is_open(const struct loop *l)
{
    return json_bool(l->work.running, "open", false);
}

/* The newest kept configuration that is not the one on disk; "" when there is none. */
static const char *earlier_digest(const struct loop *l)
{
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(l->work.running, "lkg"), i, v)
    {
        if (strcmp(json_str(v, "digest", ""), disk_digest(l)) != 0)
            return json_str(v, "digest", "");
    }
    return "";
}

/* Ask the helper and read the banner: the truth about what runs. */
static bool refresh_running(struct loop *l)
{
    json_t *answer = ask(l, "running", NULL);

    if (answer == NULL)
        return false;
    (void)json_object_del(answer, "ok");
    json_decref(l->work.running);
    l->work.running = answer;
    l->work.main_digest[0] = l->work.master_digest[0] = '\0';
    if (disk_digest(l)[0] != '\0')
        apply_read_banner(&l->apply, l->work.main_digest, l->work.master_digest);
    loop_touch(l);
    return true;
}

/* --- a bundle came --- */

static void take_incoming(struct loop *l)
{
    struct slice text = strbuf_slice(&l->parent.incoming);
    struct bundle_known k = loop_known(l);
    struct bundle b = {0};
    struct err e = {0};
    enum bundle_refusal r = bundle_verify(text, &k, &b, &e);

    if (r != BUNDLE_OK) {
        log_event(LOG_LEVEL_ERROR, "bundle.refused", KV_STR("reason", bundle_refusal_word(r)),
                  KV_STR("problem", e.msg));
        cond(l, COND_CONFIG_VERIFIED, COND_FALSE, bundle_refusal_word(r), e.msg);
        events_say(l, "device.refused",
                   json_pack("{s:s,s:s,s:s}", "result", "unverified", "reason", e.msg, "refusal",
                             bundle_refusal_word(r)));
        if (r == BUNDLE_FORK)
            memory_keep_fork(&l->memory, text);
        parent_bundle_done(l, NULL);
        return;
    }
    if (memory_keep_bundle(&l->memory, text, &b, &e) != ERR_OK) {
        cond(l, COND_STORAGE_OK, COND_FALSE, "Storage", e.msg);
        bundle_clear(&b);
        parent_bundle_done(l, NULL);
        return;
    }
    log_event(LOG_LEVEL_INFO, "bundle.verified", KV_INT("epoch", b.epoch), KV_INT("rev", b.rev),
              KV_INT("pub", b.pub), KV_STR("digest", b.digest));
    bundle_clear(&l->work.bundle);
    l->work.bundle = b;
    drift_new_bundle(l);
    l->work.have_bundle = true;
    cond(l, COND_CONFIG_VERIFIED, COND_TRUE, "Verified", "");
    cond(l, COND_STORAGE_OK, COND_TRUE, "Ok", "");
    work_again(l);
    loop_touch(l);
    parent_bundle_done(l, l->memory.digest);
}

static void load_kept(struct loop *l)
{
    struct bundle_known k = loop_known(l);
    AUTO_STR char *text = NULL;
    struct err e = {0};
    size_t n = 0;
    enum bundle_refusal r;

    if (l->memory.rev == 0 || memory_read_bundle(&l->memory, &text, &n, &e) != ERR_OK)
        return;
    r = bundle_verify((struct slice){text, n}, &k, &l->work.bundle, &e);
    l->work.have_bundle = r == BUNDLE_OK;
    if (r == BUNDLE_OK)
        cond(l, COND_CONFIG_VERIFIED, COND_TRUE, "Verified", "");
    else /* asked for again, without If-None-Match */
        cond(l, COND_CONFIG_VERIFIED, COND_FALSE, bundle_refusal_word(r), e.msg);
    l->work.wanted = l->work.have_bundle;
}

/* --- applying it --- */

static void show_held(struct loop *l)
{
    char until[CLOCK_TEXT_SIZE], text[300];

    clock_format(hold_until_ms(&l->memory), until);
    (void)snprintf(text, sizeof text, "%s (until %s)", hold_reason(&l->memory), until);
    cond(l, COND_HELD, COND_TRUE, "LocalHold", text);
}

static void show_quarantine(struct loop *l)
{
    const char *digest;
    json_t *v;

    json_object_foreach(l->memory.failed, digest, v)
    {
        if (json_int(v, "count", 0) < MEMORY_TRIES)
            continue;
        cond(l, COND_QUARANTINED, strcmp(digest, l->memory.digest) == 0 ? COND_TRUE : COND_FALSE,
             "FailedTwice", json_str(v, "reason", ""));
        if (strcmp(digest, l->memory.digest) == 0)
            return;
    }
    cond(l, COND_QUARANTINED, COND_FALSE, "None", "");
}

/* After an attempt that failed: once more later, then never again until something changes. */
static void count_failure(struct loop *l)
{
    const char *detail = json_str(l->apply.problem, "detail", "");
    const char *type = json_str(l->apply.problem, "type", "");
    int64_t retry = LOOP_RETRY_MS + (int64_t)rand_below(LOOP_RETRY_MS / 2), count = 0;

    if (l->work.left_open) { /* the same attempt still */
        retry = 0;
    } else if (strcmp(type, PROBLEM_TYPE_PREFIX "storage") !=
               0) { /* a full disk is not the content's fault */
        char reason[201];
        (void)snprintf(reason, sizeof reason, "%s", detail);
        count = memory_failed(&l->memory, l->apply.digest, reason);
    } else {
        retry = LOOP_SLOW_MS;
        cond(l, COND_STORAGE_OK, COND_FALSE, "Storage", detail);
    }
    if (count < MEMORY_TRIES && strcmp(l->apply.digest, l->work.bundle.digest) == 0) {
        l->work.wanted = true;
        l->work.next = clock_mono_ms() + retry;
    }
    show_quarantine(l);
}

static void show_result(struct loop *l)
{
    const char *result = l->apply.result, *detail = json_str(l->apply.problem, "detail", "");

    if (strcmp(result, "committed") == 0) {
        memory_forgive(&l->memory, l->apply.digest);
        memcpy(l->memory.network, l->work.network, sizeof l->memory.network);
        cond(l, COND_CONFIG_VALID, COND_TRUE, "Valid", "");
        cond(l, COND_CONFIG_APPLIED, COND_TRUE, "Committed", "");
        cond(l, COND_CONFIG_RUNNING, COND_TRUE, "ReadBack", "");
        cond(l, COND_CHAIN_HEALTHY, COND_TRUE, "Probed", "");
        cond(l, COND_STORAGE_OK, COND_TRUE, "Ok", "");
        figures_watched(l, LOOP_WATCHED_MS);
        show_quarantine(l);
    } else if (strcmp(result, "observed") == 0) {
        cond(l, COND_CONFIG_VALID, COND_TRUE, "Valid", "");
        cond(l, COND_CONFIG_APPLIED, COND_UNKNOWN, "Observed",
             "nothing is written in observe mode");
    } else if (strcmp(result, "rejected") == 0) {
        cond(l, COND_CONFIG_VALID, COND_FALSE, "Rejected", detail);
        cond(l, COND_CONFIG_APPLIED, COND_FALSE, "Rejected", detail);
        count_failure(l);
    } else if (strcmp(result, "degraded") == 0) {
        cond(l, COND_CONFIG_APPLIED, COND_FALSE, "Degraded", detail);
        cond(l, COND_CHAIN_HEALTHY, COND_FALSE, "Degraded", detail);
        count_failure(l);
    } else { /* reverted, interrupted */
        cond(l, COND_CONFIG_APPLIED, COND_FALSE,
             strcmp(result, "interrupted") == 0 ? "Interrupted" : "Reverted", detail);
        count_failure(l);
    }
}

/* Test builds need not wait a minute: INARI_LKG_S. */
static int64_t lkg_ms(void)
{
#ifdef INARI_TEST_HOOKS
    const char *s = getenv("INARI_LKG_S");
    int64_t v;
    if (s != NULL && parse_i64(slice_of(s), 1, 3600, &v))
        return v * 1000;
#endif
    return LKG_MS;
}

static void set_degraded(struct loop *l, bool is)
{
    bool changed = l->memory.degraded != is;

    l->memory.degraded = is;
    if (changed)
        loop_save(l);
}

/* An attempt has come to its end, whatever it was. */
static void settle(struct loop *l, enum apply_outcome out)
{
    l->work.pending.active = false;
    if (out == APPLY_AWAY) {
        cond(l, COND_CONFIG_APPLIED, COND_UNKNOWN, "HelperAway", "the helper does not answer");
        l->work.wanted = true;
        l->work.next = clock_mono_ms() + LOOP_HELPER_RETRY_MS;
        return;
    }
    /* What was refused before the switch says nothing about what runs: as sick as it was. */
    if (out == APPLY_DEGRADED || strcmp(l->apply.result, "committed") == 0 ||
        strcmp(l->apply.result, "reverted") == 0)
        set_degraded(l, out == APPLY_DEGRADED);
    l->work.next_lkg = clock_mono_ms() + lkg_ms();
    (void)refresh_running(l);
    show_result(l);
    keep_attempt(l);
    if (strcmp(l->apply.result, "committed") == 0) {
        json_decref(l->work.drift);
        l->work.drift = NULL;
        l->work.next_check =
            0; /* whatever stands there beside what was rendered is drift: look now */
    }
}

/* Test builds need not wait five minutes: INARI_CONFIRM_S. */
static int64_t confirm_window_ms(const struct bundle *b)
{
#ifdef INARI_TEST_HOOKS
    const char *s = getenv("INARI_CONFIRM_S");
    int64_t v;
    if (s != NULL && parse_i64(slice_of(s), 1, 3600, &v))
        return v * 1000;
#endif
    return b->confirm_window_s * 1000;
}

static void finish_or_wait(struct loop *l)
{
    const struct bundle *b = &l->work.bundle;
    int64_t now = clock_mono_ms();

    l->work.pending.need_confirm =
        l->parent.reachable && strcmp(l->work.network, l->memory.network) != 0;
    l->work.pending.began = now;
    l->work.pending.soak_until = now + b->probe_soak_s * 1000;
    l->work.pending.confirm_until = now + confirm_window_ms(b);
    l->work.pending.next = now + SOAK_STEP_MS;
    if (!l->work.pending.need_confirm && b->probe_soak_s == 0) {
        settle(l, apply_commit(&l->apply));
        return;
    }
    l->work.pending.active = true;
    (void)refresh_running(l);
    l->report.confirmed = false;
    l->report.force = true; /* the confirmation is a status that arrives */
    l->parent.status_next = 0;
}

static bool runs_already(struct loop *l)
{
    char problem[512];

    return refresh_running(l) && strcmp(disk_digest(l), l->work.bundle.digest) == 0 &&
           front_agrees(l, l->work.bundle.digest, problem, sizeof problem) &&
           apply_check_running(&l->apply, l->work.bundle.digest, true, problem, sizeof problem);
}

static void apply_now(struct loop *l)
{
    const struct bundle *b = &l->work.bundle;
    enum apply_outcome out;

    l->work.wanted = false;
    apply_network_digest(b->settings, l->work.network);
    if (b->mode == BUNDLE_MANAGE && runs_already(l)) {
        apply_same(&l->apply, b);
        settle(l, APPLY_FINISHED);
        return;
    }
    out = apply_start(&l->apply, b);
    if (out == APPLY_PROBED)
        finish_or_wait(l);
    else
        settle(l, out);
}

/* Stopped by an order, and so until another one starts it. */
static bool stopped_on_purpose(const struct loop *l)
{
    return strcmp(json_str(json_object_get(l->work.running, "desired"), "state", ""), "stopped") ==
           0;
}

/* Drained by an order; "Empty" once nothing is left that a stop would delay. */
static void show_drain(struct loop *l)
{
    static const char *const queues[] = {"incoming", "active", "deferred", "hold"};
    const json_t *d = json_object_get(l->work.running, "drain");
    const json_t *queue = json_object_get(l->work.running, "queue");
    int64_t left = 0;
    char text[700];

    for (size_t i = 0; i < COUNT_OF(queues); i++)
        left += json_int(queue, queues[i], 0);
    if (!json_is_object(d)) {
        cond(l, COND_DRAINED, COND_FALSE, "TakesMail", "");
        return;
    }
    (void)snprintf(text, sizeof text, "drained by %s since %s: %s", json_str(d, "by", ""),
                   json_str(d, "since", ""), json_str(d, "reason", ""));
    cond(l, COND_DRAINED, COND_TRUE, left > 0 ? "Draining" : "Empty", text);
}

static void show_service(struct loop *l)
{
    const json_t *d = json_object_get(l->work.running, "desired");
    bool runs = strcmp(json_str(l->work.running, "state", ""), "stopped") != 0;
    char text[700];

    (void)snprintf(text, sizeof text, "stopped by %s since %s: %s", json_str(d, "by", ""),
                   json_str(d, "since", ""), json_str(d, "reason", ""));
    if (stopped_on_purpose(l))
        cond(l, COND_SERVICE_RUNNING, COND_FALSE, runs ? "RunsAlthoughStopped" : "StoppedOnPurpose",
             text);
    else if (!runs)
        cond(l, COND_SERVICE_RUNNING, COND_FALSE, "NotRunning",
             "Postfix is wanted to run and does not");
    else if (!front_shows(l))
        cond(l, COND_SERVICE_RUNNING, COND_TRUE, "Running", "");
}

/* Nothing starts it by the way: a change waits until an order does. */
static bool waits_for_start(struct loop *l, const struct bundle *b)
{
    struct err e = {0};

    if (b->mode != BUNDLE_MANAGE || !refresh_running(l) || !stopped_on_purpose(l))
        return false;
    l->work.wanted = false;
    show_service(l);
    (void)err_set(&e, ERR_REFUSED, "Postfix is stopped on purpose by %s since %s",
                  json_str(json_object_get(l->work.running, "desired"), "by", ""),
                  json_str(json_object_get(l->work.running, "desired"), "since", ""));
    apply_refuse(&l->apply, b, "held", &e);
    keep_attempt(l);
    return true;
}

static void consider(struct loop *l)
{
    const struct bundle *b = &l->work.bundle;
    struct err e = {0};

    if (hold_active(&l->memory, clock_wall_ms(), NULL) && b->mode != BUNDLE_OBSERVE) {
        l->work.wanted = false;
        show_held(l);
        (void)err_set(&e, ERR_REFUSED, "held on the device: %s", hold_reason(&l->memory));
        apply_refuse(&l->apply, b, "held", &e);
        keep_attempt(l);
        return;
    }
    if (memory_failures(&l->memory, b->digest) >= MEMORY_TRIES) {
        l->work.wanted = false; /* last_attempt goes on showing why */
        show_quarantine(l);
        return;
    }
    if (!waits_for_start(l, b))
        apply_now(l);
}

/* Switched and proven: wait for the soak and for the parent, then commit; else go back. */
static void turn_pending(struct loop *l, int64_t now)
{
    struct err e = {0};
    char problem[512];

    if (l->report.confirmed)
        l->work.pending.need_confirm = false;
    if (l->work.pending.need_confirm && now >= l->work.pending.confirm_until) {
        (void)err_set(&e, ERR_UNAVAILABLE,
                      "the parent answered before this change and not within %lld s after it",
                      (long long)(confirm_window_ms(&l->work.bundle) / 1000));
        l->work.needs_parent = true;
        settle(l, apply_revert(&l->apply, &e));
        return;
    }
    if (!l->work.pending.need_confirm && now >= l->work.pending.soak_until) {
        settle(l, apply_commit(&l->apply));
        return;
    }
    if (now >= l->work.pending.next) {
        l->work.pending.next = now + SOAK_STEP_MS;
        if (l->work.pending.need_confirm && !l->parent.status_busy) {
            l->report.force = true;
            l->parent.status_next = 0;
        }
        if (!apply_check_running(&l->apply, l->apply.digest, true, problem, sizeof problem)) {
            (void)err_set(&e, ERR_REFUSED, "after the switch: %s", problem);
            settle(l, apply_revert(&l->apply, &e));
            return;
        }
    }
    loop_wake(l, l->work.pending.next);
    if (!l->work.pending.need_confirm)
        loop_wake(l, l->work.pending.soak_until);
    else
        loop_wake(l, l->work.pending.confirm_until);
}

/* --- regular looks --- */

static void check_running(struct loop *l, int64_t now)
{
    const char *digest = disk_digest(l);
    bool relay = now >= l->work.next_relay;
    char problem[512];

    if (stopped_on_purpose(l)) {
        cond(l, COND_CONFIG_RUNNING, COND_UNKNOWN, "StoppedOnPurpose", "");
        return;
    }
    if (digest[0] == '\0')
        return;
    if (relay)
        l->work.next_relay = now + LOOP_RELAY_MS;
    if (front_agrees(l, digest, problem, sizeof problem) &&
        apply_check_running(&l->apply, digest, relay, problem, sizeof problem)) {
        cond(l, COND_CONFIG_RUNNING, COND_TRUE, "ReadBack", "");
        if (relay && !l->memory.degraded)
            cond(l, COND_CHAIN_HEALTHY, COND_TRUE, "Probed", "");
        return;
    }
    cond(l, COND_CONFIG_RUNNING, COND_FALSE, "Differs", problem);
    if (relay)
        cond(l, COND_CHAIN_HEALTHY, COND_FALSE, "Probe", problem);
}

static bool manages(const struct loop *l)
{
    return l->work.have_bundle && l->work.bundle.mode == BUNDLE_MANAGE;
}

/* A kept configuration once more: switched, proven, committed; or everything as it was. */
static enum err_code restore(struct loop *l, const char *digest, struct err *e)
{
    json_t *answer = NULL;
    char problem[512];
    enum err_code rc = helper_ask(&l->helper, "restore", json_pack("{s:s}", "digest", digest),
                                  HELPER_SLOW_MS, &answer, e);

    json_decref(answer);
    if (rc != ERR_OK)
        return rc;
    if (apply_check_running(&l->apply, digest, true, problem, sizeof problem)) {
        answer = NULL;
        rc = helper_ask(&l->helper, "commit", json_pack("{s:s}", "digest", digest), HELPER_QUICK_MS,
                        &answer, e);
        json_decref(answer);
        return rc;
    }
    json_decref(ask(l, "revert", NULL));
    return err_set(e, ERR_REFUSED, "it was put back and does not answer: %s", problem);
}

/* Neither the new nor the old configuration answered: the kept ones again, slowly. */
static void try_lkg(struct loop *l)
{
    const json_t *kept = json_array_get(json_object_get(l->work.running, "lkg"), 0);
    char digest[65];
    struct err e = {0};

    (void)snprintf(digest, sizeof digest, "%s", json_str(kept, "digest", ""));
    l->work.next_lkg = clock_mono_ms() + lkg_ms();
    if (digest[0] == '\0')
        return;
    log_event(LOG_LEVEL_WARN, "lkg.tried", KV_STR("digest", digest));
    if (restore(l, digest, &e) != ERR_OK) {
        /* From its end: it takes long, and the parent must hear of it in between. */
        l->work.next_lkg = clock_mono_ms() + lkg_ms();
        cond(l, COND_CHAIN_HEALTHY, COND_FALSE, "Degraded", e.msg);
        return;
    }
    set_degraded(l, false);
    cond(l, COND_CHAIN_HEALTHY, COND_TRUE, "Recovered", "");
    (void)refresh_running(l);
}

static void propose(struct loop *l)
{
    json_t *found = ask(l, "read", NULL), *doc;

    if (found == NULL)
        return;
    doc = json_pack("{s:s,s:s,s:O?,s:O?,s:O?}", "device", l->id.device_id, "kind", "inventory",
                    "settings", json_object_get(found, "settings"), "foreign",
                    json_object_get(found, "foreign"), "unreadable",
                    json_object_get(found, "unreadable"));
    json_decref(found);
    json_decref(l->work.proposal);
    l->work.proposal = doc;
    l->parent.proposal_next = 0;
}

/* Wanted and seen are two things; what is seen is made what is wanted only where drift is to be put
 * right. */
static void enforce_service(struct loop *l)
{
    bool runs = strcmp(json_str(l->work.running, "state", ""), "stopped") != 0;
    const char *op = stopped_on_purpose(l) ? "stop" : "start";

    if (runs != stopped_on_purpose(l) || !drift_enforces(l, "service:postfix"))
        return;
    log_event(LOG_LEVEL_WARN, "service.enforced", KV_STR("op", op));
    json_decref(ask(l, "service", json_pack("{s:s}", "op", op)));
    if (refresh_running(l))
        show_service(l);
}

static void look_at_managed(struct loop *l, int64_t now)
{
    if (!manages(l) || l->memory.degraded)
        return;
    enforce_service(l);
    drift_look(l);
    check_running(l, now);
}

/* Nothing of ours is under way, and a change is open: its answer never came, or it could not be put
 * back then.  Nobody else ends it while we are connected, and nothing new begins before. */
static bool end_left_open(struct loop *l, int64_t now)
{
    if (!is_open(l))
        return false;
    log_event(LOG_LEVEL_WARN, "apply.left-open", KV_STR("digest", disk_digest(l)));
    l->work.next_check = now + LEFT_OPEN_MS; /* when it cannot be ended this time either */
    l->work.left_open = true;
    l->apply.result = NULL;
    l->work.recovered = false;
    l->work.next = 0;
    loop_wake(l, now);
    return true;
}

/* Postfix runs and said nothing of what it runs. */
static bool was_mute(const struct loop *l)
{
    return disk_digest(l)[0] != '\0' && l->work.main_digest[0] == '\0' &&
           strcmp(json_str(l->work.running, "state", ""), "stopped") != 0;
}

/* A helper that was just started again, a Postfix that was too busy to answer: the device is not
 * shown as one that does not run what it was given until the next look, a minute later. */
static void look_sooner(struct loop *l, bool clear)
{
    int64_t pause = LOOP_HELPER_RETRY_MS;

    for (unsigned i = 0; i < l->work.unclear && pause < LOOP_CHECK_MS; i++)
        pause *= 2;
    l->work.unclear = clear ? 0 : l->work.unclear + 1;
    if (!clear && clock_mono_ms() + pause < l->work.next_check)
        l->work.next_check = clock_mono_ms() + pause;
}

static void look_again(struct loop *l, int64_t now)
{
    if (now >= l->work.next_facts)
        refresh_facts(l);
    if (now >= l->work.next_check) {
        l->work.next_check = now + LOOP_CHECK_MS;
        if (!refresh_running(l)) {
            look_sooner(l, false);
        } else if (!end_left_open(l, now)) {
            show_service(l);
            show_drain(l);
            look_at_managed(l, now);
            look_sooner(l, !was_mute(l));
        }
    }
    if (!manages(l) && now >= l->work.next_observe) {
        l->work.next_observe = now + LOOP_OBSERVE_MS;
        propose(l);
        if (l->work.have_bundle)
            l->work.wanted = true;
    }
    if (l->memory.degraded && now >= l->work.next_lkg && !stopped_on_purpose(l))
        try_lkg(l);
    loop_wake(l, l->work.next_check);
}

/* Also while the helper is away: a parent that always says "nothing new" is one that nobody hears.
 */
static void look_at_freshness(struct loop *l)
{
    bool frozen = l->memory.fresh_ms > 0 && loop_now_ms(l) - l->memory.fresh_ms > LOOP_FROZEN_MS;

    cond(l, COND_FROZEN, frozen ? COND_TRUE : COND_FALSE, frozen ? "NoFreshness" : "Fresh",
         frozen ? "the parent has not proven for 7 days that this is its newest word; mail goes on "
                  "as configured"
                : "");
}

static void look_at_hold(struct loop *l)
{
    bool ended = false;

    if (hold_active(&l->memory, clock_wall_ms(), &ended)) {
        show_held(l);
        loop_wake(l, clock_mono_ms() + (hold_until_ms(&l->memory) - clock_wall_ms()) + 50);
        return;
    }
    cond(l, COND_HELD, COND_FALSE, ended ? "Ended" : "None", "");
    if (ended) {
        log_event(LOG_LEVEL_INFO, "hold.ended", KV_STR("reason", "time is over"));
        loop_save(l);
        work_again(l);
    }
}

/* --- start --- */

/* What a dead process left open is brought to an end before anything new begins. */
static void recover(struct loop *l, int64_t now)
{
    bool interrupted = false;
    enum apply_outcome out = apply_recover(&l->apply, &interrupted);
    const char *last = json_str(l->memory.last_attempt, "digest", "");

    if (out == APPLY_AWAY) {
        cond(l, COND_CONFIG_APPLIED, COND_UNKNOWN, "HelperAway", "the helper does not answer");
        l->work.next = now + LOOP_HELPER_RETRY_MS;
        loop_wake(l, l->work.next);
        return;
    }
    l->work.recovered = true;
    l->work.next = 0;
    (void)refresh_running(l);
    if (!interrupted)
        l->work.left_open = false;
    if (!interrupted ||
        (l->apply.result == NULL && strcmp(last, l->apply.digest) == 0 &&
         strcmp(json_str(l->memory.last_attempt, "result", ""), "interrupted") == 0))
        return; /* nothing, or told already */
    if (l->apply.result == NULL) {
        struct err e = {0};
        (void)err_set(&e, ERR_REFUSED,
                      "the change was cut short; the helper put the previous configuration back");
        l->apply.started_ms = l->apply.ended_ms = clock_wall_ms();
        l->apply.phase = "reverting";
        l->apply.result = "interrupted";
        json_decref(l->apply.problem);
        l->apply.problem =
            json_pack("{s:s,s:s}", "type", PROBLEM_TYPE_PREFIX "refused", "detail", e.msg);
    }
    set_degraded(l, out == APPLY_DEGRADED);
    if (strcmp(l->apply.digest, l->work.bundle.digest) == 0) {
        l->apply.rev = l->work.bundle.rev;
        l->apply.pub = l->work.bundle.pub;
        (void)snprintf(l->apply.jti, sizeof l->apply.jti, "%s", l->work.bundle.jti);
    }
    show_result(l);
    l->work.left_open = false;
    keep_attempt(l);
    l->work.next = 0; /* the same once more at once; after that it is quarantined */
}

void work_begin(struct loop *l)
{
    l->work.next_relay = clock_mono_ms() + LOOP_RELAY_MS;
    if (l->memory.fresh_ms == 0)
        l->memory.fresh_ms = l->id.joined_ms;
    if (l->memory.degraded)
        cond(l, COND_CHAIN_HEALTHY, COND_FALSE, "Degraded",
             "neither the newest configuration nor the one before it answered");
    load_kept(l);
    show_quarantine(l);
}

void work_turn(struct loop *l)
{
    int64_t now = clock_mono_ms();

    /* What it is judged by comes first: a key or an epoch that the document on its way brings. */
    if (l->parent.incoming_full && !parent_walks_trust(l))
        take_incoming(l);
    look_at_freshness(l);
    if (!l->work.recovered) {
        if (now >= l->work.next)
            recover(l, now);
        loop_wake(l, l->work.next);
        if (!l->work.recovered) {
            command_turn_work(l);
            return;
        }
    }
    look_at_hold(l);
    if (l->parent.reachable && !l->work.pending.active)
        l->work.needs_parent = false;
    if (l->work.pending.active)
        turn_pending(l, now);
    else if (l->work.wanted && now >= l->work.next && !l->work.needs_parent && !is_open(l))
        consider(l);
    else if (l->work.wanted && !is_open(l))
        loop_wake(l, l->work.next);
    command_turn_work(l);
    if (!l->work.pending.active)
        look_again(l, clock_mono_ms());
}

enum err_code work_rollback(struct loop *l, const char *digest, struct err *e)
{
    char to[65];
    enum err_code rc;

    if (l->work.pending.active)
        return err_set(e, ERR_CONFLICT, "a change is under way; try again in a minute");
    if (!refresh_running(l))
        return err_set(e, ERR_UNAVAILABLE, "the helper does not answer");
    (void)snprintf(to, sizeof to, "%s",
                   digest != NULL && digest[0] != '\0' ? digest : earlier_digest(l));
    if (to[0] == '\0')
        return err_set(e, ERR_NOT_FOUND, "there is no earlier configuration on this host");
    rc = restore(l, to, e);
    (void)refresh_running(l);
    return rc;
}
