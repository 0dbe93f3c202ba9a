#include "domain/condition_text.h"

#include <string.h>

enum { PARTS_MAX = 4, TEXT_MAX = 4 * 1024 };

/* As agent/loop/ship.c writes them, with '*' for what it fills in; in both the same number, in the
 * same order. */
/* clang-format off */
static const struct {
    const char *type, *en, *ja;
} texts[] = {
    {"EventsBehind", "the parent does not know of events; it is asked again each hour",
     "上位デバイスがイベントに対応していません。1 時間ごとに問い合わせます"},
    {"EventsBehind", "events of \"*\" wait for more than * minutes: *", "「*」のイベントが * 分以上送信待ちです: *"},
    {"EventsBehind", "events of \"*\" wait for more than * minutes", "「*」のイベントが * 分以上送信待ちです"},
    {"EventsDropped", "* events of \"*\" were lost so far: its spool was full, had no room on its volume, or was damaged",
     "これまでに * 件のイベント (「*」) が失われました。スプールが一杯になったか、ボリュームに空きがないか、破損しました"},
};
/* clang-format on */

/* Does text have the fixed parts of form, in order?  What is between them goes into part. */
static bool fits(const char *form, const char *text, struct slice part[PARTS_MAX])
{
    size_t n = 0, k = strcspn(form, "*");

    if (strncmp(form, text, k) != 0)
        return false;
    for (form += k, text += k; *form == '*'; form += k) {
        AUTO_STRBUF struct strbuf fixed = STRBUF_INIT(TEXT_MAX);
        const char *next;
        form++;
        k = strcspn(form, "*");
        strbuf_add(&fixed, (struct slice){form, k});
        if (n == PARTS_MAX || !strbuf_ok(&fixed))
            return false;
        next = k == 0 ? text + strlen(text) : strstr(text, strbuf_str(&fixed));
        if (next == NULL)
            return false;
        part[n++] = (struct slice){text, (size_t)(next - text)};
        text = next + k;
    }
    return *text == '\0';
}

void condition_text(const char *type, const char *message, enum lang lang, struct strbuf *out)
{
    struct slice part[PARTS_MAX];
    size_t n = 0;

    for (size_t i = 0; lang == LANG_JA && i < COUNT_OF(texts); i++) {
        if (strcmp(texts[i].type, type) != 0 || !fits(texts[i].en, message, part))
            continue;
        for (const char *s = texts[i].ja; *s != '\0'; s++) {
            if (*s == '*')
                strbuf_add(out, part[n++]);
            else
                strbuf_putc(out, *s);
        }
        return;
    }
    strbuf_puts(out, message);
}

bool conditions_tell_in(json_t *conditions, enum lang lang)
{
    json_t *v;
    size_t i;

    json_array_foreach(conditions, i, v)
    {
        AUTO_STRBUF struct strbuf text = STRBUF_INIT(TEXT_MAX);
        if (lang == LANG_EN || json_str(v, "message", "")[0] == '\0')
            continue;
        condition_text(json_str(v, "type", ""), json_str(v, "message", ""), lang, &text);
        if (!strbuf_ok(&text) ||
            json_object_set_new(v, "message", json_string(strbuf_str(&text))) != 0)
            return false;
    }
    return true;
}
