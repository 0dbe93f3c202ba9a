/*
 * condition_text.h - what a device says of the state of its events, in the language of who asks.  A
 * device writes English; what it wrote is recognised by its fixed parts, and the parts between them
 * are kept.  Threads: any; pure.
 */
#pragma once

#include "base/err.h"
#include "base/strbuf.h"
#include "json/json_in.h"

/* message of a condition of that type in lang; what is not known stays as it is. */
void condition_text(const char *type, const char *message, enum lang lang, struct strbuf *out);
/* conditions: array of {"type","message",...}, changed.  false: out of memory. */
MUST_USE bool conditions_tell_in(json_t *conditions, enum lang lang);
