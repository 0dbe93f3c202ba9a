/*
 * event_policy.h - what of the devices' events is kept, and how (docs/internals/events.md, "The store"): one policy for the
 * fleet, and the job that follows it.
 *   {"keep_days":30, "size_budget_bytes":21474836480, "subject":"keep|hash|omit"}
 */
#pragma once

#include "domain/app.h"
#include "domain/audit.h"
#include "json/json_in.h"
#include "store/event_store.h"

/* {keep_days,size_budget_bytes,subject,stored:{bytes,days,oldest_day},version}; *ret: new reference. */
MUST_USE enum err_code event_policy_get(struct db *db, struct arena *a, json_t **ret, int64_t *ret_version, struct err *e);
/* patch: members to change, null goes back to the built-in value.  *ret as above, and "drops":{days,bytes}: what goes for it,
 * within a minute.  ERR_STALE_EDIT; ERR_INVALID names the member. */
MUST_USE enum err_code event_policy_patch(struct db *db, struct app *app, const json_t *patch, int64_t version, bool dry_run,
                                          const struct actor *by, struct arena *a, json_t **ret, int64_t *ret_version,
                                          struct err *e);
/* What a subject is stored as under "hash" ("hash:" and 32 digits, in the arena), for whoever looks for one; NULL under another
 * policy. */
MUST_USE enum err_code event_policy_subject_hash(struct db *db, const struct app *app, struct slice subject, struct arena *a,
                                                 const char **ret, struct err *e);
/* The digest that makes it (event_rules.blind; ctx: the app). */
void event_policy_blind(const void *ctx, struct slice text, char out[65]);
/* How many of n days, oldest first, are to go: too old, or over the budget; today and what comes never go for that. */
size_t event_policy_surplus(const struct event_policy *p, const struct event_day *v, size_t n, int64_t today);

/* The job: days ahead are made, days that are to go are dropped, lists that grow beside them trimmed.  A day that somebody
 * reads just now is left for the next time. */
MUST_USE enum err_code event_policy_follow(struct db *db, struct err *e);
