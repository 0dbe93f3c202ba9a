/* What outlasts a crash: numbers that never repeat, failures that are counted, holds that end (C11,
 * C12, C18). */
#include "loop/hold.h"
#include "loop/identity.h"
#include "loop/memory.h"

#include "base/clock.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char dir[] = "/tmp/inari-memory-XXXXXX";
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return file_remove_tree(dir, NULL) == ERR_OK ? 0 : -1;
}

/* A process that dies after any number of steps starts behind every number it may have used. */
static void seq_never_repeats(void **state)
{
    int64_t highest = 0, seq = 0;

    (void)state;
    for (int life = 0; life < 5; life++) {
        struct memory m = {0};
        assert_int_equal(memory_load(dir, &m, NULL), ERR_OK);
        for (int i = 0; i < 1 + life * 700; i++) {
            assert_int_equal(memory_next_seq(&m, &seq, NULL), ERR_OK);
            assert_true(seq > highest);
            highest = seq;
        }
        memory_clear(&m); /* no save: as after kill -9 */
    }
}

static void twice_is_quarantine(void **state)
{
    struct memory m = {0};

    (void)state;
    assert_int_equal(memory_load(dir, &m, NULL), ERR_OK);
    assert_int_equal(memory_failed(&m, DIGEST, "postfix said no"), 1);
    assert_int_equal(memory_failed(&m, DIGEST, "postfix said no"), MEMORY_TRIES);
    assert_int_equal(memory_save(&m, NULL), ERR_OK);
    memory_clear(&m);
    assert_int_equal(memory_load(dir, &m, NULL), ERR_OK);
    assert_int_equal(memory_failures(&m, DIGEST), MEMORY_TRIES);
    /* Another agent version may do better: it counts from the start. */
    (void)json_object_set_new(json_object_get(m.failed, DIGEST), "agent", json_string("0.0.1"));
    assert_int_equal(memory_save(&m, NULL), ERR_OK);
    memory_clear(&m);
    assert_int_equal(memory_load(dir, &m, NULL), ERR_OK);
    assert_int_equal(memory_failures(&m, DIGEST), 0);
    for (int i = 0; i < 3 * MEMORY_FAILED_MAX; i++) {
        char digest[65];
        (void)snprintf(digest, sizeof digest, "%064d", i);
        (void)memory_failed(&m, digest, "x");
    }
    assert_true(json_object_size(m.failed) <= MEMORY_FAILED_MAX);
    memory_clear(&m);
}

static void hold_ends(void **state)
{
    const int64_t now = 1000000000000, minute = 60000;
    struct memory m = {0};
    bool ended = false;

    (void)state;
    assert_int_equal(memory_load(dir, &m, NULL), ERR_OK);
    assert_int_equal(hold_set(&m, "", 5, now, NULL), ERR_INVALID);
    assert_int_equal(hold_set(&m, "two\nlines", 5, now, NULL), ERR_INVALID);
    assert_int_equal(hold_set(&m, "why", 0, now, NULL), ERR_INVALID);
    assert_int_equal(hold_set(&m, "why", HOLD_MAX_MIN + 1, now, NULL), ERR_INVALID);
    assert_false(hold_active(&m, now, NULL));
    assert_int_equal(hold_set(&m, "mail migration", 5, now, NULL), ERR_OK);
    memory_clear(&m);
    assert_int_equal(memory_load(dir, &m, NULL), ERR_OK); /* it outlasts the process */
    assert_true(hold_active(&m, now + 5 * minute - 1, &ended));
    assert_false(ended);
    assert_false(hold_active(&m, now + 5 * minute, &ended));
    assert_true(ended);
    assert_false(hold_active(&m, now + 5 * minute, &ended));
    assert_false(ended);
    /* A clock set back by a year does not make a hold of a year. */
    assert_int_equal(hold_set(&m, "why", 60, now, NULL), ERR_OK);
    assert_true(hold_active(&m, now - 365 * 24 * 60 * minute, NULL));
    assert_true(hold_until_ms(&m) <= now - 364 * 24 * 60 * minute);
    assert_int_equal(hold_release(&m, NULL), ERR_OK);
    memory_clear(&m);
}

static void broken_file_is_said(void **state)
{
    struct memory m = {0};
    char path[128];
    struct err e = {0};

    (void)state;
    (void)snprintf(path, sizeof path, "%s/state.json", dir);
    assert_int_equal(file_write_atomic(path, slice_of("{\"seq\": 12"), 0600, NULL), ERR_OK);
    assert_int_not_equal(memory_load(dir, &m, &e), ERR_OK);
    assert_non_null(strstr(e.msg, path));
}

/* D2: whatever happens before the answer is stored, the same keys are shown again; nobody else may
 * read them. */
static void pending_keys_stay(void **state)
{
    AUTO(jose_key_free) struct jose_key *a = NULL;
    AUTO(jose_key_free) struct jose_key *b = NULL;
    AUTO(jose_key_free) struct jose_key *a2 = NULL;
    AUTO(jose_key_free) struct jose_key *b2 = NULL;
    struct identity id = {0};
    struct stat st;
    char path[128];

    (void)state;
    assert_int_equal(identity_load(dir, &id, NULL), ERR_NOT_FOUND);
    assert_int_equal(identity_pending_keys(dir, &a, &b, NULL), ERR_OK);
    assert_int_equal(identity_pending_keys(dir, &a2, &b2, NULL), ERR_OK);
    assert_string_equal(jose_key_kid(a), jose_key_kid(a2));
    assert_string_equal(jose_key_kid(b), jose_key_kid(b2));
    assert_string_not_equal(jose_key_kid(a), jose_key_kid(b));
    (void)snprintf(path, sizeof path, "%s/pending.json", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seq_never_repeats),   cmocka_unit_test(twice_is_quarantine),
        cmocka_unit_test(hold_ends),           cmocka_unit_test(pending_keys_stay),
        cmocka_unit_test(broken_file_is_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
