#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/token.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SETTLE_MS = 10 * 1000, /* for what is on its way signed by the old key */
    REFUSED_MS =
        3600 * 1000, /* a parent that does not want our new key is not asked again before */
};

static const char *state_dir(const struct loop *l)
{
    return l->memory.dir;
}

/* --- which key --- */

const struct jose_key *rotate_signer(const struct loop *l)
{
    if (l->rotate.tries == ROTATE_NEXT && l->id.next.sig != NULL)
        return l->id.next.sig;
    return l->rotate.tries == ROTATE_OLD && l->id.old.sig != NULL ? l->id.old.sig : l->id.key.sig;
}

bool rotate_another(struct loop *l)
{
    struct rotate *r = &l->rotate;

    if (r->tries == ROTATE_CURRENT && l->id.next.sig != NULL)
        r->tries = ROTATE_NEXT;
    else if (r->tries != ROTATE_OLD && l->id.old.sig != NULL)
        r->tries = ROTATE_OLD;
    else
        r->tries = ROTATE_CURRENT;
    return r->tries != ROTATE_CURRENT;
}

static void note_change(struct loop *l, const char *how)
{
    log_event(LOG_LEVEL_INFO, "key.renewed", KV_STR("kid", jose_key_kid(l->id.key.sig)),
              KV_STR("how", how));
    (void)condition_set(&l->conditions, COND_KEY_CURRENT, COND_TRUE, "Current", "%s", "");
    loop_touch(l);
}

void rotate_accepted(struct loop *l)
{
    enum rotate_key which = l->rotate.tries;
    struct err e = {0};
    enum err_code rc = ERR_OK;

    l->rotate.tries = ROTATE_CURRENT;
    if (which == ROTATE_NEXT && l->id.next.sig != NULL) {
        rc = identity_next_done(state_dir(l), &l->id, loop_now_ms(l), &e);
        note_change(l, "accepted");
    } else if (which == ROTATE_OLD && l->id.old.sig != NULL) {
        /* The parent was set back behind our renewal: ours is offered to it again. */
        rc = identity_old_again(state_dir(l), &l->id, &e);
        log_event(LOG_LEVEL_WARN, "key.old_again", KV_STR("kid", jose_key_kid(l->id.key.sig)));
        l->rotate.next = 0;
    }
    if (rc != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "key.not_stored", KV_STR("problem", e.msg));
}

/* --- the two requests --- */

static void settle(struct loop *l)
{
    int64_t until = clock_mono_ms() + SETTLE_MS;

    while ((l->parent.status_busy || l->parent.proposal_busy || l->parent.token_busy ||
            l->orders.send_busy || l->orders.list_busy) &&
           clock_mono_ms() < until)
        http_step(l->http, NULL, 0, 100);
}

static enum err_code offer_text(struct loop *l, char **ret, struct err *e)
{
    AUTO(json_free)
    json_t *doc =
        json_pack("{s:s,s:s,s:o,s:o}", "fleet", l->id.fleet, "device", l->id.device_id, "jwk",
                  jose_key_to_jwk(l->id.next.sig), "enc_jwk", jose_key_to_jwk(l->id.next.enc));
    AUTO_STR char *text = doc == NULL ? NULL : json_canonical(doc);

    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(l->id.next.sig, PROTO_TYP_KEY, slice_of(text), false, ret, e);
}

static enum err_code send_offer(struct loop *l, struct http_answer *a, struct err *e)
{
    AUTO_STR char *jws = NULL, *proof = NULL;
    char act[sizeof PROTO_ACT_ROTATE + JOSE_KID_SIZE];
    struct http_req *r;
    enum err_code rc = offer_text(l, &jws, e);

    (void)snprintf(act, sizeof act, PROTO_ACT_ROTATE "%s", jose_key_kid(l->id.next.sig));
    if (rc == ERR_OK)
        rc = token_proof(l->id.key.sig, l->id.device_id, trust_issuer(l->id.trust), act,
                         loop_now_ms(l), &proof, e);
    if (rc != ERR_OK)
        return rc;
    r = http_req_new("POST", "/api/agent/v1/keys");
    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", l->parent.token);
        http_req_header(r, PROTO_H_BOOT ": %s", l->boot);
        http_req_header(r, PROTO_H_PROOF ": %s", proof);
        http_req_body(r, "application/jose+json", slice_of(jws));
    }
    return http_call(l->http, r, a, e);
}

/* *ret_taken false: the parent refused, *e says why. */
static enum err_code offer(struct loop *l, bool *ret_taken, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct http_answer a = {0};
    enum err_code rc = send_offer(l, &a, e);

    *ret_taken = false;
    if (rc != ERR_OK)
        return rc;
    if (a.status == 200)
        rc = json_in_parse(strbuf_slice(&a.body), 64 * KIB, &doc, e);
    if (a.status == 200 && rc == ERR_OK) {
        *ret_taken = true;
        rc = identity_next_offered(state_dir(l), &l->id, json_str(doc, "receipt", ""), e);
    } else if (a.status != 200) {
        rc = http_answer_err(&a, e);
    }
    http_answer_clear(&a);
    return rc;
}

/* Ask for a token with the new key: that is what brings it into force. */
static enum err_code use(struct loop *l, struct err *e)
{
    AUTO_STR char *form = NULL;
    struct http_answer a = {0};
    struct http_req *r;
    char *token = NULL;
    int64_t life = 0;
    enum err_code rc = token_client_form(l->id.next.sig, l->id.device_id, trust_issuer(l->id.trust),
                                         loop_now_ms(l), &form, e);

    if (rc != ERR_OK)
        return rc;
    r = http_req_new("POST", "/oauth2/token");
    if (r != NULL)
        http_req_body(r, "application/x-www-form-urlencoded", slice_of(form));
    rc = http_call(l->http, r, &a, e);
    if (rc != ERR_OK)
        return rc;
    loop_crash_at("rotate-used");
    rc = a.status == 200 ? token_read(strbuf_slice(&a.body), "device", &token, &life, e)
                         : http_answer_err(&a, e);
    http_answer_clear(&a);
    if (rc != ERR_OK)
        return rc;
    l->rotate.tries = ROTATE_NEXT;
    rotate_accepted(l);
    parent_take_token(l, token, life);
    return ERR_OK;
}

bool rotate_goes_on(enum err_code rc)
{
    return rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT || rc == ERR_OVERLOADED ||
           rc == ERR_SLOW_DOWN || rc == ERR_STORAGE || rc == ERR_NO_MEMORY ||
           rc == ERR_OUTCOME_UNKNOWN || rc == ERR_TOKEN_EXPIRED || rc == ERR_TOKEN_INVALID;
}

/* The parent looked at the new keys themselves and does not want them.  No other refusal proves
 * that they are not in force there already, by an answer that was lost; without them this device
 * would have no key at all then. */
static bool unwanted(enum err_code rc)
{
    return rc == ERR_INVALID || rc == ERR_SIGNATURE || rc == ERR_MALFORMED;
}

static enum err_code go(struct loop *l, const char *order, struct err *e)
{
    struct err unused = {0};
    bool taken = false;
    enum err_code rc = identity_next_begin(state_dir(l), &l->id, order, e);

    if (rc != ERR_OK)
        return rc;
    loop_crash_at("rotate-made");
    settle(l);
    rc = offer(l, &taken, e);
    loop_crash_at("rotate-offered");
    /* 409 may say that it is in force already, by an answer that was lost: its use tells. */
    if (taken || rc == ERR_CONFLICT) {
        struct err why = {0};
        enum err_code used = use(l, taken ? e : &why);
        if (taken || used == ERR_OK)
            return used;
    }
    if (rc == ERR_TOKEN_INVALID)
        parent_forget_token(l); /* the next one is asked for with each of our keys */
    if (unwanted(rc) && identity_next_drop(state_dir(l), &l->id, &unused) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "key.not_stored", KV_STR("problem", unused.msg));
    return rc;
}

enum err_code rotate_run(struct loop *l, const char *order, struct err *e)
{
    if (order[0] != '\0' && l->id.next.sig == NULL && strcmp(order, l->id.rotated_for) == 0)
        return ERR_OK; /* done; a kill came before it could be said */
    if (l->parent.state != PARENT_OK || l->parent.token == NULL)
        return err_set(e, ERR_UNAVAILABLE, "the parent was not reached (%s)", l->parent.trouble);
    return go(l, order, e);
}

/* --- by itself --- */

int64_t rotate_due_ms(const struct loop *l)
{
    int64_t age = l->settings->key_max_age_ms;
    unsigned char hash[SHA256_SIZE];

    if (age == 0)
        return INT64_MAX;
    /* Devices that joined on one day do not renew on one day. */
    sha256(slice_of(l->id.device_id), hash);
    return l->id.key_ms + age - age / 10 + age / 10 / 256 * hash[0];
}

void rotate_turn(struct loop *l)
{
    int64_t now = clock_mono_ms(), due = rotate_due_ms(l);
    struct err e = {0};
    enum err_code rc;

    if (l->id.next.sig == NULL && loop_now_ms(l) < due) {
        if (condition_set(&l->conditions, COND_KEY_CURRENT, COND_TRUE, "Current", "%s", ""))
            loop_touch(l);
        return;
    }
    if (now < l->rotate.next || l->work.pending.active) {
        loop_wake(l, l->rotate.next > now ? l->rotate.next : now + 1000);
        return;
    }
    rc = rotate_run(l, l->id.next.sig != NULL ? l->id.rotated_for : "", &e);
    if (rc == ERR_OK) {
        backoff_reset(&l->rotate.backoff);
        return;
    }
    now = clock_mono_ms();
    l->rotate.next = now + (rotate_goes_on(rc) ? backoff_next(&l->rotate.backoff) : REFUSED_MS);
    log_event(LOG_LEVEL_WARN, "key.not_renewed", KV_STR("problem", e.msg));
    if (condition_set(&l->conditions, COND_KEY_CURRENT, COND_FALSE, "NotRenewed", "%s", e.msg))
        loop_touch(l);
}
