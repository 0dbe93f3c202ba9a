#include "reputation/reputation_private.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum {
    CACHE_PLACES = 65536
}; /* 5 to 6 MB when all are used: some hours of senders of a busy gateway */

struct reputation *reputation_new(void)
{
    struct reputation *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->cache = answer_cache_new(CACHE_PLACES);
    if (r->cache == NULL) {
        free(r);
        return NULL;
    }
    (void)pthread_mutex_init(&r->lock, NULL);
    return r;
}

void reputation_free(struct reputation *r)
{
    if (r == NULL)
        return;
    reputation_set_unref(r->set);
    answer_cache_free(r->cache);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

void reputation_health_unref(struct zone_health *h)
{
    if (h != NULL && --h->refs == 0)
        free(h);
}

struct reputation_set *reputation_set_ref(struct reputation *r)
{
    if (r->set != NULL)
        r->set->refs++;
    return r->set;
}

void reputation_set_unref(struct reputation_set *set)
{
    if (set == NULL || --set->refs > 0)
        return;
    for (size_t i = 0; i < set->conf.zones; i++)
        reputation_health_unref(set->health[i]);
    free(set);
}

/* The same zone's health of the settings before, or a new one.  NULL: out of memory. */
static struct zone_health *health_for(struct reputation *r, const char *name, int64_t now_ms)
{
    struct zone_health *h;

    for (size_t i = 0; r->set != NULL && i < r->set->conf.zones; i++) {
        h = r->set->health[i];
        if (strcmp(h->name, name) == 0) {
            h->refs++;
            zone_health_reload(h, now_ms);
            return h;
        }
    }
    h = malloc(sizeof *h);
    if (h != NULL) {
        zone_health_init(h, name, ++r->zone_ids, now_ms);
        h->refs = 1;
    }
    return h;
}

static enum err_code conf_check(const struct reputation_conf *conf, struct err *e)
{
    if (conf->wait_ms < REP_WAIT_MIN_MS || conf->wait_ms > REP_WAIT_MAX_MS)
        return err_set(e, ERR_INVALID, "wait_ms is %d to %d", REP_WAIT_MIN_MS, REP_WAIT_MAX_MS);
    if (conf->zones > REP_ZONES_MAX)
        return err_set(e, ERR_INVALID, "at most %d zones can be asked", REP_ZONES_MAX);
    for (size_t i = 0; i < conf->zones; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(conf->zone[i].name, conf->zone[j].name) == 0)
                return err_set(e, ERR_INVALID, "the zone %s is there twice", conf->zone[i].name);
        }
    }
    return ERR_OK;
}

enum err_code reputation_configure(struct reputation *r, const struct reputation_conf *conf,
                                   int64_t now_ms, struct err *e)
{
    struct reputation_set *set;
    enum err_code rc = conf_check(conf, e);

    if (rc != ERR_OK)
        return rc;
    set = calloc(1, sizeof *set);
    if (set == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    set->conf = *conf;
    set->refs = 1;
    (void)pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < conf->zones && rc == ERR_OK; i++) {
        set->health[i] = health_for(r, conf->zone[i].name, now_ms);
        if (set->health[i] == NULL)
            rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    if (rc == ERR_OK) {
        struct reputation_set *before = r->set;
        set->generation = ++r->generation;
        r->set = set;
        set = before;
    }
    reputation_set_unref(set);
    (void)pthread_mutex_unlock(&r->lock);
    return rc;
}

enum rep_action reputation_meaning(const struct reputation_set *set, size_t i, bool ipv4,
                                   const struct dnsbl_answer *a, uint32_t *ret_code)
{
    enum rep_action best = REP_PASS;

    *ret_code = 0;
    if (a->kind == DNSBL_ERROR || !zone_health_believed(set->health[i], ipv4))
        return REP_UNKNOWN;
    for (size_t k = 0; k < a->n && a->kind == DNSBL_LISTED; k++) {
        enum rep_action action = rep_codes_action(&set->conf.zone[i].codes, a->codes[k]);
        if (action > best) {
            best = action;
            *ret_code = a->codes[k];
        }
    }
    return best;
}

static void name_it(const struct reputation_set *set, size_t i, uint32_t code,
                    const struct cached_answer *a, int64_t now_ms, struct reputation_verdict *v)
{
    struct in_addr addr = {htonl(code)};

    text_copy(v->zone, sizeof v->zone, set->conf.zone[i].name);
    (void)inet_ntop(AF_INET, &addr, v->code, sizeof v->code);
    v->ttl_s = a->expires_ms <= now_ms ? 0 : (uint32_t)((a->expires_ms - now_ms) / 1000);
    v->age_s = now_ms <= a->stored_ms ? 0 : (uint32_t)((now_ms - a->stored_ms) / 1000);
}

bool reputation_decide(const struct reputation_set *set, const struct reputation_slot *slots,
                       bool ipv4, bool final, int64_t now_ms, struct reputation_verdict *ret)
{
    struct reputation_verdict v = {.action = REP_PASS, .complete = true};
    bool pending = false, pending_allow = false;

    for (size_t i = 0; i < set->conf.zones; i++) {
        enum rep_action action = REP_UNKNOWN;
        uint32_t code = 0;
        bool waits = slots[i].state == SLOT_PENDING;

        if (slots[i].state == SLOT_ANSWERED) {
            action = reputation_meaning(set, i, ipv4, &slots[i].cached.answer, &code);
            /* listed, and the zone's test points are being asked this moment */
            waits = slots[i].cached.answer.kind == DNSBL_LISTED &&
                    set->health[i]->state == ZONE_UNPROVEN;
        }
        pending |= waits;
        pending_allow |= waits && set->conf.zone[i].profile == REP_ALLOW;
        v.complete = v.complete && action != REP_UNKNOWN;
        if (action > v.action) {
            v.action = action;
            if (action >= REP_LOG)
                name_it(set, i, code, &slots[i].cached, now_ms, &v);
        }
    }
    if (!final && pending && v.action != REP_APPROVE && (v.action != REP_REJECT || pending_allow))
        return false;
    *ret = v;
    return true;
}

void reputation_cached(struct reputation *r, const uint8_t addr[16], int64_t now_ms,
                       struct reputation_verdict *ret)
{
    struct reputation_slot slots[REP_ZONES_MAX];
    struct reputation_verdict v = {.action = REP_PASS, .complete = true};

    (void)pthread_mutex_lock(&r->lock);
    for (size_t i = 0; r->set != NULL && i < r->set->conf.zones; i++) {
        bool known =
            answer_cache_find(r->cache, r->set->health[i]->id, addr, now_ms, &slots[i].cached);
        slots[i].state = known ? SLOT_ANSWERED : SLOT_NOBODY;
    }
    if (r->set != NULL)
        (void)reputation_decide(r->set, slots, dnsbl_is_ipv4(addr), true, now_ms, &v);
    (void)pthread_mutex_unlock(&r->lock);
    v.cached = true;
    *ret = v;
}

void reputation_count_refused(struct reputation *r, const char *zone)
{
    (void)pthread_mutex_lock(&r->lock);
    for (size_t i = 0; r->set != NULL && i < r->set->conf.zones; i++) {
        if (strcmp(r->set->health[i]->name, zone) == 0)
            r->set->health[i]->refused++;
    }
    (void)pthread_mutex_unlock(&r->lock);
}

struct zone_news zone_news_of(const struct zone_health *h)
{
    struct zone_news n = {.bad = h->state != ZONE_OK};

    text_copy(n.zone, sizeof n.zone, h->name);
    text_copy(n.state, sizeof n.state, zone_health_state_name(h));
    text_copy(n.why, sizeof n.why, h->state == ZONE_DOWN ? h->last_error : h->test_result);
    return n;
}

void zone_news_log(const struct zone_news *news)
{
    log_event(news->bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "reputation.zone",
              KV_STR("zone", news->zone), KV_STR("state", news->state), KV_STR("why", news->why));
}
