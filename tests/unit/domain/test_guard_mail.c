/* What a device's mail says about a change: sums over minutes, shares against before and others,
 * latency, too little. */
#include "domain/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct guard_limits usual = {20, 3, 10, 10, 30, 50};

static struct guard_mail mail(int64_t accepted, int64_t rejected)
{
    return (struct guard_mail){.seen = true,
                               .accepted = accepted,
                               .rejected = rejected,
                               .delivered = accepted,
                               .latency = {accepted}};
}

static enum guard_verdict judged(const struct guard_limits *l, struct guard_mail now,
                                 struct guard_mail before, struct guard_mail others,
                                 enum finding_id want)
{
    struct guard_mails m = {.now = now, .before = before, .others = others};
    struct finding why = {.id = FINDING_COUNT};
    enum guard_verdict v = guard_mail_judge(l, &m, &why);

    assert_int_equal(why.id, want);
    return v;
}

static const struct {
    int64_t now[2], before[2], others[2]; /* accepted, rejected */
    enum guard_verdict want;
    enum finding_id why;
} shares[] = {
    {{70, 30}, {90, 10}, {0, 0}, GUARD_BAD, F_GUARD_REJECTED},        /* tripled */
    {{80, 20}, {90, 10}, {0, 0}, GUARD_GOOD, FINDING_COUNT},          /* doubled */
    {{70, 30}, {90, 10}, {70, 30}, GUARD_GOOD, FINDING_COUNT},        /* everywhere */
    {{70, 30}, {90, 10}, {95, 5}, GUARD_BAD, F_GUARD_REJECTED},       /* here alone */
    {{70, 30}, {70, 30}, {95, 5}, GUARD_GOOD, FINDING_COUNT},         /* as ever */
    {{70, 30}, {0, 0}, {95, 5}, GUARD_BAD, F_GUARD_REJECTED},         /* no before */
    {{70, 30}, {3, 0}, {3, 0}, GUARD_INCONCLUSIVE, F_GUARD_REJECTED}, /* nothing to compare with */
    {{92, 8}, {1000, 1}, {1000, 1}, GUARD_GOOD, FINDING_COUNT},       /* below the limit */
    {{20, 80},
     {20, 80},
     {0, 0},
     GUARD_GOOD,
     FINDING_COUNT}, /* refuses four of five on a good day */
    {{6, 94}, {20, 80}, {0, 0}, GUARD_BAD, F_GUARD_REJECTED},
    {{0, 40}, {100, 0}, {0, 0}, GUARD_BAD, F_GUARD_REJECTED}, /* nothing gets in */
    {{10, 9}, {100, 0}, {0, 0}, GUARD_INCONCLUSIVE, F_GUARD_TRAFFIC},
    {{0, 0}, {100, 0}, {0, 0}, GUARD_INCONCLUSIVE, F_GUARD_TRAFFIC}, /* it dried up */
    {{0, 0}, {0, 0}, {100, 0}, GUARD_GOOD, FINDING_COUNT},           /* never had any */
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        enum guard_verdict v =
            judged(&usual, mail(shares[i].now[0], shares[i].now[1]),
                   mail(shares[i].before[0], shares[i].before[1]),
                   mail(shares[i].others[0], shares[i].others[1]), shares[i].why);
        if (v != shares[i].want)
            fail_msg("row %zu: %d", i, v);
    }
}

static void limits_are_obeyed(void **state)
{
    struct guard_limits l = usual;

    (void)state;
    l.rejected = 0; /* off */
    assert_int_equal(judged(&l, mail(0, 40), mail(100, 0), mail(0, 0), FINDING_COUNT), GUARD_GOOD);
    l.rejected = 50;
    assert_int_equal(judged(&l, mail(70, 30), mail(90, 10), mail(0, 0), FINDING_COUNT), GUARD_GOOD);
    l = usual;
    l.factor = 4;
    assert_int_equal(judged(&l, mail(70, 30), mail(90, 10), mail(0, 0), FINDING_COUNT), GUARD_GOOD);
    l = usual;
    l.messages = 0; /* not waited for, but one of one is still no proof */
    assert_int_equal(judged(&l, mail(0, 1), mail(100, 0), mail(0, 0), FINDING_COUNT), GUARD_GOOD);
    assert_int_equal(judged(&l, mail(0, 40), mail(100, 0), mail(0, 0), F_GUARD_REJECTED),
                     GUARD_BAD);
}

static void put_off(void **state)
{
    struct guard_mail now = mail(100, 0), before = mail(100, 0), none = {0};

    (void)state;
    now.deferred = 60;
    before.deferred = 5;
    assert_int_equal(judged(&usual, now, before, none, F_GUARD_DEFERRED), GUARD_BAD);
    before.deferred = 50;
    assert_int_equal(judged(&usual, now, before, none, FINDING_COUNT), GUARD_GOOD);
    /* goes in and is tried by nobody */
    now = mail(100, 0);
    now.delivered = 0;
    assert_int_equal(judged(&usual, now, before, none, F_GUARD_TRAFFIC), GUARD_INCONCLUSIVE);
}

static void slower(void **state)
{
    struct guard_mail now = mail(100, 0), before = mail(100, 0), others = mail(100, 0), none = {0};

    (void)state;
    now.latency[0] = 0;
    now.latency[5] = 100; /* up to 30 s: within the limit */
    assert_int_equal(judged(&usual, now, before, none, FINDING_COUNT), GUARD_GOOD);
    now.latency[5] = 0;
    now.latency[6] = 100;
    assert_int_equal(judged(&usual, now, before, none, F_GUARD_LATENCY), GUARD_BAD);
    assert_int_equal(judged(&usual, now, none, none, F_GUARD_LATENCY), GUARD_INCONCLUSIVE);
    others.latency[0] = 0;
    others.latency[6] = 100; /* a slow next hop of all */
    assert_int_equal(judged(&usual, now, before, others, FINDING_COUNT), GUARD_GOOD);
}

static void waits_for_the_others(void **state)
{
    struct guard_mails m = {.now = mail(70, 30), .before = mail(90, 10), .others_soon = true};
    struct finding why;

    (void)state;
    assert_int_equal(guard_mail_judge(&usual, &m, &why), GUARD_INCONCLUSIVE);
    m.others_soon = false;
    assert_int_equal(guard_mail_judge(&usual, &m, &why), GUARD_BAD);
    assert_string_equal(why.arg[0], "30/100 (30%)");
    assert_string_equal(why.arg[1], "10/100 (10%)");
    assert_string_equal(why.arg[2], "-");
    assert_string_equal(why.pointer, "/health/mail");
    m.figures = true;
    assert_int_equal(guard_mail_judge(&usual, &m, &why), GUARD_BAD);
    assert_string_equal(why.pointer, "/figures");
    m.now.seen = false; /* nobody counts */
    assert_int_equal(guard_mail_judge(&usual, &m, &why), GUARD_GOOD);
}

static void sums(void **state)
{
    json_t *health =
        json_loads("{\"mail\":{\"state\":\"reading\",\"step_s\":60,\"until\":1000,\"minutes\":["
                   "{\"at\":600,\"accepted\":1},{\"at\":660,\"accepted\":10,\"rejected\":{"
                   "\"relay\":2,\"size\":3,\"x\":\"y\"}},"
                   "{\"at\":720,\"accepted\":100,\"delivered\":7,\"latency\":[1,2,3]},{\"at\":780,"
                   "\"accepted\":-5},7,"
                   "{\"at\":840,\"accepted\":9000000000000}]}}",
                   0, NULL);
    struct guard_mail m = {0};
    struct guard_others o = {0};

    (void)state;
    guard_mail_add(&m, health, 660, 780);
    assert_true(m.seen);
    assert_int_equal(m.accepted, 110);
    assert_int_equal(m.rejected, 5);
    assert_int_equal(m.latency[2], 3);
    m = (struct guard_mail){0};
    guard_mail_add(&m, health, 661, 779); /* not wholly inside */
    assert_int_equal(m.accepted, 0);
    guard_mail_add(&m, health, 800, INT64_MAX);
    assert_int_equal(m.accepted, 100000000); /* bounded */
    guard_others_add(&o, health);
    guard_others_add(&o, health);
    guard_others_since(&o, 700, &m);
    assert_int_equal(o.devices, 2);
    assert_int_equal(o.until_s, 1000);
    assert_int_equal(m.delivered, 14);
    assert_int_equal(
        json_string_set(json_object_get(json_object_get(health, "mail"), "state"), "unreadable"),
        0);
    guard_others_put(&o, 730, &(struct guard_mail){.delivered = 5, .latency = {[8] = 3}});
    guard_others_since(&o, 700, &m); /* a minute of stored figures beside them */
    assert_true(m.delivered == 19 && m.latency[8] == 3);
    m = (struct guard_mail){0};
    guard_mail_add(&m, health, 0, INT64_MAX);
    assert_true(!m.seen && m.accepted == 0);
    json_decref(health);
}

static void words_in_both_languages(void **state)
{
    struct guard_mails m = {.now = mail(70, 30), .before = mail(90, 10)};
    struct finding why;
    json_t *en, *ja, *other;

    (void)state;
    assert_int_equal(guard_mail_judge(&usual, &m, &why), GUARD_BAD);
    en = guard_problem(&why);
    assert_string_equal(json_str(en, "detail", ""),
                        "refused since the change: 30/100 (30%); before it: 10/100 (10%); "
                        "on devices not updated yet: -");
    ja = guard_problem_in(en, LANG_JA);
    assert_non_null(strstr(json_str(ja, "detail", ""), "変更後の拒否: 30/100 (30%)"));
    assert_non_null(
        strstr(json_str(json_array_get(json_object_get(ja, "errors"), 0), "remedy", ""), "配布"));
    other = json_loads("{\"detail\":\"x\",\"errors\":[{\"id\":\"P13.dangling\"}],\"args\":[]}", 0,
                       NULL);
    assert_null(guard_problem_in(other, LANG_JA));
    assert_null(guard_problem_in(NULL, LANG_JA));
    json_decref(en);
    json_decref(ja);
    json_decref(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(limits_are_obeyed),
        cmocka_unit_test(put_off),
        cmocka_unit_test(slower),
        cmocka_unit_test(sums),
        cmocka_unit_test(waits_for_the_others),
        cmocka_unit_test(words_in_both_languages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
