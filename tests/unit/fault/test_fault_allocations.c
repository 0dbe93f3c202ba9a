/* Out of memory at every allocation of our code, once and for good: an error, or the very result of
 * a run with memory; never a crash, a leak, or a result with something missing. */
#include "fault.h"

#include "../agent/cf_check.h"

#include "apply/journal.h"
#include "base/file.h"
#include "common/frame.h"
#include "iplist/iplist.h"
#include "loop/bundle.h"
#include "loop/memory.h"
#include "plan/plan.h"
#include "base/clock.h"
#include "reputation/reputation.h"
#include "spool/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLEET  "019ab000-0000-7000-8000-000000000001"
#define DEVICE "019ab000-0000-7000-8000-0000000000aa"
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char *dir;
static struct jose_key *key;
static struct trust *trust;
static char *bundle_text, *trust_text;
static long injected;

static const char layer_text[] =
    "{\"smtp.hostname\":\"mx.example.test\",\"smtp.message_size_limit\":20000000,\"smtp.banner_"
    "text\":\"Hello\","
    "\"smtp.relay_domains\":{\"example.test\":{\"subdomains\":true},\"b.example\":{\"note\":\"b\"}}"
    ","
    "\"smtp.relay_networks\":{\"198.18.7.0/24\":{},\"10.0.0.0/8\":{\"note\":\"inside\"}},"
    "\"smtp.routes\":{\"example.test\":{\"next_hop\":\"[198.18.0.9]:2525\",\"tls\":\"encrypt\"}},"
    "\"smtp.recipient_map\":{\"joe@example.test\":{},\"1@b.test\":{},\"@b.test\":{}}}";
static const char front_text[] =
    "{\"path.mode\":\"front\",\"smtp.relay_networks\":{\"198.18.7.0/24\":{}},"
    "\"sender_filter.blocked_text\":\"ask help@example.test\",\"sender_filter.reputation\":\"on\","
    "\"sender_filter.zones\":{\"z.test\":{\"codes\":\"127.0.0.2 "
    "127.0.0.10=defer\"},\"w.test\":{\"profile\":\"allow\"}},"
    "\"sender_filter.resolvers\":{\"192.0.2.53\":{}},\"sender_filter.balancers\":{\"192.0.2.0/"
    "28\":{}}}";
static const char facts_text[] =
    "{\"device_id\":\"" DEVICE "\",\"hostname\":\"mx.example.test\",\"placement\":\"edge\","
                               "\"postfix\":\"3.7.11\",\"foxproxy\":\"0.1.0\","
    "\"addresses\":[\"198.18.0.2\",\"127.0.0.1\"],\"map_types\":[\"cidr\",\"texthash\",\"hash\"],"
    "\"listeners\":[{\"address\":\"0.0.0.0\",\"port\":25,\"owner\":\"postfix\"}],"
    "\"mx\":{\"example.test\":[{\"preference\":10,\"host\":\"mx.example.test\",\"addresses\":["
    "\"198.18.0.2\"]}]}}";
static const char main_cf[] = "# by hand\nmyhostname = mx\nmynetworks = 10.0.0.0/8,\n  "
                              "127.0.0.0/8\nrelayhost = a\nown = kept\n";
static const char master_cf[] = "smtp inet n - y - - smtpd\n  -o a=b\ncleanup unix n - y - 0 "
                                "cleanup\n127.0.0.1:10029 inet n - n - 1 smtpd\n";

/* What a run gives, as text; NULL and *ret_rc when it failed. */
typedef char *run_fn(enum err_code *ret_rc);

static char *text_of(json_t *j, enum err_code *ret_rc)
{
    char *text = j == NULL ? NULL : json_canonical(j);

    json_decref(j);
    if (text == NULL)
        *ret_rc = ERR_NO_MEMORY;
    return text;
}

static char *plan_of(const char *settings, enum err_code *ret_rc)
{
    AUTO(json_free) json_t *layer = NULL, *facts_json = NULL, *all = NULL;
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    struct catalog_layer l = {LAYER_DEVICE, "d", "d", NULL, 0};
    struct plan_facts facts;
    struct findings f = {0};
    struct plan *p = NULL;
    struct err e = {0};
    char *text = NULL;

    *ret_rc = a == NULL ? ERR_NO_MEMORY : json_in_parse(slice_of(settings), MIB, &layer, &e);
    if (*ret_rc == ERR_OK) {
        catalog_check_layer(layer, LAYER_DEVICE, "/settings", &f);
        *ret_rc = f.errors > 0 ? ERR_NO_MEMORY : ERR_OK; /* it is a good one */
    }
    l.settings = layer;
    if (*ret_rc == ERR_OK)
        *ret_rc = catalog_merge(&l, 1, &all, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = json_in_parse(slice_of(facts_text), MIB, &facts_json, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = plan_facts_from_json(facts_json, a, &facts, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = plan_make(all, &facts, DIGEST, a, &p, &f, &e);
    if (*ret_rc == ERR_OK && p == NULL)
        *ret_rc = ERR_NO_MEMORY;
    if (*ret_rc == ERR_OK)
        text = text_of(plan_to_json(p), ret_rc);
    findings_clear(&f);
    return text;
}

static char *run_plan(enum err_code *ret_rc)
{
    return plan_of(layer_text, ret_rc);
}

static char *run_front(enum err_code *ret_rc)
{
    return plan_of(front_text, ret_rc);
}

static char *run_explain(enum err_code *ret_rc)
{
    AUTO(json_free) json_t *layer = NULL;
    struct catalog_layer l = {LAYER_FLEET, "", "", NULL, 0};
    struct err e = {0};

    *ret_rc = json_in_parse(slice_of(layer_text), MIB, &layer, &e);
    l.settings = layer;
    return *ret_rc == ERR_OK
               ? text_of(catalog_explain(catalog_find("smtp.relay_domains"), &l, 1), ret_rc)
               : NULL;
}

static char *run_jws(enum err_code *ret_rc)
{
    AUTO_STR char *jws = NULL, *text = NULL;
    struct jose_jws j = {0};
    struct err e = {0};

    *ret_rc = jose_jws_sign(key, "t+jws", slice_of(layer_text), false, &jws, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = jose_jws_parse(slice_of(jws), MIB, "t+jws", &j, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = jose_jws_verify(&j, key, &e);
    if (*ret_rc == ERR_OK && (text = strdup(j.payload)) == NULL)
        *ret_rc = ERR_NO_MEMORY;
    jose_jws_clear(&j);
    return TAKE(text);
}

/* What a device is signed in with: it is told that memory is short, not that the parent is broken.
 */
static char *run_token(enum err_code *ret_rc)
{
    static const char secret[] = "0123456789abcdef0123456789abcdef";
    AUTO(json_free) json_t *claims = json_pack("{s:s,s:i}", "sub", DEVICE, "gen", 1);
    char *text = NULL;
    struct err e = {0};

    if (claims == NULL) {
        *ret_rc = ERR_NO_MEMORY;
        return NULL;
    }
    *ret_rc = jose_hs256_sign(slice_of(secret), "t-1", "at+jwt", claims, &text, &e);
    if (*ret_rc != ERR_OK && *ret_rc != ERR_NO_MEMORY)
        *ret_rc = ERR_OK; /* with no text: what the callers take for a fault */
    return text;
}

static char *run_jwe(enum err_code *ret_rc)
{
    AUTO_STR char *jwe = NULL;
    char *text = NULL;
    struct err e = {0};
    size_t n;

    *ret_rc = jose_jwe_encrypt(key, slice_of(layer_text), &jwe, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = jose_jwe_decrypt(key, slice_of(jwe), &text, &n, &e);
    return text;
}

static char *run_keys(enum err_code *ret_rc)
{
    AUTO(jose_key_free) struct jose_key *again = NULL, *pub = NULL;
    AUTO(json_free) json_t *jwk = jose_key_to_jwk(key);
    AUTO_STR char *pem = NULL;
    struct err e = {0};
    char *text = NULL;

    *ret_rc = jwk == NULL ? ERR_NO_MEMORY : jose_key_to_pem(key, &pem, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = jose_key_from_pem(slice_of(pem), &again, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = jose_key_from_jwk(jwk, &pub, &e);
    if (*ret_rc == ERR_INVALID) { /* of whoever sent it, it is said to be a bad key */
        *ret_rc = ERR_OK;
        return NULL;
    }
    if (*ret_rc == ERR_OK && asprintf(&text, "%s %s", jose_key_kid(again), jose_key_kid(pub)) < 0) {
        *ret_rc = ERR_NO_MEMORY;
        return NULL;
    }
    return text;
}

static char *run_trust(enum err_code *ret_rc)
{
    struct trust *t = NULL;
    struct err e = {0};
    char *text = NULL;

    *ret_rc = trust_first(slice_of(trust_text), FLEET, &t, &e);
    if (*ret_rc == ERR_OK && (text = strdup(trust_issuer(t))) == NULL)
        *ret_rc = ERR_NO_MEMORY;
    trust_free(t);
    return text;
}

static char *run_bundle(enum err_code *ret_rc)
{
    struct bundle_known k = {
        .trust = trust, .fleet = FLEET, .device = DEVICE, .now_ms = 1, .etag = ""};
    struct bundle b = {0};
    struct err e = {0};
    char *text = NULL;

    *ret_rc =
        bundle_verify(slice_of(bundle_text), &k, &b, &e) == BUNDLE_OK ? ERR_OK : ERR_NO_MEMORY;
    if (*ret_rc == ERR_OK)
        text = text_of(json_pack("{s:s,s:O}", "digest", b.digest, "settings", b.settings), ret_rc);
    bundle_clear(&b);
    return text;
}

static char *run_edit(enum err_code *ret_rc)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(MIB);
    struct err e = {0};
    char *text = NULL;

    *ret_rc = ERR_OK;
    for (unsigned i = 0; i < 3 && *ret_rc == ERR_OK; i++) {
        *ret_rc = main_cf_edit(slice_of(main_cf), cf_check_plan(i), &b, &e);
        if (*ret_rc == ERR_OK)
            *ret_rc = master_cf_edit(slice_of(master_cf), cf_check_plan(i), &b, &e);
    }
    if (*ret_rc == ERR_OK && (!strbuf_ok(&b) || (text = strdup(strbuf_str(&b))) == NULL))
        *ret_rc = ERR_NO_MEMORY;
    return text;
}

static void one_difference(void *ctx, const char *file, const char *item, const char *expected,
                           const char *found)
{
    strbuf_printf(ctx, "%s %s %s %s\n", file, item, expected == NULL ? "-" : expected,
                  found == NULL ? "-" : found);
}

static char *run_differences(enum err_code *ret_rc)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(MIB);
    struct err e = {0};
    char *text = NULL;

    *ret_rc = main_cf_diff(slice_of(main_cf), cf_check_plan(0), one_difference, &b, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = master_cf_diff(slice_of(master_cf), cf_check_plan(0), one_difference, &b, &e);
    if (*ret_rc == ERR_OK && (!strbuf_ok(&b) || (text = strdup(strbuf_str(&b))) == NULL))
        *ret_rc = ERR_NO_MEMORY;
    return text;
}

static char *run_rendition(enum err_code *ret_rc)
{
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    struct rendition r = {.digest = DIGEST,
                          .device_id = DEVICE,
                          .rev = 7,
                          .plan = cf_check_plan(0)},
                     again;
    struct err e = {0};

    *ret_rc = a == NULL ? ERR_NO_MEMORY : rendition_save(dir, &r, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = rendition_load(dir, a, &again, &e);
    return *ret_rc == ERR_OK ? text_of(rendition_to_json(&again), ret_rc) : NULL;
}

static char *run_memory(enum err_code *ret_rc)
{
    struct memory m = {0}, again = {0};
    struct err e = {0};
    char *text = NULL;

    *ret_rc = memory_load(dir, &m, &e);
    if (*ret_rc != ERR_OK)
        return NULL;
    json_object_clear(m.failed);
    m.rev = 7;
    json_decref(m.last_attempt);
    m.last_attempt = json_pack("{s:s}", "result", "committed");
    *ret_rc = m.last_attempt == NULL ? ERR_NO_MEMORY : memory_save(&m, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = memory_load(dir, &again, &e);
    if (*ret_rc == ERR_OK)
        text = text_of(json_pack("{s:I,s:O,s:O}", "rev", (json_int_t)again.rev, "failed",
                                 again.failed, "last", again.last_attempt),
                       ret_rc);
    memory_clear(&m);
    memory_clear(&again);
    return text;
}

static char *run_journal(enum err_code *ret_rc)
{
    struct journal j = {.fd = -1};
    struct err e = {0};
    char *text = NULL;

    *ret_rc = journal_open(&j, dir, &e);
    if (*ret_rc == ERR_OK) {
        j.s.n_lkg = 3;
        for (size_t i = 0; i < 3; i++) {
            (void)snprintf(j.s.lkg[i].digest, DIGEST_SIZE, "%s", DIGEST);
            j.s.lkg[i].rev = (int64_t)i;
        }
        *ret_rc = journal_phase(&j, PHASE_PROBING, &e);
    }
    journal_close(&j);
    if (*ret_rc == ERR_OK)
        *ret_rc = journal_open(&j, dir, &e);
    if (*ret_rc == ERR_OK && asprintf(&text, "%s %zu", phase_word(j.s.phase), j.s.n_lkg) < 0) {
        text = NULL;
        *ret_rc = ERR_NO_MEMORY;
    }
    journal_close(&j);
    return text;
}

static char *run_frame(enum err_code *ret_rc)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(MIB);
    AUTO(json_free) json_t *in = NULL;
    struct err e = {0};
    json_t *out = NULL;
    size_t used = 0;

    *ret_rc = json_in_parse(slice_of(layer_text), MIB, &in, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = frame_encode(in, &b, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = frame_decode(strbuf_slice(&b), &used, &out, &e);
    return *ret_rc == ERR_OK ? text_of(out, ret_rc) : NULL;
}

static bool add_record(void *ctx, uint64_t seq, struct slice payload)
{
    strbuf_printf(ctx, "%d ", (int)seq);
    strbuf_add(ctx, payload);
    return strbuf_ok(ctx);
}

static char *run_spool(enum err_code *ret_rc)
{
    AUTO(spool_writer_close) struct spool_writer *w = NULL;
    AUTO(spool_reader_close) struct spool_reader *r = NULL;
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(MIB);
    struct spool_batch batch = {0};
    struct err e = {0};

    *ret_rc = spool_writer_open(dir, &(struct spool_limits){.keep_free = 1}, &w, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = spool_append(w, slice_of("{}"), &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = spool_sync(w, slice_of("mark"), &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = spool_reader_open(dir, &r, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = spool_next(r, 0, 100, MIB, add_record, &b, &batch, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = batch.n == 1 ? spool_ack(r, 1, 1, &e) : ERR_NO_MEMORY;
    return *ret_rc == ERR_OK ? strbuf_take(&b) : NULL;
}

/* A list built, written, mapped and searched: the id that was found. */
static char *run_iplist(enum err_code *ret_rc)
{
    static const struct iplist_row rows[] = {{{{[10] = 0xff, [11] = 0xff, 10}}, 104, 0, 7},
                                             {{{[0] = 0x20, [1] = 0x01}}, 16, 0, 8}};
    AUTO(iplist_close) struct iplist *l = NULL;
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(MIB);
    AUTO_STR char *file = NULL;
    char path[256];
    struct iplist_row found = {0};
    struct err e = {0};
    size_t n = 0;

    (void)snprintf(path, sizeof path, "%s/iplist", dir);
    *ret_rc = iplist_build(rows, COUNT_OF(rows), &file, &n, NULL, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = file_write_atomic(path, (struct slice){file, n}, 0600, &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = iplist_open(path, &l, &e);
    if (*ret_rc != ERR_OK)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        (void)iplist_find(l, &rows[i].net, 0, &found);
        strbuf_printf(&b, "%d ", (int)found.id);
    }
    *ret_rc = strbuf_check(&b, &e);
    return *ret_rc == ERR_OK ? strbuf_take(&b) : NULL;
}

static void told(void *user, const struct reputation_verdict *v)
{
    *(int *)user = (int)v->action;
}

/* Two zones, a resolver that is not there: the address passes, and what was asked is given back. */
static char *run_reputation(enum err_code *ret_rc)
{
    static const uint8_t addr[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    AUTO(reputation_free) struct reputation *r = reputation_new();
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(MIB);
    struct reputation_loop *l = NULL;
    struct reputation_ask *ask;
    struct reputation_verdict v;
    struct reputation_conf c;
    struct err e = {0};
    int action = -1;

    reputation_conf_init(&c);
    c.wait_ms = 200;
    c.zones = 2;
    *ret_rc = r == NULL ? ERR_NO_MEMORY
                        : reputation_conf_resolver(slice_of("127.0.0.1:9"),
                                                   c.resolver[c.resolvers++], &e);
    for (size_t i = 0; i < c.zones && *ret_rc == ERR_OK; i++) {
        (void)snprintf(c.zone[i].name, sizeof c.zone[i].name, "zone%zu.test", i);
        *ret_rc = reputation_conf_codes(slice_of(""), REP_REJECT, &c.zone[i].codes, &e);
    }
    if (*ret_rc == ERR_OK)
        *ret_rc = reputation_configure(r, &c, clock_mono_ms(), &e);
    if (*ret_rc == ERR_OK)
        *ret_rc = reputation_loop_new(r, &l, &e);
    if (*ret_rc != ERR_OK)
        return NULL;
    if (reputation_ask(l, addr, clock_mono_ms(), told, &action, &v, &ask))
        action = (int)v.action;
    for (int64_t end = clock_mono_ms() + 5000; action < 0 && clock_mono_ms() < end;) {
        struct pollfd p = {reputation_loop_fd(l), POLLIN, 0};
        (void)poll(&p, 1, reputation_loop_timeout_ms(l, clock_mono_ms()));
        reputation_loop_run(l, clock_mono_ms());
    }
    reputation_loop_free(l);
    strbuf_printf(&b, "%d", action);
    *ret_rc = strbuf_check(&b, &e);
    return *ret_rc == ERR_OK ? strbuf_take(&b) : NULL;
}

static const struct {
    const char *name;
    run_fn *run;
} runs[] = {
    {"plan", run_plan},
    {"front", run_front},
    {"explain", run_explain},
    {"jws", run_jws},
    {"token", run_token},
    {"jwe", run_jwe},
    {"keys", run_keys},
    {"trust", run_trust},
    {"bundle", run_bundle},
    {"edit", run_edit},
    {"differences", run_differences},
    {"memory", run_memory},
    {"journal", run_journal},
    {"rendition", run_rendition},
    {"frame", run_frame},
    {"spool", run_spool},
    {"iplist", run_iplist},
    {"reputation", run_reputation},
};

/* The n-th allocation fails; false: there are not so many. */
static bool fail_once(size_t i, const char *expected, struct fault f)
{
    size_t memory = fault_live(), descriptors = fault_descriptors();
    enum err_code rc = ERR_OK;
    char *text;
    long seen;

    fault_arm(f);
    text = runs[i].run(&rc);
    seen = fault_disarm();
    injected += fault_hits();
    if (rc == ERR_OK && (text == NULL || strcmp(text, expected) != 0))
        fail_msg(
            "%s: without allocation %ld (%s) it says all is well, and gives\n%s\ninstead of\n%s",
            runs[i].name, f.at, fault_where(), text == NULL ? "nothing" : text, expected);
    free(text);
    if (fault_live() != memory || fault_descriptors() != descriptors)
        fail_msg("%s: without allocation %ld (%s): %zu blocks, %zu descriptors lost", runs[i].name,
                 f.at, fault_where(), fault_live() - memory, fault_descriptors() - descriptors);
    return seen >= f.at;
}

static void every_allocation_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        enum err_code rc = ERR_OK;
        AUTO_STR char *expected = runs[i].run(&rc);
        long before = injected;
        if (expected == NULL)
            fail_msg("%s fails with all the memory there is (%s)", runs[i].name, err_word(rc));
        for (int lasting = 0; lasting < 2; lasting++) {
            struct fault f = {
                .mode = FAULT_FAIL, .kind = FAULT_ALLOC, .at = 1, .lasting = lasting != 0};
            while (fail_once(i, expected, f))
                f.at++;
            assert_true(f.at > 3);
        }
        (void)printf("%s: %ld\n", runs[i].name, injected - before);
    }
    fault_report("allocation", injected);
}

static char *sign(const char *typ, json_t *doc)
{
    AUTO_STR char *text = json_canonical(doc);
    char *jws = NULL;

    json_decref(doc);
    assert_int_equal(jose_jws_sign(key, typ, slice_of(text), false, &jws, NULL), ERR_OK);
    return jws;
}

static int setup(void **state)
{
    json_t *sections = json_pack("{s:{s:i,s:{s:i},s:[],s:{}}}", "postfix", "schema", 1, "settings",
                                 "smtp.message_size_limit", 1000000, "blobs", "sealed");
    char digest[PROTO_DIGEST_SIZE];

    (void)state;
    key = jose_key_new();
    if ((dir = fault_folder()) == NULL || key == NULL || !proto_content_digest(sections, digest))
        return -1;
    trust_text =
        sign(PROTO_TYP_TRUST,
             json_pack("{s:i,s:s,s:i,s:o,s:[{s:s,s:o}],s:[s],s:s,s:[s]}", "n", 1, "fleet", FLEET,
                       "epoch", 1, "root", jose_key_to_jwk(key), "keys", "use", "bundle", "jwk",
                       jose_key_to_jwk(key), "tls_pins", "x", "issuer",
                       "https://parent.example:8445", "addresses", "https://parent.example:8445"));
    bundle_text = sign(PROTO_TYP_BUNDLE,
                       json_pack("{s:s,s:s,s:i,s:i,s:i,s:s,s:s,s:s,s:s,s:[],s:o}", "fleet", FLEET,
                                 "device", DEVICE, "epoch", 1, "rev", 7, "pub", 3, "content_digest",
                                 digest, "jti", "offer-1", "mode", "manage", "min_agent", "0.1.0",
                                 "crit", "sections", sections));
    return trust_first(slice_of(trust_text), FLEET, &trust, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    trust_free(trust);
    jose_key_free(key);
    free(trust_text);
    free(bundle_text);
    return file_remove_tree(dir, NULL) == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails)};

    fault_begin();
    return cmocka_run_group_tests(tests, setup, teardown);
}
