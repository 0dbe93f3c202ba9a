/* draft.h - the caller's open draft, for the verbs that edit, show and publish it. */
#pragma once

#include "cli.h"

/* The draft --draft names, or the caller's newest open one; *ret_id empty when there is none
 * (EXIT_OK_). */
MUST_USE enum cli_exit draft_find(struct cli *c, char ret_id[64]);
/* The same, with create: made when there is none (*ret_made). */
MUST_USE enum cli_exit draft_need(struct cli *c, char ret_id[64], bool *ret_made);
/* Print the items of a diff document; returns how many there are. */
size_t draft_show_diff(const struct cli *c, const json_t *diff);
