/* rollout.h - how publications reach the devices: what publish, wait and rollout share. */
#pragma once

#include "cli.h"

/* {"strategy":...} from --strategy, --waves, --max-unavailable, --bake, --on-failure, --approval and --expedite; *ret NULL
 * when none was given.  Prints what is wrong. */
enum cli_exit rollout_options(struct cli *c, json_t **ret);
#define ROLLOUT_SYNTAX                                                                             \
    "[--strategy auto|all|waves] [--waves N|N%|per-group,...] [--max-unavailable N|N%] [--bake "   \
    "TIME] [--on-failure halt|revert] [--approval] [--expedite]"
#define ROLLOUT_OPTIONS "strategy= waves= max-unavailable= bake= on-failure= approval expedite"

/* Show the fleet's policy, or change it: MEMBER=VALUE ... */
enum cli_exit rollout_policy(struct cli *c);
/* Will it go on by itself? */
bool rollout_moves(const json_t *rollout);
/* Why it is in its state, for people. */
const char *rollout_reason(const struct cli *c, const char *reason);
