/* Help, the manual page (docs/man/inarictl.1 is the output of "inarictl help --roff") and the
 * version. */
#include "cli.h"

#include <stdlib.h>

static const struct {
    int number;
    const char *text[2];
} exits[] = {
#define X(name, number, en, ja) {number, {en, ja}},
    CLI_EXIT_LIST(X)
#undef X
};

static void options_of(const struct cli *c, const struct verb *v)
{
    AUTO(table_free) struct table *t = table_new(2);
    struct slice rest = slice_of(v->options);

    while (rest.n > 0) {
        struct slice word = slice_cut(&rest, ' ');
        char name[32];
        bool value = word.n > 0 && word.p[word.n - 1] == '=';
        const struct option_text *text;

        snprintf(name, sizeof(name), "%.*s", (int)(word.n - value), word.p);
        text = option_text_find(name);
        table_cellf(t, "--%s%s", name, value ? " ..." : "");
        table_cell(t, text == NULL ? "" : text->text[c->lang]);
    }
    table_print(t, stdout, 2);
}

static void exits_list(const struct cli *c)
{
    printf("\n%s\n", tx(c, T_EXITS));
    for (size_t i = 0; i < COUNT_OF(exits); i++)
        printf("  %d  %s\n", exits[i].number, exits[i].text[c->lang]);
}

static enum cli_exit overview(const struct cli *c)
{
    AUTO(table_free) struct table *t = table_new(2);

    printf("%s\n\n%s\n", tx(c, T_USAGE), tx(c, T_VERBS));
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        table_cell(t, v->name);
        table_cell(t, v->summary[c->lang]);
    }
    table_print(t, stdout, 2);
    printf("\n%s\n", tx(c, T_COMMON_OPTIONS));
    options_of(c, &common_options);
    exits_list(c);
    return EXIT_OK_;
}

enum { WRAP_COLUMNS = 78 };

/* One word of text from p: up to a blank, or a single wide character (Japanese breaks anywhere but
 * before what ends a clause). */
static size_t word_length(const char *p)
{
    size_t n = 0;

    while (p[n] != '\0' && p[n] != ' ') {
        size_t step = 1;
        while (((unsigned char)p[n + step] & 0xc0) == 0x80)
            step++;
        if (step > 1 && n > 0 && (unsigned char)p[n] >= 0xe3 && strncmp(p + n, "。", 3) != 0 &&
            strncmp(p + n, "、", 3) != 0)
            return n;
        n += step;
        if (step > 1 && strncmp(p + n, "。", 3) != 0 && strncmp(p + n, "、", 3) != 0)
            return n;
    }
    return n;
}

static void print_wrapped(const char *text)
{
    size_t column = 0;

    while (*text != '\0') {
        char word[512];
        size_t blanks = strspn(text, " ");
        size_t n = word_length(text + blanks);
        size_t width;

        snprintf(word, sizeof(word), "%.*s", (int)n, text + blanks);
        width = text_width(word);
        if (column == 0 || column + blanks + width > WRAP_COLUMNS) {
            fputs(column == 0 ? "  " : "\n  ", stdout);
            column = 2;
        } else {
            printf("%*s", (int)blanks, "");
            column += blanks;
        }
        fputs(word, stdout);
        column += width;
        text += blanks + n;
    }
    fputc('\n', stdout);
}

static enum cli_exit one(const struct cli *c, const struct verb *v)
{
    printf("inarictl %s %s\n\n  %s\n", v->name, v->syntax, v->summary[c->lang]);
    if (v->more[c->lang] != NULL) {
        fputc('\n', stdout);
        print_wrapped(v->more[c->lang]);
    }
    if (v->options[0] != '\0') {
        printf("\n%s\n", tx(c, T_OPTIONS));
        options_of(c, v);
    }
    printf("\n%s\n", tx(c, T_COMMON_OPTIONS));
    options_of(c, &common_options);
    return EXIT_OK_;
}

/* Text for roff: a backslash and a leading dot or quote mean something there. */
static void roff(const char *s)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", stdout);
    for (; *s != '\0'; s++) {
        if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else
            fputc(*s, stdout);
    }
}

static void roff_options(const char *options)
{
    struct slice rest = slice_of(options);

    while (rest.n > 0) {
        struct slice word = slice_cut(&rest, ' ');
        char name[32];
        bool value = word.n > 0 && word.p[word.n - 1] == '=';
        snprintf(name, sizeof(name), "%.*s", (int)(word.n - value), word.p);
        fputs(".TP\n\\fB\\-\\-", stdout);
        roff(name);
        printf("\\fR%s\n", value ? " \\fI...\\fR" : "");
        roff(option_text_find(name)->text[LANG_EN]);
        fputc('\n', stdout);
    }
}

static void roff_verb(const struct verb *v)
{
    fputs(".TP\n\\fB", stdout);
    roff(v->name);
    fputs("\\fR ", stdout);
    roff(v->syntax);
    fputc('\n', stdout);
    roff(v->summary[LANG_EN]);
    fputs(".\n", stdout);
    if (v->more[LANG_EN] != NULL) {
        roff(v->more[LANG_EN]);
        fputc('\n', stdout);
    }
}

static enum cli_exit roff_page(void)
{
    static const char head[] =
        ".\\\" Made by \"inarictl help --roff\" from cli/verbs.c: do not edit.\n"
        ".TH INARICTL 1 \"\" \"Inari " INARI_VERSION "\" \"Inari\"\n"
        ".SH NAME\ninarictl \\- the command line of an Inari parent\n"
        ".SH SYNOPSIS\n\\fBinarictl\\fR \\fIVERB\\fR [\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]\n"
        ".SH DESCRIPTION\nReads and changes the settings of all devices of a parent over its HTTPS "
        "API. "
        "A change is edited in a draft, published as a revision, and runs on a device when "
        "desired, "
        "on disk and running agree there.\n.SH VERBS\n";

    fputs(head, stdout);
    for (const struct verb *v = verbs; v->name != NULL; v++)
        roff_verb(v);
    fputs(".SH OPTIONS OF EVERY VERB\n", stdout);
    roff_options(common_options.options);
    fputs(".SH OTHER OPTIONS\n", stdout);
    for (const struct option_text *t = option_texts; t->name != NULL; t++) {
        if (strstr(common_options.options, t->name) != NULL)
            continue;
        fputs(".TP\n\\fB\\-\\-", stdout);
        roff(t->name);
        fputs("\\fR\n", stdout);
        roff(t->text[LANG_EN]);
        fputc('\n', stdout);
    }
    fputs(".SH EXIT STATUS\nThe numbers are a stable contract.\n", stdout);
    for (size_t i = 0; i < COUNT_OF(exits); i++) {
        printf(".TP\n.B %d\n", exits[i].number);
        roff(exits[i].text[LANG_EN]);
        fputc('\n', stdout);
    }
    fputs(".SH ENVIRONMENT\n.TP\n.B INARI_API\naddress of the parent, https://HOST:8445\n.TP\n.B "
          "INARI_CA\n"
          "PEM file of the certificate to trust; the self\\-signed certificate of the parent is "
          "one. The host name is checked\n"
          ".TP\n.B INARI_TOKEN\nAPI token; used instead of a stored session\n"
          ".TP\n.B LC_ALL\\fR, \\fBLC_MESSAGES\\fR, \\fBLANG\nJapanese texts when it starts with "
          "ja, English ones otherwise\n"
          ".SH FILES\n.TP\n.I ~/.config/inari/inarictl.json\n"
          "address, certificate and session or token, mode 0600; used only with the address it was "
          "stored for\n",
          stdout);
    return EXIT_OK_;
}

enum cli_exit verb_help(struct cli *c)
{
    const struct verb *v = c->verb;

    if (cli_flag(c, "roff"))
        return roff_page();
    if (strcmp(v->name, "help") == 0) {
        if (c->n_args == 0)
            return overview(c);
        v = verb_find(c->arg[0]);
    }
    if (v == NULL) {
        complain(c, T_UNKNOWN_VERB, c->arg[0]);
        return EXIT_USAGE;
    }
    return one(c, v);
}

enum cli_exit verb_version(struct cli *c)
{
    AUTO(json_free) json_t *parent = NULL;

    /* Asked for only where there is somebody to ask and something to ask with. */
    if (c->conf.url != NULL && (c->conf.token != NULL || c->conf.cookie != NULL) &&
        cli_get(c, "/api/v1/parent", &parent) != EXIT_OK_)
        parent = NULL;
    if (c->json) {
        AUTO(json_free)
        json_t *out = json_pack("{s:s, s:O?}", "inarictl", INARI_VERSION, "parent", parent);
        print_json(out);
        return EXIT_OK_;
    }
    printf("inarictl %s\n", INARI_VERSION);
    if (parent != NULL)
        printf("%s %s\n", tx(c, T_PARENT), json_str(parent, "version", "?"));
    return EXIT_OK_;
}
