#include "domain/device_auth.h"

#include "base/clock.h"
#include "base/rand.h"
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

enum err_code auth_device_token(struct app *app, struct device_token *remembered,
                                struct slice token, int64_t now_s, struct who *ret, struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    struct device_token t = {0};
    struct fleet_view v;
    enum err_code rc = ERR_OK;

    if (app->keys == NULL || app->fleet == NULL || !fleet_usable(app->fleet, clock_mono_ms()))
        return err_set(e, ERR_OVERLOADED, "could not read the device table for some time");
    if (token.n == 0 || token.n > TOKEN_MAX)
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    sha256(token, hash);
    if (!remembered->known || memcmp(hash, remembered->hash, sizeof hash) != 0) {
        rc = check_token(app, token, &t, e);
        if (rc != ERR_OK)
            return rc;
        t.known = true;
        memcpy(t.hash, hash, sizeof hash);
        *remembered = t;
    }
    if (now_s >= remembered->exp_s)
        return err_set(e, ERR_TOKEN_EXPIRED, "the token has expired");
    if (!fleet_get(app->fleet, remembered->device, &v))
        return err_set(e, ERR_DEVICE_UNKNOWN, "device \"%s\" is not known here",
                       remembered->device);
    fleet_view_clear(&v);
    if (v.state == DEV_REVOKED)
        return err_set(e, ERR_DEVICE_REVOKED, "device \"%s\" has been revoked", v.id);
    if (v.state == DEV_RETIRED)
        return err_set(e, ERR_DEVICE_RETIRED, "device \"%s\" has been retired", v.id);
    if (v.gen != remembered->gen || v.state == DEV_PENDING || v.state == DEV_REJECTED)
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    *ret = (struct who){.kind = WHO_DEVICE, .perms = PERM_DEVICE, .gen = v.gen};
    text_copy(ret->id, sizeof ret->id, v.id);
    text_copy(ret->name, sizeof ret->name, v.id);
    return ERR_OK;
}
