#include "loop/front.h"

#include "loop/loop.h"

#include <stdio.h>

static const json_t *seen(const struct loop *l)
{
    return json_object_get(l->work.running, "foxproxy");
}

/* A DNS list that something is wrong with: mail goes on without it, and somebody should know. */
static bool zone_trouble(const json_t *f, char *text, size_t size)
{
    static const char *const worst[] = {"lists_all", "down", "empty"};
    const char *name;
    const json_t *zone;

    for (size_t i = 0; i < COUNT_OF(worst); i++) {
        json_object_foreach(json_object_get(f, "zones"), name, zone)
        {
            if (strcmp(json_str(zone, "state", ""), worst[i]) != 0)
                continue;
            if (i == 0)
                (void)snprintf(text, size, "the DNS list %s lists every address and is not used",
                               name);
            else if (i == 1)
                (void)snprintf(text, size, "the DNS list %s fails and mail passes without it: %s",
                               name, json_str(zone, "error", ""));
            else
                (void)snprintf(text, size, "the DNS list %s has no test entry: does it still live?",
                               name);
            return true;
        }
    }
    return false;
}

bool front_shows(struct loop *l)
{
    const json_t *f = seen(l);
    const char *state = json_str(f, "state", "stopped");
    int64_t ended = json_int(f, "ended", 0);
    bool again = ended > l->work.front_ended; /* a new helper counts from 0 */
    bool moved;
    char text[512];

    if (!json_bool(f, "wanted", false))
        return false;
    l->work.front_ended = ended;
    if (strcmp(state, "stopped") == 0)
        moved = condition_set(
            &l->conditions, COND_SERVICE_RUNNING, COND_FALSE, "FrontNotRunning",
            "foxproxy is wanted in front of Postfix and does not run: no mail comes in");
    else if (strcmp(state, "running") != 0)
        moved = condition_set(&l->conditions, COND_SERVICE_RUNNING, COND_FALSE, "FrontMute",
                              "foxproxy runs and takes no mail, or does not answer");
    else if (again)
        moved = condition_set(&l->conditions, COND_SERVICE_RUNNING, COND_TRUE, "FrontStartedAgain",
                              "foxproxy ended by itself and was started again");
    else if (zone_trouble(f, text, sizeof text))
        moved =
            condition_set(&l->conditions, COND_SERVICE_RUNNING, COND_TRUE, "FrontZone", "%s", text);
    else
        return false;
    if (moved)
        loop_touch(l);
    return true;
}

bool front_agrees(const struct loop *l, const char *digest, char *problem, size_t size)
{
    const json_t *f = seen(l);
    const char *state = json_str(f, "state", "stopped"), *runs = json_str(f, "digest", "");

    if (!json_bool(f, "wanted", false) ||
        (strcmp(state, "running") == 0 && strcmp(runs, digest) == 0))
        return true;
    if (strcmp(state, "running") == 0)
        (void)snprintf(problem, size, "foxproxy runs with the settings %.16s, not with %.16s", runs,
                       digest);
    else
        (void)snprintf(problem, size, "foxproxy is %s", state);
    return false;
}
