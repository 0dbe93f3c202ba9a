/* GET /api/agent/v1/desired: conditional, held, without SQL (protocol.md 6.7). */
#include "handlers/agent.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"
#include "domain/list_give.h"
#include "proto/proto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INTERVAL_S = 60,
    WAIT_MAX_S = 60,
    BEHIND_MS = 1500, /* time for our own table to catch up with another parent's publication */
    BYTES_MS =
        10000, /* time for the job thread to fetch a bundle, also amid a publication to all */
    FRESH_S = 7 * 86400,
    FIGURES_S = 180 /* three polls */
};

/* What a poll is held for.  A poll whose time is over just when its device is given something is
 * not sent away: it waits for the bytes. */
enum { FOR_NEWS = 1, FOR_BYTES, FOR_CATCH_UP };

struct poll {
    struct req *rq;
    struct reply *rp;
    struct fleet_view v;
    int64_t have_epoch, have_rev; /* 0 0: nothing yet */
    char seen_etag[65];           /* If-None-Match */
    int64_t wait_s;
    char lists[LIST_TOKEN_SIZE]; /* the lists it would be given; "": not known yet */
};

static void read_have(struct poll *p)
{
    struct slice rest = slice_of(req_header(p->rq, PROTO_H_HAVE)), epoch = slice_cut(&rest, '.');

    if (!parse_i64(epoch, 0, INT32_MAX, &p->have_epoch) ||
        !parse_i64(rest, 0, PROTO_REV_MAX, &p->have_rev))
        p->have_epoch = p->have_rev = 0;
}

static void read_etag(struct poll *p)
{
    struct slice s = slice_trim(slice_of(req_header(p->rq, "If-None-Match")));

    if (slice_starts(s, "W/"))
        s = (struct slice){s.p + 2, s.n - 2};
    if (s.n == 66 && s.p[0] == '"' && s.p[65] == '"')
        memcpy(p->seen_etag, s.p + 1, 64); /* zeroed when made */
}

static void read_wait(struct poll *p)
{
    struct slice rest = slice_of(req_header(p->rq, "Prefer"));

    while (rest.n > 0) {
        struct slice one = slice_trim(slice_cut(&rest, ','));
        if (slice_starts(one, "wait="))
            (void)!parse_i64((struct slice){one.p + 5, one.n - 5}, 0, WAIT_MAX_S, &p->wait_s);
    }
}

static void read_instance(const struct req *rq, int64_t wall_ms, struct instance *ret)
{
    const char *boot = req_header(rq, PROTO_H_BOOT), *machine = req_header(rq, PROTO_H_MACHINE);

    if (boot != NULL && uuid_is_valid(boot))
        text_copy(ret->boot, sizeof ret->boot, boot);
    if (machine != NULL && strlen(machine) == 64 && strspn(machine, "0123456789abcdef") == 64)
        text_copy(ret->machine, sizeof ret->machine, machine);
    if (!parse_i64(slice_of(req_header(rq, PROTO_H_SEQ)), 0, INT64_MAX, &ret->seq))
        ret->seq = 0;
    ret->seen_ms = wall_ms;
}

/* The device's row, with this poll counted in it. */
static enum err_code look_up(struct poll *p, const struct fleet_poll *at, struct err *e)
{
    const char *id = p->rq->who.id;

    switch (fleet_poll(p->rq->app->fleet, id, at, &p->v)) {
    case FLEET_POLL_OK:
        return ERR_OK;
    case FLEET_POLL_UNKNOWN:
        return err_set(e, ERR_DEVICE_UNKNOWN, "device \"%s\" is not known here", id);
    case FLEET_POLL_FORK:
        return err_set(e, ERR_IDENTITY_FORK, "another machine uses the identity of device \"%s\"",
                       id);
    case FLEET_POLL_SOON:
        break;
    }
    reply_header(p->rp, "Retry-After", "%d", 5 + (int)rand_below(10));
    return err_set(e, ERR_SLOW_DOWN, "device \"%s\" polls too often", id);
}

/* A rollout is watched, and this device is one of those that are looked at. */
static bool wants_figures(const struct poll *p)
{
    int one_in = atomic_load(&p->rq->app->figures_one_in);
    const char *id = p->rq->who.id;
    size_t n = strlen(id);

    return one_in > 0 && n > 4 && strtoul(id + n - 4, NULL, 16) % (unsigned)one_in == 0;
}

static void always(struct poll *p, int64_t wall_ms)
{
    reply_header(p->rp, PROTO_H_NEXT_POLL, "%lld",
                 (long long)fleet_next_poll_s(p->rq->who.id, INTERVAL_S, wall_ms));
    reply_header(p->rp, PROTO_H_TRUST, "%lld", (long long)keyring_trust_n(p->rq->app->keys));
    reply_header(p->rp, "Cache-Control", "no-store");
    if (wants_figures(p))
        reply_header(p->rp, PROTO_H_FIGURES, "%d", FIGURES_S);
}

static bool fenced(const struct poll *p)
{
    return atomic_load(&p->rq->app->fenced);
}

/* Cut off from the database, and there is another parent that perhaps is not. */
static bool better_elsewhere(const struct poll *p)
{
    const struct app *app = p->rq->app;

    return fleet_cut_off(app->fleet) && app->addresses[0] != NULL && app->addresses[1] != NULL;
}

static void how_we_are(struct poll *p)
{
    int64_t n = fleet_notice_n(p->rq->app->fleet);

    if (n != 0)
        reply_header(p->rp, PROTO_H_NOTICE, "%lld", (long long)n);
    if (fenced(p))
        reply_header(p->rp, PROTO_H_PARENT, PROTO_PARENT_FENCED);
    else if (better_elsewhere(p))
        reply_header(p->rp, PROTO_H_PARENT, PROTO_PARENT_STALE);
}

/* The stored status document is another one than the device says it sent last. */
static bool wants_report(const struct poll *p)
{
    const char *digest = req_header(p->rq, PROTO_H_STATUS);

    return strcmp(digest == NULL ? "" : digest, p->v.status_digest) != 0 ||
           p->v.status_digest[0] == '\0';
}

/* It knows of other lists than it would be given.  Who does not say which wants none. */
static bool wants_lists(const struct poll *p)
{
    const char *known = req_header(p->rq, PROTO_H_LISTS);

    return known != NULL && p->lists[0] != '\0' && strcmp(known, p->lists) != 0;
}

/* A tiny proof that this parent still means this bundle: also with a 304. */
static void add_fresh(struct poll *p)
{
    const char *asked = req_header(p->rq, PROTO_H_WANT_FRESH);
    int64_t now = clock_wall_s();
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL, *jws = NULL;

    if (asked == NULL || strcmp(asked, "1") != 0 || p->v.rev == 0)
        return;
    j = json_pack("{s:s,s:s,s:I,s:I,s:I,s:I}", "device", p->v.id, "etag", p->v.etag, "epoch",
                  (json_int_t)p->v.epoch, "rev", (json_int_t)p->v.rev, "iat", (json_int_t)now,
                  "exp", (json_int_t)(now + FRESH_S));
    text = j == NULL ? NULL : json_canonical(j);
    if (text != NULL && jose_jws_sign(keyring_bundle_key(p->rq->app->keys), PROTO_TYP_FRESH,
                                      slice_of(text), true, &jws, NULL) == ERR_OK)
        reply_header(p->rp, PROTO_H_FRESH, "%s", jws);
}

/* An agent that does not say has spoken version 1 since before it was asked. */
static enum err_code same_language(const struct poll *p, struct err *e)
{
    const char *word = req_header(p->rq, PROTO_H_API);
    int64_t api = 1;

    if (word != NULL && !parse_i64(slice_of(word), 1, INT32_MAX, &api))
        return err_field(e, ERR_MALFORMED, PROTO_H_API, "must be a whole number from 1");
    return proto_api_check(api, PROTO_API, e);
}

static void park(struct poll *p, int what, int64_t ms)
{
    p->rp->park = true;
    p->rp->park_for = what;
    fleet_park_key(p->v.id, p->rp->park_key);
    p->rp->park_until_mono_ms = clock_mono_ms() + ms;
}

static enum err_code busy(struct poll *p, struct err *e, const char *why)
{
    reply_header(p->rp, "Retry-After", "%d", 5 + (int)rand_below(25));
    return err_set(e, ERR_OVERLOADED, "%s", why);
}

/* 200 with the exact bytes that were signed. */
static enum err_code give_bundle(struct poll *p, struct err *e)
{
    if (fenced(p)) {
        reply_header(p->rp, "Retry-After", "%d", 5 + (int)rand_below(10));
        return err_set(e, ERR_FENCED,
                       "this parent may not know who was revoked: nothing is given out until an "
                       "administrator has decided");
    }
    if (p->v.bundle == NULL) {
        if (req_waited_for(p->rq, FOR_BYTES))
            return busy(p, e, "could not read the bundle");
        fleet_want_bundle(p->rq->app->fleet, p->v.id);
        park(p, FOR_BYTES, BYTES_MS);
        return ERR_OK;
    }
    p->rp->status = 200;
    p->rp->content_type = "application/jose+json";
    p->rp->shared = p->v.bundle->jws;
    p->rp->shared_n = p->v.bundle->n;
    p->rp->release = bundle_bytes_unref;
    p->rp->release_arg = bundle_bytes_ref(p->v.bundle);
    return ERR_OK;
}

static enum err_code unchanged(struct poll *p)
{
    bool report = wants_report(p) || wants_lists(p), hold = !fenced(p) && !better_elsewhere(p);

    if (p->v.rev > 0 && p->v.bundle != NULL)
        fleet_confirmed(p->rq->app->fleet, p->v.id, p->v.etag);
    if (hold && p->wait_s > 0 && !report && p->v.commands == 0 && !req_expired(p->rq)) {
        park(p, FOR_NEWS,
             p->wait_s * 1000 + (int64_t)rand_below((uint64_t)p->wait_s * 1000 / 16 + 1));
        return ERR_OK;
    }
    if (hold && p->wait_s > 0 && !report && p->v.commands == 0)
        reply_header(p->rp, "Preference-Applied", "wait");
    p->rp->status = 304;
    return ERR_OK;
}

static enum err_code answer(struct poll *p, struct err *e)
{
    bool behind =
        p->have_epoch > p->v.epoch || (p->have_epoch == p->v.epoch && p->have_rev > p->v.rev);
    enum err_code rc;

    if (behind && (p->have_rev > 0 || p->have_epoch > 0)) {
        fleet_note_ahead(p->rq->app->fleet, p->v.id, p->have_epoch, p->have_rev, p->rq->app->epoch);
        if (req_waited_for(p->rq, FOR_CATCH_UP))
            return err_set(e, ERR_PARENT_BEHIND,
                           "the device has %lld.%lld, this parent knows %lld.%lld",
                           (long long)p->have_epoch, (long long)p->have_rev, (long long)p->v.epoch,
                           (long long)p->v.rev);
        park(p, FOR_CATCH_UP, BEHIND_MS);
        return ERR_OK;
    }
    rc = p->v.rev > 0 && strcmp(p->seen_etag, p->v.etag) != 0 ? give_bundle(p, e) : unchanged(p);
    if (rc != ERR_OK || p->rp->park)
        return rc;
    text_copy(p->rp->etag, sizeof p->rp->etag, p->v.etag);
    if (wants_report(p))
        reply_header(p->rp, PROTO_H_REPORT, "full");
    add_fresh(p);
    return ERR_OK;
}

enum err_code agent_desired(struct req *rq, struct reply *rp, struct err *e)
{
    struct poll p = {.rq = rq, .rp = rp};
    struct fleet_poll at = {.wall_ms = clock_wall_coarse_ms(),
                            .mono_ms = clock_mono_coarse_ms(),
                            .again = req_again(rq)};
    enum err_code rc;

    always(&p, at.wall_ms);
    if (!fleet_usable(rq->app->fleet, at.mono_ms))
        return busy(&p, e, "could not read the device table for some time");
    read_instance(rq, at.wall_ms, &at.instance);
    how_we_are(&p);
    if (look_up(&p, &at, e) != ERR_OK)
        return e->code;
    if (req_header(rq, PROTO_H_LISTS) == NULL || /* it wants none */
        !list_give_token(rq->app->lists, rq->who.id, p.lists))
        p.lists[0] = '\0';
    else
        reply_header(rp, PROTO_H_LISTS, "%s", p.lists);
    reply_header(rp, PROTO_H_COMMANDS, "%lld", (long long)p.v.commands);
    read_have(&p);
    read_etag(&p);
    read_wait(&p);
    rc = same_language(&p, e);
    if (rc == ERR_OK)
        rc = answer(&p, e);
    fleet_view_clear(&p.v);
    return rc;
}
