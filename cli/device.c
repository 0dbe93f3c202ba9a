#include "device.h"

#include "wait.h"

#include <stdlib.h>

static void truth_cell(struct table *t, int64_t pub, const char *digest)
{
    if (digest[0] == '\0')
        table_cell(t, "-");
    else if (pub > 0)
        table_cellf(t, "#%lld %.8s", (long long)pub, digest);
    else
        table_cellf(t, "%.8s", digest);
}

/* What runs is a digest; its revision is known when it is the one on disk or the desired one. */
static int64_t pub_of(const json_t *d, const char *digest)
{
    static const char *const places[] = {"desired", "on_disk"};

    for (size_t i = 0; i < COUNT_OF(places); i++) {
        const json_t *p = json_object_get(d, places[i]);
        if (digest[0] != '\0' && strcmp(json_str(p, "digest", ""), digest) == 0)
            return json_int(p, "pub", 0);
    }
    return 0;
}

enum { ATTEMPT_SHOWN = 60 }; /* a daemon's own words can be long; "device NAME" shows all of them */

/* At most n bytes of s, never half a character. */
static size_t cut_at(const char *s, size_t n)
{
    size_t length = strlen(s);

    if (length <= n)
        return length;
    while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static void attempt_cell(struct table *t, const json_t *d)
{
    const json_t *a = json_object_get(d, "last_attempt");
    const json_t *p = json_object_get(a, "problem");
    const char *why = json_str(p, "detail", json_str(p, "title", ""));

    if (!json_is_object(a))
        table_cell(t, "-");
    else
        table_cellf(t, "%s%s%.*s%s", json_str(a, "result", "-"), why[0] != '\0' ? ": " : "",
                    (int)cut_at(why, ATTEMPT_SHOWN), why, strlen(why) > ATTEMPT_SHOWN ? "..." : "");
}

void device_heads(const struct cli *c, struct table *t)
{
    static const enum text heads[DEVICE_COLUMNS] = {T_NAME,     T_STATE,   T_MODE,
                                                    T_PRESENCE, T_DESIRED, T_ON_DISK,
                                                    T_RUNNING,  T_SYNC,    T_LAST_ATTEMPT};

    for (size_t i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
}

void device_row(const struct cli *c, struct table *t, const json_t *d)
{
    static const char *const places[] = {"desired", "on_disk"};
    const char *running = device_running_digest(d);

    cell_json(c, t, d, "name", COL_TEXT);
    if (json_is_object(json_object_get(d, "drain")))
        table_cellf(t, "%s, %s", json_str(d, "state", ""), tx(c, T_DRAINED));
    else
        cell_json(c, t, d, "state", COL_TEXT);
    cell_json(c, t, d, "mode", COL_TEXT);
    cell_json(c, t, d, "presence", COL_TEXT);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        const json_t *p = json_object_get(d, places[i]);
        truth_cell(t, json_int(p, "pub", 0), json_str(p, "digest", ""));
    }
    truth_cell(t, pub_of(d, running), running);
    cell_json(c, t, d, "sync", COL_TEXT);
    attempt_cell(t, d);
}

void device_table(const struct cli *c, const json_t *doc)
{
    AUTO(table_free) struct table *t = table_new(DEVICE_COLUMNS);
    size_t i;
    json_t *d;

    if (json_array_size(json_object_get(doc, "items")) == 0) {
        say(c, T_NOTHING_LISTED);
        return;
    }
    device_heads(c, t);
    json_array_foreach(json_object_get(doc, "items"), i, d) device_row(c, t, d);
    table_print(t, stdout, 0);
}

enum cli_exit verb_devices(struct cli *c)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text =
        cli_opt(c, "text") == NULL ? NULL : apiclient_pathf("q=%s&", cli_opt(c, "text"));
    AUTO_STR char *state =
        cli_opt(c, "state") == NULL ? NULL : apiclient_pathf("state=%s&", cli_opt(c, "state"));
    AUTO_STR char *group =
        cli_opt(c, "group") == NULL ? NULL : apiclient_pathf("group=%s&", cli_opt(c, "group"));
    AUTO_STRBUF struct strbuf url = STRBUF_INIT(4 * KIB);
    enum cli_exit rc;

    strbuf_printf(&url, "/api/v1/devices?%s%s%s%s", text == NULL ? "" : text,
                  state == NULL ? "" : state, group == NULL ? "" : group,
                  cli_flag(c, "attention") ? "attention=only" : "");
    rc = cli_list(c, strbuf_str(&url), &doc);

    if (rc == EXIT_OK_ && c->json)
        print_json(doc);
    else if (rc == EXIT_OK_)
        device_table(c, doc);
    return rc;
}

static void show_conditions(const struct cli *c, const json_t *d)
{
    static const struct column cols[] = {{T_CONDITIONS, "type", COL_TEXT},
                                         {T_STATUS, "status", COL_TEXT},
                                         {T_REASON, "reason", COL_TEXT},
                                         {T_MESSAGE, "message", COL_TEXT}};
    AUTO(json_free) json_t *list = json_pack("{s:O?}", "items", json_object_get(d, "conditions"));

    if (json_array_size(json_object_get(d, "conditions")) == 0)
        return;
    fputc('\n', stdout);
    show_list(c, list, cols, COUNT_OF(cols));
}

enum cli_exit verb_device(struct cli *c)
{
    static const struct column cols[] = {{T_NAME, "name", COL_TEXT},
                                         {T_ID, "id", COL_TEXT},
                                         {T_STATE, "state", COL_TEXT},
                                         {T_MODE, "mode", COL_TEXT},
                                         {T_PLACEMENT, "placement", COL_TEXT},
                                         {T_DRIFT, "drift", COL_TEXT},
                                         {T_GROUPS, "groups", COL_WORDS},
                                         {T_ADDRESS, "address", COL_TEXT},
                                         {T_PRESENCE, "presence", COL_TEXT},
                                         {T_LAST_SEEN, "last_seen", COL_TIME},
                                         {T_AGENT, "agent_version", COL_TEXT},
                                         {T_FOXPROXY, "running.foxproxy.state", COL_TEXT},
                                         {T_ENROLLED, "enrolled_at", COL_TIME},
                                         {T_DEVICE_KEY, "key.kid", COL_TEXT},
                                         {T_KEY_SINCE, "key.since", COL_TIME},
                                         {T_KEY_RENEWED, "key.rotations", COL_VALUE},
                                         {T_REPLACES, "replaces.name", COL_TEXT},
                                         {T_BECAME, "became", COL_TEXT}};
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s", c->arg[0]);
    AUTO(json_free) json_t *d = NULL;
    AUTO(json_free) json_t *list = NULL;
    const json_t *problem;
    enum cli_exit rc = cli_get(c, path, &d);

    if (rc != EXIT_OK_)
        return rc;
    show_object(c, d, cols, COUNT_OF(cols));
    if (c->json)
        return EXIT_OK_;
    list = json_pack("{s:[O]}", "items", d);
    fputc('\n', stdout);
    device_table(c, list);
    problem = json_at(d, "last_attempt.problem");
    if (json_is_object(problem)) {
        fprintf(stdout, "\n%s: ", tx(c, T_PROBLEM));
        print_safe(stdout, json_str(problem, "detail", json_str(problem, "title", "")));
        fputc('\n', stdout);
        show_findings(c, json_object_get(problem, "errors"));
    }
    show_conditions(c, d);
    device_figures(c, json_object_get(d, "health"));
    return EXIT_OK_;
}

enum cli_exit verb_mode(struct cli *c)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s", c->arg[0]);
    AUTO(json_free) json_t *answer = NULL;
    enum cli_exit rc;

    if (!is_one_of(c->arg[1], "observe|manage"))
        return usage(c, T_OPTION_BAD, "mode", c->arg[1], "observe manage");
    rc = cli_change(c, "PATCH", path, json_pack("{s:s}", "mode", c->arg[1]), &answer);
    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

enum cli_exit verb_rename(struct cli *c)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s", c->arg[0]);
    AUTO(json_free) json_t *answer = NULL;
    enum cli_exit rc = cli_change(c, "PATCH", path, json_pack("{s:s}", "name", c->arg[1]), &answer);

    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

/* POST /devices/{name}/{word} with a body (stolen). */
static enum cli_exit order(struct cli *c, const char *word, json_t *body)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s/%s", c->arg[0], word);
    AUTO(json_free) json_t *answer = NULL;
    enum cli_exit rc = cli_send(c, "POST", path, body, &answer);

    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

enum cli_exit verb_hold(struct cli *c)
{
    int64_t s = 0;
    enum cli_exit rc = cli_opt_seconds(c, "for", 3600, &s);

    if (rc != EXIT_OK_)
        return rc;
    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    return order(c, "hold",
                 json_pack("{s:s, s:I}", "reason", cli_opt(c, "reason"), "minutes",
                           (json_int_t)((s + 59) / 60)));
}

enum cli_exit verb_release(struct cli *c)
{
    return order(c, "release", json_object());
}

enum cli_exit verb_revoke(struct cli *c)
{
    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    if (!cli_flag(c, "yes") && !c->dry_run) {
        complain(c, T_CONFIRM);
        return EXIT_USAGE;
    }
    return order(c, "revoke", json_pack("{s:s}", "reason", cli_opt(c, "reason")));
}

static const struct column instance_columns[] = {{T_BOOT, "boot", COL_TEXT},
                                                 {T_MACHINE, "machine", COL_TEXT},
                                                 {T_ENROLLED_HERE, "enrolled", COL_BOOL},
                                                 {T_LAST_SEEN, "seen_at", COL_TIME},
                                                 {T_VERDICT, "verdict", COL_TEXT}};

static enum cli_exit show_instances(struct cli *c)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s", c->arg[0]);
    AUTO(json_free) json_t *d = NULL;
    enum cli_exit rc = cli_get(c, path, &d);

    if (rc == EXIT_OK_)
        show_list(c, json_object_get(d, "instances"), instance_columns, COUNT_OF(instance_columns));
    return rc;
}

enum cli_exit verb_instances(struct cli *c)
{
    bool keep = c->n_args > 1 && strcmp(c->arg[1], "keep") == 0;

    if (c->n_args == 1)
        return show_instances(c);
    if (!keep && strcmp(c->arg[1], "clear") != 0)
        return usage(c, T_UNKNOWN_VERB, c->arg[1]);
    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    if (keep != (c->n_args > 2))
        return usage(c, T_INSTANCE_NEEDED);
    return order(c, "instances",
                 json_pack("{s:s, s:s, s:s*}", "decision", c->arg[1], "reason",
                           cli_opt(c, "reason"), "boot", keep ? c->arg[2] : NULL));
}

enum cli_exit verb_reinstate(struct cli *c)
{
    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    return order(c, "reinstate", json_pack("{s:s}", "reason", cli_opt(c, "reason")));
}

enum cli_exit verb_approve(struct cli *c)
{
    bool as_new = cli_flag(c, "new"), replaces = cli_flag(c, "replaces");

    if (as_new && replaces)
        return usage(c, T_NEW_OR_REPLACES);
    return order(c, "approve",
                 json_pack("{s:s*}", "as",
                           as_new     ? "new"
                           : replaces ? "replacement"
                                      : NULL));
}

enum cli_exit verb_reject(struct cli *c)
{
    return order(c, "reject", json_object());
}

enum cli_exit verb_retire(struct cli *c)
{
    if (!cli_flag(c, "yes") && !c->dry_run) {
        complain(c, T_CONFIRM);
        return EXIT_USAGE;
    }
    return order(c, "retire", json_object());
}
