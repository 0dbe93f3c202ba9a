#include "handlers/message.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "domain/event_policy.h"
#include "domain/message.h"
#include "handlers/common.h"

#include <arpa/inet.h>
#include <stdio.h>

enum {
    ADDRESS_MAX = 320,
    ID_MAX = 512,
    SUBJECT_MAX = 1000, /* as much as is stored of one */
    WORDS_MAX = 40,
    WORD_MAX = 40,
    DAYS_MS = 24 * 3600 * 1000
};
#define LOWER_HYPHEN "abcdefghijklmnopqrstuvwxyz0123456789-"
#define ALNUM        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* --- when --- */

static enum err_code time_of(const struct req *rq, const char *name, int64_t *ret, struct err *e)
{
    const char *text = req_query(rq, name);
    char pointer[32];

    (void)snprintf(pointer, sizeof pointer, "/query/%s", name);
    if (text != NULL && (!clock_parse(slice_of(text), ret) || *ret <= 0))
        return err_field(e, ERR_INVALID, pointer, "%s must be a time like 2026-11-21T23:21:17Z",
                         name);
    return ERR_OK;
}

static enum err_code window_of(const struct req *rq, struct message_query *q, struct err *e)
{
    int64_t until;
    enum err_code rc = time_of(rq, "since", &q->since_ms, e);

    if (rc == ERR_OK)
        rc = time_of(rq, "until", &q->until_ms, e);
    if (rc != ERR_OK || q->since_ms == 0)
        return rc;
    until = q->until_ms != 0 ? q->until_ms : clock_wall_ms();
    if (q->until_ms != 0 && q->since_ms >= q->until_ms)
        return err_field(e, ERR_INVALID, "/query/since", "since must be before until");
    if (until - q->since_ms > (int64_t)MESSAGE_WINDOW_DAYS_MAX * DAYS_MS)
        return err_field(e, ERR_INVALID, "/query/since",
                         "a search covers at most %d days: give since and until closer together",
                         MESSAGE_WINDOW_DAYS_MAX);
    return ERR_OK;
}

/* --- whom --- */

/* "<a@b>" is "a@b". */
static const char *without_brackets(const struct req *rq, const char *text)
{
    size_t n = strlen(text);

    return n > 2 && text[0] == '<' && text[n - 1] == '>'
               ? arena_slice_dup(rq->arena, (struct slice){text + 1, n - 2})
               : text;
}

static enum err_code address_of(const struct req *rq, const char *name, const char **ret,
                                const char **ret_domain, struct err *e)
{
    const char *text = req_query(rq, name);
    char pointer[32];

    if (text == NULL)
        return ERR_OK;
    (void)snprintf(pointer, sizeof pointer, "/query/%s", name);
    text = without_brackets(rq, text);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (text[0] == '\0' || strlen(text) > ADDRESS_MAX || strcmp(text, "@") == 0 ||
        strcmp(text, "<>") == 0)
        return err_field(e, ERR_INVALID, pointer,
                         "give an address, or @ and a domain, of at most %d bytes", ADDRESS_MAX);
    *(text[0] == '@' ? ret_domain : ret) = text;
    return ERR_OK;
}

static enum err_code client_of(const struct req *rq, struct event_search *s, struct err *e)
{
    const char *text = req_query(rq, "client");
    struct slice bits = slice_of(text), address = slice_cut(&bits, '/');
    char buf[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    uint64_t n = 0;
    int most;

    if (text == NULL)
        return ERR_OK;
    (void)snprintf(buf, sizeof buf, "%.*s", (int)(address.n < sizeof buf ? address.n : 0),
                   address.p);
    most = inet_pton(AF_INET, buf, bytes) == 1    ? 32
           : inet_pton(AF_INET6, buf, bytes) == 1 ? 128
                                                  : 0;
    if (most == 0 || (strchr(text, '/') != NULL && !parse_u64(bits, 0, (uint64_t)most, &n)))
        return err_field(e, ERR_INVALID, "/query/client",
                         "client must be an address like 192.0.2.1 or a network like 192.0.2.0/24");
    (void)inet_ntop(most == 32 ? AF_INET : AF_INET6, bytes, buf, sizeof buf);
    if (strchr(text, '/') == NULL || n == (uint64_t)most)
        s->client = arena_strdup(rq->arena, buf);
    else
        s->network = arena_printf(rq->arena, "%s/%d", buf, (int)n);
    return s->client == NULL && s->network == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                                   : ERR_OK;
}

static enum err_code device_of(const struct req *rq, struct event_search *s, struct err *e)
{
    const char *text = req_query(rq, "device"), *id = "";
    enum err_code rc = text == NULL ? ERR_OK : message_device(rq->db, text, rq->arena, &id, e);

    if (text == NULL || rc != ERR_OK)
        return rc;
    if (id[0] == '\0')
        return err_field(e, ERR_INVALID, "/query/device", "there is no device \"%s\"", text);
    s->device_id = id;
    return ERR_OK;
}

/* --- what --- */

static enum err_code word_of(const struct req *rq, const char *name, const char *set, size_t max,
                             const char **ret, struct err *e)
{
    const char *text = req_query(rq, name);
    char pointer[32];

    (void)snprintf(pointer, sizeof pointer, "/query/%s", name);
    if (text != NULL &&
        (text[0] == '\0' || strlen(text) > max || strspn(text, set) != strlen(text)))
        return err_field(e, ERR_INVALID, pointer,
                         "%s has letters, digits and hyphens only, at most %d", name, (int)max);
    *ret = text;
    return ERR_OK;
}

static size_t char_size(const char *s)
{
    unsigned char c = (unsigned char)*s;

    return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
}

static bool is_wide(const char *s)
{
    return ((unsigned char)*s & 0x80) != 0 && strncmp(s, "\xe3\x80\x80", 3) != 0; /* a blank */
}

struct words {
    struct strbuf query, parts; /* for the index; for the text itself */
    size_t n;
};

static void put_word(struct words *w, const char *p, size_t n, bool begins)
{
    strbuf_printf(&w->query, "%s'%.*s'%s", w->n++ > 0 ? " & " : "", (int)n, p, begins ? ":*" : "");
}

static void put_part(struct words *w, const char *p, size_t n)
{
    strbuf_printf(&w->parts, "%s\"%%%.*s%%\"", w->parts.n > 1 ? "," : "", (int)n, p);
}

/* Each two characters that follow one another; a single one begins such a pair, or is the last. */
static const char *put_run(struct words *w, const char *p)
{
    const char *begin = p, *next = p + char_size(p);

    if (!is_wide(next))
        put_word(w, p, (size_t)(next - p), true);
    for (; is_wide(next); p = next, next += char_size(next))
        put_word(w, p, (size_t)(next - p) + char_size(next), false);
    put_part(w, begin, (size_t)(next - begin));
    return next;
}

static const char *put_ascii(struct words *w, const char *p)
{
    size_t n = strspn(p, ALNUM), shown = n < WORD_MAX ? n : WORD_MAX;

    put_word(w, p, shown, p[n] == '*' || shown < n);
    put_part(w, p, shown);
    return p + n;
}

static void put_words(struct words *w, const char *p)
{
    strbuf_putc(&w->parts, '{');
    while (*p != '\0' && w->n <= WORDS_MAX) {
        if (strspn(p, ALNUM) > 0)
            p = put_ascii(w, p);
        else
            p = is_wide(p) ? put_run(w, p) : p + char_size(p);
    }
    strbuf_putc(&w->parts, '}');
}

/* Where subjects are stored as hashes, the whole subject finds them as well; what was stored before
 * is found by its words, if it has any that can be looked for. */
static enum err_code or_hash(const struct req *rq, struct event_search *s, const char *hash,
                             bool words, struct err *e)
{
    const char *digits = hash + strlen("hash:");

    s->subject_hash = hash;
    if (words) {
        s->words = arena_printf(rq->arena, "(%s) | '%s'", s->words, digits);
    } else {
        s->words = arena_printf(rq->arena, "'%s'", digits);
        s->parts = arena_printf(rq->arena, "{%s}", hash);
    }
    return s->words == NULL || s->parts == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                                : ERR_OK;
}

/* The subject's words as event_words() of the database makes them (0013_messages.sql). */
static enum err_code words_of(const struct req *rq, struct event_search *s, struct err *e)
{
    struct words w = {STRBUF_INIT(16 * KIB), STRBUF_INIT(16 * KIB), 0};
    const char *p = req_query(rq, "subject"), *hash = NULL;
    enum err_code rc;
    bool whole;

    if (p == NULL)
        return ERR_OK;
    if (strlen(p) > SUBJECT_MAX)
        return err_field(e, ERR_INVALID, "/query/subject", "subject has at most %d bytes",
                         SUBJECT_MAX);
    rc = event_policy_subject_hash(rq->db, rq->app, slice_of(p), rq->arena, &hash, e);
    if (rc != ERR_OK)
        return rc;
    put_words(&w, p);
    s->words = arena_strdup(rq->arena, strbuf_str(&w.query));
    s->parts = arena_strdup(rq->arena, strbuf_str(&w.parts));
    whole = strbuf_ok(&w.query) && strbuf_ok(&w.parts) && s->words != NULL && s->parts != NULL;
    strbuf_clear(&w.query);
    strbuf_clear(&w.parts);
    if (whole && hash != NULL)
        return or_hash(rq, s, hash, w.n > 0 && w.n <= WORDS_MAX, e);
    if (w.n == 0 || w.n > WORDS_MAX)
        return err_field(e, ERR_INVALID, "/query/subject",
                         "subject needs 1 to %d words: letters, digits or Japanese", WORDS_MAX);
    return whole ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err_code message_id_of(const struct req *rq, struct event_search *s, struct err *e)
{
    const char *text = req_query(rq, "message_id");

    if (text == NULL)
        return ERR_OK;
    text = without_brackets(rq, text);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (text[0] == '\0' || strlen(text) > ID_MAX)
        return err_field(e, ERR_INVALID, "/query/message_id", "message_id has 1 to %d bytes",
                         ID_MAX);
    s->message_id = text;
    return ERR_OK;
}

static enum err_code state_of(const struct req *rq, struct message_query *q, struct err *e)
{
    const char *text = req_query(rq, "status");

    q->state = -1;
    if (text == NULL)
        return ERR_OK;
    for (int i = 0; i < MESSAGE_STATES; i++)
        if (strcmp(message_states[i], text) == 0)
            q->state = i;
    return q->state >= 0 ? ERR_OK
                         : err_field(e, ERR_INVALID, "/query/status",
                                     "status is delivered, deferred, bounced, expired, rejected, "
                                     "held, queued or discarded");
}

/* What both lists take. */
static enum err_code common_of(const struct req *rq, struct message_query *q, int most,
                               struct err *e)
{
    const char *cursor = req_query(rq, "cursor");
    int64_t limit = 0;
    enum err_code rc = req_query_int(rq, "limit", 1, most, 50, &limit, e);

    q->limit = (int)limit;
    q->cursor = cursor == NULL ? "" : cursor;
    q->state = -1;
    if (rc == ERR_OK)
        rc = window_of(rq, q, e);
    if (rc == ERR_OK)
        rc = device_of(rq, &q->s, e);
    if (rc == ERR_OK)
        rc = word_of(rq, "queue_id", ALNUM, 64, &q->s.queue_id, e);
    return rc;
}

static enum err_code answer(struct req *rq, struct reply *rp, const char *name,
                            const char *const *columns, json_t *doc, struct err *e)
{
    enum export_kind kind = export_asked_for(rq);
    enum err_code rc;

    if (kind == EXPORT_NONE)
        return reply_json(rp, 200, doc, e);
    rc = reply_export(rp, kind, name, columns, doc, e);
    json_decref(doc);
    return rc;
}

enum err_code message_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct message_query q = {0};
    json_t *doc = NULL;
    enum err_code rc = common_of(rq, &q, MESSAGE_LIST_MAX, e);

    if (rc == ERR_OK)
        rc = address_of(rq, "sender", &q.s.sender, &q.s.sender_domain, e);
    if (rc == ERR_OK)
        rc = address_of(rq, "recipient", &q.s.recipient, &q.s.recipient_domain, e);
    if (rc == ERR_OK)
        rc = client_of(rq, &q.s, e);
    if (rc == ERR_OK)
        rc = message_id_of(rq, &q.s, e);
    if (rc == ERR_OK)
        rc = words_of(rq, &q.s, e);
    if (rc == ERR_OK)
        rc = state_of(rq, &q, e);
    if (rc == ERR_OK)
        rc = word_of(rq, "reason", LOWER_HYPHEN, 64, &q.s.reason, e);
    if (rc == ERR_OK)
        rc = message_list(rq->db, &q, rq->arena, &doc, e);
    return rc == ERR_OK ? answer(rq, rp, "messages", export_message_columns, doc, e) : rc;
}

enum err_code message_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *doc = NULL;
    enum err_code rc = message_get(rq->db, rq->param[0], rq->lang, rq->arena, &doc, e);

    return rc == ERR_OK ? reply_json(rp, 200, doc, e) : rc;
}

enum err_code event_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct message_query q = {0};
    const char *kind = req_query(rq, "kind");
    json_t *doc = NULL;
    size_t n = kind == NULL ? 0 : strlen(kind);
    enum err_code rc = common_of(rq, &q, EVENT_LIST_MAX, e);

    if (rc == ERR_OK)
        rc = word_of(rq, "stream", LOWER_HYPHEN, 16, &q.s.stream, e);
    if (rc == ERR_OK && kind != NULL && (n == 0 || n > 64 || strspn(kind, LOWER_HYPHEN ".") != n))
        rc = err_field(e, ERR_INVALID, "/query/kind",
                       "kind is one like message.delivery, or the begin of several like message.");
    if (rc == ERR_OK && n > 0 && kind[n - 1] == '.')
        q.s.kind_prefix = kind;
    else if (rc == ERR_OK && n > 0)
        q.s.kinds = arena_printf(rq->arena, "{%s}", kind);
    if (rc == ERR_OK)
        rc = event_list(rq->db, &q, rq->arena, &doc, e);
    return rc == ERR_OK ? answer(rq, rp, "events", export_event_columns, doc, e) : rc;
}
