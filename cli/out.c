#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>

enum { VALUE_TEXT_MAX = 8 * 1024 * 1024 };

const char *tx(const struct cli *c, enum text id)
{
    return text_get(id, c->lang);
}

/* The formats come from texts.def only; tests/unit/cli checks that both languages take the same
 * arguments. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void print_text(FILE *to, const char *fmt, va_list ap)
{
    char *s = NULL;

    if (vasprintf(&s, fmt, ap) < 0)
        return;
    print_safe(to, s);
    free(s);
}
#pragma GCC diagnostic pop

void say(const struct cli *c, enum text id, ...)
{
    FILE *to = c->json ? stderr : stdout;
    va_list ap;

    va_start(ap, id);
    print_text(to, tx(c, id), ap);
    va_end(ap);
    fputc('\n', to);
}

void complain(const struct cli *c, enum text id, ...)
{
    va_list ap;

    fputs("inarictl: ", stderr);
    va_start(ap, id);
    print_text(stderr, tx(c, id), ap);
    va_end(ap);
    fputc('\n', stderr);
}

enum cli_exit usage(const struct cli *c, enum text id, ...)
{
    va_list ap;

    fputs("inarictl: ", stderr);
    va_start(ap, id);
    print_text(stderr, tx(c, id), ap);
    va_end(ap);
    fputc('\n', stderr);
    if (c->verb != NULL)
        complain(c, T_SEE_HELP, c->verb->name);
    return EXIT_USAGE;
}

void print_json(const json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(1) | JSON_ENCODE_ANY);
    fputc('\n', stdout);
}

enum cli_exit cli_exit_of(enum err_code code)
{
    if (code == ERR_OK)
        return EXIT_OK_;
    if (code == ERR_SIGNATURE || code == ERR_UNAVAILABLE || code == ERR_TIMEOUT ||
        code == ERR_WRONG_PARENT)
        return EXIT_UNREACHABLE;
    switch (err_http_status(code)) {
    case 401:
    case 403:
        return EXIT_AUTH;
    case 404:
    case 410:
        return EXIT_NOT_FOUND;
    case 409:
    case 412:
    case 428:
        return EXIT_CONFLICT;
    case 422:
        return EXIT_REFUSED;
    case 429:
    case 503:
        return code == ERR_NO_MEMORY ? EXIT_ERROR : EXIT_BUSY;
    default:
        return EXIT_ERROR;
    }
}

/* One reference token of a JSON pointer: "~1" is '/', "~0" is '~'. */
static void add_token(struct strbuf *b, struct slice t)
{
    for (size_t i = 0; i < t.n; i++) {
        bool escaped = t.p[i] == '~' && i + 1 < t.n && (t.p[i + 1] == '0' || t.p[i + 1] == '1');
        strbuf_putc(b, !escaped ? t.p[i] : t.p[i + 1] == '1' ? '/' : '~');
        i += escaped;
    }
}

/* "/changes/fleet/smtp.routes/example.org/next_hop" as it is typed:
 * smtp.routes[example.org].next_hop */
static void pointer_text(struct strbuf *b, const char *pointer)
{
    struct slice rest = slice_of(pointer);
    struct slice first;

    (void)slice_cut(&rest, '/');
    first = slice_cut(&rest, '/');
    if (slice_is(first, "changes")) {
        struct slice layer = slice_cut(&rest, '/');
        if (!slice_is(layer, "fleet")) {
            add_token(b, layer);
            strbuf_putc(b, ' ');
            add_token(b, slice_cut(&rest, '/'));
            strbuf_puts(b, rest.n > 0 ? " " : "");
        }
    } else if (!slice_is(first, "settings")) {
        strbuf_puts(b, pointer + (pointer[0] == '/'));
        return;
    }
    for (int i = 0; rest.n > 0; i++) {
        struct slice token = slice_cut(&rest, '/');
        strbuf_puts(b, i == 0 ? "" : i == 1 ? "[" : ".");
        add_token(b, token);
        strbuf_puts(b, i == 1 ? "]" : "");
    }
}

static void show_finding(const struct cli *c, const json_t *f)
{
    AUTO_STRBUF struct strbuf where = STRBUF_INIT(4 * KIB);
    bool warning = json_bool(f, "warning", false);

    fprintf(stderr, "%s: ", tx(c, warning ? T_WARNING : T_REFUSED));
    if (json_str(f, "pointer", "")[0] != '\0') {
        pointer_text(&where, json_str(f, "pointer", ""));
        print_safe(stderr, strbuf_str(&where));
        fputs(": ", stderr);
    }
    print_safe(stderr, json_str(f, "message", ""));
    if (json_str(f, "id", "")[0] != '\0') {
        fputs(" [", stderr);
        print_safe(stderr, json_str(f, "id", ""));
        fputs("]", stderr);
    }
    fputc('\n', stderr);
    if (json_str(f, "remedy", "")[0] != '\0') {
        fputs("  ", stderr);
        print_safe(stderr, json_str(f, "remedy", ""));
        fputc('\n', stderr);
    }
    if (!warning && json_bool(f, "forceable", false))
        fprintf(stderr, "  %s\n", tx(c, T_FORCEABLE));
}

size_t show_findings(const struct cli *c, const json_t *findings)
{
    size_t refused = 0;
    size_t i;
    json_t *f;

    json_array_foreach(findings, i, f)
    {
        show_finding(c, f);
        refused += !json_bool(f, "warning", false);
    }
    return refused;
}

static json_t *problem_of(const struct err *e)
{
    char type[64];

    snprintf(type, sizeof(type), "%s%s", PROBLEM_TYPE_PREFIX, err_word(e->code));
    return json_pack("{s:s, s:s, s:i, s:s}", "type", type, "title", problem_texts[e->code].title[0],
                     "status", err_http_status(e->code), "detail", e->msg);
}

enum cli_exit fail(const struct cli *c, const struct err *e, const json_t *problem)
{
    const char *title = json_str(problem, "title",
                                 e->code == ERR_SIGNATURE ? tx(c, T_NOT_IDENTIFIED)
                                                          : problem_texts[e->code].title[c->lang]);
    const char *remedy = json_str(problem, "remedy", problem_texts[e->code].remedy[c->lang]);

    size_t n = json_array_size(json_object_get(problem, "errors"));

    fputs("inarictl: ", stderr);
    print_safe(stderr, title);
    if (e->msg[0] != '\0' && strcmp(e->msg, title) != 0 && n == 0) {
        fputs(": ", stderr);
        print_safe(stderr, e->msg);
    }
    fputc('\n', stderr);
    show_findings(c, json_object_get(problem, "errors"));
    if (e->code == ERR_SIGNATURE)
        complain(c, T_CERT_HINT);
    else if (remedy[0] != '\0' && n == 0)
        fprintf(stderr, "  %s\n", remedy);
    if (json_str(problem, "request_id", "")[0] != '\0' && err_http_status(e->code) >= 500)
        complain(c, T_REQUEST_ID, json_str(problem, "request_id", ""));
    if (c->json) {
        AUTO(json_free) json_t *own = problem == NULL ? problem_of(e) : NULL;
        print_json(problem == NULL ? own : problem);
    }
    return cli_exit_of(e->code);
}

const json_t *json_at(const json_t *j, const char *dotted)
{
    struct slice rest = slice_of(dotted);

    while (rest.n > 0 && j != NULL) {
        struct slice name = slice_cut(&rest, '.');
        j = json_object_getn(j, name.p, name.n);
    }
    return j;
}

void value_text(const struct cli *c, struct strbuf *b, const json_t *v)
{
    AUTO_STR char *text = NULL;

    if (v == NULL || json_is_null(v))
        return;
    if (json_is_string(v)) {
        strbuf_puts(b, json_string_value(v));
        return;
    }
    if (json_is_boolean(v)) {
        strbuf_puts(b, tx(c, json_is_true(v) ? T_YES : T_NO));
        return;
    }
    if (json_is_true(json_object_get(v, "$unset")) ||
        json_is_true(json_object_get(v, "$inherit")) ||
        json_is_true(json_object_get(v, "$remove"))) {
        strbuf_printf(b, "(%s)",
                      tx(c, json_object_get(v, "$unset") != NULL     ? T_UNSET
                            : json_object_get(v, "$inherit") != NULL ? T_INHERIT
                                                                     : T_ROW_REMOVED));
        return;
    }
    text = json_text(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    strbuf_puts(b, text == NULL ? "?" : text);
}

static void words_text(const struct cli *c, struct strbuf *b, const json_t *array)
{
    size_t i;
    json_t *v;

    json_array_foreach(array, i, v)
    {
        if (i > 0)
            strbuf_puts(b, ", ");
        if (json_is_object(v))
            strbuf_puts(b, json_str(v, "name", json_str(v, "value", json_str(v, "id", "?"))));
        else
            value_text(c, b, v);
    }
}

/* 2026-11-21T23:21:17.123Z as people read it; the zone stays visible. */
static void time_text(struct strbuf *b, const char *s)
{
    if (strlen(s) < 20) {
        strbuf_puts(b, s);
        return;
    }
    strbuf_printf(b, "%.10s %.8sZ", s, s + 11);
}

void cell_json(const struct cli *c, struct table *t, const json_t *object, const char *member,
               enum col_kind kind)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(VALUE_TEXT_MAX);
    const json_t *v = json_at(object, member);

    if (kind == COL_WORDS && json_is_array(v))
        words_text(c, &b, v);
    else if (kind == COL_COUNT && (json_is_array(v) || json_is_object(v)))
        strbuf_printf(&b, "%zu", json_is_array(v) ? json_array_size(v) : json_object_size(v));
    else if (kind == COL_TIME && json_is_string(v))
        time_text(&b, json_string_value(v));
    else
        value_text(c, &b, v);
    table_cell(t, b.n == 0 ? "-" : strbuf_str(&b));
}

void show_list(const struct cli *c, const json_t *doc, const struct column *cols, size_t n)
{
    AUTO(table_free) struct table *t = table_new(n);
    const json_t *items = json_object_get(doc, "items");
    size_t i;
    json_t *item;

    if (c->json) {
        print_json(doc);
        return;
    }
    if (t == NULL)
        return;
    if (json_array_size(items) == 0) {
        say(c, T_NOTHING_LISTED);
        return;
    }
    for (size_t k = 0; k < n; k++)
        table_cell(t, tx(c, cols[k].head));
    json_array_foreach(items, i, item) for (size_t k = 0; k < n; k++)
        cell_json(c, t, item, cols[k].member, cols[k].kind);
    table_print(t, stdout, 0);
}

void show_object(const struct cli *c, const json_t *doc, const struct column *cols, size_t n)
{
    AUTO(table_free) struct table *t = table_new(2);

    if (c->json) {
        print_json(doc);
        return;
    }
    if (t == NULL)
        return;
    for (size_t k = 0; k < n; k++) {
        if (json_at(doc, cols[k].member) == NULL)
            continue;
        table_cell(t, tx(c, cols[k].head));
        cell_json(c, t, doc, cols[k].member, cols[k].kind);
    }
    table_print(t, stdout, 0);
}

enum cli_exit done(const struct cli *c, const json_t *answer)
{
    if (c->json && answer != NULL)
        print_json(answer);
    else if (c->json)
        fputs("{}\n", stdout);
    say(c, c->dry_run ? T_DRY_RUN : T_DONE);
    return EXIT_OK_;
}
