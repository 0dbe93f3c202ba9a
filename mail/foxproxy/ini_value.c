#include "foxproxy/ini_private.h"

#include <ctype.h>

enum err_code ini_take_number(struct slice v, uint64_t min, uint64_t max, int64_t *ret,
                              struct err *e)
{
    uint64_t n;

    if (!parse_u64(v, min, max, &n))
        return err_set(e, ERR_INVALID, "a number from %llu to %llu is needed",
                       (unsigned long long)min, (unsigned long long)max);
    *ret = (int64_t)n;
    return ERR_OK;
}

enum err_code ini_take_mode(struct slice v, enum ini_mode *ret, struct err *e)
{
    static const enum ini_mode modes[] = {INI_OFF, INI_LOG, INI_ON};

    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        if (slice_is(v, ini_mode_name(modes[i]))) {
            *ret = modes[i];
            return ERR_OK;
        }
    }
    return err_set(e, ERR_INVALID, "must be on, log or off");
}

static enum err_code take_digest(struct ini *ini, struct slice v, struct err *e)
{
    bool hex = v.n == 64;

    for (size_t i = 0; hex && i < v.n; i++)
        hex = (v.p[i] >= '0' && v.p[i] <= '9') || (v.p[i] >= 'a' && v.p[i] <= 'f');
    if (!hex)
        return err_set(e, ERR_INVALID, "64 hexadecimal digits in lower case are needed");
    memcpy(ini->digest, v.p, 64);
    ini->digest[64] = '\0';
    return ERR_OK;
}

static enum err_code take_listen(struct ini *ini, struct slice v, struct err *e)
{
    struct addr_port a;

    if (!addr_port_parse(v, &a))
        return err_set(e, ERR_INVALID,
                       "an address with a port is needed, as 192.0.2.1:25 or [2001:db8::1]:25");
    if (ini->listens == INI_LISTEN_MAX)
        return err_set(e, ERR_INVALID, "there are more than %d", INI_LISTEN_MAX);
    for (size_t i = 0; i < ini->listens; i++)
        if (ini->listen[i].port == a.port && addr_eq(&ini->listen[i].addr, &a.addr))
            return err_set(e, ERR_INVALID, "the same address stands twice");
    ini->listen[ini->listens++] = a;
    return ERR_OK;
}

static enum err_code take_backend(struct ini *ini, struct slice v, struct err *e)
{
    if (!addr_port_parse(v, &ini->backend))
        return err_set(e, ERR_INVALID,
                       "an address with a port is needed, as 192.0.2.1:25 or [2001:db8::1]:25");
    return ERR_OK;
}

static enum err_code take_hostname(struct ini *ini, struct slice v, struct err *e)
{
    bool ok = v.n > 0 && v.n < sizeof ini->hostname && v.p[0] != '-' && v.p[0] != '.';

    for (size_t i = 0; ok && i < v.n; i++)
        ok = isalnum((unsigned char)v.p[i]) || v.p[i] == '-' || v.p[i] == '.' || v.p[i] == '_';
    if (!ok)
        return err_set(e, ERR_INVALID,
                       "a host name of at most 255 letters, digits, dots and hyphens is needed");
    memcpy(ini->hostname, v.p, v.n);
    ini->hostname[v.n] = '\0';
    return ERR_OK;
}

static enum err_code take_max_sessions(struct ini *ini, struct slice v, struct err *e)
{
    return ini_take_number(v, 1, 100000, &ini->max_sessions, e);
}

static enum err_code take_connect_timeout(struct ini *ini, struct slice v, struct err *e)
{
    return ini_take_number(v, 100, 60000, &ini->connect_timeout_ms, e);
}

static enum err_code take_idle_timeout(struct ini *ini, struct slice v, struct err *e)
{
    return ini_take_number(v, 10, 86400, &ini->idle_timeout_s, e);
}

static enum err_code take_language(struct ini *ini, struct slice v, struct err *e)
{
    if (!slice_is(v, "en") && !slice_is(v, "ja"))
        return err_set(e, ERR_INVALID, "must be en or ja");
    ini->language = slice_is(v, "ja") ? LANG_JA : LANG_EN;
    return ERR_OK;
}

static enum err_code take_network(struct ini *ini, struct slice v, struct err *e)
{
    struct addr_net n;

    if (!addr_net_parse(v, &n))
        return err_set(e, ERR_INVALID,
                       "a network is needed, as 192.0.2.0/28 or 2001:db8::/64, with no bits set "
                       "behind the prefix");
    if (n.bits == 0 || (iplist_is_v4(&n.net) && n.bits == 96))
        return err_set(
            e, ERR_INVALID,
            "a network as wide as everyone is refused: whoever connects could claim any address");
    if (ini->balancers == INI_BALANCERS_MAX)
        return err_set(e, ERR_INVALID, "there are more than %d", INI_BALANCERS_MAX);
    ini->balancer[ini->balancers++] = n;
    return ERR_OK;
}

static enum err_code take_approved(struct ini *ini, struct slice v, struct err *e)
{
    return ini_take_mode(v, &ini->approved, e);
}

static enum err_code take_blocked(struct ini *ini, struct slice v, struct err *e)
{
    return ini_take_mode(v, &ini->blocked, e);
}

/* "5.7.1": class as the code's, then two numbers of at most three digits (RFC 3463). */
static bool take_status(struct slice v, int class, char ret[8])
{
    struct slice rest = v, a = slice_cut(&rest, '.'), b = slice_cut(&rest, '.');
    uint64_t n;

    if (v.n >= 8 || a.n != 1 || a.p[0] - '0' != class || !parse_u64(b, 0, 99, &n) ||
        !parse_u64(rest, 0, 99, &n))
        return false;
    memcpy(ret, v.p, v.n);
    ret[v.n] = '\0';
    return true;
}

/* A greeting is ASCII (RFC 5321 4.2): nobody has said SMTPUTF8 yet. */
static enum err_code take_reply(struct ini *ini, struct slice v, struct err *e)
{
    struct slice rest = v, word = slice_cut(&rest, ' ');
    struct ini_reply r = {0};

    r.code = slice_is(word, "554") ? 554 : slice_is(word, "421") ? 421 : 0;
    if (r.code == 0)
        return err_set(e, ERR_INVALID, "a refusal at the greeting begins with 554 or 421");
    word = slice_cut(&rest, ' ');
    if (!take_status(word, r.code / 100, r.status))
        return err_set(e, ERR_INVALID, "behind %d stands a status like %d.7.1, then the text",
                       r.code, r.code / 100);
    rest = slice_trim(rest);
    if (rest.n >= sizeof r.text)
        return err_set(e, ERR_INVALID, "the text is longer than %zu characters", sizeof r.text - 1);
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] < ' ' || rest.p[i] > '~')
            return err_set(e, ERR_INVALID, "the text of a reply is ASCII");
    if (rest.n > 0)
        memcpy(r.text, rest.p, rest.n);
    ini->blocked_reply = r;
    return ERR_OK;
}

static const struct ini_key main_keys[] = {
    {"digest", take_digest, false, false},
    {"listen", take_listen, true, true},
    {"backend", take_backend, false, true},
    {"hostname", take_hostname, false, true},
    {"max_sessions", take_max_sessions, false, false},
    {"connect_timeout_ms", take_connect_timeout, false, false},
    {"idle_timeout_s", take_idle_timeout, false, false},
    {"language", take_language, false, false},
};
static const struct ini_key balancer_keys[] = {{"network", take_network, true, true}};
static const struct ini_key approved_keys[] = {{"mode", take_approved, false, true}};
static const struct ini_key blocked_keys[] = {
    {"mode", take_blocked, false, true},
    {"reply", take_reply, false, false},
};

#define KEYS(keys) (keys), COUNT_OF(keys)
const struct ini_section ini_sections[] = {
    {"main", NULL, KEYS(main_keys), true},
    {"balancers", NULL, KEYS(balancer_keys), false},
    {"approved", NULL, KEYS(approved_keys), false},
    {"blocked", NULL, KEYS(blocked_keys), false},
    {"reputation", NULL, ini_reputation_keys, INI_REPUTATION_KEYS, false},
    {"zone", ini_zone_begin, ini_zone_keys, INI_ZONE_KEYS, false},
};
const size_t ini_sections_n = COUNT_OF(ini_sections);
