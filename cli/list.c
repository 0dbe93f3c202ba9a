/* "inarictl list": the addresses that are let in or refused before the greeting. */
#include "cli.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 16 * 1024 * 1024, SILENCE_S = 120, CHANGES_MAX = 100 };

static const struct column row_cols[] = {{T_NETWORK, "network", COL_TEXT},
                                         {T_SCOPE_HEAD, "scope_name", COL_TEXT},
                                         {T_COMMENT, "comment", COL_TEXT},
                                         {T_AUTHOR, "author", COL_TEXT},
                                         {T_CREATED, "created_at", COL_TIME},
                                         {T_EXPIRES, "expires_at", COL_TIME},
                                         {T_ID, "id", COL_VALUE}};

/* "device:NAME", "group:NAME" or NULL. */
static enum cli_exit scope(struct cli *c, char buf[220], const char **ret)
{
    const char *device = cli_opt(c, "device"), *group = cli_opt(c, "group");

    *ret = NULL;
    if (device != NULL && group != NULL)
        return usage(c, T_OPTION_BOTH, "device", "group");
    if (device == NULL && group == NULL)
        return EXIT_OK_;
    (void)snprintf(buf, 220, "%s:%s", device != NULL ? "device" : "group",
                   device != NULL ? device : group);
    *ret = buf;
    return EXIT_OK_;
}

/* /api/v1/lists/NAME/WHAT, with ?force= where it is given. */
static char *path_of(const struct cli *c, const char *what)
{
    AUTO_STR char *plain = apiclient_pathf("/api/v1/lists/%s/", c->arg[0]);
    AUTO_STR char *force =
        cli_opt(c, "force") == NULL ? NULL : apiclient_pathf("?force=%s", cli_opt(c, "force"));
    char *path = NULL;

    if (plain == NULL || asprintf(&path, "%s%s%s", plain, what, force == NULL ? "" : force) < 0)
        return NULL;
    return path;
}

static enum cli_exit send_change(struct cli *c, const char *what, json_t *body)
{
    AUTO_STR char *path = path_of(c, what);
    AUTO(json_free) json_t *answer = NULL;
    enum cli_exit rc;
    size_t i;
    json_t *o;

    if (cli_opt(c, "reason") != NULL)
        (void)json_object_set_new(body, "reason", json_string(cli_opt(c, "reason")));
    rc = cli_send(c, "POST", path, body, &answer);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(answer);
        return EXIT_OK_;
    }
    say(c, T_LIST_RESULT, json_int(answer, "added", 0), json_int(answer, "changed", 0),
        json_int(answer, "removed", 0), json_int(answer, "unchanged", 0),
        json_int(answer, "rows", 0), json_int(answer, "version", 0));
    json_array_foreach(json_object_get(answer, "overlaps"), i, o)
    {
        if (json_str(o, "inside", NULL) != NULL)
            say(c, T_LIST_INSIDE, json_str(o, "network", ""), json_str(o, "inside", ""));
        if (json_int(o, "around", 0) > 0)
            say(c, T_LIST_AROUND, json_str(o, "network", ""), json_int(o, "around", 0));
    }
    if (c->dry_run)
        say(c, T_DRY_RUN);
    return EXIT_OK_;
}

/* What rows are given that do not say themselves. */
static enum cli_exit put_defaults(struct cli *c, json_t *body)
{
    char buf[220], at[CLOCK_TEXT_SIZE];
    const char *s = NULL;
    int64_t life = 0;
    enum cli_exit rc = scope(c, buf, &s);

    if (rc == EXIT_OK_)
        rc = cli_opt_seconds(c, "expires", 0, &life);
    if (rc != EXIT_OK_)
        return rc;
    if (s != NULL)
        (void)json_object_set_new(body, "scope", json_string(s));
    if (cli_opt(c, "comment") != NULL)
        (void)json_object_set_new(body, "comment", json_string(cli_opt(c, "comment")));
    if (life > 0) {
        clock_format(clock_wall_ms() + life * 1000, at);
        (void)json_object_set_new(body, "expires_at", json_string(at));
    }
    return EXIT_OK_;
}

static enum cli_exit add(struct cli *c)
{
    json_t *rows = json_array(), *body = json_pack("{s:o}", "rows", rows);
    enum cli_exit rc = put_defaults(c, body);

    for (int i = 2; i < c->n_args; i++)
        (void)json_array_append_new(rows, json_pack("{s:s}", "network", c->arg[i]));
    if (rc == EXIT_OK_)
        return send_change(c, "rows", body);
    json_decref(body);
    return rc;
}

static enum cli_exit remove_rows(struct cli *c)
{
    char buf[220];
    const char *s = NULL;
    json_t *body = json_object(), *nets = json_array(), *match = json_object();
    enum cli_exit rc = scope(c, buf, &s);

    for (int i = 2; i < c->n_args; i++)
        (void)json_array_append_new(nets, json_string(c->arg[i]));
    if (cli_opt(c, "comment") != NULL)
        (void)json_object_set_new(match, "comment", json_string(cli_opt(c, "comment")));
    if (cli_flag(c, "expired"))
        (void)json_object_set_new(match, "expired", json_true());
    if (json_array_size(nets) > 0 && json_object_size(match) > 0)
        rc = usage(c, T_TOO_MANY, c->arg[2]);
    else if (json_array_size(nets) == 0 && json_object_size(match) == 0)
        rc = usage(c, T_TOO_FEW);
    if (s != NULL)
        (void)json_object_set_new(json_array_size(nets) > 0 ? body : match, "scope",
                                  json_string(s));
    (void)json_object_set(body, json_array_size(nets) > 0 ? "networks" : "match",
                          json_array_size(nets) > 0 ? nets : match);
    json_decref(nets);
    json_decref(match);
    if (rc == EXIT_OK_)
        return send_change(c, "remove", body);
    json_decref(body);
    return rc;
}

static enum cli_exit read_in(struct cli *c)
{
    const char *format = cli_opt(c, "format"), *mode = cli_opt(c, "mode");
    AUTO_STR char *text = NULL;
    struct err e = {0};
    json_t *body;
    size_t n = 0;
    enum cli_exit rc = EXIT_OK_;

    if (format != NULL && !is_one_of(format, "csv|plain"))
        return usage(c, T_OPTION_BAD, "format", format, "csv, plain");
    if (mode != NULL && !is_one_of(mode, "add|replace"))
        return usage(c, T_OPTION_BAD, "mode", mode, "add, replace");
    if (c->n_args < 3)
        return usage(c, T_TOO_FEW);
    if (file_read(c->arg[2], FILE_MAX, &text, &n, &e) != ERR_OK)
        return fail(c, &e, NULL);
    body = json_pack("{s:s*,s:s*}", "format", format, "mode", mode);
    if (json_object_set_new(body, "text", json_stringn(text, n)) != 0) {
        json_decref(body);
        return usage(c, T_LIST_NOT_TEXT, c->arg[2]);
    }
    rc = put_defaults(c, body);
    if (rc == EXIT_OK_)
        return send_change(c, "import", body);
    json_decref(body);
    return rc;
}

static bool put_piece(void *ctx, struct slice piece)
{
    return fwrite(piece.p, 1, piece.n, ctx) == piece.n;
}

static enum cli_exit export_to(struct cli *c, FILE *to)
{
    const char *format = cli_opt(c, "format");
    bool plain = format != NULL && strcmp(format, "plain") == 0;
    AUTO_STR char *path =
        apiclient_pathf("/api/v1/lists/%s/export?format=%s", c->arg[0], plain ? "plain" : "csv");
    const struct apistream s = {path, plain ? "text/plain" : "text/csv", NULL, SILENCE_S, put_piece,
                                to};
    struct apireply r;
    struct err e = {0};
    enum cli_exit rc = cli_connect(c);

    if (rc != EXIT_OK_)
        return rc;
    if (apiclient_stream(c->client, &s, &r, &e) != ERR_OK)
        rc = fail(c, &e, r.json);
    apireply_clear(&r);
    return rc;
}

static enum cli_exit write_out(struct cli *c)
{
    const char *format = cli_opt(c, "format");
    struct err e = {0};
    enum cli_exit rc;
    FILE *f;

    if (format != NULL && !is_one_of(format, "csv|plain"))
        return usage(c, T_OPTION_BAD, "format", format, "csv, plain");
    if (c->n_args < 3)
        return export_to(c, stdout);
    f = fopen(c->arg[2], "we");
    if (f == NULL) {
        (void)err_errno(&e, ERR_STORAGE, errno, "could not write \"%s\"", c->arg[2]);
        return fail(c, &e, NULL);
    }
    rc = export_to(c, f);
    if (fclose(f) != 0 && rc == EXIT_OK_) {
        (void)err_errno(&e, ERR_STORAGE, errno, "could not write \"%s\"", c->arg[2]);
        rc = fail(c, &e, NULL);
    }
    return rc;
}

static enum cli_exit show(struct cli *c)
{
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(4096);
    AUTO_STR char *base = apiclient_pathf("/api/v1/lists/%s/rows", c->arg[0]);
    char buf[220];
    const char *s = NULL;
    enum cli_exit rc = scope(c, buf, &s);

    if (rc != EXIT_OK_)
        return rc;
    strbuf_puts(&path, base == NULL ? "" : base);
    if (s != NULL) {
        AUTO_STR char *more = apiclient_pathf("?scope=%s", s);
        strbuf_puts(&path, more == NULL ? "" : more);
    }
    if (cli_opt(c, "comment") != NULL) {
        AUTO_STR char *more = apiclient_pathf("comment=%s", cli_opt(c, "comment"));
        strbuf_putc(&path, s == NULL ? '?' : '&');
        strbuf_puts(&path, more == NULL ? "" : more);
    }
    if (cli_flag(c, "expired"))
        strbuf_puts(&path,
                    s == NULL && cli_opt(c, "comment") == NULL ? "?expired=true" : "&expired=true");
    return cli_get_list_show(c, strbuf_str(&path), row_cols, COUNT_OF(row_cols));
}

static enum cli_exit find(struct cli *c)
{
    AUTO_STR char *path = NULL;
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc;

    if (c->n_args < 3)
        return usage(c, T_TOO_FEW);
    path = apiclient_pathf("/api/v1/lists/%s/rows?address=%s", c->arg[0], c->arg[2]);
    rc = cli_get(c, path, &doc);
    if (rc != EXIT_OK_)
        return rc;
    show_list(c, doc, row_cols, COUNT_OF(row_cols));
    if (json_is_null(json_object_get(doc, "match")))
        say(c, T_LIST_NO_MATCH, c->arg[2], c->arg[0]);
    else
        say(c, T_LIST_MATCH, c->arg[2], json_str(json_object_get(doc, "match"), "network", ""),
            c->arg[0]);
    return EXIT_OK_;
}

static enum cli_exit history(struct cli *c)
{
    static const struct column cols[] = {{T_LIST_VERSION, "version", COL_VALUE},
                                         {T_AT, "at", COL_TIME},
                                         {T_KIND, "kind", COL_TEXT},
                                         {T_AUTHOR, "author", COL_TEXT},
                                         {T_ADDED, "added", COL_VALUE},
                                         {T_REMOVED, "removed", COL_VALUE},
                                         {T_REASON, "reason", COL_TEXT}};
    static const char *const parts[] = {"added_rows", "removed_rows"};
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *path = NULL;
    enum cli_exit rc;

    if (c->n_args < 3) {
        path = apiclient_pathf("/api/v1/lists/%s/changes", c->arg[0]);
        rc = cli_list_some(c, path, CHANGES_MAX, &doc);
        if (rc == EXIT_OK_)
            show_list(c, doc, cols, COUNT_OF(cols));
        return rc;
    }
    path = apiclient_pathf("/api/v1/lists/%s/changes/%s?limit=500", c->arg[0], c->arg[2]);
    rc = cli_get(c, path, &doc);
    if (rc != EXIT_OK_ || c->json) {
        if (rc == EXIT_OK_)
            print_json(doc);
        return rc;
    }
    show_object(c, doc, cols, COUNT_OF(cols));
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        AUTO(json_free) json_t *rows = json_pack("{s:O}", "items", json_object_get(doc, parts[i]));
        if (json_array_size(json_object_get(doc, parts[i])) == 0)
            continue;
        say(c, i == 0 ? T_LIST_BROUGHT : T_LIST_TOOK);
        show_list(c, rows, row_cols, COUNT_OF(row_cols));
    }
    return EXIT_OK_;
}

static enum cli_exit undo(struct cli *c)
{
    char what[80];

    if (c->n_args < 3)
        return usage(c, T_TOO_FEW);
    (void)snprintf(what, sizeof what, "changes/%.40s/undo", c->arg[2]);
    if (strspn(c->arg[2], "0123456789") != strlen(c->arg[2]))
        return usage(c, T_TOO_MANY, c->arg[2]);
    return send_change(c, what, json_object());
}

enum cli_exit verb_list(struct cli *c)
{
    static const struct {
        const char *name;
        verb_fn run;
        int max_args; /* 0: any number */
    } verbs_of_list[] = {{"show", show, 2},          {"add", add, 0},
                         {"remove", remove_rows, 0}, {"import", read_in, 3},
                         {"export", write_out, 3},   {"find", find, 3},
                         {"history", history, 3},    {"undo", undo, 3}};

    if (!is_one_of(c->arg[0], "approved|blocked"))
        return usage(c, T_UNKNOWN_VERB, c->arg[0]);
    for (size_t i = 0; i < COUNT_OF(verbs_of_list); i++) {
        if (strcmp(verbs_of_list[i].name, c->arg[1]) != 0)
            continue;
        if (verbs_of_list[i].max_args > 0 && c->n_args > verbs_of_list[i].max_args)
            return usage(c, T_TOO_MANY, c->arg[verbs_of_list[i].max_args]);
        if (strcmp(c->arg[1], "add") == 0 && c->n_args < 3)
            return usage(c, T_TOO_FEW);
        return verbs_of_list[i].run(c);
    }
    return usage(c, T_UNKNOWN_VERB, c->arg[1]);
}
