/* catalog_private.h - between the generated tables and the files of lib/catalog. */
#pragma once

#include "catalog/catalog.h"

extern const struct setting catalog_rows[];
extern const size_t catalog_n_rows;

/* The longest normalised text of a value: eight next hops. */
enum { CATALOG_TEXT_MAX = 2304 };

/* Check one text against a column and write its normal form.  name: for messages; false: a finding
 * was added. */
MUST_USE bool catalog_text(const struct setting_field *fd, struct slice in, const char *name,
                           const char *pointer, char out[CATALOG_TEXT_MAX], struct findings *f);

/* {"$unset":true} or {"$remove":true}, and nothing beside it. */
bool catalog_is_marker(const json_t *v, const char *word);
