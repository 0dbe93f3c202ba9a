/* Alerts: what fires, what is looked at, who is told, and when nobody is. */
#include "cli.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE_MAX = 65536, SILENCE_DEFAULT_S = 3600 };

/* --- lists --- */

/* path?state=..&rule=.. of the options that were given. */
static enum cli_exit list(struct cli *c, const char *path, const struct column *cols, size_t n)
{
    static const char *const options[] = {"state", "severity", "device", "rule"};
    AUTO_STRBUF struct strbuf url = STRBUF_INIT(4 * KIB);
    AUTO(json_free) json_t *doc = NULL;
    int64_t limit = 0;
    enum cli_exit rc = cli_opt_int(c, "limit", 1, CLI_ITEMS_MAX, 100, &limit);

    strbuf_puts(&url, path);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        AUTO_STR char *part =
            cli_opt(c, options[i]) == NULL ? NULL : apiclient_pathf("=%s", cli_opt(c, options[i]));
        if (part != NULL)
            strbuf_printf(&url, "%s%s%s", strchr(strbuf_str(&url), '?') == NULL ? "?" : "&",
                          options[i], part);
    }
    if (rc == EXIT_OK_)
        rc = cli_list_some(c, strbuf_str(&url), (size_t)limit, &doc);
    if (rc == EXIT_OK_)
        show_list(c, doc, cols, n);
    return rc;
}

enum cli_exit verb_alerts(struct cli *c)
{
    static const struct column cols[] = {
        {T_SEVERITY, "severity", COL_TEXT}, {T_STATE, "state", COL_TEXT},
        {T_SINCE, "since", COL_TIME},       {T_RULE, "rule", COL_TEXT},
        {T_MESSAGE, "text", COL_TEXT},      {T_SILENCED, "silenced", COL_BOOL},
        {T_ACKED, "acked_by", COL_TEXT},    {T_ID, "id", COL_TEXT}};

    return list(c, cli_opt(c, "state") == NULL ? "/api/v1/alerts?state=open" : "/api/v1/alerts",
                cols, COUNT_OF(cols));
}

enum cli_exit verb_alert_rules(struct cli *c)
{
    static const struct column cols[] = {{T_NAME, "name", COL_TEXT},
                                         {T_LABEL, "label", COL_TEXT},
                                         {T_SEVERITY, "severity", COL_TEXT},
                                         {T_ENABLED, "enabled", COL_BOOL},
                                         {T_SCOPE, "scope.kind", COL_TEXT},
                                         {T_WHERE, "scope.name", COL_TEXT},
                                         {T_PARAMETERS, "parameters", COL_VALUE},
                                         {T_FOR_S, "for_s", COL_VALUE},
                                         {T_FIRING, "firing", COL_VALUE}};

    return cli_get_list_show(c, "/api/v1/alert-rules", cols, COUNT_OF(cols));
}

enum cli_exit verb_alert_channels(struct cli *c)
{
    static const struct column cols[] = {
        {T_NAME, "name", COL_TEXT},       {T_KIND, "kind", COL_TEXT},
        {T_ENABLED, "enabled", COL_BOOL}, {T_FALLBACK, "fallback", COL_BOOL},
        {T_LANG, "lang", COL_TEXT},       {T_QUEUED, "queued", COL_VALUE},
        {T_DEAD, "dead", COL_VALUE},      {T_LAST_SENT, "sent_at", COL_TIME}};

    return cli_get_list_show(c, "/api/v1/alert-channels", cols, COUNT_OF(cols));
}

enum cli_exit verb_alert_notices(struct cli *c)
{
    static const struct column cols[] = {
        {T_AT, "created_at", COL_TIME}, {T_CHANNEL, "channel.name", COL_TEXT},
        {T_RULE, "rule", COL_TEXT},     {T_STATE, "state", COL_TEXT},
        {T_TRIES, "tries", COL_VALUE},  {T_PROBLEM, "problem", COL_TEXT},
        {T_ID, "id", COL_TEXT}};

    return list(c, "/api/v1/alert-notices", cols, COUNT_OF(cols));
}

enum cli_exit verb_silences(struct cli *c)
{
    static const struct column cols[] = {{T_STATE, "state", COL_TEXT},
                                         {T_RULE, "rule.name", COL_TEXT},
                                         {T_DEVICE_HEAD, "device.name", COL_TEXT},
                                         {T_GROUP_HEAD, "group.name", COL_TEXT},
                                         {T_UNTIL, "ends_at", COL_TIME},
                                         {T_REASON, "reason", COL_TEXT},
                                         {T_AUTHOR, "author", COL_TEXT},
                                         {T_ID, "id", COL_TEXT}};

    return list(c, "/api/v1/alert-silences", cols, COUNT_OF(cols));
}

/* --- KEY=VALUE --- */

static json_t *split(const char *words)
{
    json_t *out = json_array();
    struct slice rest = slice_of(words);

    while (rest.n > 0) {
        struct slice word = slice_trim(slice_cut(&rest, ','));
        if (word.n > 0)
            (void)json_array_append_new(out, json_stringn(word.p, word.n));
    }
    return out;
}

/* "@FILE" and "@-": what a command line should not show, or what is too long for one. */
static enum cli_exit from_file(struct cli *c, const char *path, json_t **ret)
{
    AUTO_STR char *text = NULL;
    struct err e = {0};
    size_t n = 0;

    if (strcmp(path, "-") == 0)
        text = read_secret(c, T_SECRET_PROMPT, false);
    else if (file_read(path, VALUE_MAX, &text, &n, &e) != ERR_OK)
        return fail(c, &e, NULL);
    if (text == NULL)
        return usage(c, T_NO_INPUT);
    for (n = strlen(text); n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'); n--)
        text[n - 1] = '\0';
    *ret = json_string(text);
    secret_wipe(text, n);
    return EXIT_OK_;
}

static enum cli_exit value_of(struct cli *c, const char *key, const char *text, json_t **ret)
{
    size_t n = strlen(key);
    int64_t number = 0;

    if (text[0] == '@')
        return from_file(c, text + 1, ret);
    if (strcmp(key, "to") == 0 || (strcmp(key, "channels") == 0 && strcmp(text, "default") != 0))
        *ret = strcmp(text, "none") == 0 ? json_array() : split(text);
    else if (strcmp(text, "null") == 0 || strcmp(text, "default") == 0)
        *ret = json_null();
    else if (is_one_of(text, "true|yes"))
        *ret = json_true();
    else if (is_one_of(text, "false|no"))
        *ret = json_false();
    else if (parse_i64(slice_of(text), INT64_MIN, INT64_MAX, &number))
        *ret = json_integer(number);
    else if (n > 2 && strcmp(key + n - 2, "_s") == 0 && parse_seconds(text, &number))
        *ret = json_integer(number);
    else
        *ret = json_string(text);
    return EXIT_OK_;
}

/* "fleet", "group:NAME", "device:NAME" */
static json_t *scope_of(const char *text)
{
    const char *colon = strchr(text, ':');

    return colon == NULL
               ? json_pack("{s:s,s:n}", "kind", text, "id")
               : json_pack("{s:s%,s:s}", "kind", text, (size_t)(colon - text), "id", colon + 1);
}

/* What is not the rule's or the channel's own belongs to inner. */
static enum cli_exit put(struct cli *c, json_t *body, const char *word, const char *inner,
                         const char *own)
{
    const char *eq = strchr(word, '=');
    char key[64];
    json_t *v = NULL, *into = body;
    enum cli_exit rc;

    if (eq == NULL || eq == word || (size_t)(eq - word) >= sizeof key)
        return usage(c, T_NOT_KEY_VALUE, word);
    (void)snprintf(key, sizeof key, "%.*s", (int)(eq - word), word);
    if (strcmp(key, "scope") == 0 && strcmp(inner, "parameters") == 0) {
        (void)json_object_set_new(body, "scope", scope_of(eq + 1));
        return EXIT_OK_;
    }
    rc = value_of(c, key, eq + 1, &v);
    if (rc != EXIT_OK_)
        return rc;
    if (!is_one_of(key, own)) {
        const char *part = is_one_of(key, "password|key|community|auth_password|priv_password")
                               ? "secrets"
                               : inner;
        if (json_object_get(body, part) == NULL)
            (void)json_object_set_new(body, part, json_object());
        into = json_object_get(body, part);
    }
    (void)json_object_set_new(into, key, v);
    return EXIT_OK_;
}

/* --- a rule, a channel --- */

struct thing {
    const char *path, *inner, *own;
};
static const struct thing rules = {
    "alert-rules", "parameters",
    "name|severity|enabled|for_s|clear_s|channels|group_wait_s|group_interval_s|repeat_s|trap"};
static const struct thing channels = {"alert-channels", "config", "name|enabled|fallback|lang"};

static enum cli_exit change(struct cli *c, const struct thing *t, bool create)
{
    int first = create ? 3 : 2;
    AUTO_STR char *path = create ? apiclient_pathf("/api/v1/%s", t->path)
                                 : apiclient_pathf("/api/v1/%s/%s", t->path, c->arg[1]);
    AUTO(json_free) json_t *answer = NULL;
    json_t *body;
    enum cli_exit rc = EXIT_OK_;

    if (c->n_args < 3)
        return usage(c, T_TOO_FEW);
    body = create ? json_pack("{s:s,s:s}", "name", c->arg[1], "kind", c->arg[2]) : json_object();
    for (int i = first; i < c->n_args && rc == EXIT_OK_; i++)
        rc = put(c, body, c->arg[i], t->inner, t->own);
    if (rc != EXIT_OK_) {
        json_decref(body);
        return rc;
    }
    rc = create ? cli_send(c, "POST", path, body, &answer)
                : cli_change(c, "PATCH", path, body, &answer);
    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

static enum cli_exit show(struct cli *c, const char *path)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO(table_free) struct table *t = NULL;
    const char *key;
    json_t *v;
    enum cli_exit rc = cli_get(c, path, &doc);

    if (rc != EXIT_OK_ || c->json) {
        if (rc == EXIT_OK_)
            print_json(doc);
        return rc;
    }
    t = table_new(2);
    json_object_foreach(doc, key, v)
    {
        AUTO_STRBUF struct strbuf text = STRBUF_INIT(VALUE_MAX);
        table_cell(t, key);
        value_text(c, &text, v);
        table_cell(t, strbuf_str(&text));
    }
    table_print(t, stdout, 0);
    return EXIT_OK_;
}

static enum cli_exit thing(struct cli *c, const struct thing *t)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/%s/%s", t->path, c->arg[1]);

    if (strcmp(c->arg[0], "create") == 0 || strcmp(c->arg[0], "set") == 0)
        return change(c, t, c->arg[0][0] == 'c');
    if (c->n_args > 2)
        return usage(c, T_TOO_MANY, c->arg[2]);
    if (strcmp(c->arg[0], "delete") == 0) {
        enum cli_exit rc = cli_change(c, "DELETE", path, NULL, NULL);
        return rc == EXIT_OK_ ? done(c, NULL) : rc;
    }
    return show(c, path);
}

enum cli_exit verb_alert_rule(struct cli *c)
{
    return is_one_of(c->arg[0], "show|create|set|delete") ? thing(c, &rules)
                                                          : usage(c, T_UNKNOWN_VERB, c->arg[0]);
}

/* Every step it took; exit status 1 when it was not taken. */
static enum cli_exit test(struct cli *c)
{
    static const struct column cols[] = {
        {T_CHECK, "step", COL_TEXT}, {T_GOOD, "ok", COL_BOOL}, {T_RESULT, "detail", COL_TEXT}};
    AUTO_STR char *path = apiclient_pathf("/api/v1/alert-channels/%s/test", c->arg[1]);
    AUTO(json_free) json_t *answer = NULL;
    AUTO(json_free) json_t *steps = NULL;
    enum cli_exit rc = cli_send(c, "POST", path, json_object(), &answer);

    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(answer);
    } else {
        steps = json_pack("{s:O}", "items", json_object_get(answer, "steps"));
        show_list(c, steps, cols, COUNT_OF(cols));
        if (!json_bool(answer, "ok", false))
            complain(c, T_NOT_SENT, json_str(answer, "problem", ""));
    }
    return json_bool(answer, "ok", false) ? EXIT_OK_ : EXIT_ERROR;
}

enum cli_exit verb_alert_channel(struct cli *c)
{
    if (strcmp(c->arg[0], "test") == 0 && c->n_args == 2)
        return test(c);
    return is_one_of(c->arg[0], "show|create|set|delete") ? thing(c, &channels)
                                                          : usage(c, T_UNKNOWN_VERB, c->arg[0]);
}

/* --- an alert, a notice, a silence --- */

enum cli_exit verb_alert(struct cli *c)
{
    AUTO(json_free) json_t *answer = NULL;
    AUTO_STR char *path = NULL;
    const char *reason = cli_opt(c, "reason");
    enum cli_exit rc;

    if (strcmp(c->arg[0], "show") == 0) {
        path = apiclient_pathf("/api/v1/alerts/%s", c->arg[1]);
        return show(c, path);
    }
    if (!is_one_of(c->arg[0], "ack|retry"))
        return usage(c, T_UNKNOWN_VERB, c->arg[0]);
    path = apiclient_pathf(c->arg[0][0] == 'a' ? "/api/v1/alerts/%s/ack"
                                               : "/api/v1/alert-notices/%s/retry",
                           c->arg[1]);
    rc = cli_send(c, "POST", path,
                  c->arg[0][0] == 'a' && reason != NULL ? json_pack("{s:s}", "reason", reason)
                                                        : json_object(),
                  &answer);
    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

static enum cli_exit silence(struct cli *c)
{
    static const char *const options[] = {"rule", "device", "group"};
    AUTO(json_free) json_t *answer = NULL;
    char until[CLOCK_TEXT_SIZE];
    int64_t for_s = 0;
    json_t *body;
    enum cli_exit rc = cli_opt_seconds(c, "for", SILENCE_DEFAULT_S, &for_s);

    if (rc == EXIT_OK_ && cli_opt(c, "reason") == NULL)
        rc = usage(c, T_OPTION_NEEDED, "reason");
    if (rc != EXIT_OK_)
        return rc;
    clock_format(clock_wall_ms() + for_s * 1000, until);
    body = json_pack("{s:s,s:s}", "ends_at", until, "reason", cli_opt(c, "reason"));
    for (size_t i = 0; i < COUNT_OF(options); i++)
        if (cli_opt(c, options[i]) != NULL)
            (void)json_object_set_new(body, options[i], json_string(cli_opt(c, options[i])));
    rc = cli_send(c, "POST", "/api/v1/alert-silences", body, &answer);
    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

enum cli_exit verb_silence(struct cli *c)
{
    AUTO_STR char *path = NULL;
    enum cli_exit rc;

    if (strcmp(c->arg[0], "create") == 0)
        return c->n_args > 1 ? usage(c, T_TOO_MANY, c->arg[1]) : silence(c);
    if (strcmp(c->arg[0], "end") != 0)
        return usage(c, T_UNKNOWN_VERB, c->arg[0]);
    if (c->n_args < 2)
        return usage(c, T_TOO_FEW);
    path = apiclient_pathf("/api/v1/alert-silences/%s", c->arg[1]);
    rc = cli_change(c, "DELETE", path, NULL, NULL);
    return rc == EXIT_OK_ ? done(c, NULL) : rc;
}
