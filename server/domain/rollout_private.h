/* rollout_private.h - what the files of rollout.h share. */
#pragma once

#include "domain/guard.h"
#include "domain/issue.h"
#include "domain/rollout.h"
#include "domain/strategy.h"
#include "store/rollout_device_store.h"
#include "store/rollout_store.h"

enum { ROLLOUT_ARENA = 256 * 1024 * 1024 };

struct rollout_run { /* one rollout in one transaction */
    struct db *db;
    struct app *app;
    struct arena *a;
    int64_t now_ms, term; /* term 0: a person's order */
    struct rollout_row row;
    struct strategy s;
    struct rollout_device *d;
    size_t n;
    bool changed; /* something was issued or the row written */
    bool lean;    /* what devices say is not asked for: a rollout that begins has nobody to listen to */
    bool urgent_first, silent; /* it stands aside: another one goes first; nobody can be heard (rollout_silence()) */
    bool told;    /* whoever ordered it writes the audit entry of this one */
    json_t *notes; /* audit entries, written last (audit.h); borrowed from the arena */
};
/* Begin work on rollouts in a transaction; a may be NULL (ERR_NO_MEMORY).  app->... as in rollout_run. */
MUST_USE enum err_code rollout_begin(struct rollout_run *x, struct db *db, struct app *app, struct arena *a, int64_t term,
                                     struct err *e);
/* The same transaction, another rollout. */
struct rollout_run rollout_beside(const struct rollout_run *x);
/* For the audit log, by the system; detail is stolen, NULL without memory. */
MUST_USE enum err_code rollout_note(struct rollout_run *x, const char *action, const char *object, json_t *detail,
                                    struct err *e);
/* Write what was noted.  Last in the transaction. */
MUST_USE enum err_code rollout_write_notes(struct rollout_run *x, struct err *e);

/* When a device was last seen by this parent or, as of half a minute ago, by any. */
int64_t rollout_seen_ms(struct app *app, const char *device_id, int64_t stored_ms);
/* Lock the row and read the devices. */
MUST_USE enum err_code rollout_load(struct rollout_run *x, const char *id, struct err *e);
MUST_USE enum err_code rollout_reload(struct rollout_run *x, struct err *e);
/* Offer the publication to queued devices of the waves up to row.wave: as many as may be on their way at once, never two
 * of one MX set.  Devices that cannot take part are skipped. */
MUST_USE enum err_code rollout_release(struct rollout_run *x, struct err *e);
/* Move to a state since now, with an audit entry by the system. */
MUST_USE enum err_code rollout_enter(struct rollout_run *x, const char *state, const char *reason, struct err *e);
/* What became of devices: rows of rollout_device_store_set(); audited, read again. */
MUST_USE enum err_code rollout_devices_set(struct rollout_run *x, const json_t *rows, struct err *e);
/* The worst verdict on the devices that confirmed; those that are bad become "unhealthy".  late: the time of watching is
 * over; then a device that cannot be judged is told so in its row (rollout_guard.c). */
MUST_USE enum err_code rollout_guard(struct rollout_run *x, bool late, enum guard_verdict *ret, struct err *e);
/* Figures that were stored as events came, of the devices that are watched or compared with and say up to when their log is
 * in them: minutes that are wholly counted alone; read again every few seconds. */
struct rollout_figures_of {
    char id[37];
    bool whole; /* counted up to a moment ago, and no event of that time was lost: else it is not to be judged by them */
    struct guard_mail now, before; /* since it confirmed, and before it was released: half an hour at most */
};
/* others: what those that are not updated did, as far as they are whole.  *ret: the app's, until the next call. */
MUST_USE enum err_code rollout_figures_read(struct rollout_run *x, struct guard_others *others,
                                            const struct rollout_figures **ret, struct err *e);
/* NULL: it never said.  Of a device that is compared with only whether it is whole, and so among the others. */
const struct rollout_figures_of *rollout_figures_of(const struct rollout_figures *f, const char *id);
/* What became of the rollout that this one takes back: "reverted", or "halted" again. */
MUST_USE enum err_code rollout_tell_reverted(struct rollout_run *x, const char *state, struct err *e);
/* Before a step: stand aside when it must, go on where it stood when that is over. */
MUST_USE enum err_code rollout_standing(struct rollout_run *x, struct err *e);
/* None of its devices has it, and one of them may still come: none was there when their turn came.  Waves alone. */
bool rollout_nobody_was_there(const struct rollout_run *x);
/* It pauses until one of them is there, and is that so?  Then it begins again: rollout_standing(). */
MUST_USE enum err_code rollout_wait_for_anybody(struct rollout_run *x, struct err *e);
bool rollout_waits_for_anybody(const struct rollout_run *x);
/* One of them was heard a moment ago: it is worth another pass. */
bool rollout_somebody_soon(const struct rollout_run *x);
/* Its first wave is one device again, of those that are there; whoever was passed over is queued. */
MUST_USE enum err_code rollout_begin_again(struct rollout_run *x, struct err *e);
/* Everybody is to have it, and catches up who has not. */
MUST_USE enum err_code rollout_complete(struct rollout_run *x, struct err *e);
#define ROLLOUT_ABSENT "absent" /* what it waits for then */
/* A person says go on: ERR_CONFLICT while an expedited one is on its way. */
MUST_USE enum err_code rollout_overrule(struct rollout_run *x, struct err *e);
/* More devices have failed than its waves bear. */
bool rollout_failed(const struct rollout_run *x);
/* What it gives devices. */
struct issue_of rollout_gives(const struct rollout_run *x);
/* Devices that are behind a rollout that is over: those it does not change are entitled to it, the others are offered it
 * when they are there, as many at once and as apart in MX sets as in a wave.  *ret_n is raised by those that wait for
 * that, or may come back any moment. */
MUST_USE enum err_code rollout_catch_up(struct rollout_run *x, size_t *ret_n, struct err *e);
/* Everybody fell silent together, or is heard again: under the lease, before the passes. */
MUST_USE enum err_code rollout_silence(struct db *db, struct app *app, const char *holder, int64_t term,
                                       bool *ret_changed, bool *ret_silent, struct err *e);
/* Why a device cannot take part now; NULL: it can.  strict: also where everybody is offered it at once. */
const char *rollout_skip_reason(const struct rollout_run *x, const struct rollout_device *d, bool strict);
/* Stop: devices that did not confirm get back what they had, under a fresh rev. */
MUST_USE enum err_code rollout_halt(struct rollout_run *x, const char *reason, struct err *e);

/* Have its devices try it (dry_run.h): changes and targets of the same devices, in the same order. */
MUST_USE enum err_code rollout_ask(struct rollout_run *x, const struct issue_change *changes,
                                   const struct rollout_target *targets, size_t n, struct err *e);
/* Once more, after they refused it: moves to "shadow". */
MUST_USE enum err_code rollout_ask_again(struct rollout_run *x, struct err *e);
/* A pass in state "shadow". */
MUST_USE enum err_code rollout_shadow(struct rollout_run *x, struct err *e);
/* On from "shadow": it is approved, or waits for that. */
MUST_USE enum err_code rollout_tried(struct rollout_run *x, struct err *e);
/* Was it stopped before its devices had been asked to the end?  Then nobody has it. */
MUST_USE enum err_code rollout_untried(struct rollout_run *x, bool *ret, struct err *e);
#define ROLLOUT_REFUSED "refused-by-devices" /* the reason of that halt */
/* Why it pauses by itself and asks a person: too little to judge by; none of its devices could try it. */
#define ROLLOUT_INCONCLUSIVE "inconclusive"
#define ROLLOUT_UNTRIED "untried"

/* A device's state as of its newest status document. */
const char *rollout_device_word(const struct rollout_device *d);
bool rollout_word_failed(const char *word);
bool rollout_word_on_the_way(const char *word);
json_t *rollout_row_json(const struct rollout_row *r);
