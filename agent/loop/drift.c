#include "loop/drift.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/sealed.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const policy_words[] = {"report", "enforce", "adopt"};

/* --- what is remembered of each item: {"since":"...","tries":[ms],"gave_up":ms} --- */

static json_t *entry_of(struct loop *l, const char *name)
{
    json_t *v = json_object_get(l->memory.drift, name);

    if (v != NULL)
        return v;
    if (l->memory.drift == NULL)
        l->memory.drift = json_object();
    (void)json_object_set_new(l->memory.drift, name, json_object());
    return json_object_get(l->memory.drift, name);
}

/* Tries within the window; older ones, and ones of a clock that was set back since, are forgotten.
 */
static size_t tries_of(json_t *entry, int64_t now)
{
    json_t *old = json_object_get(entry, "tries"), *v, *kept;
    size_t i;

    if (json_array_size(old) == 0)
        return 0;
    kept = json_array();
    json_array_foreach(old, i, v)
    {
        int64_t at = json_integer_value(v);
        if (at <= now && now - at < DRIFT_WINDOW_MS)
            (void)json_array_append(kept, v);
    }
    (void)json_object_set_new(entry, "tries", kept);
    return json_array_size(kept);
}

static bool gave_up(const json_t *entry)
{
    return json_int(entry, "gave_up", 0) != 0;
}

static void count_try(json_t *entry, int64_t now)
{
    if (json_object_get(entry, "tries") == NULL)
        (void)json_object_set_new(entry, "tries", json_array());
    (void)json_array_append_new(json_object_get(entry, "tries"), json_integer((json_int_t)now));
}

static void name_of(const json_t *row, char *buf)
{
    (void)snprintf(buf, DRIFT_NAME_SIZE, "%s:%s", json_str(row, "file", ""),
                   json_str(row, "item", ""));
}

static bool listed(const json_t *rows, const char *name)
{
    char other[DRIFT_NAME_SIZE];
    size_t i;
    json_t *v;

    json_array_foreach(rows, i, v)
    {
        name_of(v, other);
        if (strcmp(other, name) == 0)
            return true;
    }
    return false;
}

/* What no longer differs is not drift since anything; how often it was put back counts for a
 * window. */
static void forget_the_right(struct loop *l, const json_t *rows, int64_t now)
{
    const char *name;
    void *tmp;
    json_t *v;

    json_object_foreach_safe(l->memory.drift, tmp, name, v)
    {
        if (listed(rows, name))
            continue;
        (void)json_object_del(v, "since");
        if (tries_of(v, now) == 0)
            (void)json_object_del(l->memory.drift, name);
    }
}

void drift_new_bundle(struct loop *l)
{
    const char *name;
    json_t *v;

    json_object_foreach(l->memory.drift, name, v)
    {
        (void)json_object_del(v, "gave_up");
        (void)json_object_del(v, "tries");
    }
}

/* --- policy --- */

bool drift_enforces(const struct loop *l, const char *name)
{
    struct memory *m = (struct memory *)(uintptr_t)&l->memory;

    return bundle_drift_of(&l->work.bundle, name) == BUNDLE_DRIFT_ENFORCE &&
           !hold_active(m, clock_wall_ms(), NULL);
}

/* --- putting back --- */

/* The usual transaction: staged, validated and switched by the helper, proven here, committed; or
 * everything as it was. */
static enum err_code put_back(struct loop *l, const json_t *names, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *answer = NULL, *end = NULL;
    char problem[512], digest[65];
    struct err why = {0};
    json_t *secrets = NULL;
    enum err_code rc = sealed_open(&l->id, &l->work.bundle, &secrets, e);

    if (rc == ERR_OK)
        rc = helper_ask(&l->helper, "repair",
                        json_pack("{s:O*,s:O*}", "items", names, "secrets", secrets),
                        HELPER_SLOW_MS, &answer, e);
    sealed_wipe(secrets);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(digest, sizeof digest, "%s", json_str(answer, "digest", ""));
    if (digest[0] != '\0') {
        loop_crash_at("drift-switched");
        if (apply_check_running(&l->apply, digest, true, problem, sizeof problem))
            rc = helper_ask(&l->helper, "commit", json_pack("{s:s}", "digest", digest),
                            HELPER_QUICK_MS, &end, e);
        else
            rc = err_set(e, ERR_REFUSED, "it was put back and does not answer: %s", problem);
        if (rc != ERR_OK) {
            json_decref(end);
            end = NULL;
            if (helper_ask(&l->helper, "revert", NULL, HELPER_SLOW_MS, &end, &why) != ERR_OK)
                log_event(LOG_LEVEL_ERROR, "drift.not_reverted", KV_STR("problem", why.msg));
        }
    }
    if (rc == ERR_OK)
        *ret = TAKE(answer);
    return rc;
}

static json_t *names_of(const json_t *rows)
{
    json_t *out = json_array();
    char name[DRIFT_NAME_SIZE];
    size_t i;
    json_t *v;

    json_array_foreach(rows, i, v)
    {
        name_of(v, name);
        (void)json_array_append_new(out, json_string(name));
    }
    return out;
}

/* --- the regular look --- */

struct look {
    struct loop *l;
    int64_t now;
    bool held, changed; /* changed: what is remembered must be written */
    json_t *rows;       /* borrowed */
    json_t *chosen;     /* names to put back */
    size_t n_gave_up, n_failed;
    const char *fought; /* the first item of that kind, in the rows */
};

/* What keeps foxproxy and Postfix together is put back whatever the policy says: without it a
 * client could claim to be somebody else. */
static enum bundle_drift policy_of(const struct look *k, const char *name, const json_t *row)
{
    return json_bool(row, "wiring", false) ? BUNDLE_DRIFT_ENFORCE
                                           : bundle_drift_of(&k->l->work.bundle, name);
}

/* What is to be done about one row, before anything is tried. */
static const char *decide(struct look *k, const char *name, const json_t *row, json_t *entry)
{
    enum bundle_drift policy = policy_of(k, name, row);

    if (policy != BUNDLE_DRIFT_ENFORCE)
        return policy == BUNDLE_DRIFT_ADOPT ? "adopting" : "reported";
    if (k->held)
        return "held";
    if (!gave_up(entry) && tries_of(entry, k->now) >= DRIFT_TRIES) {
        (void)json_object_set_new(entry, "gave_up", json_integer((json_int_t)k->now));
        log_event(LOG_LEVEL_ERROR, "drift.gave_up", KV_STR("item", name),
                  KV_INT("tries", DRIFT_TRIES));
        k->changed = true;
    }
    if (gave_up(entry))
        return "gave-up";
    count_try(entry, k->now); /* written before it is tried: a crash in the middle counts as well */
    k->changed = true;
    (void)json_array_append_new(k->chosen, json_string(name));
    return "repaired";
}

static void decide_all(struct look *k)
{
    char name[DRIFT_NAME_SIZE], now[CLOCK_TEXT_SIZE];
    size_t i;
    json_t *v;

    clock_format(k->now, now);
    json_array_foreach(k->rows, i, v)
    {
        json_t *entry;
        const char *action;
        name_of(v, name);
        entry = entry_of(k->l, name);
        if (json_object_get(entry, "since") == NULL) {
            (void)json_object_set_new(entry, "since", json_string(now));
            k->changed = true;
        }
        action = decide(k, name, v, entry);
        (void)json_object_set(v, "since", json_object_get(entry, "since"));
        (void)json_object_set_new(v, "policy", json_string(policy_words[policy_of(k, name, v)]));
        (void)json_object_set_new(v, "action", json_string(action));
        (void)json_object_set_new(v, "tries", json_integer((json_int_t)tries_of(entry, k->now)));
        if (strcmp(action, "gave-up") == 0 && k->n_gave_up++ == 0)
            k->fought = json_str(v, "item", "");
    }
}

/* Why the chosen ones could not be put back. */
static void mark_failed(struct look *k, const struct err *why)
{
    size_t i;
    json_t *v;

    json_array_foreach(k->rows, i, v)
    {
        if (strcmp(json_str(v, "action", ""), "repaired") != 0)
            continue;
        (void)json_object_set_new(v, "action", json_string("failed"));
        (void)json_object_set_new(v, "problem", json_sprintf("%.900s", why->msg));
        k->n_failed++;
    }
    log_event(LOG_LEVEL_ERROR, "drift.not_repaired", KV_STR("problem", why->msg));
}

static void show(const struct look *k, const struct err *why)
{
    size_t n = json_array_size(k->rows);
    const char *first = json_str(json_array_get(k->rows, 0), "item", "");
    struct conditions *c = &k->l->conditions;
    bool moved;

    if (n == 0)
        moved = condition_set(c, COND_DRIFTED, COND_FALSE, "InSync", "%s", "");
    else if (k->n_gave_up > 0)
        moved = condition_set(
            c, COND_DRIFTED, COND_TRUE, "GaveUp",
            "%.90s was put back %d times within %d minutes and differs again: something else on "
            "this host sets it. It is left as found",
            k->fought, DRIFT_TRIES, DRIFT_WINDOW_MS / 60000);
    else if (k->n_failed > 0)
        moved = condition_set(c, COND_DRIFTED, COND_TRUE, "NotRepaired",
                              "%zu items differ, first: %.60s; not put back: %.120s", n, first,
                              why->msg);
    else
        moved = condition_set(c, COND_DRIFTED, COND_TRUE,
                              json_array_size(k->chosen) > 0 ? "Repaired"
                              : k->held                      ? "Held"
                                                             : "Reported",
                              "%zu items differ, first: %.100s", n, first);
    if (moved)
        loop_touch(k->l);
}

/* Not readable as ours: not root's any more, a link, gone. */
static void cannot_look(struct loop *l, const struct err *e)
{
    log_event(LOG_LEVEL_WARN, "drift.not_seen", KV_STR("problem", e->msg));
    if (condition_set(&l->conditions, COND_DRIFTED, COND_UNKNOWN, "Unreadable", "%.240s", e->msg))
        loop_touch(l);
}

void drift_look(struct loop *l)
{
    AUTO(json_free) json_t *answer = NULL, *fixed = NULL, *chosen = json_array();
    struct look k = {.l = l, .now = clock_wall_ms(), .chosen = chosen};
    struct err e = {0};

    if (helper_ask(&l->helper, "drift", NULL, HELPER_QUICK_MS, &answer, &e) != ERR_OK ||
        !json_is_array(json_object_get(answer, "drift"))) {
        cannot_look(l, &e);
        return;
    }
    k.rows = json_object_get(answer, "drift");
    k.held = hold_active(&l->memory, k.now, NULL);
    forget_the_right(l, k.rows, k.now);
    decide_all(&k);
    if (k.changed)
        loop_save(l);
    if (json_array_size(chosen) > 0) {
        if (put_back(l, chosen, &fixed, &e) != ERR_OK)
            mark_failed(&k, &e);
        else
            log_event(LOG_LEVEL_WARN, "drift.repaired",
                      KV_INT("items", (int64_t)json_array_size(chosen)),
                      KV_STR("first", json_string_value(json_array_get(chosen, 0))));
        edits_forget(l);
    }
    json_decref(l->work.drift);
    l->work.drift = json_incref(k.rows);
    show(&k, &e);
    loop_touch(l);
}

/* --- an order --- */

static void count_anew(struct loop *l, const json_t *names)
{
    const char *name;
    size_t i;
    json_t *v, *one;

    json_object_foreach(l->memory.drift, name, v)
    {
        bool meant = names == NULL;
        json_array_foreach(names, i, one) meant =
            meant || strcmp(json_string_value(one), name) == 0;
        if (meant) {
            (void)json_object_del(v, "gave_up");
            (void)json_object_del(v, "tries");
        }
    }
    loop_save(l);
}

enum err_code drift_enforce(struct loop *l, const json_t *names, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *fixed = NULL;
    enum err_code rc;

    if (!l->work.have_bundle || l->work.bundle.mode != BUNDLE_MANAGE)
        return err_set(e, ERR_CONFLICT, "this device is only observed: nothing is written here");
    if (hold_active(&l->memory, clock_wall_ms(), NULL))
        return err_set(e, ERR_CONFLICT, "held on the device: %s", hold_reason(&l->memory));
    count_anew(l, names);
    rc = put_back(l, names, &fixed, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:o,s:o}", "repaired", names_of(json_object_get(fixed, "repaired")), "left",
                     names_of(json_object_get(fixed, "left")));
    return *ret != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}
