#include "loop/apply.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "loop/probe_smtp.h"
#include "loop/sealed.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LIVE_RETRY_MS = 2000,    /* a reload takes about 24 ms; a stop and start up to 2 s */
    MESSAGE_EXTRA_MS = 1500, /* for the queue, after the conversations */
    DOUBT_MS = 1000,         /* by then the live probes are long over when all is well */
    REVERT_TRIES = 2,
    HELPER_BACK_MS =
        20 * 1000, /* a killed helper is started again by its supervisor and reverts by itself */
    HELPER_BACK_STEP_MS = 200,
};

void apply_clear(struct apply *a)
{
    json_decref(a->problem);
    json_decref(a->listeners);
    json_decref(a->would_change);
    a->problem = a->listeners = a->would_change = NULL;
}

/* Test builds die here on purpose: INARI_CRASH_AT=agent:<phase>. */
static void enter_phase(struct apply *a, const char *phase)
{
    size_t n = strlen(a->times);

    a->phase = phase;
    (void)snprintf(a->times + n, sizeof a->times - n, "%s%s %lld", n == 0 ? "" : " ", phase,
                   (long long)(clock_mono_ms() - a->started_mono_ms));
#ifdef INARI_TEST_HOOKS
    const char *at = getenv("INARI_CRASH_AT");
    if (at != NULL && strncmp(at, "agent:", 6) == 0 && strcmp(at + 6, phase) == 0)
        (void)kill(getpid(), SIGKILL);
#endif
}

static void begin(struct apply *a, const struct bundle *b)
{
    json_decref(a->problem);
    json_decref(a->listeners);
    a->problem = a->listeners = NULL;
    (void)snprintf(a->digest, sizeof a->digest, "%s", b->digest);
    (void)snprintf(a->jti, sizeof a->jti, "%s", b->jti);
    a->rev = b->rev;
    a->pub = b->pub;
    a->result = NULL;
    a->started_ms = clock_wall_ms();
    a->started_mono_ms = clock_mono_ms();
    a->ended_ms = a->duration_ms = 0;
    a->times[0] = '\0';
    a->phase = "verified";
}

static void end(struct apply *a, const char *result)
{
    a->result = result;
    a->ended_ms = clock_wall_ms();
    a->duration_ms = clock_mono_ms() - a->started_mono_ms;
    log_event(a->problem == NULL ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "apply.ended",
              KV_STR("result", result), KV_STR("phase", a->phase), KV_STR("digest", a->digest),
              KV_INT("rev", a->rev), KV_INT("pub", a->pub), KV_INT("ms", a->duration_ms),
              KV_STR("times", a->times), KV_STR("problem", json_str(a->problem, "detail", "")));
}

/* --- problems --- */

static json_t *problem_of(const struct err *e, const char *detail)
{
    const struct problem_text *t = &problem_texts[e->code];
    char type[128];

    (void)snprintf(type, sizeof type, "%s%s", PROBLEM_TYPE_PREFIX, t->id);
    return json_pack("{s:s,s:s,s:i,s:s%,s:s,s:[]}", "type", type, "title", t->title[LANG_EN],
                     "status", t->status, "detail", detail, strnlen(detail, 4000), "remedy",
                     t->remedy[LANG_EN], "errors");
}

static void set_problem(struct apply *a, const struct err *e)
{
    json_decref(a->problem);
    a->problem = problem_of(e, e->msg);
}

/* Is the first line of output in word, or word in output? */
static bool says_it(const char *output, const char *word)
{
    char line[300];

    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(output, "\n"), output);
    return strstr(word, line) != NULL || strstr(output, word) != NULL;
}

/* The helper's no: its own word first unless the daemon's words say it already, then those words
 * (warnings alone would hide why), each finding with its pointer. */
static void set_helper_problem(struct apply *a, const json_t *answer, const struct err *e)
{
    const char *output = json_str(answer, "output", ""), *word = json_str(answer, "message", "");
    AUTO_STRBUF struct strbuf detail = STRBUF_INIT(64 * KIB);
    json_t *errors, *v;
    size_t i;

    json_decref(a->problem);
    if (output[0] != '\0' && !says_it(output, word))
        strbuf_printf(&detail, "%s\n", word);
    strbuf_puts(&detail, output[0] != '\0' ? output : e->msg);
    a->problem = problem_of(e, strbuf_ok(&detail) ? detail.p : output);
    errors = json_object_get(a->problem, "errors");
    json_array_foreach(json_object_get(answer, "findings"), i, v)
    {
        json_t *row = json_pack("{s:s,s:s,s:s,s:s}", "pointer", json_str(v, "pointer", ""), "id",
                                json_str(v, "id", ""), "message", json_str(v, "message_en", ""),
                                "message_ja", json_str(v, "message_ja", ""));
        if (row != NULL && json_object_get(v, "args") != NULL)
            (void)json_object_set(row, "args", json_object_get(v, "args"));
        if (row != NULL && i < 50)
            (void)json_array_append(errors, row);
        json_decref(row);
    }
}

static bool helper_away(enum err_code rc, const json_t *answer)
{
    return rc != ERR_OK && answer == NULL;
}

/* --- asking the helper --- */

static json_t *with_settings(const struct apply *a, const struct bundle *b)
{
    json_t *j = json_pack("{s:s,s:s,s:O,s:I,s:I,s:I}", "digest", b->digest, "device_id",
                          a->device_id, "settings", b->settings, "epoch", (json_int_t)b->epoch,
                          "rev", (json_int_t)b->rev, "pub", (json_int_t)b->pub);

    if (j != NULL && b->placement != NULL)
        (void)json_object_set_new(j, "facts", json_pack("{s:s}", "placement", b->placement));
    return j;
}

static json_t *with_digest(const struct apply *a)
{
    return json_pack("{s:s}", "digest", a->digest);
}

/* One step; a refusal becomes the attempt's problem. */
static enum err_code ask(struct apply *a, const char *verb, json_t *members, int timeout_ms,
                         json_t **ret)
{
    struct err e = {0};
    json_t *answer = NULL;
    enum err_code rc = helper_ask(a->helper, verb, members, timeout_ms, &answer, &e);

    if (rc != ERR_OK)
        set_helper_problem(a, answer, &e);
    if (ret != NULL)
        *ret = answer;
    else
        json_decref(answer);
    return rc;
}

/* --- probes --- */

static struct probe_limits limits(const struct apply *a, int retry_ms)
{
    return (struct probe_limits){
        .retry_ms = retry_ms,
        .each_ms = (int)a->settings->probe_timeout_ms,
        .all_ms = (int)a->settings->probe_timeout_ms + MESSAGE_EXTRA_MS,
    };
}

/* From an answer of the helper; without one the addresses for documentation. */
static void take_clients(const json_t *answer, struct probe_clients *ret)
{
    const json_t *rows = json_object_get(answer, "relay_clients");
    const char *v4 = json_string_value(json_array_get(rows, 0)),
               *v6 = json_string_value(json_array_get(rows, 1));

    (void)snprintf(ret->v4, sizeof ret->v4, "%s", v4 == NULL ? PROBE_CLIENT4 : v4);
    (void)snprintf(ret->v6, sizeof ret->v6, "%s", v6 == NULL ? PROBE_CLIENT6 : v6);
}

static void add_rows(struct probe_set *set, const struct apply *a, const json_t *rows)
{
    size_t i;
    json_t *v;

    json_array_foreach(rows, i, v)
    {
        const char *role = json_str(v, "role", "");
        int port = (int)json_int(v, "port", 0);
        /* What we do not own is not ours to judge. */
        if (port > 0 && port < 65536 && role[0] != '\0' && strcmp(role, "foreign") != 0)
            probe_add_listener(set, json_str(v, "address", "127.0.0.1"), port, role, &a->clients,
                               a->device_id, a->digest);
    }
}

static bool trial_probes(struct apply *a, const json_t *rows, char *problem, size_t size)
{
    struct probe_set set = {0};
    bool ok;

    add_rows(&set, a, rows);
    ok = probe_run(&set, NULL, limits(a, (int)a->settings->probe_timeout_ms / 2), problem, size);
    probe_set_clear(&set);
    return ok;
}

/* A message that takes long: was something else written meanwhile?  Then waiting is of no use, and
 * mail that comes in takes the same way. */
static bool files_changed(void *ctx, char *problem, size_t size)
{
    AUTO(json_free) json_t *tx = NULL;
    struct apply *a = ctx;
    struct err e = {0};

    if (helper_ask(a->helper, "tx", NULL, HELPER_QUICK_MS, &tx, &e) != ERR_OK ||
        json_str(tx, "changed", "")[0] == '\0')
        return false;
    (void)snprintf(problem, size, "%s", json_str(tx, "changed", ""));
    return true;
}

/* Everything at once: digests, every listener, both relay probes, and a message through to our own
 * sink. */
static bool live_probes(struct apply *a, char *problem, size_t size)
{
    struct probe_limits l = limits(a, LIVE_RETRY_MS);
    struct probe_set set = {0};
    char mark[UUID_TEXT_SIZE];
    bool ok;

    l.doubt = files_changed;
    l.ctx = a;
    l.doubt_ms = DOUBT_MS;
    uuid7(mark);
    sink_expect(a->sink, mark);
    add_rows(&set, a, a->listeners);
    probe_add_message(&set, "127.0.0.1", APPLY_PORT_PROBE, a->device_id, mark);
    ok = probe_run(&set, a->sink, l, problem, size);
    probe_set_clear(&set);
    return ok;
}

/* What runs may be another configuration than that of the attempt. */
static void running_clients(struct apply *a, struct probe_clients *ret)
{
    AUTO(json_free) json_t *tx = NULL;
    struct err e = {0};

    if (helper_ask(a->helper, "tx", NULL, HELPER_QUICK_MS, &tx, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "apply.clients", KV_STR("problem", e.msg));
    take_clients(tx, ret);
}

bool apply_check_running(struct apply *a, const char *digest, bool relay, char *problem,
                         size_t size)
{
    struct probe_set set = {0};
    bool ok;

    probe_add_digest(&set, "127.0.0.1", APPLY_PORT_DIGEST, digest);
    if (relay) {
        struct probe_clients c;
        running_clients(a, &c);
        probe_add_relay(&set, "127.0.0.1", APPLY_PORT_PROBE, AF_INET, c.v4, a->device_id);
        probe_add_relay(&set, "127.0.0.1", APPLY_PORT_PROBE, AF_INET6, c.v6, a->device_id);
    }
    ok = probe_run(&set, NULL, limits(a, LIVE_RETRY_MS), problem, size);
    probe_set_clear(&set);
    return ok;
}

static void word(const char **at, char ret[65])
{
    size_t n = strcspn(*at, " ");

    ret[0] = '\0';
    if (n == 64)
        (void)snprintf(ret, 65, "%.64s", *at);
    *at += n + ((*at)[n] == ' ');
}

void apply_read_banner(struct apply *a, char ret_main[65], char ret_master[65])
{
    struct probe_set set = {0};
    char problem[512];
    const char *at;

    ret_main[0] = ret_master[0] = '\0';
    probe_add_digest(&set, "127.0.0.1", APPLY_PORT_DIGEST, "");
    (void)probe_run(&set, NULL, limits(a, 0), problem, sizeof problem);
    at = set.n == 1 ? strstr(set.v[0].banner, "inari ") : NULL;
    if (at != NULL) {
        at += strlen("inari ");
        word(&at, ret_main);
        word(&at, ret_master);
    }
    probe_set_clear(&set);
}

/* --- the transaction --- */

static enum apply_outcome observe(struct apply *a, const struct bundle *b)
{
    json_t *answer = NULL;
    enum err_code rc = ask(a, "diff", with_settings(a, b), HELPER_QUICK_MS, &answer);
    enum apply_outcome out = APPLY_FINISHED;

    if (helper_away(rc, answer)) {
        out = APPLY_AWAY;
    } else {
        json_decref(a->would_change);
        a->would_change = json_incref(json_object_get(answer, "would_change"));
        end(a, rc == ERR_OK ? "observed" : "rejected");
    }
    json_decref(answer);
    return out;
}

/* End the throw-away instance; what it logged is the best explanation of what its conversations
 * showed. */
static enum err_code end_trial(struct apply *a, enum err_code rc, const char *problem)
{
    AUTO(json_free) json_t *answer = NULL;
    struct err e = {0};
    enum err_code stopped =
        helper_ask(a->helper, "trial_stop", with_digest(a), HELPER_QUICK_MS, &answer, &e);
    const char *output = json_str(answer, "output", "");

    if (stopped != ERR_OK)
        log_event(LOG_LEVEL_WARN, "apply.trial_stop", KV_STR("problem", e.msg));
    if (rc == ERR_OK && json_bool(answer, "died", false)) {
        problem = "Postfix died with this configuration";
        rc = ERR_REFUSED;
    } else if (rc == ERR_OK || problem[0] == '\0') {
        return rc; /* fine, or explained already */
    }
    rc = err_set(&e, ERR_REFUSED, "trial: %s", problem);
    set_problem(a, &e);
    if (output[0] != '\0')
        (void)json_object_set_new(a->problem, "detail",
                                  json_sprintf("trial: %s\n%.3000s", problem, output));
    return rc;
}

/* Can they be opened?  What they say is wanted later, and only of a change that is made. */
static enum err_code try_secrets(struct apply *a, const struct bundle *b)
{
    json_t *secrets = NULL;
    struct err e = {0};
    enum err_code rc = sealed_open(a->id, b, &secrets, &e);

    sealed_wipe(secrets);
    if (rc != ERR_OK)
        set_problem(a, &e);
    return rc;
}

/* Stage, validate, talk to the throw-away instance; a->problem says what was wrong. */
static enum err_code prepare(struct apply *a, const struct bundle *b)
{
    AUTO(json_free) json_t *staged = NULL;
    AUTO(json_free) json_t *trial = NULL;
    char problem[512] = "";
    enum err_code rc = try_secrets(a, b);

    if (rc == ERR_OK)
        rc = ask(a, "stage", with_settings(a, b), HELPER_SLOW_MS, &staged);
    if (rc != ERR_OK)
        return rc;
    a->listeners = json_incref(json_object_get(staged, "listeners"));
    take_clients(staged, &a->clients);
    enter_phase(a, "staged");
    rc = ask(a, "validate", with_digest(a), HELPER_SLOW_MS, &trial);
    if (rc == ERR_OK && !trial_probes(a, json_object_get(trial, "trial"), problem, sizeof problem))
        rc = ERR_REFUSED;
    rc = end_trial(a, rc, problem);
    if (rc == ERR_OK)
        enter_phase(a, "validated");
    return rc;
}

static enum apply_outcome switch_over(struct apply *a, const struct bundle *b)
{
    char problem[512];
    json_t *secrets = NULL;
    struct err e = {0};
    enum err_code rc;

    enter_phase(a, "switching");
    rc = sealed_open(a->id, b, &secrets, &e);
    if (rc != ERR_OK)
        set_problem(a, &e);
    else
        rc = ask(a, "switch", json_pack("{s:s,s:O*}", "digest", a->digest, "secrets", secrets),
                 HELPER_SLOW_MS, NULL);
    sealed_wipe(secrets);
    if (rc != ERR_OK) {
        (void)err_set(&e, rc, "%s", json_str(a->problem, "detail", "the switch failed"));
        return apply_revert(a, &e);
    }
    enter_phase(a, "probing");
    if (!live_probes(a, problem, sizeof problem)) {
        (void)err_set(&e, ERR_REFUSED, "live: %s", problem);
        return apply_revert(a, &e);
    }
    return APPLY_PROBED;
}

enum apply_outcome apply_start(struct apply *a, const struct bundle *b)
{
    enum err_code rc;

    begin(a, b);
    enter_phase(a, "verified");
    if (b->mode == BUNDLE_OBSERVE)
        return observe(a, b);
    json_decref(a->would_change);
    a->would_change = NULL;
    rc = prepare(a, b);
    if (rc == ERR_UNAVAILABLE && a->helper->fd < 0)
        return APPLY_AWAY;
    if (rc != ERR_OK) {
        end(a, "rejected");
        return APPLY_FINISHED;
    }
    if (b->mode == BUNDLE_DRY_RUN) {
        end(a, "observed");
        return APPLY_FINISHED;
    }
    return switch_over(a, b);
}

void apply_same(struct apply *a, const struct bundle *b)
{
    begin(a, b);
    json_decref(a->would_change);
    a->would_change = NULL;
    a->phase = "committed";
    end(a, "committed");
}

void apply_refuse(struct apply *a, const struct bundle *b, const char *result,
                  const struct err *why)
{
    begin(a, b);
    set_problem(a, why);
    end(a, result);
}

enum apply_outcome apply_commit(struct apply *a)
{
    struct err e = {0};
    enum err_code rc;

    enter_phase(a, "confirming");
    rc = ask(a, "commit", with_digest(a), HELPER_QUICK_MS, NULL);
    if (rc != ERR_OK) {
        (void)err_set(&e, rc, "commit: %s", json_str(a->problem, "detail", "refused"));
        return apply_revert(a, &e);
    }
    enter_phase(a, "committed");
    end(a, "committed");
    return APPLY_FINISHED;
}

/* Does the old configuration answer?  to: its digest, or "" when the host was not ours before. */
static bool old_is_back(struct apply *a, const char *to, char *problem, size_t size)
{
    json_t *answer = NULL;
    struct err e = {0};
    bool ok;

    if (to[0] != '\0')
        return apply_check_running(a, to, true, problem, size);
    ok = helper_ask(a->helper, "running", NULL, HELPER_QUICK_MS, &answer, &e) == ERR_OK &&
         strcmp(json_str(answer, "state", ""), "stopped") != 0;
    if (!ok)
        (void)snprintf(problem, size, "Postfix does not run (%.200s)", e.msg);
    json_decref(answer);
    return ok;
}

/* What a probe saw is a symptom when somebody else wrote the files: say that as well. */
static void add_cause(struct apply *a, const char *changed)
{
    const char *detail = json_str(a->problem, "detail", "");

    if (changed[0] != '\0' && strstr(detail, changed) == NULL)
        (void)json_object_set_new(a->problem, "detail",
                                  json_sprintf("%.3000s\n%.900s", detail, changed));
}

/* Where the helper says it went back to, "" for the files from before the first change. */
static enum err_code revert_once(struct apply *a, char ret_to[65], struct err *e)
{
    int64_t until = clock_mono_ms() + HELPER_BACK_MS;
    json_t *answer = NULL;
    enum err_code rc = helper_ask(a->helper, "revert", NULL, HELPER_SLOW_MS, &answer, e);
    const char *to;

    while (rc == ERR_UNAVAILABLE && answer == NULL && clock_mono_ms() < until) {
        (void)poll(NULL, 0, HELPER_BACK_STEP_MS);
        rc = helper_ask(a->helper, "revert", NULL, HELPER_SLOW_MS, &answer, e);
    }
    add_cause(a, json_str(answer, "changed", ""));
    to = json_str(answer, "to", "");
    (void)snprintf(ret_to, 65, "%s", strlen(to) == 64 ? to : "");
    json_decref(answer);
    return rc;
}

enum apply_outcome apply_revert(struct apply *a, const struct err *why)
{
    struct err e = {0};
    char problem[512], to[65];
    const char *failed_in = a->phase;
    json_t *cause = a->problem;

    /* The first reason is the one a person needs; a daemon's own words are kept when the helper
     * gave them. */
    a->problem = cause != NULL ? cause : problem_of(why, why->msg);
    log_event(LOG_LEVEL_WARN, "apply.reverting", KV_STR("digest", a->digest),
              KV_STR("phase", failed_in), KV_STR("problem", why->msg));
    enter_phase(a, "reverting");
    for (int i = 0; i < REVERT_TRIES; i++) {
        if (revert_once(a, to, &e) == ERR_OK && old_is_back(a, to, problem, sizeof problem)) {
            a->phase = failed_in;
            end(a, "reverted");
            return APPLY_FINISHED;
        }
    }
    (void)json_object_set_new(
        a->problem, "remedy",
        json_sprintf("the previous configuration does not answer either: %.300s %.160s", e.msg,
                     problem));
    end(a, "degraded");
    return APPLY_DEGRADED;
}

enum apply_outcome apply_recover(struct apply *a, bool *ret_interrupted)
{
    json_t *tx = NULL;
    struct err e = {0};
    enum err_code rc = helper_ask(a->helper, "tx", NULL, HELPER_QUICK_MS, &tx, &e);
    const json_t *last = json_object_get(tx, "last");
    enum apply_outcome out = APPLY_FINISHED;

    *ret_interrupted = false;
    if (rc != ERR_OK) {
        json_decref(tx);
        return APPLY_AWAY;
    }
    if (json_bool(tx, "open", false)) {
        (void)snprintf(a->digest, sizeof a->digest, "%s", json_str(tx, "to", ""));
        a->phase = "probing";
        json_decref(a->problem); /* of an earlier attempt */
        a->problem = NULL;
        a->started_ms = clock_wall_ms();
        a->started_mono_ms = clock_mono_ms();
        (void)err_set(&e, ERR_REFUSED, "the agent stopped in phase %s of this change",
                      json_str(tx, "phase", "?"));
        out = apply_revert(a, &e);
        *ret_interrupted = true;
        a->result = out == APPLY_FINISHED ? "interrupted" : a->result;
    } else if (strcmp(json_str(last, "result", ""), "interrupted") == 0) {
        (void)snprintf(a->digest, sizeof a->digest, "%s", json_str(last, "digest", ""));
        *ret_interrupted = true;
    }
    json_decref(tx);
    return out;
}

/* --- words for the status document --- */

json_t *apply_to_json(const struct apply *a)
{
    char started[CLOCK_TEXT_SIZE], ended[CLOCK_TEXT_SIZE];

    clock_format(a->started_ms, started);
    clock_format(a->ended_ms, ended);
    return json_pack("{s:s,s:I,s:I,s:s,s:s,s:s,s:s,s:s,s:I,s:O?}", "digest", a->digest, "rev",
                     (json_int_t)a->rev, "pub", (json_int_t)a->pub, "jti", a->jti, "phase",
                     a->phase, "result", a->result, "started", started, "ended", ended,
                     "duration_ms", (json_int_t)a->duration_ms, "problem", a->problem);
}

void apply_network_digest(const json_t *settings, char ret[65])
{
    static const char *const keys[] = {"path.mode",        "smtp.listen_address",
                                       "smtp.listen_port", "delivery.bind_address",
                                       "scan.port",        "scan.reinject_port"};
    AUTO(json_free) json_t *j = json_object();

    for (size_t i = 0; i < COUNT_OF(keys) && j != NULL; i++)
        if (json_object_get(settings, keys[i]) != NULL)
            (void)json_object_set(j, keys[i], json_object_get(settings, keys[i]));
    if (j == NULL || !json_digest(j, ret))
        ret[0] = '\0';
}
