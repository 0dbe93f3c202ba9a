/* proc.h: other programs run with a deadline, bounded output and a clean environment. */
#include "proc/proc.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static void run(const char *script, struct slice input, int timeout_ms, struct proc_result *r)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL}; /* the test's own shell; the product has none */
    struct err e = {0};

    assert_int_equal(proc_run(argv, NULL, input, timeout_ms, r, &e), ERR_OK);
}

static void test_output_and_status(void **state)
{
    struct proc_result r = {0};

    (void)state;
    run("echo out; echo err >&2; printf 'a\\001b'; exit 3", slice_of(""), 5000, &r);
    assert_int_equal(r.status, 3);
    assert_false(r.timed_out);
    assert_non_null(strstr(r.output, "out\n"));
    assert_non_null(strstr(r.output, "err\n"));
    assert_non_null(strstr(r.output, "a?b"));
    proc_result_clear(&r);
    run("cat", slice_of("fed through stdin"), 5000, &r);
    assert_string_equal(r.output, "fed through stdin");
    proc_result_clear(&r);
    (void)setenv("INARI_PLANTED_SECRET", "x", 1);
    run("env", slice_of(""), 5000, &r);
    assert_null(strstr(r.output, "INARI_PLANTED_SECRET"));
    proc_result_clear(&r);
}

static void test_deadline(void **state)
{
    struct proc_result r = {0};
    int64_t start = clock_mono_ms();

    (void)state;
    run("sleep 30 & sleep 30", slice_of(""), 300, &r);
    assert_true(r.timed_out);
    assert_true(clock_mono_ms() - start < 3000);
    proc_result_clear(&r);
}

static void test_daemon_left_behind(void **state)
{
    struct proc_result r = {0};
    int64_t start = clock_mono_ms();

    (void)state; /* a start command whose daemon keeps the pipe open must not be waited for */
    run("echo started; sleep 5 &", slice_of(""), 4000, &r);
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.output, "started"));
    assert_true(clock_mono_ms() - start < 2000);
    proc_result_clear(&r);
}

static void test_endless_output(void **state)
{
    struct proc_result r = {0};

    (void)state;
    run("yes | head -c 1000000", slice_of(""), 5000, &r);
    assert_int_equal(r.status, 0);
    assert_int_equal(r.output_n, PROC_OUTPUT_MAX);
    proc_result_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_status),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_daemon_left_behind),
        cmocka_unit_test(test_endless_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
