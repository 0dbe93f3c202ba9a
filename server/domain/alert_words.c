/* A notice in words. */
#include "domain/alert_kind.h"
#include "domain/alert_send.h"

#include "base/clock.h"

enum { LISTED = 500 };

static const char *const severity_words[][2] = {
    {"critical", "重大"}, {"warning", "警告"}, {"info", "情報"}};

static const char *severity(const json_t *body, enum lang lang)
{
    const char *word = json_str(body, "severity", "");

    for (size_t i = 0; i < COUNT_OF(severity_words); i++)
        if (strcmp(severity_words[i][0], word) == 0)
            return severity_words[i][lang];
    return word;
}

static int64_t count(const json_t *body, const char *what)
{
    return json_int(json_object_get(body, "counts"), what, 0);
}

/* One alert says it all; of several their number. */
static void put_subject(const json_t *body, enum lang lang, struct strbuf *out)
{
    const json_t *alerts = json_object_get(body, "alerts"), *first = json_array_get(alerts, 0);
    int64_t firing = count(body, "firing"), over = count(body, "resolved");
    int64_t still = count(body, "still");
    const char *label =
        alert_kind_label(json_str(body, "kind", ""), json_object_get(first, "detail"), lang);

    if (json_bool(body, "test", false)) {
        strbuf_puts(out, lang == LANG_JA ? "[Inari テスト] この通知は試験送信です"
                                         : "[Inari test] This notice is a test");
        return;
    }
    strbuf_printf(out, "[Inari %s] ", severity(body, lang));
    if (firing + over + still == 1) {
        if (over == 1)
            strbuf_puts(out, lang == LANG_JA ? "解消: " : "over: ");
        if (still == 1)
            strbuf_puts(out, lang == LANG_JA ? "継続中: " : "still: ");
        alert_kind_text(first, lang, out);
        return;
    }
    strbuf_printf(out, "%s:", label);
    if (firing > 0)
        strbuf_printf(out, lang == LANG_JA ? " 発生 %lld 件" : " %lld new", (long long)firing);
    if (still > 0)
        strbuf_printf(out, lang == LANG_JA ? " 継続 %lld 件" : " %lld still", (long long)still);
    if (over > 0)
        strbuf_printf(out, lang == LANG_JA ? " 解消 %lld 件" : " %lld over", (long long)over);
}

static void put_part(const json_t *body, const char *what, const char *const head[2],
                     enum lang lang, struct strbuf *out)
{
    const json_t *v;
    size_t i, listed = 0;
    char when[CLOCK_TEXT_SIZE];

    if (count(body, what) == 0)
        return;
    strbuf_printf(out, "%s (%lld):\n", head[lang], (long long)count(body, what));
    json_array_foreach(json_object_get(body, "alerts"), i, v)
    {
        if (strcmp(json_str(v, "what", ""), what) != 0 || listed >= LISTED)
            continue;
        listed++;
        strbuf_puts(out, "  * ");
        alert_kind_text(v, lang, out);
        clock_format_people(json_int(v, "since_ms", 0), when);
        strbuf_printf(out, lang == LANG_JA ? " (%s から)\n" : " (since %s)\n", when);
    }
    if ((int64_t)listed < count(body, what))
        strbuf_printf(out, lang == LANG_JA ? "  * ほか %lld 件\n" : "  * and %lld more\n",
                      (long long)(count(body, what) - (int64_t)listed));
    strbuf_putc(out, '\n');
}

void alert_send_words(const struct app *app, const json_t *body, enum lang lang,
                      struct strbuf *subject, struct strbuf *text)
{
    static const char *const firing[2] = {"New", "発生"}, *const still[2] = {"Still", "継続中"},
                             *const over[2] = {"Over", "解消"};

    put_subject(body, lang, subject);
    if (json_bool(body, "test", false))
        strbuf_puts(text,
                    lang == LANG_JA
                        ? "この通知は、通知先の設定を確認するために送信されました。\n\n"
                        : "Somebody asked for this notice to see whether the channel works.\n\n");
    put_part(body, "firing", firing, lang, text);
    put_part(body, "still", still, lang, text);
    put_part(body, "resolved", over, lang, text);
    if (!json_bool(body, "test", false))
        strbuf_printf(text, lang == LANG_JA ? "ルール %s、重要度 %s\n" : "Rule %s, severity %s\n",
                      json_str(body, "rule", ""), severity(body, lang));
    strbuf_printf(text,
                  lang == LANG_JA ? "上位デバイス: %s (inarictl alerts)\n"
                                  : "Parent: %s (inarictl alerts)\n",
                  app->issuer);
}
