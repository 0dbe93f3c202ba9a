/* spool_check.h - a spool in a folder of its own, whose records can be told from their numbers. */
#pragma once

#include "base/strbuf.h"
#include "spool/spool_private.h"

extern char spool_dir[64];
int spool_check_begin(void **state); /* a fresh folder */
int spool_check_end(void **state);

/* The payload of a record: its number, padded to a length that depends on it. */
size_t payload_of(uint64_t seq, char *buf);
enum { PAYLOAD_SIZE = 400 };

struct spool_writer *writer(const struct spool_limits *limits);
struct spool_reader *reader(void);
void append_up_to(struct spool_writer *w, uint64_t last);
void sync_mark(struct spool_writer *w, const char *mark);
/* Read everything behind after, each record once, in order, with its own payload; how many; holes
 * are crossed and counted. */
size_t read_all(struct spool_reader *r, uint64_t after, uint64_t *ret_last, uint64_t *ret_holes);
