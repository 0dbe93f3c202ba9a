#include "domain/event_text.h"

#include <stdio.h>
#include <strings.h>

struct slice event_text_cut(struct slice s, size_t max)
{
    if (s.n <= max)
        return s;
    for (s.n = max; s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80;)
        s.n--;
    return s;
}

/* Bytes of the character at the beginning; 0: it is none. */
static size_t character(struct slice s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return c != 0 && n <= s.n && slice_is_utf8((struct slice){s.p, n}) ? n : 0;
}

void event_text_escape(struct slice s, struct strbuf *b)
{
    while (s.n > 0) {
        size_t n = character(s), taken = n == 0 ? 1 : n;
        char hex[8];

        (void)snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)s.p[0]);
        if (b->n + (n == 0 ? 4 : n) > b->max)
            return;
        strbuf_add(b, n == 0 ? slice_of(hex) : (struct slice){s.p, n});
        s = (struct slice){s.p + taken, s.n - taken};
    }
}

struct slice event_text_before_subject(struct slice s)
{
    static const char mark[] = "subject:";
    size_t n = sizeof mark - 1;

    for (size_t i = 0; i + n <= s.n; i++)
        if (strncasecmp(s.p + i, mark, n) == 0)
            return (struct slice){s.p, i + n};
    return s;
}
