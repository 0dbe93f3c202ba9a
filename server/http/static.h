/*
 * static.h - the console's files, read into memory at start: a request can only name what was loaded, so no path of a
 * request ever reaches the file system.  NAME.br and NAME.gz beside NAME are served to callers that accept them.
 * Threads: immutable once loaded.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum { STATIC_FILES_MAX = 2000, STATIC_FILE_MAX = 16 * 1024 * 1024, STATIC_TOTAL_MAX = 128 * 1024 * 1024 };

struct static_body {
    struct slice bytes; /* p NULL: not there */
    char etag[24];      /* without quotes */
};
struct static_file {
    char *path; /* "/assets/index-4f.js" */
    const char *type;
    bool immutable; /* below /assets/: the name holds a hash of the content */
    struct static_body plain, gz, br;
};
struct static_files;

/* Every regular file below dir.  dir NULL or not there: an empty set.  ERR_STORAGE, ERR_TOO_LARGE. */
MUST_USE enum err_code static_load(const char *dir, struct static_files **ret, struct err *e);
void static_free(struct static_files *f);
DEFINE_CLEANUP(struct static_files, static_free);
/* "/" is "/index.html".  NULL: none. */
const struct static_file *static_find(const struct static_files *f, struct slice path);
/* The body for an Accept-Encoding (NULL: none sent); *ret_coding: its Content-Encoding or NULL. */
const struct static_body *static_body(const struct static_file *f, const char *accept, const char **ret_coding);
size_t static_count(const struct static_files *f);
