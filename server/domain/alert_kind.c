#include "domain/alert_kind.h"

#include "base/clock.h"
#include "domain/condition_text.h"

#include <stdio.h>

const char *const alert_condition_words[] = {
    "Drifted",    "ClockSynced",   "StorageOk",         "ServiceRunning", "Quarantined",
    "KeyCurrent", "ConfigApplied", "ParentCertificate", "Churning",       "ChainHealthy",
    "Frozen",     "Drained",       "EventsBehind",      "EventsDropped",  NULL};

static const char *const figure_words[] = {
    "queue",           "oldest_s",         "deferred_percent",
    "bounced_percent", "rejected_percent", "dropped",
    "latency_p95_ms",  "latency_p99_ms",   NULL};

/* clang-format off */
static const struct {
    const char *label[2], *text[2];
} conditions[] = {
    {{"Values changed by hand", "手動で変更された値"}, {"{name} runs something else than what is published: {message}", "{name} の実行内容が公開された設定と異なります: {message}"}},
    {{"Clock of a device", "デバイスの時計"}, {"The clock of {name} is wrong: {message}", "{name} の時計がずれています: {message}"}},
    {{"Storage of a device", "デバイスのストレージ"}, {"{name} cannot store what it must, or soon cannot: {message}", "{name} のストレージに問題があります: {message}"}},
    {{"Mail service of a device", "デバイスのメールサービス"}, {"The mail service of {name} does not run: {message}", "{name} のメールサービスが動作していません: {message}"}},
    {{"Revision set aside by a device", "デバイスが隔離したリビジョン"}, {"{name} has set a revision aside: {message}", "{name} がリビジョンを隔離しました: {message}"}},
    {{"Key of a device", "デバイスの鍵"}, {"The key of {name} is not renewed: {message}", "{name} の鍵が更新されていません: {message}"}},
    {{"Configuration not applied", "適用されない設定"}, {"{name} could not apply its configuration: {message}", "{name} は設定を適用できませんでした: {message}"}},
    {{"Certificate a device sees", "デバイスから見た証明書"}, {"{name} sees a certificate of the parent that is not in order: {message}", "{name} から見た上位デバイスの証明書に問題があります: {message}"}},
    {{"Answers that differ", "一致しない応答"}, {"{name} gets answers that differ: {message}", "{name} が受け取る応答が一致しません: {message}"}},
    {{"Mail path of a device", "デバイスのメール経路"}, {"The mail path of {name} is not healthy: {message}", "{name} のメール経路に問題があります: {message}"}},
    {{"Frozen device", "変更停止中のデバイス"}, {"{name} takes no changes: {message}", "{name} は変更を受け付けていません: {message}"}},
    {{"Drained device", "切り離されたデバイス"}, {"{name} is drained: {message}", "{name} は切り離されています: {message}"}},
    {{"Events of a device that wait", "送信待ちのデバイスのイベント"}, {"Events of {name} do not reach the parent: {message}", "{name} のイベントが上位デバイスに届いていません: {message}"}},
    {{"Events of a device that were lost", "失われたデバイスのイベント"}, {"Events of {name} were lost: {message}", "{name} のイベントが失われました: {message}"}},
};

const struct alert_kind alert_kinds[] = {
    {"device-late", 1, true, "late_s", {{"late_s", 60, 86400, 180, NULL}}, {"Device not heard from", "応答のないデバイス"},
     {"{name} has not been heard from since {seen}", "{name} から {seen} 以降、応答がありません"}},
    {"device-not-in-sync", 2, true, NULL, {{NULL, 0, 0, 0, NULL}}, {"Device not in sync", "同期していないデバイス"},
     {"{name} does not run what it was offered (revision {pub})", "{name} は提示された内容 (リビジョン {pub}) を実行していません"}},
    {"device-held", 3, true, NULL, {{NULL, 0, 0, 0, NULL}}, {"Device held for long", "長く保留中のデバイス"},
     {"{name} is held: {reason}", "{name} は保留中です: {reason}"}},
    {"device-condition", 100, true, NULL, {{"condition", 0, 0, 0, alert_condition_words}}, {"State of a device", "デバイスの状態"}, {NULL, NULL}},
    {"rollout-halted", 5, false, NULL, {{NULL, 0, 0, 0, NULL}}, {"Rollout halted", "停止した配布"},
     {"The rollout of revision {pub} was halted: {reason}", "リビジョン {pub} の配布が停止しました: {reason}"}},
    {"parent-certificate", 6, false, "days", {{"days", 1, 90, 21, NULL}}, {"Certificate of the parent", "上位デバイスの証明書"},
     {"The certificate of parent {name} ends in {value} days", "上位デバイス {name} の証明書はあと {value} 日で期限切れになります"}},
    {"parent-database", 7, false, "away_s", {{"away_s", 1, 86400, 30, NULL}}, {"Database of the parent", "上位デバイスのデータベース"},
     {"Parent {name} could not reach its database for {value} s", "上位デバイス {name} はデータベースに {value} 秒間接続できませんでした"}},
    {"parent-fenced", 8, false, NULL, {{NULL, 0, 0, 0, NULL}}, {"Parent fenced", "保護状態の上位デバイス"},
     {"Parent {name} has fenced itself: an administrator must decide (inarictl recovery)", "上位デバイス {name} は保護状態です。管理者の判断が必要です (inarictl recovery)"}},
    {"figure", 200, true, "over", {{"figure", 0, 0, 0, figure_words}, {"over", 0, 1000000000000, 0, NULL}, {"clear", -1, 1000000000000, -1, NULL},
                         {"window_s", 60, 86400, 600, NULL}, {"least", 1, 1000000, 20, NULL}},
     {"Figure of a device", "デバイスの数値"},
     {"{name}: {figure} is {value}, more than {over} (within {window_s} s)", "{name}: {figure} が {value} で、しきい値 {over} を超えています ({window_s} 秒間)"}},
    {"device-certificate", 10, true, "days", {{"days", 1, 365, 21, NULL}}, {"Certificate of a device", "デバイスの証明書"},
     {"A certificate that {name} uses ends in {value} days, on {end}", "{name} が使用している証明書はあと {value} 日、{end} に期限切れになります"}},
    {"device-disk", 11, true, "hours", {{"hours", 1, 720, 24, NULL}, {"window_h", 3, 48, 6, NULL}}, {"Disk of a device soon full", "デバイスのディスクの空き不足予測"},
     {"The volume of {name} that has its {volume} is full in {value} hours if it goes on so; {free_mb} MiB are free", "{name} の {volume} のあるボリュームは、この増加が続くとあと {value} 時間で一杯になります (空き {free_mb} MiB)"}},
};
/* clang-format on */
const char *const alert_kind_words[] = {
    "device-late",    "device-not-in-sync", "device-held",     "device-condition",
    "rollout-halted", "parent-certificate", "parent-database", "parent-fenced",
    "figure",         "device-certificate", "device-disk",     NULL};
_Static_assert(COUNT_OF(alert_kinds) + 1 == COUNT_OF(alert_kind_words), "a word a kind");
_Static_assert(COUNT_OF(conditions) + 1 == COUNT_OF(alert_condition_words), "a text a condition");

const struct alert_kind *alert_kind_find(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(alert_kinds); i++)
        if (strcmp(alert_kinds[i].word, word) == 0)
            return &alert_kinds[i];
    return NULL;
}

static int word_index(const char *const *words, const char *word)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

static enum err_code take_param(const struct alert_param *p, const json_t *v, const char *at,
                                json_t *out, struct err *e)
{
    char pointer[192];

    json_pointer_add(pointer, sizeof pointer, at, p->name);
    if (v == NULL)
        return json_object_set_new(out, p->name,
                                   p->words != NULL ? json_string(p->words[0])
                                                    : json_integer(p->fallback)) == 0
                   ? ERR_OK
                   : err_set(e, ERR_NO_MEMORY, "out of memory");
    if (p->words != NULL && (!json_is_string(v) || word_index(p->words, json_string_value(v)) < 0))
        return err_field(e, ERR_INVALID, pointer, "this kind of rule does not know that word");
    if (p->words == NULL &&
        (!json_is_integer(v) || json_integer_value(v) < p->min || json_integer_value(v) > p->max))
        return err_field(e, ERR_INVALID, pointer, "a number from %lld to %lld is needed",
                         (long long)p->min, (long long)p->max);
    return json_object_set(out, p->name, (json_t *)(uintptr_t)v) == 0
               ? ERR_OK
               : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static const struct alert_param *param_of(const struct alert_kind *k, const char *name)
{
    for (size_t i = 0; i < ALERT_PARAMS_MAX && k->param[i].name != NULL; i++)
        if (strcmp(k->param[i].name, name) == 0)
            return &k->param[i];
    return NULL;
}

enum err_code alert_kind_params(const struct alert_kind *k, const json_t *given, const char *at,
                                json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *out = json_object();
    char pointer[192];
    const char *name;
    json_t *v;

    if (out == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    json_object_foreach((json_t *)(uintptr_t)given, name, v)
    {
        json_pointer_add(pointer, sizeof pointer, at, name);
        if (param_of(k, name) == NULL)
            return err_field(e, ERR_INVALID, pointer, "a rule of kind \"%s\" has no such parameter",
                             k->word);
    }
    for (size_t i = 0; i < ALERT_PARAMS_MAX && k->param[i].name != NULL; i++)
        if (take_param(&k->param[i], json_object_get(given, k->param[i].name), at, out, e) !=
            ERR_OK)
            return e->code;
    *ret = TAKE(out);
    return ERR_OK;
}

unsigned alert_kind_trap(const char *kind, const json_t *params)
{
    const struct alert_kind *k = alert_kind_find(kind);
    const struct alert_param *p = k == NULL ? NULL : &k->param[0];
    int i;

    if (k == NULL || p->name == NULL || p->words == NULL)
        return k == NULL ? 0 : k->trap;
    i = word_index(p->words, json_str(params, p->name, ""));
    return i < 0 ? 0 : k->trap + 1 + (unsigned)i;
}

const char *alert_kind_label(const char *kind, const json_t *params, enum lang lang)
{
    const struct alert_kind *k = alert_kind_find(kind);
    int i = word_index(alert_condition_words, json_str(params, "condition", ""));

    if (k == NULL)
        return kind;
    return k->text[0] == NULL && i >= 0 ? conditions[i].label[lang] : k->label[lang];
}

/* --- texts --- */

enum { PART_MAX = 300 };

/* What a device or a person wrote: on one line, cut between characters. */
static void add_part(struct strbuf *out, const char *s)
{
    size_t n = strlen(s);

    if (n > PART_MAX) {
        n = PART_MAX;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++)
        strbuf_putc(out, (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? ' ' : s[i]);
}

enum { STAMP_MAX = sizeof "2026-11-21T23:21:17.123Z" - 1 };

/* Times within a message as devices write them, in the form of all others in a notice. */
static void add_times(struct strbuf *out, const char *s)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(PART_MAX * 8);
    char when[CLOCK_TEXT_SIZE];
    const char *at = s;

    while (*at != '\0') {
        size_t n = strspn(at, "0123456789-:.T");
        int64_t ms = 0;
        if (n > 0 && n < STAMP_MAX + 1 && at[n] == 'Z' &&
            clock_parse((struct slice){at, n + 1}, &ms)) {
            clock_format_people(ms, when);
            strbuf_puts(&text, when);
            n++;
        } else {
            n = n > 0 ? n : strcspn(at, "0123456789-:.T");
            strbuf_add(&text, (struct slice){at, n});
        }
        at += n;
    }
    add_part(out, strbuf_ok(&text) ? strbuf_str(&text) : s);
}

static void add_member(struct strbuf *out, const json_t *alert, struct slice name, enum lang lang)
{
    const json_t *detail = json_object_get(alert, "detail"), *v;
    char key[32], when[CLOCK_TEXT_SIZE];

    (void)snprintf(key, sizeof key, "%.*s", (int)name.n, name.p);
    if (strcmp(key, "seen") == 0) {
        int64_t ms = json_int(detail, "seen_ms", 0);
        if (ms != 0)
            clock_format_people(ms, when);
        add_part(out, ms != 0 ? when : lang == LANG_JA ? "登録" : "it joined");
        return;
    }
    v = json_object_get(alert, key);
    if (v == NULL || json_is_null(v))
        v = json_object_get(detail, key);
    if (json_is_string(v) && strcmp(key, "message") == 0) {
        AUTO_STRBUF struct strbuf text = STRBUF_INIT(PART_MAX * 8);
        condition_text(json_str(detail, "condition", ""), json_str(detail, "reason", ""),
                       json_string_value(v), lang, &text);
        add_times(out, strbuf_str(&text));
    } else if (json_is_string(v))
        add_part(out, json_string_value(v));
    else if (json_is_integer(v))
        strbuf_printf(out, "%lld", (long long)json_integer_value(v));
    else
        strbuf_putc(out, '?');
}

void alert_kind_text(const json_t *alert, enum lang lang, struct strbuf *out)
{
    const struct alert_kind *k = alert_kind_find(json_str(alert, "kind", ""));
    int i = word_index(alert_condition_words,
                       json_str(json_object_get(alert, "detail"), "condition", ""));
    const char *text = k == NULL            ? "{kind}: {name}"
                       : k->text[0] != NULL ? k->text[lang]
                       : i >= 0             ? conditions[i].text[lang]
                                            : "{kind}: {name}";
    const char *open, *close;

    while ((open = strchr(text, '{')) != NULL && (close = strchr(open, '}')) != NULL) {
        strbuf_add(out, (struct slice){text, (size_t)(open - text)});
        add_member(out, alert, (struct slice){open + 1, (size_t)(close - open - 1)}, lang);
        text = close + 1;
    }
    strbuf_puts(out, text);
}
