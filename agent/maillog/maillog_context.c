#include "maillog/maillog_context.h"

#include "base/hash.h"

#include <stdlib.h>

enum { SAVE_MAX = 16 * MIB, ABSENT = UINT16_MAX };

static const uint16_t most[KNOWN_TEXTS] = {
    [KNOWN_CLIENT] = 46,      [KNOWN_CLIENT_NAME] = 255, [KNOWN_HELO] = 128, [KNOWN_SENDER] = 512,
    [KNOWN_MESSAGE_ID] = 512, [KNOWN_SUBJECT] = 800,     [KNOWN_ORIG] = 32,  [KNOWN_PROTO] = 16,
    [KNOWN_SASL_USER] = 128,  [KNOWN_SASL_METHOD] = 32,  [KNOWN_TLS] = 80,
};

static uint64_t hash(uint64_t h, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211U;
    return (h ^ 0xff) * 1099511628211U;
}

static const uint64_t hash_begin = 14695981039346656037U;

static uint32_t *slot_of(struct maillog_context *c, struct slice id)
{
    return &c->slot[hash(hash_begin, id) % MAILLOG_SLOTS];
}

/* --- messages --- */

static void empty(struct maillog_message *k)
{
    k->queued = k->internal = false;
    k->size = k->uid = -1;
    k->texts = NULL;
    for (size_t i = 0; i < KNOWN_TEXTS; i++)
        k->n[i] = ABSENT;
}

static size_t size_of(const struct maillog_message *k, size_t before)
{
    size_t n = 0;

    for (size_t i = 0; i < before; i++)
        n += k->n[i] == ABSENT ? 0 : k->n[i];
    return n;
}

static void all_free(struct maillog_context *c)
{
    memset(c->slot, 0, sizeof c->slot);
    c->known[0] = (struct maillog_message){0};
    for (uint32_t i = 1; i <= MAILLOG_MESSAGES; i++)
        c->known[i].next = i < MAILLOG_MESSAGES ? i + 1 : 0;
    c->free = 1;
    c->n_known = 0;
    c->bytes = 0;
}

enum err_code maillog_context_init(struct maillog_context *c, struct err *e)
{
    memset(c, 0, sizeof *c); /* too large for a literal */
    c->known = calloc(MAILLOG_MESSAGES + 1, sizeof *c->known);
    if (c->known == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    all_free(c);
    return ERR_OK;
}

static void free_texts(struct maillog_context *c)
{
    for (uint32_t i = 1; c->known != NULL && i <= MAILLOG_MESSAGES; i++) {
        free(c->known[i].texts);
        c->known[i].texts = NULL;
    }
}

void maillog_context_settle(struct maillog_context *c)
{
    while (c->n_old > 0)
        free(c->old[--c->n_old]);
}

static void put_aside(struct maillog_context *c, char *texts)
{
    if (c->n_old == COUNT_OF(c->old)) /* more than any line changes */
        free(texts);
    else if (texts != NULL)
        c->old[c->n_old++] = texts;
}

void maillog_context_clear(struct maillog_context *c)
{
    maillog_context_settle(c);
    free_texts(c);
    free(c->known);
    memset(c, 0, sizeof *c);
}

static void unlink_use(struct maillog_context *c, struct maillog_message *k)
{
    c->known[k->older].newer = k->newer;
    c->known[k->newer].older = k->older;
}

/* known[0] joins the ring: its older is the newest, its newer the oldest. */
static void link_newest(struct maillog_context *c, struct maillog_message *k)
{
    uint32_t i = (uint32_t)(k - c->known);

    k->newer = 0;
    k->older = c->known[0].older;
    c->known[k->older].newer = i;
    c->known[0].older = i;
}

static uint32_t *place_of(struct maillog_context *c, struct slice id)
{
    uint32_t *at = slot_of(c, id);

    while (*at != 0 && !slice_is(id, c->known[*at].id))
        at = &c->known[*at].next;
    return at;
}

struct maillog_message *maillog_message_find(struct maillog_context *c, struct slice id)
{
    uint32_t i = id.n == 0 ? 0 : *place_of(c, id);

    if (i == 0)
        return NULL;
    unlink_use(c, &c->known[i]);
    link_newest(c, &c->known[i]);
    return &c->known[i];
}

void maillog_message_reset(struct maillog_context *c, struct maillog_message *k)
{
    c->bytes -= size_of(k, KNOWN_TEXTS);
    put_aside(c, k->texts);
    empty(k);
}

void maillog_message_forget(struct maillog_context *c, struct slice id)
{
    uint32_t *at = id.n == 0 ? NULL : place_of(c, id), i = at == NULL ? 0 : *at;

    if (i == 0)
        return;
    *at = c->known[i].next;
    unlink_use(c, &c->known[i]);
    maillog_message_reset(c, &c->known[i]);
    c->known[i].id[0] = '\0';
    c->known[i].next = c->free;
    c->free = i;
    c->n_known--;
}

static void forget_oldest(struct maillog_context *c)
{
    maillog_message_forget(c, slice_of(c->known[c->known[0].newer].id));
}

struct maillog_message *maillog_message_make(struct maillog_context *c, struct slice id)
{
    struct maillog_message *k = maillog_message_find(c, id);
    uint32_t *slot;

    if (k != NULL || id.n == 0 || id.n >= sizeof k->id)
        return k;
    if (c->free == 0)
        forget_oldest(c);
    k = &c->known[c->free];
    c->free = k->next;
    memset(k->id, 0, sizeof k->id); /* it is written as it is: nothing of the one before */
    memcpy(k->id, id.p, id.n);
    empty(k);
    slot = slot_of(c, id);
    k->next = *slot;
    *slot = (uint32_t)(k - c->known);
    link_newest(c, k);
    c->n_known++;
    return k;
}

struct slice maillog_message_get(const struct maillog_message *k, enum known_text what)
{
    if (k == NULL || k->n[what] == ABSENT)
        return (struct slice){NULL, 0};
    return (struct slice){k->n[what] == 0 ? "" : k->texts + size_of(k, what), k->n[what]};
}

/* Not in the middle of a character. */
static size_t cut(struct slice s, size_t max)
{
    size_t n = s.n < max ? s.n : max;

    while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

void maillog_message_set(struct maillog_context *c, struct maillog_message *k, enum known_text what,
                         struct slice value)
{
    size_t old = k->n[what] == ABSENT ? 0 : k->n[what], n = cut(value, most[what]);
    size_t all = size_of(k, KNOWN_TEXTS), before = size_of(k, what);
    char *texts;

    if (value.p == NULL)
        return;
    texts = malloc(all - old + n + 1);
    if (texts == NULL) {
        c->no_memory = true;
        return;
    }
    if (before > 0)
        memcpy(texts, k->texts, before);
    if (n > 0)
        memcpy(texts + before, value.p, n);
    if (all - before - old > 0)
        memcpy(texts + before + n, k->texts + before + old, all - before - old);
    put_aside(c, k->texts);
    k->texts = texts;
    k->n[what] = (uint16_t)n;
    c->bytes += n;
    c->bytes -= old;
    while (c->bytes > MAILLOG_MESSAGE_BYTES && &c->known[c->known[0].newer] != k)
        forget_oldest(c);
}

/* --- processes --- */

struct maillog_session *maillog_session_of(struct maillog_context *c, struct slice name,
                                           struct slice service, struct slice pid)
{
    uint64_t who = hash(hash(hash(hash_begin, name), service), pid) | 1;
    struct maillog_session *set = c->session[who / 2 % MAILLOG_SESSION_SETS], *s = NULL;

    for (size_t i = 0; i < MAILLOG_SESSION_WAYS && s == NULL; i++)
        s = set[i].who == who ? &set[i] : NULL;
    if (s == NULL) {
        s = &set[0];
        for (size_t i = 1; i < MAILLOG_SESSION_WAYS; i++)
            s = set[i].used < s->used ? &set[i] : s;
        *s = (struct maillog_session){.who = who};
    }
    s->used = ++c->used;
    return s;
}

void maillog_session_reset(struct maillog_session *s)
{
    *s = (struct maillog_session){.who = s->who, .used = s->used};
}

/* --- over a restart --- */

struct saved { /* the layout is this build's */
    char magic[8];
    uint32_t version, known, session;
    uint32_t n_known;
    uint64_t used;
};

_Static_assert(sizeof(struct saved) == 32 && sizeof(struct maillog_session) == 528 &&
                   sizeof(struct maillog_message) == 88,
               "no padding");

static struct saved saved_begin(const struct maillog_context *c)
{
    struct saved s;

    memset(&s, 0, sizeof s);
    memcpy(s.magic, "INARIctx", sizeof s.magic);
    s.version = 1;
    s.known = sizeof(struct maillog_message);
    s.session = sizeof(struct maillog_session);
    s.n_known = c->n_known;
    s.used = c->used;
    return s;
}

void maillog_context_save(const struct maillog_context *c, struct strbuf *out)
{
    struct saved head = saved_begin(c);
    unsigned char sum[SHA256_SIZE];
    size_t begin = out->n;

    out->max = out->max < SAVE_MAX ? SAVE_MAX : out->max;
    strbuf_add(out, (struct slice){(const char *)&head, sizeof head});
    for (uint32_t i = c->known[0].newer; i != 0; i = c->known[i].newer) { /* oldest first */
        struct maillog_message k = c->known[i];
        k.next = k.older = k.newer = 0;
        k.texts = NULL;
        strbuf_add(out, (struct slice){(const char *)&k, sizeof k});
        strbuf_add(out, (struct slice){c->known[i].texts, size_of(&k, KNOWN_TEXTS)});
    }
    for (size_t i = 0; i < MAILLOG_SESSION_SETS; i++)
        for (size_t w = 0; w < MAILLOG_SESSION_WAYS; w++)
            if (c->session[i][w].who != 0)
                strbuf_add(
                    out, (struct slice){(const char *)&c->session[i][w], sizeof c->session[i][w]});
    if (!strbuf_ok(out))
        return;
    sha256((struct slice){out->p + begin, out->n - begin}, sum);
    strbuf_add(out, (struct slice){(const char *)sum, sizeof sum});
}

static bool take(struct slice *in, void *to, size_t n)
{
    if (in->n < n)
        return false;
    memcpy(to, in->p, n);
    *in = (struct slice){in->p + n, in->n - n};
    return true;
}

static bool load_known(struct maillog_context *c, struct slice *in)
{
    struct maillog_message k, *to;
    size_t n, at = 0;

    if (!take(in, &k, sizeof k) || memchr(k.id, '\0', sizeof k.id) == NULL ||
        (n = size_of(&k, KNOWN_TEXTS)) > in->n ||
        (to = maillog_message_make(c, slice_of(k.id))) == NULL)
        return false;
    for (size_t i = 0; i < KNOWN_TEXTS; i++) {
        if (k.n[i] != ABSENT)
            maillog_message_set(c, to, (enum known_text)i, (struct slice){in->p + at, k.n[i]});
        at += k.n[i] == ABSENT ? 0 : k.n[i];
    }
    to->queued = k.queued;
    to->internal = k.internal;
    to->size = k.size;
    to->uid = k.uid;
    *in = (struct slice){in->p + n, in->n - n};
    return true;
}

static bool load_session(struct maillog_context *c, struct slice *in)
{
    struct maillog_session s, *set;

    if (!take(in, &s, sizeof s) || s.who == 0)
        return false;
    set = c->session[s.who / 2 % MAILLOG_SESSION_SETS];
    for (size_t i = 0; i < MAILLOG_SESSION_WAYS; i++) {
        if (set[i].who == 0) {
            set[i] = s;
            return true;
        }
    }
    return false;
}

enum err_code maillog_context_load(struct maillog_context *c, struct slice in, struct err *e)
{
    struct saved head, mine = saved_begin(c);
    unsigned char sum[SHA256_SIZE];
    bool good = in.n > sizeof sum;

    if (good) {
        in.n -= sizeof sum;
        sha256(in, sum);
        good = memcmp(sum, in.p + in.n, sizeof sum) == 0 && take(&in, &head, sizeof head);
    }
    if (good) {
        mine.n_known = head.n_known;
        mine.used = head.used;
        good = memcmp(&head, &mine, sizeof head) == 0 && head.n_known <= MAILLOG_MESSAGES;
    }
    for (uint32_t i = 0; good && i < head.n_known; i++) {
        good = load_known(c, &in);
        maillog_context_settle(c);
    }
    while (good && in.n > 0)
        good = load_session(c, &in);
    if (good && !c->no_memory) {
        c->used = head.used;
        return ERR_OK;
    }
    free_texts(c);
    memset(c->known, 0, (MAILLOG_MESSAGES + 1) * sizeof *c->known);
    memset(c->session, 0, sizeof c->session);
    all_free(c);
    return c->no_memory ? err_set(e, ERR_NO_MEMORY, "out of memory")
                        : err_set(e, ERR_MALFORMED, "it is damaged or of another version");
}
