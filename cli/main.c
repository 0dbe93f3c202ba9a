/* inarictl - the command line of the parent: verbs.c is the table of contents. */
#include "cli.h"

#include <stdlib.h>

static enum cli_exit run(struct cli *c)
{
    struct err e = {0};

    if (cli_flag(c, "help"))
        return verb_help(c);
    if (cli_opt(c, "lang") != NULL && !is_one_of(cli_opt(c, "lang"), "en|ja"))
        return usage(c, T_OPTION_BAD, "lang", cli_opt(c, "lang"), "en ja");
    if (conf_load(&c->conf, cli_opt(c, "url"), cli_opt(c, "ca"), cli_opt(c, "pin"), &e) != ERR_OK ||
        apiclient_global_init(&e) != ERR_OK)
        return fail(c, &e, NULL);
    return c->verb->run(c);
}

static const struct verb *choose(struct cli *c, int argc, char **argv, int *first)
{
    *first = 2;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return verb_find("help");
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return verb_find("version");
    c->verb = verb_find(argv[1]);
    if (c->verb == NULL) {
        complain(c, T_UNKNOWN_VERB, argv[1]);
        complain(c, T_SEE_HELP, "");
    }
    return c->verb;
}

int main(int argc, char **argv)
{
    struct cli c = {.lang = text_lang(NULL)};
    enum cli_exit rc = EXIT_USAGE;
    int first = 0;

    opts_verb_first(argc, argv);
    c.verb = choose(&c, argc, argv, &first);
    if (c.verb != NULL)
        rc = argc < 2 ? EXIT_OK_ : opts_parse(&c, argc - first, argv + first);
    if (c.verb != NULL && rc == EXIT_OK_)
        rc = run(&c);
    apiclient_free(c.client);
    conf_clear(&c.conf);
    if (fflush(stdout) != 0 && rc == EXIT_OK_)
        rc = EXIT_ERROR;
    return argc < 2 ? EXIT_USAGE : (int)rc;
}
