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
/* What devices said of a change they tried: counts, then those that did not pass, or everybody. */
void dry_run_show(const struct cli *c, const json_t *run, bool everybody);
/* Have the devices try the draft, wait for them and show it.  EXIT_REFUSED when one refuses, EXIT_NOT_RUNNING when
 * nobody could say. */
enum cli_exit dry_run_on_devices(struct cli *c, const char *draft_id, int64_t timeout_s);
/* Will it go on by itself? */
bool rollout_moves(const json_t *rollout);
/* Why it is in its state, for people. */
const char *rollout_reason(const struct cli *c, const char *reason);
