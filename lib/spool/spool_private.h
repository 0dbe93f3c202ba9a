/* spool_private.h - the format, for spool_*.c and their tests. */
#pragma once

#include "spool/spool.h"

enum {
    SPOOL_HEADER = 24,
    SPOOL_RECORD = 1,
    SPOOL_MARK = 2,
    SPOOL_SEGMENTS_MAX = 4096, /* 16 GiB: more than any limit asks for */
    SPOOL_NAME_SIZE = 25       /* 20 digits, ".seg", NUL */
};

struct spool_item { /* one record or mark in memory */
    int type;
    uint64_t seq;         /* a mark: of the last record it covers */
    int64_t at_ms;        /* a mark: wall clock */
    struct slice payload; /* borrowed */
    size_t size;          /* with the header */
};

uint32_t spool_crc(uint32_t crc, const void *p, size_t n); /* CRC-32C; begin with 0 */
size_t spool_item_size(int type, size_t payload);
/* Write an item to p, which has spool_item_size() bytes. */
void spool_item_put(char *p, int type, uint64_t seq, int64_t at_ms, struct slice payload);
/* Is there a whole undamaged item at the beginning of in? */
bool spool_item_get(struct slice in, struct spool_item *ret);
/* The next one at or behind *at; what lies between is damaged, or not written yet.  *at: its place.
 */
bool spool_item_find(struct slice in, size_t *at, struct spool_item *ret);
/* Where the last mark of in ends; 0: there is none.  ret is its item. */
size_t spool_last_mark(struct slice in, struct spool_item *ret);

/* First numbers of the segments, ascending. */
MUST_USE enum err_code spool_segments(const char *dir, uint64_t *ret, size_t *ret_n, struct err *e);
void spool_segment_path(const char *dir, uint64_t first, char *buf, size_t size);
/* A segment from byte at on, at most max bytes, on the heap. */
MUST_USE enum err_code spool_segment_read(int fd, uint64_t at, size_t max, char **ret,
                                          size_t *ret_n, struct err *e);

/* What the reader keeps: the file "reader" of two slots, written in turn. */
struct spool_state {
    int fd;
    uint64_t version;
    char birth[UUID_TEXT_SIZE];
    uint64_t begins, acked, dropped;
    int64_t acked_ms;
};
/* Read it; ERR_NOT_FOUND: there is none; ERR_MALFORMED: both slots are damaged. fd stays open,
 * writable unless look. */
MUST_USE enum err_code spool_state_open(const char *dir, bool look, struct spool_state *ret,
                                        struct err *e);
MUST_USE enum err_code spool_state_create(const char *dir, struct spool_state *s, struct err *e);
/* Write s durably; on an error the one before counts. */
MUST_USE enum err_code spool_state_write(struct spool_state *s, struct err *e);
