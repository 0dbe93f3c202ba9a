/* condition_text.h: what is known is said in Japanese with its parts kept; everything else stays.
 */
#include "domain/condition_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const char *ja(const char *type, const char *reason, const char *message, struct strbuf *b)
{
    strbuf_clear(b);
    condition_text(type, reason, message, LANG_JA, b);
    assert_true(strbuf_ok(b));
    return strbuf_str(b);
}

static void test_parts_are_kept(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);

    (void)state;
    assert_string_equal(ja("Drifted", "NotRepaired",
                           "3 items differ, first: myhostname; not put back: a: b; c", &b),
                        "3 件の差異があります (最初: myhostname)。元に戻せませんでした: a: b; c");
    assert_string_equal(ja("ServiceRunning", "StoppedOnPurpose",
                           "stopped by admin since 2026-11-22T23:05:00.000Z: new disk", &b),
                        "admin が 2026-11-22T23:05:00.000Z から停止しています: new disk");
    assert_string_equal(
        ja("EventsBehind", "Behind", "events of \"postfix\" wait for more than 10 minutes", &b),
        "「postfix」のイベントが 10 分以上送信待ちです");
    assert_string_equal(ja("Held", "LocalHold", "a (until b) (until 2026)", &b),
                        "a (b) (until 2026 まで)");
}

/* The words of a daemon stay as they came, behind what they are about: that is by the reason. */
static void test_words_of_others(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);

    (void)state;
    assert_string_equal(ja("ConfigApplied", "Rejected", "postfix: fatal: bad *", &b),
                        "デバイスが設定を受け付けませんでした: postfix: fatal: bad *");
    assert_string_equal(ja("ConfigApplied", "Degraded", "x", &b),
                        "新しい設定も以前の設定も正常に動作しません: x");
    assert_string_equal(
        ja("ConfigVerified", "Signature",
           "signed by key k1, which trust document "
           "7 does not list for bundles",
           &b),
        "鍵 k1 で署名されていますが、信頼文書 7 に設定バンドル用の鍵として載っていません");
}

/* Ready repeats another condition, which its reason names. */
static void test_ready(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);

    (void)state;
    assert_string_equal(ja("Ready", "ServiceRunning", "Postfix is wanted to run and does not", &b),
                        "Postfix が動作していません (動作するよう指定されています)");
    assert_string_equal(ja("Ready", "ConfigApplied", "some daemon's words", &b),
                        "準備ができていません: some daemon's words");
    assert_string_equal(ja("Ready", "Ready", "", &b), "");
}

static void test_unknown_stays(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);
    AUTO(json_free)
    json_t *list = json_pack("[{s:s,s:s,s:s},{s:s}]", "type", "OfALaterVersion", "reason", "Held",
                             "message", "its words", "type", "Held");

    (void)state;
    assert_string_equal(ja("OfALaterVersion", "Storage", "its words", &b), "its words");
    assert_string_equal(ja("Held", "OfALaterVersion", "its words", &b), "its words");
    strbuf_clear(&b);
    condition_text("Drained", "Empty", "drained by a since b: c", LANG_EN, &b);
    assert_string_equal(strbuf_str(&b), "drained by a since b: c");
    assert_true(conditions_tell_in(list, LANG_JA));
    assert_string_equal(json_str(json_array_get(list, 0), "message", ""), "its words");
    assert_true(conditions_tell_in(NULL, LANG_JA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_kept),
        cmocka_unit_test(test_words_of_others),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_unknown_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
