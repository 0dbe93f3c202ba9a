/* event_line.h: a line of a device becomes a row for COPY; what is odd is kept as it is, bounded,
 * and what must not be kept is nowhere. */
#include "domain/event_line.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

/* The columns behind batch, as EVENT_COPY names them. */
enum column {
    SEQ,
    N,
    AT,
    RECEIVED,
    DEVICE_AT,
    DEVICE,
    STREAM,
    KIND,
    QUEUE_ID,
    ORIG,
    NEXT,
    SENDER,
    RECIPIENT,
    CLIENT,
    CLIENT_NAME,
    HELO,
    MESSAGE_ID,
    SUBJECT,
    SIZE,
    RELAY,
    DSN,
    STATUS,
    REASON,
    TEXT,
    DELAY,
    DETAIL,
    COLUMNS
};
_Static_assert(COLUMNS + 1 == EVENT_COLUMNS, "as many columns as the statement names");

#define NOW_MS        INT64_C(1790000000000)
#define DAY_MS        INT64_C(86400000)
#define EPOCH_2000_US INT64_C(946684800000000)

struct row {
    struct strbuf bytes;
    struct event_row is;
    struct slice v[COLUMNS]; /* p NULL: NULL */
};

static void blind(const void *ctx, struct slice text, char out[65])
{
    uint64_t x = 14695981039346656037u;

    assert_string_equal(ctx, "key");
    for (size_t i = 0; i < text.n; i++)
        x = (x ^ (unsigned char)text.p[i]) * 1099511628211u;
    for (size_t i = 0; i < 4; i++)
        (void)snprintf(out + 16 * i, 17, "%016llx", (unsigned long long)(x + i));
}

static struct event_rules rules(enum event_subject subject)
{
    return (struct event_rules){.device = "0123456789abcde",
                                .stream = "postfix",
                                .now_ms = NOW_MS,
                                .oldest_ms = NOW_MS - 30 * DAY_MS,
                                .subject = subject,
                                .blind = blind,
                                .blind_ctx = "key"};
}

/* The row's bytes as COPY reads them: each column its length and value, nothing left over. */
static void split(struct row *r)
{
    size_t at = r->is.row.at;

    assert_true(strbuf_ok(&r->bytes));
    assert_int_equal(at + r->is.row.n, r->bytes.n);
    for (int i = 0; i < COLUMNS; i++) {
        uint32_t n;
        assert_true(at + 4 <= r->bytes.n);
        memcpy(&n, r->bytes.p + at, 4);
        n = ntohl(n);
        at += 4;
        r->v[i] = n == UINT32_MAX ? (struct slice){NULL, 0} : (struct slice){r->bytes.p + at, n};
        at += r->v[i].n;
        assert_true(at <= r->bytes.n);
    }
    assert_int_equal(at, r->bytes.n);
}

static void take(struct row *r, struct event_rules *rl, struct slice line)
{
    strbuf_clear(&r->bytes);
    event_line_add(rl, line, 7, 42, &r->bytes, &r->is);
    split(r);
}

static struct row row_of(const char *line, enum event_subject subject)
{
    struct event_rules rl = rules(subject);
    struct row r = {.bytes = STRBUF_INIT(256 * KIB)};

    take(&r, &rl, slice_of(line));
    return r;
}

static int64_t number(struct slice s)
{
    uint64_t v = 0;

    assert_true(s.p != NULL && (s.n == 4 || s.n == 8));
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | (unsigned char)s.p[i];
    return s.n == 4 ? (int32_t)v : (int64_t)v;
}

static int64_t time_ms(struct slice s)
{
    return (number(s) + EPOCH_2000_US) / 1000;
}

/* jsonb begins with its version. */
static json_t *detail_of(const struct row *r)
{
    json_t *j;

    assert_true(r->v[DETAIL].n > 1 && r->v[DETAIL].p[0] == 1);
    j = json_loadb(r->v[DETAIL].p + 1, r->v[DETAIL].n - 1, 0, NULL);
    assert_non_null(j);
    assert_int_equal(r->is.detail.n, r->v[DETAIL].n - 1);
    return j;
}

static void assert_is(const struct row *r, enum column c, const char *want)
{
    if (!slice_is(r->v[c], want))
        fail_msg("column %d is \"%.*s\" instead of \"%s\"", (int)c, (int)r->v[c].n, r->v[c].p,
                 want);
}

static bool holds(const struct row *r, const char *what)
{
    return memmem(r->bytes.p, r->bytes.n, what, strlen(what)) != NULL;
}

static void test_every_member(void **state)
{
    struct row r =
        row_of("{\"at\":1789999999000,\"kind\":\"message.delivery\",\"queue_id\":\"4Q1\",\"orig_"
               "queue_id\":\"4Q0\",\"next_queue_id\":\"9F\",\"sender\":\"\","
               "\"recipient\":\"b@x\",\"client\":\"2001:db8::7\",\"client_name\":\"c.x\",\"helo\":"
               "\"h.x\",\"message_id\":\"1@x\",\"subject\":\"\xe4\xbb\xb6\","
               "\"size\":1234,\"relay\":\"mx[192.0.2.1]:25\",\"dsn\":\"2.0.0\",\"status\":\"sent\","
               "\"reason\":\"other\",\"text\":\"250 ok\",\"delay_ms\":-5,"
               "\"detail\":{\"internal\":true},\"colour\":[1],\"nothing\":null}",
               SUBJECT_KEEP);
    static const struct {
        enum column c;
        const char *is;
    } want[] = {{STREAM, "postfix"},
                {KIND, "message.delivery"},
                {QUEUE_ID, "4Q1"},
                {ORIG, "4Q0"},
                {NEXT, "9F"},
                {SENDER, ""},
                {RECIPIENT, "b@x"},
                {CLIENT_NAME, "c.x"},
                {HELO, "h.x"},
                {MESSAGE_ID, "1@x"},
                {SUBJECT, "\xe4\xbb\xb6"},
                {RELAY, "mx[192.0.2.1]:25"},
                {DSN, "2.0.0"},
                {STATUS, "sent"},
                {REASON, "other"},
                {TEXT, "250 ok"},
                {DEVICE, "0123456789abcde"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(want) - 1; i++)
        assert_is(&r, want[i].c, want[i].is);
    assert_memory_equal(r.v[DEVICE].p, "0123456789abcde", 16);
    assert_true(r.v[SENDER].p != NULL); /* a notice's sender is empty, not unknown */
    assert_int_equal(number(r.v[SEQ]), 42);
    assert_int_equal(number(r.v[N]), 7);
    assert_int_equal(number(r.v[SIZE]), 1234);
    assert_int_equal(number(r.v[DELAY]), -5);
    assert_int_equal(time_ms(r.v[AT]), 1789999999000);
    assert_int_equal(time_ms(r.v[RECEIVED]), NOW_MS);
    assert_null(r.v[DEVICE_AT].p);
    assert_true(r.is.internal && r.is.size == 1234 && r.is.delay_ms == -5 &&
                r.is.family == AF_INET6);
    assert_memory_equal(r.bytes.p + r.is.status.at, "sent", 4);
    AUTO(json_free)
    json_t *detail = detail_of(&r),
           *as = json_loads("{\"internal\":true,\"colour\":[1]}", 0, NULL);
    assert_true(json_equal(detail, as));
    strbuf_clear(&r.bytes);
}

/* Of another type, or no address: kept under its name, unless detail says something of that name
 * itself. */
static void test_odd_members(void **state)
{
    struct row r = row_of("{\"at\":1,\"kind\":\"raw\",\"size\":\"big\",\"client\":\"unknown\","
                          "\"status\":7,\"helo\":null,\"text\":{},\"relay\":\"r\","
                          "\"detail\":{\"status\":\"own\"},\"delay_ms\":1.5}",
                          SUBJECT_KEEP);
    AUTO(json_free) json_t *detail = detail_of(&r);
    AUTO(json_free)
    json_t *as = json_loads(
        "{\"status\":\"own\",\"size\":\"big\",\"client\":\"unknown\",\"text\":{},\"delay_ms\":1.5}",
        0, NULL);

    (void)state;
    assert_true(json_equal(detail, as));
    for (int c = SENDER; c < DETAIL; c++)
        assert_true(c == RELAY || r.v[c].p == NULL);
    assert_true(r.is.size == -1 && r.is.delay_ms == -1 && r.is.family == 0 && !r.is.internal);
    strbuf_clear(&r.bytes);
    r = row_of("{\"at\":1,\"kind\":\"raw\",\"detail\":[1]}",
               SUBJECT_KEEP); /* no object: a member like any other */
    AUTO(json_free) json_t *list = detail_of(&r);
    assert_int_equal(json_array_size(json_object_get(list, "detail")), 1);
    strbuf_clear(&r.bytes);
}

static void test_texts_are_cut_between_characters(void **state)
{
    static const struct {
        const char *name;
        enum column c;
        size_t max;
    } cases[] = {{"queue_id", QUEUE_ID, 64}, {"next_queue_id", NEXT, 255},
                 {"sender", SENDER, 1000},   {"recipient", RECIPIENT, 1000},
                 {"helo", HELO, 255},        {"message_id", MESSAGE_ID, 1000},
                 {"subject", SUBJECT, 1000}, {"relay", RELAY, 500},
                 {"dsn", DSN, 20},           {"status", STATUS, 64},
                 {"text", TEXT, 4096}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRBUF struct strbuf line = STRBUF_INIT(EVENT_LINE_MAX);
        struct row r;
        strbuf_printf(&line, "{\"at\":1,\"kind\":\"raw\",\"%s\":\"", cases[i].name);
        for (size_t k = 0; k < 2000; k++)
            strbuf_puts(&line, "\xe4\xbb\xb6");
        strbuf_puts(&line, "\"}");
        r = row_of(strbuf_str(&line), SUBJECT_KEEP);
        if (r.v[cases[i].c].n > cases[i].max || r.v[cases[i].c].n + 3 <= cases[i].max ||
            r.v[cases[i].c].n % 3 != 0)
            fail_msg("%s has %zu bytes", cases[i].name, r.v[cases[i].c].n);
        strbuf_clear(&r.bytes);
    }
}

/* What cannot be a row of its own kind is one all the same. */
static void test_unreadable(void **state)
{
    static const char *const lines[] = {
        "",
        "{",
        "[]",
        "7",
        "{}",
        "{\"at\":1}",
        "{\"kind\":\"raw\"}",
        "{\"at\":\"1\",\"kind\":\"raw\"}",
        "{\"at\":-1,\"kind\":\"raw\"}",
        "{\"at\":253402300800000,\"kind\":\"raw\"}",
        "{\"at\":1,\"kind\":\"\"}",
        "{\"at\":1,\"kind\":\".x\"}",
        "{\"at\":1,\"kind\":\"Raw\"}",
        "{\"at\":1,\"kind\":\"spool.gap\"}",
        "{\"at\":1,\"kind\":\"unreadable\"}",
        "{\"at\":1,\"kind\":\"raw\"} x",
        "{\"at\":1,\"kind\":\"raw\",\"at\":2}",
        "{\"at\":1,\"kind\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct row r = row_of(lines[i], SUBJECT_KEEP);
        if (!slice_is(r.v[KIND], "unreadable") || !slice_is(r.v[TEXT], lines[i]))
            fail_msg("\"%s\" is %.*s: %.*s", lines[i], (int)r.v[KIND].n, r.v[KIND].p,
                     (int)r.v[TEXT].n, r.v[TEXT].p);
        AUTO(json_free) json_t *detail = detail_of(&r);
        assert_int_equal(json_int(detail, "bytes", -1), strlen(lines[i]));
        assert_int_equal(time_ms(r.v[AT]), NOW_MS);
        assert_int_equal(number(r.v[SEQ]), 42);
        strbuf_clear(&r.bytes);
        r = row_of(lines[i], SUBJECT_HASH); /* it may hold one */
        assert_int_equal(r.v[TEXT].n, 0);
        strbuf_clear(&r.bytes);
    }
    struct event_rules rl = rules(SUBJECT_KEEP);
    struct row r = {.bytes = STRBUF_INIT(256 * KIB)};
    take(&r, &rl,
         (struct slice){"a\0b\xff\xc3\xa9", 6}); /* PostgreSQL would refuse the whole batch */
    assert_is(&r, TEXT, "a\\x00b\\xff\xc3\xa9");
    strbuf_clear(&r.bytes);
    AUTO_STRBUF struct strbuf line = STRBUF_INIT(2 * EVENT_LINE_MAX);
    strbuf_puts(&line, "{\"at\":1,\"kind\":\"raw\",\"text\":\"");
    while (line.n <= EVENT_LINE_MAX)
        strbuf_putc(&line, 'x');
    strbuf_puts(&line, "\"}");
    take(&r, &rl, strbuf_slice(&line));
    assert_is(&r, KIND, "unreadable");
    assert_true(r.v[TEXT].n <= 2048);
    strbuf_clear(&r.bytes);
}

static void test_times(void **state)
{
    static const struct {
        int64_t at, stored;
    } cases[] = {{NOW_MS, NOW_MS},
                 {NOW_MS + 5 * 60000, NOW_MS + 5 * 60000},
                 {NOW_MS + 5 * 60000 + 1, NOW_MS},
                 {NOW_MS - 30 * DAY_MS, NOW_MS - 30 * DAY_MS},
                 {NOW_MS - 30 * DAY_MS - 1, NOW_MS},
                 {0, NOW_MS},
                 {253402300799999, NOW_MS}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char line[100];
        struct row r;
        (void)snprintf(line, sizeof line, "{\"at\":%lld,\"kind\":\"raw\"}", (long long)cases[i].at);
        r = row_of(line, SUBJECT_KEEP);
        assert_is(&r, KIND, "raw");
        assert_int_equal(time_ms(r.v[AT]), cases[i].stored);
        assert_int_equal(r.is.at_ms, cases[i].stored);
        if (cases[i].at == cases[i].stored)
            assert_null(r.v[DEVICE_AT].p);
        else
            assert_int_equal(time_ms(r.v[DEVICE_AT]), cases[i].at);
        strbuf_clear(&r.bytes);
    }
}

/* A batch makes so many days and no more, whatever a device's clock does; today is always among
 * them. */
static void test_days_are_bounded(void **state)
{
    struct event_rules rl = rules(SUBJECT_KEEP);
    struct row r = {.bytes = STRBUF_INIT(256 * KIB)};

    (void)state;
    rl.oldest_ms = NOW_MS - 100 * DAY_MS;
    for (int i = 1; i <= 60; i++) {
        char line[100];
        (void)snprintf(line, sizeof line, "{\"at\":%lld,\"kind\":\"raw\"}",
                       (long long)(NOW_MS - i * DAY_MS));
        take(&r, &rl, slice_of(line));
        assert_int_equal(r.is.at_ms, i < EVENT_DAYS_MAX ? NOW_MS - i * DAY_MS : NOW_MS);
    }
    assert_int_equal(rl.n_days, EVENT_DAYS_MAX);
    assert_int_equal(rl.days[0], NOW_MS / DAY_MS);
    strbuf_clear(&r.bytes);
}

/* A subject that is not kept is nowhere; equal ones stay comparable, blanks around them aside. */
static void test_subjects(void **state)
{
    static const char line[] = "{\"at\":1,\"kind\":\"raw\",\"subject\":\" Salary of Bob "
                               "\",\"text\":\"4F: info: header Subject: Salary of Bob from x\","
                               "\"detail\":{\"subject\":\"Salary of Bob\",\"nrcpt\":2}}";
    struct event_rules rl = rules(SUBJECT_HASH);
    struct row kept = row_of(line, SUBJECT_KEEP), hashed = row_of(line, SUBJECT_HASH),
               gone = row_of(line, SUBJECT_OMIT);
    struct row odd =
        row_of("{\"at\":1,\"kind\":\"raw\",\"subject\":[\"Salary of Bob\"]}", SUBJECT_OMIT);
    char want[40];

    (void)state;
    assert_is(&kept, SUBJECT, " Salary of Bob ");
    event_subject_hash(&rl, slice_of("Salary of Bob"), want);
    assert_int_equal(strlen(want), 37);
    assert_is(&hashed, SUBJECT, want);
    event_subject_hash(&rl, slice_of("salary of Bob"), want);
    assert_false(slice_is(hashed.v[SUBJECT], want));
    assert_null(gone.v[SUBJECT].p);
    assert_null(odd.v[SUBJECT].p);
    assert_true(holds(&kept, "Bob"));
    assert_false(holds(&hashed, "Bob") || holds(&gone, "Bob") || holds(&odd, "Bob"));
    assert_is(&gone, TEXT, "4F: info: header Subject:");
    AUTO(json_free) json_t *detail = detail_of(&gone);
    assert_true(json_int(detail, "nrcpt", 0) == 2 && json_object_size(detail) == 1);
    strbuf_clear(&kept.bytes);
    strbuf_clear(&hashed.bytes);
    strbuf_clear(&gone.bytes);
    strbuf_clear(&odd.bytes);
}

static void test_gap(void **state)
{
    struct event_rules rl = rules(SUBJECT_KEEP);
    struct row r = {.bytes = STRBUF_INIT(KIB)};

    (void)state;
    event_line_gap(&rl, "0199d000-0000-7000-8000-000000000001", 4, 10, &r.bytes, &r.is);
    split(&r);
    assert_is(&r, KIND, "spool.gap");
    assert_int_equal(number(r.v[SEQ]), 10);
    assert_int_equal(r.is.count, 7);
    AUTO(json_free) json_t *detail = detail_of(&r);
    assert_true(json_int(detail, "first", 0) == 4 && json_int(detail, "last", 0) == 10 &&
                json_int(detail, "count", 0) == 7);
    strbuf_clear(&r.bytes);
}

/* Numbers may be longer as they are written than as they came; a detail that outgrows its bound is
 * no row of its kind. */
static void test_a_detail_that_grows(void **state)
{
    AUTO_STRBUF struct strbuf line = STRBUF_INIT(EVENT_LINE_MAX);
    struct row r;

    (void)state;
    strbuf_puts(&line, "{\"at\":1,\"kind\":\"raw\",\"detail\":{\"x\":[1e15");
    while (line.n < EVENT_LINE_MAX - 20)
        strbuf_puts(&line, ",1e15");
    strbuf_puts(&line, "]}}");
    r = row_of(strbuf_str(&line), SUBJECT_KEEP);
    assert_true(r.v[DETAIL].n <= (size_t)4 * EVENT_LINE_MAX + 1);
    assert_true(slice_is(r.v[KIND], "raw") || slice_is(r.v[KIND], "unreadable"));
    strbuf_clear(&r.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_member),
                                       cmocka_unit_test(test_odd_members),
                                       cmocka_unit_test(test_texts_are_cut_between_characters),
                                       cmocka_unit_test(test_unreadable),
                                       cmocka_unit_test(test_times),
                                       cmocka_unit_test(test_days_are_bounded),
                                       cmocka_unit_test(test_subjects),
                                       cmocka_unit_test(test_gap),
                                       cmocka_unit_test(test_a_detail_that_grows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
