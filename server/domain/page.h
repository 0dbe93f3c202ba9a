/*
 * page.h - what all lists and times of the API look like.  Threads: any.
 */
#pragma once

#include "json/json_in.h"

/* The instant as text; null for 0, which is none.  New reference. */
json_t *time_json(int64_t ms);
/* ERR_INVALID: not the id of an item, nor "". */
MUST_USE enum err_code page_cursor(const char *cursor, struct err *e);
/* {"items","next"} of a page of n items that was asked for with limit: next is last_id when more may follow, else null.
 * items is taken; NULL without memory. */
json_t *page_json(json_t *items, size_t n, int64_t limit, const char *last_id);
