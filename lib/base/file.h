/*
 * file.h - reading whole files and replacing them so that a crash leaves the old or the new one.
 */
#pragma once

#include "base/strbuf.h"

#include <sys/types.h>

/* Read a whole regular file of at most max bytes into a heap string (NUL-terminated, *ret_n without the NUL).
 * ERR_NOT_FOUND when it is not there, ERR_TOO_LARGE, ERR_STORAGE otherwise. */
MUST_USE enum err_code file_read(const char *path, size_t max, char **ret, size_t *ret_n, struct err *e);
/* Replace path: temporary file beside it, fsync, rename, fsync of the folder.  ERR_STORAGE: path is as it was,
 * or (only when the last fsync failed) new.  mode is set before a byte is written. */
MUST_USE enum err_code file_write_atomic(const char *path, struct slice data, mode_t mode, struct err *e);
/* mkdir -p; existing folders keep their mode. */
MUST_USE enum err_code file_mkdirs(const char *path, mode_t mode, struct err *e);
MUST_USE enum err_code file_fsync_dir(const char *path, struct err *e);
/* Remove a tree; what is not there is no error.  Symbolic links are removed, never followed. */
MUST_USE enum err_code file_remove_tree(const char *path, struct err *e);
/* Take the exclusive lock (flock) of an open file; up to 2 s are waited, because a holder that was killed keeps its files
 * for a moment after its name is gone from /proc.  false: somebody holds it who lives. */
MUST_USE bool file_lock(int fd);
