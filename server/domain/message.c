#include "domain/message_private.h"

#include "domain/page.h"

#include <stdlib.h>
#include <strings.h>

enum { ENDS_MAX = 4000, SHOWN_RECIPIENTS = 5, SHOWN_ENDS = 500, RELATED_MAX = 5 };

const char *const message_states[] = {"delivered", "deferred", "bounced",   "expired", "rejected",
                                      "held",      "queued",   "discarded", NULL};

static bool is_kind(const struct event_row *r, const char *word)
{
    return strncmp(r->kind, "message.", 8) == 0 && strcmp(r->kind + 8, word) == 0;
}

/* --- what became of it --- */

static bool state_of_row(const struct event_row *r, enum message_state *ret)
{
    static const struct {
        const char *word;
        enum message_state state;
    } words[] = {{"sent", MS_DELIVERED},       {"deferred", MS_DEFERRED},
                 {"bounced", MS_BOUNCED},      {"expired", MS_EXPIRED},
                 {"rejected", MS_REJECTED},    {"undeliverable", MS_BOUNCED},
                 {"deliverable", MS_DELIVERED}};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i].word, r->status) == 0) {
            *ret = words[i].state;
            return true;
        }
    }
    return false;
}

static struct message_end *end_of(struct message *m, int leg, const char *address)
{
    for (size_t i = 0; i < m->n_ends; i++)
        if (m->end[i].leg == leg && strcasecmp(m->end[i].address, address) == 0)
            return &m->end[i];
    if (m->n_ends == ENDS_MAX)
        return NULL;
    m->end[m->n_ends] = (struct message_end){.address = address, .leg = leg, .state = MS_QUEUED};
    return &m->end[m->n_ends++];
}

static bool has_deliveries(const struct leg *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (is_kind(l->row[i], "delivery"))
            return true;
    return false;
}

static enum message_state waits_as(const struct leg *l)
{
    return l->held ? MS_HELD : l->removed ? MS_DISCARDED : MS_QUEUED;
}

/* A recipient who was handed to the next entry ends there, not here. */
static void take_row(struct message *m, int leg, const struct event_row *r)
{
    int next = strcmp(r->status, "sent") == 0 ? web_next(m->web, leg, r) : -1;
    enum message_state state;
    struct message_end *end;

    if (!(is_kind(r, "delivery") || is_kind(r, "rejected")) || !state_of_row(r, &state))
        return;
    if (next >= 0 && has_deliveries(&m->web->leg[next]))
        return;
    if (is_kind(r, "rejected") && json_bool(r->detail, "soft", false))
        return;
    end = end_of(m, leg, r->recipient);
    if (end == NULL)
        return;
    end->attempts++;
    end->row = r;
    end->state = next >= 0 && m->web->leg[next].n > 0 ? waits_as(&m->web->leg[next]) : state;
    /* Postfix removes an entry when nothing is left to send of it; before, somebody deleted it. */
    if (end->state == MS_DEFERRED && m->web->leg[leg].removed)
        end->state = MS_DISCARDED;
}

static int64_t told_recipients(const struct leg *l)
{
    return l->queued == NULL ? 0 : json_int(l->queued->detail, "nrcpt", 0);
}

static bool was_discarded(const struct leg *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (is_kind(l->row[i], "discarded"))
            return true;
    return l->removed;
}

/* The worst comes first; what nobody was let send says nothing about those who were. */
static enum message_state state_of(const struct message *m)
{
    static const enum message_state order[] = {MS_BOUNCED, MS_EXPIRED,   MS_DEFERRED,  MS_HELD,
                                               MS_QUEUED,  MS_DISCARDED, MS_DELIVERED, MS_REJECTED};

    for (int i = m->group; i >= 0; i = m->web->leg[i].next_leg)
        if (m->web->leg[i].held && !m->web->leg[i].notice)
            return MS_HELD;
    for (size_t k = 0; k < COUNT_OF(order); k++)
        for (size_t i = 0; i < m->n_ends; i++)
            if (m->end[i].state == order[k])
                return order[k];
    return was_discarded(m->first) ? MS_DISCARDED : MS_QUEUED;
}

static bool is_own(const char *name)
{
    static const char own[] = ".inari.invalid";
    size_t n = strlen(name);

    return n > sizeof own && strcasecmp(name + n - (sizeof own - 1), own) == 0;
}

/* The agent's own, which says so in its HELO and in whom it writes to: it is no mail of anybody. */
static bool is_probe(const struct message *m)
{
    if (!json_bool(m->first->row[0]->detail, "internal", false))
        return false;
    for (size_t i = 0; i < m->first->n; i++)
        if (is_own(m->first->row[i]->recipient) || is_own(m->first->row[i]->helo))
            return true;
    return false;
}

static void last_word(struct message *m, const struct event_row *r)
{
    if ((is_kind(r, "delivery") || is_kind(r, "rejected") || is_kind(r, "held") ||
         is_kind(r, "discarded")) &&
        strcmp(r->status, "sent") != 0 &&
        (m->last_word == NULL || event_row_compare(r, m->last_word) > 0))
        m->last_word = r;
}

enum err_code message_make(const struct web *w, int group, struct arena *a, struct message *ret,
                           struct err *e)
{
    struct message_ref ref = {0};

    *ret = (struct message){.web = w, .group = group, .root = web_root(w, group)};
    if (ret->root < 0)
        return err_set(e, ERR_NOT_FOUND,
                       "there is no such message, or its events were deleted by age");
    for (int i = group; i >= 0;
         i = w->leg[i].next_leg) /* room for each row that may name a recipient */
        ret->n_ends += w->leg[i].n;
    ret->end = arena_alloc(a, (ret->n_ends + 1) * sizeof *ret->end);
    ret->n_ends = 0;
    if (ret->end == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    ret->first = &w->leg[ret->root];
    for (int i = group; i >= 0; i = w->leg[i].next_leg) {
        const struct leg *l = &w->leg[i];
        for (size_t k = 0; k < l->n; k++) {
            if (l->row[k]->at_ms > ret->last_ms)
                ret->last_ms = l->row[k]->at_ms;
            if (l->notice)
                continue;
            take_row(ret, i, l->row[k]);
            last_word(ret, l->row[k]);
        }
        if (!l->notice && told_recipients(l) > ret->count)
            ret->count = told_recipients(l);
    }
    if ((int64_t)ret->n_ends > ret->count)
        ret->count = (int64_t)ret->n_ends;
    ret->state = state_of(ret);
    ret->internal = is_probe(ret);
    text_copy(ref.device_id, sizeof ref.device_id, ret->first->device_id);
    text_copy(ref.queue_id, sizeof ref.queue_id, ret->first->queue_id);
    ref.place = (struct event_place){ret->first->first_ms, ret->first->row[0]->batch,
                                     ret->first->row[0]->n};
    message_id_make(&ref, ret->id);
    return ERR_OK;
}

/* --- as JSON --- */

static void put_text(json_t *j, const char *name, const char *value)
{
    if (value[0] != '\0')
        (void)json_object_set_new(j, name, json_string(value));
}

static json_t *text_or_null(const char *value)
{
    return value == NULL || value[0] == '\0' ? json_null() : json_string(value);
}

static json_t *device_json(const char *id, const char *name)
{
    return json_pack("{s:s,s:o}", "id", id, "name", text_or_null(name));
}

json_t *event_json(const struct event_row *r)
{
    json_t *j =
        json_pack("{s:o,s:o,s:s,s:s}", "at", time_json(r->at_ms), "device",
                  device_json(r->device_id, r->device_name), "stream", r->stream, "kind", r->kind);

    put_text(j, "queue_id", r->queue_id);
    put_text(j, "orig_queue_id", r->orig_queue_id);
    put_text(j, "next_queue_id", r->next_queue_id);
    if (r->sender[0] != '\0' || r->null_sender)
        (void)json_object_set_new(j, "sender", json_string(r->sender));
    put_text(j, "recipient", r->recipient);
    put_text(j, "client", r->client);
    put_text(j, "client_name", r->client_name);
    put_text(j, "helo", r->helo);
    put_text(j, "message_id", r->message_id);
    put_text(j, "subject", r->subject);
    put_text(j, "relay", r->relay);
    put_text(j, "dsn", r->dsn);
    put_text(j, "status", r->status);
    put_text(j, "reason", r->reason);
    put_text(j, "text", r->text);
    if (r->size >= 0)
        (void)json_object_set_new(j, "size", json_integer(r->size));
    if (r->delay_ms >= 0)
        (void)json_object_set_new(j, "delay_ms", json_integer(r->delay_ms));
    if (r->detail != NULL)
        (void)json_object_set(j, "detail", (json_t *)(uintptr_t)r->detail);
    (void)json_object_set_new(j, "seq", json_integer(r->seq));
    (void)json_object_set_new(j, "received_at", time_json(r->received_ms));
    if (r->device_at_ms != 0)
        (void)json_object_set_new(j, "device_at", time_json(r->device_at_ms));
    return j;
}

/* The first row of the first entry that has it: what the message came with. */
static const char *came_with(const struct message *m, size_t member)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int i = pass == 0 ? m->root : m->group; i >= 0;
             i = pass == 0 ? -1 : m->web->leg[i].next_leg) {
            const struct leg *l = &m->web->leg[i];
            for (size_t k = 0; k < l->n && !l->notice; k++) {
                const char *v = *(const char *const *)((const char *)l->row[k] + member);
                if (v[0] != '\0')
                    return v;
            }
        }
    }
    return "";
}
#define CAME_WITH(m, member) came_with(m, offsetof(struct event_row, member))

static int64_t size_of(const struct message *m)
{
    for (int i = m->group; i >= 0; i = m->web->leg[i].next_leg)
        for (size_t k = 0; k < m->web->leg[i].n && !m->web->leg[i].notice; k++)
            if (m->web->leg[i].row[k]->size >= 0)
                return m->web->leg[i].row[k]->size;
    return -1;
}

static bool has_empty_sender(const struct message *m)
{
    for (size_t k = 0; k < m->first->n; k++)
        if (m->first->row[k]->null_sender)
            return true;
    return false;
}

/* The group's legs in the order in which the message came by; the caller's array. */
static size_t legs_in_order(const struct message *m, const struct leg **out, size_t max)
{
    size_t n = 0;

    for (int i = m->group; i >= 0 && n < max; i = m->web->leg[i].next_leg) {
        size_t at = n;
        if (m->web->leg[i].n == 0)
            continue;
        while (at > 0 && out[at - 1]->first_ms > m->web->leg[i].first_ms) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = &m->web->leg[i];
        n++;
    }
    return n;
}

static json_t *devices_json(const struct message *m)
{
    const struct leg *legs[WEB_LEGS_ONE];
    size_t n = legs_in_order(m, legs, COUNT_OF(legs));
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        bool there = false;
        for (size_t k = 0; k < i && !there; k++)
            there = strcmp(legs[k]->device_id, legs[i]->device_id) == 0;
        if (!there)
            (void)json_array_append_new(list,
                                        device_json(legs[i]->device_id, legs[i]->device_name));
    }
    return list;
}

static json_t *states_json(const struct message *m)
{
    int64_t count[MESSAGE_STATES] = {0};
    json_t *j = json_object();

    for (size_t i = 0; i < m->n_ends; i++)
        count[m->end[i].state]++;
    for (size_t i = 0; i < MESSAGE_STATES; i++)
        if (count[i] > 0)
            (void)json_object_set_new(j, message_states[i], json_integer(count[i]));
    return j;
}

static json_t *first_recipients(const struct message *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->n_ends && json_array_size(list) < SHOWN_RECIPIENTS; i++)
        if (m->end[i].address[0] != '\0')
            (void)json_array_append_new(list, json_string(m->end[i].address));
    return list;
}

json_t *message_json(const struct message *m)
{
    const char *sender = CAME_WITH(m, sender);
    int64_t size = size_of(m);
    json_t *j = json_pack("{s:s,s:o,s:o,s:o}", "id", m->id, "at", time_json(m->first->first_ms),
                          "last_at", time_json(m->last_ms), "devices", devices_json(m));

    (void)json_object_set_new(j, "client", text_or_null(CAME_WITH(m, client)));
    (void)json_object_set_new(j, "client_name", text_or_null(CAME_WITH(m, client_name)));
    (void)json_object_set_new(
        j, "sender", sender[0] != '\0' || has_empty_sender(m) ? json_string(sender) : json_null());
    (void)json_object_set_new(j, "recipients", first_recipients(m));
    (void)json_object_set_new(j, "recipient_count", json_integer(m->count));
    (void)json_object_set_new(j, "subject", text_or_null(CAME_WITH(m, subject)));
    (void)json_object_set_new(j, "message_id", text_or_null(CAME_WITH(m, message_id)));
    (void)json_object_set_new(j, "queue_id", text_or_null(m->first->queue_id));
    (void)json_object_set_new(j, "size", size < 0 ? json_null() : json_integer(size));
    (void)json_object_set_new(j, "status", json_string(message_states[m->state]));
    (void)json_object_set_new(j, "states", states_json(m));
    (void)json_object_set_new(j, "reason",
                              text_or_null(m->last_word == NULL ? "" : m->last_word->reason));
    (void)json_object_set_new(j, "text",
                              text_or_null(m->last_word == NULL ? "" : m->last_word->text));
    return j;
}

/* --- one message --- */

static json_t *ends_json(const struct message *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->n_ends && i < SHOWN_ENDS; i++) {
        const struct message_end *x = &m->end[i];
        const struct leg *l = &m->web->leg[x->leg];
        json_t *j =
            json_pack("{s:s,s:s,s:i,s:o}", "address", x->address, "state", message_states[x->state],
                      "attempts", x->attempts, "device", device_json(l->device_id, l->device_name));
        (void)json_object_set_new(j, "at", x->row == NULL ? json_null() : time_json(x->row->at_ms));
        (void)json_object_set_new(j, "dsn", text_or_null(x->row == NULL ? "" : x->row->dsn));
        (void)json_object_set_new(j, "relay", text_or_null(x->row == NULL ? "" : x->row->relay));
        (void)json_object_set_new(j, "reason", text_or_null(x->row == NULL ? "" : x->row->reason));
        (void)json_object_set_new(j, "text", text_or_null(x->row == NULL ? "" : x->row->text));
        (void)json_array_append_new(list, j);
    }
    return list;
}

static json_t *ran_json(const struct ran_row *ran, size_t n, const struct event_row *r)
{
    const struct ran_row *best = NULL;

    for (size_t i = 0; i < n; i++)
        if (strcmp(ran[i].device_id, r->device_id) == 0 && ran[i].since_ms <= r->at_ms)
            best = &ran[i];
    if (best == NULL || best->pub == 0)
        return json_null();
    return json_pack("{s:I,s:o,s:o,s:o,s:o,s:s}", "pub", (json_int_t)best->pub, "author",
                     text_or_null(best->author), "reason", text_or_null(best->reason),
                     "published_at", time_json(best->published_ms), "since",
                     time_json(best->since_ms), "digest", best->digest);
}

struct timeline {
    struct event_row **row;
    size_t n;
    struct ran_row *ran;
    size_t n_ran;
};

static int compare_pointers(const void *a, const void *b)
{
    return event_row_compare(*(struct event_row *const *)a, *(struct event_row *const *)b);
}

static enum err_code gather(const struct message *m, struct db *db, struct arena *a,
                            struct timeline *t, struct err *e)
{
    AUTO(json_free) json_t *devices = json_array();
    size_t n = 0;

    for (int i = m->group; i >= 0; i = m->web->leg[i].next_leg) {
        n += m->web->leg[i].n;
        (void)json_array_append_new(devices, json_string(m->web->leg[i].device_id));
    }
    t->row = arena_alloc(a, (n + 1) * sizeof(struct event_row *));
    if (t->row == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (int i = m->group; i >= 0; i = m->web->leg[i].next_leg)
        for (size_t k = 0; k < m->web->leg[i].n; k++)
            t->row[t->n++] = m->web->leg[i].row[k];
    qsort(t->row, t->n, sizeof(struct event_row *), compare_pointers);
    return message_store_ran(db, devices, m->first->first_ms, m->last_ms + 1, a, &t->ran, &t->n_ran,
                             e);
}

static json_t *events_json(const struct timeline *t, enum lang lang, struct arena *a)
{
    json_t *list = json_array();

    for (size_t i = 0; i < t->n; i++) {
        json_t *j = event_json(t->row[i]);
        (void)json_object_set_new(j, "sentence", json_string(message_sentence(t->row[i], lang, a)));
        (void)json_object_set_new(j, "ran", ran_json(t->ran, t->n_ran, t->row[i]));
        (void)json_array_append_new(list, j);
    }
    return list;
}

/* The same Message-ID elsewhere, which no id joins: a copy, or the same mail by a way that was not
 * seen.  A hint only. */
static enum err_code related(const struct message *m, struct db *db, struct arena *a, json_t *list,
                             struct err *e)
{
    const char *id = CAME_WITH(m, message_id);
    size_t len = strlen(id);
    struct event_search s = {.kinds = "{message.queued}"};
    struct event_row *rows = NULL;
    struct message_ref ref = {0};
    char text[MESSAGE_ID_SIZE];
    size_t n = 0;
    enum err_code rc;

    if (len == 0)
        return ERR_OK;
    s.message_id = id[0] == '<' && id[len - 1] == '>' && len > 2
                       ? arena_slice_dup(a, (struct slice){id + 1, len - 2})
                       : id;
    rc = message_store_find(db, &s, m->first->first_ms - 7LL * MESSAGE_WINDOW_MS,
                            m->last_ms + 7LL * MESSAGE_WINDOW_MS, 50, a, &rows, &n, e);
    for (size_t i = 0; rc == ERR_OK && i < n && json_array_size(list) < RELATED_MAX; i++) {
        if (web_leg_of(m->web, &rows[i]) >= 0 || rows[i].orig_queue_id[0] != '\0' ||
            strlen(rows[i].queue_id) > MESSAGE_QUEUE_ID_MAX)
            continue;
        text_copy(ref.device_id, sizeof ref.device_id, rows[i].device_id);
        text_copy(ref.queue_id, sizeof ref.queue_id, rows[i].queue_id);
        ref.place.at_ms = rows[i].at_ms;
        message_id_make(&ref, text);
        (void)json_array_append_new(
            list, json_pack("{s:s,s:o,s:o}", "id", text, "at", time_json(rows[i].at_ms), "device",
                            device_json(rows[i].device_id, rows[i].device_name)));
    }
    return rc;
}

static int64_t delay_of(const struct message *m)
{
    int64_t last = 0;

    for (size_t i = 0; i < m->n_ends; i++) {
        if (m->end[i].state != MS_DELIVERED && m->end[i].state != MS_BOUNCED &&
            m->end[i].state != MS_EXPIRED)
            return -1;
        if (m->end[i].row->at_ms > last)
            last = m->end[i].row->at_ms;
    }
    return m->n_ends == 0 || m->count > (int64_t)m->n_ends ? -1 : last - m->first->first_ms;
}

static enum err_code whole_json(const struct message *m, struct db *db, enum lang lang,
                                struct arena *a, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *j = message_json(m);
    AUTO(json_free) json_t *hints = json_array();
    struct timeline t = {0};
    int64_t delay = delay_of(m);
    enum err_code rc = gather(m, db, a, &t, e);

    if (rc == ERR_OK)
        rc = related(m, db, a, hints, e);
    if (rc != ERR_OK)
        return rc;
    (void)json_object_set_new(j, "delay_ms", delay < 0 ? json_null() : json_integer(delay));
    (void)json_object_set_new(j, "recipients", ends_json(m));
    (void)json_object_set_new(j, "events", events_json(&t, lang, a));
    (void)json_object_set(j, "same_message_id", hints);
    (void)json_object_set_new(j, "cut", json_boolean(m->web->cut || m->n_ends > SHOWN_ENDS));
    *ret = json_incref(j);
    return ERR_OK;
}

static enum err_code start(struct web *w, struct db *db, const char *id, struct arena *a,
                           struct err *e)
{
    struct message_ref ref;
    struct event_row *row;
    enum err_code rc;

    if (!message_id_read(id, &ref))
        return err_set(e, ERR_NOT_FOUND,
                       "there is no such message, or its events were deleted by age");
    if (ref.queue_id[0] != '\0') {
        (void)web_add(w, arena_strdup(a, ref.device_id), arena_strdup(a, ref.queue_id),
                      ref.place.at_ms);
        return arena_ok(a) ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    row = arena_alloc(a, sizeof *row);
    if (row == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = message_store_event(db, ref.device_id, &ref.place, a, row, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND,
                       "there is no such message, or its events were deleted by age");
    if (rc == ERR_OK)
        (void)web_add_row(w, row);
    return rc;
}

enum err_code message_get(struct db *db, const char *id, enum lang lang, struct arena *a,
                          json_t **ret, struct err *e)
{
    struct web w;
    struct message m;
    enum err_code rc = web_init(&w, a, true, e);

    if (rc == ERR_OK)
        rc = start(&w, db, id, a, e);
    if (rc == ERR_OK)
        rc = web_gather(&w, db, NULL, e);
    if (rc == ERR_OK)
        rc = message_make(&w, w.leg[0].group, a, &m, e);
    return rc == ERR_OK ? whole_json(&m, db, lang, a, ret, e) : rc;
}
