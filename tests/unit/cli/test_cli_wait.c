/* wait.h: "running" is said only when desired, on disk and running agree. */
#include "../../../cli/wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#define AA "\"aaaa\""
#define DEVICE(state, mode, disk, run, rest)                                                       \
    "{\"id\":\"1\",\"name\":\"mx1\",\"state\":\"" state "\",\"mode\":\"" mode                      \
    "\",\"presence\":\"online\",\"desired\":{\"rev\":7,\"digest\":" AA                             \
    "},\"on_disk\":{\"digest\":" disk "},\"running\":{\"digest\":" run "}" rest "}"

static void test_verdicts(void **state)
{
    static const struct {
        const char *name, *device;
        int64_t rev;
        bool fetched;
        enum wait_verdict want;
    } rows[] = {
        {"runs", DEVICE("managed", "manage", AA, AA, ""), 7, false, WAIT_IS_DONE},
        {"a later revision runs", DEVICE("managed", "manage", AA, AA, ""), 5, false, WAIT_IS_DONE},
        {"no bundle yet", DEVICE("managed", "manage", AA, AA, ""), 8, false, WAIT_PENDING},
        {"on disk only", DEVICE("managed", "manage", AA, "\"bbbb\"", ""), 7, false, WAIT_PENDING},
        {"on disk is fetched", DEVICE("managed", "manage", AA, "\"bbbb\"", ""), 7, true,
         WAIT_IS_DONE},
        {"runs but is not on disk", DEVICE("managed", "manage", "\"bbbb\"", AA, ""), 7, false,
         WAIT_PENDING},
        {"nothing known", DEVICE("managed", "manage", "null", "null", ""), 7, false, WAIT_PENDING},
        {"observed", DEVICE("observing", "observe", "null", "null", ""), 7, false,
         WAIT_NOT_TARGETED},
        {"held", DEVICE("held", "manage", "null", "null", ""), 7, false, WAIT_FAILED},
        {"revoked", DEVICE("revoked", "manage", AA, AA, ""), 7, false, WAIT_FAILED},
        {"rejected",
         DEVICE("managed", "manage", "\"bbbb\"", "\"bbbb\"",
                ",\"last_attempt\":{\"digest\":" AA
                ",\"result\":\"rejected\",\"problem\":{\"detail\":\"no\"}}"),
         7, false, WAIT_FAILED},
        {"another digest was rejected",
         DEVICE("managed", "manage", "\"bbbb\"", "\"bbbb\"",
                ",\"last_attempt\":{\"digest\":\"cccc\",\"result\":\"rejected\"}"),
         7, false, WAIT_PENDING},
        {"interrupted is tried again",
         DEVICE("managed", "manage", "\"bbbb\"", "\"bbbb\"",
                ",\"last_attempt\":{\"digest\":" AA ",\"result\":\"interrupted\"}"),
         7, false, WAIT_PENDING},
        {"running by daemon",
         "{\"state\":\"managed\",\"mode\":\"manage\",\"desired\":{\"rev\":7,\"digest\":" AA
         "},\"on_disk\":{\"digest\":" AA "},\"running\":{\"postfix\":{\"digest\":" AA "}}}",
         7, false, WAIT_IS_DONE},
        {"the daemon is down",
         "{\"state\":\"managed\",\"mode\":\"manage\",\"desired\":{\"rev\":7,\"digest\":" AA
         "},\"on_disk\":{\"digest\":" AA
         "},\"running\":{\"postfix\":{\"state\":\"stopped\",\"digest\":" AA "}}}",
         7, false, WAIT_PENDING},
        {"no digest at all", "{\"state\":\"managed\",\"mode\":\"manage\",\"desired\":{\"rev\":7}}",
         7, false, WAIT_PENDING},
    };
    static const struct cli c = {.lang = LANG_EN};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(json_free) json_t *d = json_loads(rows[i].device, 0, NULL);
        AUTO_STRBUF struct strbuf why = STRBUF_INIT(8 * KIB);
        print_message("%s\n", rows[i].name);
        assert_non_null(d);
        assert_int_equal(wait_judge(&c, d, rows[i].rev, rows[i].fetched, &why), rows[i].want);
        assert_int_equal(why.n > 0, rows[i].want != WAIT_IS_DONE);
    }
    AUTO_STRBUF struct strbuf why = STRBUF_INIT(8 * KIB);
    assert_int_equal(wait_judge(&c, NULL, 1, false, &why), WAIT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
