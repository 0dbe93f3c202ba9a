/* plan.h: what a plan holds, and a configuration for every invariant that breaks it. */
#include "plan/plan_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const own_facts =
    "{'device_id':'0199d000-0000-7000-8000-000000000001','hostname':'mx1.example.test','placement':"
    "'edge',"
    "'postfix':'3.7.11','addresses':['198.18.0.2','2001:db8::2','127.0.0.1','::1'],"
    "'map_types':['cidr','texthash','hash'],'listeners':[{'address':'0.0.0.0','port':25,'owner':'"
    "postfix'},"
    "{'address':'0.0.0.0','port':22,'owner':'sshd'},{'address':'127.0.0.1','port':10025,'owner':'"
    "scand'}],"
    "'names':{'self.example.test':['198.18.0.2'],'inside.example.test':['198.18.0.9']},"
    "'files':[{'path':'/etc/"
    "a.pem','readable':true,'is_cert':true,'is_key':false,'key_matches':false},"
    "{'path':'/etc/a.key','readable':true,'is_cert':false,'is_key':true,'key_matches':true},"
    "{'path':'/etc/b.key','readable':true,'is_cert':false,'is_key':true,'key_matches':false},"
    "{'path':'/etc/gone.pem','readable':false}]}";

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
    struct catalog_layer l = {LAYER_DEVICE, "d", "d", layer};
    struct err e = {0};

    assert_non_null(m.a);
    m.facts_json = parse(facts_text == NULL ? own_facts : facts_text);
    assert_int_equal(catalog_merge(&l, 1, &m.settings, &e), ERR_OK);
    assert_int_equal(plan_facts_from_json(m.facts_json, m.a, &m.facts, &e), ERR_OK);
    m.facts.device_id = json_str(m.facts_json, "device_id", NULL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
