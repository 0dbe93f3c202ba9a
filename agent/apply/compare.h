/*
 * compare.h - are the bytes on disk the ones that were validated?  No probe sees every fault (a
 * filter rule that is skipped, a certificate that only a log line misses), so what Postfix reads is
 * compared with what was staged, byte for byte: after the renames, after the reload and before the
 * commit (apply.c).
 */
#pragma once

#include "apply/apply.h"

/* main.cf, master.cf and every table of r below the live directory against the staged ones in
 * <stage>/etc: a regular file of ours, its mode, its content.  mode: of main.cf and master.cf.
 * ERR_CHANGED_MEANWHILE: e names file and line; a copy of a differing file is kept in
 * <state>/found/.  Other errors: it could not be looked at. */
MUST_USE enum err_code compare_live(const struct helper *h, const struct rendition *r,
                                    const char *stage, struct err *e);
