/*
 * rollout.h - how a publication reaches its devices (protocol.md 6.12): one wave; states of the devices follow from
 * their status documents.  The engine's writes carry the term of its lease.
 */
#pragma once

#include "domain/app.h"
#include "store/db.h"

/* *ret: {"items","next"}, new reference; each without its devices but with counts by state. */
MUST_USE enum err_code rollout_list(struct db *db, const char *cursor, int64_t limit, struct arena *a, json_t **ret,
                                    struct err *e);
/* *ret: {"id","pub","state","term","created_at","ended_at","devices":[{"id","name","state","rev","problem"}]}. */
MUST_USE enum err_code rollout_get(struct db *db, const char *id, struct arena *a, json_t **ret, struct err *e);
/* One pass of the engine: a running rollout none of whose devices is on its way is completed, or halted when one
 * failed.  holder, term: of the lease "engine". */
MUST_USE enum err_code rollout_engine(struct db *db, const char *holder, int64_t term, struct err *e);
