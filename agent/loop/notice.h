/*
 * notice.h - the parents' signed notice: where they are, which devices are revoked.
 * Source:   docs/internals/wire.md.  Threads: any.
 */
#pragma once

#include "loop/trust.h"

/* Read a notice of this fleet.  *ret: new reference.  ERR_SIGNATURE: not by a bundle key of the
 * trust document, or of another fleet; ERR_MALFORMED; ERR_REFUSED: it has run out. */
MUST_USE enum err_code notice_open(struct slice text, const struct trust *t, const char *fleet,
                                   int64_t now_ms, json_t **ret, struct err *e);
/* Keep the newest one of a parent that was well, and the kept one (heap); ERR_NOT_FOUND: there is none. */
MUST_USE enum err_code notice_keep(const char *dir, struct slice text, struct err *e);
MUST_USE enum err_code notice_kept(const char *dir, char **ret, struct err *e);
bool notice_revokes(const json_t *notice, const char *device_id);
/* Where parents are: current first, which answers now, then the notice's others.  New reference;
 * NULL: the notice names none, or one that is no https:// address, or not current: this child goes
 * another way (a proxy, an address translator), and keeps its own list. */
json_t *notice_addresses(const json_t *notice, const char *current);
