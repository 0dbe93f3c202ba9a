/*
 * Life of an ask: answers in the cache and zones that nobody asks decide it at once, or it gets a
 * slot a zone and hangs on the questions of its open ones.  A question ends, is put into the cache,
 * fills the slots of all asks that hang on it.  An ask that is decided, or out of time, goes to the
 * list of the finished, whose callbacks reputation_loop_run() calls last, outside of c-ares and of
 * the lock. The lock is for what is shared (cache, health, counters of references); it is never
 * held over a system call.  Asks, questions and tests belong to the loop.
 */
#include "reputation/reputation_private.h"

#include "reputation/resolver.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    TABLE = 1024, /* buckets of the questions under way */
    DRAINING = 4, /* resolvers of settings before that still have questions under way */
    NEWS_MAX = 32,
    REREAD_MS = 15000, /* the system's resolvers, while a zone is down */
    AGAIN_MS = 1000,   /* no memory or descriptors for a resolver: tried again */
};

struct question;

/* An ask on the list of a question. */
struct hang {
    struct reputation_ask *ask;
    size_t slot;
    struct question *question; /* NULL: not hanging */
    struct hang *prev, *next;
};

struct reputation_ask {
    struct reputation_loop *loop;
    struct reputation_set *set;
    uint8_t addr[16];
    int64_t deadline_ms;
    reputation_done *done;
    void *user;
    bool starting;
    struct reputation_slot slot[REP_ZONES_MAX];
    struct hang hang[REP_ZONES_MAX];
    struct reputation_verdict verdict;
    struct reputation_ask *prev, *next; /* of the waiting (by deadline) or of the finished */
    bool finished;
};

struct question {
    struct reputation_loop *loop;
    struct zone_health *health; /* a reference */
    uint8_t addr[16];
    int64_t began_us;
    struct hang *hangs;
    struct question *next; /* in its bucket */
};

/* The test points of one zone. */
struct zone_test {
    struct reputation_loop *loop;
    struct zone_health *health; /* a reference */
    struct dnsbl_answer answers[TEST_POINTS];
    unsigned open;
    struct zone_test *next;
};

struct test_part {
    struct zone_test *test;
    enum zone_test_point point;
};

struct ask_list {
    struct reputation_ask *first, *last;
};

struct reputation_loop {
    struct reputation *shared;
    int epoll_fd;
    struct resolver *resolver; /* NULL until there are zones */
    uint64_t generation;       /* of the settings it was made by */
    struct resolver *draining[DRAINING];
    struct ask_list waiting, finished;
    struct question *table[TABLE];
    struct zone_test *tests;
    struct zone_news news[NEWS_MAX];
    size_t n_news;
    int64_t now_ms, again_ms;
    bool closing;
};

/* --- lists --- */

static void list_remove(struct ask_list *l, struct reputation_ask *a)
{
    *(a->prev == NULL ? &l->first : &a->prev->next) = a->next;
    *(a->next == NULL ? &l->last : &a->next->prev) = a->prev;
    a->prev = a->next = NULL;
}

/* By deadline; nearly always at the end, since all wait alike. */
static void list_insert(struct ask_list *l, struct reputation_ask *a)
{
    struct reputation_ask *before = l->last;

    while (before != NULL && before->deadline_ms > a->deadline_ms)
        before = before->prev;
    a->prev = before;
    a->next = before == NULL ? l->first : before->next;
    *(a->prev == NULL ? &l->first : &a->prev->next) = a;
    *(a->next == NULL ? &l->last : &a->next->prev) = a;
}

static void unhang(struct hang *h)
{
    if (h->question == NULL)
        return;
    *(h->prev == NULL ? &h->question->hangs : &h->prev->next) = h->next;
    if (h->next != NULL)
        h->next->prev = h->prev;
    h->question = NULL;
}

static struct question **bucket_of(struct reputation_loop *l, uint32_t zone, const uint8_t addr[16])
{
    uint64_t half[2];

    memcpy(half, addr, sizeof half);
    return &l->table[((half[0] ^ half[1]) * 0x9e3779b97f4a7c15u + zone * 0x85ebca6bu) >> 40 &
                     (TABLE - 1)];
}

static void note(struct reputation_loop *l, const struct zone_health *h)
{
    if (l->n_news < NEWS_MAX)
        l->news[l->n_news++] = zone_news_of(h);
}

static void lock(struct reputation_loop *l)
{
    (void)pthread_mutex_lock(&l->shared->lock);
}

static void unlock(struct reputation_loop *l)
{
    (void)pthread_mutex_unlock(&l->shared->lock);
}

/* --- ends --- */

/* The lock is held. */
static void ask_free(struct reputation_ask *a)
{
    for (size_t i = 0; i < a->set->conf.zones; i++)
        unhang(&a->hang[i]);
    reputation_set_unref(a->set);
    free(a);
}

/* Finished when decided, or when it is final.  The lock is held. */
static void ask_look(struct reputation_ask *a, bool final)
{
    if (a->starting || a->finished ||
        !reputation_decide(a->set, a->slot, dnsbl_is_ipv4(a->addr), final, a->loop->now_ms,
                           &a->verdict))
        return;
    for (size_t i = 0; i < a->set->conf.zones; i++)
        unhang(&a->hang[i]);
    a->finished = true;
    list_remove(&a->loop->waiting, a);
    a->deadline_ms = 0;
    list_insert(&a->loop->finished, a);
}

static struct dnsbl_answer answer_of(enum dnsbl_error error, const uint8_t *message, size_t n)
{
    struct dnsbl_answer a = dnsbl_answer_error(error);

    if (message != NULL)
        dnsbl_answer_parse(message, n, &a);
    return a;
}

/* The lock is held. */
static void question_free(struct question *q)
{
    struct question **p = bucket_of(q->loop, q->health->id, q->addr);

    while (*p != q)
        p = &(*p)->next;
    *p = q->next;
    while (q->hangs != NULL)
        unhang(q->hangs);
    reputation_health_unref(q->health);
    free(q);
}

/* The lock is held. */
static void tell_asks(struct question *q, const struct dnsbl_answer *a, int64_t ttl_ms)
{
    int64_t now_ms = q->loop->now_ms;

    while (q->hangs != NULL) {
        struct hang *h = q->hangs;
        h->ask->slot[h->slot] =
            (struct reputation_slot){SLOT_ANSWERED, {*a, now_ms, now_ms + ttl_ms}};
        unhang(h);
        ask_look(h->ask, false);
    }
}

/* From c-ares: in reputation_loop_run(), or in reputation_ask() when it fails at once. */
static void on_answer(void *user, enum dnsbl_error error, const uint8_t *message, size_t n)
{
    struct question *q = user;
    struct reputation_loop *l = q->loop;
    struct dnsbl_answer a = answer_of(error, message, n);
    int64_t ttl_ms = answer_ttl_ms(&a), took_us = clock_mono_us() - q->began_us;

    lock(l);
    if (l->closing) {
        q->health->open -= q->health->open > 0;
    } else {
        answer_cache_put(l->shared->cache, q->health->id, q->addr, l->now_ms, ttl_ms, &a);
        if (zone_health_answered(q->health, &a, took_us, l->now_ms))
            note(l, q->health);
        tell_asks(q, &a, ttl_ms);
    }
    question_free(q);
    unlock(l);
}

/* --- test points --- */

/* The lock is held. */
static void test_free(struct zone_test *t)
{
    struct zone_test **p = &t->loop->tests;

    while (*p != t)
        p = &(*p)->next;
    *p = t->next;
    reputation_health_unref(t->health);
    free(t);
}

/* Asks that were told "listed" by a zone nobody had tested.  The lock is held. */
static void look_again(struct reputation_loop *l)
{
    for (struct reputation_ask *a = l->waiting.first, *next; a != NULL; a = next) {
        next = a->next;
        ask_look(a, false);
    }
}

/* The system's resolvers may be others by now: a host that started before its network had none. The
 * lock is held. */
static void look_for_resolvers(struct reputation_loop *l, const struct zone_health *h)
{
    struct reputation *r = l->shared;

    if (h->state != ZONE_DOWN || r->set == NULL || r->set->conf.resolvers > 0 ||
        (r->reread_ms != 0 && l->now_ms - r->reread_ms < REREAD_MS))
        return;
    r->reread_ms = l->now_ms;
    r->set->generation = ++r->generation;
}

static void test_finished(struct zone_test *t)
{
    struct reputation_loop *l = t->loop;
    bool was_unproven;

    lock(l);
    was_unproven = t->health->state == ZONE_UNPROVEN;
    if (l->closing)
        zone_health_test_drop(t->health, l->now_ms);
    else if (zone_health_test_end(t->health, t->answers, l->now_ms))
        note(l, t->health);
    if (was_unproven && !l->closing)
        look_again(l);
    if (!l->closing)
        look_for_resolvers(l, t->health);
    test_free(t);
    unlock(l);
}

static void on_test_answer(void *user, enum dnsbl_error error, const uint8_t *message, size_t n)
{
    struct test_part *part = user;
    struct zone_test *t = part->test;

    t->answers[part->point] = answer_of(error, message, n);
    free(part);
    if (--t->open == 0)
        test_finished(t);
}

static void test_ask(struct zone_test *t, enum zone_test_point point)
{
    struct test_part *part = malloc(sizeof *part);
    char name[DNSBL_NAME_SIZE];

    t->answers[point] = dnsbl_answer_error(DNSBL_E_NETWORK);
    if (part == NULL)
        return;
    *part = (struct test_part){t, point};
    dnsbl_name(zone_test_address(point), point >= TEST_LISTED_V6, t->health->name, name);
    t->open++;
    if (!resolver_query(t->loop->resolver, name, t->loop->now_ms, on_test_answer, part)) {
        free(part);
        t->open--;
    }
}

static void test_start(struct zone_test *t)
{
    for (unsigned p = 0; p < TEST_POINTS; p++)
        test_ask(t, (enum zone_test_point)p);
    if (--t->open == 0) /* the one that test_claim() counted */
        test_finished(t);
}

/* One loop tests for all.  NULL: nothing is due.  The lock is held. */
static struct zone_test *test_claim(struct reputation_loop *l, struct zone_health *h)
{
    struct zone_test *t;

    if (!zone_health_test_due(h, l->now_ms))
        return NULL;
    t = calloc(1, sizeof *t);
    if (t == NULL) {
        h->test_ms = l->now_ms + AGAIN_MS;
        return NULL;
    }
    *t = (struct zone_test){.loop = l, .health = h, .open = 1, .next = l->tests};
    h->refs++;
    l->tests = t;
    zone_health_test_begin(h);
    return t;
}

static void start_due_tests(struct reputation_loop *l)
{
    struct zone_test *due[REP_ZONES_MAX];
    size_t n = 0;

    lock(l);
    for (size_t i = 0;
         l->resolver != NULL && l->shared->set != NULL && i < l->shared->set->conf.zones; i++) {
        due[n] = test_claim(l, l->shared->set->health[i]);
        n += due[n] != NULL;
    }
    unlock(l);
    for (size_t i = 0; i < n; i++)
        test_start(due[i]);
}

/* --- settings --- */

static void drop_resolver(struct reputation_loop *l, struct resolver **r)
{
    if (*r == NULL)
        return;
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, resolver_fd(*r), NULL);
    resolver_free(*r);
    *r = NULL;
}

/* The resolver of settings before goes on with what it was asked. */
static void drain(struct reputation_loop *l)
{
    size_t at = 0;

    if (l->resolver == NULL)
        return;
    while (at < DRAINING && l->draining[at] != NULL)
        at++;
    if (at == DRAINING) {
        at = 0;
        drop_resolver(l, &l->draining[at]);
    }
    l->draining[at] = l->resolver;
    l->resolver = NULL;
}

static struct resolver *resolver_for(struct reputation_loop *l, const struct reputation_conf *conf)
{
    struct epoll_event ev = {.events = EPOLLIN};
    struct resolver *fresh = NULL;
    struct err e = {0};

    if (resolver_new(conf, &fresh, &e) == ERR_OK &&
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, resolver_fd(fresh), &ev) != 0) {
        (void)err_errno(&e, ERR_STORAGE, errno, "could not watch an epoll descriptor");
        resolver_free(fresh);
        fresh = NULL;
    }
    if (fresh == NULL)
        log_event(LOG_LEVEL_ERROR, "reputation.resolver", KV_STR("error", e.msg));
    return fresh;
}

/* The resolver becomes that of the settings in force. */
static void follow_settings(struct reputation_loop *l)
{
    struct reputation_set *set = NULL;
    struct resolver *fresh;

    lock(l);
    if (l->shared->set != NULL && l->shared->set->generation != l->generation &&
        l->now_ms >= l->again_ms)
        set = reputation_set_ref(l->shared);
    unlock(l);
    if (set == NULL)
        return;
    fresh = set->conf.zones == 0 ? NULL : resolver_for(l, &set->conf);
    if (fresh != NULL || set->conf.zones == 0) {
        drain(l);
        l->resolver = fresh;
        l->generation = set->generation;
    } else {
        l->again_ms = l->now_ms + AGAIN_MS; /* until then the old one, if there is one */
    }
    lock(l);
    reputation_set_unref(set);
    unlock(l);
}

/* --- asking --- */

static struct question *question_find(struct reputation_loop *l, const struct zone_health *h,
                                      const uint8_t addr[16])
{
    struct question *q = *bucket_of(l, h->id, addr);

    while (q != NULL && (q->health != h || memcmp(q->addr, addr, 16) != 0))
        q = q->next;
    return q;
}

static struct question *question_new(struct reputation_loop *l, struct zone_health *h,
                                     const uint8_t addr[16])
{
    struct question **bucket = bucket_of(l, h->id, addr), *q = calloc(1, sizeof *q);

    if (q == NULL)
        return NULL;
    *q = (struct question){.loop = l, .health = h, .began_us = clock_mono_us(), .next = *bucket};
    memcpy(q->addr, addr, 16);
    *bucket = q;
    lock(l);
    h->refs++;
    zone_health_asked(h);
    unlock(l);
    return q;
}

static void question_hang(struct question *q, struct reputation_ask *a, size_t slot)
{
    struct hang *h = &a->hang[slot];

    *h = (struct hang){.ask = a, .slot = slot, .question = q, .next = q->hangs};
    if (q->hangs != NULL)
        q->hangs->prev = h;
    q->hangs = h;
}

/* Slot i of a waits for an answer: the question that is under way, or a new one. */
static void start_question(struct reputation_ask *a, size_t i)
{
    struct reputation_loop *l = a->loop;
    struct question *q = question_find(l, a->set->health[i], a->addr);
    char name[DNSBL_NAME_SIZE];

    if (q != NULL) {
        question_hang(q, a, i);
        return;
    }
    q = l->resolver == NULL ? NULL : question_new(l, a->set->health[i], a->addr);
    if (q == NULL) {
        a->slot[i].state = SLOT_NOBODY;
        return;
    }
    question_hang(q, a, i);
    dnsbl_name(a->addr, false, q->health->name, name);
    if (resolver_query(l->resolver, name, l->now_ms, on_answer, q))
        return;
    lock(l);
    a->slot[i].state = SLOT_NOBODY;
    q->health->open--;
    q->health->skipped++;
    question_free(q);
    unlock(l);
}

/* What the cache knows, and who can be asked.  The lock is held. */
static void look_up(struct reputation_loop *l, struct reputation_set *set, const uint8_t addr[16],
                    struct reputation_slot *slots)
{
    for (size_t i = 0; i < set->conf.zones; i++) {
        struct zone_health *h = set->health[i];
        if (answer_cache_find(l->shared->cache, h->id, addr, l->now_ms, &slots[i].cached)) {
            slots[i].state = SLOT_ANSWERED;
            h->cache_hits++;
        } else {
            slots[i].state =
                zone_health_may_ask(h, dnsbl_is_ipv4(addr)) ? SLOT_PENDING : SLOT_NOBODY;
        }
    }
}

/* Ask whoever has to be asked.  true: decided already, a is gone. */
static bool ask_start(struct reputation_ask *a, struct reputation_verdict *ret)
{
    struct reputation_loop *l = a->loop;
    bool decided;

    a->starting = true;
    for (size_t i = 0; i < a->set->conf.zones; i++) {
        if (a->slot[i].state == SLOT_PENDING)
            start_question(a, i);
    }
    a->starting = false;
    lock(l);
    decided = reputation_decide(a->set, a->slot, dnsbl_is_ipv4(a->addr), false, l->now_ms, ret);
    if (decided)
        ask_free(a);
    else
        list_insert(&l->waiting, a);
    unlock(l);
    return decided;
}

bool reputation_ask(struct reputation_loop *l, const uint8_t addr[16], int64_t now_ms,
                    reputation_done *done, void *user, struct reputation_verdict *ret,
                    struct reputation_ask **ret_ask)
{
    struct reputation_slot slots[REP_ZONES_MAX];
    struct reputation_set *set;
    struct reputation_ask *a = NULL;
    bool decided = true;

    l->now_ms = now_ms;
    follow_settings(l);
    *ret = (struct reputation_verdict){.action = REP_PASS, .complete = true};
    lock(l);
    set = reputation_set_ref(l->shared);
    if (set != NULL) {
        look_up(l, set, addr, slots);
        decided = reputation_decide(set, slots, dnsbl_is_ipv4(addr), false, now_ms, ret);
        a = decided ? NULL : calloc(1, sizeof *a);
        if (!decided && a == NULL) /* out of memory: what is known must do */
            decided = reputation_decide(set, slots, dnsbl_is_ipv4(addr), true, now_ms, ret);
        if (decided)
            reputation_set_unref(set);
    }
    unlock(l);
    ret->cached = true;
    if (decided)
        return true;
    *a = (struct reputation_ask){.loop = l,
                                 .set = set,
                                 .deadline_ms = now_ms + set->conf.wait_ms,
                                 .done = done,
                                 .user = user};
    memcpy(a->addr, addr, 16);
    memcpy(a->slot, slots, sizeof slots[0] * set->conf.zones);
    if (ask_start(a, ret))
        return true;
    *ret_ask = a;
    return false;
}

void reputation_ask_for(struct reputation_ask *a, void *user)
{
    a->user = user;
}

void reputation_ask_cancel(struct reputation_ask *a)
{
    struct reputation_loop *l = a->loop;

    list_remove(a->finished ? &l->finished : &l->waiting, a);
    lock(l);
    ask_free(a);
    unlock(l);
}

/* --- the loop --- */

static void expire(struct reputation_loop *l)
{
    lock(l);
    while (l->waiting.first != NULL && l->waiting.first->deadline_ms <= l->now_ms) {
        struct reputation_ask *a = l->waiting.first;
        for (size_t i = 0; i < a->set->conf.zones; i++) {
            if (a->slot[i].state == SLOT_PENDING &&
                zone_health_slow(a->set->health[i], a->set->conf.wait_ms, l->now_ms))
                note(l, a->set->health[i]);
        }
        ask_look(a, true);
    }
    unlock(l);
}

static void deliver(struct reputation_loop *l)
{
    /* what a callback asks and is decided at once does not come here: no endless turn */
    while (l->finished.first != NULL) {
        struct reputation_ask *a = l->finished.first;
        struct reputation_verdict v = a->verdict;
        reputation_done *done = a->done;
        void *user = a->user;

        list_remove(&l->finished, a);
        lock(l);
        ask_free(a);
        unlock(l);
        done(user, &v);
    }
}

static void tell_news(struct reputation_loop *l)
{
    for (size_t i = 0; i < l->n_news; i++)
        zone_news_log(&l->news[i]);
    l->n_news = 0;
}

void reputation_loop_run(struct reputation_loop *l, int64_t now_ms)
{
    l->now_ms = now_ms;
    follow_settings(l);
    if (l->resolver != NULL)
        resolver_run(l->resolver, now_ms);
    for (size_t i = 0; i < DRAINING; i++) {
        if (l->draining[i] != NULL)
            resolver_run(l->draining[i], now_ms);
        if (l->draining[i] != NULL && resolver_open(l->draining[i]) == 0)
            drop_resolver(l, &l->draining[i]);
    }
    start_due_tests(l);
    expire(l);
    tell_news(l);
    deliver(l);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int reputation_loop_timeout_ms(struct reputation_loop *l, int64_t now_ms)
{
    int64_t at = l->waiting.first == NULL ? INT64_MAX : l->waiting.first->deadline_ms;
    struct reputation_set *set;

    if (l->finished.first != NULL)
        return 0;
    if (l->resolver != NULL)
        at = earlier(at, resolver_wake_at(l->resolver));
    for (size_t i = 0; i < DRAINING; i++) {
        if (l->draining[i] != NULL)
            at = earlier(at, resolver_wake_at(l->draining[i]));
    }
    lock(l);
    set = l->shared->set;
    if (set != NULL && set->generation != l->generation)
        at = earlier(at, l->again_ms);
    for (size_t i = 0; set != NULL && l->resolver != NULL && i < set->conf.zones; i++)
        at = earlier(at, zone_health_test_at(set->health[i]));
    unlock(l);
    if (at == INT64_MAX)
        return -1;
    return at <= now_ms ? 0 : (int)earlier(at - now_ms, 3600000);
}

/* --- begin and end --- */

enum err_code reputation_loop_new(struct reputation *r, struct reputation_loop **ret, struct err *e)
{
    struct reputation_loop *l = calloc(1, sizeof *l);

    if (l == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    l->shared = r;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        free(l);
        return err_errno(e, ERR_STORAGE, errno, "could not make an epoll descriptor");
    }
    *ret = l;
    return ERR_OK;
}

static void free_asks(struct ask_list *list)
{
    while (list->first != NULL) {
        struct reputation_ask *a = list->first;
        list_remove(list, a);
        ask_free(a);
    }
}

void reputation_loop_free(struct reputation_loop *l)
{
    if (l == NULL)
        return;
    l->closing = true;
    lock(l);
    free_asks(&l->waiting);
    free_asks(&l->finished);
    unlock(l);
    drop_resolver(l, &l->resolver);
    for (size_t i = 0; i < DRAINING; i++)
        drop_resolver(l, &l->draining[i]);
    (void)close(l->epoll_fd);
    free(l);
}

int reputation_loop_fd(const struct reputation_loop *l)
{
    return l->epoll_fd;
}
