/* SIGKILL and power cuts at every call on files of everything a device keeps: what was acknowledged
 * is found again, whole; or the step after it; never a mixture, never nothing. */
#include "fault.h"
#include "keeping.h"
#include "power.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *base;
static char dir[64], keep[64];
static long kills, cuts;
static int
    stride; /* 1 with INARI_FAULTS, as in tests/run --faults: every call; else some of them */

static void anew(void)
{
    assert_int_equal(file_remove_tree(base, NULL), ERR_OK);
    assert_int_equal(mkdir(base, 0700), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mkdir(keep, 0700), 0);
}

/* In the child: all steps, one byte for each that said ERR_OK. */
static void life(const struct keeping *k, struct fault f, int out)
{
    struct err e = {0};
    void *ctx;

    if (f.mode == FAULT_CUT)
        power_begin(keep);
    fault_arm(f);
    ctx = k->open(dir, &e);
    for (int v = 1; ctx != NULL && v <= KEEPING_STEPS; v++) {
        enum err_code rc = k->step(ctx, v, &e);
        if (rc != ERR_OK || write(out, "x", 1) != 1)
            break;
    }
    _exit(fault_disarm() < f.at ? 0 : 3);
}

/* One death; false: the program came to its end before it. */
static bool die_once(const struct keeping *k, struct fault f)
{
    int p[2], status = 0, acked = 0;
    const char *fault;
    char byte;
    pid_t pid;

    anew();
    assert_int_equal(pipe(p), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(p[0]);
        life(k, f, p[1]);
    }
    (void)close(p[1]);
    while (read(p[0], &byte, 1) == 1)
        acked++;
    (void)close(p[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(acked, KEEPING_STEPS);
        return false;
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fault = k->check(dir, acked);
    if (fault != NULL)
        fail_msg("%s: %s %d at call %ld: %s", k->name,
                 f.mode == FAULT_CUT ? "power cut" : "SIGKILL", f.variant, f.at, fault);
    return true;
}

static void every_call(enum fault_mode mode, int variants, long *count)
{
    for (size_t i = 0; i < n_keepings; i++) {
        for (int variant = 0; variant < variants; variant++) {
            struct fault f = {.mode = mode, .kind = FAULT_CALL, .at = 1, .variant = variant};
            for (f.at = 1 + variant % stride; die_once(&keepings[i], f); f.at += stride)
                (*count)++;
            assert_true(f.at > 10);
        }
    }
}

static void killed_anywhere(void **state)
{
    (void)state;
    every_call(FAULT_KILL, 2, &kills);
    fault_report("sigkill", kills);
}

static void power_gone_anywhere(void **state)
{
    (void)state;
    every_call(FAULT_CUT, POWER_VARIANTS, &cuts);
    fault_report("power-cut", cuts);
}

static int setup(void **state)
{
    (void)state;
    stride = getenv("INARI_FAULTS") != NULL ? 1 : 5;
    if ((base = fault_folder()) == NULL)
        return -1;
    (void)snprintf(dir, sizeof dir, "%s/state", base);
    (void)snprintf(keep, sizeof keep, "%s/keep", base);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(base, NULL) == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere),
        cmocka_unit_test(power_gone_anywhere),
    };

    fault_begin();
    return cmocka_run_group_tests(tests, setup, teardown);
}
