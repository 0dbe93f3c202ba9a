#include "foxproxy/decide.h"

/* The row that counts; 0: none (ids are never 0). */
static uint64_t row_of(const struct list *l, const struct iplist_addr *a, int64_t wall_ms)
{
    struct iplist_row row;

    return l != NULL && iplist_find(l->rows, a, wall_ms, &row) ? row.id : 0;
}

static void note(struct decision *d, enum decide_source source, uint64_t row)
{
    if (d->would != DECIDE_NOBODY)
        return;
    d->would = source;
    d->would_row = row;
}

struct decision decide_address(const struct snapshot *s, const struct iplist_addr *a,
                               int64_t wall_ms)
{
    struct decision d = {.source = DECIDE_NOBODY};
    uint64_t row;

    if (s->ini.approved != INI_OFF && (row = row_of(s->approved, a, wall_ms)) != 0) {
        if (s->ini.approved == INI_ON) {
            d.source = DECIDE_APPROVED;
            d.row = row;
            return d;
        }
        note(&d, DECIDE_APPROVED, row);
    }
    if (s->ini.blocked != INI_OFF && (row = row_of(s->blocked, a, wall_ms)) != 0) {
        if (s->ini.blocked == INI_ON) {
            d.refuse = true;
            d.source = DECIDE_BLOCKED;
            d.row = row;
            d.reply = REPLY_BLOCKED;
            return d;
        }
        note(&d, DECIDE_BLOCKED, row);
    }
    return d;
}

const char *decide_source_name(enum decide_source s)
{
    return s == DECIDE_APPROVED ? "approved" : s == DECIDE_BLOCKED ? "blocked" : "none";
}
