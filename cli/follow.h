/* follow.h - a stream of events on standard output, until it is interrupted. */
#pragma once

#include "cli.h"

/* path: of the stream, with its filters.  limit: end after so many events; negative: never.  With --json each event is a line of
 * JSON, else show() prints it. */
enum cli_exit follow(struct cli *c, const char *path, int64_t limit, void (*show)(struct cli *c, const json_t *event));
