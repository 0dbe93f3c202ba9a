/*
 * loop.h - the running agent's state, shared by the files that make up the loop: parent.c (what is
 * asked of the parent and how its answers are taken), work.c (bundles, drift, checks), report.c
 * (what it is told), control.c (the people at the host), run.c (which turns them). Threads: one.
 * Callbacks of http.h only note what came; work is done from the loop's own turn, because a
 * callback may fire inside another call.
 */
#pragma once

#include "base/rand.h"
#include "loop/apply.h"
#include "loop/backoff.h"
#include "loop/command.h"
#include "loop/conditions.h"
#include "loop/edits.h"
#include "loop/events.h"
#include "loop/evidence.h"
#include "loop/figures.h"
#include "loop/hold.h"
#include "loop/http.h"
#include "loop/identity.h"
#include "loop/lists.h"
#include "loop/memory.h"
#include "loop/reattach.h"
#include "loop/rotate.h"
#include "loop/ship.h"

enum loop_times {
    LOOP_CHECK_MS = 60 * 1000,    /* drift and running digest */
    LOOP_RELAY_MS = 3600 * 1000,  /* relay probe */
    LOOP_OBSERVE_MS = 600 * 1000, /* what managing would change, again */
    LOOP_FRESH_MS = 3600 * 1000,  /* ask for a freshness proof */
    LOOP_FROZEN_MS = 7 * 24 * 3600 * 1000,
    LOOP_STATUS_MS = 24 * 3600 * 1000, /* a status even when nothing changed */
    LOOP_SLOW_MS =
        300 * 1000, /* polls while the parent refuses us for a reason that people must solve */
    LOOP_NOTICE_MS =
        3600 * 1000, /* where the parents are; of a revoked device: whether it still is */
    LOOP_WATCHED_MS = 3600 * 1000, /* after a change: figures every minute */
    LOOP_HELPER_RETRY_MS = 5000,
    LOOP_RETRY_MS = 60 * 1000, /* second try of content that failed once, plus up to half of it */
    LOOP_CONFIRM_MS = 5000,    /* between tries to reach the parent after a change */
    LOOP_CLOCK_LIMIT_MS = 60 * 1000,
};

enum parent_state {
    PARENT_OK,
    PARENT_REVOKED,
    PARENT_RETIRED,
    PARENT_FOREIGN /* the identity is another machine's: its key is not used */
};

struct loop_parent {
    enum parent_state state;
    char *token;                       /* secret, heap; NULL: none */
    int64_t token_refresh, token_next; /* monotonic ms */
    int64_t token_n, poll_token; /* how many tokens there were; the one the poll went out with */
    bool token_busy, token_skew_retry, token_refused;
    bool kept_wanted, kept_busy; /* the parent knows less than we do: it gets the bundle we hold */
    /* It may have lost who was revoked: it gets the notice we keep, once while it says so. */
    bool notice_wanted, notice_given, notice_sending;
    int64_t notice_n;    /* number of the notice we keep */
    int64_t elsewhere_ms; /* monotonic: when we last left a parent that was cut off from its database */
    bool poll_busy, status_busy, proposal_busy, trust_busy, notice_busy;
    int64_t status_started; /* monotonic; while status_busy */
    int64_t poll_next, poll_started, status_next, proposal_next, notice_next, fresh_next;
    int64_t wait_s;
    struct backoff token_backoff, poll_backoff, status_backoff;
    struct loop_guard guard; /* of early 304s */
    struct churn churn;
    bool reachable;     /* the last exchange worked */
    int64_t contact_ms; /* wall time of the last good exchange, 0: never */
    char trouble[256];  /* why the last one did not */
    size_t address;     /* index into identity.addresses */
    size_t poll_address; /* the one the poll went to */
    int64_t offset_ms;  /* parent's clock minus ours */
    bool offset_known;
    int64_t clock_base; /* our wall clock less the time since boot, at the last turn */
    int64_t trust_wanted;   /* number the parent has */
    struct strbuf incoming; /* a bundle that waits for its turn */
    bool incoming_full;
    bool incoming_quick; /* it came in under a second */
};

struct loop_report {
    bool touched, force, full_asked;
    char sent[65];        /* digest of the payload the parent has */
    char sent_change[65]; /* the same without what always moves */
    char sending[65], sending_change[65];
    int64_t next_by;  /* monotonic: a status at the latest then */
    int64_t acked_at; /* monotonic time at which the last accepted one was sent */
    int level;        /* how much is left out because it was too large */
    bool confirmed;   /* a status sent since the switch was accepted */
};

struct loop_work {
    struct bundle bundle;     /* newest verified one */
    bool have_bundle, wanted; /* wanted: it must be looked at */
    int64_t next;             /* monotonic, not before */
    struct {                  /* switched and proven, not committed yet */
        bool active, need_confirm;
        int64_t began, soak_until, confirm_until, next;
    } pending;
    char network[65]; /* apply_network_digest() of what is being applied: a newer bundle may be here
                       * before it is committed */
    bool needs_parent; /* the last change lost us the parent: not again before it answers */
    int64_t next_check, next_relay, next_observe, next_facts, next_lkg;
    unsigned unclear; /* looks in a row that did not see what runs */
    json_t *running;  /* helper's "running", or NULL */
    int64_t front_ended; /* how often foxproxy had ended by itself when it was last looked at */
    json_t *drift, *facts, *proposal;
    char main_digest[65], master_digest[65];
    bool recovered; /* what a dead process left behind has been dealt with */
    bool left_open; /* what is recovered is a change of this process that could not be ended then */
};

struct loop {
    const struct agent_settings *settings;
    struct identity id;
    struct machine here; /* what this machine is now */
    struct memory memory;
    struct http *http;
    struct helper_link helper;
    struct apply apply;
    struct conditions conditions;
    struct loop_parent parent;
    struct loop_report report;
    struct loop_work work;
    struct orders orders;
    struct rotate rotate;
    struct loop_figures figures;
    struct loop_edits edits;
    struct loop_evidence evidence;
    struct reattach reattach;
    struct loop_lists lists;
    struct loop_events events;
    struct ship ship;
    struct control *control;
    char boot[UUID_TEXT_SIZE];
    int64_t started_mono, wake_at; /* wake_at: earliest timer of this turn */
    bool stop, left;
};

/* Our clock as the parent's would read. */
int64_t loop_now_ms(const struct loop *l);
/* This turn must not wait beyond that monotonic time. */
void loop_wake(struct loop *l, int64_t mono_ms);
/* Something a status document shows has changed. */
void loop_touch(struct loop *l);
void loop_save(struct loop *l);
struct bundle_known loop_known(const struct loop *l);

/* Test builds: INARI_CRASH_AT=<point> kills the agent there. */
void loop_crash_at(const char *point);

/* parent.c */
void parent_begin(struct loop *l);
void parent_turn(struct loop *l);
void parent_clear(struct loop *l);
/* A refused or failed request: how long to wait; may change the parent's state. */
int64_t parent_react(struct loop *l, const struct http_answer *a, struct backoff *b);
/* A good answer to an authenticated request: the parent is there, and what time it has. */
void parent_heard(struct loop *l, const struct http_answer *a);
/* A new access token, taken over; good for life_s. */
void parent_take_token(struct loop *l, char *token, int64_t life_s);
/* The one we have is not taken any more: another is asked for at once. */
void parent_forget_token(struct loop *l);
/* A newer trust document was named and is not here yet. */
bool parent_walks_trust(const struct loop *l);
/* The bundle that came was looked at: when to ask for the next.  digest: of its content; NULL: it
 * was no good. */
void parent_bundle_done(struct loop *l, const char *digest);
/* Somebody at the host says that the identity belongs to this machine. */
MUST_USE enum err_code parent_confirm_machine(struct loop *l, struct err *e);
/* DELETE /api/agent/v1/self; blocks. */
MUST_USE enum err_code parent_leave(struct loop *l, struct err *e);

/* work.c */
void work_begin(struct loop *l);
void work_turn(struct loop *l);
void work_clear(struct loop *l);
/* Look at the bundle again (hold ended, rollback ...). */
void work_again(struct loop *l);
MUST_USE enum err_code work_rollback(struct loop *l, const char *digest, struct err *e);

/* report.c */
void report_turn(struct loop *l);
/* The document; seq 0: as a person at the host sees it.  New reference. */
json_t *report_build(struct loop *l, int64_t seq);
/* What this host is; new reference. */
json_t *report_inventory(const struct loop *l);

/* control.c */
MUST_USE enum err_code control_new(const struct agent_settings *s, struct control **ret,
                                   struct err *e);
void control_free(struct control *c);
unsigned control_fds(const struct control *c, struct curl_waitfd *fds, unsigned max);
void control_turn(struct loop *l);
