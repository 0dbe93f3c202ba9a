/* ini_private.h - between ini.c (lines and sections) and ini_value.c (what a value may be). */
#pragma once

#include "foxproxy/ini.h"

/* Each takes the whole value; the error says what is possible. */
typedef enum err_code ini_take(struct ini *ini, struct slice value, struct err *e);

struct ini_key {
    const char *name;
    ini_take *take;
    bool many;     /* may stand more than once */
    bool required; /* in its section */
};

struct ini_section {
    const char *name;
    const struct ini_key *keys;
    size_t n;
    bool required;
};

extern const struct ini_section ini_sections[];
extern const size_t ini_sections_n;
