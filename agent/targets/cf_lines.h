/* cf_lines.h - the physical and logical lines of main.cf and master.cf; shared by main_cf.c and
 * master_cf.c only. */
#pragma once

#include "targets/postfix_cf.h"

enum cf_line_kind {
    CF_SKIP /* empty or comment */,
    CF_START,
    CF_MORE /* continues the last CF_START */
};
struct cf_line {
    struct slice text; /* with its line end */
    enum cf_line_kind kind;
    size_t start; /* index of its logical line's CF_START; CF_NONE for CF_SKIP and for blanks before
                     any line */
    bool drop;    /* for editors: leave it out */
    const char *instead; /* for editors: written where the line stood; NULL: nothing */
};
#define CF_NONE ((size_t)-1)

struct cf_lines {
    struct cf_line *v;
    size_t n;
};

MUST_USE enum err_code cf_lines_split(struct slice text, struct arena *a, struct cf_lines *ret,
                                      struct err *e);
/* The logical line that starts at i: its physical lines joined, runs of blanks made one space,
 * trimmed. */
MUST_USE char *cf_logical(const struct cf_lines *l, size_t i, struct arena *a);
/* Mark the logical line at i: every physical line of it dropped, instead put in its place. */
void cf_replace(struct cf_lines *l, size_t i, const char *instead);
/* May a new logical line be put in front of line i without swallowing a continuation? */
bool cf_may_insert(const struct cf_lines *l, size_t i);
/* Write all lines, edits applied; insert goes in front of line at (n: the end). */
void cf_lines_write(const struct cf_lines *l, size_t at, const char *insert, struct strbuf *out);
/* Both whole?  ERR_NO_MEMORY passes by itself and must not be taken for what the content is guilty
 * of: ERR_TOO_LARGE, which names the file. */
MUST_USE enum err_code cf_written(const struct strbuf *a, const struct strbuf *b, const char *file,
                                  struct err *e);
bool cf_is_blank(char c);
/* Text that may stand in a value: printable or UTF-8, no control character, no blank at an end. */
bool cf_value_ok(const char *s);
