/* "inarictl figures": time series of a device or of the fleet, with a small line of what came in.
 */
#include "cli.h"

#include <stdio.h>
#include <time.h>

enum { COLUMNS = 9, SPARKS = 60 };

static const char *when_text(const char *at, int64_t step_s, char *buf, size_t size)
{
    struct tm tm = {0};
    time_t t;

    (void)snprintf(buf, size, "%s", at);
    if (strptime(at, "%Y-%m-%dT%H:%M:%S", &tm) == NULL || (t = timegm(&tm)) == (time_t)-1 ||
        localtime_r(&t, &tm) == NULL)
        return buf;
    (void)strftime(buf, size, step_s >= 86400 ? "%Y-%m-%d" : "%m-%d %H:%M", &tm);
    return buf;
}

/* Nine of ten deliveries took at most so long. */
static void latency(struct table *t, const json_t *values, const json_t *limits)
{
    const json_t *classes = json_object_get(values, "latency");
    int64_t all = 0, sum = 0;
    size_t i, n = json_array_size(limits);
    json_t *v;

    json_array_foreach(classes, i, v) all += json_integer_value(v);
    for (i = 0; all > 0 && i < json_array_size(classes); i++) {
        double s = (double)json_integer_value(json_array_get(limits, i < n ? i : n - 1)) / 1000;
        sum += json_integer_value(json_array_get(classes, i));
        if (sum * 10 >= all * 9) {
            table_cellf(t, i < n ? "%g s" : "> %g s", s);
            return;
        }
    }
    table_cell(t, "-");
}

static void gauge(struct table *t, const json_t *v, const char *fmt)
{
    if (json_is_integer(v))
        table_cellf(t, "%lld%s", (long long)json_integer_value(v), fmt);
    else
        table_cell(t, "-");
}

static void refused(struct table *t, const json_t *values)
{
    AUTO_STRBUF struct strbuf words = STRBUF_INIT(KIB);
    const char *reason;
    json_t *v;

    json_object_foreach(json_object_get(values, "rejected"), reason, v) strbuf_printf(
        &words, "%s%s %lld", words.n == 0 ? "" : ", ", reason, (long long)json_integer_value(v));
    table_cellf(t, words.n == 0 ? "%lld" : "%lld (%s)", (long long)json_int(values, "refused", 0),
                strbuf_str(&words));
}

static void row(struct table *t, const json_t *doc, const json_t *point)
{
    static const char *const members[] = {"accepted", "delivered", "deferred", "bounced"};
    const json_t *values = json_object_get(point, "values");
    char when[64];

    table_cell(
        t, when_text(json_str(point, "at", "-"), json_int(doc, "step_s", 60), when, sizeof when));
    if (!json_is_object(values)) {
        for (int i = 1; i < COLUMNS; i++)
            table_cell(t, "-");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(members); i++)
        table_cellf(t, "%lld", (long long)json_int(values, members[i], 0));
    refused(t, values);
    latency(t, values, json_object_get(doc, "latency_ms"));
    gauge(t, json_object_get(json_object_get(values, "queue"), "deferred"), "");
    gauge(t, json_object_get(values, "oldest_max_s"), " s");
}

/* The last points of one member as blocks of eight heights; a blank where nothing is known. */
static void spark(const struct cli *c, const json_t *points, enum text label, const char *member)
{
    static const char *const block[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    size_t n = json_array_size(points), from = n > SPARKS ? n - SPARKS : 0;
    AUTO_STRBUF struct strbuf line = STRBUF_INIT(KIB);
    int64_t most = 0;

    for (size_t i = from; i < n; i++) {
        int64_t v = json_int(json_object_get(json_array_get(points, i), "values"), member, 0);
        most = v > most ? v : most;
    }
    for (size_t i = from; i < n; i++) {
        const json_t *v =
            json_object_get(json_object_get(json_array_get(points, i), "values"), member);
        if (!json_is_integer(v))
            strbuf_puts(&line, " ");
        else
            strbuf_puts(
                &line,
                block[most == 0 ? 0 : (size_t)((double)json_integer_value(v) * 7 / (double)most)]);
    }
    printf("%-12s|%s| 0..%lld\n", tx(c, label), strbuf_str(&line), (long long)most);
}

static void show(const struct cli *c, const json_t *doc)
{
    static const enum text heads[COLUMNS] = {T_AT,       T_ACCEPTED,       T_SENT_ON,
                                             T_DEFERRED, T_BOUNCED,        T_REJECTED,
                                             T_LATENCY,  T_QUEUE_DEFERRED, T_OLDEST};
    const json_t *points = json_object_get(doc, "points");
    AUTO(table_free) struct table *t = table_new(COLUMNS);
    size_t i;
    json_t *p;

    if (t == NULL)
        return;
    for (i = 0; i < COLUMNS; i++)
        table_cell(t, tx(c, heads[i]));
    json_array_foreach(points, i, p) row(t, doc, p);
    table_print(t, stdout, 0);
    fputc('\n', stdout);
    spark(c, points, T_ACCEPTED, "accepted");
    spark(c, points, T_REJECTED, "refused");
    spark(c, points, T_DEFERRED, "deferred");
}

enum cli_exit verb_figures(struct cli *c)
{
    static const char *const filters[] = {"device", "step", "since", "until"};
    static const char *const steps[][2] = {{"minute", "60"}, {"hour", "3600"}, {"day", "86400"}};
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(8 * KIB);
    AUTO(json_free) json_t *doc = NULL;
    char separator = '?';
    enum cli_exit rc;

    strbuf_puts(&path, "/api/v1/figures");
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        const char *given = cli_opt(c, filters[i]);
        AUTO_STR char *v = NULL;
        for (size_t k = 0; i == 1 && given != NULL && k < COUNT_OF(steps); k++)
            given = strcmp(given, steps[k][0]) == 0 ? steps[k][1] : given;
        if (given == NULL || (v = apiclient_escape(given)) == NULL)
            continue;
        strbuf_printf(&path, "%c%s=%s", separator, filters[i], v);
        separator = '&';
    }
    rc = cli_get(c, strbuf_str(&path), &doc);
    if (rc != EXIT_OK_)
        return rc;
    if (c->json)
        print_json(doc);
    else
        show(c, doc);
    return EXIT_OK_;
}
