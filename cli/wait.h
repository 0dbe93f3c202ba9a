/*
 * wait.h - after publishing: ask the parent until every targeted device is where the caller wants
 * it, or can say why it is not.  "running" is said only when desired, on disk and running agree
 * (design.md 2). Targeted are the devices of the answer that are managed: observed ones are named,
 * but nothing is written there.
 */
#pragma once

#include "cli.h"

enum { WAIT_DEFAULT_S = 120, WAIT_STEP_MS = 400 };

struct wait_options {
    enum { WAIT_RUNNING, WAIT_FETCHED, WAIT_NONE } until;
    int64_t timeout_s;
};

enum wait_verdict {
    WAIT_IS_DONE,
    WAIT_PENDING,
    WAIT_FAILED /* will not change by itself */,
    WAIT_NOT_TARGETED
};

/* Where one device (an item of GET /devices) stands for bundle revision rev or newer; item NULL: it
 * is gone. why: one line for people. */
enum wait_verdict wait_judge(const struct cli *c, const json_t *device, int64_t rev,
                             bool fetched_is_enough, struct strbuf *why);
/* answer: {"pub","rollout_id","devices":[{"id","name","rev"}]}.  EXIT_OK_ or EXIT_NOT_RUNNING. */
MUST_USE enum cli_exit wait_for(struct cli *c, const json_t *answer, const struct wait_options *o);
/* Digest of what a device runs, "" when it is not known or the daemons differ. */
const char *device_running_digest(const json_t *device);
