#include "domain/fleet_figures.h"

#include "base/clock.h"
#include "domain/event_feed.h"
#include "domain/figure.h"
#include "domain/fleet_private.h"
#include "domain/keyring.h"

enum { STATES = DEV_REATTACH + 1 };
enum presence { ONLINE, LATE, LOST, UNHEARD, PRESENCES };
static const char *const presence_names[] = {"online", "late", "lost", "unheard"};

struct count {
    int64_t state[STATES], presence[PRESENCES];
    int64_t commands, ahead, limited;
};

/* Only who polls can be late. */
static bool in_service(enum device_state s)
{
    return s == DEV_OBSERVING || s == DEV_MANAGED || s == DEV_HELD;
}

static enum presence presence_of(const struct fleet_view *v, int64_t now)
{
    int64_t age = now - v->seen_mono_ms;

    if (v->seen_mono_ms == 0)
        return UNHEARD;
    return age < DEVICE_LATE_MS ? ONLINE : age < DEVICE_LOST_MS ? LATE : LOST;
}

static void count_one(struct count *c, const struct fleet_view *v, int64_t now)
{
    c->state[v->state]++;
    c->limited += v->limited;
    if (!in_service(v->state))
        return;
    c->presence[presence_of(v, now)]++;
    c->commands += v->commands;
    c->ahead += v->ahead_rev != 0;
}

static struct count count_all(struct fleet_cache *f)
{
    struct count c = {0};
    int64_t now = clock_mono_ms();

    for (int i = 0; i < FLEET_SHARDS; i++) {
        struct shard *s = &f->shard[i];
        (void)pthread_mutex_lock(&s->lock);
        for (int b = 0; b < FLEET_BUCKETS; b++)
            for (const struct entry *en = s->bucket[b]; en != NULL; en = en->next)
                count_one(&c, &en->v, now);
        (void)pthread_mutex_unlock(&s->lock);
    }
    return c;
}

static void head(struct strbuf *out, const char *name, const char *type, const char *help)
{
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct strbuf *out, const char *name, const char *help, int64_t value)
{
    head(out, name, "gauge", help);
    strbuf_printf(out, "%s %lld\n", name, (long long)value);
}

static void devices(struct strbuf *out, const struct count *c)
{
    head(out, "inari_devices", "gauge", "Devices by state.");
    for (int i = 0; i < STATES; i++)
        strbuf_printf(out, "inari_devices{state=\"%s\"} %lld\n", device_state_names[i],
                      (long long)c->state[i]);
    head(
        out, "inari_devices_presence", "gauge",
        "Observing, managed and held devices by when this parent heard them; unheard: not since it "
        "started.");
    for (int i = 0; i < PRESENCES; i++)
        strbuf_printf(out, "inari_devices_presence{presence=\"%s\"} %lld\n", presence_names[i],
                      (long long)c->presence[i]);
}

/* By what they told this parent lately: what is older is no longer so. */
static void queue_ages(struct fleet_cache *f, struct strbuf *out)
{
    int64_t now = clock_mono_ms();

    head(out, "inari_device_queue_oldest_seconds", "gauge",
         "Age of the oldest message in the queue of a device, as it told this parent last.");
    for (int i = 0; i < FLEET_SHARDS; i++) {
        struct shard *s = &f->shard[i];
        (void)pthread_mutex_lock(&s->lock);
        for (int b = 0; b < FLEET_BUCKETS; b++)
            for (const struct entry *en = s->bucket[b]; en != NULL; en = en->next)
                if (in_service(en->v.state) && en->queue_age_ms != 0 &&
                    now - en->queue_age_ms < DEVICE_LOST_MS)
                    strbuf_printf(out, "inari_device_queue_oldest_seconds{device=\"%s\"} %lld\n",
                                  en->v.id, (long long)en->queue_age_s);
        (void)pthread_mutex_unlock(&s->lock);
    }
}

void fleet_figures(struct app *app, struct strbuf *out)
{
    struct count c = count_all(app->fleet);
    int64_t end = app->certificate_end_ms == NULL ? 0 : app->certificate_end_ms();

    devices(out, &c);
    one(out, "inari_devices_ahead", "Devices that have verified more than this parent knows.",
        c.ahead);
    one(out, "inari_device_polls_limited", "Polls refused because a device asked too often.",
        c.limited);
    queue_ages(app->fleet, out);
    one(out, "inari_commands_waiting", "Orders that their device has not taken yet.", c.commands);
    one(out, "inari_rollout_unended",
        "1: a rollout goes on or waits for somebody's word; known within 30 s.",
        atomic_load(&app->figures_one_in) != 0);
    one(out, "inari_revision_highest", "Highest rev of a bundle that is offered.",
        fleet_highest_rev(app->fleet));
    one(out, "inari_epoch", "Epoch of what is issued.", atomic_load(&app->epoch));
    one(out, "inari_fenced", "1: nothing is given to devices until an administrator has decided.",
        atomic_load(&app->fenced));
    one(out, "inari_fleet_stale", "1: the database was not read for five minutes.",
        !fleet_usable(app->fleet, clock_mono_ms()));
    one(out, "inari_trust_document", "Number of the newest trust document.",
        keyring_trust_n(app->keys));
    if (end > 0)
        one(out, "inari_certificate_end_seconds",
            "When the listener's certificate ends, Unix time.", end / 1000);
    figure_totals_write(out);
    feed_figures(out);
}
