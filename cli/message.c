/* "inarictl messages", "trace" and "events": where is this message, and what happened. */
#include "follow.h"

#include "base/clock.h"

#include <stdlib.h>

enum {
    SHOWN = 100,
    ID_MIN = 32 /* ids of messages are longer, queue ids shorter */,
    TRACE_DAYS = 31,
    DAY_S = 24 * 3600
};

/* "3h": so long ago. */
static char *time_value(const char *given)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t ago = 0;

    if (!parse_seconds(given, &ago))
        return strdup(given);
    clock_format(clock_wall_ms() - ago * 1000, text);
    return strdup(text);
}

static void add_filter(struct strbuf *path, const char *name, const char *value)
{
    AUTO_STR char *v = apiclient_escape(value);

    if (v != NULL)
        strbuf_printf(path, "%s%s=%s", strchr(strbuf_str(path), '?') == NULL ? "?" : "&", name, v);
}

/* filters: pairs of the option's and the parameter's name. */
static enum cli_exit get_some(struct cli *c, const char *path, const char *const filters[][2],
                              size_t n, json_t **ret)
{
    AUTO_STRBUF struct strbuf full = STRBUF_INIT(16 * KIB);
    int64_t limit = 0;
    enum cli_exit rc = cli_opt_int(c, "limit", 1, CLI_ITEMS_MAX, SHOWN, &limit);

    strbuf_puts(&full, path);
    for (size_t i = 0; i < n; i++) {
        const char *given = cli_opt(c, filters[i][0]);
        bool when = strcmp(filters[i][1], "since") == 0 || strcmp(filters[i][1], "until") == 0;
        AUTO_STR char *v = given == NULL ? NULL : when ? time_value(given) : strdup(given);
        if (v != NULL)
            add_filter(&full, filters[i][1], v);
    }
    return rc == EXIT_OK_ ? cli_list_some(c, strbuf_str(&full), (size_t)limit, ret) : rc;
}

/* --- messages --- */

static void names_cell(struct table *t, const json_t *devices)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(8 * KIB);
    size_t i;
    json_t *d;

    json_array_foreach(devices, i, d)
        strbuf_printf(&b, "%s%s", i == 0 ? "" : " > ", json_str(d, "name", json_str(d, "id", "?")));
    table_cell(t, strbuf_str(&b));
}

static void recipients_cell(struct table *t, const json_t *m)
{
    const json_t *list = json_object_get(m, "recipients");
    int64_t n = json_int(m, "recipient_count", 0);
    const char *first =
        json_array_size(list) == 0 ? "-" : json_string_value(json_array_get(list, 0));

    if (n > 1 && json_array_size(list) > 0)
        table_cellf(t, "%s +%lld", first, (long long)n - 1);
    else
        table_cell(t, first == NULL ? "-" : first);
}

static void show_messages(struct cli *c, const json_t *doc)
{
    static const enum text heads[] = {T_AT,          T_STATUS, T_SENDER,  T_RECIPIENTS,
                                      T_DEVICE_HEAD, T_REASON, T_SUBJECT, T_ID};
    AUTO(table_free) struct table *t = table_new(COUNT_OF(heads));
    const json_t *items = json_object_get(doc, "items");
    size_t i;
    json_t *m;

    if (c->json) {
        print_json(doc);
        return;
    }
    if (json_array_size(items) == 0) {
        say(c, T_NOTHING_LISTED);
        return;
    }
    if (t == NULL)
        return;
    for (i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(items, i, m)
    {
        const char *sender = json_str(m, "sender", "-");
        cell_json(c, t, m, "at", COL_TIME);
        cell_json(c, t, m, "status", COL_TEXT);
        table_cell(t, sender[0] == '\0' ? "<>" : sender);
        recipients_cell(t, m);
        names_cell(t, json_object_get(m, "devices"));
        cell_json(c, t, m, "reason", COL_TEXT);
        cell_json(c, t, m, "subject", COL_TEXT);
        cell_json(c, t, m, "id", COL_TEXT);
    }
    table_print(t, stdout, 0);
}

enum cli_exit verb_messages(struct cli *c)
{
    static const char *const filters[][2] = {
        {"since", "since"},           {"until", "until"},       {"sender", "sender"},
        {"recipient", "recipient"},   {"subject", "subject"},   {"client", "client"},
        {"message-id", "message_id"}, {"queue-id", "queue_id"}, {"status", "status"},
        {"reason", "reason"},         {"device", "device"}};
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = get_some(c, "/api/v1/messages", filters, COUNT_OF(filters), &doc);

    if (rc == EXIT_OK_)
        show_messages(c, doc);
    return rc;
}

/* --- trace --- */

static void show_steps(struct cli *c, const json_t *events)
{
    static const enum text heads[] = {T_AT, T_REVISION, T_EVENT};
    AUTO(table_free) struct table *t = table_new(COUNT_OF(heads));
    size_t i;
    json_t *e;

    if (t == NULL)
        return;
    for (i = 0; i < COUNT_OF(heads); i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(events, i, e)
    {
        cell_json(c, t, e, "at", COL_TIME);
        cell_json(c, t, e, "ran.pub", COL_VALUE);
        table_cell(t, json_str(e, "sentence", ""));
    }
    table_print(t, stdout, 0);
}

/* Which changes stood meanwhile: each revision once. */
static void show_revisions(struct cli *c, const json_t *events)
{
    AUTO(json_free) json_t *seen = json_object();
    size_t i;
    json_t *e;

    json_array_foreach(events, i, e)
    {
        const json_t *ran = json_object_get(e, "ran");
        char key[96];
        (void)snprintf(key, sizeof key, "%lld %.40s", (long long)json_int(ran, "pub", 0),
                       json_str(json_at(e, "device"), "id", ""));
        if (!json_is_object(ran) || json_object_get(seen, key) != NULL)
            continue;
        (void)json_object_set_new(seen, key, json_true());
        say(c, T_RAN_SINCE, json_str(json_at(e, "device"), "name", "?"),
            (long long)json_int(ran, "pub", 0), json_str(ran, "since", ""),
            json_str(ran, "author", "-"), json_str(ran, "reason", "-"));
    }
}

static void show_one(struct cli *c, const json_t *m)
{
    static const struct column about[] = {{T_ID, "id", COL_TEXT},
                                          {T_AT, "at", COL_TIME},
                                          {T_STATUS, "status", COL_TEXT},
                                          {T_SENDER, "sender", COL_TEXT},
                                          {T_CLIENT, "client", COL_TEXT},
                                          {T_SUBJECT, "subject", COL_TEXT},
                                          {T_MESSAGE_ID, "message_id", COL_TEXT},
                                          {T_SIZE, "size", COL_VALUE},
                                          {T_DELAY_MS, "delay_ms", COL_VALUE}};
    static const struct column ends[] = {
        {T_RECIPIENTS, "address", COL_TEXT},      {T_STATUS, "state", COL_TEXT},
        {T_ATTEMPTS, "attempts", COL_VALUE},      {T_AT, "at", COL_TIME},
        {T_DEVICE_HEAD, "device.name", COL_TEXT}, {T_REASON, "reason", COL_TEXT}};
    AUTO(json_free) json_t *list = json_pack("{s:O?}", "items", json_object_get(m, "recipients"));
    const json_t *events = json_object_get(m, "events");
    size_t i;
    json_t *other;

    show_object(c, m, about, COUNT_OF(about));
    if (c->json)
        return;
    fputc('\n', stdout);
    show_list(c, list, ends, COUNT_OF(ends));
    fputc('\n', stdout);
    show_steps(c, events);
    fputc('\n', stdout);
    show_revisions(c, events);
    json_array_foreach(json_object_get(m, "same_message_id"), i, other)
        say(c, T_SAME_MESSAGE_ID, json_str(json_at(other, "device"), "name", "?"),
            json_str(other, "id", ""));
    if (json_bool(m, "cut", false))
        say(c, T_TRACE_CUT);
}

static enum cli_exit trace(struct cli *c, const char *id)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/messages/%s", id);
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = cli_get(c, path, &doc);

    if (rc == EXIT_OK_)
        show_one(c, doc);
    return rc;
}

/* A queue id as a log or a notice has it. */
static enum cli_exit trace_queue_id(struct cli *c, const char *id)
{
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(8 * KIB);
    AUTO(json_free) json_t *doc = NULL;
    char since[CLOCK_TEXT_SIZE];
    size_t n;
    enum cli_exit rc;

    clock_format(clock_wall_ms() - (int64_t)TRACE_DAYS * DAY_S * 1000, since);
    strbuf_puts(&path, "/api/v1/messages");
    add_filter(&path, "queue_id", id);
    add_filter(&path, "since", since);
    rc = cli_list_some(c, strbuf_str(&path), SHOWN, &doc);
    if (rc != EXIT_OK_)
        return rc;
    n = json_array_size(json_object_get(doc, "items"));
    if (n == 1)
        return trace(c, json_str(json_array_get(json_object_get(doc, "items"), 0), "id", ""));
    if (n == 0) {
        complain(c, T_NO_QUEUE_ID, id, TRACE_DAYS);
        return EXIT_NOT_FOUND;
    }
    show_messages(c, doc);
    say(c, T_TRACE_WHICH, id);
    return EXIT_OK_;
}

enum cli_exit verb_trace(struct cli *c)
{
    return strlen(c->arg[0]) >= ID_MIN ? trace(c, c->arg[0]) : trace_queue_id(c, c->arg[0]);
}

/* --- events --- */

static void what_text(struct strbuf *b, const json_t *e)
{
    static const char *const members[] = {"client", "sender", "recipient",     "relay",
                                          "status", "reason", "next_queue_id", "text"};
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        const char *v = json_str(e, members[i], "");
        if (v[0] == '\0')
            continue;
        strbuf_printf(b,
                      strcmp(members[i], "sender") == 0 || strcmp(members[i], "recipient") == 0
                          ? "%s%s=<%s>"
                          : "%s%s=%s",
                      b->n > 0 ? " " : "", members[i], v);
    }
}

static void what_cell(struct table *t, const json_t *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(32 * KIB);

    what_text(&b, e);
    table_cell(t, b.n == 0 ? "-" : strbuf_str(&b));
}

static const char *device_name(const json_t *e)
{
    const json_t *d = json_object_get(e, "device");

    return json_str(d, "name", json_str(d, "id", "?"));
}

static void event_line(struct cli *c, const json_t *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB);
    const char *at = json_str(e, "at", "");

    (void)c;
    if (strlen(at) >= 20)
        strbuf_printf(&b, "%.10s %.8sZ", at, at + 11);
    strbuf_printf(&b, "  %s  %s  %s  ", device_name(e), json_str(e, "kind", "?"),
                  json_str(e, "queue_id", "-"));
    what_text(&b, e);
    print_safe(stdout, strbuf_str(&b));
    fputc('\n', stdout);
}

static enum cli_exit follow_events(struct cli *c)
{
    static const char *const filters[][2] = {{"kind", "kind"},     {"device", "device"},
                                             {"stream", "stream"}, {"queue-id", "queue_id"},
                                             {"sender", "sender"}, {"recipient", "recipient"}};
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(8 * KIB);
    int64_t limit = -1;
    enum cli_exit rc = cli_opt_int(c, "limit", 1, CLI_ITEMS_MAX, -1, &limit);

    if (rc != EXIT_OK_)
        return rc;
    if (cli_opt(c, "since") != NULL || cli_opt(c, "until") != NULL)
        return usage(c, T_FOLLOW_NOW);
    strbuf_puts(&path, "/api/v1/events/stream");
    for (size_t i = 0; i < COUNT_OF(filters); i++)
        if (cli_opt(c, filters[i][0]) != NULL)
            add_filter(&path, filters[i][1], cli_opt(c, filters[i][0]));
    return follow(c, strbuf_str(&path), limit, event_line);
}

enum cli_exit verb_events(struct cli *c)
{
    static const char *const filters[][2] = {{"since", "since"},   {"until", "until"},
                                             {"kind", "kind"},     {"device", "device"},
                                             {"stream", "stream"}, {"queue-id", "queue_id"}};
    static const enum text heads[] = {T_AT, T_DEVICE_HEAD, T_KIND, T_QUEUE, T_EVENT};
    AUTO(table_free) struct table *t = table_new(COUNT_OF(heads));
    AUTO(json_free) json_t *doc = NULL;
    const json_t *items;
    size_t i;
    json_t *e;
    enum cli_exit rc;

    if (cli_flag(c, "follow"))
        return follow_events(c);
    if (cli_opt(c, "sender") != NULL || cli_opt(c, "recipient") != NULL)
        return usage(c, T_FOLLOW_ONLY);
    rc = get_some(c, "/api/v1/events", filters, COUNT_OF(filters), &doc);
    if (rc != EXIT_OK_ || t == NULL)
        return rc;
    items = json_object_get(doc, "items");
    if (c->json) {
        print_json(doc);
    } else if (json_array_size(items) == 0) {
        say(c, T_NOTHING_LISTED);
    } else {
        for (i = 0; i < COUNT_OF(heads); i++)
            table_cell(t, tx(c, heads[i]));
        json_array_foreach(items, i, e)
        {
            cell_json(c, t, e, "at", COL_TIME);
            table_cell(t, device_name(e));
            cell_json(c, t, e, "kind", COL_TEXT);
            cell_json(c, t, e, "queue_id", COL_TEXT);
            what_cell(t, e);
        }
        table_print(t, stdout, 0);
    }
    return rc;
}
