/*
 * maillog_head.h - what every line of Postfix's log begins with, and the small tools with which the
 * rest of one is read.  Pure; every slice lies inside the line.  Threads: any.
 *
 * RFC 3339 time (rsyslog of Debian 12) or "Mon DD HH:MM:SS" (this host's time), host,
 * "postfix.../service[pid]: text".  The part before the last "/" is the syslog_name of the instance
 * and, for some services of master.cf, of the service.
 */
#pragma once

#include "base/slice.h"

struct maillog_head {
    int64_t at_ms;        /* wall time the line says; -1: it says none */
    struct slice name;    /* "postfix", "postfix-in", "postfix/submission" */
    struct slice service; /* "smtpd", "qmgr" ... */
    struct slice pid;     /* digits */
    struct slice text;    /* what follows */
};
/* false: not a line of Postfix; at_ms may be set all the same. */
bool maillog_head_read(struct slice line, int64_t now_ms, struct maillog_head *ret);

/* "QUEUEID: rest": the id, *text behind it; NOQUEUE is none (*text behind it all the same), nor is
 * a word like "warning". */
struct slice ml_take_id(struct slice *text);
/* Is that a queue id, short or long? */
bool ml_is_id(struct slice s);

static inline struct slice ml_from(struct slice s, size_t at)
{
    return at >= s.n ? (struct slice){NULL, 0} : (struct slice){s.p + at, s.n - at};
}

static inline struct slice ml_first(struct slice s, size_t n)
{
    return (struct slice){s.p, n < s.n ? n : s.n};
}

/* Where word begins; s.n when it is not there. */
static inline size_t ml_find(struct slice s, const char *word)
{
    const char *p = s.n == 0 ? NULL : memmem(s.p, s.n, word, strlen(word));

    return p == NULL ? s.n : (size_t)(p - s.p);
}

static inline bool ml_has(struct slice s, const char *word)
{
    return ml_find(s, word) != s.n;
}

/* The last one. */
static inline size_t ml_rfind(struct slice s, const char *word)
{
    size_t found = s.n, n = strlen(word);

    for (size_t at = 0, here; at < s.n && (here = ml_find(ml_from(s, at), word)) != s.n - at;
         at = found + n)
        found = at + here;
    return found;
}

static inline struct slice ml_until(struct slice s, char stop)
{
    const char *p = s.n == 0 ? NULL : memchr(s.p, stop, s.n);

    return p == NULL ? s : (struct slice){s.p, (size_t)(p - s.p)};
}

/* What follows word, up to stop; empty when word is not there. */
static inline struct slice ml_after(struct slice s, const char *word, char stop)
{
    return ml_until(ml_from(s, ml_find(s, word) + strlen(word)), stop);
}

static inline bool ml_skip(struct slice *s, const char *word)
{
    size_t n = strlen(word);

    if (!slice_starts(*s, word))
        return false;
    *s = (struct slice){s->p + n, s->n - n};
    return true;
}

static inline bool ml_ends(struct slice s, const char *end)
{
    size_t n = strlen(end);

    return s.n >= n && n > 0 && memcmp(s.p + s.n - n, end, n) == 0;
}

/* Where the '>' of an address is that begins at the start of s and is followed by next (">, ");
 * s.n: it has none.  A local part in quotes may hold anything. */
static inline size_t ml_close(struct slice s, const char *next)
{
    size_t i = 0;

    if (s.n > 0 && s.p[0] == '"')
        for (i = 1; i < s.n && s.p[i] != '"'; i++)
            i += s.p[i] == '\\';
    return i >= s.n ? s.n : i + ml_find(ml_from(s, i), next);
}

static inline size_t ml_address_end(struct slice s)
{
    return ml_close(s, ">, ");
}
