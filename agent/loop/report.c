/*
 * report.c - the status document (docs/internals/wire.md): what is desired, on disk and running
 * here, what the last attempt was, what is wrong.  Sent when it changed, when asked, at the start
 * and once a day.
 */
#include "base/clock.h"
#include "loop/loop.h"
#include "loop/place.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MAX = 500, ROWS_FEW = 20, MINUTES_FEW = 5, DEFERRED_STEP = 50 };

static void set(json_t *j, const char *name, json_t *value)
{
    if (value != NULL)
        (void)json_object_set_new(j, name, value);
}

static json_t *rows(const json_t *all, size_t max)
{
    json_t *out = json_array();
    size_t i;
    json_t *v;

    json_array_foreach(all, i, v)
    {
        if (i < max && out != NULL)
            (void)json_array_append(out, v);
    }
    return out;
}

static json_t *observed(const struct loop *l)
{
    const struct memory *m = &l->memory;

    if (m->rev == 0)
        return json_null();
    return json_pack("{s:I,s:I,s:I,s:s,s:s,s:s}", "epoch", (json_int_t)m->epoch, "rev",
                     (json_int_t)m->rev, "pub", (json_int_t)m->pub, "etag", m->etag, "digest",
                     m->digest, "jti", m->jti);
}

static const char *const modes[] = {"observe", "manage", "dry-run"};

static json_t *running(const struct loop *l)
{
    const struct loop_work *w = &l->work;
    const char *both = strcmp(w->main_digest, w->master_digest) == 0 ? w->main_digest : "";
    json_t *postfix = json_pack("{s:s,s:s,s:s}", "digest_main", w->main_digest, "digest_master",
                                w->master_digest, "digest", both);
    static const char *const copied[] = {"version", "state", "pid", "since", "desired", "drain"};

    for (size_t i = 0; i < COUNT_OF(copied) && postfix != NULL; i++)
        if (json_object_get(w->running, copied[i]) != NULL)
            (void)json_object_set(postfix, copied[i], json_object_get(w->running, copied[i]));
    return json_pack("{s:o,s:O*}", "postfix", postfix, "foxproxy",
                     json_object_get(w->running, "foxproxy"));
}

static json_t *place(const char *digest, int64_t rev, int64_t pub)
{
    return json_pack("{s:s,s:I,s:I}", "digest", digest, "rev", (json_int_t)rev, "pub",
                     (json_int_t)pub);
}

/* What stands in the files, with our revision when it is the content of the newest bundle. */
static json_t *on_disk(const struct loop *l)
{
    const char *digest = json_str(l->work.running, "on_disk", "");
    size_t i;
    json_t *v;

    if (digest[0] == '\0')
        return json_null();
    if (strcmp(digest, l->memory.digest) == 0)
        return place(digest, l->memory.rev, l->memory.pub);
    json_array_foreach(json_object_get(l->work.running, "lkg"), i, v)
    {
        if (strcmp(json_str(v, "digest", ""), digest) == 0)
            return place(digest, json_int(v, "rev", 0), json_int(v, "pub", 0));
    }
    return place(digest, 0, 0);
}

static json_t *lkg(const struct loop *l)
{
    const json_t *v = json_array_get(json_object_get(l->work.running, "lkg"), 0);

    return v == NULL
               ? json_null()
               : place(json_str(v, "digest", ""), json_int(v, "rev", 0), json_int(v, "pub", 0));
}

static json_t *quarantined(const struct loop *l)
{
    json_t *out = json_array(), *v;
    const char *digest;

    json_object_foreach(l->memory.failed, digest, v)
    {
        if (json_int(v, "count", 0) >= MEMORY_TRIES && out != NULL)
            (void)json_array_append_new(out, json_pack("{s:s,s:s,s:I}", "digest", digest, "reason",
                                                       json_str(v, "reason", ""), "count",
                                                       (json_int_t)json_int(v, "count", 0)));
    }
    return out;
}

json_t *report_inventory(const struct loop *l)
{
    const json_t *facts = l->work.facts;
    char os[128];
    json_t *j;

    place_os(os, sizeof os);
    j = json_pack("{s:s,s:s,s:s,s:[s]}", "hostname", json_str(facts, "hostname", ""), "os", os,
                  "agent_version", INARI_VERSION, "capabilities", "postfix");
    if (j == NULL || facts == NULL)
        return j;
    set(j, "postfix_version", json_incref(json_object_get(facts, "postfix")));
    set(j, "addresses", json_incref(json_object_get(facts, "addresses")));
    set(j, "fingerprint", json_string(l->here.whole));
    if (l->report.level < 2)
        set(j, "facts", json_copy(l->work.facts));
    return j;
}

static json_t *health(const struct loop *l)
{
    const json_t *queue = json_object_get(l->work.running, "queue");

    int64_t age = events_queue_age(l);

    return json_pack("{s:O?,s:o*,s:o?}", "queue", queue, "queue_oldest_s",
                     age < 0 ? NULL : json_integer((json_int_t)age), "mail",
                     figures_json(l, l->report.level == 0 ? MAILLOG_ROWS : MINUTES_FEW));
}

/* The device's own key, as the device sees it. */
static json_t *key(const struct loop *l)
{
    char since[CLOCK_TEXT_SIZE], due[CLOCK_TEXT_SIZE] = "";
    int64_t at = rotate_due_ms(l);

    clock_format(l->id.key_ms, since);
    if (at != INT64_MAX)
        clock_format(at, due);
    return json_pack("{s:s,s:s,s:o,s:b}", "kid", jose_key_kid(l->id.key.sig), "since", since,
                     "renewal_due", due[0] == '\0' ? json_null() : json_string(due), "unfinished",
                     l->id.next.sig != NULL);
}

json_t *report_build(struct loop *l, int64_t seq)
{
    char now[CLOCK_TEXT_SIZE];
    size_t max = l->report.level == 0 ? ROWS_MAX : l->report.level == 1 ? ROWS_FEW : 0;
    const struct loop_work *w = &l->work;
    json_t *j;

    conditions_sum_up(&l->conditions);
    clock_format(loop_now_ms(l), now);
    j = json_pack("{s:s,s:I,s:s,s:s,s:I,s:I,s:s,s:s}", "device", l->id.device_id, "seq",
                  (json_int_t)seq, "boot", l->boot, "time", now, "clock_offset_ms",
                  (json_int_t)l->parent.offset_ms, "uptime_s",
                  (json_int_t)((clock_mono_ms() - l->started_mono) / 1000), "agent_version",
                  INARI_VERSION, "mode", w->have_bundle ? modes[w->bundle.mode] : "observe");
    if (j == NULL)
        return NULL;
    set(j, "observed", observed(l));
    set(j, "on_disk", on_disk(l));
    set(j, "lkg", lkg(l));
    set(j, "running", running(l));
    set(j, "last_attempt",
        l->memory.last_attempt != NULL ? json_incref(l->memory.last_attempt) : json_null());
    set(j, "quarantined", quarantined(l));
    set(j, "drift", rows(w->drift, max));
    set(j, "would_change", rows(l->apply.would_change, max));
    set(j, "conditions", conditions_to_json(&l->conditions));
    set(j, "health", health(l));
    set(j, "key", key(l));
    set(j, "lists", lists_report(l));
    if (l->report.level < 3)
        set(j, "inventory", report_inventory(l));
    return j;
}

/* Digest of what a reader would call a change: numbers that always move are left out. */
static bool change_digest(struct loop *l, char ret[65])
{
    static const char *const moving[] = {"seq", "time", "uptime_s", "clock_offset_ms", "health"};
    AUTO(json_free) json_t *doc = report_build(l, 0);
    int64_t deferred = json_int(json_object_get(l->work.running, "queue"), "deferred", 0);

    for (size_t i = 0; i < COUNT_OF(moving) && doc != NULL; i++)
        (void)json_object_del(doc, moving[i]);
    /* A queue that grows is news to whoever watches a rollout; its every message is not. */
    if (doc != NULL)
        set(doc, "deferred", json_integer(deferred / DEFERRED_STEP));
    return doc != NULL && json_digest(doc, ret);
}

void report_turn(struct loop *l)
{
    int64_t now = clock_mono_ms();

    if (l->report.next_by != 0 && now >= l->report.next_by) {
        l->report.force = true;
        l->report.next_by = now + LOOP_STATUS_MS;
    }
    if (!l->report.touched || l->parent.status_busy)
        return;
    l->report.touched = false;
    if (change_digest(l, l->report.sending_change) &&
        strcmp(l->report.sending_change, l->report.sent_change) != 0)
        l->report.force = true;
}
