// libs: inari_domain
/* A batch of events as a device sends it, packed (first byte odd) or not, under each way of
 * subjects. */
#include "domain/event_read.h"
#include "http/park.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The listener's: nobody is parked here. */
int park_wake(const char *key)
{
    (void)key;
    return 0;
}

static void blind(const void *ctx, struct slice text, char out[65])
{
    (void)ctx;
    (void)snprintf(out, 65, "%064zu", text.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_rules rules = {.stream = "postfix",
                                .now_ms = INT64_C(1795000000000),
                                .oldest_ms = INT64_C(1790000000000),
                                .blind = blind};
    struct event_read r;
    struct err e = {0};

    if (size < 1)
        return 0;
    rules.subject = (enum event_subject)(data[0] / 2 % 3);
    if (event_read_body((struct slice){(const char *)data + 1, size - 1}, data[0] % 2 == 1, &rules,
                        &r, &e) == ERR_OK) {
        if (r.n_rows != (size_t)r.n || rules.n_days > EVENT_DAYS_MAX)
            abort();
        for (size_t i = 0; i < r.n_rows; i++)
            if (r.row[i].seq != r.first + (int64_t)i || r.row[i].kind.n == 0 ||
                r.row[i].row.at + r.row[i].row.n > r.rows.n)
                abort();
    }
    event_read_clear(&r);
    return 0;
}
