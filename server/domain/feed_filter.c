#include "domain/feed_filter.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is(const char *want, const char *have)
{
    return want[0] == '\0' || strcmp(want, have) == 0;
}

/* "message." wants all that begin so. */
static bool is_kind(const char *want, const char *have)
{
    size_t n = strlen(want);

    return n > 0 && want[n - 1] == '.' ? strncmp(have, want, n) == 0 : is(want, have);
}

static bool is_address(const char *want, const char *have)
{
    const char *domain = strrchr(have, '@');

    if (want[0] == '\0')
        return true;
    if (want[0] == '@')
        return domain != NULL && strcasecmp(want, domain) == 0;
    return strcasecmp(want, have) == 0;
}

bool feed_filter_takes(const struct feed_filter *f, const struct event_row *v)
{
    return is(f->device, v->device_id) && is_kind(f->kind, v->kind) && is(f->stream, v->stream) &&
           is(f->queue_id, v->queue_id) && is_address(f->sender, v->sender) &&
           is_address(f->recipient, v->recipient);
}

void feed_place_text(int64_t epoch, const struct feed_place *p, char buf[FEED_PLACE_SIZE])
{
    (void)snprintf(buf, FEED_PLACE_SIZE, "%lld.%lld.%lld.%ld", (long long)epoch, (long long)p->tx,
                   (long long)p->batch, (long)p->n);
}

bool feed_place_parse(const char *text, int64_t *ret_epoch, struct feed_place *ret)
{
    struct slice rest = slice_of(text);
    int64_t v[4];

    for (size_t i = 0; i < 4; i++) {
        struct slice part = slice_cut(&rest, '.');
        if (part.n > 19 || !parse_i64(part, 0, i == 3 ? INT32_MAX : INT64_MAX, &v[i]))
            return false;
    }
    if (rest.n > 0 || text[strlen(text) - 1] == '.')
        return false;
    *ret_epoch = v[0];
    *ret = (struct feed_place){v[1], v[2], (int32_t)v[3]};
    return true;
}

int feed_place_compare(const struct feed_place *a, const struct feed_place *b)
{
    if (a->tx != b->tx)
        return a->tx < b->tx ? -1 : 1;
    if (a->batch != b->batch)
        return a->batch < b->batch ? -1 : 1;
    return (a->n > b->n) - (a->n < b->n);
}
