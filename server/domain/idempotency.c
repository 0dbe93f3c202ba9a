#include "domain/idempotency.h"

#include "base/hash.h"
#include "base/log.h"
#include "store/idempotency_store.h"

static const char SECRET[] = "secret"; /* no JSON document: nothing an answer could be */

enum err_code idempotency_begin(struct db *db, const char *actor, const char *key,
                                struct slice request, struct arena *a, struct idempotency *ret,
                                struct err *e)
{
    struct slice k = slice_of(key);
    char digest[SHA256_HEX_SIZE];
    struct remembered r = {0};
    bool fresh = false;
    enum err_code rc;

    *ret = (struct idempotency){0};
    if (k.n == 0 || k.n > IDEMPOTENCY_KEY_MAX || !slice_is_text(k))
        return err_field(e, ERR_INVALID, "/header/Idempotency-Key",
                         "the key must have 1 to %d printable bytes", IDEMPOTENCY_KEY_MAX);
    sha256_hex(request, digest);
    rc = idempotency_store_take(db, actor, key, digest, a, &fresh, &r, e);
    if (rc != ERR_OK || fresh)
        return rc;
    if (strcmp(r.request, digest) != 0)
        return err_set(e, ERR_IDEMPOTENCY_MISMATCH, "this key came with another request before");
    if (r.status == 0)
        return err_set(
            e, ERR_CONFLICT,
            "the first request with this key is not finished, or its outcome is unknown");
    if (strcmp(r.body, SECRET) == 0)
        return err_set(e, ERR_CONFLICT,
                       "this was done already; its answer held a secret and was not kept");
    *ret = (struct idempotency){true, (int)r.status, r.body};
    return ERR_OK;
}

static void failed(const char *what, const struct err *e)
{
    log_event(LOG_LEVEL_WARN, "idempotency.failed", KV_STR("what", what), KV_STR("text", e->msg));
}

void idempotency_end(struct db *db, const char *actor, const char *key, int status,
                     const char *body)
{
    struct err e = {0};

    if (idempotency_store_finish(db, actor, key, status, body == NULL ? SECRET : body, &e) !=
        ERR_OK)
        failed("finish", &e);
}

void idempotency_free(struct db *db, const char *actor, const char *key)
{
    struct err e = {0};

    if (idempotency_store_drop(db, actor, key, &e) != ERR_OK)
        failed("free", &e);
}
