/*
 * cli.h - what every verb of inarictl sees: the parsed command line, the client, and how results
 * and errors are shown. With --json standard output carries exactly one JSON document: the result,
 * or the problem; texts for people go to standard error then.  Without it results are tables on
 * standard output, errors lines on standard error.
 */
#pragma once

#include "apiclient/apiclient.h"
#include "conf.h"
#include "exit.h"
#include "table.h"
#include "texts.h"

enum { CLI_OPTIONS_MAX = 24, CLI_ITEMS_MAX = 200000 };

struct verb;

struct cli {
    const struct verb *verb;
    struct {
        const char *name, *value;
    } option[CLI_OPTIONS_MAX]; /* borrowed; value NULL: a flag */
    size_t n_options;
    char **arg; /* borrowed: what is not an option */
    int n_args;
    enum lang lang;
    bool json, dry_run;
    struct conf conf;
    struct apiclient *client; /* made at the first call */
    enum err_code failed;     /* what the last call of the parent ended with */
};

typedef enum cli_exit (*verb_fn)(struct cli *c);

struct verb {
    const char *name;    /* "join-token create" is verb "join-token" with first argument "create" */
    const char *syntax;  /* what follows the name */
    const char *options; /* blank-separated; a word ending in '=' takes a value */
    int min_args, max_args; /* -1: any number */
    verb_fn run;
    const char *summary[2]; /* by enum lang */
    const char *more[2];    /* further paragraphs of help, or NULL */
};
extern const struct verb verbs[];        /* verbs.c; ends with name NULL */
extern const struct verb common_options; /* options and their texts that every verb has */
const struct verb *verb_find(const char *name);
extern const struct option_text {
    const char *name;
    const char *text[2];
} option_texts[];
const struct option_text *option_text_find(const char *name);

/* --- the command line (opts.c) */
/* inarictl --lang ja status  becomes  inarictl status --lang ja: options of every verb may stand before it.  Without a
 * verb nothing changes. */
void opts_verb_first(int argc, char **argv);
/* Fill verb, options and arguments; prints what is wrong and gives EXIT_USAGE. */
enum cli_exit opts_parse(struct cli *c, int argc, char **argv);
const char *cli_opt(const struct cli *c,
                    const char *name); /* value, or NULL when it was not given */
bool cli_flag(const struct cli *c, const char *name);
/* Whole seconds of "90", "5m", "24h", "7d"; prints and gives EXIT_USAGE. */
enum cli_exit cli_opt_seconds(struct cli *c, const char *name, int64_t fallback, int64_t *ret);
enum cli_exit cli_opt_int(struct cli *c, const char *name, int64_t min, int64_t max,
                          int64_t fallback, int64_t *ret);
bool parse_seconds(const char *text, int64_t *ret);
bool is_one_of(const char *word, const char *list); /* list: "a|b|c" */

/* --- saying things (out.c) */
const char *tx(const struct cli *c, enum text id);
/* A line for people: standard output, or standard error with --json. */
void say(const struct cli *c, enum text id, ...);
/* "inarictl: ..." on standard error. */
void complain(const struct cli *c, enum text id, ...);
enum cli_exit usage(const struct cli *c, enum text id,
                    ...); /* complains, hints at help, EXIT_USAGE */
/* An error of ours or of the parent with everything it says (problem may be NULL; borrowed).  Gives
 * the exit status. */
enum cli_exit fail(const struct cli *c, const struct err *e, const json_t *problem);
/* errors[] of a problem or findings[] of a check, as lines on standard error.  Returns how many
 * refuse. */
size_t show_findings(const struct cli *c, const json_t *findings);
void print_json(const json_t *j); /* to standard output */

enum col_kind {
    COL_TEXT,
    COL_TIME,
    COL_BOOL,
    COL_WORDS /* array of strings or of {name} */,
    COL_VALUE /* any JSON */,
    COL_COUNT
};
struct column {
    enum text head;
    const char *member; /* "desired.rev" */
    enum col_kind kind;
};
/* The list as a table, or as it came with --json. */
void show_list(const struct cli *c, const json_t *doc, const struct column *cols, size_t n);
/* One object, a member a line. */
void show_object(const struct cli *c, const json_t *doc, const struct column *cols, size_t n);
const json_t *json_at(const json_t *j, const char *dotted); /* borrowed; NULL when absent */
/* Text of a value for people, into b: strings as they are, true/false in the language, others as
 * JSON. */
void value_text(const struct cli *c, struct strbuf *b, const json_t *v);
void cell_json(const struct cli *c, struct table *t, const json_t *object, const char *member,
               enum col_kind kind);

/* --- calling the parent (call.c).  Each prints what went wrong and gives the status; *ret is a new
 * reference. */
enum cli_exit cli_connect(struct cli *c);
enum cli_exit cli_get(struct cli *c, const char *path, json_t **ret);
/* All pages of a list, or the first max items. */
enum cli_exit cli_list(struct cli *c, const char *path, json_t **ret);
enum cli_exit cli_list_some(struct cli *c, const char *path, size_t max, json_t **ret);
/* ret may be NULL.  body is stolen. */
enum cli_exit cli_send(struct cli *c, const char *method, const char *path, json_t *body,
                       json_t **ret);
/* The same with the ETag of what is at path now (PATCH is a merge patch). */
enum cli_exit cli_change(struct cli *c, const char *method, const char *path, json_t *body,
                         json_t **ret);
/* POST to path with the ETag of what is at seen now. */
enum cli_exit cli_send_seen(struct cli *c, const char *path, const char *seen, json_t *body,
                            json_t **ret);
/* GET object, show it as columns or JSON. */
enum cli_exit cli_get_list_show(struct cli *c, const char *path, const struct column *cols,
                                size_t n);
/* "Done." or the JSON answer. */
enum cli_exit done(const struct cli *c, const json_t *answer);

/* One line from the terminal (without echo unless echo), or from standard input when that is no
 * terminal. Heap, wipe it; NULL: nothing was entered. (session.c) */
MUST_USE char *read_secret(const struct cli *c, enum text prompt, bool echo);

/* --- verbs */
#define CLI_VERBS(X)                                                                               \
    X(login)                                                                                       \
    X(rollout)                                                                                     \
    X(logout)                                                                                      \
    X(set) X(preset)                                                                               \
    X(unset) X(drain) X(undrain) X(publish) X(get) X(explain) X(diff) X(discard) X(drafts) X(revisions) X(show)        \
        X(restore) X(undo) X(devices) X(device) X(mode) X(rename) X(hold) X(release) X(revoke)     \
            X(approve) X(reject) X(retire) X(proposal) X(adopt) X(plan) X(status) X(catalog)       \
                X(groups) X(group) X(list) X(join_token) X(tokens) X(accounts) X(audit) X(figures) X(event_policy) X(messages) X(trace) X(events) X(rollouts) X(dry_runs) X(recovery) X(trust)        \
                    X(overrides) X(secrets) X(export) X(import) X(import_exceptions)                          \
                        X(commands) X(command) X(self_check) X(queue) X(service) X(debug_bundle) X(rotate_key) X(instances) X(reinstate) X(test_message) X(drift) \
                    X(alerts) X(alert) X(alert_rules) X(alert_rule) X(alert_channels) X(alert_channel) X(alert_notices) X(silences) X(silence) X(version) X(help)
#define X(name) enum cli_exit verb_##name(struct cli *c);
CLI_VERBS(X)
#undef X
