#include "cli.h"

/* Is name (n bytes) among the words of options?  *takes_value: the word ends in '='. */
static bool knows(const char *options, const char *name, size_t n, bool *takes_value)
{
    struct slice rest = slice_of(options == NULL ? "" : options);

    while (rest.n > 0) {
        struct slice word = slice_cut(&rest, ' ');
        bool value = word.n > 0 && word.p[word.n - 1] == '=';
        if (value)
            word.n--;
        if (slice_eq(word, (struct slice){name, n})) {
            *takes_value = value;
            return true;
        }
    }
    return false;
}

static const char *own_name(const char *options, const char *name, size_t n)
{
    /* A borrowed NUL-terminated name: the text table has one for every option there is. */
    for (const struct option_text *t = option_texts; t->name != NULL; t++)
        if (strlen(t->name) == n && memcmp(t->name, name, n) == 0)
            return t->name;
    return options;
}

static enum cli_exit take_option(struct cli *c, char **argv, int argc, int *i)
{
    const char *name = argv[*i] + 2;
    const char *eq = strchr(name, '=');
    size_t n = eq == NULL ? strlen(name) : (size_t)(eq - name);
    const char *value = eq == NULL ? NULL : eq + 1;
    bool takes_value = false;

    if (!knows(common_options.options, name, n, &takes_value) &&
        !knows(c->verb->options, name, n, &takes_value))
        return usage(c, T_UNKNOWN_OPTION, argv[*i]);
    name = own_name("", name, n);
    if (!takes_value && value != NULL)
        return usage(c, T_OPTION_NO_VALUE, name);
    if (takes_value && value == NULL) {
        if (*i + 1 >= argc)
            return usage(c, T_OPTION_VALUE, name);
        value = argv[++*i];
    }
    if (c->n_options == COUNT_OF(c->option))
        return usage(c, T_TOO_MANY, argv[*i]);
    c->option[c->n_options].name = name;
    c->option[c->n_options++].value = value;
    return EXIT_OK_;
}

void opts_verb_first(int argc, char **argv)
{
    int at = 1;
    char *verb;

    while (at < argc && strncmp(argv[at], "--", 2) == 0 && argv[at][2] != '\0') {
        size_t n = strcspn(argv[at] + 2, "=");
        bool takes_value = false;
        (void)knows(common_options.options, argv[at] + 2, n, &takes_value);
        at += takes_value && argv[at][2 + n] == '\0' ? 2 : 1;
    }
    if (at >= argc)
        return;
    verb = argv[at];
    memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof *argv);
    argv[1] = verb;
}

static enum cli_exit check_count(struct cli *c)
{
    if (c->n_args < c->verb->min_args)
        return usage(c, T_TOO_FEW);
    if (c->verb->max_args >= 0 && c->n_args > c->verb->max_args)
        return usage(c, T_TOO_MANY, c->arg[c->verb->max_args]);
    return EXIT_OK_;
}

enum cli_exit opts_parse(struct cli *c, int argc, char **argv)
{
    bool only_args = false;
    enum cli_exit rc = EXIT_OK_;

    c->arg = argv; /* arguments are moved together at the front */
    for (int i = 0; i < argc && rc == EXIT_OK_; i++) {
        if (only_args || strncmp(argv[i], "--", 2) != 0)
            c->arg[c->n_args++] = argv[i];
        else if (argv[i][2] == '\0')
            only_args = true;
        else
            rc = take_option(c, argv, argc, &i);
    }
    c->json = cli_flag(c, "json");
    c->dry_run = cli_flag(c, "dry-run");
    if (cli_opt(c, "lang") != NULL)
        c->lang = text_lang(cli_opt(c, "lang"));
    if (rc == EXIT_OK_ && !cli_flag(c, "help"))
        rc = check_count(c);
    return rc;
}

static bool given(const struct cli *c, const char *name, const char **value)
{
    for (size_t i = c->n_options; i-- > 0;) {
        if (strcmp(c->option[i].name, name) == 0) {
            *value = c->option[i].value;
            return true;
        }
    }
    return false;
}

const char *cli_opt(const struct cli *c, const char *name)
{
    const char *value = NULL;

    return given(c, name, &value) ? value : NULL;
}

bool cli_flag(const struct cli *c, const char *name)
{
    const char *value = NULL;

    return given(c, name, &value);
}

bool is_one_of(const char *word, const char *list)
{
    struct slice rest = slice_of(list);

    while (rest.n > 0)
        if (slice_is(slice_cut(&rest, '|'), word))
            return true;
    return false;
}

bool parse_seconds(const char *text, int64_t *ret)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    struct slice s = slice_of(text);
    int64_t each = 1;
    uint64_t v;

    for (size_t i = 0; s.n > 1 && i < COUNT_OF(units); i++) {
        if (s.p[s.n - 1] == units[i].unit) {
            each = units[i].s;
            s.n--;
            break;
        }
    }
    if (!parse_u64(s, 0, (uint64_t)(INT64_MAX / each), &v))
        return false;
    *ret = (int64_t)v * each;
    return true;
}

enum cli_exit cli_opt_seconds(struct cli *c, const char *name, int64_t fallback, int64_t *ret)
{
    const char *v = cli_opt(c, name);

    *ret = fallback;
    if (v != NULL && !parse_seconds(v, ret))
        return usage(c, T_OPTION_DURATION, name, v);
    return EXIT_OK_;
}

enum cli_exit cli_opt_int(struct cli *c, const char *name, int64_t min, int64_t max,
                          int64_t fallback, int64_t *ret)
{
    const char *v = cli_opt(c, name);

    *ret = fallback;
    if (v != NULL && !parse_i64(slice_of(v), min, max, ret))
        return usage(c, T_OPTION_NUMBER, name, v, (long long)min, (long long)max);
    return EXIT_OK_;
}
