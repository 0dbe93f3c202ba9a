#include "domain/recovery.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "domain/fleet_cache.h"
#include "domain/issue.h"
#include "domain/keyring.h"
#include "store/bundle_store.h"
#include "store/fleet_store.h"
#include "store/recovery_store.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    WITNESS_MAX = 4096,
    MARGIN = 1000 /* revisions that devices not heard of may have seen */
};

static enum err_code fence_tx(struct db *db, void *ctx, struct err *e)
{
    const struct actor system = ACTOR_SYSTEM;
    const json_t *detail = ctx;
    bool new = false;
    enum err_code rc = recovery_store_fence_first(db, detail, &new, e);

    if (rc == ERR_OK && new) /* the other parents must not go on giving either */
        rc = fleet_store_note(db, "trust", "fence", e);
    return rc == ERR_OK && new ? audit_append(db, &system, "parent.fenced", "parent", detail, e)
                               : rc;
}

static enum err_code fence(struct db *db, struct app *app, const char *reason, int64_t known,
                           int64_t seen, struct err *e)
{
    char now[CLOCK_TEXT_SIZE];
    AUTO(json_free) json_t *detail = NULL;
    enum err_code rc;

    clock_format(clock_wall_ms(), now);
    detail = json_pack("{s:s,s:s,s:I,s:I}", "reason", reason, "since", now, "rev",
                       (json_int_t)known, "highest", (json_int_t)seen);
    if (detail == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    log_event(LOG_LEVEL_ERROR, "parent.fenced", KV_STR("reason", reason), KV_INT("known", known),
              KV_INT("seen", seen));
    rc = tx_run(db, "parent.fence", fence_tx, detail, e);
    if (rc == ERR_OK)
        atomic_store(&app->fenced, true);
    return rc;
}

/* --- witness --- */

static void witness_path(const struct app *app, char path[512])
{
    (void)snprintf(path, 512, "%s/witness.json", app->state_dir);
}

/* *ret NULL: there is none. */
static enum err_code read_witness(const struct app *app, json_t **ret, struct err *e)
{
    char path[512];
    AUTO_STR char *text = NULL;
    size_t n = 0;
    enum err_code rc;

    witness_path(app, path);
    rc = file_read(path, WITNESS_MAX, &text, &n, e);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){text, n}, WITNESS_MAX, ret, e);
    return rc == ERR_OK ? ERR_OK : err_wrap(e, "%s", path);
}

/* Does the database hold what this parent has seen in it?  *ret_reason NULL: it does. */
static enum err_code compare(struct db *db, const struct recovery_facts *f, const json_t *w,
                             struct arena *a, const char **ret_reason, struct err *e)
{
    const json_t *head = json_object_get(w, "head");
    const char *hash = "", *seen = json_str(head, "hash", "");
    enum err_code rc = ERR_OK;

    *ret_reason = NULL;
    if (json_int(w, "recovered", 0) < f->recovered)
        return ERR_OK; /* somebody has decided since: what was seen before does not count */
    /* Numbers are drawn from a sequence, also by what was rolled back: the chain says it better. */
    if (json_int(w, "recovered", 0) > f->recovered || json_int(w, "epoch", 0) > f->epoch ||
        json_int(w, "pub", 0) > f->pub || (seen[0] == '\0' && json_int(w, "rev", 0) > f->rev)) {
        *ret_reason = "database-behind";
        return ERR_OK;
    }
    if (seen[0] == '\0')
        return ERR_OK;
    rc = recovery_store_entry(db, json_int(head, "seq", 0), a, &hash, e);
    if (rc == ERR_OK && strcmp(hash, seen) != 0)
        *ret_reason = hash[0] == '\0' ? "database-behind" : "database-diverged";
    return rc;
}

/* *ret_w NULL: there is no witness yet. */
static enum err_code look(struct db *db, struct app *app, struct arena *a, struct recovery_facts *f,
                          json_t **ret_w, const char **ret_reason, struct err *e)
{
    const char *fleet;

    *ret_reason = NULL;
    if (recovery_store_facts(db, a, f, e) != ERR_OK)
        return e->code;
    atomic_store(&app->fenced, f->fence[0] != '\0');
    if (read_witness(app, ret_w, e) != ERR_OK)
        return e->code;
    if (*ret_w == NULL)
        return ERR_OK;
    fleet = json_str(*ret_w, "fleet", "");
    if (strcmp(fleet, f->fleet) != 0)
        return err_set(e, ERR_REFUSED,
                       "the database holds %s%s, but this parent has served fleet %s: correct "
                       "db.conninfo, or restore a "
                       "backup (inarid restore); to begin anew with this database, remove "
                       "witness.json in the state folder",
                       f->fleet[0] == '\0' ? "no fleet" : "fleet ", f->fleet, fleet);
    return compare(db, f, *ret_w, a, ret_reason, e);
}

enum err_code recovery_check_witness(struct db *db, struct app *app, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    AUTO(json_free) json_t *w = NULL;
    struct recovery_facts f;
    const char *reason;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (look(db, app, a, &f, &w, &reason, e) != ERR_OK)
        return e->code;
    return reason == NULL ? ERR_OK : fence(db, app, reason, f.rev, json_int(w, "rev", 0), e);
}

enum err_code recovery_lock(struct db *db, struct app *app, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    AUTO(json_free) json_t *w = NULL;
    struct recovery_facts f;
    const char *reason;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : bundle_store_lock(db, e);

    if (rc == ERR_OK)
        rc = look(db, app, a, &f, &w, &reason, e);
    if (rc == ERR_OK && reason == NULL)
        app->epoch = f.epoch; /* whoever raised it had this lock */
    if (rc == ERR_OK && reason == NULL && app->keys != NULL &&
        strcmp(f.bundle_kid, jose_key_kid(keyring_bundle_key(app->keys))) != 0)
        /* so had whoever replaced it: the job thread is about to read the new one */
        return err_set(e, ERR_OVERLOADED,
                       "the key that bundles are signed by was replaced a moment ago");
    if (rc != ERR_OK || reason == NULL)
        return rc;
    atomic_store(&app->suspect, true); /* this transaction ends here: the job thread fences */
    return err_set(e, ERR_FENCED,
                   "the database lacks something this parent has given out (%s): nothing is given "
                   "out until an administrator has decided",
                   reason);
}

static bool same(const json_t *w, const struct recovery_facts *f)
{
    return w != NULL && json_int(w, "rev", 0) == f->rev && json_int(w, "pub", 0) == f->pub &&
           json_int(w, "epoch", 0) == f->epoch && json_int(w, "recovered", 0) == f->recovered &&
           strcmp(json_str(w, "fleet", ""), f->fleet) == 0 &&
           strcmp(json_str(json_object_get(w, "head"), "hash", ""), f->head_hash) == 0;
}

enum err_code recovery_write_witness(struct db *db, struct app *app, struct err *e)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    AUTO(json_free) json_t *w = NULL, *old = NULL;
    AUTO_STR char *text = NULL;
    struct recovery_facts f;
    const char *reason;
    char path[512];
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    (void)pthread_mutex_lock(&one); /* read and written in this order, or an older one could win */
    rc = look(db, app, a, &f, &old, &reason, e);
    if (rc == ERR_OK && reason != NULL)
        rc = fence(db, app, reason, f.rev, json_int(old, "rev", 0), e);
    else if (rc == ERR_OK && f.fence[0] == '\0' && !same(old, &f)) {
        /* While fenced, the witness keeps what it saw. */
        w = json_pack("{s:s,s:I,s:I,s:I,s:I,s:{s:I,s:s}}", "fleet", f.fleet, "epoch",
                      (json_int_t)f.epoch, "pub", (json_int_t)f.pub, "rev", (json_int_t)f.rev,
                      "recovered", (json_int_t)f.recovered, "head", "seq", (json_int_t)f.head_seq,
                      "hash", f.head_hash);
        text = w == NULL ? NULL : json_canonical(w);
        witness_path(app, path);
        rc = text == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                          : file_write_atomic(path, slice_of(text), 0600, e);
    }
    (void)pthread_mutex_unlock(&one);
    return rc;
}

/* --- children that know more --- */

enum err_code recovery_watch(struct db *db, struct app *app, struct err *e)
{
    AUTO(arena_free) struct arena *a = NULL;
    int64_t epoch, ahead = fleet_highest_ahead(app->fleet, &epoch);
    struct recovery_facts f;
    enum err_code rc;

    if (app->watched_epoch != app->epoch) { /* what devices had before counts no more */
        if (app->watched_epoch != 0) {
            fleet_forget_ahead(app->fleet);
            ahead = 0;
        }
        app->watched_epoch = app->ahead_epoch_seen = app->epoch;
        app->ahead_seen = 0;
        epoch = ahead == 0 ? 0 : epoch;
    }
    if (ahead <= app->ahead_seen && epoch <= app->ahead_epoch_seen)
        return ERR_OK;
    a = arena_new(64 * KIB);
    rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : recovery_store_facts(db, a, &f, e);
    /* A device behind a rollout that another parent has just moved on is no sign of anything. */
    if (rc == ERR_OK && f.fence[0] == '\0' && (ahead > f.rev || epoch > f.epoch))
        rc = fence(db, app, "device-ahead", f.rev, ahead, e);
    if (rc == ERR_OK) {
        app->ahead_seen = ahead;
        app->ahead_epoch_seen = epoch > app->ahead_epoch_seen ? epoch : app->ahead_epoch_seen;
    }
    return rc;
}

static enum err_code name_ahead(struct db *db, json_t *ahead, struct arena *a, struct err *e)
{
    const char **ids = arena_alloc(a, (json_array_size(ahead) + 1) * sizeof *ids);
    json_t *names = NULL, *one;
    size_t i;
    enum err_code rc = ids == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    for (i = 0; rc == ERR_OK && i < json_array_size(ahead); i++)
        ids[i] = json_str(json_array_get(ahead, i), "id", "");
    if (rc == ERR_OK)
        rc = recovery_store_names(db, issue_id_array(ids, json_array_size(ahead), a), a, &names, e);
    if (rc != ERR_OK)
        return rc;
    json_array_foreach(ahead, i, one)(void)
        json_object_set_new(one, "name", json_string(json_str(names, json_str(one, "id", ""), "")));
    return ERR_OK;
}

enum err_code recovery_describe(struct db *db, struct app *app, struct arena *a, json_t **ret,
                                struct err *e)
{
    AUTO(json_free) json_t *ahead = app->fleet == NULL ? json_array() : fleet_ahead(app->fleet);
    const json_t *row = NULL;
    struct recovery_facts f;
    int64_t highest;
    enum err_code rc = ahead == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                     : recovery_store_facts(db, a, &f, e);

    if (rc == ERR_OK)
        rc = recovery_store_fenced(db, a, &row, e);
    if (rc == ERR_OK)
        rc = name_ahead(db, ahead, a, e);
    if (rc != ERR_OK)
        return rc;
    highest = json_int(row, "highest", 0);
    for (size_t i = 0; i < json_array_size(ahead); i++)
        if (json_int(json_array_get(ahead, i), "rev", 0) > highest)
            highest = json_int(json_array_get(ahead, i), "rev", 0);
    *ret =
        json_pack("{s:b,s:s?,s:s?,s:s?,s:s?,s:I,s:I,s:I,s:I,s:O}", "fenced", row != NULL, "reason",
                  json_str(row, "reason", NULL), "since", json_str(row, "since", NULL), "backup_of",
                  json_str(row, "backup_of", NULL), "notice", json_str(row, "notice", NULL),
                  "epoch", (json_int_t)f.epoch, "pub", (json_int_t)f.pub, "rev", (json_int_t)f.rev,
                  "highest", (json_int_t)(highest > f.rev ? highest : f.rev), "ahead", ahead);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

/* --- the decision --- */

struct decision {
    struct app *app;
    const struct actor *by;
    const char *reason;
    bool keep;
};

enum err_code recovery_issue_all(struct db *db, struct app *app, struct arena *a, struct err *e)
{
    struct bundle_target *t = NULL;
    const char **ids;
    size_t n = 0;
    enum err_code rc = bundle_store_targets(db, NULL, a, &t, &n, e);

    if (rc != ERR_OK || n == 0)
        return rc;
    ids = arena_alloc(a, n * sizeof *ids);
    if (ids == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = t[i].id;
    return issue_reissue(db, app, ids, n, a, e);
}

static enum err_code continue_tx(struct db *db, void *ctx, struct err *e)
{
    struct decision *d = ctx;
    AUTO(arena_free) struct arena *a = arena_new(32 * MIB);
    AUTO(json_free) json_t *seen = NULL, *detail = NULL;
    int64_t above;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : recovery_describe(db, d->app, a, &seen, e);

    if (rc != ERR_OK)
        return rc;
    above = json_int(seen, "highest", 0) + MARGIN;
    rc = recovery_store_lift(db, above, e);
    if (rc == ERR_OK && !d->keep)
        rc = recovery_issue_all(db, d->app, a, e);
    detail = rc == ERR_OK ? json_pack("{s:s,s:O,s:I,s:b}", "reason", d->reason, "fence", seen,
                                      "above", (json_int_t)above, "keep", d->keep)
                          : NULL;
    if (rc == ERR_OK && detail == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "trust", "fence", e);
    return rc == ERR_OK ? audit_append(db, d->by, "recovery.continue", "parent", detail, e) : rc;
}

enum err_code recovery_continue(struct db *db, struct app *app, const struct actor *by,
                                const char *reason, bool keep, struct err *e)
{
    struct decision d = {app, by, reason, keep};
    struct err ignored;
    enum err_code rc = tx_run(db, "recovery.continue", continue_tx, &d, e);

    if (rc == ERR_OK)
        (void)issue_committed(db, app, &ignored);
    return rc;
}
