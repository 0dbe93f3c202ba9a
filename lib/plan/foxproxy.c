/* Path "front": what foxproxy listens on, and its file (foxproxy.ini; one line a key, strict
 * reader). */
#include "plan/plan_private.h"

#include <stdio.h>

enum {
    INI_MAX = 256 * 1024,
    IDLE_MARGIN_S = 60,
    CODES_MAX = 32,
    ZONE_MAX = 189 /* 253 less an IPv6 address in nibbles */
};

/* --- what a zone's answers mean --- */

/* 127.0.0.0/8 without 127.255.255.0/24: answers from there say that the question was refused, never
 * that somebody is listed (RFC 5782 5; the big lists' error codes). */
static bool code_address(struct slice s, uint32_t *ret)
{
    struct ipnet a;

    if (ipnet_address(s, &a) != IPNET_OK || a.v6 || a.addr[0] != 127)
        return false;
    *ret = (uint32_t)a.addr[0] << 24 | (uint32_t)a.addr[1] << 16 | (uint32_t)a.addr[2] << 8 |
           a.addr[3];
    return (*ret & 0xffffff00u) != 0x7fffff00u;
}

static bool code_ok(struct slice s, bool allow)
{
    struct slice action = s, last, first;
    uint32_t from, to;

    last = slice_cut(&action, '=');
    first = slice_cut(&last, '-');
    if (!code_address(first, &from) || (last.p != NULL && (!code_address(last, &to) || to < from)))
        return false;
    if (action.p == NULL || slice_is(action, "log"))
        return true;
    return allow ? slice_is(action, "approve")
                 : slice_is(action, "reject") || slice_is(action, "defer");
}

/* "127.0.0.2-127.0.0.11 127.0.0.10=defer"; blanks are the only thing between two codes. */
static bool codes_ok(const char *text, bool allow)
{
    struct slice rest = slice_of(text);
    size_t n = 0;

    while (rest.p != NULL && rest.n > 0) {
        struct slice one = slice_cut(&rest, ' ');
        if (one.n == 0)
            continue;
        if (++n > CODES_MAX || !code_ok(one, allow))
            return false;
    }
    return true;
}

/* What the administrator need not choose: a list of addresses that never send wanted mail refuses
 * for good, one of addresses that change hands every day only for now (facts.md 2.2). */
static const char *action_of(const char *profile, const char *action)
{
    if (strcmp(action, "recommended") != 0)
        return action;
    return strcmp(profile, "allow") == 0      ? "approve"
           : strcmp(profile, "advanced") == 0 ? "defer"
                                              : "reject";
}

/* --- the file --- */

/* Values are words of the catalog's types; a line of the file is made of nothing else, whoever
 * calls. */
static const char *word(struct plan_builder *b, const char *key, const char *row, const char *value)
{
    for (const char *s = value; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f || *s == '#' || *s == '[' ||
            *s == ']') {
            (void)finding_add(b->f, F_P12_CONTROL, plan_at(b, key, row), key, NULL, NULL, NULL);
            return "";
        }
    }
    return value;
}

static void listen_on(struct plan_builder *b, struct strbuf *s, const char *address, int64_t port)
{
    const char *text = plan_address_port(b, address, port);

    plan_listener(b, address, port, ROLE_PUBLIC);
    if (text == NULL)
        b->oom = true;
    else
        strbuf_printf(s, "listen = %s\n", text);
}

static void put_main(struct plan_builder *b, struct strbuf *s)
{
    const char *address = plan_str(b, "smtp.listen_address"), *name = plan_str(b, "smtp.hostname");
    int64_t port = plan_int(b, "smtp.listen_port");

    strbuf_printf(s, "[main]\ndigest = %s\n", b->digest);
    listen_on(b, s, address[0] == '\0' ? "0.0.0.0" : address, port);
    if (address[0] == '\0' && plan_has_ipv6(b->facts))
        listen_on(b, s, "::", port);
    strbuf_printf(s, "backend = 127.0.0.1:%lld\n",
                  (long long)plan_int(b, "sender_filter.backend_port"));
    if (name[0] == '\0' && b->facts->hostname != NULL)
        name = b->facts->hostname;
    if (name[0] != '\0')
        strbuf_printf(s, "hostname = %s\n", word(b, "smtp.hostname", NULL, name));
    strbuf_printf(s, "max_sessions = %lld\n", (long long)plan_int(b, "sender_filter.max_sessions"));
    strbuf_printf(s, "connect_timeout_ms = %lld\n",
                  (long long)plan_int(b, "sender_filter.connect_timeout") * 1000);
    /* Postfix is the one that says goodbye to a silent client: it has words for it */
    strbuf_printf(s, "idle_timeout_s = %lld\n",
                  (long long)plan_int(b, "smtp.idle_timeout") + IDLE_MARGIN_S);
}

static void put_rows(struct plan_builder *b, struct strbuf *s, const char *section,
                     const char *member, const char *key)
{
    size_t n;
    const char **rows = plan_rows(b, key, &n);

    if (n > 0 && section != NULL)
        strbuf_printf(s, "[%s]\n", section);
    for (size_t i = 0; i < n; i++)
        strbuf_printf(s, "%s = %s\n", member, word(b, key, rows[i], rows[i]));
}

static void put_lists(struct plan_builder *b, struct strbuf *s)
{
    const char *text = plan_str(b, "sender_filter.blocked_text"),
               *code = plan_str(b, "sender_filter.blocked_code");

    strbuf_printf(s, "[approved]\nmode = %s\n", plan_str(b, "sender_filter.approved"));
    strbuf_printf(s, "[blocked]\nmode = %s\n", plan_str(b, "sender_filter.blocked"));
    strbuf_printf(s, "reply = %s", strcmp(code, "421") == 0 ? "421 4.7.1" : "554 5.7.1");
    if (text[0] != '\0') /* else foxproxy has a text of its own */
        strbuf_printf(s, " %s", word(b, "sender_filter.blocked_text", NULL, text));
    strbuf_puts(s, "\n");
}

static void put_resolvers(struct plan_builder *b, struct strbuf *s)
{
    static const char key[] = "sender_filter.resolvers";
    size_t n;
    const char **rows = plan_rows(b, key, &n);

    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_object_get(plan_get(b, key), rows[i]);
        const char *at = plan_address_port(b, rows[i], json_int(row, "port", 53));
        struct ipnet a;
        if (ipnet_address(slice_of(rows[i]), &a) != IPNET_OK) {
            (void)finding_add(b->f, F_V_ADDRESS, plan_at(b, key, rows[i]), rows[i], NULL, NULL,
                              NULL);
            continue;
        }
        if (at == NULL)
            b->oom = true;
        else
            strbuf_printf(s, "resolver = %s\n", at);
    }
}

/* A row is right or wrong whether it is asked or not: switching reputation on brings no surprise.
 */
static void check_zones(struct plan_builder *b)
{
    static const char key[] = "sender_filter.zones";
    size_t n;
    const char **rows = plan_rows(b, key, &n);

    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_object_get(plan_get(b, key), rows[i]);
        const char *profile = json_str(row, "profile", "standard");
        const char *action = action_of(profile, json_str(row, "action", "recommended"));
        bool allow = strcmp(profile, "allow") == 0;
        if (strlen(rows[i]) > ZONE_MAX) {
            char is[24], most[24];
            (void)snprintf(is, sizeof is, "%zu", strlen(rows[i]));
            (void)snprintf(most, sizeof most, "%d", ZONE_MAX);
            (void)finding_add(b->f, F_V_LENGTH, plan_at(b, key, rows[i]), key, is, "1", most);
        }
        if (!codes_ok(json_str(row, "codes", ""), allow))
            (void)finding_add(b->f, F_V_ZONE_CODES, plan_at(b, key, rows[i]), rows[i], NULL, NULL,
                              NULL);
        if (allow && strcmp(action, "approve") != 0 && strcmp(action, "log") != 0)
            (void)finding_add(b->f, F_P17_ALLOW_ACTION, plan_at(b, key, rows[i]), rows[i], action,
                              NULL, NULL);
    }
}

static void put_zone(struct plan_builder *b, struct strbuf *s, const char *zone)
{
    static const char key[] = "sender_filter.zones";
    const json_t *row = json_object_get(plan_get(b, key), zone);
    const char *profile = json_str(row, "profile", "standard"), *codes = json_str(row, "codes", "");
    const char *action = action_of(profile, json_str(row, "action", "recommended"));

    strbuf_printf(s, "[zone %s]\nprofile = %s\naction = %s\n", word(b, key, zone, zone), profile,
                  action);
    if (codes[0] != '\0')
        strbuf_printf(s, "codes = %s\n", word(b, key, zone, codes));
}

static void put_reputation(struct plan_builder *b, struct strbuf *s)
{
    const char *mode = plan_str(b, "sender_filter.reputation");
    bool advanced = strcmp(plan_str(b, "sender_filter.reputation_level"), "advanced") == 0;
    size_t n, asked = 0;
    const char **rows = plan_rows(b, "sender_filter.zones", &n);

    if (strcmp(mode, "off") == 0)
        return;
    strbuf_printf(s, "[reputation]\nmode = %s\nwait_ms = %lld\nat = greeting\n", mode,
                  (long long)plan_int(b, "sender_filter.reputation_wait"));
    put_resolvers(b, s);
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_object_get(plan_get(b, "sender_filter.zones"), rows[i]);
        if (strcmp(json_str(row, "profile", "standard"), "advanced") == 0 && !advanced)
            continue;
        put_zone(b, s, rows[i]);
        asked++;
    }
    if (asked == 0)
        (void)finding_warn(b->f, F_P17_NO_ZONES, plan_at(b, "sender_filter.reputation", NULL), mode,
                           NULL, NULL, NULL);
}

void plan_add_foxproxy(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(INI_MAX);

    check_zones(b);
    if (!b->front)
        return;
    strbuf_puts(&s, "# made by Inari from the settings of this device; a change here is drift\n");
    put_main(b, &s);
    put_rows(b, &s, "balancers", "network", "sender_filter.balancers");
    put_lists(b, &s);
    put_reputation(b, &s);
    b->ini = strbuf_ok(&s) ? arena_strdup(b->a, strbuf_str(&s)) : NULL;
    if (b->ini == NULL)
        b->oom = true;
}
