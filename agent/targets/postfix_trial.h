/*
 * postfix_trial.h - a throw-away Postfix made from a staged configuration, on spare loopback ports,
 * so that one transaction per listener can be tried before anything live changes.
 *   - own configuration, queue and data directories below helper.trial_dir; the queue's skeleton is
 * kept between trials (a first start on an empty spool costs seconds, a later one a tenth);
 *   - every delivery transport is in defer_transports: routing and RCPT answers are as live,
 * nothing ever leaves;
 *   - its master ends by itself after TRIAL_LIFE_S even when we are killed;
 *   - it logs to a file of its own, which is where the daemons' own words come from.  (maillog_file
 * can block a master for good; this one is killed, never asked.)
 */
#pragma once

#include "base/arena.h"
#include "targets/postfix.h"
#include "targets/rendition.h"

enum { TRIAL_LIFE_S = 120 };

struct trial_listener {
    const char *address; /* "127.0.0.1" */
    int port;
    const char *role; /* "public" "submission" "reinject" "probe" "digest", or "foreign": an smtpd
                         we do not own */
    const char *live; /* "0.0.0.0:25": the service it stands for */
};

/* Starts it; results live in a.  ERR_REFUSED: it does not come up, output holds its words. */
MUST_USE enum err_code postfix_trial_start(const struct postfix *p, const struct rendition *r,
                                           const char *staged_etc, struct arena *a,
                                           struct trial_listener **ret, size_t *ret_n,
                                           struct strbuf *output, struct err *e);
/* Its log so far: the lines with fatal, panic, error, warning or throttling. */
void postfix_trial_log(const struct postfix *p, struct strbuf *out);
/* Did a daemon of it die (a fatal, panic or throttling line)? */
bool postfix_trial_died(const struct postfix *p);
/* Ends it and empties its queue; nothing running is fine. */
void postfix_trial_stop(const struct postfix *p);
