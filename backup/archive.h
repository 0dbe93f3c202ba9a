/*
 * archive.h - the inside of a backup: a tar (POSIX ustar/pax) of regular files, the first of them manifest.json, which
 * names every other one with its size and SHA-256.
 * Reading is strict: only the names asked for, regular files, each once, bounded; nothing is written outside the folder.
 */
#pragma once

#include "json/json_in.h"

struct archive_member {
    const char *name; /* inside: "database.dump", "state/parent.key" */
    const char *path; /* on disk */
};

enum { ARCHIVE_MEMBERS_MAX = 16 };

/* SHA-256 of a file in hexadecimal, and its size.  ERR_NOT_FOUND when it is not there. */
MUST_USE enum err_code archive_digest(const char *path, char ret_hex[65], int64_t *ret_size, struct err *e);
/* manifest: "members" is filled in by this.  out: made 0600. */
MUST_USE enum err_code archive_write(const char *out, json_t *manifest, const struct archive_member *m, size_t n,
                                     struct err *e);
/* Unpack in into the empty folder dir and compare each file with the manifest.  names: NULL-terminated list of what may
 * be there.  *ret: the manifest, new reference.  ERR_MALFORMED names the member. */
MUST_USE enum err_code archive_read(const char *in, const char *dir, const char *const *names, json_t **ret,
                                    struct err *e);
