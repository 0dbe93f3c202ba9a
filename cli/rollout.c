#include "rollout.h"

#include "value.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { WATCH_STEP_MS = 1000 };

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

/* --- showing --- */

static void line(const char *text)
{
    print_safe(stdout, text);
    fputc('\n', stdout);
}

static void count_text(const json_t *counts, struct strbuf *b)
{
    const char *state;
    json_t *n;

    json_object_foreach((json_t *)(uintptr_t)counts, state, n) strbuf_printf(
        b, "%s%s %lld", b->n == 0 ? "" : ", ", state, (long long)json_integer_value(n));
}

static void show_waves(const struct cli *c, const json_t *doc)
{
    AUTO(table_free) struct table *t = table_new(4);
    size_t i;
    json_t *w;

    table_cell(t, tx(c, T_WAVE));
    table_cell(t, tx(c, T_STATE));
    table_cell(t, tx(c, T_DEVICES));
    table_cell(t, "");
    json_array_foreach(json_object_get(doc, "waves"), i, w)
    {
        AUTO_STRBUF struct strbuf b = STRBUF_INIT(4 * KIB);
        count_text(json_object_get(w, "counts"), &b);
        table_cellf(t, "%lld", (long long)json_int(w, "wave", 0) + 1);
        table_cell(t, json_str(w, "state", ""));
        table_cellf(t, "%lld", (long long)json_int(w, "devices", 0));
        table_cell(t, strbuf_str(&b));
    }
    table_print(t, stdout, 0);
}

/* Why it is in its state; words of the parent in the reader's language. */
const char *rollout_reason(const struct cli *c, const char *reason)
{
    static const struct {
        const char *word;
        enum text text;
    } words[] = {{"refused-by-devices", T_RO_REFUSED},    {"failures", T_RO_FAILURES},
                 {"unhealthy", T_RO_UNHEALTHY},           {"inconclusive", T_RO_INCONCLUSIVE},
                 {"revert-stopped", T_RO_REVERT_STOPPED}, {"revert-refused", T_RO_REVERT_REFUSED},
                 {"urgent-first", T_RO_URGENT_FIRST},     {"fleet-silent", T_RO_FLEET_SILENT},
                 {"nobody-there", T_RO_NOBODY_THERE},     {"untried", T_RO_UNTRIED}};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i].word, reason) == 0)
            return tx(c, words[i].text);
    }
    return reason;
}

static void show_one(const struct cli *c, const json_t *doc)
{
    static const struct column head[] = {{T_ID, "id", COL_TEXT},
                                         {T_REVISION, "pub", COL_VALUE},
                                         {T_STATE, "state", COL_TEXT},
                                         {T_AUTHOR, "author", COL_TEXT},
                                         {T_AT, "created_at", COL_TIME}};
    static const struct column cols[] = {{T_DEVICE, "name", COL_TEXT},
                                         {T_WAVE, "wave", COL_VALUE},
                                         {T_STATE, "state", COL_TEXT},
                                         {T_REASON, "reason", COL_TEXT},
                                         {T_PROBLEM, "problem.detail", COL_TEXT}};
    AUTO(json_free) json_t *list = json_pack("{s:O?}", "items", json_object_get(doc, "devices"));
    json_t *d;
    size_t i;

    show_object(c, doc, head, COUNT_OF(head));
    if (c->json)
        return;
    if (json_str(doc, "reason", "")[0] != '\0')
        line(rollout_reason(c, json_str(doc, "reason", "")));
    if (json_is_object(json_object_get(doc, "shadow"))) {
        fputc('\n', stdout);
        dry_run_show(c, json_object_get(doc, "shadow"), false);
    }
    fputc('\n', stdout);
    show_waves(c, doc);
    fputc('\n', stdout);
    json_array_foreach(json_object_get(list, "items"), i, d) /* people count from one */
        (void) json_object_set_new(d, "wave", json_integer(json_int(d, "wave", 0) + 1));
    show_list(c, list, cols, COUNT_OF(cols));
}

static enum cli_exit list(struct cli *c)
{
    static const struct column cols[] = {
        {T_ID, "id", COL_TEXT},          {T_REVISION, "pub", COL_VALUE},
        {T_STATE, "state", COL_TEXT},    {T_KIND, "strategy", COL_TEXT},
        {T_WAVE, "wave_text", COL_TEXT}, {T_DEVICES, "count_text", COL_TEXT},
        {T_AT, "created_at", COL_TIME}};
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *of = cli_opt(c, "device") == NULL
                            ? NULL
                            : apiclient_pathf("/api/v1/rollouts?device=%s", cli_opt(c, "device"));
    enum cli_exit rc = cli_list(c, of == NULL ? "/api/v1/rollouts" : of, &doc);
    json_t *r;
    size_t i;

    if (rc != EXIT_OK_)
        return rc;
    json_array_foreach(json_object_get(doc, "items"), i, r)
    {
        AUTO_STRBUF struct strbuf b = STRBUF_INIT(4 * KIB);
        char wave[40];
        if (c->json)
            break;
        count_text(json_object_get(r, "counts"), &b);
        (void)snprintf(wave, sizeof wave, "%lld/%lld", (long long)json_int(r, "wave", 0) + 1,
                       (long long)json_int(r, "waves_total", 1));
        (void)json_object_set_new(r, "wave_text", json_string(wave));
        (void)json_object_set_new(r, "count_text", json_string(strbuf_str(&b)));
    }
    show_list(c, doc, cols, COUNT_OF(cols));
    return EXIT_OK_;
}

/* The rollout that is named, or the newest. */
static enum cli_exit path_of(struct cli *c, int arg, const char *verb, char **ret)
{
    AUTO(json_free) json_t *newest = NULL;
    const char *id = c->n_args > arg ? c->arg[arg] : NULL;
    struct err e = {0};
    enum cli_exit rc = EXIT_OK_;

    if (id == NULL) {
        rc = cli_get(c, "/api/v1/rollouts?limit=1", &newest);
        id = json_str(json_array_get(json_object_get(newest, "items"), 0), "id", NULL);
    }
    if (rc == EXIT_OK_ && id == NULL) {
        (void)err_set(&e, ERR_NOT_FOUND, "there is no such record");
        return fail(c, &e, NULL);
    }
    if (rc == EXIT_OK_)
        *ret = verb[0] == '\0' ? apiclient_pathf("/api/v1/rollouts/%s", id)
                               : apiclient_pathf("/api/v1/rollouts/%s/%s", id, verb);
    return rc;
}

static enum cli_exit show(struct cli *c, int arg)
{
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = path_of(c, arg, "", &path);

    if (rc == EXIT_OK_)
        rc = cli_get(c, path, &doc);
    if (rc == EXIT_OK_)
        show_one(c, doc);
    return rc;
}

enum cli_exit verb_rollouts(struct cli *c)
{
    return c->n_args == 0 ? list(c) : show(c, 0);
}

/* --- watching --- */

bool rollout_moves(const json_t *rollout)
{
    return is_one_of(json_str(rollout, "waits", ""),
                     "urgent|silence") || /* it stands aside, and goes on by itself */
           is_one_of(json_str(rollout, "state", ""), "shadow|running|baking|reverting");
}

static bool same_picture(const json_t *a, const json_t *b)
{
    return json_equal(json_object_get(a, "counts"), json_object_get(b, "counts")) &&
           json_equal(json_object_get(a, "state"), json_object_get(b, "state")) &&
           json_equal(json_object_get(a, "reason"), json_object_get(b, "reason")) &&
           json_equal(json_object_get(a, "wave"), json_object_get(b, "wave"));
}

/* One line whenever something changed. */
static void show_progress(const struct cli *c, const json_t *r)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(4 * KIB);

    if (c->json) {
        json_dumpf(r, stdout, JSON_COMPACT);
        fputc('\n', stdout);
        fflush(stdout);
        return;
    }
    count_text(json_object_get(r, "counts"), &b);
    say(c, T_RO_PROGRESS, (long long)json_int(r, "pub", 0), json_str(r, "state", ""),
        (long long)json_int(r, "wave", 0) + 1, (long long)json_int(r, "waves_total", 1),
        strbuf_str(&b));
    if (json_str(r, "reason", "")[0] != '\0')
        line(rollout_reason(c, json_str(r, "reason", "")));
    fflush(stdout);
}

static enum cli_exit watch(struct cli *c)
{
    struct sigaction sa = {.sa_handler = on_signal};
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *before = NULL;
    bool over = false;
    enum cli_exit rc = path_of(c, 1, "", &path);

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    while (rc == EXIT_OK_ && !over && !stop) {
        json_t *now = NULL;
        rc = cli_get(c, path, &now);
        if (rc != EXIT_OK_)
            break;
        if (before == NULL || !same_picture(before, now))
            show_progress(c, now);
        over = !rollout_moves(now);
        json_decref(before);
        before = now;
        if (!over)
            usleep(WATCH_STEP_MS * 1000);
    }
    if (rc != EXIT_OK_ || !over)
        return rc;
    return strcmp(json_str(before, "state", ""), "completed") == 0 ? EXIT_OK_ : EXIT_NOT_RUNNING;
}

/* --- orders --- */

static enum cli_exit order(struct cli *c, const char *verb)
{
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *answer = NULL;
    json_t *body = json_object();
    enum cli_exit rc = path_of(c, 1, verb, &path);

    if (rc == EXIT_OK_ && cli_opt(c, "reason") != NULL)
        (void)json_object_set_new(body, "reason", json_string(cli_opt(c, "reason")));
    if (rc != EXIT_OK_) {
        json_decref(body);
        return rc;
    }
    rc = cli_send(c, "POST", path, body, &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json)
        print_json(answer);
    else
        show_progress(c, answer);
    return EXIT_OK_;
}

static enum cli_exit revert(struct cli *c)
{
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *answer = NULL;
    json_t *body;
    enum cli_exit rc;

    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    rc = path_of(c, 1, "revert", &path);
    if (rc != EXIT_OK_)
        return rc;
    body = json_pack("{s:s}", "reason", cli_opt(c, "reason"));
    if (cli_opt(c, "force") != NULL)
        (void)json_object_set_new(body, "force", json_pack("{s:s}", "reason", cli_opt(c, "force")));
    rc = cli_send(c, "POST", path, body, &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json)
        print_json(answer);
    else
        say(c, T_PUBLISHED, (long long)json_int(answer, "pub", 0));
    return EXIT_OK_;
}

enum cli_exit verb_rollout(struct cli *c)
{
    static const char words[] =
        "list|show|watch|pause|resume|halt|cancel|approve|promote|revert|policy";
    const char *what = c->arg[0];

    if (!is_one_of(what, words))
        return usage(c, T_OPTION_BAD, "rollout", what, words);
    if (strcmp(what, "policy") == 0)
        return rollout_policy(c);
    if (c->n_args > 2)
        return usage(c, T_TOO_MANY, c->arg[2]);
    if (strcmp(what, "list") == 0)
        return list(c);
    if (strcmp(what, "show") == 0)
        return show(c, 1);
    if (strcmp(what, "watch") == 0)
        return watch(c);
    return strcmp(what, "revert") == 0 ? revert(c) : order(c, what);
}
