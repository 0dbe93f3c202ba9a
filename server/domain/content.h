/*
 * content.h - what a revision holds, as plain JSON, and the arithmetic on it.  Pure: no database.
 *
 * CONTENT is {"fleet":{key:value},"groups":{id:{key:value}},"devices":{id:{key:value}}}; empty
 * layers and empty lists are not there.  A LEAF is one value: (layer "fleet"|"group"|"device", id,
 * key, row), row "" for a plain value or for the
 * {"$unset":true} marker of a list.  A DIFF is an array of {"layer","id","key","row","old","new"};
 * null = nothing there. CHANGES of a draft have the form of content; {"$inherit":true} as a setting
 * or a row drops what the layer says.
 */
#pragma once

#include "catalog/catalog.h"

MUST_USE json_t *content_new(void); /* empty; NULL without memory */
/* Borrowed layer object, or NULL.  id "" for the fleet. */
json_t *content_layer(const json_t *content, const char *layer, const char *id);
/* Borrowed value of a leaf, or NULL. */
json_t *content_get(const json_t *content, const char *layer, const char *id, const char *key,
                    const char *row);
/* value NULL or JSON null: remove.  false: out of memory. */
MUST_USE bool content_set(json_t *content, const char *layer, const char *id, const char *key,
                          const char *row, const json_t *value);
/* From a to b; new reference. */
MUST_USE json_t *content_diff(const json_t *a, const json_t *b);
/* The diff that takes it back: old and new swapped. */
MUST_USE json_t *content_inverse(const json_t *diff);

/* Apply diff to content.  A leaf that is neither old nor new there was changed by somebody else:
 * into *ret_conflicts (array of leaves, new reference; with "now"), and left alone unless force. */
MUST_USE enum err_code content_apply(json_t *content, const json_t *diff, bool force,
                                     json_t **ret_conflicts, struct err *e);

/* Merge an edit into the changes of a draft: as RFC 7396, but a marker replaces what was there and
 * is replaced. */
MUST_USE enum err_code changes_merge(json_t *changes, const json_t *patch, struct err *e);
/* content with the changes on it. */
MUST_USE enum err_code changes_apply(json_t *content, const json_t *changes, struct err *e);
bool content_marker(const json_t *value, const char *marker); /* exactly {"$marker":true} */
