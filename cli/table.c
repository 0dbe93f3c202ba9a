#include "table.h"

#include <stdarg.h>
#include <stdlib.h>

struct table {
    size_t columns;
    char **cell;
    size_t n, size;
    bool failed;
};

enum { GROW = 64, CELL_MAX = 64 * 1024 };

struct table *table_new(size_t columns)
{
    struct table *t = calloc(1, sizeof(*t));

    if (t != NULL)
        t->columns = columns;
    return t;
}

void table_free(struct table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t);
}

static void add_owned(struct table *t, char *s)
{
    if (s == NULL) {
        t->failed = true;
        return;
    }
    if (t->n == t->size) {
        char **more = realloc(t->cell, (t->size + GROW) * sizeof(*more));
        if (more == NULL) {
            t->failed = true;
            free(s);
            return;
        }
        t->cell = more;
        t->size += GROW;
    }
    t->cell[t->n++] = s;
}

void table_cell(struct table *t, const char *s)
{
    add_owned(t, strdup(s == NULL ? "" : s));
}

void table_cellf(struct table *t, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    add_owned(t, s);
}

size_t table_rows(const struct table *t)
{
    return t->n / t->columns;
}

/* One code point; bytes that are not UTF-8 count as one each. */
static unsigned next_code(const char **p)
{
    const unsigned char *s = (const unsigned char *)*p;
    unsigned code = s[0];
    int more = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : s[0] >= 0xc0 ? 1 : 0;

    if (more > 0)
        code = s[0] & (0x3fU >> more);
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            (*p)++;
            return s[0];
        }
        code = code << 6 | (s[i] & 0x3fU);
    }
    *p += more + 1;
    return code;
}

static bool in_range(unsigned code, const unsigned (*r)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (code >= r[i][0] && code <= r[i][1])
            return true;
    return false;
}

static unsigned code_width(unsigned code)
{
    static const unsigned wide[][2] = {
        {0x1100, 0x115f}, {0x2e80, 0x303e},   {0x3041, 0x33ff},  {0x3400, 0x4dbf}, {0x4e00, 0x9fff},
        {0xa000, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},  {0xfe30, 0xfe6f}, {0xff00, 0xff60},
        {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
    static const unsigned none[][2] = {
        {0x0300, 0x036f}, {0x200b, 0x200f}, {0x3099, 0x309a}, {0xfe00, 0xfe0f}};

    if (in_range(code, none, COUNT_OF(none)))
        return 0;
    return in_range(code, wide, COUNT_OF(wide)) ? 2 : 1;
}

size_t text_width(const char *utf8)
{
    size_t w = 0;

    while (*utf8 != '\0')
        w += code_width(next_code(&utf8));
    return w;
}

/* C0, DEL, C1 and the characters that turn the direction of text could make a line look like
 * another one. */
static bool is_hidden(unsigned code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

void print_safe(FILE *to, const char *s)
{
    while (*s != '\0') {
        const char *from = s;
        unsigned code = next_code(&s);
        if (is_hidden(code))
            fputc('?', to);
        else
            fwrite(from, 1, (size_t)(s - from), to);
    }
}

void print_lines(FILE *to, const char *s)
{
    while (*s != '\0') {
        const char *from = s;
        unsigned code = next_code(&s);
        if (is_hidden(code) && code != '\n' && code != '\t')
            fputc('?', to);
        else
            fwrite(from, 1, (size_t)(s - from), to);
    }
}

static size_t column_width(const struct table *t, size_t column)
{
    size_t width = 0;

    for (size_t i = column; i < t->n; i += t->columns) {
        size_t w = text_width(t->cell[i]);
        if (w > width)
            width = w;
    }
    return width;
}

void table_print(const struct table *t, FILE *to, unsigned indent)
{
    size_t *width = calloc(t->columns, sizeof(*width));

    if (width == NULL || t->failed) {
        fputs("inarictl: out of memory\n", stderr);
        free(width);
        return;
    }
    for (size_t c = 0; c < t->columns; c++)
        width[c] = column_width(t, c);
    for (size_t i = 0; i < t->n; i++) {
        size_t c = i % t->columns;
        bool last = c + 1 == t->columns || i + 1 == t->n;
        if (c == 0)
            fprintf(to, "%*s", (int)indent, "");
        print_safe(to, t->cell[i]);
        if (last)
            fputc('\n', to);
        else
            fprintf(to, "%*s", (int)(width[c] - text_width(t->cell[i]) + 2), "");
    }
    free(width);
}
