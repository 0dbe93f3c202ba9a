/* ini_reputation.c - [reputation] and the many [zone NAME]. */
#include "foxproxy/ini_private.h"

static enum err_code take_mode(struct ini *ini, struct slice v, struct err *e)
{
    return ini_take_mode(v, &ini->reputation, e);
}

static enum err_code take_wait(struct ini *ini, struct slice v, struct err *e)
{
    return ini_take_number(v, REP_WAIT_MIN_MS, REP_WAIT_MAX_MS, &ini->rep.wait_ms, e);
}

static enum err_code take_at(struct ini *ini, struct slice v, struct err *e)
{
    (void)ini;
    return slice_is(v, "greeting") ? ERR_OK : err_set(e, ERR_INVALID, "must be greeting");
}

static enum err_code take_resolver(struct ini *ini, struct slice v, struct err *e)
{
    struct reputation_conf *c = &ini->rep;

    if (c->resolvers == REP_RESOLVERS_MAX)
        return err_set(e, ERR_INVALID, "there are more than %d", REP_RESOLVERS_MAX);
    if (reputation_conf_resolver(v, c->resolver[c->resolvers], e) != ERR_OK)
        return ERR_INVALID;
    c->resolvers++;
    return ERR_OK;
}

/* Until the section is read: an action of REP_PASS, which nobody can write, is "that of the zone".
 */
enum err_code ini_zone_begin(struct ini *ini, struct slice name, struct err *e)
{
    struct reputation_conf *c = &ini->rep;
    struct rep_zone_conf z = {.action = REP_PASS};

    if (reputation_conf_zone_name(name, z.name, e) != ERR_OK)
        return ERR_INVALID;
    for (size_t i = 0; i < c->zones; i++)
        if (strcmp(c->zone[i].name, z.name) == 0)
            return err_set(e, ERR_INVALID, "the zone %s is there twice", z.name);
    if (c->zones == REP_ZONES_MAX)
        return err_set(e, ERR_INVALID, "at most %d zones can be asked", REP_ZONES_MAX);
    c->zone[c->zones++] = z;
    return ERR_OK;
}

static enum err_code take_profile(struct ini *ini, struct slice v, struct err *e)
{
    return reputation_conf_profile(v, &ini->rep.zone[ini->rep.zones - 1].profile, e);
}

static enum err_code take_action(struct ini *ini, struct slice v, struct err *e)
{
    return reputation_conf_action(v, &ini->rep.zone[ini->rep.zones - 1].action, e);
}

static enum err_code take_codes(struct ini *ini, struct slice v, struct err *e)
{
    return reputation_conf_codes(v, REP_PASS, &ini->rep.zone[ini->rep.zones - 1].codes, e);
}

static void finish(struct rep_zone_conf *z)
{
    struct err e;

    if (z->action == REP_PASS)
        z->action = reputation_conf_default(z->profile);
    if (z->codes.n == 0)
        (void)!reputation_conf_codes((struct slice){0}, z->action, &z->codes, &e);
    for (size_t i = 0; i < z->codes.n; i++)
        if (z->codes.range[i].action == REP_PASS)
            z->codes.range[i].action = z->action;
}

void ini_zones_finish(struct ini *ini)
{
    for (size_t i = 0; i < ini->rep.zones; i++)
        finish(&ini->rep.zone[i]);
    if (ini->reputation == INI_OFF)
        ini->rep.zones = 0;
}

const struct ini_key ini_reputation_keys[INI_REPUTATION_KEYS] = {
    {"mode", take_mode, false, true},
    {"wait_ms", take_wait, false, false},
    {"at", take_at, false, false},
    {"resolver", take_resolver, true, false},
};
const struct ini_key ini_zone_keys[INI_ZONE_KEYS] = {
    {"profile", take_profile, false, true},
    {"action", take_action, false, false},
    {"codes", take_codes, false, false},
};
