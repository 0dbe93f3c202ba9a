/* db.c and migrate.c against a real PostgreSQL: started by pg.sh. */
#include "store/all_stmts.h"
#include "store/db_copy.h"
#include "store/db_private.h"
#include "store/migrate.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct stmt ECHO = {
    "test_echo", 6,
    "SELECT $1::text, $2::bigint, $3::boolean, $4::bytea, $5::jsonb, $6::timestamptz"};
static const struct stmt PUT = {"test_put", 2,
                                "INSERT INTO meta (key, value) VALUES ($1::text, $2::jsonb)"};
static const struct stmt GET = {"test_get", 1, "SELECT value FROM meta WHERE key = $1::text"};
static const struct stmt SLEEP = {"test_sleep", 0, "SELECT pg_sleep(30)"};
static const struct stmt KILL_ME = {"test_kill", 0,
                                    "SELECT pg_terminate_backend(pg_backend_pid())"};
static const struct stmt NOTIFY = {"test_notify", 2, "SELECT pg_notify($1::text, $2::text)"};
static const struct stmt FORCE_NUMBER = {
    "test_force", 0,
    "INSERT INTO schema_migration (number, name, digest) VALUES (9999, 'future', '')"};
static const struct stmt FORGET_NUMBER = {"test_forget", 0,
                                          "DELETE FROM schema_migration WHERE number = 9999"};

static struct db *open_db(void)
{
    const char *conninfo = getenv("INARI_TEST_DB");
    struct db *db;

    assert_non_null(conninfo);
    db = db_open(conninfo, "test");
    assert_non_null(db);
    return db;
}

static void migrates_once_and_again(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    struct err e = {0};

    (void)state;
    assert_int_equal(migrate_run(db, &e), ERR_OK);
    assert_int_equal(migrate_run(db, &e), ERR_OK);
    assert_true(migrate_latest() >= 1);
}

static void refuses_superuser_and_newer_schema(void **state)
{
    AUTO(db_close) struct db *super = db_open(getenv("INARI_TEST_DB_SUPER"), "test");
    AUTO(db_close) struct db *db = open_db();
    struct err e = {0};

    (void)state;
    assert_int_equal(migrate_run(super, &e), ERR_REFUSED);
    assert_non_null(strstr(e.msg, "superuser"));
    assert_int_equal(db_run(db, &FORCE_NUMBER, NULL, NULL, NULL, &e), ERR_OK);
    assert_int_equal(migrate_run(db, &e), ERR_REFUSED);
    assert_int_equal(db_run(db, &FORGET_NUMBER, NULL, NULL, NULL, &e), ERR_OK);
    assert_int_equal(migrate_run(db, &e), ERR_OK);
}

static void every_statement_prepares(void **state)
{
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    const char *seen[1024];
    size_t n = 0;

    (void)state;
    for (size_t s = 0; all_stmts[s] != NULL; s++) {
        for (size_t i = 0; all_stmts[s][i] != NULL; i++) {
            const struct stmt *stmt = all_stmts[s][i];
            struct err e = {0};
            struct stmt prepare = {.name = arena_printf(a, "p_%s", stmt->name)};

            for (size_t k = 0; k < n; k++)
                if (strcmp(seen[k], stmt->name) == 0)
                    fail_msg("two statements are named %s", stmt->name);
            seen[n++] = stmt->name;
            /* PREPARE by SQL: parses, plans types and names against the schema, runs nothing */
            prepare.sql = arena_printf(a, "PREPARE %s AS %s", stmt->name, stmt->sql);
            {
                AUTO(db_close) struct db *one = open_db();
                static const struct stmt count = {"test_count", 1,
                                                  "SELECT cardinality(parameter_types) FROM "
                                                  "pg_prepared_statements WHERE name = $1::text"};
                struct rows *r = NULL;

                /* ANALYZE cannot be prepared by SQL, and does no harm */
                bool run_it = strncmp(stmt->sql, "ANALYZE ", 8) == 0;

                if (db_run(one, run_it ? stmt : &prepare, NULL, NULL, NULL, &e) != ERR_OK)
                    fail_msg("statement %s: %s", stmt->name, e.msg);
                if (run_it)
                    continue;
                assert_int_equal(
                    db_one(one, &count, (struct db_param[]){P_TEXT(stmt->name)}, a, &r, &e),
                    ERR_OK);
                if (rows_int(r, 0, 0) != stmt->n_params)
                    fail_msg("statement %s has %d parameters, its table says %d", stmt->name,
                             (int)rows_int(r, 0, 0), stmt->n_params);
            }
        }
    }
    assert_true(n > 0);
}

static int64_t number(struct db *db, const struct stmt *stmt)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    struct err e = {0};

    assert_int_equal(db_one(db, stmt, NULL, a, &r, &e), ERR_OK);
    return rows_int(r, 0, 0);
}

/* Wherever the session's clock stands: a day is one of UTC, and what belongs to it finds it. */
static void days_of_events_are_made_once(void **state)
{
    static const struct stmt ELSEWHERE = {"test_tz", 0, "SET TIME ZONE 'Asia/Tokyo'"};
    static const struct stmt MAKE = {
        "test_day", 0,
        "SELECT event_make_day('2031-02-28')::int * 10 + event_make_day('2031-02-28')::int"};
    static const struct stmt FIRST = {
        "test_first", 0,
        "INSERT INTO event (at, received_at, batch, seq, device_id, n, stream, kind) VALUES "
        "('2031-02-28 00:00:00Z', now(), 1, 1, gen_random_uuid(), 1, 'agent', 'raw'), "
        "('2031-02-28 23:59:59.999999Z', now(), 1, 2, gen_random_uuid(), 2, 'agent', 'raw')"};
    static const struct stmt AFTER = {
        "test_after", 0,
        "INSERT INTO event (at, received_at, batch, seq, device_id, n, stream, kind) VALUES "
        "('2031-03-01 00:00:00Z', now(), 1, 1, gen_random_uuid(), 1, 'agent', 'raw')"};
    static const struct stmt COUNT = {"test_count", 0, "SELECT count(*) FROM event_20310228"};
    AUTO(db_close) struct db *db = open_db();
    struct err e = {0};

    (void)state;
    assert_int_equal(db_run(db, &ELSEWHERE, NULL, NULL, NULL, &e), ERR_OK);
    assert_int_equal(number(db, &MAKE), 10);
    assert_int_equal(db_run(db, &FIRST, NULL, NULL, NULL, &e), ERR_OK);
    assert_int_equal(number(db, &COUNT), 2);
    assert_int_not_equal(db_run(db, &AFTER, NULL, NULL, NULL, &e), ERR_OK);
}

static void values_come_back(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    AUTO(json_free) json_t *j = json_pack("{s:[i,s],s:n}", "a", 1, "\xe6\xbc\xa2", "b");
    struct err e = {0};
    struct rows *r = NULL;
    int64_t now = clock_wall_ms();

    (void)state;
    assert_int_equal(
        db_one(db, &ECHO,
               (struct db_param[]){P_TEXT("it's \\ \xe6\xbc\xa2"), P_INT(-5), P_BOOL(true),
                                   P_BYTES("\0\xff\x10", 3), P_JSON(j), P_TIME(now)},
               a, &r, &e),
        ERR_OK);
    assert_string_equal(rows_text(r, 0, 0), "it's \\ \xe6\xbc\xa2");
    assert_int_equal(rows_int(r, 0, 1), -5);
    assert_true(rows_bool(r, 0, 2));
    assert_int_equal(rows_bytes(r, 0, 3).n, 3);
    assert_memory_equal(rows_bytes(r, 0, 3).p, "\0\xff\x10", 3);
    assert_true(json_equal(rows_json(r, 0, 4), j));
    assert_int_equal(rows_time_ms(r, 0, 5), now);
    assert_int_equal(db_one(db, &ECHO,
                            (struct db_param[]){P_NULL, P_NULL, P_NULL, P_NULL, P_NULL, P_NULL}, a,
                            &r, &e),
                     ERR_OK);
    assert_true(rows_null(r, 0, 0));
    assert_null(rows_json(r, 0, 4));
    assert_int_equal(rows_time_ms(r, 0, 5), 0);
}

static enum err_code put_twice(struct db *db, void *ctx, struct err *e)
{
    AUTO(json_free) json_t *v = json_integer(1);
    enum err_code rc = db_run(db, &PUT, (struct db_param[]){P_TEXT(ctx), P_JSON(v)}, NULL, NULL, e);

    return rc == ERR_OK
               ? db_run(db, &PUT, (struct db_param[]){P_TEXT(ctx), P_JSON(v)}, NULL, NULL, e)
               : rc;
}

static const struct stmt MAKE_ONE = {"test_one_day", 0, "SELECT event_make_day('2031-05-05')::int"};

static void *make_day(void *ret)
{
    AUTO(db_close) struct db *db = open_db();

    *(int64_t *)ret = number(db, &MAKE_ONE);
    return NULL;
}

static enum err_code make_slowly(struct db *db, void *other, struct err *e)
{
    static const struct stmt WAITING = {
        "test_waiting", 0,
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"};
    int64_t *found = other;
    pthread_t *thread = (pthread_t *)(void *)(found + 1);

    (void)e;
    assert_int_equal(number(db, &MAKE_ONE), 1);
    assert_int_equal(pthread_create(thread, NULL, make_day, found), 0);
    while (number(db, &WAITING) == 0)
        usleep(10 * 1000);
    return ERR_OK;
}

/* Two parents at the same time: the second waits, and finds it made. */
static void a_day_made_by_two_is_made_once(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    struct {
        int64_t found;
        pthread_t thread;
    } other = {.found = -1};
    struct err e = {0};

    (void)state;
    assert_int_equal(tx_run(db, "day", make_slowly, &other, &e), ERR_OK);
    assert_int_equal(pthread_join(other.thread, NULL), 0);
    assert_int_equal(other.found, 0);
}

/* --- COPY --- */

static const char COPY_SQL[] =
    "COPY copied (n, at, id, who, words, doc) FROM STDIN (FORMAT binary)";

struct copying {
    struct strbuf rows;
    int64_t copied;
    bool killed;
};

static enum err_code copy_tx(struct db *db, void *ctx, struct err *e)
{
    static const struct stmt TABLE = {"test_copied", 0,
                                      "CREATE TABLE IF NOT EXISTS copied (place serial, n bigint "
                                      "UNIQUE, at timestamptz, id uuid, "
                                      "who inet, words text, doc jsonb)"};
    struct copying *c = ctx;
    enum err_code rc = db_run(db, &TABLE, NULL, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = db_copy_begin(db, COPY_SQL, 10000, e);
    if (rc == ERR_OK && c->killed)
        assert_int_equal(shutdown(PQsocket(db->conn), SHUT_RDWR), 0);
    for (size_t at = 0; rc == ERR_OK && at < c->rows.n; at += 1000) /* rows in pieces */
        rc = db_copy_put(
            db, (struct slice){c->rows.p + at, c->rows.n - at < 1000 ? c->rows.n - at : 1000}, e);
    return rc == ERR_OK ? db_copy_end(db, &c->copied, e) : rc;
}

static void add_copied(struct strbuf *b, int64_t n, struct slice words, const char *doc)
{
    static const unsigned char v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    static const unsigned char id[16] = {1, 2, 3, [15] = 0xff};
    size_t mark;

    copy_row_begin(b, 6);
    copy_int8(b, n);
    copy_time(b, INT64_C(1793000000123));
    copy_uuid(b, id);
    if (n % 2 == 0)
        copy_inet(b, AF_INET, "\300\0\2\1");
    else
        copy_inet(b, AF_INET6, v6);
    copy_text(b, words);
    mark = copy_json_begin(b);
    strbuf_puts(b, doc);
    copy_json_end(b, mark);
}

/* Whatever PostgreSQL's text form would take for an end, an escape or NULL is a value here. */
static void copied_bytes_come_back(void **state)
{
    static const char *const evil[] = {"",
                                       "\\N",
                                       "\\.",
                                       "\\.\n",
                                       "a\tb\nc\rd\\e",
                                       "'; --",
                                       "\xc3\xa9 \xf0\x9f\x93\xa7",
                                       "\x01\x7f",
                                       "PGCOPY\n",
                                       "$1"};
    static const struct stmt READ = {
        "test_copied_read", 0, "SELECT n, at, id, who, words, doc->>'k' FROM copied ORDER BY n"};
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);
    AUTO(db_close) struct db *db = open_db();
    AUTO_STRBUF struct strbuf doc = STRBUF_INIT(1000);
    struct copying c = {.rows = STRBUF_INIT(1 * MIB)};
    struct rows *r = NULL;
    struct err e = {0};
    int n = (int)COUNT_OF(evil);

    (void)state;
    for (int i = 0; i < n; i++)
        add_copied(&c.rows, i, slice_of(evil[i]), "{\"k\": \"\\\\N\\n\"}");
    copy_row_begin(&c.rows, 6);
    copy_int8(&c.rows, n);
    for (int i = 0; i < 5; i++)
        copy_null(&c.rows);
    assert_int_equal(tx_run(db, "copy", copy_tx, &c, &e), ERR_OK);
    assert_int_equal(c.copied, n + 1);
    assert_int_equal(db_run(db, &READ, NULL, a, &r, &e), ERR_OK);
    assert_int_equal(rows_count(r), n + 1);
    for (int i = 0; i < n; i++) {
        assert_string_equal(rows_text(r, i, 4), evil[i]);
        assert_string_equal(rows_text(r, i, 5), "\\N\n");
        assert_int_equal(rows_time_ms(r, i, 1), INT64_C(1793000000123));
        assert_string_equal(rows_text(r, i, 2), "01020300-0000-0000-0000-0000000000ff");
        assert_string_equal(rows_text(r, i, 3), i % 2 == 0 ? "192.0.2.1" : "2001:db8::1");
    }
    for (int col = 1; col < 6; col++)
        assert_true(rows_null(r, n, col));
    strbuf_clear(&c.rows);
}

static int64_t copied_rows(struct db *db)
{
    static const struct stmt COUNT = {"test_copied_count", 0, "SELECT count(*) FROM copied"};

    return number(db, &COUNT);
}

/* One bad value, and nothing of the transaction is there; the connection works on. */
static void a_copy_is_whole_or_nothing(void **state)
{
    static const struct {
        const char *name;
        struct slice words;
        const char *doc;
        int64_t n;
        enum err_code rc;
    } bad[] = {{"NUL", {"a\0b", 3}, "{}", 2000, ERR_INVALID},
               {"no UTF-8", {"\xff\xfe", 2}, "{}", 2000, ERR_INVALID},
               {"no JSON", {"x", 1}, "{", 2000, ERR_INVALID},
               {"JSON with NUL", {"x", 1}, "{\"a\":\"\\u0000\"}", 2000, ERR_INVALID},
               {"twice the same", {"x", 1}, "{}", 1000, ERR_CONFLICT}};
    AUTO(db_close) struct db *db = open_db();
    int64_t before = copied_rows(db);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct copying c = {.rows = STRBUF_INIT(4 * MIB)};
        struct err e = {0};

        for (int64_t n = 1000; n < 1500; n++)
            add_copied(&c.rows, n, slice_of("good"), "{}");
        add_copied(&c.rows, bad[i].n, bad[i].words, bad[i].doc);
        for (int64_t n = 3000; n < 20000; n++) /* still on its way when the server has given up */
            add_copied(&c.rows, n, slice_of("good"), "{}");
        if (tx_run(db, "copy", copy_tx, &c, &e) != bad[i].rc)
            fail_msg("%s: %d %s", bad[i].name, (int)e.code, e.msg);
        assert_int_equal(copied_rows(db), before);
        strbuf_clear(&c.rows);
    }
}

static void a_lost_copy_is_nothing(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    struct copying c = {.rows = STRBUF_INIT(4 * MIB), .killed = true};
    int64_t before = copied_rows(db);
    struct err e = {0};

    (void)state;
    for (int64_t n = 1000; n < 20000; n++)
        add_copied(&c.rows, n, slice_of("good"), "{}");
    assert_int_equal(tx_run(db, "copy", copy_tx, &c, &e), ERR_OVERLOADED);
    c.killed = false;
    assert_int_equal(copied_rows(db), before);
    assert_int_equal(db_copy_begin(db, COPY_SQL, 1000, &e), ERR_INTERNAL);
    assert_int_equal(tx_run(db, "copy", copy_tx, &c, &e), ERR_OK);
    assert_int_equal(c.copied, 19000);
    strbuf_clear(&c.rows);
}

static void conflict_rolls_back(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    struct err e = {0};
    struct rows *r = NULL;
    char key[] = "twice";

    (void)state;
    assert_int_equal(tx_run(db, "test", put_twice, key, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.msg, "meta_pkey"));
    assert_int_equal(db_one(db, &GET, (struct db_param[]){P_TEXT(key)}, a, &r, &e), ERR_NOT_FOUND);
}

static int runs;
static enum err_code fail_serialization_twice(struct db *db, void *ctx, struct err *e)
{
    static const struct stmt do40001 = {"test_40001", 1,
                                        "SELECT set_config('inari.x', CASE WHEN $1::int > 2 THEN "
                                        "'fine' ELSE inari_test_40001() END, true)"};

    (void)ctx;
    runs++;
    return db_run(db, &do40001, (struct db_param[]){P_INT(runs)}, NULL, NULL, e);
}

static void serialization_failure_is_repeated(void **state)
{
    static const struct stmt make = {
        "test_make", 0,
        "CREATE FUNCTION inari_test_40001() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN "
        "RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $f$"};
    AUTO(db_close) struct db *db = open_db();
    struct err e = {0};

    (void)state;
    assert_int_equal(db_run(db, &make, NULL, NULL, NULL, &e), ERR_OK);
    runs = 0;
    assert_int_equal(tx_run(db, "test", fail_serialization_twice, NULL, &e), ERR_OK);
    assert_int_equal(runs, 3);
}

static enum err_code die_inside(struct db *db, void *ctx, struct err *e)
{
    AUTO(json_free) json_t *v = json_true();
    struct err ignored;

    (void)ctx;
    assert_int_equal(
        db_run(db, &PUT, (struct db_param[]){P_TEXT("died"), P_JSON(v)}, NULL, NULL, e), ERR_OK);
    assert_int_equal(db_run(db, &KILL_ME, NULL, NULL, NULL, &ignored), ERR_OVERLOADED);
    /* a new connection in the middle would store half a transaction */
    assert_int_equal(
        db_run(db, &PUT, (struct db_param[]){P_TEXT("half"), P_JSON(v)}, NULL, NULL, &ignored),
        ERR_OVERLOADED);
    return ERR_OK; /* even a careless caller does not commit */
}

static void lost_connection_is_no_half_transaction(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    struct err e = {0};
    struct rows *r = NULL;

    (void)state;
    assert_int_equal(tx_run(db, "test", die_inside, NULL, &e), ERR_OVERLOADED);
    assert_int_equal(db_one(db, &GET, (struct db_param[]){P_TEXT("died")}, a, &r, &e),
                     ERR_NOT_FOUND);
    assert_int_equal(db_one(db, &GET, (struct db_param[]){P_TEXT("half")}, a, &r, &e),
                     ERR_NOT_FOUND);
}

/* The server says nothing more while it commits: a deferred trigger that kills its own backend. */
static enum err_code insert_doomed(struct db *db, void *ctx, struct err *e)
{
    static const struct stmt doomed = {"test_doomed", 0,
                                       "INSERT INTO inari_test_doomed VALUES (1)"};

    (void)ctx;
    return db_run(db, &doomed, NULL, NULL, NULL, e);
}

static void lost_commit_is_neither_failed_nor_done(void **state)
{
    static const struct stmt table = {"test_doomed_table", 0,
                                      "CREATE TABLE inari_test_doomed (i int)"};
    static const struct stmt function = {
        "test_doomed_function", 0,
        "CREATE FUNCTION inari_test_die() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN "
        "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $f$"};
    static const struct stmt trigger = {"test_doomed_trigger", 0,
                                        "CREATE CONSTRAINT TRIGGER inari_test_die AFTER INSERT ON "
                                        "inari_test_doomed DEFERRABLE INITIALLY DEFERRED "
                                        "FOR EACH ROW EXECUTE FUNCTION inari_test_die()"};
    AUTO(db_close) struct db *db = open_db();
    struct err e = {0};

    (void)state;
    assert_int_equal(db_run(db, &table, NULL, NULL, NULL, &e), ERR_OK);
    assert_int_equal(db_run(db, &function, NULL, NULL, NULL, &e), ERR_OK);
    assert_int_equal(db_run(db, &trigger, NULL, NULL, NULL, &e), ERR_OK);
    assert_int_equal(tx_run(db, "test", insert_doomed, NULL, &e), ERR_OUTCOME_UNKNOWN);
    /* and the connection is usable again */
    assert_int_equal(db_run(db, &table, NULL, NULL, NULL, &e), ERR_INTERNAL);
}

static void comes_back_after_restart(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    AUTO(db_close) struct db *other = NULL;
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    struct err e = {0};
    struct rows *r = NULL;
    char cmd[400];
    int64_t start;

    (void)state;
    assert_int_equal(db_one(db, &GET, (struct db_param[]){P_TEXT("none")}, a, &r, &e),
                     ERR_NOT_FOUND);
    (void)snprintf(cmd, sizeof cmd, "%s %s/pg_ctl -D %s/data -w -m immediate %s >/dev/null 2>&1",
                   getuid() == 0 ? "runuser -u nobody --" : "", getenv("INARI_TEST_PG_BIN"),
                   getenv("INARI_TEST_PG_DIR"), "stop");
    assert_int_equal(system(cmd), 0);
    assert_int_equal(db_one(db, &GET, (struct db_param[]){P_TEXT("none")}, a, &r, &e),
                     ERR_OVERLOADED);
    start = clock_mono_ms();
    for (int i = 0; i < 1000; i++) /* backed off: no thousand connection attempts */
        assert_int_equal(db_one(db, &GET, (struct db_param[]){P_TEXT("none")}, a, &r, &e),
                         ERR_OVERLOADED);
    assert_true(clock_mono_ms() - start < 2000);
    for (start = clock_mono_ms();
         db->retry_mono_ms < clock_mono_ms() + 2000 && clock_mono_ms() - start < 20000;) {
        assert_int_equal(db_one(db, &GET, (struct db_param[]){P_TEXT("none")}, a, &r, &e),
                         ERR_OVERLOADED);
        (void)usleep(20000);
    }
    (void)snprintf(cmd, sizeof cmd,
                   "%s %s/pg_ctl -D %s/data -w -l %s/data/log -o \"-c listen_addresses='' -k %s -c "
                   "fsync=off\" start "
                   ">/dev/null 2>&1",
                   getuid() == 0 ? "runuser -u nobody --" : "", getenv("INARI_TEST_PG_BIN"),
                   getenv("INARI_TEST_PG_DIR"), getenv("INARI_TEST_PG_DIR"),
                   getenv("INARI_TEST_PG_DIR"));
    assert_int_equal(system(cmd), 0);
    assert_false(db_reached()); /* nobody has asked it yet */
    other = open_db();
    assert_int_equal(db_one(other, &GET, (struct db_param[]){P_TEXT("none")}, a, &r, &e),
                     ERR_NOT_FOUND);
    assert_true(db_reached());
    /* Its own back-off has not ended, but another connection got through. */
    assert_true(db->retry_mono_ms > clock_mono_ms());
    assert_int_equal(db_one(db, &GET, (struct db_param[]){P_TEXT("none")}, a, &r, &e),
                     ERR_NOT_FOUND);
}

static void slow_statement_is_given_up(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    struct err e = {0};
    int64_t start = clock_mono_ms();

    (void)state;
    assert_int_equal(db_run(db, &SLEEP, NULL, NULL, NULL, &e), ERR_OVERLOADED);
    assert_in_range(clock_mono_ms() - start, 4500, 7500);
}

static void hints_arrive(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    AUTO(db_close) struct db *other = open_db();
    struct db_hint hint;
    struct err e = {0};
    bool got = true;

    (void)state;
    assert_int_equal(db_listen(db, "inari_change", &e), ERR_OK);
    assert_int_equal(db_wait(db, 20, &hint, &got, &e), ERR_OK);
    assert_false(got);
    assert_int_equal(db_run(other, &NOTIFY,
                            (struct db_param[]){P_TEXT("inari_change"), P_TEXT("device 1")}, NULL,
                            NULL, &e),
                     ERR_OK);
    assert_int_equal(db_wait(db, 2000, &hint, &got, &e), ERR_OK);
    assert_true(got);
    assert_string_equal(hint.channel, "inari_change");
    assert_string_equal(hint.payload, "device 1");
}

/* Who waits for hints learns that some may have been missed, and gets the ones that follow. */
static void a_new_connection_listens_and_says_so(void **state)
{
    AUTO(db_close) struct db *db = open_db();
    AUTO(db_close) struct db *other = open_db();
    struct db_hint hint;
    struct err e = {0};
    bool got = true;

    (void)state;
    assert_int_equal(db_times_opened(db), 0);
    assert_int_equal(db_listen(db, "inari_change", &e), ERR_OK);
    assert_int_equal(db_times_opened(db), 1);
    assert_int_equal(db_wait(db, 0, &hint, &got, &e), ERR_OK);
    assert_int_equal(db_times_opened(db), 1);
    (void)shutdown(PQsocket(db->conn), SHUT_RDWR);
    assert_int_equal(db_wait(db, 0, &hint, &got, &e), ERR_OK);
    assert_false(got);
    assert_int_equal(db_times_opened(db), 2);
    assert_int_equal(db_run(other, &NOTIFY,
                            (struct db_param[]){P_TEXT("inari_change"), P_TEXT("again")}, NULL,
                            NULL, &e),
                     ERR_OK);
    assert_int_equal(db_wait(db, 2000, &hint, &got, &e), ERR_OK);
    assert_true(got);
    assert_string_equal(hint.payload, "again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrates_once_and_again),
        cmocka_unit_test(refuses_superuser_and_newer_schema),
        cmocka_unit_test(every_statement_prepares),
        cmocka_unit_test(days_of_events_are_made_once),
        cmocka_unit_test(a_day_made_by_two_is_made_once),
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(copied_bytes_come_back),
        cmocka_unit_test(a_copy_is_whole_or_nothing),
        cmocka_unit_test(a_lost_copy_is_nothing),
        cmocka_unit_test(conflict_rolls_back),
        cmocka_unit_test(serialization_failure_is_repeated),
        cmocka_unit_test(lost_connection_is_no_half_transaction),
        cmocka_unit_test(lost_commit_is_neither_failed_nor_done),
        cmocka_unit_test(hints_arrive),
        cmocka_unit_test(a_new_connection_listens_and_says_so),
        cmocka_unit_test(slow_statement_is_given_up),
        cmocka_unit_test(comes_back_after_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
