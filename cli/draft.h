/* draft.h - the caller's open draft, for the verbs that edit, show and publish it. */
#pragma once

#include "cli.h"

/* The draft --draft names, or the caller's newest open one; *ret_id empty when there is none
 * (EXIT_OK_). */
MUST_USE enum cli_exit draft_find(struct cli *c, char ret_id[64]);
/* The same, with create: made when there is none (*ret_made). */
MUST_USE enum cli_exit draft_need(struct cli *c, char ret_id[64], bool *ret_made);
/* Throw it away; what goes wrong is said. */
void draft_remove(struct cli *c, const char *id);
/* Print what it changes, where, and every finding; *ret_refused (may be NULL): how many would
 * refuse a publication. */
MUST_USE enum cli_exit draft_show(struct cli *c, const char *id, size_t *ret_refused);
/* Print the items of a diff document; returns how many there are. */
size_t draft_show_diff(const struct cli *c, const json_t *diff);
