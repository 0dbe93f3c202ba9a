/* value.h - the words a person types for a value of the catalog's types. */
#pragma once

#include "cli.h"

#include "catalog/catalog.h"

/* New reference in *ret.  EXIT_REFUSED: text is not of the type (said on standard error, naming
 * key). Ranges and the rest are the parent's to check: it has the last word anyway. */
MUST_USE enum cli_exit value_parse(const struct cli *c, const char *key,
                                   const struct setting_field *f, const char *text, json_t **ret);
/* "65536", "40M", "1G": binary multiples. */
MUST_USE bool parse_bytes(const char *text, int64_t *ret);
