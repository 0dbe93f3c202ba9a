/* What a device has that expedited publications lie on: in their order, and one that takes another
 * back exactly leaves what was there, whatever that is. */
#include "domain/combine.h"

#include "json/json_in.h"
#include "store/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct db *db;

static const struct stmt PUT = {
    "test_combine_put", 5,
    "INSERT INTO revision (pub, kind, source, content, diff, digest, author, reason) VALUES"
    " ($1::bigint, $2::text, nullif($3::bigint, 0), $4::jsonb, $5::jsonb, '', 'test', 'test') ON"
    " CONFLICT (pub) DO UPDATE SET kind = excluded.kind, source = excluded.source, content ="
    " excluded.content, diff = excluded.diff"};

static void put(int64_t pub, const char *kind, int64_t source, const char *content,
                const char *diff)
{
    AUTO(json_free) json_t *c = json_in_own(content);
    AUTO(json_free) json_t *d = json_in_own(diff);
    struct err e = {0};

    if (db_run(db, &PUT,
               (struct db_param[]){P_INT(pub), P_TEXT(kind), P_INT(source), P_JSON(c), P_JSON(d)},
               NULL, NULL, &e) != ERR_OK)
        fail_msg("%s", e.msg);
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

#define LEAF(key, old, new)                                                                        \
    "{\"layer\":\"fleet\",\"id\":\"\",\"key\":\"" key "\",\"row\":\"\",\"old\":" old               \
    ",\"new\":" new "}"
#define FLEET(members) "{\"fleet\":{" members "},\"groups\":{},\"devices\":{}}"

/* What a device that has pub, and urgent on top, is to have of the two settings. */
static void has(int64_t pub, const char *urgent, const char *banner, int64_t size)
{
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);
    struct combine c = {.db = db, .a = a};
    const json_t *content = NULL, *fleet;
    struct err e = {0};

    if (combine_content(&c, pub, urgent, &content, &e) != ERR_OK)
        fail_msg("%s", e.msg);
    fleet = json_object_get(content, "fleet");
    assert_string_equal(json_str(fleet, "banner", ""), banner);
    assert_int_equal(json_int(fleet, "size", 0), size);
}

/* 11: what everybody has; 12: a rollout on its way, which says something else of both. */
static void bases(void)
{
    put(11, "publish", 0, FLEET("\"banner\":\"a\",\"size\":1"), "[]");
    put(12, "publish", 0, FLEET("\"banner\":\"z\",\"size\":5"),
        "[" LEAF("banner", "\"a\"", "\"z\"") "," LEAF("size", "1", "5") "]");
}

static void in_order_on_whatever_is_below(void **state)
{
    (void)state;
    bases();
    put(13, "publish", 0, "{}", "[" LEAF("banner", "\"a\"", "\"b\"") "]");
    put(14, "publish", 0, "{}", "[" LEAF("banner", "\"b\"", "\"c\"") "]");
    has(11, "", "a", 1);
    has(11, "13", "b", 1);
    has(12, "13", "b", 5);
    has(11, "13,14", "c", 1);
    has(12, "14", "c", 5);
}

static void taken_back_exactly_it_was_never_there(void **state)
{
    (void)state;
    bases();
    put(13, "publish", 0, "{}",
        "[" LEAF("banner", "\"a\"", "\"b\"") "," LEAF("size", "1", "2") "]");
    put(14, "undo", 13, "{}", "[" LEAF("banner", "\"b\"", "\"a\"") "," LEAF("size", "2", "1") "]");
    has(11, "13,14", "a", 1);
    has(12, "13,14", "z", 5); /* and not what 13 had found elsewhere */
    has(12, "13", "b", 2);
}

/* A later change of one of the two was kept by the undo: it is a change of its own. */
static void taken_back_in_part(void **state)
{
    (void)state;
    bases();
    put(13, "publish", 0, "{}",
        "[" LEAF("banner", "\"a\"", "\"b\"") "," LEAF("size", "1", "2") "]");
    put(14, "publish", 0, "{}", "[" LEAF("banner", "\"b\"", "\"c\"") "]");
    put(15, "undo", 13, "{}", "[" LEAF("size", "2", "1") "]");
    has(11, "13,14,15", "c", 1);
    has(12, "13,14,15", "c", 1);
    has(12, "13,15", "b", 1);
}

/* Of one that is not among them, or no undo at all although it looks like one. */
static void of_another_one(void **state)
{
    (void)state;
    bases();
    put(13, "publish", 0, "{}", "[" LEAF("size", "1", "2") "]");
    put(14, "publish", 0, "{}", "[" LEAF("size", "2", "1") "]");
    has(12, "13,14", "z", 1);
    put(14, "undo", 12, "{}", "[" LEAF("size", "2", "1") "]");
    has(12, "13,14", "z", 1);
}

/* Back, and there again: the third one counts. */
static void each_takes_back_one(void **state)
{
    (void)state;
    bases();
    put(13, "publish", 0, "{}", "[" LEAF("size", "1", "2") "]");
    put(14, "undo", 13, "{}", "[" LEAF("size", "2", "1") "]");
    put(15, "undo", 14, "{}", "[" LEAF("size", "1", "2") "]");
    has(12, "13,14,15", "z", 2);
    has(12, "13,14", "z", 5);
}

static void lists(void **state)
{
    static const struct {
        const char *one, *other;
        int64_t pub;
        const char *want;
    } rows[] = {
        {"", "", 0, ""},          {"6", "", 0, "6"},        {"", "6", 0, "6"},
        {"6,9", "8", 0, "6,8,9"}, {"6,8", "6,8", 0, "6,8"}, {"6,8", "7,10", 7, "8,10"},
        {"6,8", "7", 8, ""},
    };
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(combine_lists(a, rows[i].one, rows[i].other, rows[i].pub),
                            rows[i].want);
    assert_int_equal(combine_newest(5, ""), 5);
    assert_int_equal(combine_newest(5, "6,9"), 9);
    assert_int_equal(combine_newest(10, "6,9"), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_on_whatever_is_below),
        cmocka_unit_test(taken_back_exactly_it_was_never_there),
        cmocka_unit_test(taken_back_in_part),
        cmocka_unit_test(of_another_one),
        cmocka_unit_test(each_takes_back_one),
        cmocka_unit_test(lists),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
