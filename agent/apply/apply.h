/*
 * apply.h - the transaction over Postfix's files: switch, commit, revert, recover
 * (docs/internals/helper.md). Invariant: at every moment the journal says which of old and new may
 * stand on disk, both are kept, and every path out of here ends with the two files of one of them.
 */
#pragma once

#include "apply/after_revert.h"
#include "apply/journal.h"
#include "targets/foxproxy.h"
#include "targets/postfix.h"
#include "targets/queue_hold.h"
#include "targets/relay_client.h"

struct helper {
    const struct agent_settings *s;
    struct postfix pf;
    struct journal j;
    struct after_revert after;
    struct queue_hold hold; /* while the files are switched and reloaded */
    struct foxproxy fox;
    bool held; /* new connections to the ports below wait (front.h) */
    int moving[FOXPROXY_PORTS_MAX];
    size_t n_moving;
    struct {
        int pidfd;          /* of the process that runs; -1: none is known */
        int64_t next_ms;    /* clock_mono_ms() before which nothing is tried; 0: at once */
        int64_t started_ms; /* when it was started last because it had ended */
        unsigned tries;     /* in a row, each shortly after the one before */
        int64_t ended;      /* by itself, since the helper began */
    } front;
    struct relay_clients clients; /* of the rendering with clients_of, "": not known yet */
    char clients_of[DIGEST_SIZE];
    struct strbuf output; /* the daemons' own words of the request being served */
};

/* Is a change open that reverts when nobody finishes it? */
bool apply_is_open(const struct helper *h);
/* Switch to what is staged and validated under digest.  On any failure after the journal was
 * written everything is put back before this returns.  ERR_CONFLICT: nothing staged, a live file
 * changed since, or another change is open. ERR_REFUSED: not validated.  ERR_CHANGED_MEANWHILE:
 * the files were not the validated ones after the switch or after the reload (compare.h).
 * secrets: texts for tables that hold some (secret_table.h), borrowed; NULL: those that are needed
 * stand here already. */
MUST_USE enum err_code apply_switch(struct helper *h, const char *digest, const json_t *secrets,
                                    bool *ret_restarted, struct err *e);
/* Are the live files still what was staged for the open change (compare.h)? */
MUST_USE enum err_code apply_still_same(struct helper *h, struct err *e);
/* ERR_CHANGED_MEANWHILE: the live files are no longer what was validated; the change stays open and
 * must be reverted. */
MUST_USE enum err_code apply_commit(struct helper *h, const char *digest, struct err *e);
/* Put the old files back, under a held queue as the switch (queue_hold.h), and look at them once
 * more when Postfix was reloaded.  result: "reverted" or "interrupted".  *ret_healthy: Postfix
 * answers with them. */
MUST_USE enum err_code apply_revert(struct helper *h, const char *result, const char *reason,
                                    bool *ret_healthy, struct err *e);
/* At start: finish what a crash left (6.9.10). */
MUST_USE enum err_code apply_recover(struct helper *h, struct err *e);
/* Whom the relay probe asks as: fitting the open change, else the rendering in force. */
MUST_USE enum err_code apply_clients(struct helper *h, struct relay_clients *ret, struct err *e);
/* <state>/lkg/<digest> */
void apply_lkg_path(const struct agent_settings *s, const char *digest, char *buf, size_t size);
/* The rendering in force, or ERR_NOT_FOUND when the device is not managed. */
MUST_USE enum err_code apply_current(const struct helper *h, struct arena *a, struct rendition *ret,
                                     struct err *e);
/* The plan with everything owned that was ever ours here: what the rendering before it had, and
 * services whose options carry our marks (when the state was lost).  Else a listener whose port
 * changed would stay behind as a foreign one. Lives in a; NULL: out of memory. */
struct plan *apply_widen(const struct helper *h, const struct plan *plan, struct arena *a);
