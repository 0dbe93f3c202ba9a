/* P09: limits agree along the path. */
#include "plan/plan_private.h"

#include <stdio.h>

struct order {
    const char *smaller, *larger;
    bool zero_is_none; /* 0 in the smaller one means "no limit", and is as large as can be */
    const char *only;  /* the mail path it is about; NULL: all of them */
    bool warn;         /* nothing stops or gets lost: the larger value merely has no effect */
};

static const struct order orders[] = {
    {"smtp.client_connection_limit", "smtp.process_limit", true, NULL, true},
    {"sender_filter.max_sessions", "smtp.process_limit", false, "front", false},
    {"smtp.client_connection_limit", "sender_filter.max_sessions", true, "front", true},
    {"smtp.soft_error_limit", "smtp.hard_error_limit", false, NULL, true},
    {"queue.bounce_lifetime", "queue.maximal_lifetime", false, NULL, true},
    {"queue.minimal_backoff", "queue.maximal_backoff", false, NULL, false},
    {"queue.maximal_backoff", "queue.maximal_lifetime", false, NULL, true},
    {"queue.run_delay", "queue.minimal_backoff", false, NULL, true},
    {"queue.warning_time", "queue.maximal_lifetime", false, NULL, true},
    {"scan.concurrency_limit", "scan.reinject_process_limit", false, "plain", false},
    {"scan.connect_timeout", "scan.timeout", false, "plain", false},
};

void plan_check_limits(struct plan_builder *b)
{
    int64_t size = plan_int(b, "smtp.message_size_limit"), room = plan_int(b, "queue.min_free");
    char is[24], bound[24];

    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        const struct order *o = &orders[i];
        int64_t x = plan_int(b, o->smaller), y = plan_int(b, o->larger);
        if ((o->only != NULL && strcmp(o->only, b->mail_path) != 0) ||
            (o->zero_is_none && x == 0) || x <= y)
            continue;
        (void)snprintf(is, sizeof is, "%lld", (long long)x);
        (void)snprintf(bound, sizeof bound, "%lld", (long long)y);
        (void)(o->warn ? finding_warn : finding_add)(
            b->f, F_P09_ORDER, plan_at(b, o->smaller, NULL), o->smaller, is, o->larger, bound);
    }
    if (room > 0 && room < size + size / 2) {
        (void)snprintf(is, sizeof is, "%lld", (long long)room);
        (void)snprintf(bound, sizeof bound, "%lld", (long long)size);
        (void)finding_add(b->f, F_P09_QUEUE_SPACE, plan_at(b, "queue.min_free", NULL), is, bound,
                          NULL, NULL);
    }
}
