/* Every call on files that keeps something fails, each way it can: the step says so or succeeds all
 * the same, what was acknowledged is still there, no descriptor and no memory is lost, and the next
 * step works. */
#include "fault.h"
#include "keeping.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static char *base;
static long injected;
static int
    stride; /* 1 with INARI_FAULTS, as in tests/run --faults: every call; else some of them */

static const int errors[] = {ENOSPC, EIO, EDQUOT, EMFILE, EINTR, EACCES, EROFS, FAULT_SHORT};

/* All steps with the fault; false: it was not reached. */
static bool fail_once(const struct keeping *k, struct fault f)
{
    size_t memory = fault_live(), descriptors = fault_descriptors();
    const char *fault = NULL;
    struct err e = {0};
    int acked = 0;
    long seen;
    void *ctx;

    assert_int_equal(file_remove_tree(base, NULL), ERR_OK);
    assert_int_equal(mkdir(base, 0700), 0);
    fault_arm(f);
    ctx = k->open(base, &e);
    for (int v = 1; v <= KEEPING_STEPS; v++) {
        if (ctx == NULL && (ctx = k->open(base, &e)) == NULL)
            continue;
        if (k->step(ctx, v, &e) == ERR_OK)
            acked = v;
        else if (acked > 0 && f.lasting)
            break;
    }
    seen = fault_disarm();
    injected += fault_hits();
    /* What comes after a failed step may have repeated it: the newest that was acknowledged counts.
     */
    fault = k->check(base, acked);
    if (fault != NULL)
        fail_msg("%s: error %d at call %ld (%s)%s: %s", k->name, f.err, f.at, fault_where(),
                 f.lasting ? " and ever after" : "", fault);
    if (ctx != NULL)
        k->close(ctx);
    if (fault_live() != memory || fault_descriptors() != descriptors)
        fail_msg("%s: error %d at call %ld (%s): %zu blocks, %zu descriptors lost", k->name, f.err,
                 f.at, fault_where(), fault_live() - memory, fault_descriptors() - descriptors);
    return seen >= f.at;
}

static void every_call_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_keepings; i++) {
        for (size_t n = 0; n < COUNT_OF(errors); n++) {
            for (int lasting = 0; lasting < 2; lasting++) {
                struct fault f = {.mode = FAULT_FAIL,
                                  .kind = FAULT_CALL,
                                  .at = 1,
                                  .err = errors[n],
                                  .lasting = lasting != 0};
                if (lasting != 0 && (errors[n] == EINTR || errors[n] == FAULT_SHORT))
                    continue; /* they do not last */
                while (fail_once(&keepings[i], f))
                    f.at += stride;
                assert_true(f.at > (lasting != 0 ? 1 : 10));
            }
        }
    }
    fault_report("system-call", injected);
}

static int setup(void **state)
{
    (void)state;
    stride = getenv("INARI_FAULTS") != NULL ? 1 : 5;
    return (base = fault_folder()) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(base, NULL) == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_fails)};

    fault_begin();
    return cmocka_run_group_tests(tests, setup, teardown);
}
