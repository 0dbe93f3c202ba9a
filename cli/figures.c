/* What a device's Postfix did lately, minute by minute, as part of "inarictl device". */
#include "cli.h"
#include "device.h"
#include "table.h"

#include <stdio.h>
#include <time.h>

enum { ROWS = 10, COLUMNS = 7 };

static int64_t rejected_of(const json_t *row, char *words, size_t size)
{
    const char *reason;
    json_t *v;
    int64_t n = 0;
    size_t at = 0;

    words[0] = '\0';
    json_object_foreach(json_object_get(row, "rejected"), reason, v)
    {
        n += json_integer_value(v);
        if (at < size)
            at += (size_t)snprintf(words + at, size - at, "%s%.20s %lld", at == 0 ? "" : ", ",
                                   reason, (long long)json_integer_value(v));
    }
    return n;
}

/* Nine of ten deliveries took at most so long; classes as the agent has them (wire.md). */
static const char *latency_of(const json_t *row)
{
    static const char *const upto[] = {"0.1 s", "0.3 s", "1 s",   "3 s",    "10 s",
                                       "30 s",  "100 s", "300 s", "> 300 s"};
    const json_t *classes = json_object_get(row, "latency");
    int64_t all = 0, sum = 0;
    size_t i;
    json_t *v;

    json_array_foreach(classes, i, v) all += json_integer_value(v);
    for (i = 0; i < json_array_size(classes) && i < COUNT_OF(upto); i++) {
        sum += json_integer_value(json_array_get(classes, i));
        if (all > 0 && sum * 10 >= all * 9)
            return upto[i];
    }
    return "-";
}

static void row(struct table *t, const json_t *m)
{
    static const char *const members[] = {"accepted", "delivered", "deferred", "bounced"};
    time_t at = (time_t)json_int(m, "at", 0);
    char when[32] = "-", words[160];
    struct tm tm;
    int64_t n = rejected_of(m, words, sizeof words);

    if (localtime_r(&at, &tm) != NULL)
        (void)strftime(when, sizeof when, "%H:%M:%S", &tm);
    table_cell(t, when);
    for (size_t i = 0; i < COUNT_OF(members); i++)
        table_cellf(t, "%lld", (long long)json_int(m, members[i], 0));
    table_cellf(t, n == 0 ? "%lld" : "%lld (%s)", (long long)n, words);
    table_cell(t, latency_of(m));
}

void device_figures(const struct cli *c, const json_t *health)
{
    static const enum text heads[COLUMNS] = {T_MINUTE,  T_ACCEPTED, T_SENT_ON, T_DEFERRED,
                                             T_BOUNCED, T_REJECTED, T_LATENCY};
    const json_t *mail = json_object_get(health, "mail"),
                 *minutes = json_object_get(mail, "minutes");
    AUTO(table_free) struct table *t = NULL;
    size_t n = json_array_size(minutes);

    if (!json_is_object(mail))
        return;
    fputc('\n', stdout);
    if (strcmp(json_str(mail, "state", ""), "unreadable") == 0) {
        say(c, T_LOG_UNREADABLE, json_str(mail, "reason", ""));
        return;
    }
    if (n == 0) {
        say(c, T_NO_MAIL_SEEN);
        return;
    }
    if ((t = table_new(COLUMNS)) == NULL)
        return;
    for (size_t i = 0; i < COLUMNS; i++)
        table_cell(t, tx(c, heads[i]));
    for (size_t i = n > ROWS ? n - ROWS : 0; i < n; i++)
        row(t, json_array_get(minutes, i));
    table_print(t, stdout, 0);
}
