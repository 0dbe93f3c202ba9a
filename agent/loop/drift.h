/*
 * drift.h - what stands on this host otherwise than published, and what is done about it, item by item
 * (docs/internals/wire.md, "Drift").  An item is named "<file>:<item>": "main.cf:message_size_limit",
 * "master.cf:127.0.0.1:10027/inet", "table:inari/<16 digits>/relay_domains", "service:postfix".
 * report and adopt only say it; enforce puts the value back through the helper's transaction and proves it.  Never a fight:
 * an item that was put back DRIFT_TRIES times within DRIFT_WINDOW_MS is left as found, loudly, until an administrator orders
 * it, a new bundle comes, or it was right for a whole window.  Since when an item differs and how often it was put back
 * lie in memory.h's file and outlast a restart.
 * Threads: the loop's.
 */
#pragma once

#include "base/err.h"
#include "json/json_in.h"

struct loop;

enum { DRIFT_TRIES = 3, DRIFT_WINDOW_MS = 3600 * 1000, DRIFT_NAME_SIZE = 500 };

/* The regular look. */
void drift_look(struct loop *l);
/* Is that item to be put back by itself, now? */
bool drift_enforces(const struct loop *l, const char *name);
/* An administrator's word: put back the named items (array of names; NULL: all that differ), and count anew.
 * *ret: {"repaired":[names],"left":[names]}, new reference.  ERR_CONFLICT: held on the device, or not managed. */
MUST_USE enum err_code drift_enforce(struct loop *l, const json_t *names, json_t **ret, struct err *e);
/* A new bundle: what was given up is tried again. */
void drift_new_bundle(struct loop *l);
