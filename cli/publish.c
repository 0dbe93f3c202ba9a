#include "draft.h"
#include "rollout.h"
#include "wait.h"

#include <stdlib.h>
#include <unistd.h>

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

static bool read_number(const char *text, int64_t *ret)
{
    return text != NULL && parse_i64(slice_trim(slice_of(text)), 0, 1000000, ret);
}

/* {"reason", "force": {"reason"}?, "confirm"?} */
static json_t *reason_body(const struct cli *c)
{
    json_t *body = json_pack("{s:s}", "reason", cli_opt(c, "reason"));
    int64_t n;

    if (cli_opt(c, "force") != NULL)
        json_object_set_new(body, "force", json_pack("{s:s}", "reason", cli_opt(c, "force")));
    if (read_number(cli_opt(c, "confirm"), &n))
        json_object_set_new(body, "confirm", json_integer(n));
    return body;
}

/* The parent has said how many devices would change: somebody at a terminal types the number,
 * everybody else comes again with --confirm. */
static enum cli_exit send_confirmed(struct cli *c, const char *path, json_t *body, json_t **ret)
{
    enum cli_exit rc = cli_send(c, "POST", path, json_incref(body), ret);
    AUTO_STR char *typed = NULL;
    int64_t n;

    if (rc == EXIT_OK_ || c->failed != ERR_CONFIRMATION_NEEDED || c->json ||
        isatty(STDIN_FILENO) != 1 || cli_opt(c, "confirm") != NULL)
        return rc;
    typed = read_secret(c, T_TYPE_NUMBER, true);
    if (!read_number(typed, &n)) {
        complain(c, T_NOT_PUBLISHED);
        return rc;
    }
    (void)json_object_set_new(body, "confirm", json_integer(n));
    return cli_send(c, "POST", path, json_incref(body), ret);
}

static void say_reach(const struct cli *c, const json_t *reach)
{
    say(c, json_bool(reach, "confirm", false) ? T_REACH_CONFIRM : T_REACH,
        (long long)json_int(reach, "devices", 0), (long long)json_int(reach, "of", 0));
}

/* POST that makes a revision, then wait for it. */
static enum cli_exit make_revision(struct cli *c, const char *path)
{
    struct wait_options o = {0};
    AUTO(json_free) json_t *answer = NULL, *body = NULL;
    json_t *strategy = NULL;
    int64_t n;
    enum cli_exit rc = wait_options(c, &o);

    if (cli_opt(c, "confirm") != NULL && !read_number(cli_opt(c, "confirm"), &n))
        return usage(c, T_OPTION_BAD, "confirm", cli_opt(c, "confirm"), "0-1000000");

    if (rc == EXIT_OK_)
        rc = rollout_options(c, &strategy);
    if (rc != EXIT_OK_)
        return rc;
    body = reason_body(c);
    if (strategy != NULL)
        (void)json_object_set_new(body, "rollout", strategy);
    rc = send_confirmed(c, path, body, &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->dry_run && cli_flag(c, "on-devices"))
        return EXIT_OK_; /* what the devices say is the answer */
    if (c->dry_run) {
        if (c->json)
            print_json(answer);
        say_reach(c, json_object_get(answer, "reach"));
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
