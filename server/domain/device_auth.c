#include "domain/device_auth.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/enrol.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"

#include <stdio.h>

enum { TOKEN_MAX = 4096, AHEAD_S = 60 };

/* MAC and claims; nothing of the device's state yet. */
static enum err_code check_token(struct app *app, struct slice token, struct device_token *t,
                                 struct err *e)
{
    AUTO(json_free) json_t *claims = NULL;
    const char *sub;
    enum err_code rc = keyring_token_verify(app->keys, token, &claims, e);

    if (rc != ERR_OK)
        return rc;
    sub = json_str(claims, "sub", "");
    if (!uuid_is_valid(sub) || strcmp(json_str(claims, "scope", ""), "device") != 0 ||
        !json_is_integer(json_object_get(claims, "exp")) ||
        !json_is_integer(json_object_get(claims, "gen")))
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    text_copy(t->device, sizeof t->device, sub);
    t->gen = json_int(claims, "gen", 0);
    t->exp_s = json_int(claims, "exp", 0);
    return ERR_OK;
}

/* Without a branch that depends on where they differ: behind a proxy, what is remembered may be
 * another's. */
static bool same_token(const struct device_token *remembered, struct slice token)
{
    uint64_t differ = 0;
    size_t i = 0;

    if (remembered->n != token.n)
        return false;
    for (; token.n - i >= sizeof differ; i += sizeof differ) {
        uint64_t a, b;
        memcpy(&a, remembered->text + i, sizeof a);
        memcpy(&b, token.p + i, sizeof b);
        differ |= a ^ b;
    }
    for (; i < token.n; i++)
        differ |= (unsigned char)remembered->text[i] ^ (unsigned char)token.p[i];
    return differ == 0;
}

static enum err_code not_heard_yet(struct err *e)
{
    return err_set(e, ERR_OVERLOADED, "the device table is older than the token");
}

static void remember(struct device_token *t, struct slice token)
{
    t->n = token.n <= sizeof t->text ? token.n : 0;
    memcpy(t->text, token.p, t->n);
}

enum err_code auth_device_token(struct app *app, struct device_token *remembered,
                                struct slice token, int64_t now_s, struct who *ret, struct err *e)
{
    enum device_state state;
    int64_t gen;

    if (app->keys == NULL || app->fleet == NULL ||
        !fleet_usable(app->fleet, clock_mono_coarse_ms()))
        return err_set(e, ERR_OVERLOADED, "could not read the device table for some time");
    if (token.n == 0 || token.n > TOKEN_MAX)
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    if (!same_token(remembered, token)) {
        struct device_token t = {0};
        enum err_code rc = check_token(app, token, &t, e);
        if (rc != ERR_OK)
            return rc;
        remember(&t, token);
        *remembered = t;
    }
    if (now_s >= remembered->exp_s)
        return err_set(e, ERR_TOKEN_EXPIRED, "the token has expired");
    if (!fleet_state(app->fleet, remembered->device, &state, &gen)) {
        if (fleet_older_than(app->fleet, remembered->exp_s - DEVICE_TOKEN_TTL_S))
            return not_heard_yet(e); /* enrolled at another parent, a moment ago */
        return err_set(e, ERR_DEVICE_UNKNOWN, "device \"%s\" is not known here",
                       remembered->device);
    }
    if (gen < remembered->gen &&
        fleet_older_than(app->fleet, remembered->exp_s - DEVICE_TOKEN_TTL_S))
        return not_heard_yet(e);
    if (state == DEV_REVOKED)
        return err_set(e, ERR_DEVICE_REVOKED, "device \"%s\" has been revoked", remembered->device);
    if (state == DEV_RETIRED)
        return err_set(e, ERR_DEVICE_RETIRED, "device \"%s\" has been retired", remembered->device);
    if (gen != remembered->gen || state == DEV_PENDING || state == DEV_REATTACH ||
        state == DEV_REJECTED)
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    *ret = (struct who){.kind = WHO_DEVICE, .perms = PERM_DEVICE, .gen = gen};
    text_copy(ret->id, sizeof ret->id, remembered->device);
    text_copy(ret->name, sizeof ret->name, remembered->device);
    return ERR_OK;
}
