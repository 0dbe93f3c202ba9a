#include "domain/strategy.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const strategy_kind_names[] = {"auto", "all", "waves", NULL};
static const char *const failure_names[] = {"halt", "revert", NULL};
static const char *const shadow_names[] = {"auto", "always", "never", NULL};

enum { EXPEDITE_BAKE_S = 30, EXPEDITE_SHADOW_S = 10, SMALL = 10, DAY_S = 86400, SHADOW_S = 60 };
enum {
    GUARD_MESSAGES = 20,
    GUARD_FACTOR = 3,
    GUARD_PERCENT = 10,
    GUARD_LATENCY_S = 30,
    GUARD_QUEUE = 50, /* messages: fewer may be one slow destination */
};

enum {
    CONFIRM_ABOVE = 50, /* percent */
    CONFIRM_MIN = 20,   /* devices: in a small fleet every change is one of most of it */
};

static json_t *built_in(void)
{
    return json_pack("{s:s,s:[s,s,s,s],s:n,s:i,s:i,s:i,s:i,s:s,s:s,s:b,s:b,s:i,s:s,s:i,s:i,s:i,s:i,"
                     "s:i,s:i,s:i,s:i,s:i,s:i,s:i}",
                     "strategy", "auto", "waves", "1", "per-group", "10%", "50%", "max_unavailable",
                     "canary_bake_s", 600, "bake_s", 300, "apply_deadline_s", 600,
                     "offline_after_s", 180, "max_failures", "5%", "on_failure", "halt", "approval",
                     0, "expedite", 0, "small_fleet", SMALL, "shadow", "auto", "shadow_s", SHADOW_S,
                     "soak_s", 0, "guard_messages", GUARD_MESSAGES, "guard_factor", GUARD_FACTOR,
                     "guard_rejected", GUARD_PERCENT, "guard_deferred", GUARD_PERCENT,
                     "guard_latency_s", GUARD_LATENCY_S, "guard_queue", GUARD_QUEUE,
                     "expedite_bake_s", EXPEDITE_BAKE_S, "confirm_above", CONFIRM_ABOVE,
                     "confirm_min", CONFIRM_MIN);
}

/* What protects from a slip is not switched off by the same request. */
static enum err_code policy_only(const json_t *asked, const char *pointer, struct err *e)
{
    static const char *const names[] = {"confirm_above", "confirm_min", NULL};
    char at[160];

    for (int i = 0; names[i] != NULL; i++) {
        if (json_object_get(asked, names[i]) == NULL)
            continue;
        (void)snprintf(at, sizeof at, "%s/%s", pointer, names[i]);
        return err_field(e, ERR_INVALID, at,
                         "only the fleet's policy says from when on the number of devices is asked "
                         "for: leave the member out");
    }
    return ERR_OK;
}

enum err_code strategy_merge(const json_t *policy, const json_t *asked, const char *pointer,
                             json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *j = built_in();
    struct strategy s;
    enum err_code rc;

    if (json_is_true(json_object_get(policy, "approval")) &&
        json_is_false(json_object_get(asked, "approval"))) {
        char at[160];
        (void)snprintf(at, sizeof at, "%s/approval", pointer);
        return err_field(e, ERR_FORBIDDEN, at,
                         "the fleet's policy asks for a second account's approval of every "
                         "publication: leave the member out");
    }
    if (j == NULL || (policy != NULL && json_object_update(j, (json_t *)(uintptr_t)policy) != 0) ||
        (asked != NULL && json_object_update(j, (json_t *)(uintptr_t)asked) != 0))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = policy_only(asked, pointer, e);
    if (rc == ERR_OK)
        rc = strategy_read(j, pointer, &s, e);
    if (rc == ERR_OK)
        *ret = TAKE(j);
    return rc;
}

/* --- reading --- */

static bool read_share(const char *text, struct share *ret)
{
    struct slice t = slice_of(text);
    int64_t n;

    if (strcmp(text, "per-group") == 0) {
        *ret = (struct share){SHARE_PER_GROUP, 0};
        return true;
    }
    ret->kind = t.n > 0 && t.p[t.n - 1] == '%' ? SHARE_PERCENT : SHARE_COUNT;
    t.n -= ret->kind == SHARE_PERCENT;
    if (!parse_i64(t, 1, ret->kind == SHARE_PERCENT ? 100 : 1000000, &n))
        return false;
    ret->n = (int)n;
    return true;
}

static enum err_code bad_share(const char *pointer, const char *name, struct err *e)
{
    char at[160];

    (void)snprintf(at, sizeof at, "%s/%s", pointer, name);
    return err_field(e, ERR_INVALID, at,
                     "a share is a number of devices (\"3\") or of a hundred (\"10%%\")");
}

static enum err_code read_waves(const json_t *list, const char *pointer, struct strategy *s,
                                struct err *e)
{
    json_t *one;
    size_t i;
    char name[32];

    s->n_waves = 0;
    json_array_foreach(list, i, one)
    {
        (void)snprintf(name, sizeof name, "waves/%zu", i);
        if (!json_is_string(one) || !read_share(json_string_value(one), &s->waves[i]))
            return bad_share(pointer, name, e);
        s->n_waves++;
    }
    return ERR_OK;
}

static enum err_code read_limit(const char *text, const char *pointer, const char *name,
                                struct share *ret, struct err *e)
{
    *ret = (struct share){SHARE_NONE, 0};
    if (text == NULL)
        return ERR_OK;
    return read_share(text, ret) && ret->kind != SHARE_PER_GROUP ? ERR_OK
                                                                 : bad_share(pointer, name, e);
}

struct words {
    int strategy, on_failure, shadow;
    json_t *waves;
    const char *max_unavailable, *max_failures;
    int64_t canary_bake_s, bake_s, apply_deadline_s, offline_after_s, small_fleet, shadow_s;
    int64_t soak_s, guard_messages, guard_factor, guard_rejected, guard_deferred, guard_latency_s,
        guard_queue, expedite_bake_s, confirm_above, confirm_min;
    bool approval, expedite;
};

static struct guard_limits limits_of(const struct words *w)
{
    return (struct guard_limits){.messages = w->guard_messages,
                                 .factor = w->guard_factor,
                                 .rejected = w->guard_rejected,
                                 .deferred = w->guard_deferred,
                                 .latency_s = w->guard_latency_s,
                                 .queue = w->guard_queue};
}

enum err_code strategy_read(const json_t *j, const char *pointer, struct strategy *ret,
                            struct err *e)
{
    /* A rollout from before there was one says nothing. */
    struct words w = {.shadow_s = SHADOW_S,
                      .expedite_bake_s = EXPEDITE_BAKE_S,
                      .guard_messages = GUARD_MESSAGES,
                      .guard_factor = GUARD_FACTOR,
                      .guard_rejected = GUARD_PERCENT,
                      .guard_deferred = GUARD_PERCENT,
                      .guard_latency_s = GUARD_LATENCY_S,
                      .guard_queue = GUARD_QUEUE};
    const struct jdec_field fields[] = {
        JDEC_ENUM(struct words, strategy, JD_REQUIRED, strategy_kind_names),
        JDEC_ENUM(struct words, on_failure, JD_REQUIRED, failure_names),
        JDEC_ARRAY(struct words, waves, JD_REQUIRED, STRATEGY_WAVES_MAX - 1),
        JDEC_STR(struct words, max_unavailable, JD_NULL_OK, 1, 16),
        JDEC_STR(struct words, max_failures, JD_NULL_OK, 1, 16),
        JDEC_INT(struct words, canary_bake_s, JD_REQUIRED, 0, DAY_S),
        JDEC_INT(struct words, bake_s, JD_REQUIRED, 0, DAY_S),
        JDEC_INT(struct words, apply_deadline_s, JD_REQUIRED, 10, DAY_S),
        JDEC_INT(struct words, offline_after_s, JD_REQUIRED, 10, DAY_S),
        JDEC_INT(struct words, small_fleet, JD_REQUIRED, 0, 1000000),
        JDEC_BOOL(struct words, approval, JD_REQUIRED),
        JDEC_BOOL(struct words, expedite, JD_REQUIRED),
        JDEC_ENUM(struct words, shadow, 0, shadow_names),
        JDEC_INT(struct words, shadow_s, 0, 10, 3600),
        JDEC_INT(struct words, soak_s, 0, 0, 3600),
        JDEC_INT(struct words, guard_messages, 0, 0, 1000000),
        JDEC_INT(struct words, guard_factor, 0, 2, 100),
        JDEC_INT(struct words, guard_rejected, 0, 0, 100),
        JDEC_INT(struct words, guard_deferred, 0, 0, 100),
        JDEC_INT(struct words, guard_latency_s, 0, 0, 300),
        JDEC_INT(struct words, guard_queue, 0, 0, 1000000),
        JDEC_INT(struct words, expedite_bake_s, 0, 0, 3600),
        JDEC_INT(struct words, confirm_above, 0, 0, 100),
        JDEC_INT(struct words, confirm_min, 0, 1, 1000000),
        JDEC_END,
    };
    enum err_code rc = jdec_object(j, fields, JD_REFUSE_UNKNOWN, pointer, &w, e);

    if (rc != ERR_OK)
        return rc;
    *ret = (struct strategy){.kind = (enum strategy_kind)w.strategy,
                             .canary_bake_s = w.canary_bake_s,
                             .bake_s = w.bake_s,
                             .apply_deadline_s = w.apply_deadline_s,
                             .offline_after_s = w.offline_after_s,
                             .small_fleet = w.small_fleet,
                             .shadow_s = w.shadow_s,
                             .expedite_bake_s = w.expedite_bake_s,
                             .confirm_above = w.confirm_above,
                             .confirm_min = w.confirm_min,
                             .shadow = (enum strategy_shadow)w.shadow,
                             .guard = limits_of(&w),
                             .revert = w.on_failure == 1,
                             .approval = w.approval,
                             .expedite = w.expedite};
    rc = read_waves(w.waves, pointer, ret, e);
    if (rc == ERR_OK)
        rc = read_limit(w.max_unavailable, pointer, "max_unavailable", &ret->max_unavailable, e);
    return rc == ERR_OK ? read_limit(w.max_failures, pointer, "max_failures", &ret->max_failures, e)
                        : rc;
}

void strategy_settle(struct strategy *s, size_t n_devices)
{
    if (s->expedite) {
        s->kind = STRATEGY_WAVES;
        s->waves[0] = (struct share){SHARE_COUNT, 1};
        s->n_waves = 1;
        s->canary_bake_s =
            s->canary_bake_s < s->expedite_bake_s ? s->canary_bake_s : s->expedite_bake_s;
        s->shadow_s = s->shadow_s < EXPEDITE_SHADOW_S ? s->shadow_s : EXPEDITE_SHADOW_S;
        s->bake_s = 0;
        s->guard.messages = 0; /* an urgent change does not wait for more mail */
    }
    if (s->kind == STRATEGY_AUTO)
        s->kind = n_devices <= (size_t)s->small_fleet ? STRATEGY_ALL : STRATEGY_WAVES;
    if (s->shadow == SHADOW_AUTO)
        s->shadow = s->kind == STRATEGY_WAVES ? SHADOW_ALWAYS : SHADOW_NEVER;
    if (s->kind == STRATEGY_ALL) {
        s->n_waves = 0;
        s->canary_bake_s = s->bake_s = 0;
        s->max_unavailable = (struct share){SHARE_PERCENT, 100};
    }
}

/* --- numbers --- */

bool strategy_wants_number(const struct strategy *s, size_t n_changing, size_t n_managed)
{
    return n_changing >= (size_t)s->confirm_min &&
           n_changing * 100 > n_managed * (size_t)s->confirm_above;
}

size_t share_of(struct share s, size_t n)
{
    size_t k = 0;

    if (s.kind == SHARE_COUNT)
        k = (size_t)s.n;
    else if (s.kind == SHARE_PERCENT)
        k = (n * (size_t)s.n + 99) / 100;
    return k < n ? k : n;
}

size_t strategy_unavailable(const struct strategy *s, size_t n)
{
    struct share usual =
        n <= 10 ? (struct share){SHARE_COUNT, 1} : (struct share){SHARE_PERCENT, 10};

    return share_of(s->max_unavailable.kind == SHARE_NONE ? usual : s->max_unavailable, n);
}

size_t strategy_failures(const struct strategy *s, int wave, size_t n)
{
    size_t k;

    if (wave == 0)
        return 0;
    if (s->max_failures.kind == SHARE_COUNT)
        return (size_t)s->max_failures.n;
    k = n * (size_t)s->max_failures.n / 100;
    return k < 1 ? 1 : k;
}

int64_t strategy_bake_s(const struct strategy *s, int wave)
{
    return wave == 0 ? s->canary_bake_s : s->bake_s;
}

/* --- who is in which wave --- */

struct lot {
    struct strategy_device d;
    uint64_t number;
};

static uint64_t draw(const char *rollout_id, const char *device_id)
{
    char text[100], hex[SHA256_HEX_SIZE];

    (void)snprintf(text, sizeof text, "%.40s/%.40s", rollout_id, device_id);
    sha256_hex(slice_of(text), hex);
    hex[16] = '\0';
    return strtoull(hex, NULL, 16);
}

static int by_number(const void *a, const void *b)
{
    const struct lot *x = a, *y = b;

    if (x->d.can_lead != y->d.can_lead)
        return x->d.can_lead ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->d.id, y->d.id);
}

static int by_wave(const void *a, const void *b)
{
    const struct strategy_device *x = a, *y = b;

    return x->wave != y->wave ? (x->wave < y->wave ? -1 : 1)
                              : (x->place > y->place) - (x->place < y->place);
}

static bool group_taken(const struct lot *v, size_t n, int wave, const char *group)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i].d.wave == wave && strcmp(v[i].d.group, group) == 0)
            return true;
    }
    return false;
}

/* One device of each group that has none in this wave yet. */
static size_t take_per_group(struct lot *v, size_t n, int wave)
{
    size_t taken = 0;

    for (size_t i = 0; i < n; i++) {
        if (v[i].d.wave >= 0 || v[i].d.group[0] == '\0' || group_taken(v, n, wave, v[i].d.group))
            continue;
        v[i].d.wave = wave;
        taken++;
    }
    return taken;
}

static size_t take(struct lot *v, size_t n, int wave, size_t want)
{
    size_t taken = 0;

    for (size_t i = 0; i < n && taken < want; i++) {
        if (v[i].d.wave >= 0)
            continue;
        v[i].d.wave = wave;
        taken++;
    }
    return taken;
}

int strategy_plan(const struct strategy *s, const char *rollout_id, struct strategy_device *v,
                  size_t n)
{
    struct lot *lots = calloc(n + 1, sizeof *lots);
    size_t done = 0;
    int wave = 0;

    for (size_t i = 0; i < n; i++)
        v[i].wave = v[i].place = 0;
    if (lots == NULL || n == 0) { /* without memory: one wave, in the order given */
        free(lots);
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        lots[i] = (struct lot){v[i], draw(rollout_id, v[i].id)};
        lots[i].d.wave = -1;
    }
    qsort(lots, n, sizeof *lots, by_number);
    for (size_t i = 0; i < s->n_waves && done < n; i++) {
        size_t upto = share_of(s->waves[i], n), k;
        if (s->waves[i].kind == SHARE_PER_GROUP)
            k = take_per_group(lots, n, wave);
        else if (s->waves[i].kind == SHARE_PERCENT)
            k = upto > done ? take(lots, n, wave, upto - done) : 0;
        else
            k = take(lots, n, wave, upto);
        done += k;
        wave += k > 0;
    }
    wave += done < n ? take(lots, n, wave, n - done) > 0 : 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = lots[i].d;
        v[i].place = (int)i;
    }
    free(lots);
    qsort(v, n, sizeof *v, by_wave);
    for (size_t i = 0; i < n; i++)
        v[i].place = (int)i;
    return wave;
}
