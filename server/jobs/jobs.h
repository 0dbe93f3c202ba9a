/*
 * jobs.h - periodic work of the parent on one thread with a connection of its own: change poll (1 s), paced wake-ups,
 * presence flush (30 s), status digests (15 s), token key rotation, end of holds, rollout states, clean-up.
 * Singleton work runs under the lease "engine" and carries its term.
 */
#pragma once

#include "base/err.h"
#include "domain/app.h"

struct jobs;

/* After keyring_bootstrap() and fleet_cache_new() + first refresh; conninfo is borrowed for the call. */
MUST_USE enum err_code jobs_start(struct app *app, const char *conninfo, struct jobs **ret, struct err *e);
void jobs_stop(struct jobs *j); /* waits for the thread; flushes presence; NULL does nothing */
