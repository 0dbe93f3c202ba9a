#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "foxproxy/ini.h"

#define HEAD "[main]\nlisten = 192.0.2.1:25\nbackend = 127.0.0.1:2500\nhostname = mx.example.com\n"

static void whole(void **state)
{
    static const char text[] =
        "# made by a machine\n"
        "[main]\n"
        "digest = 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
        "listen = 0.0.0.0:25\n"
        "listen = [::]:25\n"
        "backend = 127.0.0.1:2500\n"
        "hostname = mx1.example.com\n"
        "max_sessions = 200\n"
        "connect_timeout_ms = 4000\n"
        "idle_timeout_s = 500\n"
        "language = ja\n"
        "\n"
        "[balancers]\n"
        "network = 192.0.2.0/28\n"
        "network = 2001:db8::/64\n"
        "[approved]\n"
        "mode = log\n"
        "[blocked]\n"
        "mode = on\n"
        "reply = 421 4.7.1 Not from there = never [see example.com]\r\n";
    struct ini_faults f;
    struct iplist_addr a;
    struct ini ini;
    struct err e = {0};

    (void)state;
    if (ini_parse(slice_of(text), &ini, &f, &e) != ERR_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(ini.listens, 2);
    assert_int_equal(ini.listen[1].port, 25);
    assert_int_equal(ini.backend.port, 2500);
    assert_string_equal(ini.hostname, "mx1.example.com");
    assert_int_equal(ini.max_sessions, 200);
    assert_int_equal(ini.connect_timeout_ms, 4000);
    assert_int_equal(ini.idle_timeout_s, 500);
    assert_int_equal(ini.language, LANG_JA);
    assert_int_equal(ini.approved, INI_LOG);
    assert_int_equal(ini.blocked, INI_ON);
    assert_int_equal(ini.blocked_reply.code, 421);
    assert_string_equal(ini.blocked_reply.status, "4.7.1");
    assert_string_equal(ini.blocked_reply.text, "Not from there = never [see example.com]");
    assert_true(addr_parse(slice_of("2001:db8::5"), &a) && ini_is_balancer(&ini, &a));
    assert_true(addr_parse(slice_of("192.0.2.16"), &a) && !ini_is_balancer(&ini, &a));
}

static void least(void **state)
{
    struct ini_faults f;
    struct ini ini;
    struct err e = {0};

    (void)state;
    assert_int_equal(ini_parse(slice_of(HEAD), &ini, &f, &e), ERR_OK);
    assert_int_equal(ini.approved, INI_OFF);
    assert_int_equal(ini.blocked, INI_OFF);
    assert_string_equal(ini.digest, "");
    assert_int_equal(ini.blocked_reply.code, 554);
}

static const struct rep_zone_conf *zone(const char *text, struct ini *ini, size_t i)
{
    struct ini_faults f;
    struct err e = {0};

    if (ini_parse(slice_of(text), ini, &f, &e) != ERR_OK)
        fail_msg("%s", e.msg);
    assert_true(ini->rep.zones > i);
    return &ini->rep.zone[i];
}

static void zones(void **state)
{
    static const char text[] = HEAD "[reputation]\nmode = on\nwait_ms = 900\nat = greeting\n"
                                    "resolver = 127.0.0.1:5353\nresolver = 2001:db8::1\n"
                                    "[zone ZEN.example.org]\ncodes = 127.0.0.2 127.0.0.10=defer\n"
                                    "profile = standard\naction = log\n"
                                    "[zone dyn.example.org]\nprofile = advanced\n"
                                    "[zone good.example.org]\nprofile = allow\naction = approve\n";
    const struct rep_zone_conf *z;
    struct ini ini;

    (void)state;
    z = zone(text, &ini, 0);
    assert_int_equal(ini.reputation, INI_ON);
    assert_int_equal(ini.rep.wait_ms, 900);
    assert_int_equal(ini.rep.resolvers, 2);
    assert_string_equal(ini.rep.resolver[1], "[2001:db8::1]:53");
    assert_int_equal(ini.rep.zones, 3);
    assert_string_equal(z->name, "zen.example.org");
    assert_int_equal(rep_codes_action(&z->codes, 0x7f000002),
                     REP_LOG); /* whatever the order of the keys */
    assert_int_equal(rep_codes_action(&z->codes, 0x7f00000a), REP_DEFER);
    assert_int_equal(rep_codes_action(&z->codes, 0x7f000003), REP_PASS);
    assert_int_equal(rep_codes_action(&ini.rep.zone[1].codes, 0x7f000003), REP_DEFER);
    assert_int_equal(rep_codes_action(&ini.rep.zone[2].codes, 0x7f000003), REP_APPROVE);
    (void)zone(HEAD "[reputation]\nmode = log\n[zone a.b]\nprofile = standard\n", &ini, 0);
    assert_int_equal(ini.reputation, INI_LOG);
}

/* Switched off, its zones are read (a fault in them is a fault) and nobody is asked. */
static void zones_switched_off(void **state)
{
    struct ini_faults f;
    struct ini ini;
    struct err e = {0};

    (void)state;
    assert_int_equal(ini_parse(slice_of(HEAD "[zone a.b]\nprofile = standard\n"), &ini, &f, &e),
                     ERR_OK);
    assert_int_equal(ini.rep.zones, 0);
}

static void faults(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *says; /* part of the message */
    } rows[] = {
        {"", 0, "[main] is missing"},
        {"listen = 192.0.2.1:25\n" HEAD, 1, "needs a [section]"},
        {"[main]\nlisten = 192.0.2.1:25\nhostname = a\n", 0, "\"backend\""},
        {"[main]\nbackend = 192.0.2.1:25\nhostname = a\n", 0, "\"listen\""},
        {HEAD "port = 25\n", 5, "no key \"port\""},
        {HEAD "backend = 127.0.0.1:2501\n", 5, "stands twice"},
        {HEAD "[main]\n", 5, "stands twice"},
        {HEAD "[profiler]\nmode = on\n", 5, "no section [profiler]"},
        {HEAD "what is this\n", 5, "key = value"},
        {HEAD "listen = 25\n", 5, "address with a port"},
        {HEAD "listen = 192.0.2.1:25\n", 5, "stands twice"},
        {HEAD "digest = 12\n", 5, "64 hexadecimal"},
        {HEAD "max_sessions = 0\n", 5, "from 1 to"},
        {HEAD "max_sessions = 5 # five\n", 5, "from 1 to"},
        {HEAD "idle_timeout_s = ten\n", 5, "from 10 to"},
        {HEAD "language = fr\n", 5, "en or ja"},
        {HEAD "[approved]\n", 0, "\"mode\""},
        {HEAD "[approved]\nmode = yes\n", 6, "on, log or off"},
        {HEAD "[blocked]\nmode = on\nreply = 550 5.7.1 no\n", 7, "554 or 421"},
        {HEAD "[blocked]\nmode = on\nreply = 554 4.7.1 no\n", 7, "status like 5.7.1"},
        {HEAD "[blocked]\nmode = on\nreply = 554 no\n", 7, "status like"},
        {HEAD "[blocked]\nmode = on\nreply = 554 5.7.1 \xe3\x81\x84\n", 7, "ASCII"},
        {HEAD "[reputation]\nwait_ms = 700\n", 0, "\"mode\""},
        {HEAD "[reputation]\nmode = on\nwait_ms = 10\n", 7, "from 50 to"},
        {HEAD "[reputation]\nmode = on\nat = rcpt\n", 7, "greeting"},
        {HEAD "[reputation]\nmode = on\nresolver = dns\n", 7, "a resolver is"},
        {HEAD "[zone a.b]\n", 0, "[zone] needs the key \"profile\""},
        {HEAD "[zone a.b]\n[zone c.d]\nprofile = allow\n", 6, "[zone] needs the key \"profile\""},
        {HEAD "[zone a.b]\nprofile = standard\nprofile = standard\n", 7, "stands twice"},
        {HEAD "[zone a.b]\nprofile = standard\n[zone A.b]\nprofile = standard\n", 7, "there twice"},
        {HEAD "[zone a_/b]\nprofile = standard\n", 5, "a zone is named"},
        {HEAD "[zone]\nprofile = standard\n", 5, "no section [zone]"},
        {HEAD "[zone a.b]\nprofile = basic\n", 6, "standard, advanced or allow"},
        {HEAD "[zone a.b]\nprofile = standard\naction = drop\n", 7,
         "reject, defer, log or approve"},
        {HEAD "[zone a.b]\nprofile = standard\ncodes = 127.0.0.2=x\n", 7, "reject, defer"},
        {HEAD "[balancers]\n", 0, "\"network\""},
        {HEAD "[balancers]\nnetwork = 0.0.0.0/0\n", 6, "everyone"},
        {HEAD "[balancers]\nnetwork = ::/0\n", 6, "everyone"},
        {HEAD "[balancers]\nnetwork = 192.0.2.1/24\n", 6, "behind the prefix"},
        {HEAD "# \x01\n", 5, "control characters"},
        {"[main]\nlisten = 0.0.0.0:25\nbackend = 127.0.0.1:25\nhostname = a\n", 0, "for ever"},
        {"[main]\nlisten = 127.0.0.1:25\nbackend = 127.0.0.1:25\nhostname = a\n", 0, "for ever"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ini_faults f;
        struct ini ini;
        struct err e = {0};
        if (ini_parse(slice_of(rows[i].text), &ini, &f, &e) != ERR_INVALID)
            fail_msg("row %zu was taken: %s", i, rows[i].text);
        if (f.n != 1 || f.v[0].line != rows[i].line || strstr(f.v[0].e.msg, rows[i].says) == NULL)
            fail_msg("row %zu: %zu faults, line %u: %s", i, f.n, f.v[0].line, f.v[0].e.msg);
    }
}

/* All faults are said at once, and no more than there is room for. */
static void many_faults(void **state)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(64 * KIB);
    struct ini_faults f;
    struct ini ini;
    struct err e = {0};

    (void)state;
    strbuf_puts(&text, HEAD);
    for (int i = 0; i < 200; i++)
        strbuf_puts(&text, "nothing\n");
    assert_int_equal(ini_parse(strbuf_slice(&text), &ini, &f, &e), ERR_INVALID);
    assert_int_equal(f.n, INI_FAULTS_MAX);
    assert_int_equal(f.v[1].line, 6);
    assert_non_null(strstr(e.msg, "line 5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),  cmocka_unit_test(least),
        cmocka_unit_test(zones),  cmocka_unit_test(zones_switched_off),
        cmocka_unit_test(faults), cmocka_unit_test(many_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
