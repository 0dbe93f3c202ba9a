/*
 * Random configurations, also ones the catalog would refuse: what every accepted plan must hold.
 * The seed is printed; INARI_SEED=<n> repeats a run.  INARI_SECONDS bounds it (2).
 */
#include "base/clock.h"
#include "base/rand.h"
#include "plan/plan_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static uint64_t seed;

/* xorshift64*: repeatable, which lib/base/rand is not. */
static uint64_t next(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 2685821657736338717ull;
}

static size_t below(size_t n)
{
    return (size_t)(next() >> 11) % n;
}

#define PICK(pool) ((pool)[below(COUNT_OF(pool))])

static const char *const networks[] = {"198.18.7.0/24", "10.0.0.0/8", "0.0.0.0/0", "128.0.0.0/1", "127.0.0.1", "203.0.113.9",
                                       "2001:db8::/32", "::/0", "198.18.0.2", "64.0.0.0/2", "192.0.2.0/24"};
static const char *const domains[] = {"a.test", "b.test", "x.a.test", "example.com", "mx1.example.test", "inari.invalid", "hash"};
static const char *const hops[] = {"[192.0.2.1]:25", "[198.18.0.2]", "relay.example", "[127.0.0.1]:10026", "[2001:db8::9]:2525",
                                   "[192.0.2.1], [192.0.2.2]:26", "pipe:25", "[mx1.example.test]"};
static const char *const users[] = {"joe@a.test", "@a.test", "1@b.test", "postmaster@b.test", "z@b.test"};
static const char *const hostile[] = {"a\nb", "x\nsmtpd_relay_restrictions = permit", "$mynetworks", "${x?y}", "| /bin/sh", "`id`", "a b",
                                      "0.0.0.0/0 permit", "#", " x", "tcp:127.0.0.1:1", "proxy:mysql:/x", "\xc2\x85", "", "a\r\n.\r\n", "{ x }"};
static const int64_t ports[] = {25, 2525, 10025, 10026, 10027, 10028, 10029, 22, 1, 65535};

#define SEALED CATALOG_SEALED "01932e7c-7b1f-7000-8000-00000000000a"

static json_t *text(const struct setting_field *fd)
{
    if (below(12) == 0)
        return json_string_nocheck(PICK(hostile));
    if (fd->optional_empty && below(3) == 0)
        return json_string("");
    switch (fd->type) {
    case SET_ENUM: {
        size_t n = 0;
        while (fd->names[n] != NULL)
            n++;
        return json_string(fd->names[below(n)]);
    }
    case SET_ADDRESS:
        return json_string(below(2) == 0 ? "198.18.0.2" : "127.0.0.1");
    case SET_HOSTPORT:
        return json_string(PICK(hops));
    case SET_HOST:
    case SET_DOMAIN:
        return json_string(PICK(domains));
    case SET_PATH:
        return json_string(below(2) == 0 ? "/etc/a.pem" : "/etc/a.key");
    case SET_MAIL:
        return json_string(PICK(users));
    case SET_CIDR:
        return json_string(PICK(networks));
    case SET_SECRET:
        return json_string(SEALED);
    case SET_TEXT:
    case SET_BOOL:
    case SET_INT:
    case SET_BYTES:
    case SET_DURATION:
    case SET_PORT:
    case SET_LIST:
        break;
    }
    return json_string("Example text");
}

static json_t *scalar(const struct setting_field *fd)
{
    if (fd->type == SET_BOOL)
        return json_boolean(below(4) != 0);
    if (fd->type == SET_PORT)
        return json_integer(PICK(ports));
    if (fd->type == SET_INT || fd->type == SET_BYTES || fd->type == SET_DURATION)
        return json_integer(fd->min + (int64_t)(next() % (uint64_t)(fd->max - fd->min + 1)));
    return text(fd);
}

static json_t *list(const struct setting *s)
{
    json_t *o = json_object();
    size_t n = below(5);

    while (n-- > 0) {
        json_t *row = json_object();
        AUTO(json_free) json_t *key = text(&s->key_field);
        for (size_t i = 0; i < s->n_fields; i++) {
            if (s->fields[i].required || below(2) == 0)
                (void)json_object_set_new_nocheck(row, s->fields[i].name, scalar(&s->fields[i]));
        }
        (void)json_object_set_new_nocheck(o, json_string_value(key), row);
    }
    return o;
}

/* Few settings a time, else nothing would ever be accepted. */
static json_t *layer(void)
{
    json_t *o = json_object();
    size_t n = below(7);

    while (n-- > 0) {
        const struct setting *s = catalog_at(below(catalog_count()));
        (void)json_object_set_new(o, s->key, s->value.type == SET_LIST ? list(s) : scalar(&s->value));
    }
    if (below(3) != 0)
        (void)json_object_set_new(o, "path.mode", json_string(below(2) == 0 ? "plain" : "front"));
    if (below(6) == 0) { /* signing in takes four of them */
        static const char *const levels[] = {"none", "may", "encrypt"};
        (void)json_object_set_new(o, "smtp.relayhost", json_string("[198.18.0.9]:587, [198.18.0.10]:587"));
        (void)json_object_set_new(o, "smtp.relayhost_user", json_string("mx1@example.test"));
        (void)json_object_set_new(o, "smtp.relayhost_password", json_string(SEALED));
        (void)json_object_set_new(o, "smtp_tls.outbound", json_string(PICK(levels)));
    }
    return o;
}

static const char *const own_addresses[] = {"198.18.0.2", "127.0.0.1", "::1"};
static const struct plan_facts facts = {
    .device_id = "0199d000-0000-7000-8000-000000000001", .hostname = "mx1.example.test", .postfix_major = 3, .postfix_minor = 7,
    .postfix_patch = 11, .addresses = own_addresses, .n_addresses = COUNT_OF(own_addresses), .checks_known = true,
    .reported = true, .foxproxy = "0.1.0"};

static const char *value_of(const struct plan_param *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i].name, name) == 0)
            return v[i].value;
    }
    return NULL;
}

static void one_owner_a_port(const struct plan *p)
{
    for (size_t i = 0; i < p->n_listeners; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct plan_listener *x = &p->listeners[i], *y = &p->listeners[k];
            bool families = (strchr(x->address, ':') != NULL) != (strchr(y->address, ':') != NULL);
            bool any = strcmp(x->address, "0.0.0.0") == 0 || strcmp(y->address, "0.0.0.0") == 0;
            assert_false(x->port == y->port && !families && (any || strcmp(x->address, y->address) == 0));
        }
        /* The agent's sink is at 127.0.0.1; the same port of another address is another one. */
        if (p->listeners[i].port == p->sink_port) {
            assert_string_not_equal(p->listeners[i].address, "127.0.0.1");
            assert_string_not_equal(p->listeners[i].address, "0.0.0.0");
        }
    }
}

/* Whoever may relay stands in smtp.relay_networks, word for word; nobody else does. */
static void relays_for_listed_only(const struct plan *p, const json_t *settings)
{
    const json_t *rows = json_object_get(settings, "smtp.relay_networks");
    struct slice rest = {NULL, 0};
    size_t n = 0;

    for (size_t i = 0; i < p->n_tables; i++) {
        if (strcmp(p->tables[i].name, "relay_networks") == 0)
            rest = slice_of(p->tables[i].content);
    }
    while (rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n'), action = line;
        struct slice net = slice_cut(&action, ' ');
        char key[64];
        if (line.n == 0 || line.p[0] == '#')
            continue;
        assert_true(slice_is(action, "permit") && net.n < sizeof key);
        (void)snprintf(key, sizeof key, "%.*s", (int)net.n, net.p);
        assert_true(json_is_object(json_object_get(rows, key)));
        assert_string_not_equal(key, "0.0.0.0/0");
        assert_string_not_equal(key, "::/0");
        n++;
    }
    assert_int_equal(n, json_object_size(rows));
    assert_string_equal(value_of(p->params, p->n_params, "mynetworks"), "cidr:${config_directory}/inari/0123456789abcdef/relay_networks");
    assert_string_equal(value_of(p->params, p->n_params, "smtpd_relay_restrictions"), "permit_mynetworks, reject_unauth_destination");
    for (size_t i = 0; i < p->n_services; i++) {
        const struct plan_service *s = &p->services[i];
        const char *nets = value_of(s->options, s->n_options, "mynetworks");
        if (nets != NULL && strncmp(s->service, "127.0.0.1:", 10) != 0)
            fail_msg("%s has networks of its own", s->service);
    }
}

/* The filter's word about clients counts where nobody else can speak, and never makes its own side or this device a permitted
 * sender; without the filter nothing waits for it. */
static size_t fronts;
static void filter_alone(const struct plan *p)
{
    bool front = strcmp(p->mail_path, "front") == 0;

    assert_true(front == (p->foxproxy != NULL));
    for (size_t i = 0; i < p->n_services; i++) {
        const struct plan_service *s = &p->services[i];
        const char *proxied = value_of(s->options, s->n_options, "smtpd_upstream_proxy_protocol");
        const char *nets = value_of(s->options, s->n_options, "mynetworks");
        if (proxied != NULL && proxied[0] != '\0') {
            assert_int_equal(strncmp(s->service, "127.0.0.1:", 10), 0);
            assert_non_null(nets);
            assert_int_equal(strncmp(nets, "!127.0.0.0/8, ![::1]/128, ", 26), 0);
            if (strcmp(s->service, "127.0.0.1:10027") != 0) {
                assert_true(front && strstr(nets, "![::ffff:0:0]/96, !198.18.0.2, cidr:") != NULL);
                fronts++;
            }
        }
        if (front && strcmp(s->type, "inet") == 0)
            assert_int_equal(strncmp(s->service, "127.0.0.1:", 10), 0);
    }
    for (const char *c = front ? p->foxproxy : ""; *c != '\0'; c++)
        assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f));
}

static void clean_text(const char *s)
{
    for (; *s != '\0'; s++)
        assert_true((unsigned char)*s >= 0x20 && (unsigned char)*s < 0x7f);
}

/* Header checks of ours log and do nothing else, to the message's own header only; without the setting there are none. */
static void only_logs(const struct plan *p, const json_t *settings)
{
    bool on = json_is_true(json_object_get(settings, "smtp.log_subject"));

    assert_true((value_of(p->params, p->n_params, "header_checks") != NULL) == on);
    for (size_t i = 0; on && i < PLAN_CHECKS; i++)
        assert_non_null(value_of(p->params, p->n_params, plan_checks_params[i]));
    for (size_t i = 0; i < p->n_tables; i++) {
        if (strcmp(p->tables[i].type, "regexp") == 0)
            assert_true(on && plan_only_logs(&p->tables[i]));
    }
}

static void clean_and_owned(const struct plan *p)
{
    static const char *const commands[] = {"smtpd", "smtp", "lmtp", "cleanup"};

    for (size_t i = 0; i < p->n_params; i++) {
        bool owned = false;
        clean_text(p->params[i].name);
        clean_text(p->params[i].value);
        for (size_t k = 0; k < p->n_owned; k++)
            owned = owned || strcmp(p->owned[k], p->params[i].name) == 0;
        assert_true(owned);
    }
    for (size_t i = 0; i < p->n_services; i++) {
        const struct plan_service *s = &p->services[i];
        bool known = false;
        for (size_t k = 0; k < COUNT_OF(commands); k++)
            known = known || strcmp(commands[k], s->command) == 0;
        assert_true(known);
        clean_text(s->service);
        for (size_t k = 0; k < s->n_options; k++)
            clean_text(s->options[k].value);
        if (strcmp(s->command, "smtpd") != 0)
            continue;
        assert_string_equal(value_of(s->options, s->n_options, "smtpd_forbid_bare_newline_exclusions"), "");
        assert_string_equal(value_of(s->options, s->n_options, "smtpd_forbid_unauth_pipelining"), "yes");
        assert_string_not_equal(value_of(s->options, s->n_options, "smtpd_forbid_bare_newline"), "no");
    }
    for (size_t i = 0; i < p->n_tables; i++) {
        for (const char *c = p->tables[i].content; *c != '\0'; c++)
            assert_true(*c == '\n' || ((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f));
        assert_null(strstr(p->tables[i].content, "\n "));
    }
}

/* A password goes to the relayhost only, over TLS that is enforced, and no text of it is in the plan. */
static size_t signed_in;
static void password_over_tls_only(const struct plan *p)
{
    const char *auth = value_of(p->params, p->n_params, "smtp_sasl_auth_enable");
    const char *level = value_of(p->params, p->n_params, "smtp_tls_security_level");

    for (size_t i = 0; i < p->n_tables; i++)
        assert_true(p->tables[i].secret == (strstr(p->tables[i].content, CATALOG_SEALED) != NULL));
    if (auth == NULL)
        return;
    signed_in++;
    assert_true(strcmp(level, "encrypt") == 0 || strcmp(level, "verify") == 0);
    assert_string_equal(value_of(p->params, p->n_params, "smtp_sasl_security_options"), "noplaintext, noanonymous");
    for (size_t i = 0; i < p->n_services; i++) {
        const struct plan_service *s = &p->services[i];
        if (strcmp(s->command, "smtp") == 0)
            assert_string_equal(value_of(s->options, s->n_options, "smtp_sasl_auth_enable"), "no");
    }
}

/* The same settings in another order of their members. */
static json_t *shuffled(const json_t *o)
{
    json_t *out = json_object(), *v;
    size_t n = json_object_size(o), i = 0;
    const char **keys = calloc(n + 1, sizeof *keys), *key;

    json_object_foreach ((json_t *)(uintptr_t)o, key, v)
        keys[i++] = key;
    for (; n > 0; n--) {
        size_t k = below(n);
        v = json_object_get(o, keys[k]);
        (void)json_object_set_new_nocheck(out, keys[k], json_is_object(v) ? shuffled(v) : json_deep_copy(v));
        keys[k] = keys[n - 1];
    }
    free(keys);
    return out;
}

static struct plan *plan_of(const json_t *settings, struct arena *a)
{
    struct findings f = {0};
    struct plan *p = NULL;
    struct err e = {0};

    assert_int_equal(plan_make(settings, &facts, "0123456789abcdef00", a, &p, &f, &e), ERR_OK);
    assert_true((p != NULL) == (findings_blocking(&f) == 0));
    findings_clear(&f);
    return p;
}

static void deterministic(const struct plan *p, const json_t *settings, struct arena *a)
{
    AUTO(json_free) json_t *other = shuffled(settings);
    struct plan *q = plan_of(other, a);
    AUTO(json_free) json_t *x = plan_to_json(p);
    AUTO(json_free) json_t *y = q == NULL ? NULL : plan_to_json(q);

    assert_non_null(x);
    assert_true(json_equal(x, y));
}

static bool once(void)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO(json_free) json_t *l = layer(), *all = NULL;
    struct catalog_layer layers = {LAYER_DEVICE, "", "", l, 0};
    struct findings f = {0};
    struct err e = {0};
    struct plan *p;

    if (below(4) != 0) { /* usually checked first, as both sides do */
        catalog_check_layer(l, LAYER_DEVICE, "/settings", &f);
        if (f.errors > 0) {
            findings_clear(&f);
            return false;
        }
    }
    assert_int_equal(catalog_merge(&layers, 1, &all, &e), ERR_OK);
    p = plan_of(all, a);
    if (p == NULL)
        return false;
    one_owner_a_port(p);
    relays_for_listed_only(p, all);
    filter_alone(p);
    clean_and_owned(p);
    password_over_tls_only(p);
    only_logs(p, all);
    deterministic(p, all, a);
    return true;
}

/* --- groups of equal priority --- */

/* Few keys and rows with few values, markers among them, so that layers meet. */
static json_t *small_layer(void)
{
    static const char *const keys[] = {"smtp.idle_timeout", "smtp.relay_domains", "smtp.routes", "smtp.relayhost"};
    json_t *o = json_object();

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const struct setting *s = catalog_find(keys[i]);
        json_t *rows;
        if (below(3) == 0)
            continue;
        if (below(6) == 0) {
            (void)json_object_set_new(o, keys[i], json_pack("{s:b}", "$unset", 1));
            continue;
        }
        if (s->value.type != SET_LIST) {
            (void)json_object_set_new(o, keys[i], s->value.type == SET_HOSTPORT ? json_string(PICK(hops)) : json_integer(100 + (int64_t)below(2)));
            continue;
        }
        rows = json_object();
        for (size_t n = below(3); n > 0; n--)
            (void)json_object_set_new(rows, below(2) == 0 ? "a.test" : "b.test",
                                      below(4) == 0   ? json_pack("{s:b}", "$remove", 1)
                                      : below(2) == 0 ? json_pack("{s:b}", "subdomains", (int)below(2))
                                                      : json_pack("{s:s}", "note", below(2) == 0 ? "x" : "y"));
        (void)json_object_set_new(o, keys[i], rows);
    }
    return o;
}

/* Two groups that do not disagree give the same settings in either order; and who disagrees does so both ways. */
static bool order_of_groups(void)
{
    AUTO(json_free) json_t *below_them = small_layer(), *a = small_layer(), *b = small_layer(), *ab = NULL, *ba = NULL;
    const struct catalog_layer la = {LAYER_GROUP, "a", "a", a, 5}, lb = {LAYER_GROUP, "b", "b", b, 5}, fleet = {LAYER_FLEET, "", "", below_them, 0};
    const struct catalog_layer one[] = {fleet, la, lb}, other[] = {fleet, lb, la};
    struct findings f = {0}, g = {0};
    struct err e = {0};
    bool agree;

    catalog_group_conflicts(&la, &lb, &f);
    catalog_group_conflicts(&lb, &la, &g);
    assert_int_equal(f.errors, g.errors);
    agree = f.errors == 0;
    assert_int_equal(catalog_merge(one, 3, &ab, &e), ERR_OK);
    assert_int_equal(catalog_merge(other, 3, &ba, &e), ERR_OK);
    if (agree && !json_equal(ab, ba)) {
        AUTO_STR char *x = json_dumps(a, 0), *y = json_dumps(b, 0), *z = json_dumps(below_them, 0);
        fail_msg("the order matters: %s | %s over %s", x, y, z);
    }
    findings_clear(&f);
    findings_clear(&g);
    return agree;
}

static void test_groups_that_agree(void **state)
{
    size_t agreed = 0;

    (void)state;
    rand_bytes(&seed, sizeof seed);
    seed |= 1;
    printf("INARI_SEED=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < 2000; i++)
        agreed += order_of_groups() ? 1 : 0;
    assert_in_range(agreed, 50, 1950); /* both kinds are there */
}

/* --- P06 and P07 against a model of their own --- */

static const char *const servers[] = {"198.18.0.2", "203.0.113.77", "192.0.2.9", "192.0.2.10", "::1", "2001:db8::9"};
static const bool server_is_own[] = {true, true, false, false, true, false};

/* A domain with random mail exchangers as relayhost: refused exactly when one of the best ones is the device. */
static void mail_exchangers(void)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO(json_free) json_t *l = json_pack("{s:s}", "smtp.relayhost", below(2) == 0 ? "dom.test" : "[192.0.2.1], dom.test:25"), *all = NULL;
    struct catalog_layer layers = {LAYER_DEVICE, "", "", l, 0};
    struct plan_facts f = facts;
    AUTO(json_free) json_t *hosts = json_array();
    AUTO(json_free) json_t *doc = json_pack("{s:[s],s:{s:O}}", "proxy_addresses", "203.0.113.77", "mx", "dom.test", hosts);
    int64_t best = INT64_MAX;
    bool own = false;
    struct plan_facts read;
    struct findings found = {0};
    struct plan *p = NULL;
    struct err e = {0};

    for (size_t n = 1 + below(5); n > 0; n--) {
        int64_t preference = (int64_t)below(3);
        size_t which = below(COUNT_OF(servers));
        own = preference < best ? server_is_own[which] : preference == best ? own || server_is_own[which] : own;
        best = preference < best ? preference : best;
        (void)json_array_append_new(hosts, json_pack("{s:I,s:s,s:[s]}", "preference", (json_int_t)preference, "host", "x.test", "addresses", servers[which]));
    }
    assert_int_equal(plan_facts_from_json(doc, a, &read, &e), ERR_OK);
    f.mx = read.mx;
    f.n_mx = read.n_mx;
    f.proxy_addresses = read.proxy_addresses;
    f.n_proxy_addresses = read.n_proxy_addresses;
    assert_int_equal(catalog_merge(&layers, 1, &all, &e), ERR_OK);
    assert_int_equal(plan_make(all, &f, "", a, &p, &found, &e), ERR_OK);
    assert_true((p == NULL) == own);
    assert_int_equal(found.errors, own ? 1 : 0);
    findings_clear(&found);
}

/* A certificate of random times: refused when it is not valid now, said when it ends within 30 days, silent else. */
static void validity(void)
{
    static const int64_t day = INT64_C(24) * 3600 * 1000;
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO(json_free) json_t *l = json_pack("{s:s,s:s,s:s}", "smtp_tls.inbound", "may", "smtp_tls.cert_file", "/etc/a.pem", "smtp_tls.key_file", "/etc/a.key"), *all = NULL;
    struct catalog_layer layers = {LAYER_DEVICE, "", "", l, 0};
    const char *const names[] = {below(2) == 0 ? "*.example.test" : "mx1.example.test"};
    int64_t now = INT64_C(1767225600000) + (int64_t)below(1000), from = now + ((int64_t)below(9) - 6) * day + (int64_t)below(2),
            to = now + ((int64_t)below(90) - 45) * day;
    bool in_use = below(2) == 0, valid = from <= now && now < to, soon = to - now <= 30 * day;
    const struct plan_file_fact files[] = {
        {.path = "/etc/a.pem", .readable = true, .is_cert = true, .in_use = in_use, .not_before_ms = from, .not_after_ms = to, .names = names, .n_names = 1},
        {.path = "/etc/a.key", .readable = true, .is_key = true, .key_matches = true}};
    struct plan_facts f = facts;
    struct findings found = {0};
    struct plan *p = NULL;
    struct err e = {0};

    f.now_ms = now;
    f.files = files;
    f.n_files = COUNT_OF(files);
    assert_int_equal(catalog_merge(&layers, 1, &all, &e), ERR_OK);
    assert_int_equal(plan_make(all, &f, "", a, &p, &found, &e), ERR_OK);
    assert_true((found.errors == 0) == valid);
    assert_true((p != NULL) == (valid || in_use));
    if (valid)
        assert_int_equal(found.n, soon ? 1 : 0);
    findings_clear(&found);
}

/* A star is one whole first label, never none and never two. */
static void stars(void)
{
    static const char *const labels[] = {"a", "mx1", "B-2", "example", "test", "xn--q9jyb4c"};
    char name[256] = "", pattern[256], again[512];
    size_t n = 1 + below(4);

    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(name);
        (void)snprintf(name + used, sizeof name - used, "%s%s", i == 0 ? "" : ".", PICK(labels));
    }
    assert_true(plan_cert_covers(name, name));
    (void)snprintf(pattern, sizeof pattern, "*.%.200s", name);
    assert_false(plan_cert_covers(pattern, name));
    (void)snprintf(again, sizeof again, "%s.%s", PICK(labels), name);
    assert_true(plan_cert_covers(pattern, again) == (n > 1)); /* "*.test" covers nothing */
    (void)snprintf(again, sizeof again, "x.y.%s", name);
    assert_false(plan_cert_covers(pattern, again));
    (void)snprintf(again, sizeof again, ".%s", name);
    assert_false(plan_cert_covers(pattern, again));
}

static void test_loops_and_certificates(void **state)
{
    (void)state;
    rand_bytes(&seed, sizeof seed);
    seed |= 1;
    printf("INARI_SEED=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < 300; i++) {
        mail_exchangers();
        validity();
        stars();
    }
}

static void test_properties(void **state)
{
    const char *given = getenv("INARI_SEED"), *seconds = getenv("INARI_SECONDS");
    int64_t end = clock_mono_ms() + (seconds == NULL ? 2000 : strtoll(seconds, NULL, 10) * 1000);
    size_t tried = 0, accepted = 0;

    (void)state;
    rand_bytes(&seed, sizeof seed);
    if (given != NULL)
        seed = strtoull(given, NULL, 10);
    seed |= 1;
    printf("INARI_SEED=%llu\n", (unsigned long long)seed);
    while (clock_mono_ms() < end && tried < 20000) {
        tried++;
        accepted += once() ? 1 : 0;
    }
    printf("%zu configurations, %zu accepted\n", tried, accepted);
    assert_true(tried < 50 || (accepted * 20 > tried && fronts > 0)); /* else it tests nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_properties), cmocka_unit_test(test_loops_and_certificates),
                                       cmocka_unit_test(test_groups_that_agree)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
