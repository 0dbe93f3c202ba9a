/*
 * settings.h - the small configuration file of a program: "key = value" lines, # comments.
 * A row of the table is the only place where a setting exists: parser, range check, --show-settings, sample file
 * and manual read it.  An unknown key is an error with file and line.  Values land in a typed struct.
 */
#pragma once

#include "base/strbuf.h"

enum settings_kind {
    S_STR,   /* char * (heap) */
    S_PATH,  /* char * (heap), absolute */
    S_INT,   /* int64_t, min..max */
    S_SIZE,  /* int64_t bytes: 8k, 4M, 1G */
    S_MSEC,  /* int64_t milliseconds: 100ms, 5s, 2m, 1h */
    S_BOOL,  /* bool: yes/no/true/false/on/off */
    S_LIST,  /* char * (heap): words separated by commas or blanks, kept as written */
};

enum settings_flags { SF_REQUIRED = 1, SF_SECRET = 2, SF_RESTART = 4, SF_RELOAD = 8 };

struct settings_row {
    const char *key;
    enum settings_kind kind;
    size_t offset;     /* offsetof() in the typed struct */
    const char *def;   /* default, in the words of the file; NULL: none */
    int64_t min, max;  /* S_INT, S_SIZE, S_MSEC; both 0: no limit */
    unsigned flags;
    const char *doc;
};

/* Fill target with the defaults, then with the file (path NULL: defaults only).  ERR_INVALID names file, line
 * and key.  On any error target is cleared. */
MUST_USE enum err_code settings_load(const struct settings_row *rows, size_t n, const char *path, void *target,
                                     struct err *e);
void settings_clear(const struct settings_row *rows, size_t n, void *target);
/* "key = value" lines of what is in force; secrets as ***. */
void settings_show(const struct settings_row *rows, size_t n, const void *target, struct strbuf *out);
/* A commented sample file of the defaults. */
void settings_sample(const struct settings_row *rows, size_t n, struct strbuf *out);
