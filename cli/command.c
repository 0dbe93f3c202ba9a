#include "command.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

enum { FIRST_MS = 50, STEP_MS = 300, OUTPUT_MAX = 80 * 1024 * 1024 };

void given_clear(struct given *g)
{
    json_decref(g->command);
    strbuf_clear(&g->output);
    g->command = NULL;
}

static bool has_ended(const json_t *command)
{
    return !is_one_of(json_str(command, "state", ""), "queued|delivered|running");
}

bool command_is_done(const struct given *g)
{
    return strcmp(json_str(g->command, "state", ""), "done") == 0;
}

/* What the command printed since the byte we have. */
static enum cli_exit more_output(struct cli *c, struct given *g, int64_t *next, bool live)
{
    const char *id = json_str(g->command, "id", "");

    while (*next < json_int(g->command, "output_bytes", 0)) {
        char at[32];
        AUTO_STR char *path = NULL;
        AUTO(json_free) json_t *page = NULL;
        const char *text;
        int64_t from;
        enum cli_exit rc;

        (void)snprintf(at, sizeof at, "%lld", (long long)*next);
        path = apiclient_pathf("/api/v1/commands/%s/output?from=%s", id, at);
        rc = cli_get(c, path, &page);
        if (rc != EXIT_OK_)
            return rc;
        text = json_str(page, "text", "");
        from = json_int(page, "from", *next);
        if (from < *next && (int64_t)strlen(text) >= *next - from)
            text += *next - from; /* whole pieces come: a part of the first may be here already */
        if (text[0] == '\0')
            break;
        if (live && !c->json)
            print_lines(stdout, text);
        else
            strbuf_puts(&g->output, text);
        *next += (int64_t)strlen(text);
    }
    return EXIT_OK_;
}

static enum cli_exit follow(struct cli *c, struct given *g, bool live)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/commands/%s", json_str(g->command, "id", ""));
    int64_t timeout = 0, until, next = 0, nap = FIRST_MS;
    enum cli_exit rc = cli_opt_seconds(c, "timeout", 120, &timeout);

    until = clock_mono_ms() + timeout * 1000;
    while (rc == EXIT_OK_) {
        json_t *now = NULL;
        rc = cli_get(c, path, &now);
        if (rc != EXIT_OK_)
            return rc;
        json_decref(g->command);
        g->command = now;
        if (json_int(now, "output_bytes", 0) > 0)
            rc = more_output(c, g, &next, live);
        if (rc != EXIT_OK_ || has_ended(now))
            break;
        if (clock_mono_ms() >= until) {
            complain(c, T_COMMAND_WAITS, json_str(now, "state", ""), json_str(now, "id", ""));
            return EXIT_NOT_RUNNING;
        }
        (void)usleep((useconds_t)nap * 1000);
        nap = nap * 2 < STEP_MS ? nap * 2 : STEP_MS;
    }
    return rc;
}

static enum cli_exit wait_for(struct cli *c, struct given *g, bool live)
{
    enum cli_exit rc = EXIT_OK_;

    if (c->dry_run || cli_flag(c, "no-wait"))
        return rc;
    rc = follow(c, g, live);
    if (rc == EXIT_OK_ && !command_is_done(g)) {
        complain(c, T_COMMAND_ENDED, json_str(g->command, "state", ""),
                 json_str(json_object_get(g->command, "problem"), "detail", ""));
        return EXIT_NOT_RUNNING;
    }
    return rc;
}

enum cli_exit command_run(struct cli *c, const char *device, const char *kind, json_t *args,
                          bool live, struct given *ret)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s/commands", device);
    json_t *body = json_pack("{s:s, s:o}", "kind", kind, "args", args);
    int64_t expires = 0;
    enum cli_exit rc = cli_opt_seconds(c, "expires", 3600, &expires);

    *ret = (struct given){.output = STRBUF_INIT(OUTPUT_MAX)};
    if (rc != EXIT_OK_) {
        json_decref(body);
        return rc;
    }
    json_object_set_new(body, "expires_in_s", json_integer(expires));
    if (cli_opt(c, "reason") != NULL)
        json_object_set_new(body, "reason", json_string(cli_opt(c, "reason")));
    rc = cli_send(c, "POST", path, body, &ret->command);
    return rc == EXIT_OK_ ? wait_for(c, ret, live) : rc;
}

enum cli_exit command_follow(struct cli *c, struct given *g)
{
    return wait_for(c, g, false);
}

static void note_id(struct cli *c, const struct given *g)
{
    if (c->dry_run)
        say(c, T_DRY_RUN);
    else
        say(c, T_COMMAND_GIVEN, json_str(g->command, "id", ""), json_str(g->command, "state", ""));
}

/* --- commands, command --- */

static const struct column columns[] = {
    {T_ID, "id", COL_TEXT},         {T_DEVICE_HEAD, "device.name", COL_TEXT},
    {T_KIND, "kind", COL_TEXT},     {T_STATE, "state", COL_TEXT},
    {T_ACTOR, "by", COL_TEXT},      {T_AT, "created_at", COL_TIME},
    {T_ENDED, "ended_at", COL_TIME}};

enum { SHOWN = 100 };

enum cli_exit verb_commands(struct cli *c)
{
    static const char *const filters[] = {"device", "state", "kind"};
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(8 * KIB);
    AUTO(json_free) json_t *doc = NULL;
    char separator = '?';
    int64_t limit = 0;
    enum cli_exit rc = cli_opt_int(c, "limit", 1, CLI_ITEMS_MAX, SHOWN, &limit);

    strbuf_puts(&path, "/api/v1/commands");
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        AUTO_STR char *v =
            cli_opt(c, filters[i]) == NULL ? NULL : apiclient_escape(cli_opt(c, filters[i]));
        if (v == NULL)
            continue;
        strbuf_printf(&path, "%c%s=%s", separator, filters[i], v);
        separator = '&';
    }
    if (rc == EXIT_OK_)
        rc = cli_list_some(c, strbuf_str(&path), (size_t)limit, &doc);
    if (rc == EXIT_OK_)
        show_list(c, doc, columns, COUNT_OF(columns));
    return rc;
}

static enum cli_exit show_one(struct cli *c, const char *path)
{
    static const struct column more[] = {{T_ID, "id", COL_TEXT},
                                         {T_DEVICE_HEAD, "device.name", COL_TEXT},
                                         {T_KIND, "kind", COL_TEXT},
                                         {T_ARGUMENTS, "args", COL_VALUE},
                                         {T_REASON, "reason", COL_TEXT},
                                         {T_STATE, "state", COL_TEXT},
                                         {T_ACTOR, "by", COL_TEXT},
                                         {T_AT, "created_at", COL_TIME},
                                         {T_EXPIRES, "expires_at", COL_TIME},
                                         {T_DELIVERED, "delivered_at", COL_TIME},
                                         {T_STARTED, "started_at", COL_TIME},
                                         {T_ENDED, "ended_at", COL_TIME},
                                         {T_RESULT, "result", COL_VALUE},
                                         {T_PROBLEM, "problem.detail", COL_TEXT}};
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = cli_get(c, path, &doc);

    if (rc == EXIT_OK_)
        show_object(c, doc, more, COUNT_OF(more));
    return rc;
}

static enum cli_exit print_output(struct cli *c, const char *path)
{
    struct given g = {.output = STRBUF_INIT(OUTPUT_MAX)};
    int64_t next = 0;
    enum cli_exit rc = cli_get(c, path, &g.command);

    if (rc == EXIT_OK_)
        rc = more_output(c, &g, &next, true);
    if (rc == EXIT_OK_ && c->json) {
        AUTO(json_free) json_t *j = json_pack("{s:s}", "text", strbuf_str(&g.output));
        print_json(j);
    }
    given_clear(&g);
    return rc;
}

enum cli_exit verb_command(struct cli *c)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/commands/%s", c->arg[1]);
    AUTO_STR char *cancel = apiclient_pathf("/api/v1/commands/%s/cancel", c->arg[1]);
    AUTO(json_free) json_t *answer = NULL;
    enum cli_exit rc;

    if (strcmp(c->arg[0], "show") == 0)
        return show_one(c, path);
    if (strcmp(c->arg[0], "output") == 0)
        return print_output(c, path);
    if (strcmp(c->arg[0], "cancel") != 0)
        return usage(c, T_UNKNOWN_VERB, c->arg[0]);
    rc = cli_send(c, "POST", cancel, json_object(), &answer);
    return rc == EXIT_OK_ ? done(c, answer) : rc;
}

/* --- self-check --- */

static void show_checks(struct cli *c, const struct given *g)
{
    static const struct column cols[] = {
        {T_CHECK, "name", COL_TEXT}, {T_GOOD, "ok", COL_BOOL}, {T_MESSAGE, "message", COL_TEXT}};
    AUTO(json_free)
    json_t *list = json_pack("{s:O?}", "items",
                             json_object_get(json_object_get(g->command, "result"), "checks"));

    show_list(c, list, cols, COUNT_OF(cols));
}

enum cli_exit verb_self_check(struct cli *c)
{
    struct given g;
    enum cli_exit rc = command_run(c, c->arg[0], "self-check", json_object(), false, &g);

    if (c->json && g.command != NULL)
        print_json(g.command);
    else if (rc == EXIT_OK_ && command_is_done(&g))
        show_checks(c, &g);
    else if (rc == EXIT_OK_)
        note_id(c, &g);
    if (rc == EXIT_OK_ && command_is_done(&g) &&
        !json_bool(json_object_get(g.command, "result"), "ok", false))
        rc = EXIT_ERROR;
    given_clear(&g);
    return rc;
}

/* --- rotate-key --- */

enum cli_exit verb_rotate_key(struct cli *c)
{
    struct given g;
    enum cli_exit rc = command_run(c, c->arg[0], "rotate-key", json_object(), false, &g);

    if (c->json && g.command != NULL)
        print_json(g.command);
    else if (rc == EXIT_OK_ && command_is_done(&g))
        say(c, T_KEY_IS_NEW, c->arg[0], json_str(json_at(g.command, "result"), "kid", ""));
    else if (rc == EXIT_OK_)
        note_id(c, &g);
    given_clear(&g);
    return rc;
}

/* --- drain, undrain --- */

static enum cli_exit drain(struct cli *c, const char *kind, enum text done)
{
    struct given g;
    enum cli_exit rc = command_run(c, c->arg[0], kind, json_object(), false, &g);
    const json_t *queue;

    if (c->json && g.command != NULL) {
        print_json(g.command);
    } else if (rc == EXIT_OK_ && command_is_done(&g)) {
        queue = json_object_get(json_object_get(g.command, "result"), "queue");
        say(c, done, c->arg[0],
            (long long)(json_int(queue, "incoming", 0) + json_int(queue, "active", 0) +
                        json_int(queue, "deferred", 0) + json_int(queue, "hold", 0)));
    } else if (rc == EXIT_OK_) {
        note_id(c, &g);
    }
    given_clear(&g);
    return rc;
}

enum cli_exit verb_drain(struct cli *c)
{
    return drain(c, "drain", T_DRAIN_BEGUN);
}

enum cli_exit verb_undrain(struct cli *c)
{
    return drain(c, "undrain", T_DRAIN_OVER);
}

/* --- queue --- */

/* "user@example.test (host said ...)", at most three of them. */
static void recipients_cell(struct table *t, const json_t *message)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB);
    const json_t *all = json_object_get(message, "recipients");
    size_t i;
    json_t *v;

    json_array_foreach(all, i, v)
    {
        const char *why = json_str(v, "delay_reason", "");
        if (i == 3) {
            strbuf_printf(&b, ", +%zu", json_array_size(all) - 3);
            break;
        }
        strbuf_printf(&b, "%s%s", i == 0 ? "" : ", ", json_str(v, "address", ""));
        if (why[0] != '\0')
            strbuf_printf(&b, " (%s)", why);
    }
    table_cell(t, strbuf_str(&b));
}

static json_t *lines_of(const struct given *g)
{
    struct slice rest = strbuf_slice(&g->output);
    json_t *list = json_array();

    while (rest.n > 0) {
        json_t *j = NULL;
        struct slice line = slice_cut(&rest, '\n');
        if (line.n > 0 && json_in_parse(line, 8 * MIB, &j, NULL) == ERR_OK)
            (void)json_array_append_new(list, j);
    }
    return list;
}

static void show_queue(struct cli *c, const struct given *g, const json_t *messages)
{
    const json_t *r = json_object_get(g->command, "result");
    AUTO(table_free) struct table *t = table_new(6);
    static const enum text heads[] = {T_ID, T_QUEUE, T_SIZE, T_AT, T_SENDER, T_RECIPIENTS};
    size_t i;
    json_t *m;

    for (i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(messages, i, m)
    {
        char at[CLOCK_TEXT_SIZE];
        clock_format(json_int(m, "arrival_time", 0) * 1000, at);
        table_cell(t, json_str(m, "queue_id", ""));
        table_cell(t, json_str(m, "queue_name", ""));
        table_cellf(t, "%lld", (long long)json_int(m, "message_size", 0));
        table_cellf(t, "%.19sZ", at);
        table_cell(t, json_str(m, "sender", ""));
        recipients_cell(t, m);
    }
    if (json_array_size(messages) > 0)
        table_print(t, stdout, 0);
    say(c, T_QUEUE_SUM, (long long)json_int(r, "messages", 0), (long long)json_int(r, "bytes", 0),
        (long long)json_int(r, "listed", 0));
    if (json_str(r, "words", "")[0] != '\0')
        complain(c, T_DAEMON_SAYS, json_str(r, "words", ""));
}

static enum cli_exit queue_show(struct cli *c)
{
    AUTO(json_free) json_t *messages = NULL;
    struct given g = {0};
    const char *queue = cli_opt(c, "queue");
    int64_t limit = 0;
    json_t *args;
    enum cli_exit rc = cli_opt_int(c, "limit", 1, 100000, 1000, &limit);

    if (rc != EXIT_OK_)
        return rc;
    args =
        json_pack("{s:s,s:I}", "queue", queue == NULL ? "all" : queue, "limit", (json_int_t)limit);
    rc = command_run(c, c->arg[0], "queue-show", args, false, &g);
    messages = lines_of(&g);
    if (c->json && g.command != NULL) {
        (void)json_object_set(g.command, "messages", messages);
        print_json(g.command);
    } else if (rc == EXIT_OK_ && command_is_done(&g)) {
        show_queue(c, &g, messages);
    } else if (rc == EXIT_OK_) {
        note_id(c, &g);
    }
    given_clear(&g);
    return rc;
}

static enum cli_exit queue_change(struct cli *c, const char *what)
{
    json_t *args = json_object(), *ids = json_array();
    const json_t *r;
    struct given g;
    char kind[32];
    enum cli_exit rc;

    for (int i = 2; i < c->n_args; i++)
        (void)json_array_append_new(ids, json_string(c->arg[i]));
    (void)json_object_set_new(args, "all", json_boolean(cli_flag(c, "all")));
    (void)json_object_set_new(args, "ids", ids);
    if (cli_opt(c, "queue") != NULL)
        (void)json_object_set_new(args, "queue", json_string(cli_opt(c, "queue")));
    (void)snprintf(kind, sizeof kind, "queue-%s", what);
    rc = command_run(c, c->arg[0], kind, args, true, &g);
    r = json_object_get(g.command, "result");
    if (c->json && g.command != NULL)
        print_json(g.command);
    else if (rc == EXIT_OK_ && command_is_done(&g))
        say(c, T_QUEUE_DONE, (long long)json_int(r, "done", 0), (long long)json_int(r, "chosen", 0),
            (long long)json_int(r, "missing", 0));
    else if (rc == EXIT_OK_)
        note_id(c, &g);
    if (rc == EXIT_OK_ && command_is_done(&g) &&
        (json_int(r, "missing", 0) > 0 || json_int(r, "done", 0) < json_int(r, "chosen", 0)))
        rc = EXIT_NOT_FOUND;
    given_clear(&g);
    return rc;
}

enum cli_exit verb_queue(struct cli *c)
{
    const char *what = c->n_args < 2 ? "show" : c->arg[1];

    if (cli_opt(c, "queue") != NULL &&
        !is_one_of(cli_opt(c, "queue"), "all|incoming|active|deferred|hold"))
        return usage(c, T_OPTION_BAD, "queue", cli_opt(c, "queue"),
                     "all incoming active deferred hold");
    if (strcmp(what, "show") == 0)
        return c->n_args > 2 ? usage(c, T_TOO_MANY, c->arg[2]) : queue_show(c);
    if (!is_one_of(what, "flush|hold|release|delete"))
        return usage(c, T_UNKNOWN_VERB, what);
    if (cli_flag(c, "all") == (c->n_args > 2))
        return usage(c, T_QUEUE_WHICH);
    if (strcmp(what, "delete") == 0 && !cli_flag(c, "yes") && !c->dry_run) {
        complain(c, T_CONFIRM);
        return EXIT_USAGE;
    }
    return queue_change(c, what);
}

/* --- service --- */

static enum cli_exit service_show(struct cli *c)
{
    static const struct column cols[] = {{T_WANTED, "desired.state", COL_TEXT},
                                         {T_SEEN, "state", COL_TEXT},
                                         {T_SINCE, "since", COL_TIME},
                                         {T_STOPPED_BY, "desired.by", COL_TEXT},
                                         {T_STOPPED_AT, "desired.since", COL_TIME},
                                         {T_REASON, "desired.reason", COL_TEXT}};
    AUTO_STR char *path = apiclient_pathf("/api/v1/devices/%s", c->arg[0]);
    AUTO(json_free) json_t *d = NULL;
    enum cli_exit rc = cli_get(c, path, &d);
    const json_t *postfix;

    if (rc != EXIT_OK_)
        return rc;
    postfix = json_at(d, "running.postfix");
    if (postfix == NULL) {
        say(c, T_NOTHING_LISTED);
        return EXIT_OK_;
    }
    show_object(c, postfix, cols, COUNT_OF(cols));
    return EXIT_OK_;
}

enum cli_exit verb_service(struct cli *c)
{
    struct given g;
    char kind[32];
    enum cli_exit rc;

    if (c->n_args < 2)
        return service_show(c);
    if (!is_one_of(c->arg[1], "start|stop|restart"))
        return usage(c, T_UNKNOWN_VERB, c->arg[1]);
    (void)snprintf(kind, sizeof kind, "service-%s", c->arg[1]);
    rc = command_run(c, c->arg[0], kind, json_pack("{s:s}", "service", "postfix"), true, &g);
    if (c->json && g.command != NULL)
        print_json(g.command);
    else if (rc == EXIT_OK_ && command_is_done(&g))
        say(c, T_SERVICE_NOW, json_str(json_object_get(g.command, "result"), "state", ""));
    else if (rc == EXIT_OK_)
        note_id(c, &g);
    given_clear(&g);
    return rc;
}

/* --- test message --- */

enum cli_exit verb_test_message(struct cli *c)
{
    static const struct column cols[] = {{T_STATUS, "status", COL_TEXT},
                                         {T_ID, "queue_id", COL_TEXT},
                                         {T_RELAY, "relay", COL_TEXT},
                                         {T_MESSAGE, "text", COL_TEXT}};
    json_t *args = json_object();
    const json_t *r;
    struct given g;
    enum cli_exit rc;

    if (cli_opt(c, "to") == NULL) {
        json_decref(args);
        return usage(c, T_OPTION_NEEDED, "to");
    }
    (void)json_object_set_new(args, "recipient", json_string(cli_opt(c, "to")));
    if (cli_opt(c, "from") != NULL)
        (void)json_object_set_new(args, "sender", json_string(cli_opt(c, "from")));
    rc = command_run(c, c->arg[0], "test-message", args, false, &g);
    r = json_object_get(g.command, "result");
    if (c->json && g.command != NULL)
        print_json(g.command);
    else if (rc == EXIT_OK_ && command_is_done(&g))
        show_object(c, r, cols, COUNT_OF(cols));
    else if (rc == EXIT_OK_)
        note_id(c, &g);
    if (rc == EXIT_OK_ && command_is_done(&g) && strcmp(json_str(r, "status", ""), "sent") != 0)
        rc = EXIT_NOT_RUNNING;
    given_clear(&g);
    return rc;
}
