#include "draft.h"
#include "rollout.h"
#include "wait.h"

#include <stdlib.h>

static enum cli_exit wait_options(struct cli *c, struct wait_options *o)
{
    const char *until = cli_opt(c, "wait");
    enum cli_exit rc;

    if (until == NULL)
        until = "running";
    if (!is_one_of(until, "running|fetched|none"))
        return usage(c, T_OPTION_BAD, "wait", until, "running fetched none");
    o->until = strcmp(until, "fetched") == 0 ? WAIT_FETCHED
               : strcmp(until, "none") == 0  ? WAIT_NONE
                                             : WAIT_RUNNING;
    rc = cli_opt_seconds(c, "timeout", WAIT_DEFAULT_S, &o->timeout_s);
    return rc;
}

/* {"reason", "force": {"reason"}?} */
static json_t *reason_body(const struct cli *c)
{
    json_t *body = json_pack("{s:s}", "reason", cli_opt(c, "reason"));

    if (cli_opt(c, "force") != NULL)
        json_object_set_new(body, "force", json_pack("{s:s}", "reason", cli_opt(c, "force")));
    return body;
}

/* POST that makes a revision, then wait for it. */
static enum cli_exit make_revision(struct cli *c, const char *path)
{
    struct wait_options o = {0};
    AUTO(json_free) json_t *answer = NULL;
    json_t *body, *strategy = NULL;
    enum cli_exit rc = wait_options(c, &o);

    if (rc == EXIT_OK_)
        rc = rollout_options(c, &strategy);
    if (rc != EXIT_OK_)
        return rc;
    body = reason_body(c);
    if (strategy != NULL)
        (void)json_object_set_new(body, "rollout", strategy);
    rc = cli_send(c, "POST", path, body, &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->dry_run && cli_flag(c, "on-devices"))
        return EXIT_OK_; /* what the devices say is the answer */
    if (c->dry_run) {
        if (c->json)
            print_json(answer);
        say(c, T_DRY_RUN);
        return EXIT_OK_;
    }
    say(c, T_PUBLISHED, (long long)json_int(answer, "pub", 0));
    return wait_for(c, answer, &o);
}

enum cli_exit verb_publish(struct cli *c)
{
    struct wait_options o = {0};
    AUTO_STR char *path = NULL;
    char id[64];
    enum cli_exit rc;

    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    rc = draft_find(c, id);
    if (rc != EXIT_OK_)
        return rc;
    if (id[0] == '\0') {
        complain(c, T_NO_DRAFT);
        return EXIT_NOT_FOUND;
    }
    path = apiclient_pathf("/api/v1/drafts/%s/publish", id);
    if (!c->dry_run || !cli_flag(c, "on-devices"))
        return make_revision(c, path);
    rc = wait_options(c, &o);
    if (rc == EXIT_OK_)
        rc = make_revision(c, path);
    return rc == EXIT_OK_ ? dry_run_on_devices(c, id, o.timeout_s) : rc;
}

static enum cli_exit again(struct cli *c, const char *fmt)
{
    AUTO_STR char *path = NULL;
    int64_t pub;

    if (cli_opt(c, "reason") == NULL)
        return usage(c, T_OPTION_NEEDED, "reason");
    if (!parse_i64(slice_of(c->arg[0]), 1, INT64_MAX, &pub))
        return usage(c, T_NOT_A_REVISION, c->arg[0]);
    path = apiclient_pathf(fmt, c->arg[0]);
    return make_revision(c, path);
}

enum cli_exit verb_restore(struct cli *c)
{
    return again(c, "/api/v1/revisions/%s/restore");
}

enum cli_exit verb_undo(struct cli *c)
{
    return again(c, "/api/v1/revisions/%s/undo");
}
