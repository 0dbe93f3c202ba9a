/* tar.h - a tar archive (POSIX ustar) in memory: regular files of text, owner root, mode 0600. */
#pragma once

#include "base/strbuf.h"

/* Append one file; name at most 99 bytes. */
void tar_add(struct strbuf *out, const char *name, struct slice data, int64_t mtime_s);
void tar_end(struct strbuf *out);
