/* Every event has a notification of its own in docs/mib/INARI-MIB.txt, under the number that is
 * sent. */
#include "domain/alert_kind.h"
#include "notify/notify.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char *mib;

/* "device-late" as "DeviceLate". */
static void camel(const char *word, struct strbuf *out)
{
    for (bool up = true; *word != '\0'; word++) {
        bool joint = *word == '-' || *word == '_';
        if (!joint)
            strbuf_putc(out, up && *word >= 'a' && *word <= 'z' ? *word - 'a' + 'A' : *word);
        up = joint;
    }
}

static void is_there(const char *prefix, const char *word, unsigned number)
{
    AUTO_STRBUF struct strbuf name = STRBUF_INIT(256);
    char end[64];
    const char *at, *stop;

    strbuf_printf(&name, "\n%s", prefix);
    camel(word, &name);
    strbuf_puts(&name, " NOTIFICATION-TYPE\n");
    (void)snprintf(end, sizeof end, "::= { inariNotifications %u }", number);
    at = strstr(mib, strbuf_str(&name));
    if (at == NULL)
        fail_msg("not in the MIB: %s", strbuf_str(&name));
    stop = strstr(at, "::=");
    assert_non_null(stop);
    if (strncmp(stop, end, strlen(end)) != 0)
        fail_msg("%s has another number than %u", strbuf_str(&name), number);
}

static void test_every_event_is_in_the_mib(void **state)
{
    (void)state;
    for (size_t i = 0; alert_kind_words[i] != NULL; i++) {
        const struct alert_param *p = &alert_kinds[i].param[0];
        bool condition = p->name != NULL && strcmp(p->name, "condition") == 0;
        if (p->name == NULL || p->words == NULL) {
            is_there("inari", alert_kind_words[i], alert_kind_trap(alert_kind_words[i], NULL));
            continue;
        }
        for (size_t k = 0; p->words[k] != NULL; k++) {
            AUTO(json_free) json_t *params = json_pack("{s:s}", p->name, p->words[k]);
            unsigned n = alert_kind_trap(alert_kind_words[i], params);
            assert_int_equal(n, alert_kinds[i].trap + 1 + k);
            is_there(condition ? "inariCondition" : "inariFigure", p->words[k], n);
        }
    }
    assert_int_equal(alert_kind_trap("nothing", NULL), 0);
}

static void test_roots(void **state)
{
    static const char *const good[] = {"1.3.6.1.4.1.8072.9999.9999.4627", "1.3.6.1.4.1.32473.1",
                                       "1.3.6.1.4294967295"};
    static const char *const bad[] = {
        "",
        "1.3.6.1",
        "1.3.6.1.",
        "1.3.6.1..4",
        ".1.3.6.1",
        "1.3.6.1.4.1.x",
        "1.3.6.1.4294967296",
        "2.25.1",
        "1.3.6.1.4.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(notify_trap_root_ok(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(notify_trap_root_ok(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_event_is_in_the_mib),
        cmocka_unit_test(test_roots),
    };
    struct err e = {0};
    size_t n = 0;
    int rc;

    if (file_read(INARI_MIB, 1024 * 1024, &mib, &n, &e) != ERR_OK)
        return 2;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(mib);
    return rc;
}
