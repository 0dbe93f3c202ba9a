#include "texts.h"

#include <stdlib.h>
#include <string.h>

static const char *const texts[TEXT_COUNT][2] = {
#define X(id, en, ja) [id] = {en, ja},
#include "texts.def"
#undef X
};

const char *text_get(enum text id, enum lang lang)
{
    return texts[id][lang == LANG_JA];
}

enum lang text_lang(const char *wanted)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

    for (size_t i = 0; wanted == NULL && i < COUNT_OF(names); i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && v[0] != '\0')
            wanted = v;
    }
    return wanted != NULL && strncmp(wanted, "ja", 2) == 0 ? LANG_JA : LANG_EN;
}
