/*
 * smtp_reply.h - one reply of an SMTP or LMTP server, out of the bytes that have come so far.
 * Source: RFC 5321 4.2 (reply lines), 4.5.3.1.5 (512 bytes a line; we allow more, Postfix can be
 * set so). Pure; what it reads was sent by somebody else and is fuzzed
 * (tests/fuzz/fuzz_smtp_reply.c).
 */
#pragma once

#include "base/slice.h"

enum {
    SMTP_REPLY_LINE_MAX = 2048,
    SMTP_REPLY_LINES_MAX = 128,
    SMTP_REPLY_TEXT_MAX = 512,
    SMTP_REPLY_MAX = 16 * 1024
};

enum smtp_reply_state {
    SMTP_REPLY_MORE, /* not whole yet */
    SMTP_REPLY_DONE,
    SMTP_REPLY_BAD, /* not a reply: wrong digits, codes that differ, a line or reply too long, a
                       bare CR or LF */
};

struct smtp_reply {
    int code;    /* 200..599 */
    size_t used; /* bytes of the input it took */
    size_t lines;
    char text[SMTP_REPLY_TEXT_MAX]; /* the lines without code, joined by blanks; cut; control
                                       characters as '?' */
};

/* Written on SMTP_REPLY_DONE only. */
enum smtp_reply_state smtp_reply_parse(struct slice in, struct smtp_reply *ret);
