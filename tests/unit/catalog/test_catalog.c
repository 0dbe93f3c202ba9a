/* catalog.h: values, layers, merging, explaining. */
#include "catalog/catalog.h"
#include "catalog/ipnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static json_t *parse(const char *text)
{
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    if (j == NULL)
        fail_msg("the test's JSON does not parse: %s", text);
    return j;
}

struct value_case {
    const char *layer;   /* JSON, ' for " */
    const char *finding; /* NULL: accepted */
    const char *normal;  /* the layer afterwards; NULL: as it was */
};

static const struct value_case cases[] = {
    {"{'smtp.message_size_limit':65536}", NULL, NULL},
    {"{'smtp.message_size_limit':65535}", "V.range", NULL},
    {"{'smtp.message_size_limit':1073741825}", "V.range", NULL},
    {"{'smtp.message_size_limit':1e6}", "V.type", NULL},
    {"{'smtp.message_size_limit':'65536'}", "V.type", NULL},
    {"{'smtp.message_size_limit':{'a':1}}", "V.type", NULL},
    {"{'smtp.message_size_limit':{'$unset':true}}", NULL, NULL},
    {"{'smtp.message_size_limit':{'$unset':false}}", "V.type", NULL},
    {"{'smtp.message_size_limit':{'$unset':true,'x':1}}", "V.type", NULL},
    {"{'smtp.message_size_limit':null}", "V.type", NULL},
    {"{'smtp.no_such':1}", "V.unknown-key", NULL},
    {"{'smtp.banner_text':'Example mail'}", NULL, NULL},
    {"{'smtp.banner_text':'a\\nb'}", "V.control", NULL},
    {"{'smtp.banner_text':'a\\u007fb'}", "V.control", NULL},
    {"{'smtp.banner_text':'a\\u0085b'}", "V.control", NULL},
    {"{'smtp.banner_text':'$myorigin'}", "V.character", NULL},
    {"{'smtp.banner_text':'a | b'}", "V.character", NULL},
    {"{'smtp.banner_text':'{ a }'}", "V.character", NULL},
    {"{'smtp.banner_text':' a'}", "V.blanks", NULL},
    {"{'smtp.banner_text':'see hash:/etc/passwd'}", "V.lookup-type", NULL},
    {"{'smtp.banner_text':'PIPE:x'}", "V.lookup-type", NULL},
    {"{'smtp.banner_text':'\\u3042'}", "V.ascii", NULL},
    {"{'path.mode':'plain'}", NULL, NULL},
    {"{'path.mode':'Plain'}", "V.enum", NULL},
    {"{'smtp.relay_networks':{'198.18.0.0/15':{}}}", NULL, NULL},
    {"{'smtp.relay_networks':{'198.18.0.1/15':{}}}", "V.host-bits", NULL},
    {"{'smtp.relay_networks':{'192.168.2.0:255.255.255.0':{}}}", NULL, "{'smtp.relay_networks':{'192.168.2.0/24':{}}}"},
    {"{'smtp.relay_networks':{'192.168.2.0/255.255.0.255':{}}}", "V.cidr", NULL},
    {"{'smtp.relay_networks':{'192.0.2.1/32':{}}}", NULL, "{'smtp.relay_networks':{'192.0.2.1':{}}}"},
    {"{'smtp.relay_networks':{'2001:DB8:0::/32':{'note':'\\u3042'}}}", NULL, "{'smtp.relay_networks':{'2001:db8::/32':{'note':'\\u3042'}}}"},
    {"{'smtp.relay_networks':{'::ffff:192.0.2.1':{}}}", "V.mapped", NULL},
    {"{'smtp.relay_networks':{'192.0.2.1':{},'192.0.2.1/32':{}}}", "V.duplicate", NULL},
    {"{'smtp.relay_networks':{'192.0.2.0/33':{}}}", "V.cidr", NULL},
    {"{'smtp.relay_networks':{'192.0.2.0/024':{}}}", "V.cidr", NULL},
    {"{'smtp.relay_networks':{'fe80::1%eth0':{}}}", "V.cidr", NULL},
    {"{'smtp.relay_networks':{'192.0.2.1':{'$remove':true}}}", NULL, NULL},
    {"{'smtp.relay_networks':{'192.0.2.1':{'$remove':true,'note':''}}}", "V.marker", NULL},
    {"{'smtp.relay_networks':{'192.0.2.1':true}}", "V.type", NULL},
    {"{'smtp.relay_networks':{'192.0.2.1':{'note':'a\\nb'}}}", "V.control", NULL},
    {"{'smtp.relay_networks':{'$unset':true,'192.0.2.1':{}}}", "V.marker", NULL},
    {"{'smtp.relay_networks':['192.0.2.1']}", "V.type", NULL},
    {"{'smtp.relay_domains':{'Example.COM.':{'subdomains':true}}}", NULL, "{'smtp.relay_domains':{'example.com':{'subdomains':true}}}"},
    {"{'smtp.relay_domains':{'*.example.com':{}}}", "V.domain", NULL},
    {"{'smtp.relay_domains':{'-a.example':{}}}", "V.domain", NULL},
    {"{'smtp.relay_domains':{'a..example':{}}}", "V.domain", NULL},
    {"{'smtp.relay_domains':{'192.0.2.1':{}}}", "V.domain", NULL},
    {"{'smtp.relay_domains':{'\\u4f8b.jp':{}}}", "V.idna", NULL},
    {"{'smtp.relay_domains':{'allothers':{}}}", NULL, NULL}, /* F28: no reserved words */
    {"{'smtp.relay_domains':{'example.com':{'sub':true}}}", "V.unknown-member", NULL},
    {"{'smtp.relay_domains':{'example.com':{'subdomains':1}}}", "V.type", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':'[MX.example.com]:25'}}}", NULL, "{'smtp.routes':{'example.com':{'next_hop':'[mx.example.com]:25'}}}"},
    {"{'smtp.routes':{'example.com':{'next_hop':'192.0.2.1:2525,2001:db8::1'}}}", NULL, "{'smtp.routes':{'example.com':{'next_hop':'[192.0.2.1]:2525, [2001:db8::1]'}}}"},
    {"{'smtp.routes':{'example.com':{'next_hop':'[a'}}}", "V.next-hop", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':'a b'}}}", "V.next-hop", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':'a:0'}}}", "V.next-hop", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':'[a]25'}}}", "V.next-hop", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':'a:smtp'}}}", "V.next-hop", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':'smtp:[a]:25'}}}", "V.next-hop", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':''}}}", "V.next-hop", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':'a,b,c,d,e,f,g,h,i'}}}", "V.too-many-hops", NULL},
    {"{'smtp.routes':{'example.com':{'tls':'may'}}}", "V.missing", NULL},
    {"{'smtp.routes':{'example.com':{'next_hop':'a','tls':'dane'}}}", "V.enum", NULL},
    {"{'smtp.relayhost':''}", NULL, NULL},
    {"{'smtp.relayhost':'Smart.Example'}", NULL, "{'smtp.relayhost':'smart.example'}"},
    {"{'smtp.recipient_map':{'User@Example.com':{}}}", NULL, "{'smtp.recipient_map':{'user@example.com':{}}}"},
    {"{'smtp.recipient_map':{'@example.com':{}}}", NULL, NULL},
    {"{'smtp.recipient_map':{'a%b@example.com':{}}}", "V.mail", NULL},
    {"{'smtp.recipient_map':{'\\\"a b\\\"@example.com':{}}}", "V.mail", NULL},
    {"{'smtp.recipient_map':{'a@b@example.com':{}}}", "V.mail", NULL},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct value_case *c = &cases[i];
        AUTO_STR char *text = strdup(c->layer), *want = strdup(c->normal == NULL ? c->layer : c->normal);
        struct findings f = {0};

        for (char *p = text; *p != '\0'; p++)
            *p = *p == '\'' ? '"' : *p;
        for (char *p = want; *p != '\0'; p++)
            *p = *p == '\'' ? '"' : *p;
        AUTO(json_free) json_t *layer = parse(text);
        AUTO(json_free) json_t *normal = parse(want);
        catalog_check_layer(layer, LAYER_FLEET, "/settings", &f);
        if (c->finding == NULL) {
            if (f.errors != 0 || !json_equal(layer, normal))
                fail_msg("%s: %s", c->layer, f.n > 0 ? finding_texts[f.v[0].id].id : "not in its normal form");
        } else if (f.n == 0 || strcmp(finding_texts[f.v[0].id].id, c->finding) != 0) {
            fail_msg("%s: wanted %s, got %s", c->layer, c->finding, f.n == 0 ? "nothing" : finding_texts[f.v[0].id].id);
        } else {
            assert_memory_equal(f.v[0].pointer, "/settings/", 10);
        }
        findings_clear(&f);
    }
}

/* One layer {key: value}, where value is "a<c>b" as the value, a row's key or a row's member. */
static void refuse(const struct setting *s, const struct setting_field *fd, bool as_key, const char *bad)
{
    AUTO(json_free) json_t *layer = json_object();
    struct findings f = {0};
    json_t *row, *list;

    if (s->value.type != SET_LIST) {
        (void)json_object_set_new(layer, s->key, json_string(bad));
    } else {
        list = json_object();
        row = json_object();
        if (!as_key)
            (void)json_object_set_new(row, fd->name, json_string(bad));
        (void)json_object_set_new(list, as_key ? bad : "x", row);
        (void)json_object_set_new(layer, s->key, list);
    }
    catalog_check_layer(layer, LAYER_DEVICE, "/settings", &f);
    for (size_t i = 0; i < f.n; i++)
        assert_true(f.v[i].id != F_V_UNKNOWN_KEY && f.v[i].id != F_V_UNKNOWN_MEMBER);
    if (f.errors == 0)
        fail_msg("%s %s takes \"%s\"", s->key, fd->name == NULL ? "" : fd->name, bad);
    findings_clear(&f);
}

/* No control character passes anywhere; nothing with a meaning of its own in main.cf, master.cf or a table passes
 * where a daemon's file is written. */
static void test_every_byte(void **state)
{
    static const char *const injections[] = {"a$b", "${x}", "$(id)", "`id`", "a|b", "a\\b", "a\"b", "a<b", "a>b", "{ a }", "pipe:x", "hash:/x"};

    (void)state;
    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        for (size_t k = 0; k <= s->n_fields; k++) {
            const struct setting_field *fd = s->value.type != SET_LIST ? &s->value : k == 0 ? &s->key_field : &s->fields[k - 1];
            if (fd->type <= SET_PORT)
                continue; /* no text */
            for (unsigned c = 1; c < 0xa0; c = c == 0x1f ? 0x7f : c + 1) {
                char text[8] = {'a', (char)c, 'b', '\0'};
                if (c >= 0x80)
                    (void)snprintf(text, sizeof text, "a\xc2%cb", (char)c);
                refuse(s, fd, k == 0, text);
            }
            for (size_t n = 0; n < COUNT_OF(injections) && !fd->note; n++)
                refuse(s, fd, k == 0, injections[n]);
        }
    }
}

static void test_table(void **state)
{
    AUTO(json_free) json_t *defaults = catalog_defaults();
    const char *last = "";

    (void)state;
    assert_int_equal(json_object_size(defaults), catalog_count());
    assert_null(catalog_at(catalog_count()));
    assert_null(catalog_find("smtp."));
    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        struct findings f = {0};
        assert_true(strcmp(last, s->key) < 0);
        assert_ptr_equal(catalog_find(s->key), s);
        assert_int_not_equal(s->scope & LAYER_DEVICE, 0);
        last = s->key;
        catalog_check_value(s, json_object_get(defaults, s->key), "", &f); /* every default passes its own check */
        if (f.n != 0)
            fail_msg("%s: its default: %s", s->key, finding_texts[f.v[0].id].id);
        for (int lang = 0; lang < 2; lang++) {
            assert_true(s->label[lang][0] != '\0' && s->help[lang][0] != '\0');
            assert_true(s->value.type != SET_ENUM || s->enum_labels[lang] != NULL);
        }
    }
    for (int lang = 0; lang < 2; lang++) {
        AUTO(json_free) json_t *all = catalog_json((enum lang)lang);
        assert_int_equal(json_array_size(all), catalog_count());
    }
}

static void test_scope(void **state)
{
    AUTO(json_free) json_t *layer = parse("{\"smtp.listen_address\":\"192.0.2.1\"}");
    struct findings f = {0};

    (void)state;
    catalog_check_layer(layer, LAYER_DEVICE, "/settings", &f);
    assert_int_equal(f.errors, 0);
    catalog_check_layer(layer, LAYER_GROUP, "/changes/groups/tokyo", &f);
    assert_int_equal(f.errors, 1);
    assert_int_equal(f.v[0].id, F_V_SCOPE);
    assert_string_equal(f.v[0].pointer, "/changes/groups/tokyo/smtp.listen_address");
    findings_clear(&f);
}

static const char *const fleet = "{\"smtp.message_size_limit\":1000000,\"smtp.relay_domains\":{\"a.example\":{},"
                                 "\"b.example\":{\"subdomains\":true,\"note\":\"x\"}},\"smtp.relayhost\":\"one.example\"}";
static const char *const group = "{\"smtp.message_size_limit\":2000000,\"smtp.relay_domains\":{\"a.example\":{\"$remove\":true},"
                                 "\"c.example\":{},\"b.example\":{\"subdomains\":false}}}";
static const char *const device = "{\"smtp.message_size_limit\":{\"$unset\":true},\"smtp.relay_domains\":{\"a.example\":{\"note\":\"back\"}}}";

static void test_merge(void **state)
{
    AUTO(json_free) json_t *a = parse(fleet), *b = parse(group), *c = parse(device), *got = NULL;
    AUTO(json_free) json_t *want =
        parse("{\"a.example\":{\"note\":\"back\"},\"b.example\":{\"subdomains\":false,\"note\":\"x\"},\"c.example\":{}}");
    struct catalog_layer layers[] = {
        {LAYER_FLEET, "", "", a, 0}, {LAYER_GROUP, "g1", "tokyo", b, 0}, {LAYER_DEVICE, "d1", "mx1", c, 0}};
    struct err e = {0};

    (void)state;
    assert_int_equal(catalog_merge(layers, 3, &got, &e), ERR_OK);
    assert_int_equal(json_object_size(got), catalog_count());
    assert_int_equal(json_int(got, "smtp.message_size_limit", 0), 31457280);
    assert_string_equal(json_str(got, "smtp.relayhost", ""), "one.example");
    assert_true(json_equal(json_object_get(got, "smtp.relay_domains"), want));
    /* the layers themselves are as they were */
    AUTO(json_free) json_t *again = parse(fleet);
    assert_true(json_equal(a, again));
}

static void test_merge_empty(void **state)
{
    AUTO(json_free) json_t *got = NULL, *defaults = catalog_defaults();
    struct catalog_layer nothing = {LAYER_FLEET, "", "", NULL, 0};
    struct err e = {0};

    (void)state;
    assert_int_equal(catalog_merge(&nothing, 1, &got, &e), ERR_OK);
    assert_true(json_equal(got, defaults));
}

static void test_explain(void **state)
{
    AUTO(json_free) json_t *a = parse(fleet), *b = parse(group), *c = parse(device);
    struct catalog_layer layers[] = {
        {LAYER_FLEET, "", "", a, 0}, {LAYER_GROUP, "g1", "tokyo", b, 0}, {LAYER_DEVICE, "d1", "mx1", c, 0}};
    AUTO(json_free) json_t *size = catalog_explain(catalog_find("smtp.message_size_limit"), layers, 3);
    AUTO(json_free) json_t *host = catalog_explain(catalog_find("smtp.relayhost"), layers, 3);
    AUTO(json_free) json_t *list = catalog_explain(catalog_find("smtp.relay_domains"), layers, 3);
    json_t *rows;

    (void)state;
    assert_int_equal(json_array_size(size), 4);
    assert_string_equal(json_str(json_array_get(size, 0), "layer", ""), "builtin");
    assert_true(json_bool(json_array_get(size, 3), "wins", false));
    assert_false(json_bool(json_array_get(size, 1), "wins", true));
    assert_int_equal(json_array_size(host), 2);
    assert_true(json_bool(json_array_get(host, 1), "wins", false));
    assert_int_equal(json_array_size(list), 4);
    rows = json_object_get(json_array_get(list, 2), "rows"); /* the group */
    assert_true(json_bool(json_object_get(rows, "c.example"), "wins", false));
    assert_false(json_bool(json_object_get(rows, "a.example"), "wins", true));
    rows = json_object_get(json_array_get(list, 1), "rows"); /* the fleet */
    assert_false(json_bool(json_object_get(rows, "a.example"), "wins", true));
    assert_string_equal(json_str(json_array_get(list, 2), "name", ""), "tokyo");
}

static void test_conflicts(void **state)
{
    AUTO(json_free) json_t *a = parse("{\"smtp.relayhost\":\"a\",\"smtp.recipient_limit\":5,\"smtp.relay_domains\":{"
                                      "\"x.example\":{\"subdomains\":true},\"y.example\":{},\"z.example\":{\"note\":\"n\"}}}");
    AUTO(json_free) json_t *b = parse("{\"smtp.relayhost\":\"b\",\"smtp.recipient_limit\":5,\"smtp.relay_domains\":{"
                                      "\"x.example\":{\"subdomains\":false},\"y.example\":{\"$remove\":true},\"z.example\":{\"subdomains\":true}}}");
    struct catalog_layer la = {LAYER_GROUP, "1", "one", a, 0}, lb = {LAYER_GROUP, "2", "two", b, 0};
    struct findings f = {0};
    char text[256];

    (void)state;
    catalog_group_conflicts(&la, &la, &f);
    assert_int_equal(f.n, 0);
    catalog_group_conflicts(&la, &lb, &f);
    assert_int_equal(f.n, 3); /* relayhost, x.example, y.example; z.example's members do not meet */
    assert_string_equal(f.v[0].pointer, "/settings/smtp.relayhost");
    finding_message(&f.v[0], LANG_EN, text, sizeof text);
    assert_string_equal(text, "groups one and two have the same priority and set smtp.relayhost differently");
    findings_clear(&f);
}

static void test_ipnet(void **state)
{
    struct ipnet net, in;
    char text[IPNET_TEXT_MAX];

    (void)state;
    assert_int_equal(ipnet_parse(slice_of("0.0.0.0/0"), &net), IPNET_OK);
    assert_int_equal(ipnet_parse(slice_of("203.0.113.9"), &in), IPNET_OK);
    assert_true(ipnet_contains(&net, &in));
    assert_false(ipnet_contains(&in, &net));
    assert_int_equal(ipnet_parse(slice_of("2001:db8::/33"), &net), IPNET_OK);
    assert_false(ipnet_contains(&net, &in));
    assert_int_equal(ipnet_parse(slice_of("2001:db8:8000::1"), &in), IPNET_OK);
    assert_false(ipnet_contains(&net, &in));
    assert_int_equal(ipnet_parse(slice_of("2001:db8:8000::/32"), &net), IPNET_HOST_BITS);
    ipnet_format_prefix(&net, text);
    assert_string_equal(text, "2001:db8::/32");
    assert_int_equal(ipnet_address(slice_of("127.9.9.9"), &in), IPNET_OK);
    assert_true(ipnet_is_loopback(&in));
    assert_int_equal(ipnet_address(slice_of("::1"), &in), IPNET_OK);
    assert_true(ipnet_is_loopback(&in));
    assert_int_equal(ipnet_address(slice_of("1.2.3.04"), &in), IPNET_SYNTAX);
    assert_int_equal(ipnet_address(slice_of(""), &in), IPNET_SYNTAX);
    assert_int_equal(ipnet_parse(slice_of("/8"), &in), IPNET_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),  cmocka_unit_test(test_table),       cmocka_unit_test(test_scope),
        cmocka_unit_test(test_merge),   cmocka_unit_test(test_merge_empty), cmocka_unit_test(test_explain),
        cmocka_unit_test(test_conflicts), cmocka_unit_test(test_every_byte), cmocka_unit_test(test_ipnet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
