/*
 * condition_text.h - what a device says of itself, in the language of who asks.  A device writes
 * English; what it wrote is recognised by its fixed parts, and the parts between them are kept.
 * Threads: any; pure.
 */
#pragma once

#include "base/err.h"
#include "base/strbuf.h"
#include "json/json_in.h"

/* message of a condition of that type and reason ("": none was told) in lang; what is not known (of
 * another version of the agent) and what is empty stays as it is. */
void condition_text(const char *type, const char *reason, const char *message, enum lang lang,
                    struct strbuf *out);
/* conditions: array of {"type","reason","message",...}, changed.  false: out of memory. */
MUST_USE bool conditions_tell_in(json_t *conditions, enum lang lang);
