/*
 * table.h - aligned columns on a terminal.  Widths count what the terminal shows: two for East
 * Asian wide characters, none for combining ones.  Control characters in a value (it may come from
 * a device) are shown as '?'.
 */
#pragma once

#include "base/strbuf.h"

#include <stdio.h>

struct table;

MUST_USE struct table *table_new(size_t columns); /* NULL: out of memory */
void table_free(struct table *t);
DEFINE_CLEANUP(struct table, table_free);
/* The next cell, left to right, row by row; copied. */
void table_cell(struct table *t, const char *s);
void table_cellf(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Print with two blanks between columns, indent blanks in front; the first row is the head when
 * there is one. */
void table_print(const struct table *t, FILE *to, unsigned indent);
size_t table_rows(const struct table *t);

/* Columns the text takes on a terminal. */
size_t text_width(const char *utf8);
/* Print s with control characters replaced (newlines too). */
void print_safe(FILE *to, const char *s);
/* The same for text of several lines: newlines and tabs stay. */
void print_lines(FILE *to, const char *s);
