/*
 * change.h - what "set" and "unset" are given, turned into a merge patch of one layer
 * (docs/internals/api.md, drafts): KEY=VALUE               a plain setting; sizes like 40M, times
 * like 5m, yes/no KEY+=ROW[,ROW...]       add rows to a list          KEY+=@FILE   one row a line,
 * # comments KEY-=ROW[,ROW...]       take rows out of the list at this layer and hide inherited
 * ones KEY[ROW].FIELD=VALUE    one member of a row (adds the row) KEY[ROW]=JSON           a whole
 * row KEY={"ROW":{...}}       rows as JSON
 */
#pragma once

#include "cli.h"

struct assignment {
    char key[128];
    char row[384];
    char field[64];
    bool has_row;
    enum { ASSIGN_SET, ASSIGN_ADD, ASSIGN_REMOVE } op;
    const char *value; /* borrowed from the argument; NULL: only a name was given */
};

/* false: not of that form. */
MUST_USE bool assignment_parse(const char *text, struct assignment *ret);
/* Put one argument of "set" into layer (borrowed object).  Prints what is wrong; EXIT_USAGE or
 * EXIT_REFUSED. */
MUST_USE enum cli_exit change_set(const struct cli *c, json_t *layer, const char *arg);
#define CHANGE_EXACTLY "$exactly"
/* --device and --group exclude each other. */
MUST_USE enum cli_exit change_check_options(struct cli *c);
/* One KEY or KEY[ROW] of "unset": this layer says nothing about it any more, or (to_default) sets
 * it to the built-in default whatever lower layers say. */
MUST_USE enum cli_exit change_unset(const struct cli *c, json_t *layer, const char *arg,
                                    bool to_default);
/* A draft's "changes" with layer (stolen) as the layer that --device or --group names; the fleet
 * without. */
MUST_USE json_t *change_wrap(const struct cli *c, json_t *layer);
