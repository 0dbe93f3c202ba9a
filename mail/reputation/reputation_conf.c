#include "reputation/reputation_conf.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { FIRST_CODE = 0x7f000002, LAST_CODE = 0x7f0000fe };

static const char *const action_names[] = {"pass", "unknown", "log", "defer", "reject", "approve"};
static const char *const profile_names[] = {"standard", "advanced", "allow"};

void reputation_conf_init(struct reputation_conf *conf)
{
    memset(conf, 0, sizeof *conf);
    conf->wait_ms = 700;
}

const char *rep_action_name(enum rep_action action)
{
    return action_names[action];
}

const char *rep_profile_name(enum rep_profile profile)
{
    return profile_names[profile];
}

enum rep_action reputation_conf_default(enum rep_profile profile)
{
    return profile == REP_ALLOW ? REP_APPROVE : profile == REP_ADVANCED ? REP_DEFER : REP_REJECT;
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool name_is_good(const char *name, size_t n)
{
    size_t label = 0;

    for (size_t i = 0; i < n; i++) {
        if (name[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_label_char(name[i]) || ++label > 63) {
            return false;
        }
    }
    return label > 0;
}

enum err_code reputation_conf_zone_name(struct slice text, char ret[REP_ZONE_NAME_SIZE],
                                        struct err *e)
{
    char name[REP_ZONE_NAME_SIZE];

    if (text.n > 0 && text.p[text.n - 1] == '.')
        text.n--;
    if (text.n == 0 || text.n > REP_ZONE_NAME_MAX)
        return err_set(e, ERR_INVALID, "the name of a zone has 1 to %d characters",
                       REP_ZONE_NAME_MAX);
    for (size_t i = 0; i < text.n; i++)
        name[i] = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] + 32) : text.p[i];
    name[text.n] = '\0';
    if (!name_is_good(name, text.n))
        return err_set(
            e, ERR_INVALID,
            "a zone is named like dnsbl.example.org: letters, digits and hyphens between dots");
    text_copy(ret, REP_ZONE_NAME_SIZE, name);
    return ERR_OK;
}

enum err_code reputation_conf_profile(struct slice text, enum rep_profile *ret, struct err *e)
{
    for (size_t i = 0; i < COUNT_OF(profile_names); i++) {
        if (slice_is(text, profile_names[i])) {
            *ret = (enum rep_profile)i;
            return ERR_OK;
        }
    }
    return err_set(e, ERR_INVALID, "a profile is standard, advanced or allow");
}

enum err_code reputation_conf_action(struct slice text, enum rep_action *ret, struct err *e)
{
    for (size_t i = REP_LOG; i < COUNT_OF(action_names); i++) {
        if (slice_is(text, action_names[i])) {
            *ret = (enum rep_action)i;
            return ERR_OK;
        }
    }
    return err_set(e, ERR_INVALID, "an action is reject, defer, log or approve");
}

/* An address that stands alone, in brackets or not. */
static bool address_is(struct slice text, int family)
{
    char buf[INET6_ADDRSTRLEN];
    struct in6_addr a;

    if (text.n >= sizeof buf || text.n == 0)
        return false;
    memcpy(buf, text.p, text.n);
    buf[text.n] = '\0';
    return strlen(buf) == text.n && inet_pton(family, buf, &a) == 1;
}

enum err_code reputation_conf_resolver(struct slice text, char ret[REP_RESOLVER_SIZE],
                                       struct err *e)
{
    struct slice host = text, port = {0};
    uint64_t number = 53;
    bool six = text.n > 0 && text.p[0] == '[';
    const char *end = six ? memchr(text.p, ']', text.n) : NULL;
    const char *colon = text.n == 0 ? NULL : memchr(text.p, ':', text.n);

    if (end != NULL) {
        host = (struct slice){text.p + 1, (size_t)(end - text.p) - 1};
        port = (struct slice){end + 1, text.n - (size_t)(end - text.p) - 1};
    } else if (colon != NULL && !address_is(text, AF_INET6)) {
        host = (struct slice){text.p, (size_t)(colon - text.p)};
        port = (struct slice){colon, text.n - host.n};
    } else if (colon != NULL) {
        six = true;
    }
    if (!address_is(host, six ? AF_INET6 : AF_INET) ||
        (port.n > 0 && (port.p[0] != ':' ||
                        !parse_u64((struct slice){port.p + 1, port.n - 1}, 1, 65535, &number))))
        return err_set(e, ERR_INVALID,
                       "a resolver is an address like 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53");
    (void)snprintf(ret, REP_RESOLVER_SIZE, six ? "[%.*s]:%u" : "%.*s:%u", (int)host.n, host.p,
                   (unsigned)number);
    return ERR_OK;
}

static bool code_parse(struct slice text, uint32_t *ret)
{
    char buf[INET_ADDRSTRLEN];
    struct in_addr a;

    if (text.n == 0 || text.n >= sizeof buf)
        return false;
    memcpy(buf, text.p, text.n);
    buf[text.n] = '\0';
    if (strlen(buf) != text.n || inet_pton(AF_INET, buf, &a) != 1)
        return false;
    *ret = ntohl(a.s_addr);
    return *ret >> 24 == 127 && *ret >> 8 != 0x7fffff; /* 127.255.255.0/24 is for errors */
}

static enum err_code range_parse(struct slice word, enum rep_action otherwise,
                                 struct rep_range *ret, struct err *e)
{
    struct slice action = word;
    struct slice range = slice_cut(&action, '=');
    struct slice to = range;
    struct slice from = slice_cut(&to, '-');
    struct rep_range r = {.action = otherwise};

    if (!code_parse(from, &r.from) || !code_parse(to.p == NULL ? from : to, &r.to) || r.to < r.from)
        return err_set(e, ERR_INVALID,
                       "a code is like 127.0.0.2, 127.0.0.2-127.0.0.11 or 127.0.0.10=defer; "
                       "127.255.255.0/24 means errors");
    if (action.p != NULL && reputation_conf_action(action, &r.action, e) != ERR_OK)
        return e == NULL ? ERR_INVALID : e->code;
    *ret = r;
    return ERR_OK;
}

enum err_code reputation_conf_codes(struct slice text, enum rep_action otherwise,
                                    struct rep_codes *ret, struct err *e)
{
    struct rep_codes codes = {0};
    enum err_code rc;

    for (struct slice rest = slice_trim(text); rest.n > 0; rest = slice_trim(rest)) {
        struct slice word = slice_cut(&rest, ' ');
        if (codes.n == REP_CODES_MAX)
            return err_set(e, ERR_INVALID, "a zone has at most %d codes and ranges", REP_CODES_MAX);
        rc = range_parse(slice_trim(word), otherwise, &codes.range[codes.n], e);
        if (rc != ERR_OK)
            return rc;
        codes.n++;
    }
    if (codes.n == 0)
        codes.range[codes.n++] = (struct rep_range){FIRST_CODE, LAST_CODE, otherwise};
    *ret = codes;
    return ERR_OK;
}

enum rep_action rep_codes_action(const struct rep_codes *codes, uint32_t code)
{
    const struct rep_range *best = NULL;

    for (size_t i = 0; i < codes->n; i++) {
        const struct rep_range *r = &codes->range[i];
        if (code >= r->from && code <= r->to &&
            (best == NULL || r->to - r->from <= best->to - best->from))
            best = r;
    }
    return best == NULL ? REP_PASS : best->action;
}
