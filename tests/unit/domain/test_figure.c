/* figure.c: events of batches become rows, and rows become the time series of a real PostgreSQL. */
#include "domain/figure.h"

#include "base/clock.h"
#include "store/figure_store.h"
#include "store/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct db *db;

#define S(text)                                                                                    \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define DEVICE "11111111-1111-4111-8111-111111111111"
#define OTHER  "22222222-2222-4222-8222-222222222222"
#define CLIENT .client = S("192.0.2.1")

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

static json_t *rows_of(const struct figure_event *ev, size_t n)
{
    AUTO(figure_batch_free) struct figure_batch *b = figure_batch_new();
    json_t *rows;

    assert_non_null(b);
    for (size_t i = 0; i < n; i++)
        assert_true(figure_batch_add(b, &ev[i]));
    rows = figure_batch_rows(b);
    assert_non_null(rows);
    return rows;
}

static void has(const json_t *row, const char *want)
{
    AUTO(json_free) json_t *w = json_in_own(want);
    const char *name;
    json_t *v;

    assert_non_null(w);
    json_object_foreach(w, name, v) if (!json_equal(v, json_object_get(row, name)))
    {
        char *got = json_dumps(row, JSON_COMPACT);
        fail_msg("%s: wanted %s, got %s", name, want, got);
    }
}

/* What one event adds to its minute. */
static const struct {
    struct figure_event ev;
    const char *want;
} singles[] = {
    {{.kind = S("message.queued"), CLIENT, .size = 700},
     "{\"accepted\":1,\"bytes\":700,\"events\":1}"},
    {{.kind = S("message.queued"), .client = S("127.0.0.1"), .size = 700},
     "{\"accepted\":0,\"bytes\":0,\"events\":1}"},
    {{.kind = S("message.queued"), .size = 700}, "{\"accepted\":0}"},
    {{.kind = S("message.queued"), CLIENT, .internal = true}, "{\"accepted\":0,\"events\":1}"},
    {{.kind = S("message.queued"), CLIENT, .size = INT64_MAX}, "{\"bytes\":10000000000}"},
    {{.kind = S("message.queued"), CLIENT, .size = -1}, "{\"bytes\":0}"},
    {{.kind = S("message.delivery"), .status = S("sent"), .delay_ms = 100},
     "{\"delivered\":1,\"latency\":[1]}"},
    {{.kind = S("message.delivery"), .status = S("sent"), .delay_ms = 101}, "{\"latency\":[0,1]}"},
    {{.kind = S("message.delivery"), .status = S("sent"), .delay_ms = 300001},
     "{\"latency\":[0,0,0,0,0,0,0,0,1]}"},
    {{.kind = S("message.delivery"), .status = S("sent"), .delay_ms = -1},
     "{\"delivered\":1,\"latency\":[]}"},
    {{.kind = S("message.delivery"),
      .status = S("sent"),
      .delay_ms = 9000,
      .detail = S("{\"delays\":[8800,50,0,150]}")},
     "{\"latency\":[0,1]}"}, /* the wait before does not count */
    {{.kind = S("message.delivery"), .status = S("sent"), .delay_ms = 100, .detail = S("{broken")},
     "{\"latency\":[1]}"},
    {{.kind = S("message.delivery"), .status = S("sent"), .internal = true},
     "{\"delivered\":0,\"latency\":[]}"},
    {{.kind = S("message.delivery"), .status = S("deferred"), .reason = S("timeout")},
     "{\"deferred\":1,\"deferred_why\":[0,1],\"delivered\":0}"},
    {{.kind = S("message.delivery"), .status = S("deferred"), .reason = S("moon")},
     "{\"deferred_why\":[0,0,0,0,0,0,0,0,0,0,1]}"},
    {{.kind = S("message.delivery"), .status = S("bounced")}, "{\"bounced\":1}"},
    {{.kind = S("message.delivery"), .status = S("expired")}, "{\"expired\":1}"},
    {{.kind = S("message.delivery"), .status = S("deliverable")},
     "{\"delivered\":0,\"deferred\":0,\"bounced\":0}"},
    {{.kind = S("message.expired")}, "{\"expired\":1}"},
    {{.kind = S("message.rejected"), CLIENT, .reason = S("relay")},
     "{\"refused\":1,\"rejected\":[0,1]}"},
    {{.kind = S("message.rejected"), CLIENT, .reason = S("")},
     "{\"refused\":1,\"rejected\":[0,0,0,0,0,0,0,0,1]}"},
    {{.kind = S("message.rejected"), .client = S("::1"), .reason = S("relay")},
     "{\"refused\":0,\"rejected\":[]}"},
    {{.kind = S("message.rejected"), CLIENT, .reason = S("relay"), .detail = S("{\"soft\":true}")},
     "{\"refused\":0}"},
    {{.kind = S("session"), CLIENT}, "{\"sessions\":1}"},
    {{.kind = S("auth.failed"), CLIENT}, "{\"auth_failed\":1}"},
    {{.kind = S("fatal")}, "{\"fatal\":1}"},
    {{.kind = S("panic")}, "{\"fatal\":1}"},
    {{.kind = S("spool.gap"), .count = 17}, "{\"dropped\":17,\"events\":1}"},
    {{.kind = S("unreadable")}, "{\"unread\":1}"},
    {{.kind = S("raw")}, "{\"unread\":1}"},
    {{.kind = S("moon")}, "{\"events\":1,\"unread\":0}"},
    {{.kind = S("device.figures"),
      .detail = S("{\"queue\":{\"incoming\":1,\"active\":2,\"deferred\":3,\"hold\":4,\"corrupt\":-"
                  "5},\"oldest_s\":60}")},
     "{\"queue\":[1,2,3,4,0],\"queue_max\":[1,2,3,4,0],\"oldest_s\":60,\"oldest_max_s\":60,\"gauge_"
     "at\":1000020}"},
    {{.kind = S("device.figures"),
      .detail = S("{\"queue\":{\"deferred\":3}}")}, /* no age: none is made up */
     "{\"queue\":[0,0,3,0,0],\"gauge_at\":1000020}"},
    {{.kind = S("device.figures"), .detail = S("{\"queue\":7}")}, "{\"events\":1}"},
};

static void each_kind_counts_where_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(singles); i++) {
        struct figure_event ev = singles[i].ev;
        AUTO(json_free) json_t *rows = NULL;

        ev.at_ms = 1000020000;
        rows = rows_of(&ev, 1);
        assert_int_equal(json_array_size(rows), 3);
        for (size_t k = 0; k < 3; k++)
            has(json_array_get(rows, k), singles[i].want);
        if (strstr(singles[i].want, "oldest_s") == NULL)
            assert_null(json_object_get(json_array_get(rows, 0), "oldest_s"));
        if (strstr(singles[i].want, "gauge_at") == NULL)
            assert_null(json_object_get(json_array_get(rows, 0), "gauge_at"));
    }
}

static void rows_come_by_step_and_time(void **state)
{
    struct figure_event ev[300];
    AUTO(json_free) json_t *rows = NULL;
    int64_t step = 0, at = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ev);
         i++) /* two hours on two days, from the last minute to the first, and again */
        ev[i] = (struct figure_event){
            .kind = S("message.queued"),
            CLIENT,
            .at_ms = (INT64_C(86400) * 20000 + 1800 - (int64_t)(i % 150) * 60) * 1000 + 999};
    rows = rows_of(ev, COUNT_OF(ev));
    assert_int_equal(json_array_size(rows), 150 + 3 + 2);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *r = json_array_get(rows, i);
        int64_t s = json_int(r, "step_s", 0), t = json_int(r, "at", 0);

        assert_true(s > step || (s == step && t > at));
        assert_int_equal(t % s, 0);
        step = s;
        at = t;
        if (s == 60)
            has(r, "{\"accepted\":2}");
    }
    has(json_array_get(rows, 153), "{\"step_s\":86400,\"accepted\":238}");
    has(json_array_get(rows, 154), "{\"step_s\":86400,\"accepted\":62}");
}

static void what_is_before_1970_is_left_out(void **state)
{
    const struct figure_event ev[] = {{.kind = S("raw"), .at_ms = -1},
                                      {.kind = S("raw"), .at_ms = INT64_MIN}};
    AUTO(json_free) json_t *rows = rows_of(ev, 2);

    (void)state;
    assert_int_equal(json_array_size(rows), 0);
}

/* --- in the database --- */

struct write {
    const char *device;
    struct figure_batch *b;
};

static enum err_code write_fn(struct db *d, void *ctx, struct err *e)
{
    struct write *w = ctx;

    return figure_batch_write(d, w->device, w->b, e);
}

static void written(const char *device, const struct figure_event *ev, size_t n)
{
    AUTO(figure_batch_free) struct figure_batch *b = figure_batch_new();
    struct write w = {device, b};
    struct err e = {0};

    assert_non_null(b);
    for (size_t i = 0; i < n; i++)
        assert_true(figure_batch_add(b, &ev[i]));
    if (tx_run(db, "figures", write_fn, &w, &e) != ERR_OK)
        fail_msg("%s", e.msg);
}

static size_t points(const char *device, int64_t step, int64_t since_s, struct arena *a,
                     struct figure_point **ret)
{
    const struct figure_span span = {device, step, since_s * 1000, (since_s + 2 * 86400) * 1000};
    struct err e = {0};
    size_t n = 0;

    assert_int_equal(figure_store_points(db, &span, a, ret, &n, &e), ERR_OK);
    return n;
}

static void batches_add_up(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    int64_t at = (clock_wall_ms() / 3600000 - 2) * 3600000; /* begin of an hour */
    const struct figure_event
        first[] = {{.at_ms = at, .kind = S("message.rejected"), CLIENT, .reason = S("sender")},
                   {.at_ms = at + 30000,
                    .kind = S("device.figures"),
                    .detail = S("{\"queue\":{\"deferred\":9},\"oldest_s\":500}")},
                   {.at_ms = at + 60000, .kind = S("message.queued"), CLIENT, .size = 5}},
        second[] =
            {{.at_ms = at + 1000, .kind = S("message.rejected"), CLIENT, .reason = S("content")},
             {.at_ms = at + 2000,
              .kind = S("device.figures"), /* late, and greater */
              .detail = S("{\"queue\":{\"deferred\":20},\"oldest_s\":900}")}},
        elsewhere[] = {{.at_ms = at,
                        .kind = S("device.figures"),
                        .detail = S("{\"queue\":{\"deferred\":1,\"hold\":2},\"oldest_s\":700}")}};
    struct figure_point *p = NULL;
    AUTO(json_free)
    json_t *rejected = json_in_own("[0,0,0,1,0,0,0,1]"), *queue = json_in_own("[0,0,9,0,0]"),
           *most = json_in_own("[0,0,20,0,0]"), *fleet = json_in_own("[0,0,10,2,0]");

    (void)state;
    written(DEVICE, first, 3);
    written(DEVICE, second, 2);
    written(OTHER, elsewhere, 1);
    assert_int_equal(points(DEVICE, 60, at / 1000, a, &p), 2);
    assert_int_equal(p[0].at_s, at / 1000);
    assert_int_equal(p[0].refused, 2);
    assert_int_equal(p[0].events, 4);
    assert_true(json_equal(p[0].rejected, rejected));
    assert_true(p[0].gauge);
    assert_true(json_equal(p[0].queue, queue)); /* the later look, though it came first */
    assert_true(json_equal(p[0].queue_max, most));
    assert_int_equal(p[0].oldest_s, 500);
    assert_int_equal(p[0].oldest_max_s, 900);
    assert_int_equal(p[1].accepted, 1);
    assert_int_equal(p[1].bytes, 5);
    assert_false(p[1].gauge);
    assert_int_equal(points(DEVICE, 3600, at / 1000, a, &p), 1);
    assert_int_equal(p[0].refused, 2);
    assert_int_equal(p[0].accepted, 1);
    assert_int_equal(points(NULL, 60, at / 1000, a, &p), 2);
    assert_int_equal(p[0].devices, 2);
    assert_int_equal(p[0].refused, 2);
    assert_true(json_equal(p[0].rejected, rejected));
    assert_true(json_equal(p[0].queue, fleet));
    assert_int_equal(p[0].oldest_s, 700);
    assert_int_equal(p[1].devices, 1);
}

static enum err_code fails_after(struct db *d, void *ctx, struct err *e)
{
    enum err_code rc = write_fn(d, ctx, e);

    return rc == ERR_OK ? err_set(e, ERR_REFUSED, "on purpose") : rc;
}

static void what_is_rolled_back_does_not_count(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    AUTO(figure_batch_free) struct figure_batch *b = figure_batch_new();
    int64_t at = (clock_wall_ms() / 3600000 - 20) * 3600000;
    const struct figure_event ev = {.at_ms = at, .kind = S("raw")};
    struct write w = {DEVICE, b};
    struct figure_point *p = NULL;
    struct err e = {0};

    (void)state;
    assert_true(figure_batch_add(b, &ev));
    assert_int_equal(tx_run(db, "figures", fails_after, &w, &e), ERR_REFUSED);
    for (size_t i = 0, n = points(DEVICE, 60, at / 1000, a, &p); i < n; i++)
        assert_int_not_equal(p[i].at_s, at / 1000);
}

static void old_steps_are_neither_made_nor_kept(void **state)
{
    static const struct stmt AGE = {"test_age", 1,
                                    "UPDATE figure SET at = at - interval '3 days 2 hours' WHERE "
                                    "step_s = 60 AND device_id = $1::uuid"};
    static const struct stmt COUNT = {
        "test_count_figures", 2,
        "SELECT count(*) FROM figure WHERE device_id = $1::uuid AND step_s = $2"};
    static const char *const device = "33333333-3333-4333-8333-333333333333";
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    int64_t now = clock_wall_ms(), want[][2] = {{60, 1}, {3600, 2}, {86400, 3}};
    const struct figure_event ev[] = {{.at_ms = now, .kind = S("raw")},
                                      {.at_ms = now - INT64_C(4) * 86400000, .kind = S("raw")},
                                      {.at_ms = now - INT64_C(70) * 86400000, .kind = S("raw")},
                                      {.at_ms = now - INT64_C(1200) * 86400000, .kind = S("raw")}};
    struct rows *r = NULL;
    struct err e = {0};

    (void)state;
    written(device, ev, COUNT_OF(ev));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < COUNT_OF(want); i++) {
            assert_int_equal(db_one(db, &COUNT,
                                    (struct db_param[]){P_TEXT(device), P_INT(want[i][0])}, a, &r,
                                    &e),
                             ERR_OK);
            assert_int_equal(rows_int(r, 0, 0), want[i][1]);
        }
        if (pass == 0) {
            assert_int_equal(db_run(db, &AGE, (struct db_param[]){P_TEXT(device)}, NULL, NULL, &e),
                             ERR_OK);
            assert_int_equal(figure_retention(db, &e), ERR_OK);
            want[0][1] = 0;
        }
    }
}

static void totals_count_what_was_committed(void **state)
{
    AUTO(figure_batch_free) struct figure_batch *b = figure_batch_new();
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(64 * KIB);
    const struct figure_event ev[] = {
        {.at_ms = 60000, .kind = S("message.rejected"), CLIENT, .reason = S("helo")},
        {.at_ms = 120000, .kind = S("message.queued"), CLIENT, .size = 9}};

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_true(figure_batch_add(b, &ev[i]));
    figure_batch_committed(b);
    figure_totals_write(&out);
    assert_non_null(strstr(strbuf_str(&out), "inari_mail_total{what=\"accepted\"} 1\n"));
    assert_non_null(strstr(strbuf_str(&out), "inari_mail_rejected_total{reason=\"helo\"} 1\n"));
    assert_non_null(strstr(strbuf_str(&out), "\ninari_mail_bytes_total 9\n"));
    assert_non_null(strstr(strbuf_str(&out), "\ninari_events_total 2\n"));
}

static void says_up_to_when_its_log_is_stored(void **state)
{
    static const struct {
        const char *detail;
        int64_t want;
    } said[] = {{"{\"until\":{\"postfix\":1000020000}}", 1000020000},
                {"{\"until\":{\"postfix\":1000010000}}", 1000020000}, /* of before, late */
                {"{\"until\":{\"postfix\":\"x\"},\"queue\":{}}", 1000020000},
                {"{\"until\":7}", 1000020000},
                {"{\"until\":{\"postfix\":1000080000},\"queue\":{}}", 1000080000}};
    AUTO(figure_batch_free) struct figure_batch *b = figure_batch_new();

    (void)state;
    assert_int_equal(figure_batch_until(b), 0);
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        struct figure_event ev = {
            .kind = S("device.figures"), .at_ms = 1000020000, .detail = slice_of(said[i].detail)};
        assert_true(figure_batch_add(b, &ev));
        assert_int_equal(figure_batch_until(b), said[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_counts_where_it_should),
        cmocka_unit_test(says_up_to_when_its_log_is_stored),
        cmocka_unit_test(rows_come_by_step_and_time),
        cmocka_unit_test(what_is_before_1970_is_left_out),
        cmocka_unit_test(batches_add_up),
        cmocka_unit_test(what_is_rolled_back_does_not_count),
        cmocka_unit_test(old_steps_are_neither_made_nor_kept),
        cmocka_unit_test(totals_count_what_was_committed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
