/* postfix_read.h - what the live files say: in catalog words, against a plan, and which digest they
 * carry. */
#pragma once

#include "json/json_in.h"
#include "targets/postfix.h"
#include "targets/postfix_cf.h"
#include "targets/rendition.h"

/* "settings", "unreadable" and "foreign" of what main.cf and master.cf say now, into answer. */
MUST_USE enum err_code postfix_read(const struct postfix *p, json_t *answer, struct err *e);
/* Owned parameters, services and tables of the live files that are not as planned. */
MUST_USE enum err_code postfix_compare(const struct postfix *p, const struct plan *plan,
                                       cf_diff_fn *fn, void *ctx, struct err *e);
/* The digests main.cf and master.cf carry; "" when there is none. */
void postfix_digests(const struct postfix *p, char in_main[DIGEST_SIZE],
                     char in_master[DIGEST_SIZE]);
