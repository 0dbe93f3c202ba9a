/* Searches (message.h).  A window is looked through from its newest end in slices, each a statement
 * that is given up after EVENT_FIND_MS; a slice that took too long is tried again smaller.  After
 * MESSAGE_SCAN_MS what was found is the answer. */
#include "domain/message_private.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/page.h"

enum {
    FIRST_SLICE_MS = 30 * 1000,
    SLICE_GROWS = 8,
    WORDS_LAST_MS = 5 * 60 * 1000,
    SLICE_MIN_MS = 5 * 1000,
    CHUNK = 120, /* candidates looked at together */
    COUNT_ROWS = 1500,
    WITH_COUNT_MS = 80, /* a count is worth no wait: it gets what the page left of this, or ... */
    COUNT_MIN_MS = 10,
    FUTURE_MS = 10 * 60 * 1000, /* events may be stamped a little ahead */
};
#define OF_ENTRY    "message.queued,message.rejected"
#define OF_DELIVERY "message.delivery,message.rejected"

struct scan {
    struct db *db;
    struct message_query *q;
    struct arena *a;
    struct message_cursor c; /* the place: what was looked at last */
    int64_t hi_ms, step_ms, begun_mono_ms;
    json_t *items;
    struct event_place end; /* of the last item */
    bool more, partial, moved;
    bool (*take)(struct scan *s, struct arena *a, const struct event_row *rows, size_t n,
                 enum err_code *rc, struct err *e);
    size_t chunk;
};

enum err_code message_device(struct db *db, const char *text, struct arena *a, const char **ret,
                             struct err *e)
{
    enum err_code rc = message_store_device(db, text, a, ret, e);

    if (rc == ERR_OK && (*ret)[0] == '\0' && uuid_is_valid(text))
        *ret = text;
    return rc;
}

/* --- what rows a search for messages looks at --- */

static bool by_recipient(const struct event_search *s)
{
    return s->recipient != NULL || s->recipient_domain != NULL || s->reason != NULL;
}

static void choose_rows(struct message_query *q)
{
    static const char *const status[MESSAGE_STATES] = {[MS_DELIVERED] = "sent",
                                                       [MS_DEFERRED] = "deferred",
                                                       [MS_BOUNCED] = "bounced",
                                                       [MS_EXPIRED] = "expired",
                                                       [MS_REJECTED] = "rejected"};
    struct event_search *s = &q->s;
    bool plain = s->sender == NULL && s->sender_domain == NULL && s->client == NULL &&
                 s->network == NULL && s->message_id == NULL && s->words == NULL;

    if (q->state >= 0 && status[q->state] != NULL)
        s->status = status[q->state];
    s->in_queue = q->state == MS_DEFERRED || q->state == MS_HELD || q->state == MS_QUEUED;
    if (s->status != NULL || by_recipient(s))
        s->kinds = q->state == MS_REJECTED ? "{message.rejected}" : "{" OF_DELIVERY "}";
    else if (s->words != NULL || s->message_id != NULL)
        s->kinds = "{message.queued}";
    else if (q->state == MS_HELD && plain)
        s->kinds = "{message.held}";
    else if (q->state == MS_DISCARDED && plain)
        s->kinds = "{message.discarded,message.removed}";
    else if (s->queue_id != NULL && plain)
        s->kinds =
            "{" OF_ENTRY
            ",message.delivery,message.held,message.removed,message.bounce,message.discarded}";
    else
        s->kinds = "{" OF_ENTRY "}";
}

/* One index gives the rows in their order, or there are few of them: no need for slices. */
static bool selective(const struct event_search *s)
{
    return s->sender != NULL || s->recipient != NULL || s->client != NULL ||
           s->message_id != NULL || s->queue_id != NULL || s->reason != NULL ||
           (s->status != NULL && strcmp(s->status, "sent") != 0);
}

/* --- scanning --- */

static enum err_code begin(struct scan *s, struct err *e)
{
    const struct message_query *q = s->q;
    int64_t now = clock_wall_ms();
    const char *snapshot = "";

    s->items = json_array();
    if (q->cursor[0] != '\0') {
        if (!message_cursor_read(q->cursor, &s->c) ||
            strspn(s->c.snapshot, "0123456789:,") != strlen(s->c.snapshot))
            return err_field(e, ERR_INVALID, "/query/cursor", "not a cursor of this list");
    } else {
        s->c.since_ms = q->since_ms;
        s->c.until_ms = q->until_ms != 0 ? q->until_ms : now + FUTURE_MS;
        if (s->c.since_ms == 0)
            s->c.since_ms = (q->until_ms != 0 ? q->until_ms : now) - MESSAGE_WINDOW_MS;
        if (message_store_snapshot(s->db, s->a, &snapshot, &s->c.snapshot_ms, e) != ERR_OK)
            return e->code;
        if (strlen(snapshot) <= MESSAGE_SNAPSHOT_MAX)
            text_copy(s->c.snapshot, sizeof s->c.snapshot, snapshot);
    }
    /* What comes in while somebody pages changes no page: a message would slip to one that was
     * shown already. */
    s->q->s.snapshot = s->c.snapshot[0] != '\0' ? s->c.snapshot : NULL;
    s->q->s.snapshot_ms = s->c.snapshot_ms;
    s->hi_ms = s->c.until_ms;
    if (q->cursor[0] != '\0') {
        s->q->s.before = s->c.place;
        if (s->c.place.at_ms + 1 < s->hi_ms)
            s->hi_ms = s->c.place.at_ms + 1;
    }
    s->step_ms = selective(&q->s) ? s->hi_ms - s->c.since_ms : FIRST_SLICE_MS;
    s->begun_mono_ms = clock_mono_ms();
    return ERR_OK;
}

static void move_to(struct scan *s, struct event_place place)
{
    s->c.place = place;
    s->q->s.before = place;
    s->moved = true;
}

static bool enough(const struct scan *s)
{
    return s->more;
}

static bool late(const struct scan *s)
{
    return clock_mono_ms() >= s->begun_mono_ms + MESSAGE_SCAN_MS;
}

/* One slice, or a part of it. */
static enum err_code slice(struct scan *s, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(48 * MIB);
    int64_t lo = s->hi_ms - s->step_ms > s->c.since_ms ? s->hi_ms - s->step_ms : s->c.since_ms;
    struct event_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    /* Words that many have: PostgreSQL would gather a day of them to sort out minutes. */
    s->q->s.words_last = s->hi_ms - lo <= WORDS_LAST_MS;
    rc = a == NULL
             ? err_set(e, ERR_NO_MEMORY, "out of memory")
             : message_store_find(s->db, &s->q->s, lo, s->hi_ms, (int)s->chunk, a, &rows, &n, e);

    if (rc != ERR_OK)
        return rc;
    if (!s->take(s, a, rows, n, &rc, e))
        return rc;
    if (n < s->chunk) {
        move_to(s, (struct event_place){lo, 0, 0});
        s->hi_ms = lo;
        s->step_ms *= SLICE_GROWS;
    } else {
        s->hi_ms = rows[n - 1].at_ms + 1;
    }
    return ERR_OK;
}

static enum err_code scan(struct scan *s, struct err *e)
{
    enum err_code rc = ERR_OK;

    while (s->hi_ms > s->c.since_ms && !enough(s)) {
        bool shorter;
        rc = slice(s, e);
        shorter = rc == ERR_OVERLOADED && s->step_ms > SLICE_MIN_MS;
        if (rc != ERR_OK && !shorter)
            break;
        if (shorter) /* the last try before there is nothing to say is the shortest */
            s->step_ms =
                !late(s) && s->step_ms / 64 > SLICE_MIN_MS ? s->step_ms / 64 : SLICE_MIN_MS;
        if (shorter && !s->moved)
            continue;
        if (late(s) && s->hi_ms > s->c.since_ms && !enough(s)) {
            s->partial = s->moved;
            break;
        }
    }
    if (rc != ERR_OVERLOADED || (!s->moved && json_array_size(s->items) == 0))
        return rc;
    s->partial = true;
    return ERR_OK;
}

/* The cursor of what follows: behind the last item, or where the scan stopped. */
static json_t *next_json(struct scan *s)
{
    char text[MESSAGE_CURSOR_SIZE];

    if (!s->more && !s->partial)
        return json_null();
    if (s->more)
        s->c.place = s->end;
    message_cursor_make(&s->c, text);
    return json_string(text);
}

static json_t *answer(struct scan *s)
{
    json_t *next = next_json(s);

    return json_pack("{s:O,s:o,s:b,s:o,s:o}", "items", s->items, "next", next, "partial",
                     (int)(s->partial && !s->more), "since", time_json(s->c.since_ms), "until",
                     time_json(s->c.until_ms));
}

/* --- messages --- */

static bool shown_already(const json_t *items, const char *id)
{
    size_t i;
    json_t *v;

    json_array_foreach(items, i, v)
    {
        if (strcmp(json_str(v, "id", ""), id) == 0)
            return true;
    }
    return false;
}

static bool in_window(const struct scan *s, const struct event_row *r)
{
    return r->at_ms >= s->c.since_ms && r->at_ms < s->c.until_ms;
}

/* A message stands where its newest row that fits stands: at another one it was, or will be, shown.
 */
static bool is_newest(const struct scan *s, const struct message *m, const struct event_row *row)
{
    for (int i = m->group; i >= 0; i = m->web->leg[i].next_leg) {
        const struct leg *l = &m->web->leg[i];
        for (size_t k = 0; k < l->n; k++)
            if (l->row[k]->matches && in_window(s, l->row[k]) &&
                event_row_compare(l->row[k], row) > 0)
                return false;
    }
    return true;
}

/* The state asked for is the one that stands now, of a recipient that the search is about. */
static bool stands(const struct scan *s, const struct message *m)
{
    enum message_state state = (enum message_state)s->q->state;

    if (s->q->state < 0)
        return true;
    if (state == MS_HELD || state == MS_QUEUED || state == MS_DISCARDED)
        return m->state == state;
    for (size_t i = 0; i < m->n_ends; i++)
        if (m->end[i].state == state && m->end[i].row != NULL && m->end[i].row->matches)
            return true;
    return false;
}

static enum err_code add_candidates(struct web *w, struct arena *a, const struct event_row *rows,
                                    size_t n, int *legs, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct event_row *copy = arena_alloc(a, sizeof *copy);
        if (copy == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        *copy = rows[i];
        legs[i] = rows[i].queue_id[0] == '\0'
                      ? web_add_row(w, copy)
                      : web_add(w, rows[i].device_id, rows[i].queue_id, rows[i].at_ms);
    }
    return ERR_OK;
}

/* true: the scan goes on. */
static bool take_messages(struct scan *s, struct arena *a, const struct event_row *rows, size_t n,
                          enum err_code *rc, struct err *e)
{
    int *legs = arena_alloc(a, (n + 1) * sizeof *legs);
    struct web w;

    *rc = legs == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : web_init(&w, a, false, e);
    if (*rc == ERR_OK)
        *rc = add_candidates(&w, a, rows, n, legs, e);
    if (*rc == ERR_OK && n > 0)
        *rc = web_gather(&w, s->db, &s->q->s, e);
    for (size_t i = 0; *rc == ERR_OK && i < n && !s->more; i++) {
        struct message m;
        struct err none = {0};
        enum err_code made =
            legs[i] < 0 ? ERR_NOT_FOUND : message_make(&w, w.leg[legs[i]].group, a, &m, &none);
        if (made == ERR_NO_MEMORY)
            *rc = err_set(e, made, "out of memory");
        if (made == ERR_OK && !m.internal && is_newest(s, &m, &rows[i]) && stands(s, &m) &&
            !shown_already(s->items, m.id)) {
            if (json_array_size(s->items) == (size_t)s->q->limit) {
                s->more = true;
                break;
            }
            (void)json_array_append_new(s->items, message_json(&m));
            s->end = (struct event_place){rows[i].at_ms, rows[i].batch, rows[i].n};
        }
        move_to(s, (struct event_place){rows[i].at_ms, rows[i].batch, rows[i].n});
    }
    return *rc == ERR_OK && !s->more;
}

/* Of the first page only: the following ones would say the same. */
static json_t *count_json(struct scan *s)
{
    int64_t found = (int64_t)json_array_size(s->items), entries = 0, rows = 0;
    int64_t left = s->begun_mono_ms + WITH_COUNT_MS - clock_mono_ms();
    struct event_search all = s->q->s;
    struct err ignored = {0};

    if (s->q->cursor[0] != '\0')
        return json_null();
    if (!s->more && !s->partial)
        return json_pack("{s:I}", "exact", (json_int_t)found);
    all.before = (struct event_place){0};
    all.snapshot = NULL;
    all.words_last = false;
    if (message_store_count(s->db, &all, s->c.since_ms, s->c.until_ms, COUNT_ROWS,
                            left < COUNT_MIN_MS ? COUNT_MIN_MS : (int)left, &entries, &rows,
                            &ignored) != ERR_OK)
        return json_pack("{s:I}", "more_than", (json_int_t)(s->partial ? found - 1 : found));
    if (entries > MESSAGE_COUNT_MAX ||
        rows == COUNT_ROWS) /* at least so many: one less is passed */
        return json_pack(
            "{s:I}", "more_than",
            (json_int_t)(entries > MESSAGE_COUNT_MAX ? MESSAGE_COUNT_MAX : entries - 1));
    return json_pack("{s:I}", "at_most", (json_int_t)entries);
}

enum err_code message_list(struct db *db, struct message_query *q, struct arena *a, json_t **ret,
                           struct err *e)
{
    struct scan s = {.db = db,
                     .q = q,
                     .a = a,
                     .take = take_messages,
                     .chunk = (size_t)q->limit + 1 < CHUNK ? (size_t)q->limit + 1 : CHUNK};
    enum err_code rc;

    choose_rows(q);
    rc = begin(&s, e);
    if (rc == ERR_OK)
        rc = scan(&s, e);
    if (rc == ERR_OK) {
        json_t *count = count_json(&s);
        *ret = answer(&s);
        (void)json_object_set_new(*ret, "count", count);
    }
    json_decref(s.items);
    return rc;
}

/* --- events --- */

static bool take_events(struct scan *s, struct arena *a, const struct event_row *rows, size_t n,
                        enum err_code *rc, struct err *e)
{
    (void)a;
    (void)e;
    *rc = ERR_OK;
    for (size_t i = 0; i < n; i++) {
        if (json_array_size(s->items) == (size_t)s->q->limit) {
            s->more = true;
            return false;
        }
        (void)json_array_append_new(s->items, event_json(&rows[i]));
        s->end = (struct event_place){rows[i].at_ms, rows[i].batch, rows[i].n};
        move_to(s, s->end);
    }
    return true;
}

enum err_code event_list(struct db *db, struct message_query *q, struct arena *a, json_t **ret,
                         struct err *e)
{
    struct scan s = {.db = db, .q = q, .a = a, .take = take_events, .chunk = (size_t)q->limit + 1};
    enum err_code rc = begin(&s, e);

    if (rc == ERR_OK) {
        q->s.snapshot = NULL; /* an event has one place: what comes in later is shown where it
                                 belongs, or was passed */
        rc = scan(&s, e);
    }
    if (rc == ERR_OK)
        *ret = answer(&s);
    json_decref(s.items);
    return rc;
}
