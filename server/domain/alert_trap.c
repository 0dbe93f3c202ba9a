#include "domain/alert_trap.h"

#include "base/strbuf.h"
#include "domain/alert_kind.h"

#include <stdio.h>

enum { TEXT_MAX = 1000 };

/* A number as text: SNMP has no integer of 64 bits that may be below zero; "" is none. */
static json_t *number(const json_t *v)
{
    char text[32] = "";

    if (json_is_integer(v))
        (void)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    return json_string(text);
}

/* text: cut between characters. */
static json_t *text_json(const char *text)
{
    size_t n = strlen(text);

    if (n > TEXT_MAX)
        for (n = TEXT_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    return json_stringn(text, n);
}

static json_t *one(const struct alert_notice *n, const json_t *alert, enum lang lang)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(TEXT_MAX * 4);
    const struct alert_kind *k = alert_kind_find(json_str(alert, "kind", ""));
    const json_t *params = json_object_get(n->body, "parameters");
    int64_t trap = json_int(n->body, "trap", 0);

    if (trap == 0)
        trap = alert_kind_trap(json_str(alert, "kind", ""), params);
    alert_kind_text(alert, lang, &text);
    return json_pack(
        "{s:I,s:s,s:s,s:s,s:s,s:o,s:o,s:I,s:o,s:s}", "trap", (json_int_t)trap, "rule",
        json_str(n->body, "rule", ""), "severity", json_str(n->body, "severity", ""), "state",
        json_str(alert, "what", ""), "name", json_str(alert, "name", ""), "value",
        number(json_object_get(alert, "value")), "threshold",
        number(k == NULL || k->threshold == NULL ? NULL : json_object_get(params, k->threshold)),
        "since_ms", (json_int_t)json_int(alert, "since_ms", 0), "text",
        strbuf_ok(&text) ? text_json(strbuf_str(&text)) : NULL, "id", json_str(alert, "id", ""));
}

/* What is about no single alert: the test, and what a notice has beyond the most that are sent. */
static json_t *summary(const struct alert_notice *n, int64_t trap, const char *state, int64_t count,
                       const char *text)
{
    char value[32] = "";

    if (count > 0)
        (void)snprintf(value, sizeof value, "%lld", (long long)count);
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:o,s:s}", "trap", (json_int_t)trap, "rule",
                     json_str(n->body, "rule", ""), "severity", json_str(n->body, "severity", ""),
                     "state", state, "name", "", "value", value, "threshold", "", "since_ms",
                     (json_int_t)n->created_ms, "text", text_json(text), "id", "");
}

static json_t *all(const struct app *app, const struct alert_notice *n)
{
    AUTO_STRBUF struct strbuf subject = STRBUF_INIT(TEXT_MAX * 8);
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(512 * KIB);
    enum lang lang = strcmp(n->lang, "ja") == 0 ? LANG_JA : LANG_EN;
    const json_t *alerts = json_object_get(n->body, "alerts"), *counts, *v;
    uint64_t failed = json_failures();
    json_t *out = json_array();
    int64_t left;
    size_t i;

    alert_send_words(app, n->body, lang, &subject, &text);
    counts = json_object_get(n->body, "counts");
    left = json_int(counts, "firing", 0) + json_int(counts, "still", 0) +
           json_int(counts, "resolved", 0) - ALERT_TRAPS_MAX;
    json_array_foreach(alerts, i, v)
    {
        if (i < ALERT_TRAPS_MAX)
            (void)json_array_append_new(out, one(n, v, lang));
    }
    if (left > 0)
        (void)json_array_append_new(
            out, summary(n, ALERT_TRAP_MORE, "firing", left, strbuf_str(&subject)));
    if (json_bool(n->body, "test", false))
        (void)json_array_append_new(out,
                                    summary(n, ALERT_TRAP_TEST, "test", 0, strbuf_str(&subject)));
    if (json_failures() == failed && strbuf_ok(&subject) && strbuf_ok(&text))
        return out;
    json_decref(out);
    return NULL;
}

enum err_code alert_trap_send(const struct app *app, const struct alert_notice *n,
                              const json_t *secrets, const struct notify_run *run, struct err *e)
{
    AUTO(json_free) json_t *traps = all(app, n);
    const struct notify_traps t = {
        .host = json_str(n->config, "host", ""),
        .port = json_int(n->config, "port", 162),
        .inform = json_bool(n->config, "inform", true),
        .community = json_str(secrets, "community", NULL),
        .user = json_str(n->config, "user", NULL),
        .auth_password = json_str(secrets, "auth_password", NULL),
        .priv_password = json_str(secrets, "priv_password", NULL),
        .root = json_str(n->config, "root", ALERT_TRAP_ROOT),
        .engine = n->channel_id,
        .id = n->id,
        .parent = app->issuer,
        .traps = traps,
    };

    if (traps == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return notify_send_traps(&t, run, e);
}
