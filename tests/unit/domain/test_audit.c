/* The audit chain against a real PostgreSQL: every way of tampering is named. */
#include "domain/audit.h"

#include "base/strbuf.h"
#include "store/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct db *db;
enum { ENTRIES = 1203 }; /* more than a page of the verifier */

static enum err_code append_many(struct db *d, void *ctx, struct err *e)
{
    const struct actor by = {"account", "admin", "", "", "198.18.0.1"};
    enum err_code rc = ERR_OK;

    for (int i = 0; rc == ERR_OK && i < *(int *)ctx; i++) {
        AUTO(json_free)
        json_t *detail = json_pack("{s:i,s:s,s:{s:n,s:[b,s]}}", "n", i, "text",
                                   "\xe6\xbc\xa2 \"quoted\"", "value", "b", "a", 1, "x");
        rc = audit_append(d, &by, i % 2 == 0 ? "test.even" : "test.odd", "test/1", detail, e);
    }
    return rc;
}

static int setup(void **state)
{
    struct err e = {0};

    (void)state;
    db = db_open(getenv("INARI_TEST_DB"), "test");
    return db != NULL && migrate_run(db, &e) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    db_close(db);
    return 0;
}

static void run_sql(const char *name, const char *sql)
{
    /* The statement must outlive its use: it is remembered by its address. */
    struct stmt *s = calloc(1, sizeof *s);
    AUTO(db_close) struct db *one = db_open(getenv("INARI_TEST_DB"), "test");
    struct err e = {0};

    assert_non_null(s);
    *s = (struct stmt){name, 0, sql};
    assert_int_equal(db_run(one, s, NULL, NULL, NULL, &e), ERR_OK);
    free(s);
}

static int64_t first_bad(void)
{
    struct audit_check c = {0};
    struct err e = {0};

    assert_int_equal(audit_verify(db, &c, &e), ERR_OK);
    return c.first_bad;
}

static void a_whole_chain_is_ok(void **state)
{
    struct audit_check c = {0};
    struct err e = {0};
    int n = ENTRIES;

    (void)state;
    assert_int_equal(audit_verify(db, &c, &e), ERR_OK);
    assert_int_equal(c.entries, 0);
    assert_int_equal(c.first_bad, 0);
    assert_int_equal(tx_run(db, "test", append_many, &n, &e), ERR_OK);
    assert_int_equal(audit_verify(db, &c, &e), ERR_OK);
    assert_int_equal(c.entries, ENTRIES);
    assert_int_equal(c.first_bad, 0);
}

static void outside_a_transaction_is_refused(void **state)
{
    const struct actor by = ACTOR_SYSTEM;
    struct err e = {0};

    (void)state;
    assert_int_equal(audit_append(db, &by, "test", "test/1", NULL, &e), ERR_INTERNAL);
}

static void tampering_is_named(void **state)
{
    static const struct {
        const char *name, *harm, *undo;
        int64_t bad;
    } cases[] = {
        {"detail", "UPDATE audit SET detail = jsonb_set(detail, '{n}', '5') WHERE seq = 1100",
         "UPDATE audit SET detail = jsonb_set(detail, '{n}', '1099') WHERE seq = 1100", 1100},
        {"actor", "UPDATE audit SET actor = 'someone' WHERE seq = 7",
         "UPDATE audit SET actor = 'admin' WHERE seq = 7", 7},
        {"time", "UPDATE audit SET at = at + interval '1 ms' WHERE seq = 1",
         "UPDATE audit SET at = at - interval '1 ms' WHERE seq = 1", 1},
        {"missing", "UPDATE audit SET seq = 999999 WHERE seq = 500",
         "UPDATE audit SET seq = 500 WHERE seq = 999999", 500},
        {"tail", "CREATE TABLE cut AS SELECT * FROM audit WHERE seq = 1203", "SELECT 1", 0},
        {"tail cut", "DELETE FROM audit WHERE seq = 1203", "INSERT INTO audit SELECT * FROM cut",
         1203},
        {"head", "UPDATE audit_head SET seq = 1100", "UPDATE audit_head SET seq = 1203", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        run_sql("test_harm", cases[i].harm);
        if (first_bad() != cases[i].bad)
            fail_msg("%s: not named", cases[i].name);
        run_sql("test_undo", cases[i].undo);
        assert_int_equal(first_bad(), 0);
    }
}

/* Who can write the table can also compute the hash of what he wrote: the entry behind it no longer
 * follows. */
static void a_rewritten_entry_is_named(void **state)
{
    struct audit_filter f = {.limit = 1, .before_seq = 701};
    AUTO_STRBUF struct strbuf sql = STRBUF_INIT(64 * KIB);
    AUTO(json_free) json_t *items = NULL;
    AUTO_STR char *text = NULL;
    struct err e = {0};

    (void)state;
    run_sql("test_keep", "CREATE TABLE kept AS SELECT * FROM audit WHERE seq = 700");
    assert_int_equal(audit_list(db, &f, &items, &e), ERR_OK);
    assert_int_equal(json_int(json_array_get(items, 0), "seq", 0), 700);
    (void)json_object_set_new(json_array_get(items, 0), "actor", json_string("someone"));
    text = json_canonical(json_array_get(items, 0));
    strbuf_printf(
        &sql,
        "UPDATE audit SET actor = 'someone', hash = sha256(prev || convert_to($it$%s$it$, "
        "'UTF8')) WHERE seq = 700",
        text);
    run_sql("test_rewrite", strbuf_str(&sql));
    assert_int_equal(first_bad(), 701);
    run_sql("test_unwrite", "UPDATE audit SET actor = kept.actor, hash = kept.hash FROM kept WHERE "
                            "audit.seq = kept.seq");
    assert_int_equal(first_bad(), 0);
}

static void lists_newest_first(void **state)
{
    struct audit_filter f = {.action = "test.even", .limit = 3, .before_seq = 100};
    AUTO(json_free) json_t *items = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(audit_list(db, &f, &items, &e), ERR_OK);
    assert_int_equal(json_array_size(items), 3);
    assert_int_equal(json_int(json_array_get(items, 0), "seq", 0), 99);
    assert_string_equal(json_str(json_array_get(items, 0), "address", ""), "198.18.0.1");
    json_decref(TAKE(items));
    f = (struct audit_filter){.action = "nothing.", .limit = 3};
    assert_int_equal(audit_list(db, &f, &items, &e), ERR_OK);
    assert_int_equal(json_array_size(items), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_chain_is_ok), cmocka_unit_test(outside_a_transaction_is_refused),
        cmocka_unit_test(tampering_is_named),  cmocka_unit_test(a_rewritten_entry_is_named),
        cmocka_unit_test(lists_newest_first),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
