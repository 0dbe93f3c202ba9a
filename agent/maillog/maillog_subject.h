/*
 * maillog_subject.h - subjects in the log: found in the line of a header check that logs them, and
 * decoded (RFC 2047).
 *
 * The check is "/^Subject:(.*)/ INFO inari-subject$1" in a regexp table of header_checks: Postfix
 * writes the first 200 bytes of the header, the client, sender, recipient and HELO name, then the
 * text of the check.  What a client put in before cannot pose as that text: it must repeat the
 * header the line begins with.  A line end inside the header is a '?' in the log.
 */
#pragma once

#include "base/slice.h"

enum { MAILLOG_SUBJECT_MAX = 800 }; /* bytes of UTF-8 */
#define MAILLOG_SUBJECT_MARK "inari-subject"

/* what: behind "info: ".  *ret_value: the header's value, as written; *ret_at: where the text of
 * the check begins.  false: it is another check's. */
bool maillog_subject_find(struct slice what, struct slice *ret_value, size_t *ret_at);
/* Into UTF-8, at most size bytes, cut at a character; returns how many.  Encoded words of character
 * sets that are not known stay as they are, bytes that are wrong become U+FFFD. */
size_t maillog_subject_decode(struct slice value, char *out, size_t size);
