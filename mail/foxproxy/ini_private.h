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
    const char *name; /* with begin: of many, [name OTHER] */
    ini_take *begin;  /* NULL, or takes OTHER */
    const struct ini_key *keys;
    size_t n;
    bool required;
};

/* ini_value.c */
enum err_code ini_take_number(struct slice v, uint64_t min, uint64_t max, int64_t *ret,
                              struct err *e);
enum err_code ini_take_mode(struct slice v, enum ini_mode *ret, struct err *e);

/* ini_reputation.c */
enum { INI_REPUTATION_KEYS = 4, INI_ZONE_KEYS = 3 };
extern const struct ini_key ini_reputation_keys[INI_REPUTATION_KEYS], ini_zone_keys[INI_ZONE_KEYS];
ini_take ini_zone_begin;
void ini_zones_finish(struct ini *ini); /* what of a zone depends on its other keys */

extern const struct ini_section ini_sections[];
extern const size_t ini_sections_n;
