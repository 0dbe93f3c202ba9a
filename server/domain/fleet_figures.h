/*
 * fleet_figures.h - the fleet and this parent's part in it as Prometheus text for /metrics: from memory only, no SQL; the
 * table is walked once, a shard at a time.  What this parent has not heard itself since it started it does not count as
 * heard: with several parents the figures of presence are to be added up.
 */
#pragma once

#include "base/strbuf.h"
#include "domain/app.h"

/* Append to out; app->fleet and app->keys must be there (readiness).  Threads: any. */
void fleet_figures(struct app *app, struct strbuf *out);
