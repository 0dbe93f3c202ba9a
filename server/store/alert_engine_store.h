/*
 * alert_engine_store.h - SQL of the alert engine (domain/alert_engine.h): one step from what is seen to what fires, the notices
 * that follow, and the notices on their way.  Everything takes the parent's time as an argument.
 */
#pragma once

#include "store/db.h"

extern const struct stmt *const alert_engine_store_stmts[];

/* Inside a transaction, first: one engine at a time, and no rule, channel or silence changes meanwhile. */
MUST_USE enum err_code alert_engine_store_lock(struct db *db, struct err *e);
/* Something was changed that the engine should look at; hints all parents at the commit.  Takes the same lock. */
MUST_USE enum err_code alert_engine_store_dirty(struct db *db, struct err *e);

struct alert_move { /* in arena */
    const char *id, *rule, *severity, *name, *state;
};
/* facts: what this parent knows of itself, about subject self only.  *ret: what began to fire or is over, at most 1000. */
MUST_USE enum err_code alert_engine_store_step(struct db *db, int64_t now_ms, const json_t *facts, const char *self,
                                               struct arena *a, struct alert_move **ret, size_t *ret_n, struct err *e);
/* Write the notices that are due.  *ret_n: how many. */
MUST_USE enum err_code alert_engine_store_tell(struct db *db, int64_t now_ms, int64_t *ret_n, struct err *e);
/* Note when there is something to do next although nothing changes. */
MUST_USE enum err_code alert_engine_store_next(struct db *db, int64_t now_ms, struct err *e);
/* History and notices that are too old or too many. */
MUST_USE enum err_code alert_engine_store_trim(struct db *db, int64_t now_ms, struct err *e);

struct alert_outage_row { /* in arena: a rule about the database being away, and one it would tell */
    const char *rule, *severity, *channel_id, *channel, *channel_kind, *lang;
    int64_t away_s, trap; /* trap 0: the kind's own */
    const json_t *config;
    struct slice box;
};
/* Without those that a silence hides at now_ms. */
MUST_USE enum err_code alert_engine_store_outage(struct db *db, int64_t now_ms, struct arena *a,
                                                 struct alert_outage_row **ret, size_t *ret_n, struct err *e);

enum { ALERT_NOTICE_TRIES = 5 };
struct alert_notice { /* in arena */
    const char *id, *channel_id, *channel, *kind, *lang;
    const json_t *config, *body;
    struct slice box; /* n 0: no secret */
    int64_t tries;    /* this one included */
    int64_t created_ms;
    bool enabled;
};
/* Take the next notice that is due; nobody else gets it for claim_s.  *ret_got false: none.  What was tried often enough by
 * processes that died over it is buried. */
MUST_USE enum err_code alert_engine_store_claim(struct db *db, int64_t now_ms, int64_t claim_s, struct arena *a,
                                                struct alert_notice *ret, bool *ret_got, struct err *e);
/* state: "sent", "queued" (again at next_ms) or "dead".  Does nothing when somebody else has taken it meanwhile. */
MUST_USE enum err_code alert_engine_store_settle(struct db *db, const struct alert_notice *n, const char *state,
                                                 int64_t now_ms, int64_t next_ms, const char *problem, struct err *e);
