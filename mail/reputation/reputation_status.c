#include "reputation/reputation_private.h"

#include "base/clock.h"

#include <arpa/inet.h>

/* What is told about a zone, copied out of the lock. */
struct zone_view {
    struct zone_health h;
    enum rep_profile profile;
};

static json_t *time_json(int64_t mono_ms, int64_t now_ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (mono_ms == 0)
        return json_null();
    clock_format(clock_wall_ms() - (now_ms - mono_ms), text);
    return json_string(text);
}

static json_t *zone_json(const struct zone_view *v, int64_t now_ms)
{
    static const char *const ipv6[] = {"unknown", "yes", "no", "lists_all"};
    const struct zone_health *h = &v->h;

    return json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:s, s:o, "
                     "s:{s:o, s:s, s:s}}",
                     "state", zone_health_state_name(h), "since", time_json(h->since_ms, now_ms),
                     "profile", rep_profile_name(v->profile), "queries", (json_int_t)h->queries,
                     "listed", (json_int_t)h->listed, "not_listed", (json_int_t)h->free, "errors",
                     (json_int_t)h->errors, "timeouts", (json_int_t)h->timeouts, "cache_hits",
                     (json_int_t)h->cache_hits, "skipped", (json_int_t)h->skipped, "refused",
                     (json_int_t)h->refused, "p50_ms", zone_health_latency_us(h, 50) / 1000.0,
                     "p95_ms", zone_health_latency_us(h, 95) / 1000.0, "last_error", h->last_error,
                     "last_error_at", time_json(h->error_ms, now_ms), "test", "at",
                     time_json(h->tested_ms, now_ms), "result",
                     h->tested_ms == 0 ? "not yet" : h->test_result, "ipv6", ipv6[h->ipv6]);
}

json_t *reputation_status_json(struct reputation *r, int64_t now_ms)
{
    UNINITIALIZED struct zone_view views[REP_ZONES_MAX];
    json_t *all = json_object();
    size_t n = 0;

    (void)pthread_mutex_lock(&r->lock);
    for (; r->set != NULL && n < r->set->conf.zones; n++)
        views[n] = (struct zone_view){*r->set->health[n], r->set->conf.zone[n].profile};
    (void)pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; all != NULL && i < n; i++) {
        if (json_object_set_new(all, views[i].h.name, zone_json(&views[i], now_ms)) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

struct told {
    char zone[REP_ZONE_NAME_SIZE];
    const char *state;
    bool known;
    struct cached_answer a;
    enum rep_action action;
    uint32_t code;
};

static json_t *codes_json(const struct dnsbl_answer *a)
{
    json_t *codes = json_array();

    for (size_t i = 0; i < a->n && a->kind == DNSBL_LISTED; i++) {
        char text[INET_ADDRSTRLEN];
        struct in_addr addr = {htonl(a->codes[i])};
        (void)inet_ntop(AF_INET, &addr, text, sizeof text);
        if (json_array_append_new(codes, json_string(text)) != 0) {
            json_decref(codes);
            return NULL;
        }
    }
    return codes;
}

static json_t *told_json(const struct told *t, int64_t now_ms)
{
    char text[DNSBL_TEXT_SIZE];

    if (!t->known)
        return json_pack("{s:s, s:s, s:s, s:s}", "zone", t->zone, "state", t->state, "answer",
                         "not asked", "action", "unknown");
    dnsbl_answer_text(&t->a.answer, text);
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:I, s:I}", "zone", t->zone, "state", t->state,
                     "answer", text, "codes", codes_json(&t->a.answer), "action",
                     rep_action_name(t->action), "age_s",
                     (json_int_t)((now_ms - t->a.stored_ms) / 1000), "ttl_s",
                     (json_int_t)((t->a.expires_ms - now_ms) / 1000));
}

json_t *reputation_explain_json(struct reputation *r, const uint8_t addr[16], int64_t now_ms)
{
    UNINITIALIZED struct told told[REP_ZONES_MAX];
    json_t *all = json_array();
    size_t n = 0;

    (void)pthread_mutex_lock(&r->lock);
    for (; r->set != NULL && n < r->set->conf.zones; n++) {
        struct zone_health *h = r->set->health[n];
        struct told *t = &told[n];
        text_copy(t->zone, sizeof t->zone, h->name);
        t->state = zone_health_state_name(h);
        t->known = answer_cache_find(r->cache, h->id, addr, now_ms, &t->a);
        if (t->known)
            t->action = reputation_meaning(r->set, n, dnsbl_is_ipv4(addr), &t->a.answer, &t->code);
    }
    (void)pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; all != NULL && i < n; i++) {
        if (json_array_append_new(all, told_json(&told[i], now_ms)) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}
