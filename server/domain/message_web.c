#include "domain/message_web.h"

#include "base/clock.h"

#include <stdlib.h>
#include <strings.h>

enum {
    DAY_MS = 24 * 3600 * 1000,
    NEAR_MS = 10 * 60 * 1000,   /* two devices tell of one hand-over: clocks, and the time one waits
                                   for the other's answer */
    TRAILING_MS = 5000,         /* a line about an entry that comes after its removal */
    CLOSE_MS = 2 * 3600 * 1000, /* around a moment of an entry: most of them are in the queue for a
                                   much shorter time */
    SESSION_MS = 3600 * 1000,   /* what a slow client did before its message was in the queue */
};
static const int64_t IN_QUEUE_MS =
    10LL * DAY_MS; /* longer than Postfix keeps anything by default, twice */

int event_row_compare(const struct event_row *a, const struct event_row *b)
{
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    if (a->batch != b->batch)
        return a->batch < b->batch ? -1 : 1;
    return a->n - b->n;
}

static int compare_pointers(const void *a, const void *b)
{
    return event_row_compare(*(struct event_row *const *)a, *(struct event_row *const *)b);
}

enum err_code web_init(struct web *w, struct arena *a, bool one, struct err *e)
{
    *w = (struct web){.a = a,
                      .max_legs = one ? WEB_LEGS_ONE : WEB_LEGS_LIST,
                      .one = one,
                      .per_leg = one ? WEB_ROWS_ONE : WEB_ROWS_LIST};
    w->max_edges = w->max_legs * 4;
    w->leg = arena_alloc(a, w->max_legs * sizeof *w->leg);
    w->edge = arena_alloc(a, w->max_edges * sizeof *w->edge);
    return w->leg != NULL && w->edge != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static bool covers(const struct leg *l, int64_t at_ms)
{
    if (l->seen)
        return at_ms >= l->first_ms - TRAILING_MS &&
               at_ms <= l->last_ms + (l->removed ? TRAILING_MS : IN_QUEUE_MS);
    return llabs((long long)(l->anchor_ms - at_ms)) < TRAILING_MS;
}

int web_add(struct web *w, const char *device_id, const char *queue_id, int64_t at_ms)
{
    for (size_t i = 0; i < w->n_legs; i++) {
        const struct leg *l = &w->leg[i];
        if (strcmp(l->queue_id, queue_id) == 0 && strcmp(l->device_id, device_id) == 0 &&
            covers(l, at_ms))
            return (int)i;
    }
    if (w->n_legs == w->max_legs) {
        w->cut = true;
        return -1;
    }
    w->leg[w->n_legs] = (struct leg){.device_id = device_id,
                                     .device_name = "",
                                     .queue_id = queue_id,
                                     .message_id = "",
                                     .anchor_ms = at_ms,
                                     .first_ms = at_ms,
                                     .last_ms = at_ms,
                                     .next_leg = -1,
                                     .same = -1,
                                     .group = (int)w->n_legs};
    return (int)w->n_legs++;
}

int web_add_row(struct web *w, struct event_row *row)
{
    struct event_row **list = arena_alloc(w->a, sizeof(struct event_row *));
    int i = -1;

    if (w->n_legs < w->max_legs && list != NULL) {
        i = (int)w->n_legs++;
        list[0] = row;
        w->leg[i] = (struct leg){.device_id = row->device_id,
                                 .device_name = row->device_name,
                                 .queue_id = "",
                                 .message_id = row->message_id,
                                 .anchor_ms = row->at_ms,
                                 .first_ms = row->at_ms,
                                 .last_ms = row->at_ms,
                                 .row = list,
                                 .n = 1,
                                 .next_leg = -1,
                                 .same = -1,
                                 .group = i,
                                 .seen = true};
    }
    return i;
}

static int group_of(const struct web *w, int i)
{
    while (w->leg[i].group != i)
        i = w->leg[i].group;
    return i;
}

static void join(struct web *w, int a, int b)
{
    a = group_of(w, a);
    b = group_of(w, b);
    if (a != b)
        w->leg[a > b ? a : b].group = a > b ? b : a;
}

/* --- reading --- */

static json_t *span(int64_t lo_ms, int64_t hi_ms)
{
    char lo[CLOCK_TEXT_SIZE], hi[CLOCK_TEXT_SIZE];

    clock_format(lo_ms < 0 ? 0 : lo_ms, lo);
    clock_format(hi_ms, hi);
    return json_pack("{s:s,s:s}", "lo", lo, "hi", hi);
}

static bool is_kind(const struct event_row *r, const char *word)
{
    return strncmp(r->kind, "message.", 8) == 0 && strcmp(r->kind + 8, word) == 0;
}

/* Of all rows of that queue id those of the life that the anchor is in; they are sorted. */
static void cut_to_life(struct leg *l)
{
    size_t from = 0, to = l->n;

    for (size_t i = 0; i + 1 < l->n; i++) {
        const struct event_row *r = l->row[i], *after = l->row[i + 1];
        bool ends = (is_kind(r, "removed") &&
                     (is_kind(after, "queued") || after->at_ms > r->at_ms + TRAILING_MS)) ||
                    after->at_ms - r->at_ms > IN_QUEUE_MS;
        if (!ends)
            continue;
        if (after->at_ms <= l->anchor_ms)
            from = i + 1;
        else if (to == l->n)
            to = i + 1;
    }
    l->row += from;
    l->n = to - from;
}

static void look_at(struct leg *l)
{
    l->removed = l->held = false;
    for (size_t i = 0; i < l->n; i++) {
        const struct event_row *r = l->row[i];
        if (is_kind(r, "queued") && l->queued == NULL)
            l->queued = r;
        if (is_kind(r, "removed"))
            l->removed = true;
        if (is_kind(r, "held"))
            l->held = true;
        if (is_kind(r, "released") || is_kind(r, "delivery") || is_kind(r, "removed"))
            l->held = false;
        if (r->message_id[0] != '\0' && l->message_id[0] == '\0')
            l->message_id = r->message_id;
        if (r->device_name[0] != '\0')
            l->device_name = r->device_name;
    }
    if (l->n > 0) {
        l->first_ms = l->row[0]->at_ms;
        l->last_ms = l->row[l->n - 1]->at_ms;
    }
}

/* Were all rows of that life within CLOSE_MS of its anchor?  (Or of another leg's, NEAR_MS away.)
 */
static bool whole(const struct leg *l)
{
    const struct event_row *last = l->n > 0 ? l->row[l->n - 1] : NULL;

    return l->queued != NULL && l->removed &&
           l->first_ms - SESSION_MS > l->anchor_ms - CLOSE_MS + NEAR_MS &&
           last->at_ms + TRAILING_MS < l->anchor_ms + CLOSE_MS - NEAR_MS;
}

/* Not enough was read of it: it is read again. */
static void forget(struct leg *l)
{
    l->row = NULL;
    l->n = 0;
    l->queued = NULL;
    l->message_id = "";
    l->removed = l->held = false;
    l->first_ms = l->last_ms = l->anchor_ms;
}

/* Rows of legs from..to (which were not read yet) to their legs. */
static enum err_code hand_out(struct web *w, size_t from, bool all, struct event_row *rows,
                              size_t n, struct err *e)
{
    for (size_t i = from; i < w->n_legs; i++) {
        struct leg *l = &w->leg[i];
        size_t count = 0;
        if (l->seen)
            continue;
        for (size_t k = 0; k < n; k++)
            count += strcmp(rows[k].queue_id, l->queue_id) == 0 &&
                     strcmp(rows[k].device_id, l->device_id) == 0;
        l->row = arena_alloc(w->a, (count + 1) * sizeof(struct event_row *));
        if (l->row == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        for (size_t k = 0; k < n; k++) {
            struct event_row *r = &rows[k];
            if (strcmp(r->queue_id, l->queue_id) != 0 || strcmp(r->device_id, l->device_id) != 0)
                continue;
            if (l->n > 0 && r->at_ms == l->row[l->n - 1]->at_ms &&
                event_row_compare(r, l->row[l->n - 1]) == 0)
                continue; /* two legs asked for it */
            l->row[l->n++] = r;
        }
        if (all && count >= (size_t)w->per_leg)
            w->cut = true;
        qsort(l->row, l->n, sizeof(struct event_row *), compare_pointers);
        cut_to_life(l);
        look_at(l);
        if (!all && (count >= (size_t)w->per_leg || !whole(l))) {
            forget(l);
            continue;
        }
        l->seen = true;
        for (size_t k = 0; k < w->n_legs && l->n > 0; k++) {
            if (k == i || w->leg[k].n == 0 || event_row_compare(w->leg[k].row[0], l->row[0]) != 0)
                continue;
            join(w, (int)k, (int)i);
            l->same = (int)k;
            l->n = 0;
        }
    }
    return ERR_OK;
}

static enum err_code read_legs(struct web *w, size_t from, bool all, struct db *db,
                               const struct event_search *s, struct err *e)
{
    int64_t around = all ? IN_QUEUE_MS : CLOSE_MS;
    AUTO(json_free) json_t *legs = json_array();
    struct event_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    for (size_t i = from; i < w->n_legs; i++) {
        const struct leg *l = &w->leg[i];
        json_t *j;
        bool asked = l->seen;
        for (size_t k = from; k < i && !asked; k++)
            asked =
                !w->leg[k].seen && strcmp(w->leg[k].queue_id, l->queue_id) == 0 &&
                strcmp(w->leg[k].device_id, l->device_id) == 0 &&
                llabs((long long)(w->leg[k].anchor_ms - l->anchor_ms)) < (all ? DAY_MS : NEAR_MS);
        if (asked)
            continue;
        j = span(l->anchor_ms - around, l->anchor_ms + around);
        (void)json_object_set_new(j, "d", json_string(l->device_id));
        (void)json_object_set_new(j, "q", json_string(l->queue_id));
        (void)json_array_append_new(legs, j);
    }
    if (json_array_size(legs) == 0)
        return ERR_OK;
    rc = message_store_legs(db, legs, s, w->per_leg, w->a, &rows, &n, e);
    return rc == ERR_OK ? hand_out(w, from, all, rows, n, e) : rc;
}

/* --- following ids --- */

enum { ENTRY = 1, HANDED_BACK = 2, QUEUED_AS = 3 }; /* message_store_links() */

struct want {
    int leg;
    const struct event_row *row; /* the row that names another entry; NULL: the leg itself does */
    bool notice;
};
struct wants {
    struct want *v;
    size_t n, max;
    json_t *json;
};

static void want(struct wants *x, int leg, const struct event_row *row, int kind,
                 const char *device_id, const char *id, int64_t lo_ms, int64_t hi_ms)
{
    json_t *j;

    if (x->n == x->max || id[0] == '\0' || strlen(id) > 64)
        return;
    j = span(lo_ms, hi_ms);
    (void)json_object_set_new(j, "i", json_integer((json_int_t)x->n));
    (void)json_object_set_new(j, "k", json_integer(kind));
    (void)json_object_set_new(j, "q", json_string(id));
    if (device_id != NULL)
        (void)json_object_set_new(j, "d", json_string(device_id));
    (void)json_array_append_new(x->json, j);
    x->v[x->n++] = (struct want){leg, row, row != NULL && is_kind(row, "bounce")};
}

static void wants_of(const struct web *w, int i, struct wants *x)
{
    const struct leg *l = &w->leg[i];
    const char *orig = "", *last = "";

    if (l->n == 0 || l->queue_id[0] == '\0')
        return;
    for (size_t k = 0; k < l->n; k++) {
        const struct event_row *r = l->row[k];
        if (r->orig_queue_id[0] != '\0')
            orig = r->orig_queue_id;
        if (r->next_queue_id[0] == '\0' || strcmp(r->next_queue_id, last) == 0)
            continue;
        last = r->next_queue_id; /* the recipients of one delivery have one answer */
        want(x, i, r, ENTRY, is_kind(r, "bounce") ? l->device_id : NULL, r->next_queue_id,
             r->at_ms - NEAR_MS, r->at_ms + NEAR_MS);
    }
    if (strcmp(orig, l->queue_id) != 0)
        want(x, i, NULL, ENTRY, l->device_id, orig, l->first_ms - IN_QUEUE_MS, l->first_ms + 60000);
    want(x, i, NULL, HANDED_BACK, l->device_id, l->queue_id, l->first_ms - 60000,
         l->last_ms + NEAR_MS);
    want(x, i, NULL, QUEUED_AS, NULL, l->queue_id, l->first_ms - NEAR_MS, l->first_ms + NEAR_MS);
}

static void add_edge(struct web *w, int from, int to, bool notice, const char *next_queue_id)
{
    if (from < 0 || to < 0 || from == to)
        return;
    if (w->n_edges == w->max_edges) {
        w->cut = true;
        return;
    }
    w->edge[w->n_edges++] = (struct leg_edge){from, to, next_queue_id};
    w->leg[to].after_another = true;
    w->leg[to].notice = w->leg[to].notice || notice;
    join(w, from, to);
}

static bool contradict(const char *a, const char *b)
{
    return a[0] != '\0' && b[0] != '\0' && strcmp(a, b) != 0;
}

static void follow(struct web *w, const struct wants *x, const struct event_link *k)
{
    const struct want *q = &x->v[k->i];
    const struct leg *l = &w->leg[q->leg];
    bool notice = q->notice || strcmp(k->row_kind, "message.bounce") == 0;
    int other;

    if (!notice && contradict(l->message_id, k->message_id))
        return;
    if (k->kind == QUEUED_AS && notice && strcmp(k->device_id, l->device_id) != 0)
        return;
    other = web_add(w, k->device_id, k->queue_id, k->at_ms);
    if (k->kind == QUEUED_AS)
        add_edge(w, other, q->leg, notice, k->next_queue_id);
    else if (k->kind == HANDED_BACK)
        add_edge(w, q->leg, other, false, "");
    else if (q->row == NULL)
        add_edge(w, other, q->leg, false, "");
    else
        add_edge(w, q->leg, other, notice, q->row->next_queue_id);
}

static enum err_code follow_ids(struct web *w, size_t from, struct db *db, struct err *e)
{
    struct wants x = {.max = 4 * w->max_legs};
    AUTO(json_free) json_t *list = json_array();
    struct event_link *links = NULL;
    size_t n = 0, to = w->n_legs;
    enum err_code rc = ERR_OK;

    x.json = list;
    x.v = arena_alloc(w->a, x.max * sizeof *x.v);
    if (x.v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = from; i < to; i++)
        wants_of(w, (int)i, &x);
    if (x.n == x.max)
        w->cut = true;
    if (x.n > 0)
        rc = message_store_links(db, list, w->a, &links, &n, e);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        if (links[i].i >= 0 && (size_t)links[i].i < x.n)
            follow(w, &x, &links[i]);
    return rc;
}

enum err_code web_gather(struct web *w, struct db *db, const struct event_search *s, struct err *e)
{
    size_t from = 0;
    enum err_code rc = ERR_OK;

    for (int round = 0; rc == ERR_OK && from < w->n_legs; round++) {
        size_t next = w->n_legs;
        /* Each day that is looked at is a page of an index to read, so lists look close by first.
         */
        if (!w->one)
            rc = read_legs(w, from, false, db, s, e);
        if (rc == ERR_OK)
            rc = read_legs(w, from, true, db, s, e);
        if (round == WEB_ROUNDS) {
            w->cut = true;
            break;
        }
        if (rc == ERR_OK)
            rc = follow_ids(w, from, db, e);
        from = next;
    }
    for (size_t i = 0; i < w->n_legs; i++) {
        struct leg *l = &w->leg[i];
        int group = group_of(w, (int)i);
        l->group = group;
        if (l->same >= 0) {
            w->leg[l->same].after_another = w->leg[l->same].after_another || l->after_another;
            w->leg[l->same].notice = w->leg[l->same].notice || l->notice;
        }
        if ((int)i != group) {
            w->leg[i].next_leg = w->leg[group].next_leg;
            w->leg[group].next_leg = (int)i;
        }
    }
    return rc;
}

/* --- asking --- */

int web_leg_of(const struct web *w, const struct event_row *row)
{
    for (size_t i = 0; i < w->n_legs; i++) {
        const struct leg *l = &w->leg[i];
        if (strcmp(l->queue_id, row->queue_id) != 0 || strcmp(l->device_id, row->device_id) != 0)
            continue;
        if (l->n > 0 && row->at_ms >= l->first_ms && row->at_ms <= l->last_ms)
            return (int)i;
    }
    return -1;
}

int web_root(const struct web *w, int group)
{
    int best = -1;

    for (int i = group; i >= 0; i = w->leg[i].next_leg) {
        const struct leg *l = &w->leg[i], *b = best < 0 ? NULL : &w->leg[best];
        if (l->n == 0)
            continue;
        if (b == NULL || (b->after_another && !l->after_another) ||
            (b->after_another == l->after_another && l->first_ms < b->first_ms))
            best = i;
    }
    return best;
}

static int itself(const struct web *w, int i)
{
    return w->leg[i].same >= 0 ? w->leg[i].same : i;
}

int web_next(const struct web *w, int leg, const struct event_row *row)
{
    if (row->next_queue_id[0] == '\0')
        return -1;
    for (size_t i = 0; i < w->n_edges; i++) {
        const struct leg_edge *x = &w->edge[i];
        if (itself(w, x->from) == leg && strcmp(x->next_queue_id, row->next_queue_id) == 0)
            return itself(w, x->to);
    }
    return -1;
}
