#include "handlers/idempotent.h"

#include "base/strbuf.h"
#include "domain/idempotency.h"
#include "domain/keyring.h"

#include <stdlib.h>

enum { REQUEST_MAX = 32 * 1024 * 1024 };

/* What the same key must come with again. */
static enum err_code request_text(const struct req *rq, struct strbuf *b, struct err *e)
{
    strbuf_printf(b, "%s %s\n", rq->method, rq->path);
    strbuf_add(b, rq->body);
    return strbuf_check(b, e);
}

static enum err_code replay(struct reply *rp, const struct idempotency *x, struct err *e)
{
    rp->status = x->status;
    reply_header(rp, "Idempotent-Replay", "true");
    if (x->body[0] == '\0')
        return ERR_OK;
    rp->text = strdup(x->body);
    if (rp->text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rp->text_n = strlen(rp->text);
    rp->content_type = "application/json";
    return ERR_OK;
}

static void remember(const struct req *rq, const char *key, const struct reply *rp)
{
    AUTO_STR char *body =
        rp->json == NULL ? strdup("") : json_text(rp->json, JSON_COMPACT | JSON_ENCODE_ANY);
    int status = rp->status != 0 ? rp->status : rp->json == NULL ? 204 : 200;

    if (rp->secret || body != NULL)
        idempotency_end(rq->db, rq->who.id, key, status, rp->secret ? NULL : body);
}

enum err_code idempotent_post(handler_fn handler, struct req *rq, struct reply *rp, struct err *e)
{
    const char *key = req_header(rq, "Idempotency-Key");
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(REQUEST_MAX);
    char blind[SHA256_HEX_SIZE];
    struct idempotency x;
    enum err_code rc;

    if (key == NULL || rq->dry_run || rq->db == NULL ||
        (rq->who.kind != WHO_ACCOUNT && rq->who.kind != WHO_TOKEN))
        return handler(rq, rp, e);
    rc = request_text(rq, &text, e);
    if (rc ==
        ERR_OK) { /* the body may hold a password: what is kept must not tell it to who tries */
        keyring_blind(rq->app->keys, strbuf_slice(&text), blind);
        secret_wipe(text.p, text.n);
        rc = idempotency_begin(rq->db, rq->who.id, key, slice_of(blind), rq->arena, &x, e);
    }
    if (rc != ERR_OK)
        return rc;
    if (x.replay)
        return replay(rp, &x, e);
    rc = handler(rq, rp, e);
    if (rc == ERR_OK)
        remember(rq, key, rp);
    else if (rc != ERR_OUTCOME_UNKNOWN) /* that one's outcome is unknown: the key stays taken */
        idempotency_free(rq->db, rq->who.id, key);
    return rc;
}
