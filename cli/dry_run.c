/* Changes that devices try before anybody gets them. */
#include "rollout.h"
#include "table.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/strbuf.h"

enum { STEP_MS = 300, SLACK_S = 5 /* the parent looks twice a second */ };

static void counts_line(const struct cli *c, const json_t *run)
{
    const json_t *n = json_object_get(run, "counts");

    say(c, T_DRY_RUN_COUNTS, json_str(run, "state", "?"), (long long)json_int(n, "passed", 0),
        (long long)json_int(n, "refused", 0), (long long)json_int(n, "away", 0),
        (long long)(json_int(n, "silent", 0) + json_int(n, "unable", 0)),
        (long long)json_int(n, "asked", 0));
}

/* What the device said, with every setting it points at. */
static json_t *words(const struct cli *c, const json_t *problem)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB);
    const char *name = c->lang == LANG_JA ? "message_ja" : "message";
    size_t i;
    json_t *f;

    strbuf_puts(&b, json_str(problem, "detail", ""));
    json_array_foreach(json_object_get(problem, "errors"), i, f) strbuf_printf(
        &b, "; %s: %s", json_str(f, "pointer", ""), json_str(f, name, json_str(f, "message", "")));
    return json_string(strbuf_str(&b));
}

void dry_run_show(const struct cli *c, const json_t *run, bool everybody)
{
    static const struct column cols[] = {{T_DEVICE, "name", COL_TEXT},
                                         {T_STATE, "state", COL_TEXT},
                                         {T_REASON, "reason", COL_TEXT},
                                         {T_PROBLEM, "words", COL_TEXT}};
    AUTO(json_free) json_t *rows = json_array();
    AUTO(json_free) json_t *list = NULL;
    size_t i;
    json_t *d;

    json_array_foreach(json_object_get(run, "devices"), i, d)
    {
        (void)json_object_set_new(d, "words", words(c, json_object_get(d, "problem")));
        if (everybody || strcmp(json_str(d, "state", ""), "passed") != 0)
            (void)json_array_append(rows, d);
    }
    counts_line(c, run);
    list = json_pack("{s:O}", "items", rows);
    if (json_array_size(rows) > 0)
        show_list(c, list, cols, COUNT_OF(cols));
}

static enum cli_exit verdict(const struct cli *c, const json_t *run)
{
    const char *state = json_str(run, "state", "");

    if (c->json)
        print_json(run);
    else
        dry_run_show(c, run, true);
    return strcmp(state, "passed") == 0    ? EXIT_OK_
           : strcmp(state, "refused") == 0 ? EXIT_REFUSED
                                           : EXIT_NOT_RUNNING;
}

enum cli_exit dry_run_on_devices(struct cli *c, const char *draft_id, int64_t timeout_s)
{
    AUTO_STR char *path = apiclient_pathf("/api/v1/drafts/%s/dry-run", draft_id);
    AUTO_STR char *see = NULL;
    AUTO(json_free) json_t *run = NULL;
    int64_t until = clock_mono_ms() + (timeout_s + SLACK_S) * 1000;
    int64_t wait_s = timeout_s < 10 ? 10 : timeout_s > 3600 ? 3600 : timeout_s;
    bool dry_run = c->dry_run;
    enum cli_exit rc;

    c->dry_run = false; /* the devices do try it; that is what changes nothing */
    rc = cli_send(c, "POST", path, json_pack("{s:I}", "wait_s", (json_int_t)wait_s), &run);
    c->dry_run = dry_run;
    if (rc == EXIT_OK_)
        see = apiclient_pathf("/api/v1/dry-runs/%s", json_str(run, "id", ""));
    while (rc == EXIT_OK_ && strcmp(json_str(run, "state", ""), "running") == 0 &&
           clock_mono_ms() < until) {
        (void)usleep(STEP_MS * 1000);
        json_decref(run);
        run = NULL;
        rc = cli_get(c, see, &run);
    }
    return rc == EXIT_OK_ ? verdict(c, run) : rc;
}

enum cli_exit verb_dry_runs(struct cli *c)
{
    static const struct column cols[] = {
        {T_ID, "id", COL_TEXT},         {T_REVISION, "pub", COL_VALUE},
        {T_STATE, "state", COL_TEXT},   {T_DRAFT_ID, "draft_id", COL_TEXT},
        {T_AUTHOR, "author", COL_TEXT}, {T_DEVICES, "counts", COL_VALUE},
        {T_AT, "created_at", COL_TIME}};
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc;

    if (c->n_args == 0) {
        rc = cli_list_some(c, "/api/v1/dry-runs", 100, &doc);
        if (rc == EXIT_OK_)
            show_list(c, doc, cols, COUNT_OF(cols));
        return rc;
    }
    path = apiclient_pathf("/api/v1/dry-runs/%s", c->arg[0]);
    rc = cli_get(c, path, &doc);
    if (rc == EXIT_OK_ && c->json)
        print_json(doc);
    else if (rc == EXIT_OK_)
        dry_run_show(c, doc, true);
    return rc;
}
