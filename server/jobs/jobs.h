/*
 * jobs.h - periodic work of the parent on one thread with a connection of its own: following changes, paced wake-ups,
 * rollouts, end of holds and commands, token key rotation, clean-up.
 * With nothing to do it runs one statement each 30 s, which writes who was seen and says what there is to do (the look).
 * Whoever writes something that is to be followed sends a hint on the channel "inari_change" (fleet_store_note(),
 * rollouts), which wakes the job threads of all parents within a tick of 100 ms; a connection that was opened anew looks
 * at once, since hints may have been missed meanwhile.
 * Singleton work runs under the lease "engine" and carries its term; the lease is asked for, and renewed each 5 s, only
 * while there is such work.
 */
#pragma once

#include "base/err.h"
#include "domain/app.h"

struct jobs;

/* After keyring_bootstrap() and fleet_cache_new() + first refresh; conninfo is borrowed for the call. */
MUST_USE enum err_code jobs_start(struct app *app, const char *conninfo, struct jobs **ret, struct err *e);
void jobs_stop(struct jobs *j); /* waits for the thread; flushes presence; NULL does nothing */
