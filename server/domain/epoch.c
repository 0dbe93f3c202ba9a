#include "domain/epoch.h"

#include "base/log.h"
#include "domain/issue.h"
#include "domain/keyring.h"
#include "domain/recovery.h"
#include "store/bundle_store.h"
#include "store/fleet_store.h"
#include "store/key_store.h"
#include "store/recovery_store.h"

#include <stdlib.h>

struct raise {
    struct app *app;
    const struct jose_key *root;
    const struct actor *by;
    const char *reason;
    bool keep;
    struct epoch_result r;
};

static enum err_code audit(struct db *db, const struct raise *x,
                           const struct recovery_facts *before, struct err *e)
{
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:I,s:I,s:I,s:s,s:b}", "reason", x->reason, "before",
                               (json_int_t)before->epoch, "epoch", (json_int_t)x->r.epoch, "trust",
                               (json_int_t)x->r.trust, "fence", before->fence, "keep", x->keep);

    return detail == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                          : audit_append(db, x->by, "recovery.epoch", "parent", detail, e);
}

static enum err_code raise_tx(struct db *db, void *ctx, struct err *e)
{
    struct raise *x = ctx;
    AUTO(arena_free) struct arena *a = arena_new(32 * MIB);
    AUTO_STR char *jws = NULL;
    struct recovery_facts before;
    int64_t devices = 0;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : recovery_store_facts(db, a, &before, e);

    if (rc == ERR_OK)
        rc = recovery_store_devices(db, a, &devices, e);
    if (rc != ERR_OK)
        return rc;
    x->r = (struct epoch_result){before.epoch + 1, keyring_trust_n(x->app->keys) + 1, devices};
    rc = recovery_store_epoch(db, x->r.epoch, e);
    if (rc == ERR_OK) /* whoever is issuing now ends first, in the old epoch */
        rc = bundle_store_lock(db, e);
    if (rc == ERR_OK)
        rc = keyring_trust_sign(x->app, x->root, NULL, x->r.trust, x->r.epoch, NULL, &jws, e);
    if (rc == ERR_OK)
        rc = key_store_trust_add(db, x->r.trust, jws, e);
    if (rc == ERR_OK && !x->keep)
        rc = recovery_issue_all(db, x->app, a, e);
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "trust", "epoch", e);
    return rc == ERR_OK ? audit(db, x, &before, e) : rc;
}

enum err_code epoch_raise(struct db *db, struct app *app, const struct jose_key *root,
                          const struct actor *by, const char *reason, bool keep,
                          struct epoch_result *ret, struct err *e)
{
    struct raise x = {app, root, by, reason, keep, {0}};
    struct err ignored;
    enum err_code rc;

    if (keyring_trust_n(app->keys) >= KEYRING_TRUST_MAX)
        return err_set(e, ERR_REFUSED, "there are %d trust documents already, which is the most",
                       KEYRING_TRUST_MAX);
    rc = tx_run(db, "recovery.epoch", raise_tx, &x, e);
    if (rc != ERR_OK)
        return rc;
    app->epoch = x.r.epoch;
    log_event(LOG_LEVEL_WARN, "parent.epoch", KV_INT("epoch", x.r.epoch),
              KV_INT("trust", x.r.trust), KV_STR("reason", reason));
    (void)issue_committed(db, app, &ignored);
    *ret = x.r;
    return ERR_OK;
}
