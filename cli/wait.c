#include "wait.h"

#include "rollout.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

/* A daemon that is down runs nothing, whatever it ran when it was last asked. */
const char *device_running_digest(const json_t *device)
{
    const json_t *running = json_object_get(device, "running");
    const json_t *postfix = json_object_get(running, "postfix");
    const json_t *front = json_object_get(running, "foxproxy");

    if (postfix == NULL)
        return json_str(running, "digest", "");
    if (strcmp(json_str(postfix, "state", "running"), "running") != 0 ||
        (json_bool(front, "wanted", false) &&
         (strcmp(json_str(front, "state", ""), "running") != 0 ||
          strcmp(json_str(front, "digest", ""), json_str(postfix, "digest", "")) != 0)))
        return "";
    return json_str(postfix, "digest", "");
}

static bool same(const char *a, const char *b)
{
    return a[0] != '\0' && strcmp(a, b) == 0;
}

/* Did the last attempt end this digest for good? */
static bool attempt_failed(const json_t *device, const char *digest, struct strbuf *why)
{
    const json_t *a = json_object_get(device, "last_attempt");
    const json_t *problem = json_object_get(a, "problem");
    const char *result = json_str(a, "result", "");

    if (!same(digest, json_str(a, "digest", "")) ||
        !is_one_of(result, "rejected|reverted|degraded|interrupted|held"))
        return false;
    strbuf_printf(
        why, "%s: %s", result,
        json_str(problem, "detail", json_str(problem, "title", json_str(a, "phase", "?"))));
    return is_one_of(result, "rejected|reverted|degraded");
}

static const char *presence_of(const json_t *device)
{
    const json_t *p = json_object_get(device, "presence");

    return json_is_string(p) ? json_string_value(p) : json_str(p, "state", "");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void because(const struct cli *c, struct strbuf *why, enum text id, const char *arg)
{
    char line[512];

    snprintf(line, sizeof(line), tx(c, id), arg);
    strbuf_puts(why, line);
}
#pragma GCC diagnostic pop

static enum wait_verdict judge_mode(const struct cli *c, const json_t *device, struct strbuf *why)
{
    const char *state = json_str(device, "state", "");

    if (strcmp(state, "held") == 0) {
        because(c, why, T_WHY_HELD, json_str(device, "held_reason", "-"));
        return WAIT_FAILED;
    }
    if (is_one_of(state, "revoked|retired|rejected|pending|quarantined")) {
        because(c, why, T_WHY_STATE, state);
        return WAIT_FAILED;
    }
    if (strcmp(json_str(device, "mode", ""), "observe") == 0) {
        because(c, why, T_WHY_OBSERVED, json_str(device, "name", "?"));
        return WAIT_NOT_TARGETED;
    }
    return WAIT_PENDING;
}

enum wait_verdict wait_judge(const struct cli *c, const json_t *device, int64_t rev,
                             bool fetched_is_enough, struct strbuf *why)
{
    const json_t *desired = json_object_get(device, "desired");
    const char *digest = json_str(desired, "digest", "");
    bool on_disk = same(digest, json_str(json_object_get(device, "on_disk"), "digest", ""));
    bool observed = same(digest, json_str(json_object_get(device, "observed"), "digest", ""));
    enum wait_verdict v;

    if (device == NULL) {
        because(c, why, T_WHY_STATE, err_word(ERR_NOT_FOUND));
        return WAIT_FAILED;
    }
    v = judge_mode(c, device, why);
    if (v != WAIT_PENDING)
        return v;
    if (json_int(desired, "rev", 0) < rev) {
        because(c, why, T_WHY_NO_OFFER, "");
        return WAIT_PENDING;
    }
    if (on_disk && same(digest, device_running_digest(device)))
        return WAIT_IS_DONE;
    if (fetched_is_enough && (observed || on_disk))
        return WAIT_IS_DONE;
    if (attempt_failed(device, digest, why))
        return WAIT_FAILED;
    if (why->n > 0)
        return WAIT_PENDING;
    if (is_one_of(presence_of(device), "late|lost|never"))
        because(c, why, T_WHY_OFFLINE, json_str(device, "last_seen", "?"));
    else
        because(c, why, observed || on_disk ? T_WHY_APPLYING : T_WHY_NOT_FETCHED, "");
    return WAIT_PENDING;
}

static const json_t *find_device(const json_t *devices, const char *id)
{
    size_t i;
    json_t *d;

    json_array_foreach(json_object_get(devices, "items"), i,
                       d) if (strcmp(json_str(d, "id", ""), id) == 0) return d;
    return NULL;
}

struct tally {
    int done, pending, failed, targeted;
    json_t *devices; /* owned: [{"name","id","rev","state","why"}] */
};

static void judge_all(const struct cli *c, const json_t *answer, const json_t *devices,
                      bool fetched, struct tally *t)
{
    static const char *const words[] = {"done", "pending", "failed", "observed"};
    size_t i;
    json_t *target;

    json_decref(t->devices);
    *t = (struct tally){.devices = json_array()};
    json_array_foreach(json_object_get(answer, "devices"), i, target)
    {
        AUTO_STRBUF struct strbuf why = STRBUF_INIT(8 * KIB);
        const char *id = json_str(target, "id", "");
        int64_t rev = json_int(target, "rev", 0);
        const json_t *d = find_device(devices, id);
        enum wait_verdict v = wait_judge(c, d, rev, fetched, &why);

        t->done += v == WAIT_IS_DONE;
        t->pending += v == WAIT_PENDING;
        t->failed += v == WAIT_FAILED;
        t->targeted += v != WAIT_NOT_TARGETED;
        json_array_append_new(t->devices,
                              json_pack("{s:s, s:s, s:I, s:s, s:s}", "name",
                                        json_str(d, "name", json_str(target, "name", "?")), "id",
                                        id, "rev", (json_int_t)rev, "state", words[v], "why",
                                        strbuf_str(&why)));
    }
}

static void show_waiting(const struct tally *t)
{
    AUTO(table_free) struct table *table = table_new(2);
    size_t i;
    json_t *d;

    json_array_foreach(t->devices, i, d)
    {
        if (json_str(d, "why", "")[0] == '\0')
            continue;
        table_cell(table, json_str(d, "name", ""));
        table_cell(table, json_str(d, "why", ""));
    }
    if (table_rows(table) > 0)
        table_print(table, stderr, 2);
}

static enum cli_exit report(const struct cli *c, const json_t *answer, const struct wait_options *o,
                            struct tally *t)
{
    bool all = t->pending == 0 && t->failed == 0;

    if (c->json) {
        AUTO(json_free) json_t *out = json_copy((json_t *)(uintptr_t)answer);
        json_object_set(out, "devices", t->devices);
        json_object_set_new(out, o->until == WAIT_FETCHED ? "fetched" : "running",
                            json_boolean(all));
        print_json(out);
    }
    if (!all)
        complain(c, T_NOT_EVERYWHERE);
    else if (t->targeted == 0)
        say(c, T_NO_TARGET);
    else
        say(c, o->until == WAIT_FETCHED ? T_FETCHED_ALL : T_RUNNING_ALL, t->done);
    show_waiting(t);
    return all ? EXIT_OK_ : EXIT_NOT_RUNNING;
}

/* The parent may be restarted under us: an answer that does not come is asked for again until the
 * time is over. */
static enum cli_exit ask(struct cli *c, bool may_fail, json_t **ret)
{
    struct err e = {0};
    AUTO(json_free) json_t *problem = NULL;

    if (apiclient_list(c->client, "/api/v1/devices", CLI_ITEMS_MAX, ret, &problem, &e) == ERR_OK)
        return EXIT_OK_;
    if (may_fail &&
        is_one_of(err_word(e.code), "unavailable|timeout|overloaded|slow-down|maintenance"))
        return EXIT_BUSY;
    return fail(c, &e, problem);
}

/* Is a device of the publication not offered it yet? */
static bool anybody_waits(const json_t *answer)
{
    json_t *d;
    size_t i;

    json_array_foreach(json_object_get(answer, "devices"), i, d)
    {
        if (strcmp(json_str(d, "state", ""), "queued") == 0)
            return true;
    }
    return strcmp(json_str(json_object_get(answer, "rollout"), "strategy", "all"), "waves") == 0 &&
           !json_is_true(json_object_get(answer, "dry_run"));
}

/* A rollout in waves: its devices are judged once it is through.  *ret_over: it is, or it will not
 * go on by itself. */
static enum cli_exit ask_rollout(struct cli *c, const json_t *answer, bool may_fail, bool *ret_over,
                                 json_t **ret)
{
    const char *id = json_str(answer, "rollout_id", "");
    AUTO_STR char *path = apiclient_pathf("/api/v1/rollouts/%s", id);
    struct apireply r = {0};
    struct err e = {0};
    enum cli_exit rc = EXIT_OK_;

    *ret_over = true;
    if (id[0] == '\0' || !anybody_waits(answer))
        return EXIT_OK_;
    if (apiclient_call(c->client, &(struct apicall){.method = "GET", .path = path}, &r, &e) ==
        ERR_OK) {
        *ret = json_incref(r.json);
        *ret_over = !rollout_moves(*ret);
    } else {
        *ret_over = false;
        rc = may_fail ? EXIT_OK_ : fail(c, &e, r.json);
    }
    apireply_clear(&r);
    return rc;
}

static enum cli_exit report_rollout(const struct cli *c, const json_t *answer,
                                    const json_t *rollout)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(4 * KIB);
    const char *reason = rollout_reason(c, json_str(rollout, "reason", ""));

    if (c->json) {
        AUTO(json_free) json_t *out = json_copy((json_t *)(uintptr_t)answer);
        json_object_set_new(out, "running", json_false());
        json_object_set(out, "rollout", (json_t *)(uintptr_t)rollout);
        print_json(out);
    }
    strbuf_printf(&b, "%lld/%lld", (long long)json_int(rollout, "wave", 0) + 1,
                  (long long)json_int(rollout, "waves_total", 1));
    if (*reason != '\0')
        strbuf_printf(&b, " %s", reason);
    complain(c, T_RO_WAITS, json_str(rollout, "state", "?"), strbuf_str(&b));
    return EXIT_NOT_RUNNING;
}

enum cli_exit wait_for(struct cli *c, const json_t *answer, const struct wait_options *o)
{
    int64_t end = clock_mono_ms() + o->timeout_s * 1000;
    struct tally t = {0};
    enum cli_exit rc = EXIT_OK_;
    bool over = false;

    if (o->until == WAIT_NONE) {
        if (c->json)
            print_json(answer);
        return EXIT_OK_;
    }
    for (;;) {
        AUTO(json_free) json_t *devices = NULL;
        AUTO(json_free) json_t *rollout = NULL;
        bool through = false;
        over = clock_mono_ms() >= end;
        rc = ask_rollout(c, answer, !over, &through, &rollout);
        if (rc != EXIT_OK_)
            break;
        if (rollout != NULL && (over || through) &&
            strcmp(json_str(rollout, "state", ""), "completed") != 0) {
            rc = report_rollout(c, answer, rollout);
            break;
        }
        if (!through) {
            usleep(WAIT_STEP_MS * 1000);
            continue;
        }
        rc = ask(c, !over, &devices);
        if (rc == EXIT_OK_)
            judge_all(c, answer, devices, o->until == WAIT_FETCHED, &t);
        else if (rc != EXIT_BUSY || over)
            break;
        if (rc == EXIT_OK_ && (t.pending == 0 || over)) {
            rc = report(c, answer, o, &t);
            break;
        }
        usleep(WAIT_STEP_MS * 1000);
    }
    json_decref(t.devices);
    return rc;
}
