/*
 * fleet_cache.h - every device in memory, so that an unchanged poll costs no SQL (protocol.md 6.7, 6.18).
 * Filled from the database at start, then by the sequence of the change table: at once after our own commits and when a
 * hint of another parent's comes, and each 30 s in case one was missed.  While the database is away the table answers on for FLEET_STALE_MS, then fleet_usable() is false.
 * Bundle BYTES are kept only from the moment they are wanted until the device confirms their ETag, so that an idle child
 * costs well under 1 KiB: a poll that needs bytes which are not here asks for them (fleet_want_bundle) and waits.
 * Threads: any; one mutex a shard, held for a lookup and a copy.  Bundle bytes are immutable and counted.
 * Lock order: refresh, then a shard; the work lock is taken alone.
 */
#pragma once

#include "domain/app.h"
#include "domain/fleet_instance.h"
#include "store/db.h"

#include <stdatomic.h>

enum { FLEET_STALE_MS = 5 * 60 * 1000 };
enum { DEVICE_LATE_MS = 3 * 60 * 1000, DEVICE_LOST_MS = 15 * 60 * 1000 }; /* not heard for so long it is called that */

enum device_state { DEV_PENDING, DEV_REJECTED, DEV_OBSERVING, DEV_MANAGED, DEV_HELD, DEV_QUARANTINED, DEV_REVOKED, DEV_RETIRED, DEV_REATTACH };
extern const char *const device_state_names[]; /* NULL-terminated */

struct bundle_bytes {
    atomic_int refs;
    int64_t epoch, rev, pub;
    char etag[65], content_digest[65];
    size_t n;
    char jws[];
};
struct bundle_bytes *bundle_bytes_ref(struct bundle_bytes *b);
void bundle_bytes_unref(void *b); /* NULL does nothing; fits struct reply.release */

struct fleet_view { /* a copy of one row */
    char id[37];
    enum device_state state;
    int64_t gen;
    int64_t epoch, rev;          /* what is offered; rev 0: nothing yet */
    char etag[65];
    struct bundle_bytes *bundle; /* its bytes; counted, NULL: not in memory now; fleet_view_clear() */
    char status_digest[65];      /* "" none stored */
    int64_t commands;            /* that the device has not taken yet */
    int64_t seen_wall_ms, seen_mono_ms; /* 0: not since this parent started */
    int64_t limited;             /* polls refused by the device's bucket since start */
    int64_t ahead_epoch, ahead_rev; /* what the device says it has, when that is more than is offered; else 0 0 */
};
void fleet_view_clear(struct fleet_view *v);

MUST_USE struct fleet_cache *fleet_cache_new(void);
void fleet_cache_free(struct fleet_cache *f);
/* First call: everything; later: what changed.  Wakes the polls of devices whose offer or state changed. */
MUST_USE enum err_code fleet_cache_refresh(struct fleet_cache *f, struct db *db, struct err *e);
/* For the job thread: one statement that writes who was seen since the last look and says what there is to do; with it
 * the stored status digests are followed (what another parent took in; a row deleted behind our back heals through
 * Inari-Report: full).  token_age_s: a token key older than that is to be replaced.  An error leaves *ret alone. */
struct fleet_news {
    bool changes;  /* fleet_cache_refresh() has something to read */
    bool rollouts; /* rollout_engine() has something to drive */
    bool token_key_old;
    int64_t hold_in_ms, command_in_ms; /* until the next hold ends, the next command expires; -1: none will */
    bool unended; /* a rollout goes on, or waits for somebody's word */
    int64_t alert_in_ms, notice_in_ms; /* until the alert engine, who sends notices, has something to do; -1: nothing */
};
MUST_USE enum err_code fleet_cache_look(struct fleet_cache *f, struct db *db, int64_t token_age_s,
                                        struct fleet_news *ret, struct err *e);
bool fleet_usable(const struct fleet_cache *f, int64_t mono_ms);
/* Was the table last read before that second, or so shortly after that two parents' clocks cannot tell?  Then what it
 * lacks may be there by now: the job thread looks at once. */
bool fleet_older_than(struct fleet_cache *f, int64_t wall_s);
/* For the job thread: has anybody asked for something the table lacks since the last call? */
bool fleet_take_doubt(struct fleet_cache *f);
/* What was read came from a database that may have lost some of it: everything is read again at the next refresh. */
void fleet_cache_forget(struct fleet_cache *f);
/* For the job thread: wait up to ms for something to do; wake up to max of the queued polls, their bundles loaded
 * (*ret_left: how many still wait; they are woken also when the bundles could not be read); load the bundles that polls
 * wait for. */
void fleet_wait_work(struct fleet_cache *f, int64_t ms);
MUST_USE enum err_code fleet_wake_queued(struct fleet_cache *f, struct db *db, size_t max, size_t *ret_left,
                                         struct err *e);
MUST_USE enum err_code fleet_load_wanted(struct fleet_cache *f, struct db *db, struct err *e);
/* Did the trust documents or token keys change (asks once)? */
bool fleet_take_trust_changed(struct fleet_cache *f);

/* false: no such device. */
bool fleet_get(struct fleet_cache *f, const char *id, struct fleet_view *ret);
/* Only what a token is judged by.  false: no such device. */
bool fleet_state(struct fleet_cache *f, const char *id, enum device_state *ret_state, int64_t *ret_gen);
/* A poll came in, at wall_ms and mono_ms: it is counted in the device's bucket (crash loops) unless again is set (a held
 * poll that goes on), noted as the device's presence, and *ret is what fleet_get() would give.  All of it in one look. */
struct fleet_poll {
    struct instance instance; /* as the device says it; boot "": it does not */
    int64_t wall_ms, mono_ms;
    bool again;
};
enum fleet_poll_result { FLEET_POLL_OK, FLEET_POLL_UNKNOWN, FLEET_POLL_SOON /* the bucket is empty: answer 429 */, FLEET_POLL_FORK /* it is set aside: 409 */ };
enum fleet_poll_result fleet_poll(struct fleet_cache *f, const char *id, const struct fleet_poll *p, struct fleet_view *ret);
/* When this parent last heard it, monotonic; 0: not since it started. */
int64_t fleet_heard_ms(struct fleet_cache *f, const char *id);
/* Devices in service it heard less than late_ms + window_ms ago, and how many of them not for late_ms. */
void fleet_count_heard(struct fleet_cache *f, int64_t mono_ms, int64_t late_ms, int64_t window_ms, int64_t *ret_of,
                       int64_t *ret_gone);
/* For the job thread: has a device come back that was not heard for some polls, since the last call? */
bool fleet_take_returned(struct fleet_cache *f);
/* How old the oldest message in its queue is, as it has just told (s). */
void fleet_set_queue_age(struct fleet_cache *f, const char *id, int64_t age_s);
/* What is known of its instances; false: no such device. */
bool fleet_instances(struct fleet_cache *f, const char *id, struct instances *ret);
/* For the job thread: a device with an event that nobody dealt with; false: none.  Then fleet_event_done(): that event
 * was dealt with, or is to be looked at again; another one that came meanwhile stays. */
bool fleet_take_event(struct fleet_cache *f, char ret_id[37], struct instances *ret);
void fleet_event_done(struct fleet_cache *f, const char *id, enum instance_event what, bool dealt_with);
/* The device says that it has verified more than this parent knows (Inari-Have); here: this parent's epoch. */
void fleet_note_ahead(struct fleet_cache *f, const char *id, int64_t epoch, int64_t rev, int64_t here);
/* The highest revision any device said it has, above what it is offered, in this parent's epoch or a later one; 0: none.
 * *ret_epoch: the highest epoch among them. */
int64_t fleet_highest_ahead(struct fleet_cache *f, int64_t *ret_epoch);
/* A new epoch began: revisions of the one before say nothing more. */
void fleet_forget_ahead(struct fleet_cache *f);
/* [{"id","epoch","rev","offered"}] of the devices that are ahead, at most 1000; new reference. */
json_t *fleet_ahead(struct fleet_cache *f);
/* The device shows this ETag: its bytes are no longer needed. */
void fleet_confirmed(struct fleet_cache *f, const char *id, const char *etag);
/* Have the job thread load the offered bundle and wake the device's poll. */
void fleet_want_bundle(struct fleet_cache *f, const char *id);
void fleet_set_status(struct fleet_cache *f, const char *id, const char *digest);
/* The held poll of this device, or of every device, has something to see. */
void fleet_wake(struct fleet_cache *f, const char *id);
void fleet_wake_all(struct fleet_cache *f);
/* Did the lists of addresses change (asks once)? */
bool fleet_take_lists_changed(struct fleet_cache *f);
/* The park key of a device's held poll. */
enum { FLEET_PARK_KEY_SIZE = 40 };
void fleet_park_key(const char *id, char out[FLEET_PARK_KEY_SIZE]);
/* Seconds from now to the device's next slot of interval_s (hash of the id), plus up to a tenth. */
int64_t fleet_next_poll_s(const char *id, int64_t interval_s, int64_t wall_ms);
int64_t fleet_highest_rev(struct fleet_cache *f);
json_t *fleet_revoked(struct fleet_cache *f); /* array of ids, at most 1000; new reference */
/* Another number whenever other devices are revoked, the same at every parent; 0: none is. */
int64_t fleet_notice_n(const struct fleet_cache *f);
/* There is no way to the database just now: what this table says may be old. */
bool fleet_cut_off(const struct fleet_cache *f);
size_t fleet_count(struct fleet_cache *f);
/* For unit tests: put a row in, as a refresh would. */
void fleet_put_for_test(struct fleet_cache *f, const char *id, enum device_state state, int64_t gen);
