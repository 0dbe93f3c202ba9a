#include "domain/event_line.h"

#include "domain/event_text.h"
#include "store/db_copy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
    AHEAD_MS = 5 * 60 * 1000,
    DAY_MS = 24 * 3600 * 1000,
    DETAIL_MAX = 4 * EVENT_LINE_MAX, /* its text may be longer than it came: 1e9 is 1000000000.0 */
    UNREADABLE_MAX = 2048,
    NAME_MAX_ = 100, /* of a member that is kept in detail */
};
static const int64_t AT_MAX_MS = INT64_C(253402300799999); /* the year 9999 */

const char *const event_subject_words[] = {"keep", "hash", "omit", NULL};

/* The known members in the order of the columns. */
enum member {
    M_AT,
    M_KIND,
    M_QUEUE_ID,
    M_ORIG_QUEUE_ID,
    M_NEXT_QUEUE_ID,
    M_SENDER,
    M_RECIPIENT,
    M_CLIENT,
    M_CLIENT_NAME,
    M_HELO,
    M_MESSAGE_ID,
    M_SUBJECT,
    M_SIZE,
    M_RELAY,
    M_DSN,
    M_STATUS,
    M_REASON,
    M_TEXT,
    M_DELAY,
    M_DETAIL,
    M_COUNT
};
enum type { T_TEXT, T_NUMBER, T_ADDRESS, T_OBJECT };
// clang-format off
static const struct {
    struct slice name;
    enum type type;
    size_t max; /* bytes of a text; those of an index stay far below its 2704 */
} members[M_COUNT] = {
#define NAME(text) {text, sizeof text - 1}
    [M_AT] = {NAME("at"), T_NUMBER, 0},
    [M_KIND] = {NAME("kind"), T_TEXT, 64},
    [M_QUEUE_ID] = {NAME("queue_id"), T_TEXT, 64},
    [M_ORIG_QUEUE_ID] = {NAME("orig_queue_id"), T_TEXT, 64},
    [M_NEXT_QUEUE_ID] = {NAME("next_queue_id"), T_TEXT, 255},
    [M_SENDER] = {NAME("sender"), T_TEXT, 1000},
    [M_RECIPIENT] = {NAME("recipient"), T_TEXT, 1000},
    [M_CLIENT] = {NAME("client"), T_ADDRESS, 0},
    [M_CLIENT_NAME] = {NAME("client_name"), T_TEXT, 255},
    [M_HELO] = {NAME("helo"), T_TEXT, 255},
    [M_MESSAGE_ID] = {NAME("message_id"), T_TEXT, 1000},
    [M_SUBJECT] = {NAME("subject"), T_TEXT, 1000},
    [M_SIZE] = {NAME("size"), T_NUMBER, 0},
    [M_RELAY] = {NAME("relay"), T_TEXT, 500},
    [M_DSN] = {NAME("dsn"), T_TEXT, 20},
    [M_STATUS] = {NAME("status"), T_TEXT, 64},
    [M_REASON] = {NAME("reason"), T_TEXT, 64},
    [M_TEXT] = {NAME("text"), T_TEXT, 4096},
    [M_DELAY] = {NAME("delay_ms"), T_NUMBER, 0},
    [M_DETAIL] = {NAME("detail"), T_OBJECT, 0},
#undef NAME
};
const char EVENT_COPY[] =
    "COPY event (batch, seq, n, at, received_at, device_at, device_id, stream, kind, queue_id, orig_queue_id, "
    "next_queue_id, sender, recipient, client, client_name, helo, message_id, subject, size, relay, dsn, status, reason, "
    "text, delay_ms, detail) FROM STDIN (FORMAT binary)";
// clang-format on

struct parsed {
    const json_t *m[M_COUNT]; /* borrowed; NULL: not there, or of another type */
    json_t *rest;             /* owned: detail with what else there was; NULL: detail alone */
    int family;               /* of the client; 0: none */
    unsigned char address[16];
};

static bool right(struct parsed *p, enum member i, const json_t *v)
{
    switch (members[i].type) {
    case T_TEXT:
        return json_is_string(v);
    case T_NUMBER:
        return json_is_integer(v);
    case T_OBJECT:
        return json_is_object(v);
    case T_ADDRESS:
        break;
    }
    if (!json_is_string(v))
        return false;
    p->family = inet_pton(AF_INET, json_string_value(v), p->address) == 1    ? AF_INET
                : inet_pton(AF_INET6, json_string_value(v), p->address) == 1 ? AF_INET6
                                                                             : 0;
    return p->family != 0;
}

static enum member member_of(const char *key)
{
    struct slice name = slice_of(key);

    for (int i = 0; i < M_COUNT; i++)
        if (slice_eq(members[i].name, name))
            return (enum member)i;
    return M_COUNT;
}

/* Into a copy of detail; what detail itself says of that name stays. */
static void keep(struct parsed *p, const json_t *object, const char *key, json_t *v)
{
    const json_t *detail = json_object_get(object, "detail");

    if (json_is_null(v) || strlen(key) > NAME_MAX_)
        return;
    if (p->rest == NULL)
        p->rest = json_is_object(detail) ? json_copy((json_t *)(uintptr_t)detail) : json_object();
    if (json_object_get(p->rest, key) == NULL)
        (void)json_object_set(p->rest, key, v);
}

static void read_members(struct parsed *p, json_t *object, bool subjects)
{
    const char *key;
    json_t *v;

    json_object_foreach(object, key, v)
    {
        enum member i = member_of(key);

        if (i < M_COUNT && right(p, i, v))
            p->m[i] = v;
        else if (subjects || i != M_SUBJECT)
            keep(p, object, key, v);
    }
    if (subjects || json_object_get(p->m[M_DETAIL], "subject") == NULL)
        return;
    if (p->rest == NULL)
        p->rest = json_copy((json_t *)(uintptr_t)p->m[M_DETAIL]);
    (void)json_object_del(p->rest, "subject");
}

/* Only those of the program; what a device may not say of itself is none. */
static bool kind_ok(const json_t *v)
{
    const char *s = json_string_value(v);
    size_t n = json_string_length(v);

    return n > 0 && n <= members[M_KIND].max && s[0] != '.' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n &&
           strcmp(s, "spool.gap") != 0 && strcmp(s, "unreadable") != 0;
}

static bool has_day(struct event_rules *r, int64_t at_ms)
{
    int64_t day = at_ms / DAY_MS;

    for (size_t i = r->n_days; i > 0; i--)
        if (r->days[i - 1] == day)
            return true;
    if (r->n_days == EVENT_DAYS_MAX)
        return false;
    r->days[r->n_days++] = day;
    return true;
}

/* now is the first day that is asked for, so that there is always room for it. */
static int64_t stored_at(struct event_rules *r, int64_t at_ms)
{
    if (r->n_days == 0)
        (void)has_day(r, r->now_ms);
    return at_ms < r->oldest_ms || at_ms > r->now_ms + AHEAD_MS || !has_day(r, at_ms) ? r->now_ms
                                                                                      : at_ms;
}

static struct event_span text_column(struct strbuf *b, struct slice s)
{
    struct event_span span = {(uint32_t)b->n + (uint32_t)sizeof(int32_t), (uint32_t)s.n};

    copy_text(b, s);
    return s.p == NULL ? (struct event_span){0, 0} : span;
}

/* PostgreSQL knows no NUL in a text: jansson has refused it. */
static struct slice text_of(const struct parsed *p, enum member i)
{
    struct slice s = {json_string_value(p->m[i]), json_string_length(p->m[i])};

    return event_text_cut(s, members[i].max);
}

static void number_column(struct strbuf *b, const struct parsed *p, enum member i, int64_t *ret)
{
    *ret = -1;
    if (p->m[i] == NULL) {
        copy_null(b);
        return;
    }
    *ret = json_integer_value(p->m[i]);
    copy_int8(b, *ret);
}

void event_subject_hash(const struct event_rules *rules, struct slice subject, char out[40])
{
    char hex[65];

    rules->blind(rules->blind_ctx, slice_trim(subject), hex);
    (void)snprintf(out, 40, "hash:%.32s", hex);
}

static void subject_column(const struct event_rules *r, struct strbuf *b, const struct parsed *p)
{
    struct slice s = text_of(p, M_SUBJECT);
    char hash[40];

    if (s.p != NULL && r->subject == SUBJECT_HASH) {
        event_subject_hash(r, s, hash);
        s = slice_of(hash);
    }
    copy_text(b, r->subject == SUBJECT_OMIT ? (struct slice){NULL, 0} : s);
}

static int dump_into(const char *text, size_t n, void *b)
{
    strbuf_add(b, (struct slice){text, n});
    return strbuf_ok(b) ? 0 : -1;
}

static struct event_span detail_column(struct strbuf *b, const json_t *detail)
{
    size_t mark, text;

    if (json_object_size(detail) == 0) {
        copy_null(b);
        return (struct event_span){0, 0};
    }
    mark = copy_json_begin(b);
    text = b->n;
    (void)json_dump_callback(detail, dump_into, b, JSON_COMPACT);
    copy_json_end(b, mark);
    return (struct event_span){(uint32_t)text, (uint32_t)(b->n - text)};
}

static void begin_row(struct event_rules *r, struct strbuf *b, int32_t n, int64_t seq,
                      int64_t at_ms, struct event_row *ret)
{
    int64_t at = stored_at(r, at_ms);

    *ret = (struct event_row){
        .row.at = (uint32_t)b->n, .seq = seq, .at_ms = at, .size = -1, .delay_ms = -1};
    copy_int8(b, seq);
    copy_int4(b, n);
    copy_time(b, at);
    copy_time(b, r->now_ms);
    if (at == at_ms)
        copy_null(b);
    else
        copy_time(b, at_ms);
    copy_uuid(b, r->device);
    copy_text(b, slice_of(r->stream));
}

static void end_row(struct strbuf *b, struct event_row *ret)
{
    ret->row.n = (uint32_t)b->n - ret->row.at;
}

static void write_row(struct event_rules *r, const struct parsed *p, int32_t n, int64_t seq,
                      struct strbuf *b, struct event_row *ret)
{
    const json_t *detail = p->rest != NULL ? p->rest : p->m[M_DETAIL];
    struct slice text = text_of(p, M_TEXT);

    begin_row(r, b, n, seq, json_integer_value(p->m[M_AT]), ret);
    ret->kind = text_column(b, text_of(p, M_KIND));
    for (int i = M_QUEUE_ID; i <= M_RECIPIENT; i++)
        (void)text_column(b, text_of(p, (enum member)i));
    ret->family = p->family;
    memcpy(ret->client, p->address, sizeof ret->client);
    if (p->family == 0)
        copy_null(b);
    else
        copy_inet(b, p->family, p->address);
    for (int i = M_CLIENT_NAME; i <= M_MESSAGE_ID; i++)
        (void)text_column(b, text_of(p, (enum member)i));
    subject_column(r, b, p);
    number_column(b, p, M_SIZE, &ret->size);
    (void)text_column(b, text_of(p, M_RELAY));
    (void)text_column(b, text_of(p, M_DSN));
    ret->status = text_column(b, text_of(p, M_STATUS));
    ret->reason = text_column(b, text_of(p, M_REASON));
    (void)text_column(b, r->subject == SUBJECT_KEEP ? text : event_text_before_subject(text));
    number_column(b, p, M_DELAY, &ret->delay_ms);
    ret->detail = detail_column(b, detail);
    ret->internal = json_is_true(json_object_get(detail, "internal"));
    end_row(b, ret);
}

/* A row of the parent's own: kind, text and detail. */
static void own_row(struct event_rules *r, const char *kind, struct slice text,
                    const json_t *detail, int32_t n, int64_t seq, struct strbuf *b,
                    struct event_row *ret)
{
    begin_row(r, b, n, seq, r->now_ms, ret);
    ret->kind = text_column(b, slice_of(kind));
    for (int i = M_QUEUE_ID; i < M_DETAIL; i++)
        (void)text_column(b, i == M_TEXT ? text : (struct slice){NULL, 0});
    ret->detail = detail_column(b, detail);
    end_row(b, ret);
}

void event_line_unreadable(struct event_rules *rules, struct slice line, const char *why, int32_t n,
                           int64_t seq, struct strbuf *rows, struct event_row *ret)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(UNREADABLE_MAX);
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:I}", "why", why, "bytes", (json_int_t)line.n);

    if (rules->subject == SUBJECT_KEEP) /* else it may hold one */
        event_text_escape(line, &text);
    own_row(rules, "unreadable", strbuf_slice(&text), detail, n, seq, rows, ret);
    if (text.no_memory)
        rows->failed = rows->no_memory = true;
}

void event_line_gap(struct event_rules *rules, const char *spool, int64_t first, int64_t last,
                    struct strbuf *rows, struct event_row *ret)
{
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:I,s:I,s:I}", "spool", spool, "first", (json_int_t)first,
                               "last", (json_int_t)last, "count", (json_int_t)(last - first + 1));

    own_row(rules, "spool.gap", (struct slice){NULL, 0}, detail, 0, last, rows, ret);
    ret->count = last - first + 1;
}

void event_line_add(struct event_rules *rules, struct slice line, int32_t n, int64_t seq,
                    struct strbuf *rows, struct event_row *ret)
{
    AUTO(json_free) json_t *object = NULL;
    struct parsed p = {0};
    size_t before = rows->n;
    json_int_t at;
    struct err e; /* its message may show what is not to be kept */

    if (json_in_parse(line, EVENT_LINE_MAX, &object, &e) != ERR_OK) {
        event_line_unreadable(rules, line, "no JSON", n, seq, rows, ret);
        return;
    }
    if (json_is_object(object))
        read_members(&p, object, rules->subject == SUBJECT_KEEP);
    at = json_integer_value(p.m[M_AT]);
    if (p.m[M_AT] == NULL || at < 0 || at > AT_MAX_MS || !kind_ok(p.m[M_KIND]))
        event_line_unreadable(rules, line, "no object with \"at\" and \"kind\"", n, seq, rows, ret);
    else
        write_row(rules, &p, n, seq, rows, ret);
    if (ret->detail.n > DETAIL_MAX) {
        rows->n = before;
        event_line_unreadable(rules, line, "detail is too large", n, seq, rows, ret);
    }
    json_decref(p.rest);
}

void event_row_head(struct strbuf *b, int64_t batch)
{
    copy_row_begin(b, EVENT_COLUMNS);
    copy_int8(b, batch);
}
