/*
 * front.h - foxproxy as a part of the transaction over Postfix's files (apply.h): its ini is
 * switched, compared and put back with them, and the public port goes from one owner to the other
 * within the change.
 *
 * The ini is there where foxproxy is to run, and only there.  While the owner of the public port
 * changes, new connections to it are held back by the kernel for that moment (targets/syn_hold.h),
 * which no death of ours outlasts.  Everything here is told by the journal's old_front and
 * new_front and by what runs, so that it may begin anywhere after a crash. Threads: the helper's
 * one.
 */
#pragma once

#include "apply/apply.h"

#include "targets/postfix_cf.h"

/* The ini a plan wants, NULL: none. */
const char *front_of(const struct plan *p);

/* What is staged: foxproxy.ini in dir, when the plan wants one. */
MUST_USE enum err_code front_stage(const struct plan *p, const char *dir, struct err *e);
/* foxproxy's own check of what is staged in dir.  ERR_REFUSED: its faults are in h->output. */
MUST_USE enum err_code front_check(struct helper *h, const struct plan *p, const char *dir,
                                   struct err *e);

/* Before the journal says switching: keep the old ini, lay the new one beside it; the journal's
 * old_front and new_front are set (not written). */
MUST_USE enum err_code front_prepare(struct helper *h, const char *dir, const struct plan *p,
                                     struct err *e);
void front_forget(struct helper *h); /* what front_prepare() laid there */
/* The new one in force on disk (or none any more); the old one again. */
MUST_USE enum err_code front_place(struct helper *h, struct err *e);
MUST_USE enum err_code front_put_back(struct helper *h, struct err *e);
bool front_is_back(const struct helper *h);
/* Are the bytes on disk those that were staged in dir?  ERR_CHANGED_MEANWHILE: no. */
MUST_USE enum err_code front_compare(const struct helper *h, const struct plan *p, const char *dir,
                                     struct err *e);

/* Around Postfix's reload.  wanted: is foxproxy to run when it is over?  Nothing happens where
 * neither the old nor the new configuration has it. */
void front_hold(struct helper *h); /* new connections wait, when the owner changes */
void front_let_go(struct helper *h,
                  bool wanted); /* foxproxy's ports are free when Postfix needs them */
/* Whoever is to have the public port has it, and foxproxy runs with what stands in its ini. */
MUST_USE enum err_code front_take(struct helper *h, bool wanted, struct err *e);
void front_end(struct helper *h);
/* The same for the two ends of a change. */
static inline bool front_was(const struct helper *h)
{
    return h->j.s.old_front[0] != '\0';
}
static inline bool front_will_be(const struct helper *h)
{
    return h->j.s.new_front[0] != '\0';
}

/* Is it to run by what stands on disk?  An open change decides for itself. */
bool front_is_wanted(const struct helper *h);
/* Does it run with what stands on disk?  ERR_REFUSED, ERR_UNAVAILABLE: no, and why. */
MUST_USE enum err_code front_runs(const struct helper *h, struct err *e);

/* What differs between the plan's ini and the live one: at most one row, file "foxproxy.ini". */
MUST_USE enum err_code front_diff(const struct helper *h, const struct plan *p, cf_diff_fn *fn,
                                  void *ctx, struct err *e);
/* {"state","pid","since","version","digest"} for the verb "running", new reference; NULL: it is
 * neither wanted nor there. */
json_t *front_running(struct helper *h);

/* Started again when it died: a descriptor to poll (-1: none) and what to do with each turn of the
 * server, whether it was readable or not. */
int front_watch(struct helper *h);
void front_tick(struct helper *h);
