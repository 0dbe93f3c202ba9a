#include "domain/guard.h"

#include "http/problem.h"

#include <stdio.h>
#include <string.h>

/* Conditions that must not be False on a device that runs what it was told to. */
static const char *const vital[] = {"ConfigRunning", "ChainHealthy", "StorageOk"};

static const json_t *condition(const json_t *status, const char *type)
{
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(status, "conditions"), i, c)
    {
        if (strcmp(json_str(c, "type", ""), type) == 0)
            return c;
    }
    return NULL;
}

static int64_t deferred(const json_t *health)
{
    return json_int(json_object_get(health, "queue"), "deferred", -1);
}

bool guard_growth(const json_t *before, const json_t *now, int64_t *ret)
{
    if (deferred(before) < 0 || deferred(now) < 0)
        return false;
    *ret = deferred(now) - deferred(before);
    return true;
}

static void say(struct finding *why, enum finding_id id, const char *pointer, const char *a0,
                const char *a1)
{
    struct findings one = {0};
    const struct finding *f = finding_add(&one, id, pointer, a0, a1, NULL, NULL);

    *why = f == NULL ? (struct finding){.id = id} : *f; /* a device's words: cut and cleaned */
    findings_clear(&one);
}

static bool grows(const struct guard_input *in, const json_t *health, struct finding *why)
{
    int64_t growth, others = in->sibling_deferred < 0 ? 0 : in->sibling_deferred;
    char from[32], to[32];

    if (in->limits->queue == 0 || !guard_growth(in->before, health, &growth) ||
        growth < in->limits->queue || growth <= in->limits->factor * others)
        return false;
    (void)snprintf(from, sizeof from, "%lld", (long long)deferred(in->before));
    (void)snprintf(to, sizeof to, "%lld", (long long)deferred(health));
    say(why, F_GUARD_QUEUE, "/health/queue/deferred", from, to);
    return true;
}

enum guard_verdict guard_judge(const struct guard_input *in, struct finding *why)
{
    if (in->status == NULL) {
        say(why, F_GUARD_SILENT, "", "", "");
        return GUARD_INCONCLUSIVE;
    }
    for (size_t i = 0; i < COUNT_OF(vital); i++) {
        const json_t *c = condition(in->status, vital[i]);
        if (strcmp(json_str(c, "status", ""), "False") == 0) {
            say(why, F_GUARD_CONDITION, "/conditions", vital[i],
                json_str(c, "message", json_str(c, "reason", "")));
            return GUARD_BAD;
        }
    }
    if (grows(in, json_object_get(in->status, "health"), why))
        return GUARD_BAD;
    return guard_mail_judge(in->limits, &in->mail, why);
}

/* --- for people --- */

static const char *const titles[] = {
    [LANG_EN] = "the device is not well", [LANG_JA] = "デバイスの状態が正常ではありません"};

static json_t *problem_in(const struct finding *why, enum lang lang)
{
    struct finding copy = *why;
    struct findings one = {.v = &copy, .n = 1, .errors = 1};
    char text[1024];
    json_t *args = json_array();

    finding_message(why, lang, text, sizeof text);
    for (int i = 0; i < FINDING_ARGS; i++)
        (void)json_array_append_new(args, json_string(why->arg[i]));
    return json_pack("{s:s,s:s,s:o,s:o}", "title", titles[lang], "detail", text, "errors",
                     problem_findings(&one, lang), "args", args);
}

json_t *guard_problem(const struct finding *why)
{
    return problem_in(why, LANG_EN);
}

json_t *guard_problem_in(const json_t *problem, enum lang lang)
{
    const json_t *first = json_array_get(json_object_get(problem, "errors"), 0),
                 *args = json_object_get(problem, "args");
    const char *id = json_str(first, "id", "");
    struct finding f = {.id = FINDING_COUNT};

    if (!json_is_array(args) || strncmp(id, "GUARD.", 6) != 0)
        return NULL;
    for (int i = 0; i < FINDING_COUNT; i++) {
        if (strcmp(finding_texts[i].id, id) == 0)
            f.id = (enum finding_id)i;
    }
    if (f.id == FINDING_COUNT)
        return NULL;
    text_copy(f.pointer, sizeof f.pointer, json_str(first, "pointer", ""));
    for (size_t i = 0; i < FINDING_ARGS; i++) {
        const char *arg = json_string_value(json_array_get(args, i));
        text_copy(f.arg[i], sizeof f.arg[i], arg == NULL ? "" : arg);
    }
    return problem_in(&f, lang);
}
