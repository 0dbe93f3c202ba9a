/*
 * guard_mail.h - what a device's mail says about a change (protocol.md 6.12): figures of its status document (wire.md,
 * "health.mail") summed over a time, and compared with the same device before and with devices that are not updated yet
 * in the same minutes.  Pure.  A device's numbers are foreign: each is bounded, rows beyond GUARD_ROWS are not looked at.
 *
 * Shares are compared as odds (refused : accepted), so that a gateway that refuses four of five on a good day can still
 * get worse: three times the odds of 10 % are 25 %, of 80 % they are 92 %.
 */
#pragma once

#include "base/finding.h"
#include "json/json_in.h"

enum guard_verdict { GUARD_GOOD, GUARD_BAD, GUARD_INCONCLUSIVE };

struct guard_limits {  /* of a strategy; 0 switches a guard off */
    int64_t messages;  /* fewer prove nothing: inconclusive; 0: such a device is not waited for */
    int64_t factor;    /* how many times worse than before and elsewhere */
    int64_t rejected;  /* percent refused below which nothing is wrong */
    int64_t deferred;  /* percent of delivery attempts put off */
    int64_t latency_s; /* nine of ten deliveries are faster */
    int64_t queue;     /* messages by which the deferred queue may grow */
};

enum { GUARD_ROWS = 30, GUARD_LATENCIES = 9, GUARD_ENOUGH = 20 /* to judge shares by when messages is 0 */ };

struct guard_mail {
    bool seen; /* somebody counts: without it nothing is judged */
    int64_t accepted, rejected, delivered, deferred, bounced;
    int64_t latency[GUARD_LATENCIES];
};
/* Add the rows that lie wholly in from_s..to_s (seconds since 1970). */
void guard_mail_add(struct guard_mail *m, const json_t *health, int64_t from_s, int64_t to_s);

/* What devices that are not updated did, by minute. */
struct guard_others {
    size_t n, devices;
    int64_t until_s; /* the latest any of them has counted to */
    int64_t step_s;  /* their longest row */
    struct {
        int64_t at_s;
        struct guard_mail m;
    } row[4 * GUARD_ROWS];
};
void guard_others_add(struct guard_others *o, const json_t *health);
/* The minute that begins at at_s, of any number of them. */
void guard_others_put(struct guard_others *o, int64_t at_s, const struct guard_mail *m);
void guard_others_since(const struct guard_others *o, int64_t from_s, struct guard_mail *ret);

struct guard_mails {
    struct guard_mail now, before, others;
    bool figures;     /* now is of the stored figures (events.md), not of a status document */
    bool others_soon; /* their figures of these minutes have still to come: nothing is called bad without them */
};
/* why: filled unless good. */
enum guard_verdict guard_mail_judge(const struct guard_limits *l, const struct guard_mails *m, struct finding *why);
