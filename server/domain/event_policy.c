#include "domain/event_policy.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/change.h"
#include "domain/event_line.h"
#include "domain/figure.h"
#include "domain/keyring.h"

#include <stdio.h>

enum { DAY_MS = 24 * 3600 * 1000, DAYS_AHEAD = 2, BATCHES_MS = DAY_MS };
static const struct event_policy built_in = {
    .keep_days = 30, .size_budget_bytes = INT64_C(20) << 30, .subject = "keep"};

void event_policy_blind(const void *ctx, struct slice text, char out[65])
{
    const struct app *app = ctx;
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);

    strbuf_puts(&b, "event subject\n");
    strbuf_add(&b, text);
    keyring_blind(app->keys, strbuf_slice(&b), out);
}

enum err_code event_policy_subject_hash(struct db *db, const struct app *app, struct slice subject,
                                        struct arena *a, const char **ret, struct err *e)
{
    const struct event_rules rules = {.blind = event_policy_blind, .blind_ctx = app};
    struct event_policy p;
    char hash[40];
    enum err_code rc = event_store_policy(db, a, &p, e);

    *ret = NULL;
    if (rc != ERR_OK || strcmp(p.subject, event_subject_words[SUBJECT_HASH]) != 0)
        return rc;
    event_subject_hash(&rules, subject, hash);
    *ret = arena_strdup(a, hash);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

static int64_t today(void)
{
    return clock_wall_ms() / DAY_MS;
}

static int64_t bytes_of(const struct event_day *v, size_t n)
{
    int64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += v[i].bytes;
    return sum;
}

size_t event_policy_surplus(const struct event_policy *p, const struct event_day *v, size_t n,
                            int64_t day)
{
    int64_t bytes = bytes_of(v, n);
    size_t gone = 0;

    while (gone < n && v[gone].day < day &&
           (v[gone].day < day - p->keep_days || bytes > p->size_budget_bytes))
        bytes -= v[gone++].bytes;
    return gone;
}

/* --- reading it --- */

/* Days that hold something: an empty one has its pages for indexes only. */
static json_t *stored_json(const struct event_day *v, size_t n)
{
    char text[CLOCK_TEXT_SIZE] = "";

    if (n > 0) {
        clock_format(v[0].day * DAY_MS, text);
        text[sizeof "2026-11-22" - 1] = '\0';
    }
    return json_pack("{s:I,s:I,s:o}", "bytes", (json_int_t)bytes_of(v, n), "days", (json_int_t)n,
                     "oldest_day", n > 0 ? json_string(text) : json_null());
}

static enum err_code to_json(const struct event_policy *p, const struct event_day *v, size_t n,
                             bool drops, json_t **ret, struct err *e)
{
    size_t gone = event_policy_surplus(p, v, n, today());
    json_t *j =
        json_pack("{s:I,s:I,s:s,s:o,s:I}", "keep_days", (json_int_t)p->keep_days,
                  "size_budget_bytes", (json_int_t)p->size_budget_bytes, "subject", p->subject,
                  "stored", stored_json(v, n), "version", (json_int_t)p->version);

    if (j != NULL && drops)
        (void)json_object_set_new(j, "drops",
                                  json_pack("{s:I,s:I}", "days", (json_int_t)gone, "bytes",
                                            (json_int_t)bytes_of(v, gone)));
    *ret = j;
    return j == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

enum err_code event_policy_get(struct db *db, struct arena *a, json_t **ret, int64_t *ret_version,
                               struct err *e)
{
    struct event_policy p;
    struct event_day *v = NULL;
    size_t n = 0;
    enum err_code rc = event_store_policy(db, a, &p, e);

    if (rc == ERR_OK)
        rc = event_store_days(db, a, &v, &n, e);
    if (rc != ERR_OK)
        return rc;
    *ret_version = p.version;
    return to_json(&p, v, n, false, ret, e);
}

/* --- changing it --- */

struct patching {
    const json_t *patch;
    const struct actor *by;
    int64_t version;
    json_t *json;
};

static enum err_code apply(const json_t *patch, struct event_policy *p, struct err *e)
{
    struct wanted {
        int64_t keep_days, size_budget_bytes;
        int subject;
    } w = {built_in.keep_days, built_in.size_budget_bytes, SUBJECT_KEEP};
    static const struct jdec_field fields[] = {
        JDEC_INT(struct wanted, keep_days, JD_NULL_OK, 1, 3650),
        JDEC_INT(struct wanted, size_budget_bytes, JD_NULL_OK, 64 * 1024 * 1024, INT64_C(1) << 50),
        JDEC_ENUM(struct wanted, subject, JD_NULL_OK, event_subject_words), JDEC_END};
    enum err_code rc = jdec_object(patch, fields, JD_REFUSE_UNKNOWN, "", &w, e);

    if (rc != ERR_OK)
        return rc;
    if (json_object_get(patch, "keep_days") != NULL)
        p->keep_days = w.keep_days;
    if (json_object_get(patch, "size_budget_bytes") != NULL)
        p->size_budget_bytes = w.size_budget_bytes;
    if (json_object_get(patch, "subject") != NULL)
        p->subject = event_subject_words[w.subject];
    return ERR_OK;
}

static json_t *words_of(const struct event_policy *p)
{
    return json_pack("{s:I,s:I,s:s}", "keep_days", (json_int_t)p->keep_days, "size_budget_bytes",
                     (json_int_t)p->size_budget_bytes, "subject", p->subject);
}

static enum err_code patch_tx(struct db *db, void *ctx, struct err *e)
{
    struct patching *x = ctx;
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);
    AUTO(json_free) json_t *detail = NULL;
    struct event_policy before, p;
    struct event_day *v = NULL;
    size_t n = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : event_store_policy_lock(db, a, &before, e);

    if (rc == ERR_OK && before.version != x->version)
        rc = err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"",
                     (long long)before.version);
    if (rc != ERR_OK)
        return rc;
    p = before;
    p.version++;
    rc = apply(x->patch, &p, e);
    if (rc == ERR_OK)
        rc = event_store_policy_save(db, &p, e);
    if (rc == ERR_OK)
        rc = event_store_days(db, a, &v, &n, e);
    json_decref(x->json);
    x->json = NULL;
    if (rc == ERR_OK)
        rc = to_json(&p, v, n, true, &x->json, e);
    detail = json_pack("{s:o,s:o}", "before", words_of(&before), "after", words_of(&p));
    return rc == ERR_OK ? audit_append(db, x->by, "event.policy", "event-policy", detail, e) : rc;
}

enum err_code event_policy_patch(struct db *db, struct app *app, const json_t *patch,
                                 int64_t version, bool dry_run, const struct actor *by,
                                 struct arena *a, json_t **ret, int64_t *ret_version, struct err *e)
{
    struct patching x = {.patch = patch, .by = by, .version = version};
    enum err_code rc = change_run(db, "event.policy", dry_run, patch_tx, &x, e);

    (void)a;
    if (rc != ERR_OK) {
        json_decref(x.json);
        return rc;
    }
    if (!dry_run)
        atomic_store(&app->event_policy_changed, true);
    *ret = x.json;
    *ret_version = version + 1;
    return ERR_OK;
}

/* --- following it --- */

static enum err_code make_ahead(struct db *db, struct err *e)
{
    enum err_code rc = ERR_OK;

    for (int64_t day = today(); rc == ERR_OK && day <= today() + DAYS_AHEAD; day++)
        rc = event_store_make_day(db, day, NULL, e);
    return rc;
}

static enum err_code drop_surplus(struct db *db, const struct event_policy *p, struct arena *a,
                                  struct err *e)
{
    struct event_day *v = NULL;
    size_t n = 0, gone;
    enum err_code rc = event_store_days(db, a, &v, &n, e);

    if (rc != ERR_OK)
        return rc;
    gone = event_policy_surplus(p, v, n, today());
    for (size_t i = 0; i < gone; i++) {
        char text[CLOCK_TEXT_SIZE];

        rc = event_store_drop_day(db, v[i].day, e);
        if (rc != ERR_OK)
            return rc;
        clock_format(v[i].day * DAY_MS, text);
        log_event(LOG_LEVEL_INFO, "events.dropped", KV_STR("day", text),
                  KV_INT("bytes", v[i].bytes),
                  KV_STR("why", v[i].day < today() - p->keep_days ? "age" : "size"));
    }
    if (bytes_of(v + gone, n - gone) > p->size_budget_bytes)
        log_event(
            LOG_LEVEL_WARN, "events.over_budget", KV_INT("bytes", bytes_of(v + gone, n - gone)),
            KV_INT("budget", p->size_budget_bytes),
            KV_STR("advice",
                   "today's events alone are more: raise size_budget_bytes of the event policy"));
    return ERR_OK;
}

enum err_code event_policy_follow(struct db *db, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4 * MIB);
    int64_t now = clock_wall_ms();
    struct event_policy p;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : event_store_policy(db, a, &p, e);

    if (rc == ERR_OK)
        rc = make_ahead(db, e);
    if (rc == ERR_OK)
        rc = event_store_trim(db, now - BATCHES_MS, now - p.keep_days * DAY_MS, e);
    if (rc == ERR_OK)
        rc = figure_retention(db, e);
    return rc == ERR_OK ? drop_surplus(db, &p, a, e) : rc;
}
