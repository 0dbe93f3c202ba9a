/* command_do.c - what each kind of order does on this host. */
#include "base/clock.h"
#include "base/log.h"
#include "loop/drift.h"
#include "loop/loop.h"

#include <stdlib.h>

enum { HELPER_AGAIN_MS = 2000, ROTATE_AGAIN_MS = 5000 };

/* Let the helper do it.  It is asked again until it has an answer: it knows the id. */
static void through_helper(struct loop *l, struct order *o)
{
    AUTO(json_free) json_t *answer = NULL;
    json_t *args = json_object_get(o->doc, "args"), *problem;
    AUTO(json_free)
    json_t *status = o->args.kind == COMMAND_DEBUG_BUNDLE ? report_build(l, 0) : NULL;
    struct err e = {0};
    enum err_code rc = helper_ask(&l->helper, "command",
                                  json_pack("{s:s,s:s,s:O?,s:s,s:s,s:O?}", "id", o->id, "kind",
                                            command_kind_names[o->args.kind], "args", args, "by",
                                            json_str(o->doc, "by", ""), "reason",
                                            json_str(o->doc, "reason", ""), "status", status),
                                  HELPER_SLOW_MS, &answer, &e);

    if (answer == NULL) {
        log_event(LOG_LEVEL_WARN, "helper.failed", KV_STR("verb", "command"),
                  KV_STR("problem", e.msg));
        o->next = clock_mono_ms() + HELPER_AGAIN_MS;
        return;
    }
    if (rc != ERR_OK) {
        order_fail(o, COMMAND_FAILED, err_word(e.code), "%s", e.msg);
        return;
    }
    o->total = json_int(answer, "output_bytes", 0);
    json_decref(o->result);
    o->result = json_is_object(json_object_get(answer, "result"))
                    ? json_incref(json_object_get(answer, "result"))
                    : NULL;
    problem = json_object_get(answer, "problem");
    if (json_is_object(problem))
        order_fail(o,
                   strcmp(json_str(problem, "error", ""), "outcome-unknown") == 0
                       ? COMMAND_INTERRUPTED
                       : COMMAND_FAILED,
                   json_str(problem, "error", "internal"), "%s", json_str(problem, "message", ""));
    else
        o->state = COMMAND_DONE;
}

/* --- self-check: the helper's share and ours --- */

static void add_check(json_t *checks, const char *name, bool ok, const char *message)
{
    (void)json_array_append_new(
        checks, json_pack("{s:s,s:b,s:s}", "name", name, "ok", ok, "message", message));
}

static void check_agent(struct loop *l, json_t *checks)
{
    char text[512] = "";
    const char *digest = json_str(l->work.running, "on_disk", "");
    struct err e = {0};
    bool fine;

    add_check(checks, "agent", true, INARI_VERSION);
    add_check(checks, "parent", l->parent.reachable, l->parent.trouble);
    (void)snprintf(text, sizeof text, "%lld ms", (long long)l->parent.offset_ms);
    add_check(checks, "clock", llabs(l->parent.offset_ms) <= LOOP_CLOCK_LIMIT_MS, text);
    fine = memory_save(&l->memory, &e) == ERR_OK;
    add_check(checks, "storage", fine, fine ? "" : e.msg);
    if (digest[0] == '\0')
        return;
    text[0] = '\0';
    fine = apply_check_running(&l->apply, digest, true, text, sizeof text);
    add_check(checks, "running-configuration", fine, fine ? "" : text);
}

static void self_check(struct loop *l, struct order *o)
{
    json_t *checks, *v;
    bool all = true;
    size_t i;

    through_helper(l, o);
    l->work.next_check = 0; /* the report shows what it found */
    checks = json_object_get(o->result, "checks");
    if (o->state != COMMAND_DONE || checks == NULL)
        return;
    check_agent(l, checks);
    json_array_foreach(checks, i, v) all = all && json_bool(v, "ok", false);
    (void)json_object_set_new(o->result, "ok", json_boolean(all));
}

/* What the service does now is looked at at once; what waited for it is tried. */
static void service(struct loop *l, struct order *o)
{
    through_helper(l, o);
    l->work.next_check = 0;
    if (o->state == COMMAND_DONE && o->args.kind == COMMAND_SERVICE_START)
        work_again(l);
}

/* An administrator wants this device's key renewed. */
static void rotate_key(struct loop *l, struct order *o)
{
    struct err e = {0};
    enum err_code rc = rotate_run(l, o->id, &e);

    if (rc != ERR_OK && rotate_goes_on(rc)) {
        o->next = clock_mono_ms() + ROTATE_AGAIN_MS;
        return;
    }
    if (rc != ERR_OK) {
        order_fail(o, COMMAND_FAILED, err_word(rc), "%s", e.msg);
        return;
    }
    json_decref(o->result);
    o->result = json_pack("{s:s,s:s}", "kid", jose_key_kid(l->id.key.sig), "before",
                          l->id.old.sig == NULL ? "" : jose_key_kid(l->id.old.sig));
    o->state = COMMAND_DONE;
}

static void enforce(struct loop *l, struct order *o)
{
    struct err e = {0};
    json_t *result = NULL;
    enum err_code rc = drift_enforce(l, o->args.items, &result, &e);

    l->work.next_check = 0; /* the report shows what is left */
    if (rc == ERR_UNAVAILABLE) {
        o->next = clock_mono_ms() + HELPER_AGAIN_MS;
        return;
    }
    if (rc != ERR_OK) {
        order_fail(o, COMMAND_FAILED, err_word(rc), "%s", e.msg);
        return;
    }
    json_decref(o->result);
    o->result = result;
    o->state = COMMAND_DONE;
}

void command_step(struct loop *l, struct order *o)
{
    switch (o->args.kind) {
    case COMMAND_SELF_CHECK:
        self_check(l, o);
        return;
    case COMMAND_QUEUE_SHOW:
    case COMMAND_QUEUE_FLUSH:
    case COMMAND_QUEUE_HOLD:
    case COMMAND_QUEUE_RELEASE:
    case COMMAND_QUEUE_DELETE:
    case COMMAND_TEST_MESSAGE:
    case COMMAND_DEBUG_BUNDLE:
        through_helper(l, o);
        return;
    case COMMAND_SERVICE_START:
    case COMMAND_SERVICE_STOP:
    case COMMAND_SERVICE_RESTART:
        service(l, o);
        return;
    case COMMAND_ROTATE_KEY:
        rotate_key(l, o);
        return;
    case COMMAND_DRAIN:
    case COMMAND_UNDRAIN:
        through_helper(l, o);
        l->work.next_check = 0; /* the report shows it at once */
        return;
    case COMMAND_DRIFT_ENFORCE:
        enforce(l, o);
        return;
    case COMMAND_DRY_RUN:
        command_trial(l, o);
        return;
    }
}

enum err_code order_read_output(struct loop *l, struct order *o, char **ret, size_t *ret_n,
                                struct err *e)
{
    AUTO(json_free) json_t *answer = NULL;
    const json_t *text;
    enum err_code rc = helper_ask(&l->helper, "command_output",
                                  json_pack("{s:s,s:I}", "id", o->id, "from", (json_int_t)o->sent),
                                  HELPER_QUICK_MS, &answer, e);

    if (rc != ERR_OK)
        return rc;
    text = json_object_get(answer, "text");
    if (!json_is_string(text) || json_string_length(text) == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no more output");
    *ret = strdup(json_string_value(text));
    *ret_n = json_string_length(text);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
