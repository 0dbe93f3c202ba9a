#include "loop/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum lang say_lang(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && v[0] != '\0')
            return strncmp(v, "ja", 2) == 0 ? LANG_JA : LANG_EN;
    }
    return LANG_EN;
}

const char *say_tr(const char *en, const char *ja)
{
    return say_lang() == LANG_JA ? ja : en;
}

void say_error(const struct err *e)
{
    const struct problem_text *t = &problem_texts[e->code];
    const char *remedy = t->remedy[say_lang()];

    (void)fprintf(stderr, "inari-agent: %s: %s\n", t->title[say_lang()], e->msg);
    if (remedy != NULL && remedy[0] != '\0')
        (void)fprintf(stderr, "  %s %s\n", say_tr("What to do:", "対処:"), remedy);
}

int say_exit_of(enum err_code code)
{
    int status = err_http_status(code);

    if (code == ERR_OK)
        return EXIT_OK;
    if (code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_OVERLOADED)
        return EXIT_UNREACHABLE;
    return status >= 400 && status < 500 ? EXIT_REFUSED : EXIT_FAILED;
}
