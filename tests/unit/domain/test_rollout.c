/* Strategies, the state table and the guard: protocol.md 6.12, fault cases G12 and G15. */
#include "domain/guard.h"
#include "domain/rollout.h"
#include "domain/strategy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct strategy read_text(const char *text)
{
    json_t *asked = json_loads(text, 0, NULL), *j = NULL;
    struct strategy s;
    struct err e;

    assert_non_null(asked);
    assert_int_equal(strategy_merge(NULL, asked, "/rollout", &j, &e), ERR_OK);
    assert_int_equal(strategy_read(j, "/rollout", &s, &e), ERR_OK);
    json_decref(asked);
    json_decref(j);
    return s;
}

static void refused(void **state)
{
    static const struct {
        const char *text, *pointer;
    } v[] = {{"{\"strategy\":\"some\"}", "/rollout/strategy"},
             {"{\"waves\":[\"0\"]}", "/rollout/waves/0"},
             {"{\"waves\":[\"1\",\"101%\"]}", "/rollout/waves/1"},
             {"{\"waves\":[1]}", "/rollout/waves/0"},
             {"{\"max_unavailable\":\"per-group\"}", "/rollout/max_unavailable"},
             {"{\"max_failures\":\"x\"}", "/rollout/max_failures"},
             {"{\"bake_s\":-1}", "/rollout/bake_s"},
             {"{\"apply_deadline_s\":9}", "/rollout/apply_deadline_s"},
             {"{\"later\":true}", "/rollout/later"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        json_t *asked = json_loads(v[i].text, 0, NULL), *j = NULL;
        struct err e;
        assert_int_not_equal(strategy_merge(NULL, asked, "/rollout", &j, &e), ERR_OK);
        assert_string_equal(e.pointer, v[i].pointer);
        json_decref(asked);
    }
}

/* No share is ever zero of something or more than all of it; nothing divides by zero. */
static void shares(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 10000; n = n < 120 ? n + 1 : n * 3) {
        for (int p = 1; p <= 100; p++) {
            size_t k = share_of((struct share){SHARE_PERCENT, p}, n);
            assert_true(n == 0 ? k == 0 : k >= 1 && k <= n);
            assert_true(k * 100 >= n * (size_t)p || k == n);
        }
        assert_int_equal(share_of((struct share){SHARE_COUNT, 7}, n), n < 7 ? n : 7);
    }
    struct strategy s = read_text("{}");
    assert_int_equal(strategy_unavailable(&s, 0), 0);
    assert_int_equal(strategy_unavailable(&s, 1), 1);
    assert_int_equal(strategy_unavailable(&s, 10), 1);
    assert_int_equal(strategy_unavailable(&s, 11), 2);
    assert_int_equal(strategy_unavailable(&s, 10000), 1000);
    assert_int_equal(strategy_failures(&s, 0, 100), 0); /* a canary bears none */
    assert_int_equal(strategy_failures(&s, 1, 0), 1);
    assert_int_equal(strategy_failures(&s, 1, 19), 1);
    assert_int_equal(strategy_failures(&s, 2, 100), 5);
    s = read_text("{\"max_failures\":\"3\",\"max_unavailable\":\"2\"}");
    assert_int_equal(strategy_failures(&s, 0, 100), 0); /* whatever the limit of the others */
    assert_int_equal(strategy_failures(&s, 1, 100), 3);
    assert_int_equal(strategy_failures(&s, 1, 2), 3);
    assert_int_equal(strategy_unavailable(&s, 100), 2);
}

static void settled(void **state)
{
    struct strategy s = read_text("{}");

    (void)state;
    strategy_settle(&s, 10);
    assert_int_equal(s.kind, STRATEGY_ALL);
    assert_int_equal(strategy_unavailable(&s, 7), 7);
    assert_int_equal(strategy_bake_s(&s, 0), 0);
    s = read_text("{}");
    strategy_settle(&s, 11);
    assert_int_equal(s.kind, STRATEGY_WAVES);
    s = read_text("{\"expedite\":true,\"approval\":true,\"strategy\":\"all\"}");
    strategy_settle(&s, 3);
    assert_int_equal(s.kind, STRATEGY_WAVES);
    assert_int_equal(s.n_waves, 1);
    assert_true(s.approval && strategy_bake_s(&s, 0) == 30 && strategy_bake_s(&s, 1) == 0);
    assert_true(s.shadow == SHADOW_ALWAYS && s.shadow_s == 10);
    assert_int_equal(s.guard.messages, 0); /* it waits for no more mail */
    s = read_text("{\"expedite\":true,\"shadow_s\":60,\"canary_bake_s\":5}");
    strategy_settle(&s, 3);
    assert_true(s.shadow_s == 10 && strategy_bake_s(&s, 0) == 5); /* never longer than without */
    /* What nobody says: protocol.md 6.12. */
    s = read_text("{}");
    assert_true(s.canary_bake_s == 600 && s.bake_s == 300 && s.apply_deadline_s == 600);
}

static void the_number_is_asked_for(void **state)
{
    struct strategy s = read_text("{}");

    (void)state;
    assert_false(strategy_wants_number(&s, 0, 0));
    assert_false(strategy_wants_number(&s, 19, 19)); /* a small fleet */
    assert_true(strategy_wants_number(&s, 20, 20));
    assert_true(strategy_wants_number(&s, 20, 39));
    assert_false(strategy_wants_number(&s, 20, 40)); /* not more than half */
    assert_true(strategy_wants_number(&s, 21, 40));
    assert_false(strategy_wants_number(&s, 5000, 10000));
    s.confirm_above = 0;
    s.confirm_min = 1;
    assert_false(strategy_wants_number(&s, 0, 10)); /* nobody changes */
    assert_true(strategy_wants_number(&s, 1, 10000));
    s.confirm_above = 100;
    assert_false(strategy_wants_number(&s, 10000, 10000));
}

enum { MANY = 10000 };

static struct strategy_device *make(size_t n, char (*ids)[40])
{
    struct strategy_device *v = calloc(n + 1, sizeof *v);

    assert_non_null(v);
    for (size_t i = 0; i < n; i++) {
        static const char *const groups[] = {"", "a", "b", "c"};
        (void)snprintf(ids[i], sizeof ids[i], "01900000-0000-7000-8000-%012zu", i);
        v[i] =
            (struct strategy_device){.id = ids[i], .group = groups[i % 4], .can_lead = i % 5 != 0};
    }
    return v;
}

static void plans(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 9, 10, 30, 100, 999, MANY};
    static char ids[MANY][40];
    struct strategy s =
        read_text("{\"strategy\":\"waves\"}"); /* 1, one a group, 10 %, 50 %, rest */

    (void)state;
    for (size_t k = 0; k < COUNT_OF(sizes); k++) {
        size_t n = sizes[k], per_wave[STRATEGY_WAVES_MAX] = {0};
        struct strategy_device *v = make(n, ids), *w = make(n, ids);
        int waves = strategy_plan(&s, "rollout", v, n);
        assert_int_equal(strategy_plan(&s, "rollout", w, n), waves);
        assert_true(waves >= 1 && waves <= 5);
        for (size_t i = 0; i < n; i++) {
            assert_true(v[i].wave >= 0 && v[i].wave < waves);
            assert_int_equal(v[i].place, i);
            assert_true(i == 0 || v[i].wave >= v[i - 1].wave);
            assert_string_equal(v[i].id, w[i].id); /* the same for the same input */
            per_wave[v[i].wave]++;
        }
        for (int x = 0; x < waves && n > 0; x++)
            assert_true(per_wave[x] > 0);
        if (n > 1) {
            assert_int_equal(per_wave[0], 1);
            assert_true(v[0].can_lead);
        }
        if (n == MANY) {
            assert_int_equal(per_wave[1], 3); /* groups a, b, c */
            assert_int_equal(per_wave[0] + per_wave[1] + per_wave[2], 1000);
            assert_int_equal(per_wave[4], 5000);
        }
        free(v);
        free(w);
    }
}

/* Whoever is away, held or only observed waits for the last places; a canary that is there counts.
 */
static void leaders(void **state)
{
    static char ids[MANY][40];
    struct strategy s = read_text("{\"strategy\":\"waves\",\"waves\":[\"1\",\"10%\",\"50%\"]}");
    struct strategy_device *v = make(100, ids);
    size_t led = 0;

    (void)state;
    (void)strategy_plan(&s, "rollout", v, 100);
    for (size_t i = 0; i < 100; i++) {
        led += v[i].can_lead;
        assert_int_equal(v[i].can_lead, led > i);
    }
    assert_int_equal(led, 80);
    free(v);
}

static void state_table(void **state)
{
    static const char *const states[] = {
        "awaiting-approval", "running",   "baking",     "paused",    "halted",
        "reverting",         "completed", "superseded", "cancelled", "reverted"};
    static const char *const may[] = {/* pause resume halt cancel approve promote revert */
                                      "p.hca..", "p.hc..R", "p.hc.PR", ".rhc.PR", ".r.c.PR",
                                      ".......", ".......", ".......", ".......", "......."};
    static const char letters[] = "prhcaP";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        for (int verb = 0; rollout_verb_names[verb] != NULL; verb++) {
            bool want = may[i][verb] == letters[verb];
            assert_int_equal(rollout_verb_possible((enum rollout_verb)verb, states[i]), want);
        }
        assert_int_equal(rollout_revert_possible(states[i]), may[i][6] == 'R');
    }
}

static enum guard_verdict judge(const char *before, const char *status, int64_t siblings)
{
    static const struct guard_limits limits = {20, 3, 10, 10, 30, 50};
    json_t *b = before == NULL ? NULL : json_loads(before, 0, NULL),
           *s = status == NULL ? NULL : json_loads(status, 0, NULL);
    struct finding why = {.id = FINDING_COUNT};
    enum guard_verdict v = guard_judge(
        &(struct guard_input){
            .before = b, .status = s, .sibling_deferred = siblings, .limits = &limits},
        &why);

    assert_int_equal(why.id == FINDING_COUNT, v == GUARD_GOOD);
    json_decref(b);
    json_decref(s);
    return v;
}

static void guards(void **state)
{
    static const char before[] = "{\"queue\":{\"deferred\":10}}";

    (void)state;
    assert_int_equal(judge(NULL, "{}", -1), GUARD_GOOD);
    assert_int_equal(judge(before, NULL, -1), GUARD_INCONCLUSIVE);
    assert_int_equal(judge(before, "{\"health\":{\"queue\":{\"deferred\":59}}}", -1), GUARD_GOOD);
    assert_int_equal(judge(before, "{\"health\":{\"queue\":{\"deferred\":60}}}", -1), GUARD_BAD);
    /* it grows everywhere: not because of this publication */
    assert_int_equal(judge(before, "{\"health\":{\"queue\":{\"deferred\":60}}}", 40), GUARD_GOOD);
    assert_int_equal(judge(before, "{\"health\":{\"queue\":{\"deferred\":200}}}", 40), GUARD_BAD);
    assert_int_equal(
        judge(NULL, "{\"conditions\":[{\"type\":\"ChainHealthy\",\"status\":\"False\"}]}", -1),
        GUARD_BAD);
    assert_int_equal(
        judge(NULL, "{\"conditions\":[{\"type\":\"ConfigRunning\",\"status\":\"False\"}]}", -1),
        GUARD_BAD);
    assert_int_equal(
        judge(NULL, "{\"conditions\":[{\"type\":\"StorageOk\",\"status\":\"False\"}]}", -1),
        GUARD_BAD);
    assert_int_equal(
        judge(NULL, "{\"conditions\":[{\"type\":\"StorageOk\",\"status\":\"Unknown\"}]}", -1),
        GUARD_GOOD);
    assert_int_equal(
        judge(NULL, "{\"conditions\":[{\"type\":\"Drifted\",\"status\":\"False\"}]}", -1),
        GUARD_GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),     cmocka_unit_test(shares),
        cmocka_unit_test(settled),     cmocka_unit_test(the_number_is_asked_for),
        cmocka_unit_test(plans),       cmocka_unit_test(leaders),
        cmocka_unit_test(state_table), cmocka_unit_test(guards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
