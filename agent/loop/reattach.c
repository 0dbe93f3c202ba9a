#include "loop/reattach.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    APPROVAL_MS = 30 * 1000, /* when the parent does not say how long */
    TAKEN_MS = 60 * 1000,    /* known again, and perhaps not for long */
    REFUSED_MS = 3600 * 1000
};

void reattach_want(struct loop *l)
{
    struct reattach *r = &l->reattach;
    int64_t now = clock_mono_ms();

    if (r->wanted || now < r->again || l->id.receipt == NULL || l->id.receipt[0] == '\0')
        return;
    r->wanted = true;
    r->next = now;
    log_event(LOG_LEVEL_WARN, "reattach.begin", KV_STR("device", l->id.device_id));
}

bool reattach_waits(const struct loop *l)
{
    return l->reattach.wanted && l->reattach.waiting;
}

/* --- answers --- */

static void end(struct loop *l, int64_t again_ms)
{
    struct reattach *r = &l->reattach;

    r->wanted = r->waiting = r->post = false;
    r->again = clock_mono_ms() + again_ms;
    backoff_reset(&r->backoff);
}

static void wait_for_people(struct loop *l, const struct http_answer *a)
{
    AUTO(json_free) json_t *doc = NULL;
    bool lost = json_in_parse(strbuf_slice(&a->body), 64 * KIB, &doc, NULL) == ERR_OK &&
                strcmp(json_str(doc, "state", ""), "reattach") == 0;
    int64_t wait =
        backoff_retry_after(slice_of(a->retry_after), clock_wall_ms() + l->parent.offset_ms);

    l->reattach.waiting = true;
    l->reattach.next = clock_mono_ms() + (wait >= 0 ? wait : APPROVAL_MS);
    if (condition_set(
            &l->conditions, COND_AUTHENTICATED, COND_FALSE, lost ? "Reattach" : "WaitsForApproval",
            "%s",
            lost ? "the parent has lost this device's record and was shown the receipt of its "
                   "enrolment; an administrator has to approve it (inarictl approve)"
                 : "an administrator has to approve this device (inarictl approve)"))
        loop_touch(l);
}

/* A receipt of now, and the name the device has now. */
static enum err_code take_over(struct loop *l, const struct http_answer *a, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    const char *receipt;
    char *copy;
    enum err_code rc = json_in_parse(strbuf_slice(&a->body), 256 * KIB, &doc, e);

    if (rc != ERR_OK)
        return rc;
    if (strcmp(json_str(doc, "device_id", ""), l->id.device_id) != 0)
        return err_set(e, ERR_MALFORMED, "the answer is about another device");
    receipt = json_str(doc, "receipt", "");
    rc = trust_receipt(l->id.trust, receipt, l->id.device_id, jose_key_kid(l->id.key.sig),
                       loop_now_ms(l), e);
    if (rc != ERR_OK)
        return rc;
    copy = strdup(receipt);
    if (copy == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    free(l->id.receipt);
    l->id.receipt = copy;
    text_copy(l->id.name, sizeof l->id.name, json_str(doc, "name", l->id.name));
    return identity_save(l->memory.dir, &l->id, e);
}

static void known_again(struct loop *l, const struct http_answer *a)
{
    struct err e = {0};

    /* The old receipt is as good: what could not be stored or checked is no reason to stay away. */
    if (take_over(l, a, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "reattach.receipt", KV_STR("problem", e.msg));
    log_event(LOG_LEVEL_INFO, "reattach.done", KV_STR("device", l->id.device_id));
    end(l, TAKEN_MS);
    l->parent.token_next = l->parent.poll_next = clock_mono_ms();
    (void)condition_set(&l->conditions, COND_AUTHENTICATED, COND_UNKNOWN, "Approved", "%s", "");
    l->report.force = true;
    loop_touch(l);
}

static void on_answer(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct reattach *r = &l->reattach;

    r->busy = false;
    if (a->status == 202) {
        wait_for_people(l, a);
    } else if (a->status == 200 || a->status == 201) {
        known_again(l, a);
    } else if (a->status == 0 || a->status == 429 || a->status >= 500) {
        r->post = false;
        r->next = clock_mono_ms() + parent_react(l, a, &r->backoff);
    } else if (a->status == 401 && r->waiting) {
        /* It was rejected and deleted, or lost once more: from the beginning. */
        end(l, 0);
        r->again = clock_mono_ms() + backoff_next(&r->backoff);
    } else {
        log_event(LOG_LEVEL_WARN, "reattach.refused", KV_INT("status", a->status),
                  KV_STR("problem", a->problem));
        end(l, REFUSED_MS + (int64_t)rand_below(REFUSED_MS / 4));
        if (a->status != 401) /* revoked, retired, rejected, versions that do not fit */
            l->parent.token_next = clock_mono_ms() + parent_react(l, a, &r->backoff);
    }
}

static void on_hello(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct reattach *r = &l->reattach;
    AUTO(json_free) json_t *doc = NULL;
    int64_t theirs = 0;

    r->busy = false;
    if (a->status == 200 && json_in_parse(strbuf_slice(&a->body), 64 * KIB, &doc, NULL) == ERR_OK)
        text_copy(r->nonce, sizeof r->nonce, json_str(doc, "nonce", ""));
    r->post = a->status == 200 && strcmp(json_str(doc, "fleet", ""), l->id.fleet) == 0;
    if (!r->post) {
        r->next =
            clock_mono_ms() + (a->status == 200 ? REFUSED_MS : parent_react(l, a, &r->backoff));
        return;
    }
    /* Held to the pins like everything else: its clock counts as after any answer. */
    if (!l->parent.offset_known && clock_parse(slice_of(json_str(doc, "time", "")), &theirs))
        l->parent.offset_ms = theirs - a->at_wall_ms;
}

/* --- requests --- */

static enum err_code document(struct loop *l, char **ret, struct err *e)
{
    static const char *const modes[] = {"observe", "manage", "observe"};
    const struct bundle *b = l->work.have_bundle ? &l->work.bundle : NULL;
    AUTO(json_free) json_t *jwk = jose_key_to_jwk(l->id.key.sig);
    AUTO(json_free) json_t *enc = jose_key_to_jwk(l->id.key.enc);
    AUTO(json_free) json_t *inventory = report_inventory(l);
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL;
    char host[256] = "";

    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0')
        (void)snprintf(host, sizeof host, "localhost");
    doc = json_pack("{s:O,s:O,s:s,s:s,s:s,s:s,s:s,s:s,s:[s],s:O,s:s}", "jwk", jwk, "enc_jwk", enc,
                    "nonce", l->reattach.nonce, "name", l->id.name, "hostname", host, "fingerprint",
                    l->here.whole, "hardware", l->here.hardware, "agent_version", INARI_VERSION,
                    "capabilities", "postfix", "inventory", inventory, "mode",
                    modes[b == NULL ? BUNDLE_OBSERVE : b->mode]);
    if (doc != NULL && b != NULL && b->placement != NULL)
        (void)json_object_set_new(doc, "placement", json_string(b->placement));
    text = doc == NULL ? NULL : json_canonical(doc);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(l->id.key.sig, PROTO_TYP_ENROL, slice_of(text), false, ret, e);
}

static enum err_code show_receipt(struct loop *l, struct err *e)
{
    AUTO_STR char *body = NULL;
    struct http_req *q;
    enum err_code rc = document(l, &body, e);

    l->reattach.post = false;
    if (rc != ERR_OK)
        return rc;
    q = http_req_new("POST", "/api/agent/v1/enrolments");
    if (q != NULL) {
        http_req_header(q, "Authorization: Bearer %s", l->id.receipt);
        http_req_body(q, "application/jose+json", slice_of(body));
        http_req_limits(q, 256 * KIB, HTTP_HEAD_MS);
    }
    return http_start(l->http, q, on_answer, l, e);
}

static enum err_code ask_decision(struct loop *l, struct err *e)
{
    AUTO_STR char *proof = NULL;
    char path[80];
    struct http_req *q;
    enum err_code rc = token_proof(l->id.key.sig, l->id.device_id, trust_issuer(l->id.trust),
                                   PROTO_ACT_ENROLMENT, loop_now_ms(l), &proof, e);

    if (rc != ERR_OK)
        return rc;
    (void)snprintf(path, sizeof path, "/api/agent/v1/enrolments/%s", l->id.device_id);
    q = http_req_new("GET", path);
    if (q != NULL) {
        http_req_header(q, "Authorization: Bearer %s", proof);
        http_req_limits(q, 256 * KIB, HTTP_HEAD_MS);
    }
    return http_start(l->http, q, on_answer, l, e);
}

static enum err_code ask_hello(struct loop *l, struct err *e)
{
    struct http_req *q = http_req_new("GET", "/api/agent/v1/hello");

    if (q != NULL)
        http_req_limits(q, 64 * KIB, HTTP_HEAD_MS);
    return http_start(l->http, q, on_hello, l, e);
}

void reattach_turn(struct loop *l)
{
    struct reattach *r = &l->reattach;
    struct err e = {0};
    enum err_code rc;

    if (!r->wanted || r->busy)
        return;
    if (!r->post && clock_mono_ms() < r->next) {
        loop_wake(l, r->next);
        return;
    }
    rc = r->waiting ? ask_decision(l, &e) : r->post ? show_receipt(l, &e) : ask_hello(l, &e);
    r->busy = rc == ERR_OK;
    if (rc == ERR_OK)
        return;
    r->next = clock_mono_ms() + backoff_next(&r->backoff);
    log_event(LOG_LEVEL_WARN, "reattach.failed", KV_STR("problem", e.msg));
}
