/*
 * unpack.h - what a peer packed with zstd, a piece at a time, however much it swells.
 * Source:  RFC 8878; libzstd.  One frame with nothing behind it; no dictionary.
 * Bounds:  a window of at most 8 MiB (the memory this takes, beside 256 KiB), and as many bytes as the caller says in all.
 * Threads: one at a time.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

struct unpack;

enum { UNPACK_WINDOW_LOG = 23 };

/* in: borrowed until unpack_free().  max: bytes in all, after which there is ERR_TOO_LARGE.  NULL: out of memory. */
MUST_USE struct unpack *unpack_new(struct slice in, size_t max);
void unpack_free(struct unpack *u);
DEFINE_CLEANUP(struct unpack, unpack_free);
/* The next piece, borrowed until the next call; n 0: that was all.  ERR_MALFORMED: no zstd, damaged, cut off, or more behind
 * it; ERR_TOO_LARGE: more than max, or a larger window; ERR_NO_MEMORY. */
MUST_USE enum err_code unpack_next(struct unpack *u, struct slice *ret, struct err *e);
