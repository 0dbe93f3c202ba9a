/* alert_kind.h: what stands in a notice is what the alert says; what it does not say is shown as
 * not known. */
#include "domain/alert_kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static const char *line(const json_t *alert, enum lang lang, struct strbuf *b)
{
    strbuf_clear(b);
    alert_kind_text(alert, lang, b);
    assert_true(strbuf_ok(b));
    return strbuf_str(b);
}

/* Each word in braces of a kind's text: absent, null and of another type it is a question mark;
 * there, it is itself. */
static void one_kind(const struct alert_kind *k, const char *pattern, const char *condition,
                     enum lang lang)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);
    const char *open = pattern, *close;

    for (; (open = strchr(open, '{')) != NULL && (close = strchr(open, '}')) != NULL;
         open = close) {
        AUTO(json_free) json_t *detail = json_pack("{s:s}", "condition", condition);
        AUTO(json_free) json_t *alert = json_pack("{s:s,s:O}", "kind", k->word, "detail", detail);
        char member[32], want[2048];
        (void)snprintf(member, sizeof member, "%.*s", (int)(close - open - 1), open + 1);
        assert_null(strchr(line(alert, lang, &b), '{'));
        assert_null(strstr(strbuf_str(&b), "null"));
        if (strcmp(member, "seen") == 0) /* never: since it joined */
            continue;
        assert_non_null(strchr(strbuf_str(&b), '?'));
        (void)snprintf(want, sizeof want, "%s", strbuf_str(&b));
        (void)json_object_set_new(detail, member, json_null());
        assert_string_equal(line(alert, lang, &b), want);
        (void)json_object_set_new(detail, member, json_true());
        assert_string_equal(line(alert, lang, &b), want);
        (void)json_object_set_new(detail, member, json_string("<a\r\nb@x\x7f>"));
        assert_non_null(strstr(line(alert, lang, &b), "<a  b@x >"));
        (void)json_object_set_new(detail, member, json_string(""));
        assert_string_not_equal(line(alert, lang, &b), want); /* empty is empty */
        (void)json_object_set_new(detail, member, json_integer(-17));
        assert_non_null(strstr(line(alert, lang, &b), "-17"));
    }
}

static void test_nothing_is_invented(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);

    (void)state;
    for (size_t i = 0; alert_kind_words[i] != NULL; i++) {
        for (int lang = 0; lang < 2; lang++) {
            const struct alert_kind *k = alert_kind_find(alert_kind_words[i]);
            assert_non_null(k);
            if (k->text[0] != NULL)
                one_kind(k, k->text[lang], "", (enum lang)lang);
            for (size_t c = 0; k->text[0] == NULL && alert_condition_words[c] != NULL; c++)
                one_kind(k, "{name} {message}", alert_condition_words[c], (enum lang)lang);
        }
    }
    AUTO(json_free)
    json_t *later = json_pack("{s:s,s:s}", "kind", "of-a-later-version", "name", "mx1");
    assert_string_equal(line(later, LANG_EN, &b), "of-a-later-version: mx1");
}

/* Long texts end between characters. */
static void test_a_long_one_is_cut(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);
    char text[1300] = "";

    (void)state;
    for (size_t i = 0; i < 400; i++)
        memcpy(text + 3 * i + 1, "\xe4\xbb\xb6", 3);
    text[0] = 'x';
    AUTO(json_free)
    json_t *alert = json_pack("{s:s,s:s,s:{s:s}}", "kind", "device-held", "name", "mx1", "detail",
                              "reason", text);
    assert_true(strlen(line(alert, LANG_EN, &b)) < 400);
    AUTO(json_free) json_t *valid = json_string(strbuf_str(&b));
    assert_non_null(valid);
}

static const char *of(const char *kind, const json_t *detail, enum lang lang, struct strbuf *b)
{
    AUTO(json_free)
    json_t *alert = json_pack("{s:s,s:s,s:O}", "kind", kind, "name", "mx1", "detail", detail);

    return line(alert, lang, b);
}

/* People get times to the minute, with their zone; what only looks like one stays. */
static void test_times(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);
    AUTO(json_free) json_t *seen = json_pack("{s:I}", "seen_ms", (json_int_t)1795388759123);
    AUTO(json_free)
    json_t *drained = json_pack(
        "{s:s,s:s,s:s}", "condition", "Drained", "reason", "Empty", "message",
        "drained by a since 2026-11-22T23:05:59.999Z: at 12:00, T 2026-13-22T23:05:59Z 1.2Z");

    (void)state;
    assert_string_equal(of("device-late", seen, LANG_EN, &b),
                        "mx1 has not been heard from since 2026-11-22 23:05 UTC");
    assert_string_equal(of("device-late", seen, LANG_JA, &b),
                        "mx1 から 2026-11-22 23:05 UTC 以降、応答がありません");
    assert_string_equal(of("device-condition", drained, LANG_EN, &b),
                        "mx1 is drained: drained by a since 2026-11-22 23:05 UTC: at 12:00, T "
                        "2026-13-22T23:05:59Z 1.2Z");
    assert_non_null(strstr(of("device-condition", drained, LANG_JA, &b),
                           "a が 2026-11-22 23:05 UTC から受け付けを停止しています: at 12:00"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_invented),
                                       cmocka_unit_test(test_a_long_one_is_cut),
                                       cmocka_unit_test(test_times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
