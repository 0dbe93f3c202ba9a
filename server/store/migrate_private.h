/* migrate_private.h - the migrations compiled into the program. */
#pragma once

#include <stddef.h>

struct migration {
    int number;       /* 1.. without gaps; 0 ends the list */
    const char *name; /* "base" */
    const char *sql;
};
extern const struct migration migrations[];
