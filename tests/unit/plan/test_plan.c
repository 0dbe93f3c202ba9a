/* plan.h: what a plan holds, and a configuration for every invariant that breaks it. */
#include "plan/plan_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Certificates that go with /etc/a.key, seen on 1 January 2026; at its last second "end" has thirty days left, "fit" one
 * second more. */
#define NOW_MS (INT64_C(1767225600) * 1000)
#define CERT(name, from, to, in_use) \
    "{'path':'/etc/" name ".pem','readable':true,'is_cert':true,'is_key':false,'key_matches':true,'not_before':'" from \
    "','not_after':'" to "','in_use':" in_use ",'names':['*.example.test','other.test']}"

static const char *const own_facts =
    "{'device_id':'0199d000-0000-7000-8000-000000000001','hostname':'mx1.example.test','placement':"
    "'edge',"
    "'postfix':'3.7.11','foxproxy':'0.1.0','addresses':['198.18.0.2','2001:db8::2','127.0.0.1','::1'],"
    "'map_types':['cidr','texthash','hash'],'listeners':[{'address':'0.0.0.0','port':25,'owner':'"
    "postfix'},"
    "{'address':'0.0.0.0','port':22,'owner':'sshd'},{'address':'127.0.0.1','port':10025,'owner':'"
    "scand'}],"
    "'names':{'self.example.test':['198.18.0.2'],'inside.example.test':['198.18.0.9']},"
    "'files':[{'path':'/etc/"
    "a.pem','readable':true,'is_cert':true,'is_key':false,'key_matches':false},"
    "{'path':'/etc/a.key','readable':true,'is_cert':false,'is_key':true,'key_matches':true},"
    "{'path':'/etc/b.key','readable':true,'is_cert':false,'is_key':true,'key_matches':false},"
    "{'path':'/etc/gone.pem','readable':false},"
    CERT("old", "2024-01-01T00:00:00Z", "2025-12-31T23:59:59Z", "false") ","
    CERT("run", "2024-01-01T00:00:00Z", "2025-12-31T23:59:59Z", "true") ","
    CERT("new", "2026-01-02T00:00:00Z", "2027-01-01T00:00:00Z", "false") ","
    CERT("end", "2025-01-01T00:00:00Z", "2026-01-31T00:00:00Z", "false") ","
    CERT("fit", "2025-01-01T00:00:00Z", "2026-01-31T00:00:01Z", "false") "],"
    "'proxy_addresses':['203.0.113.77'],"
    "'mx':{'back.test':[{'preference':20,'host':'far.test','addresses':['192.0.2.9']},"
    "{'preference':10,'host':'in.back.test','addresses':['198.18.0.2']}],"
    "'backup.test':[{'preference':10,'host':'far.test','addresses':['192.0.2.9']},"
    "{'preference':20,'host':'MX1.example.test','addresses':[]}],"
    "'named.test':[{'preference':0,'host':'MX1.Example.Test','addresses':[]}],"
    "'nat.test':[{'preference':0,'host':'outside.test','addresses':['203.0.113.77']}],"
    "'self.example.test':[{'preference':0,'host':'elsewhere.test','addresses':['192.0.2.9']}],"
    "'none.test':[]}}";

static json_t *parse(const char *text)
{
    AUTO_STR char *copy = strdup(text);
    json_t *j;

    for (char *p = copy; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    j = json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
    if (j == NULL)
        fail_msg("the test's JSON does not parse: %s", copy);
    return j;
}

struct made {
    struct arena *a;
    json_t *settings, *facts_json;
    struct plan_facts facts;
    struct plan *plan;
    struct findings f;
};

/* Settings (a layer), facts (NULL: own_facts) -> plan and findings. */
static struct made make(const char *layer_text, const char *facts_text)
{
    AUTO(json_free) json_t *layer = parse(layer_text);
    struct made m = {.a = arena_new(64 * MIB)};
    struct catalog_layer l = {LAYER_DEVICE, "d", "d", layer, 0};
    struct err e = {0};

    assert_non_null(m.a);
    m.facts_json = parse(facts_text == NULL ? own_facts : facts_text);
    assert_int_equal(catalog_merge(&l, 1, &m.settings, &e), ERR_OK);
    assert_int_equal(plan_facts_from_json(m.facts_json, m.a, &m.facts, &e), ERR_OK);
    m.facts.device_id = json_str(m.facts_json, "device_id", NULL);
    m.facts.now_ms = NOW_MS;
    assert_int_equal(plan_make(m.settings, &m.facts, DIGEST, m.a, &m.plan, &m.f, &e), ERR_OK);
    return m;
}

static void done(struct made *m)
{
    findings_clear(&m->f);
    json_decref(m->settings);
    json_decref(m->facts_json);
    arena_free(m->a);
}

static const char *param(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->n_params; i++) {
        if (strcmp(p->params[i].name, name) == 0)
            return p->params[i].value;
    }
    return NULL;
}

static const char *table(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->n_tables; i++) {
        if (strcmp(p->tables[i].name, name) == 0)
            return p->tables[i].content;
    }
    return NULL;
}

static const struct plan_service *service(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->n_services; i++) {
        if (strcmp(p->services[i].service, name) == 0)
            return &p->services[i];
    }
    return NULL;
}

static void assert_clean(const struct made *m)
{
    char text[512];

    if (m->f.n > 0) {
        finding_message(&m->f.v[0], LANG_EN, text, sizeof text);
        fail_msg("%s at %s: %s", finding_texts[m->f.v[0].id].id, m->f.v[0].pointer, text);
    }
    assert_non_null(m->plan);
}

static void test_direct(void **state)
{
    struct made m =
        make("{'smtp.relay_domains':{'example.test':{'subdomains':true}},"
             "'smtp.relay_networks':{'198.18.7.0/24':{}},'smtp.banner_text':'Hello',"
             "'smtp.routes':{'example.test':{'next_hop':'[198.18.0.9]:2525','tls':'encrypt'}},"
             "'smtp.recipient_map':{'joe@example.test':{},'1@b.test':{},'@b.test':{}}}",
             NULL);
    const struct plan_service *s;

    (void)state;
    assert_clean(&m);
    assert_string_equal(m.plan->mail_path, "direct");
    assert_string_equal(param(m.plan, "content_filter"), "");
    assert_string_equal(param(m.plan, "inari_digest"), DIGEST);
    assert_string_equal(param(m.plan, "myhostname"), "mx1.example.test");
    assert_string_equal(param(m.plan, "smtpd_banner"), "$myhostname ESMTP Hello");
    assert_string_equal(param(m.plan, "message_size_limit"), "31457280");
    assert_string_equal(param(m.plan, "smtpd_timeout"), "300s");
    assert_string_equal(param(m.plan, "mynetworks"),
                        "cidr:${config_directory}/inari/0123456789abcdef/relay_networks");
    assert_string_equal(table(m.plan, "relay_networks"),
                        "# clients that may send to any domain\n198.18.7.0/24 permit\n");
    assert_non_null(
        strstr(table(m.plan, "relay_domains"), "\nexample.test relay\n.example.test relay\n"));
    assert_non_null(strstr(table(m.plan, "transport"),
                           "\nexample.test inari-smtp-encrypt:[198.18.0.9]:2525\n"));
    assert_non_null(
        strstr(table(m.plan, "known_recipients"),
               "\njoe@example.test DUNNO\npostmaster@example.test DUNNO\nexample.test 550 "));
    assert_null(strstr(table(m.plan, "known_recipients"), "\nb.test 550"));
    assert_non_null(service(m.plan, "inari-smtp-encrypt"));
    assert_null(service(m.plan, "127.0.0.1:10026"));
    s = service(m.plan, "25");
    assert_non_null(s);
    assert_true(s->replaces_smtp);
    assert_int_equal(m.plan->n_listeners, 4); /* both families, probe, digest */
    assert_string_equal(m.plan->probe_domain, "0199d000-0000-7000-8000-000000000001.inari.invalid");
    done(&m);
}

/* Signing in: what it takes and no text; a device that does not keeps what it was found with. */
static void test_auth(void **state)
{
    struct made m = make("{'smtp.relayhost':'[198.18.0.9]:587, [198.18.0.10]','smtp_tls.outbound':'encrypt',"
                         "'smtp.relayhost_user':'mx1@example.test','smtp.relayhost_password':"
                         "'sealed:01932e7c-7b1f-7000-8000-00000000000a',"
                         "'smtp.routes':{'example.test':{'next_hop':'[198.18.0.9]:587','tls':'none'}}}",
                         NULL);
    struct made none = make("{}", NULL);
    const struct plan_service *s;

    (void)state;
    assert_clean(&m);
    assert_string_equal(param(m.plan, "smtp_sasl_auth_enable"), "yes");
    assert_string_equal(param(m.plan, "smtp_sasl_password_maps"),
                        "texthash:${config_directory}/inari/0123456789abcdef/relayhost_password");
    assert_string_equal(table(m.plan, "relayhost_password"),
                        "[198.18.0.9]:587 mx1@example.test:sealed:01932e7c-7b1f-7000-8000-00000000000a\n"
                        "[198.18.0.10] mx1@example.test:sealed:01932e7c-7b1f-7000-8000-00000000000a\n");
    s = service(m.plan, "inari-smtp-none");
    assert_non_null(s);
    assert_string_equal(s->options[s->n_options - 1].name, "smtp_sasl_auth_enable");
    assert_string_equal(s->options[s->n_options - 1].value, "no");
    assert_null(param(none.plan, "smtp_sasl_auth_enable"));
    for (size_t i = 0; i < none.plan->n_owned; i++)
        assert_int_not_equal(strncmp(none.plan->owned[i], "smtp_sasl", 9), 0);
    done(&m);
    done(&none);
}

/* --- P16: subjects in the log --- */
static void assert_verify(struct plan *p, const char *id);
static const char **value_at(struct plan *p, const char *in, const char *name);
#define OWN_CHECKS "regexp:${config_directory}/inari/00112233445566ff/header_checks"
#define ON "{'smtp.log_subject':true}"
#define CHECKS(what) "{'postfix':'3.7.11','map_types':['cidr','texthash','regexp'],'header_checks':{" what "}}"

static bool names(const char *const *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i], name) == 0)
            return true;
    }
    return false;
}

/* What becomes of header_checks, mime_header_checks and nested_header_checks: 's' set, 'r' ours and not set (so it is
 * removed), 'l' the site's and left, '-' nobody's business. */
static void fate(const struct plan *p, char out[PLAN_CHECKS + 1])
{
    for (size_t i = 0; i < PLAN_CHECKS; i++) {
        const char *name = plan_checks_params[i];
        bool owned = names(p->owned, p->n_owned, name), left = names(p->left, p->n_left, name);
        assert_false(owned && left);
        out[i] = param(p, name) != NULL ? 's' : owned ? 'r' : left ? 'l' : '-';
        assert_true(out[i] != 's' || owned);
    }
    out[PLAN_CHECKS] = '\0';
}

static void test_subject(void **state)
{
    static const struct {
        const char *layer, *facts, *fate, *finding;
    } cases[] = {
        {"{}", CHECKS(""), "---", NULL},
        {ON, CHECKS(""), "sss", NULL},
        {ON, CHECKS("'header_checks':'','mime_header_checks':'$header_checks','nested_header_checks':'${header_checks}'"), "sss", NULL},
        {ON, CHECKS("'header_checks':'" OWN_CHECKS "','mime_header_checks':'','nested_header_checks':''"), "sss", NULL},
        {"{}", CHECKS("'header_checks':'" OWN_CHECKS "','mime_header_checks':'','nested_header_checks':''"), "rrr", NULL},
        /* a site that looks into attachments goes on doing so */
        {ON, CHECKS("'mime_header_checks':'pcre:/etc/postfix/mime'"), "sls", NULL},
        {"{}", CHECKS("'header_checks':'" OWN_CHECKS "','mime_header_checks':'pcre:/etc/postfix/mime'"), "rlr", NULL},
        {"{}", CHECKS("'header_checks':'pcre:/etc/postfix/checks'"), "l--", NULL},
        {ON, CHECKS("'header_checks':'pcre:/etc/postfix/checks'"), "l--", "P16.site-checks"},
        {ON, CHECKS("'header_checks':'regexp:/srv/inari-rules'"), "l--", "P16.site-checks"},
        {ON, "{'postfix':'3.7.11'}", "---", "P16.checks-unknown"}, /* an agent that does not say */
        {ON, "{}", "---", NULL},                                   /* no report yet */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct made m = make(cases[i].layer, cases[i].facts);
        const struct finding *f = m.f.v;
        char got[PLAN_CHECKS + 1];

        assert_non_null(m.plan);
        fate(m.plan, got);
        if (strcmp(got, cases[i].fate) != 0)
            fail_msg("case %zu: %s instead of %s", i, got, cases[i].fate);
        if ((m.f.n > 0) != (cases[i].finding != NULL) || (f != NULL && strcmp(finding_texts[f->id].id, cases[i].finding) != 0))
            fail_msg("case %zu: %s", i, f == NULL ? "no finding" : finding_texts[f->id].id);
        if (f != NULL)
            assert_true(f->warning || f->forceable);
        assert_true((table(m.plan, "header_checks") != NULL) == (got[0] == 's'));
        done(&m);
    }
}

/* It only logs, of the message's own header; nothing else may pose as it. */
static void test_subject_only_logs(void **state)
{
    struct made m = make(ON, CHECKS(""));
    struct plan_table *t;

    (void)state;
    assert_clean(&m);
    assert_string_equal(param(m.plan, "header_checks"), "regexp:${config_directory}/inari/0123456789abcdef/header_checks");
    assert_string_equal(param(m.plan, "mime_header_checks"), "");
    assert_string_equal(param(m.plan, "nested_header_checks"), "");
    assert_non_null(strstr(table(m.plan, "header_checks"), "\n/^Subject:(.*)/ INFO inari-subject$1\n"));
    for (size_t i = 0; i < m.plan->n_tables; i++) {
        t = (struct plan_table *)(uintptr_t)&m.plan->tables[i];
        if (strcmp(t->name, "header_checks") != 0)
            continue;
        t->content = PLAN_SUBJECT_CHECK "/^X:/ REJECT\n";
        assert_verify(m.plan, "P12.lookup-type");
        t->content = PLAN_SUBJECT_CHECK;
        t->name = "mime_header_checks";
        assert_verify(m.plan, "P12.lookup-type");
        t->name = "header_checks";
    }
    *value_at(m.plan, NULL, "header_checks") = "regexp:/etc/postfix/x";
    assert_verify(m.plan, "P12.lookup-type");
    *value_at(m.plan, NULL, "header_checks") = "regexp:${config_directory}/inari/0123456789abcdef/header_checks, pcre:/x";
    assert_verify(m.plan, "P12.lookup-type");
    done(&m);
}

static void test_plain(void **state)
{
    struct made m = make("{'path.mode':'plain','scan.timeout':120}", NULL);

    (void)state;
    assert_clean(&m);
    assert_string_equal(param(m.plan, "content_filter"), "inari-scan:inet:127.0.0.1:10025");
    assert_string_equal(param(m.plan, "receive_override_options"), "no_address_mappings");
    assert_non_null(service(m.plan, "127.0.0.1:10026"));
    assert_string_equal(service(m.plan, "inari-scan")->command, "lmtp");
    assert_string_equal(service(m.plan, "inari-scan")->maxproc, "200");
    done(&m);
}

/* Everything the sender filter's file may say, word for word; Postfix behind it. */
static void test_front(void **state)
{
    struct made m = make("{'path.mode':'front','sender_filter.blocked':'log','sender_filter.blocked_code':'421','sender_filter.blocked_text':'ask help at b.test',"
                         "'sender_filter.reputation':'on','sender_filter.reputation_level':'advanced','sender_filter.reputation_wait':900,"
                         "'sender_filter.zones':{'b.zone.test':{'codes':'127.0.0.2-127.0.0.9 127.0.0.10=defer'},'a.zone.test':{'profile':'advanced'},"
                         "'w.zone.test':{'profile':'allow','codes':'127.0.0.3=approve'},'l.zone.test':{'action':'log'}},"
                         "'sender_filter.resolvers':{'192.0.2.53':{},'2001:db8::53':{'port':5353}},'sender_filter.balancers':{'192.0.2.0/28':{}},"
                         "'sender_filter.max_sessions':120,'sender_filter.connect_timeout':3,'smtp.idle_timeout':200}",
                         NULL);
    const struct plan_service *s;
    size_t fronts = 0, doors = 0;

    (void)state;
    assert_clean(&m);
    assert_string_equal(m.plan->mail_path, "front");
    assert_string_equal(m.plan->foxproxy, "# made by Inari from the settings of this device; a change here is drift\n"
                                          "[main]\ndigest = " DIGEST "\nlisten = 0.0.0.0:25\nlisten = [::]:25\nbackend = 127.0.0.1:2500\n"
                                          "hostname = mx1.example.test\nmax_sessions = 120\nconnect_timeout_ms = 3000\nidle_timeout_s = 260\n"
                                          "[balancers]\nnetwork = 192.0.2.0/28\n[approved]\nmode = on\n"
                                          "[blocked]\nmode = log\nreply = 421 4.7.1 ask help at b.test\n"
                                          "[reputation]\nmode = on\nwait_ms = 900\nat = greeting\nresolver = 192.0.2.53:53\nresolver = [2001:db8::53]:5353\n"
                                          "[zone a.zone.test]\nprofile = advanced\naction = defer\n"
                                          "[zone b.zone.test]\nprofile = standard\naction = reject\ncodes = 127.0.0.2-127.0.0.9 127.0.0.10=defer\n"
                                          "[zone l.zone.test]\nprofile = standard\naction = log\n"
                                          "[zone w.zone.test]\nprofile = allow\naction = approve\ncodes = 127.0.0.3=approve\n");
    s = service(m.plan, "127.0.0.1:2500");
    assert_non_null(s);
    assert_true(s->replaces_smtp);
    assert_string_equal(s->maxproc, "120");
    assert_string_equal(*value_at(m.plan, "127.0.0.1:2500", "smtpd_upstream_proxy_protocol"), "haproxy");
    assert_string_equal(*value_at(m.plan, "127.0.0.1:2500", "mynetworks"),
                        "!127.0.0.0/8, ![::1]/128, ![::ffff:0:0]/96, !198.18.0.2, ![2001:db8::2], cidr:${config_directory}/inari/0123456789abcdef/relay_networks");
    assert_null(service(m.plan, "25"));
    assert_string_equal(param(m.plan, "smtpd_upstream_proxy_protocol"), "");
    assert_string_equal(param(m.plan, "inet_interfaces"), "all"); /* as in direct, so that a switch needs no restart */
    assert_non_null(service(m.plan, "127.0.0.1:10027"));
    assert_non_null(service(m.plan, "127.0.0.1:10029"));
    for (size_t i = 0; i < m.plan->n_listeners; i++) {
        fronts += m.plan->listeners[i].role == ROLE_FRONT;
        doors += m.plan->listeners[i].role == ROLE_PUBLIC;
    }
    assert_int_equal(fronts, 1);
    assert_int_equal(doors, 2);
    done(&m);
}

/* The defaults of the area: lists on, nobody asked; a zone of the dynamic kind waits for its level; one address, no IPv6. */
static void test_front_defaults(void **state)
{
    struct made m = make("{'path.mode':'front','smtp.listen_address':'198.18.0.2','smtp.listen_port':2525,'smtp.hostname':'out.example.test',"
                         "'sender_filter.zones':{'a.zone.test':{'profile':'advanced'}}}", NULL);
    struct made four = make("{'path.mode':'front'}", "{'postfix':'3.7.11','foxproxy':'0.1.0','addresses':['198.18.0.2','127.0.0.1']}");
    struct made direct = make("{'sender_filter.reputation':'on'}", NULL);

    (void)state;
    assert_clean(&m);
    assert_string_equal(m.plan->foxproxy, "# made by Inari from the settings of this device; a change here is drift\n"
                                          "[main]\ndigest = " DIGEST "\nlisten = 198.18.0.2:2525\nbackend = 127.0.0.1:2500\n"
                                          "hostname = out.example.test\nmax_sessions = 200\nconnect_timeout_ms = 5000\nidle_timeout_s = 360\n"
                                          "[approved]\nmode = on\n[blocked]\nmode = on\nreply = 554 5.7.1\n");
    assert_null(strstr(four.plan->foxproxy, "[::]"));
    assert_clean(&direct); /* nothing of it while the path is another one */
    assert_null(direct.plan->foxproxy);
    done(&m);
    done(&four);
    done(&direct);
}

/* --- one configuration (and, where it takes facts, one device) for every invariant --- */
#define SEALED "'sealed:01932e7c-7b1f-7000-8000-00000000000a'"
#define AUTH "'smtp.relayhost_user':'mx1','smtp.relayhost_password':" SEALED ","
#define FOX(more) "{'postfix':'3.7.11','foxproxy':'0.1.0'," more "}"
#define L49 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
#define ZONE(row) "{'sender_filter.zones':{'z.test':{" row "}}}"
struct broken {
    const char *layer;
    const char *facts; /* NULL: own_facts */
    const char *finding, *pointer;
    bool forceable;
};

static const struct broken broken[] = {
    {"{'smtp.listen_port':10027}", NULL, "P01.twice", "/settings/smtp.listen_port", false},
    {"{'path.mode':'plain','scan.reinject_port':10025}", NULL, "P01.twice", "/settings/scan.reinject_port", false},
    {"{'path.mode':'plain','scan.port':25}", NULL, "P01.twice", "/settings/smtp.listen_port", false},
    {"{'smtp.listen_address':'127.0.0.1','smtp.listen_port':10029}", NULL, "P01.twice", "/settings/smtp.listen_port", false},
    {"{'smtp.listen_port':22}", NULL, "P01.taken", "/settings/smtp.listen_port", false},
    {"{}", "{'listeners':[{'address':'::','port':25,'owner':'exim4'}]}", "P01.taken", "/settings/smtp.listen_port", false},
    {"{}", "{'listeners':[{'address':'0.0.0.0','port':25,'owner':'unknown'}]}", "P01.taken", "/settings/smtp.listen_port", true},
    {"{'smtp.listen_address':'198.18.0.3'}", NULL, "P01.not-local", "/settings/smtp.listen_address", false},
    {"{'smtp.relay_networks':{'127.0.0.0/8':{}}}", NULL, "P02.relay-loopback", "/settings/smtp.relay_networks/127.0.0.0~18", true},
    {"{'smtp.relay_networks':{'::1':{}}}", NULL, "P02.relay-loopback", "/settings/smtp.relay_networks/::1", true},
    {"{'path.mode':'plain'}", "{'listeners':[{'address':'0.0.0.0','port':22,'owner':'sshd'}]}", "P04.no-scanner", "/settings/path.mode", true},
    {"{'smtp.relay_networks':{'0.0.0.0/1':{},'128.0.0.0/1':{}}}", NULL, "P05.everyone", "/settings/smtp.relay_networks/0.0.0.0~11", false},
    {"{'smtp.relay_networks':{'0.0.0.0/0':{}}}", NULL, "P05.everyone", NULL, false},
    {"{'smtp.relay_networks':{'::/0':{}}}", NULL, "P05.everyone", NULL, false},
    {"{'smtp.relay_networks':{'2000::/4':{},'3000::/4':{}}}", NULL, "P05.everyone", NULL, false},
    {"{'smtp.relay_networks':{'64.0.0.0/2':{},'128.0.0.0/2':{}}}", NULL, "P05.everyone", NULL, false},
    {"{'smtp.relay_networks':{'203.0.0.0/15':{}}}", NULL, "P05.too-wide", "/settings/smtp.relay_networks/203.0.0.0~115", true},
    {"{'smtp.relay_networks':{'203.0.0.0/16':{},'203.2.0.1':{}}}", NULL, "P05.too-wide", NULL, true},
    {"{'smtp.relay_networks':{'2001:db8::/31':{}}}", NULL, "P05.too-wide", NULL, true},
    {"{'smtp.client_connection_mode':'permit_list'}", NULL, "P05.nobody-allowed", "/settings/smtp.client_access", false},
    {"{'smtp.relayhost':'[198.18.0.2]'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'smtp.relayhost':'[mx1.example.test]:25'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'smtp.relayhost':'[198.18.0.9], [self.example.test]'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'smtp.relayhost':'[127.0.0.1]:10027'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'smtp.listen_port':2525,'smtp.relayhost':'[2001:db8::2]:2525'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'smtp.hostname':'out.example.test','smtp.routes':{'a.test':{'next_hop':'[out.example.test]'}}}", NULL, "P06.own-address", "/settings/smtp.routes/a.test", false},
    {"{'smtp.relayhost':'[203.0.113.77]'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'smtp.relayhost':'mx1.example.test'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'smtp.relayhost':'back.test'}", NULL, "P06.own-mx", "/settings/smtp.relayhost", false},
    {"{'smtp.relayhost':'[198.18.0.9], named.test:25'}", NULL, "P06.own-mx", "/settings/smtp.relayhost", false},
    {"{'smtp.routes':{'a.test':{'next_hop':'nat.test'}}}", NULL, "P06.own-mx", "/settings/smtp.routes/a.test", false},
    {"{'smtp.relay_domains':{'back.test':{}}}", NULL, "P06.own-mx", "/settings/smtp.relay_domains/back.test", false},
    {"{'smtp_tls.cert_file':'/etc/old.pem','smtp_tls.key_file':'/etc/a.key'}", NULL, "P07.expired", "/settings/smtp_tls.cert_file", false},
    {"{'smtp_tls.cert_file':'/etc/run.pem','smtp_tls.key_file':'/etc/a.key'}", NULL, "P07.expired", "/settings/smtp_tls.cert_file", true},
    {"{'smtp_tls.cert_file':'/etc/new.pem','smtp_tls.key_file':'/etc/a.key'}", NULL, "P07.not-yet", "/settings/smtp_tls.cert_file", false},
    {"{'smtp_tls.inbound':'may','smtp_tls.key_file':'/etc/a.key'}", NULL, "P07.missing", "/settings/smtp_tls.cert_file", false},
    {"{'smtp_tls.cert_file':'/etc/a.pem'}", NULL, "P07.missing", "/settings/smtp_tls.key_file", false},
    {"{'smtp_tls.outbound':'verify'}", NULL, "P07.missing", "/settings/smtp_tls.ca_file", false},
    {"{'smtp_tls.cert_file':'/etc/gone.pem','smtp_tls.key_file':'/etc/a.key'}", NULL, "P07.unreadable", "/settings/smtp_tls.cert_file", false},
    {"{'smtp_tls.cert_file':'/etc/a.key','smtp_tls.key_file':'/etc/a.key'}", NULL, "P07.not-a-certificate", "/settings/smtp_tls.cert_file", false},
    {"{'smtp_tls.cert_file':'/etc/a.pem','smtp_tls.key_file':'/etc/a.pem'}", NULL, "P07.not-a-key", "/settings/smtp_tls.key_file", false},
    {"{'smtp_tls.cert_file':'/etc/a.pem','smtp_tls.key_file':'/etc/b.key'}", NULL, "P07.mismatch", "/settings/smtp_tls.key_file", false},
    {"{'queue.minimal_backoff':3600,'queue.maximal_backoff':60}", NULL, "P09.order", "/settings/queue.minimal_backoff", false},
    {"{'path.mode':'plain','scan.reinject_process_limit':199}", NULL, "P09.order", "/settings/scan.concurrency_limit", false},
    {"{'path.mode':'plain','scan.connect_timeout':60,'scan.timeout':30}", NULL, "P09.order", "/settings/scan.connect_timeout", false},
    {"{'queue.min_free':31457281}", NULL, "P09.queue-space", "/settings/queue.min_free", false},
    {"{}", "{'postfix':'3.7.10'}", "P10.postfix-version", "/settings", false},
    {"{}", "{'postfix':'3.8.5'}", "P10.postfix-version", "/settings", false},
    {"{}", "{'postfix':'3.5.25'}", "P10.setting-version", NULL, false},
    {"{}", "{'map_types':['cidr','hash']}", "P10.map-type", "/settings", false},
    {"{'smtp.relayhost':'tcp:25'}", NULL, "P12.lookup-type", "/settings/smtp.relayhost", false},
    {"{'smtp.banner_text':'$(id)'}", NULL, "P12.command", "/settings/smtp.banner_text", false},
    {"{'smtp.banner_text':'${mail_owner}'}", NULL, "P12.command", "/settings/smtp.banner_text", false},
    {"{'smtp.banner_text':'a\\nsmtpd_relay_restrictions=permit'}", NULL, "P12.control", "/settings/smtp.banner_text", false},
    {"{'smtp.relay_domains':{'a.test relay\\nb.test':{}}}", NULL, "P12.control", NULL, false},
    {"{'smtp.routes':{'a.test':{'next_hop':'$x'}}}", NULL, "P12.control", "/settings/smtp.routes/a.test", false},
    {"{'smtp.forbid_unauth_pipelining':false}", NULL, "P12.smuggling", "/settings/smtp.forbid_unauth_pipelining", false},
    {"{'smtp.forbid_bare_newline':'no'}", NULL, "P12.smuggling", "/settings/smtp.forbid_bare_newline", false},
    {"{" AUTH "'smtp.relayhost':'[198.18.0.9]:587'}", NULL, "P15.no-tls", "/settings/smtp_tls.outbound", false},
    {"{" AUTH "'smtp.relayhost':'[198.18.0.9]:587','smtp_tls.outbound':'none'}", NULL, "P15.no-tls", "/settings/smtp_tls.outbound", false},
    {"{" AUTH "'smtp_tls.outbound':'encrypt'}", NULL, "P15.incomplete", "/settings/smtp.relayhost", false},
    {"{'smtp.relayhost':'[198.18.0.9]:587','smtp_tls.outbound':'encrypt','smtp.relayhost_user':'u'}", NULL, "P15.incomplete", "/settings/smtp.relayhost_password", false},
    {"{'smtp.relayhost':'[198.18.0.9]:587','smtp_tls.outbound':'encrypt','smtp.relayhost_password':" SEALED "}", NULL, "P15.incomplete", "/settings/smtp.relayhost_user", false},
    {"{'smtp.relayhost':'[198.18.0.9]:587','smtp_tls.outbound':'encrypt','smtp.relayhost_user':'a:b','smtp.relayhost_password':" SEALED "}", NULL, "V.character", "/settings/smtp.relayhost_user", false},
    {ON, CHECKS("'header_checks':'pcre:/etc/postfix/checks'"), "P16.site-checks", "/settings/smtp.log_subject", true},
    {"{}", CHECKS("'header_checks':'" OWN_CHECKS ", pcre:/etc/postfix/checks'"), "P16.mixed-checks", "/settings/smtp.log_subject", false},
    {ON, CHECKS("'header_checks':'pcre:/x, regexp:/etc/postfix/inari/00112233445566ff/header_checks'"), "P16.mixed-checks", "/settings/smtp.log_subject", false},
    {ON, "{'map_types':['cidr','texthash'],'header_checks':{}}", "P10.map-type", "/settings/smtp.log_subject", false},
    {"{'path.mode':'front','sender_filter.backend_port':25}", NULL, "P01.twice", "/settings/sender_filter.backend_port", false},
    {"{'path.mode':'front','smtp.listen_port':2500}", NULL, "P01.twice", "/settings/sender_filter.backend_port", false},
    {"{'path.mode':'front','sender_filter.backend_port':10028}", NULL, "P01.twice", "/settings/sender_filter.backend_port", false},
    {"{'path.mode':'front','smtp.listen_port':10027}", NULL, "P01.twice", "/settings/smtp.listen_port", false},
    {"{'path.mode':'front','sender_filter.backend_port':10025}", NULL, "P01.taken", "/settings/sender_filter.backend_port", false},
    {"{'path.mode':'front','smtp.listen_port':22}", NULL, "P01.taken", "/settings/smtp.listen_port", false},
    {"{'path.mode':'front'}", FOX("'listeners':[{'address':'127.0.0.1','port':2500,'owner':'foxproxy'}]"), "P01.taken", "/settings/sender_filter.backend_port", false},
    {"{'path.mode':'front','smtp.relay_networks':{'127.0.0.1':{}}}", NULL, "P02.relay-loopback", "/settings/smtp.relay_networks/127.0.0.1", true},
    {"{'path.mode':'front','sender_filter.balancers':{'127.0.0.0/8':{}}}", NULL, "P02.balancer-own", "/settings/sender_filter.balancers/127.0.0.0~18", true},
    {"{'path.mode':'front','sender_filter.balancers':{'::1':{}}}", NULL, "P02.balancer-own", "/settings/sender_filter.balancers/::1", true},
    {"{'path.mode':'front','sender_filter.balancers':{'198.18.0.0/24':{}}}", NULL, "P02.balancer-own", "/settings/sender_filter.balancers/198.18.0.0~124", true},
    {"{'path.mode':'front','sender_filter.balancers':{'0.0.0.0/1':{},'128.0.0.0/1':{}}}", NULL, "P05.balancer-everyone", "/settings/sender_filter.balancers/0.0.0.0~11", false},
    {"{'path.mode':'front','sender_filter.balancers':{'203.0.0.0/15':{}}}", NULL, "P05.balancer-wide", "/settings/sender_filter.balancers/203.0.0.0~115", true},
    {"{'path.mode':'front','smtp.relayhost':'[198.18.0.2]'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'path.mode':'front','smtp.relayhost':'[127.0.0.1]:2500'}", NULL, "P06.own-address", "/settings/smtp.relayhost", false},
    {"{'path.mode':'front','sender_filter.max_sessions':201}", NULL, "P09.order", "/settings/sender_filter.max_sessions", false},
    {"{'path.mode':'front'}", "{'postfix':'3.7.11'}", "P10.foxproxy-missing", "/settings/path.mode", false},
    {"{'path.mode':'front','smtp.hostname':'a\\nlisten = 0.0.0.0:26'}", NULL, "P12.control", "/settings/smtp.hostname", false},
    {"{'path.mode':'front','sender_filter.blocked_text':'a\\n[approved]'}", NULL, "P12.control", "/settings/sender_filter.blocked_text", false},
    {"{'path.mode':'front','sender_filter.reputation':'on','sender_filter.zones':{'a]\\n[approved':{}}}", NULL, "P12.control", NULL, false},
    {ZONE("'codes':'127.0.0.2 10.0.0.1'"), NULL, "V.zone-codes", "/settings/sender_filter.zones/z.test", false},
    {ZONE("'codes':'127.0.0.9-127.0.0.2'"), NULL, "V.zone-codes", NULL, false},
    {ZONE("'codes':'127.255.255.254'"), NULL, "V.zone-codes", NULL, false},
    {ZONE("'codes':'127.0.0.2=approve'"), NULL, "V.zone-codes", NULL, false},
    {ZONE("'codes':'127.0.0.2=reject','profile':'allow'"), NULL, "V.zone-codes", NULL, false},
    {ZONE("'codes':'127.0.0.2,127.0.0.3'"), NULL, "V.zone-codes", NULL, false},
    {"{'sender_filter.zones':{'" L49 "." L49 "." L49 "." L49 "':{}}}", NULL, "V.length", NULL, false},
    {ZONE("'profile':'allow','action':'reject'"), NULL, "P17.allow-action", "/settings/sender_filter.zones/z.test", false},
    {"{'smtp.relay_domains':{'x.inari.invalid':{}}}", NULL, "V.reserved", "/settings/smtp.relay_domains/x.inari.invalid", false},
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        const struct broken *x = &broken[i];
        struct made m = make(x->layer, x->facts);
        const struct finding *hit = NULL;
        char text[2][512];

        for (size_t k = 0; k < m.f.n; k++) {
            if (strcmp(finding_texts[m.f.v[k].id].id, x->finding) == 0 &&
                (x->pointer == NULL || strcmp(m.f.v[k].pointer, x->pointer) == 0))
                hit = &m.f.v[k];
        }
        if (hit == NULL)
            fail_msg("%s: wanted %s at %s, got %s at %s", x->layer, x->finding, x->pointer == NULL ? "any" : x->pointer,
                     m.f.n == 0 ? "nothing" : finding_texts[m.f.v[0].id].id, m.f.n == 0 ? "" : m.f.v[0].pointer);
        if (hit->forceable != x->forceable)
            fail_msg("%s: forceable is %d", x->layer, hit->forceable);
        if ((m.plan != NULL) != x->forceable)
            fail_msg("%s: plan %s", x->layer, m.plan == NULL ? "missing" : "made");
        for (int lang = 0; lang < 2; lang++) {
            finding_remedy(hit, (enum lang)lang, text[lang], sizeof text[lang]);
            assert_true(text[lang][0] != '\0' && strstr(text[lang], "{0}") == NULL);
            finding_message(hit, (enum lang)lang, text[lang], sizeof text[lang]);
        }
        assert_string_not_equal(text[0], text[1]);
        done(&m);
    }
}

static const char *const fine[] = {
    "{'smtp.relayhost':'[127.0.0.1]:2600'}",               /* a mail store beside us */
    "{'smtp.relay_networks':{'203.0.0.0/16':{}}}",         /* exactly the bound */
    "{'smtp.relay_networks':{'10.0.0.0/8':{},'fc00::/7':{}}}", /* private, however wide */
    "{'smtp.client_connection_limit':0,'smtp.process_limit':10}",
    "{'scan.reinject_process_limit':1}",                   /* direct: nothing is scanned */
    "{'queue.min_free':47185920}",
    "{'smtp_tls.inbound':'encrypt','smtp_tls.cert_file':'/etc/a.pem','smtp_tls.key_file':'/etc/a.key'}",
    "{'smtp.listen_address':'198.18.0.2','smtp.listen_port':10026}",
    "{'sender_filter.backend_port':25,'sender_filter.max_sessions':5000}", /* another path: no port, no process */
    "{'sender_filter.balancers':{'0.0.0.0/0':{}},'smtp.relay_networks':{'198.18.0.2':{}}}",
    "{'path.mode':'front','smtp.relay_networks':{'198.18.0.0/24':{}}}", /* the device within is cut out of it */
    "{'path.mode':'front','smtp.listen_address':'198.18.0.2','smtp.listen_port':2500}",
    "{'path.mode':'front','sender_filter.reputation':'on','sender_filter.zones':{'z.test':{'action':'log','profile':'allow'}}}",
    "{'smtp.relayhost':'backup.test'}",                    /* a better exchanger is there: Postfix takes that one */
    "{'smtp.relayhost':'back.test:2600'}",                 /* another program */
    "{'smtp.relayhost':'[back.test]'}",                    /* in brackets no MX counts */
    "{'smtp.relayhost':'self.example.test'}",              /* the MX counts, not the address */
    "{'smtp.relay_domains':{'backup.test':{}}}",
    "{'smtp.relay_domains':{'back.test':{}},'smtp.relayhost':'[192.0.2.1]'}",
    "{'smtp.relay_domains':{'x.back.test':{}},'smtp.routes':{'back.test':{'next_hop':'[192.0.2.1]','subdomains':true}}}",
    "{'smtp.relay_domains':{'none.test':{}},'smtp.relayhost':'none.test'}",
    "{'smtp_tls.cert_file':'/etc/fit.pem','smtp_tls.key_file':'/etc/a.key'}",
    "{'smtp.hostname':'other.test','smtp_tls.cert_file':'/etc/fit.pem','smtp_tls.key_file':'/etc/a.key'}",
};

static void test_fine(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fine); i++) {
        struct made m = make(fine[i], NULL);
        assert_clean(&m);
        done(&m);
    }
}

/* Said, but nothing is refused. */
static void test_warnings(void **state)
{
    static const char *const layers[][3] = {{"{'smtp.process_limit':49}", "/settings/smtp.client_connection_limit"},
                                            {"{'queue.maximal_lifetime':86400}", "/settings/queue.bounce_lifetime"},
                                            {"{'path.mode':'front','smtp.relay_networks':{'198.18.0.2':{}}}", "/settings/smtp.relay_networks/198.18.0.2", "P02.relay-own"},
                                            {"{'path.mode':'front','smtp.relay_networks':{'2001:db8::2':{}}}", "/settings/smtp.relay_networks/2001:db8::2", "P02.relay-own"},
                                            {"{'path.mode':'front','sender_filter.max_sessions':49}", "/settings/smtp.client_connection_limit"},
                                            {"{'path.mode':'front','sender_filter.reputation':'log'}", "/settings/sender_filter.reputation", "P17.no-zones"},
                                            {"{'path.mode':'front','sender_filter.reputation':'on','sender_filter.zones':{'z.test':{'profile':'advanced'}}}", "/settings/sender_filter.reputation", "P17.no-zones"},
                                            {"{'queue.minimal_backoff':60}", "/settings/queue.run_delay"},
                                            {"{'smtp.hard_error_limit':5}", "/settings/smtp.soft_error_limit"},
                                            {"{'smtp.relay_domains':{'b.test':{}},'smtp.relayhost':'b.test'}", "/settings/smtp.relayhost", "P06.mx-unknown"},
                                            {"{'smtp.relay_domains':{'b.test':{'subdomains':true}},'smtp.routes':{'b.test':{'next_hop':'in.b.test'}}}", "/settings/smtp.routes/b.test", "P06.mx-unknown"},
                                            {"{'smtp.relay_domains':{'b.test':{},'c.test':{}}}", "/settings/smtp.relay_domains/b.test", "P06.no-route"},
                                            {"{'smtp_tls.cert_file':'/etc/end.pem','smtp_tls.key_file':'/etc/a.key'}", "/settings/smtp_tls.cert_file", "P07.expires"},
                                            {"{'smtp.hostname':'a.b.example.test','smtp_tls.cert_file':'/etc/fit.pem','smtp_tls.key_file':'/etc/a.key'}", "/settings/smtp_tls.cert_file", "P07.name"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(layers); i++) {
        struct made m = make(layers[i][0], NULL);
        assert_non_null(m.plan);
        assert_int_equal(m.f.errors, 0);
        assert_int_equal(m.f.n, 1);
        assert_string_equal(finding_texts[m.f.v[0].id].id, layers[i][2] == NULL ? "P09.order" : layers[i][2]);
        assert_true(m.f.v[0].warning);
        assert_string_equal(m.f.v[0].pointer, layers[i][1]);
        done(&m);
    }
}

/* The planner judges its own result: break a finished plan and it says so. */
static void assert_verify(struct plan *p, const char *id)
{
    struct findings f = {0};
    bool hit = false;

    plan_verify(p, &f);
    for (size_t i = 0; i < f.n; i++)
        hit = hit || strcmp(finding_texts[f.v[i].id].id, id) == 0;
    if (!hit)
        fail_msg("wanted %s, got %s", id, f.n == 0 ? "nothing" : finding_texts[f.v[0].id].id);
    findings_clear(&f);
}

/* The value of a parameter (service NULL) or option, to be written over. */
static const char **value_at(struct plan *p, const char *in, const char *name)
{
    const struct plan_service *s = in == NULL ? NULL : service(p, in);
    const struct plan_param *v = in == NULL ? p->params : s->options;
    size_t n = in == NULL ? p->n_params : s->n_options;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i].name, name) == 0)
            return (const char **)(uintptr_t)&v[i].value;
    }
    fail_msg("no %s", name);
    return NULL;
}

static void test_verify(void **state)
{
    static const struct {
        const char *in, *name, *value, *finding;
    } cases[] = {
        {"127.0.0.1:10026", "mynetworks", "0.0.0.0/0", "P03.reinject-open"},
        {"127.0.0.1:10026", "content_filter", "inari-scan:inet:127.0.0.1:10025", "P03.reinject-open"},
        {"127.0.0.1:10026", "smtpd_relay_restrictions", "permit", "P05.relay-restriction"},
        {"127.0.0.1:10026", "smtpd_client_restrictions", "", "P03.reinject-open"},
        {"127.0.0.1:10026", "smtpd_forbid_bare_newline", "no", "P12.smuggling"},
        {"127.0.0.1:10026", "smtpd_forbid_bare_newline_exclusions", "$mynetworks", "P12.smuggling"},
        {"25", "smtpd_forbid_unauth_pipelining", "no", "P12.smuggling"},
        {NULL, "receive_override_options", "", "P03.mapped-twice"},
        {NULL, "content_filter", "", "P04.unscanned"},
        {NULL, "content_filter", "inari-scan:inet:192.0.2.1:10025", "P04.unscanned"},
        {NULL, "smtpd_relay_restrictions", "permit_mynetworks, permit", "P05.relay-restriction"},
        {NULL, "mynetworks", "0.0.0.0/0", "P05.relay-restriction"},
        {NULL, "default_transport", "pipe:x", "P12.lookup-type"},
        {NULL, "default_transport", "inari-gone:x", "P13.dangling"},
        {"127.0.0.1:10026", "cleanup_service_name", "gone", "P13.dangling"},
        {NULL, "transport_maps", "hash:/etc/postfix/transport", "P12.lookup-type"},
        {NULL, "smtpd_banner", "a | b", "P12.command"},
        {NULL, "maillog_file", "/var/log/x", "P14.maillog-file"},
    };
    struct made m = make("{'path.mode':'plain'}", NULL);
    struct plan_table *t;
    struct plan_service *s;
    const char *kept;

    (void)state;
    assert_clean(&m);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char **at = value_at(m.plan, cases[i].in, cases[i].name), *was = *at;
        *at = cases[i].value;
        assert_verify(m.plan, cases[i].finding);
        *at = was;
    }
    for (size_t i = 0; i < m.plan->n_tables; i++) {
        t = (struct plan_table *)(uintptr_t)&m.plan->tables[i];
        if (strcmp(t->name, "client_access") == 0) {
            t->content = "# x\n192.0.2.1 OK\n";
            assert_verify(m.plan, "P05.access-ok");
            t->content = "";
        }
    }
    t = (struct plan_table *)(uintptr_t)m.plan->tables;
    kept = t->type;
    t->type = "pcre";
    assert_verify(m.plan, "P12.lookup-type");
    t->type = kept;
    s = (struct plan_service *)(uintptr_t)service(m.plan, "127.0.0.1:10026");
    kept = s->service;
    s->service = "10026"; /* on every address */
    assert_verify(m.plan, "P03.reinject-open");
    assert_verify(m.plan, "P14.not-owned");
    s->service = kept;
    ((struct plan_service *)(uintptr_t)m.plan->services)[0].command = "pipe";
    assert_verify(m.plan, "P12.service");
    ((struct plan_param *)(uintptr_t)m.plan->params)[0].name = "header_checks";
    assert_verify(m.plan, "P14.not-owned");
    done(&m);
}

/* Each way the door behind the filter could be left open, or be left behind. */
static void test_verify_front(void **state)
{
    static const struct {
        const char *name, *value;
    } open[] = {{"smtpd_upstream_proxy_protocol", ""},
                {"mynetworks", "cidr:${config_directory}/inari/0123456789abcdef/relay_networks"},
                {"mynetworks", "127.0.0.0/8, !127.0.0.0/8, ![::1]/128, ![::ffff:0:0]/96"}};
    struct made m = make("{'path.mode':'front'}", NULL), direct = make("{}", NULL);
    struct plan_service *s;
    struct plan_listener *l;
    struct plan other;

    (void)state;
    assert_clean(&m);
    for (size_t i = 0; i < COUNT_OF(open); i++) {
        const char **at = value_at(m.plan, "127.0.0.1:2500", open[i].name), *was = *at;
        *at = open[i].value;
        assert_verify(m.plan, "P02.front-open");
        *at = was;
    }
    s = (struct plan_service *)(uintptr_t)service(m.plan, "127.0.0.1:2500");
    s->maxproc = "100"; /* sessions 101 to 200 would wait for a greeting that does not come */
    assert_verify(m.plan, "P09.order");
    s->maxproc = "200";
    s->service = "2500"; /* on every address */
    assert_verify(m.plan, "P02.front-open");
    s->service = "127.0.0.1:2500";
    s = (struct plan_service *)(uintptr_t)service(m.plan, "127.0.0.1:10027");
    s->service = "25"; /* Postfix beside the filter */
    assert_verify(m.plan, "P02.front-open");
    s->service = "127.0.0.1:10027";
    for (size_t i = 0; i < m.plan->n_listeners; i++) {
        l = (struct plan_listener *)(uintptr_t)&m.plan->listeners[i];
        if (l->role != ROLE_FRONT && l->role != ROLE_PUBLIC)
            continue;
        l->port++; /* the file says another one */
        assert_verify(m.plan, "P02.front-open");
        l->port--;
    }
    other = *m.plan;
    other.foxproxy = NULL;
    assert_verify(&other, "P13.front-left");
    other.mail_path = "direct";
    assert_verify(&other, "P13.front-left");
    direct.plan->foxproxy = m.plan->foxproxy;
    assert_verify(direct.plan, "P13.front-left");
    direct.plan->foxproxy = NULL;
    *value_at(direct.plan, "127.0.0.1:10027", "smtpd_upstream_proxy_protocol") = "haproxy"; /* the probe's may */
    ((struct plan_service *)(uintptr_t)service(direct.plan, "127.0.0.1:10027"))->service = "127.0.0.1:2500";
    assert_verify(direct.plan, "P13.front-left");
    done(&m);
    done(&direct);
}

static void test_owned(void **state)
{
    struct made m = make("{}", NULL);

    (void)state;
    for (size_t i = 1; i < m.plan->n_owned; i++) {
        if (strcmp(m.plan->owned[i - 1], m.plan->owned[i]) >= 0)
            fail_msg("%s stands twice or out of order", m.plan->owned[i]);
    }
    for (size_t i = 1; i < m.plan->n_params; i++) {
        if (strcmp(m.plan->params[i - 1].name, m.plan->params[i].name) >= 0)
            fail_msg("%s is set twice", m.plan->params[i].name);
    }
    done(&m);
}

/* The parent before the first report: nothing is known, nothing is refused for it. */
static void test_no_facts(void **state)
{
    struct made m = make("{'smtp.listen_address':'192.0.2.7','smtp_tls.inbound':'may','smtp_tls.cert_file':'/a','smtp_tls.key_file':'/b'}", "{}");

    (void)state;
    assert_clean(&m);
    assert_string_equal(m.plan->probe_domain, "");
    assert_null(param(m.plan, "myhostname"));
    done(&m);
}

/* --- whole fleet --- */
struct fleet_case {
    const char *a, *b, *c; /* layers of mx1, mx2, mx3 */
    const char *finding, *way;
};

static const struct fleet_case fleet_cases[] = {
    {"{'smtp.relayhost':'[198.18.0.3]'}", "{'smtp.relayhost':'[198.18.0.2]'}", "{}", "P06.circle", "mx1 -> mx2 -> mx1"},
    {"{'smtp.relayhost':'[198.18.0.3]'}", "{}", "{}", NULL, NULL},
    {"{'path.mode':'front','smtp.relayhost':'[198.18.0.3]'}", "{'path.mode':'front','smtp.relayhost':'[198.18.0.2]'}", "{}", "P06.circle", "mx1 -> mx2 -> mx1"},
    {"{'smtp.relayhost':'[mx2.example.test]'}", "{'smtp.relayhost':'[mx3.example.test]'}", "{'smtp.routes':{'a.test':{'next_hop':'[mx1.example.test]'}}}", "P06.circle", "mx1 -> mx2 -> mx3 -> mx1"},
    {"{'smtp.routes':{'a.test':{'next_hop':'[198.18.0.3]','subdomains':true}}}", "{'smtp.relayhost':'[198.18.0.2]','smtp.routes':{'a.test':{'next_hop':'[192.0.2.1]'}}}", "{}", "P06.circle", "mx1 -> mx2 -> mx1"},
    {"{'smtp.routes':{'a.test':{'next_hop':'[198.18.0.3]'}}}", "{'smtp.relayhost':'[198.18.0.2]','smtp.routes':{'a.test':{'next_hop':'[192.0.2.1]'}}}", "{}", NULL, NULL},
    {"{'smtp.relayhost':'[198.18.0.3]:2600'}", "{'smtp.relayhost':'[198.18.0.2]'}", "{}", NULL, NULL}, /* another program */
    {"{'smtp.relayhost':'mail.test'}", "{'smtp.relayhost':'[MX1.example.test]'}", "{}", "P06.circle", "mx1 -> mx2 -> mx1"}, /* by MX */
    {"{'smtp.relayhost':'mail.test:2600'}", "{'smtp.relayhost':'[198.18.0.2]'}", "{}", NULL, NULL},
    {"{'smtp.relayhost':'far.test'}", "{'smtp.relayhost':'[198.18.0.2]'}", "{}", NULL, NULL}, /* mx2 is its backup only */
    {"{'smtp.relayhost':'[203.0.113.2]'}", "{'smtp.relayhost':'[203.0.113.1]'}", "{}", "P06.circle", "mx1 -> mx2 -> mx1"}, /* through NAT */
    {"{'smtp.relayhost':'[alias.example.test]'}", "{'smtp.relayhost':'[192.0.2.1], [198.18.0.2]'}", "{}", "P06.circle", "mx1 -> mx2 -> mx1"},
};

static void test_fleet(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fleet_cases); i++) {
        const struct fleet_case *c = &fleet_cases[i];
        const char *layers[3] = {c->a, c->b, c->c};
        static const char *const names[3] = {"mx1", "mx2", "mx3"};
        struct made made[3];
        struct plan_member members[3];
        struct findings f = {0};

        for (size_t k = 0; k < 3; k++) {
            char facts[1024];
            (void)snprintf(facts, sizeof facts,
                           "{'hostname':'MX%zu.example.test','addresses':['198.18.0.%zu','127.0.0.1'],'proxy_addresses':['203.0.113.%zu'],"
                           "'names':{'alias.example.test':['198.18.0.3']},'mx':{'mail.test':[{'preference':5,'host':'x.test','addresses':['198.18.0.3']}],"
                           "'far.test':[{'preference':5,'host':'x.test','addresses':['192.0.2.9']},{'preference':6,'host':'mx2.example.test','addresses':[]}]}}",
                           k + 1, k + 2, k + 1);
            made[k] = make(layers[k], facts);
            members[k] = (struct plan_member){names[k], names[k], made[k].settings, &made[k].facts, NULL, 0};
        }
        plan_check_fleet(members, 3, &f);
        if (c->finding == NULL && f.n != 0)
            fail_msg("case %zu: %s", i, f.v[0].arg[1]);
        if (c->finding != NULL) {
            assert_int_not_equal(f.n, 0);
            assert_string_equal(finding_texts[f.v[0].id].id, c->finding);
            if (strstr(f.v[0].arg[1], "->") == NULL || strlen(f.v[0].arg[1]) != strlen(c->way))
                fail_msg("case %zu: %s", i, f.v[0].arg[1]);
        }
        findings_clear(&f);
        for (size_t k = 0; k < 3; k++)
            done(&made[k]);
    }
}

static void test_placement(void **state)
{
    static const char *const both[] = {"tokyo", "osaka"};
    struct plan_facts edge = {.placement = "edge"}, inner = {.placement = "inner"}, unknown = {0};
    struct plan_member m[] = {{"1", "mx1", NULL, &edge, both, 2}, {"2", "mx2", NULL, &unknown, both, 1}, {"3", "mx3", NULL, &inner, both + 1, 1}};
    struct findings f = {0};

    (void)state;
    plan_check_fleet(m, 2, &f);
    assert_int_equal(f.n, 0);
    plan_check_fleet(m, 3, &f);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.v[0].id, F_P11_MIXED);
    assert_string_equal(f.v[0].arg[0], "osaka");
    findings_clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auth), cmocka_unit_test(test_subject), cmocka_unit_test(test_subject_only_logs),
        cmocka_unit_test(test_direct), cmocka_unit_test(test_plain),    cmocka_unit_test(test_broken),
        cmocka_unit_test(test_front), cmocka_unit_test(test_front_defaults), cmocka_unit_test(test_verify_front),
        cmocka_unit_test(test_fine),   cmocka_unit_test(test_verify),   cmocka_unit_test(test_owned),
        cmocka_unit_test(test_fleet),  cmocka_unit_test(test_no_facts), cmocka_unit_test(test_placement), cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
