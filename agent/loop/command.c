/* command.c - orders: the journal, and what is said to the parent about them. */
#include "loop/command.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "loop/loop.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { JOURNAL_MAX = 1024 * 1024, KEEP_MS = 24 * 3600 * 1000, PATH_SIZE = 600, STEP_MS = 50 };

/* --- orders and their journal --- */

static void order_free(struct order *o)
{
    json_decref(o->doc);
    json_decref(o->result);
    json_decref(o->problem);
    free(o);
}

static void path_of(const struct loop *l, const char *name, const char *suffix, char *buf)
{
    (void)snprintf(buf, PATH_SIZE, "%s/commands/%s%s", l->memory.dir, name, suffix);
}

static enum err_code keep(struct loop *l, const struct order *o, struct err *e)
{
    AUTO(json_free)
    json_t *j = json_pack("{s:O,s:s,s:b,s:b,s:O?,s:O?,s:I,s:I}", "doc", o->doc, "state",
                          command_state_names[o->state], "accepted", o->accepted, "told", o->told,
                          "result", o->result, "problem", o->problem, "output_bytes",
                          (json_int_t)o->total, "ended", (json_int_t)o->ended_ms);
    AUTO_STR char *text = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    char path[PATH_SIZE];
    enum err_code rc;

    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    path_of(l, "", "", path);
    rc = file_mkdirs(path, 0700, e);
    path_of(l, o->id, ".json", path);
    return rc == ERR_OK ? file_write_atomic(path, slice_of(text), 0600, e) : rc;
}

/* Where the journal cannot be written nothing is begun: the order waits. */
static bool kept(struct loop *l, const struct order *o)
{
    struct err e = {0};

    if (keep(l, o, &e) == ERR_OK)
        return true;
    if (condition_set(&l->conditions, COND_STORAGE_OK, COND_FALSE, "Storage", "%s", e.msg))
        loop_touch(l);
    return false;
}

static void drop(struct loop *l, struct order *o)
{
    char path[PATH_SIZE];
    struct orders *all = &l->orders;

    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i] != o)
            continue;
        memmove(&all->v[i], &all->v[i + 1], (all->n - i - 1) * sizeof *all->v);
        all->n--;
        break;
    }
    path_of(l, o->id, ".json", path);
    (void)unlink(path);
    path_of(l, o->id, ".out", path);
    (void)unlink(path);
    order_free(o);
}

static int older(const void *a, const void *b)
{
    return strcmp((*(struct order *const *)a)->id, (*(struct order *const *)b)->id);
}

static struct order *add(struct loop *l, json_t *doc)
{
    struct orders *all = &l->orders;
    struct order *o = calloc(1, sizeof *o);
    int kind = command_kind_of(json_str(doc, "kind", ""));

    if (o == NULL)
        return NULL;
    if (all->n == all->size) {
        size_t size = all->size == 0 ? 16 : all->size * 2;
        void *v = realloc(all->v, size * sizeof *all->v);
        if (v == NULL) {
            free(o);
            return NULL;
        }
        all->v = v;
        all->size = size;
    }
    o->doc = json_incref(doc);
    o->args.kind = kind < 0 ? COMMAND_SELF_CHECK : (enum command_kind)kind;
    o->state = COMMAND_DELIVERED;
    (void)snprintf(o->id, sizeof o->id, "%s", json_str(doc, "id", ""));
    if (!clock_parse(slice_of(json_str(doc, "expires_at", "")), &o->expires_ms))
        o->expires_ms = 0;
    all->v[all->n++] = o;
    qsort(all->v, all->n, sizeof *all->v, older);
    return o;
}

static struct order *find(const struct loop *l, const char *id)
{
    for (size_t i = 0; i < l->orders.n; i++) {
        if (strcmp(l->orders.v[i]->id, id) == 0)
            return l->orders.v[i];
    }
    return NULL;
}

void order_fail(struct order *o, enum command_state end, const char *word, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    o->state = end;
    json_decref(o->problem);
    o->problem = json_pack("{s:o,s:s}", "type", json_sprintf(PROBLEM_TYPE_PREFIX "%s", word),
                           "detail", text);
}

static json_t *object_of(const json_t *j, const char *name)
{
    json_t *v = json_object_get(j, name);

    return json_is_object(v) ? json_incref(v) : NULL;
}

static void load_one(struct loop *l, const char *path)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;
    struct order *o;
    size_t n = 0;
    int state;

    if (file_read(path, JOURNAL_MAX, &text, &n, NULL) != ERR_OK ||
        json_in_parse((struct slice){text, n}, JOURNAL_MAX, &j, NULL) != ERR_OK ||
        !uuid_is_valid(json_str(json_object_get(j, "doc"), "id", "")))
        return;
    o = add(l, json_object_get(j, "doc"));
    if (o == NULL)
        return;
    state = command_state_of(json_str(j, "state", ""));
    o->state = state < 0 ? COMMAND_INTERRUPTED : (enum command_state)state;
    o->accepted = json_bool(j, "accepted", false);
    o->told = json_bool(j, "told", false);
    o->result = object_of(j, "result");
    o->problem = object_of(j, "problem");
    o->total = json_int(j, "output_bytes", 0);
    o->ended_ms = json_int(j, "ended", 0);
    if (command_args_read(o->args.kind, json_object_get(o->doc, "args"), "/args", &o->args, NULL) !=
        ERR_OK)
        order_fail(o, COMMAND_FAILED, "invalid", "this agent does not understand the order");
}

void command_begin(struct loop *l)
{
    char dir[PATH_SIZE], path[PATH_SIZE];
    struct dirent *f;
    DIR *d;

    l->orders.asked = true; /* what was given while this agent was away */
    path_of(l, "", "", dir);
    d = opendir(dir);
    while (d != NULL && (f = readdir(d)) != NULL) {
        size_t n = strlen(f->d_name);
        if (n != 41 || strcmp(f->d_name + 36, ".json") != 0)
            continue;
        path_of(l, f->d_name, "", path);
        load_one(l, path);
    }
    if (d != NULL)
        (void)closedir(d);
}

void command_clear(struct loop *l)
{
    for (size_t i = 0; i < l->orders.n; i++)
        order_free(l->orders.v[i]);
    free(l->orders.v);
    command_trial_clear(&l->orders);
    l->orders = (struct orders){0};
}

/* --- the list --- */

void command_waiting(struct loop *l, int64_t n)
{
    if (n > 0)
        l->orders.asked = true;
}

bool command_busy(const struct loop *l)
{
    if (l->orders.asked || l->orders.list_busy)
        return true;
    for (size_t i = 0; i < l->orders.n; i++) {
        if (!l->orders.v[i]->accepted)
            return true;
    }
    return false;
}

/* Signed by a bundle key, for this device. */
static json_t *open_order(const struct loop *l, struct slice text)
{
    struct jose_jws jws = {0};
    const struct jose_key *key = NULL;
    json_t *doc = NULL;
    struct err e = {0};
    enum err_code rc = jose_jws_parse(text, COMMAND_LIST_MAX, PROTO_TYP_COMMAND, &jws, &e);

    if (rc == ERR_OK)
        key = trust_key(l->id.trust, "bundle", jws.kid, loop_now_ms(l));
    if (rc == ERR_OK && key == NULL)
        rc = err_set(&e, ERR_SIGNATURE, "signed by a key that is not listed for bundles");
    if (rc == ERR_OK)
        rc = jose_jws_verify(&jws, key, &e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){jws.payload, jws.payload_n}, COMMAND_LIST_MAX, &doc, &e);
    if (rc == ERR_OK && (strcmp(json_str(doc, "device", ""), l->id.device_id) != 0 ||
                         strcmp(json_str(doc, "fleet", ""), l->id.fleet) != 0 ||
                         !uuid_is_valid(json_str(doc, "id", ""))))
        rc = err_set(&e, ERR_SIGNATURE, "the order is for another device");
    jose_jws_clear(&jws);
    if (rc == ERR_OK)
        return doc;
    json_decref(doc);
    log_event(LOG_LEVEL_ERROR, "command.refused", KV_STR("problem", e.msg));
    return NULL;
}

/* A new one goes into the journal; one the parent says is here already, and is not, was lost with
 * it: it is never begun a second time. */
static void take_order(struct loop *l, json_t *doc)
{
    struct order *o = find(l, json_str(doc, "id", ""));
    struct err e = {0};

    if (o != NULL)
        return;
    o = add(l, doc);
    if (o == NULL)
        return;
    l->orders.fruitless = false;
    log_event(LOG_LEVEL_INFO, "command.came", KV_STR("command", o->id),
              KV_STR("kind", json_str(doc, "kind", "")), KV_STR("by", json_str(doc, "by", "")));
    if (strcmp(json_str(doc, "state", ""), "queued") != 0) {
        o->accepted = true;
        order_fail(o, COMMAND_INTERRUPTED, "outcome-unknown",
                   "the device has lost its record of this command; it is not begun again");
    } else if (command_kind_of(json_str(doc, "kind", "")) < 0) {
        order_fail(o, COMMAND_FAILED, "unsupported-critical",
                   "this agent (%s) does not know commands of that kind", INARI_VERSION);
    } else if (command_args_read(o->args.kind, json_object_get(doc, "args"), "/args", &o->args,
                                 &e) != ERR_OK) {
        order_fail(o, COMMAND_FAILED, "invalid", "%s", e.msg);
    }
    if (!kept(l, o))
        drop(l, o); /* asked for again */
    loop_crash_at("command-kept");
}

static void on_list(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    AUTO(json_free) json_t *doc = NULL;
    size_t i;
    json_t *v;

    l->orders.list_busy = false;
    if (a->status != 200 ||
        json_in_parse(strbuf_slice(&a->body), COMMAND_LIST_MAX, &doc, NULL) != ERR_OK) {
        l->orders.list_next = clock_mono_ms() + parent_react(l, a, &l->orders.list_backoff);
        return;
    }
    backoff_reset(&l->orders.list_backoff);
    l->orders.asked = false;
    l->orders.fruitless = true;
    json_array_foreach(json_object_get(doc, "items"), i, v)
    {
        AUTO(json_free) json_t *order = NULL;
        if (json_is_string(v))
            order = open_order(l, (struct slice){json_string_value(v), json_string_length(v)});
        if (order != NULL)
            take_order(l, order);
    }
}

static void ask_list(struct loop *l, int64_t now)
{
    struct http_req *r = http_req_new("GET", "/api/agent/v1/commands");

    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", l->parent.token);
        http_req_header(r, PROTO_H_BOOT ": %s", l->boot);
        http_req_limits(r, COMMAND_LIST_MAX, HTTP_HEAD_MS);
    }
    l->orders.list_busy = http_start(l->http, r, on_list, l, NULL) == ERR_OK;
    if (!l->orders.list_busy)
        l->orders.list_next = now + backoff_next(&l->orders.list_backoff);
}

/* --- what is said about them --- */

static bool has_ended(const struct order *o)
{
    return o->state >= COMMAND_DONE;
}

/* Is there something the parent should hear now? */
static bool wants_to_say(const struct order *o)
{
    if (o->told)
        return false;
    if (!o->accepted)
        return true;
    if (o->state == COMMAND_RUNNING)
        return !o->shown_running || (o->place_known && o->sent < o->total);
    return has_ended(o);
}

static void took(struct loop *l, struct order *o, const json_t *answer)
{
    bool was = o->accepted;

    o->accepted = true;
    o->shown_running = o->shown_running || o->state >= COMMAND_RUNNING;
    o->sent = json_int(answer, "output_bytes", o->sent);
    o->place_known = true;
    if (l->orders.sent_end) {
        o->told = true;
        o->ended_ms = clock_wall_ms();
    }
    if (!was || o->told)
        (void)kept(l, o);
    loop_crash_at(o->told ? "command-told" : "command-accepted");
}

/* 404, 409: it was cancelled, expired or forgotten over there. */
static void not_wanted(struct loop *l, struct order *o, const struct http_answer *a)
{
    log_event(LOG_LEVEL_INFO, "command.not_wanted", KV_STR("command", o->id),
              KV_STR("problem", a->problem));
    if (!o->accepted || has_ended(o))
        drop(l, o);
    else
        o->shown_running = true; /* it runs here; its end is told when it comes */
}

static void on_said(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct orders *all = &l->orders;
    struct order *o = all->sending;
    AUTO(json_free) json_t *answer = NULL;

    all->send_busy = false;
    all->sending = NULL;
    if (a->status == 200 &&
        json_in_parse(strbuf_slice(&a->body), 64 * KIB, &answer, NULL) == ERR_OK) {
        backoff_reset(&all->send_backoff);
        took(l, o, answer);
        return;
    }
    if (a->status == 404 || a->status == 409 || a->status == 422 || a->status == 413) {
        not_wanted(l, o, a);
        return;
    }
    all->send_next = clock_mono_ms() + parent_react(l, a, &all->send_backoff);
}

static json_t *report_of(struct loop *l, struct order *o, bool *ret_end)
{
    char now[CLOCK_TEXT_SIZE];
    enum command_state state = !o->accepted ? COMMAND_DELIVERED : o->state;
    AUTO_STR char *text = NULL;
    size_t n = 0;
    json_t *j;

    clock_format(loop_now_ms(l), now);
    /* The end is said together with the last output, and only when the parent's place in it is
     * known. */
    if (o->accepted && o->place_known && o->sent < o->total &&
        order_read_output(l, o, &text, &n, NULL) != ERR_OK)
        o->total = o->sent; /* the output is gone: the end counts more */
    *ret_end = has_ended(o) && o->accepted && o->place_known && o->sent + (int64_t)n >= o->total;
    if (has_ended(o) && !*ret_end)
        state = o->accepted ? COMMAND_RUNNING : COMMAND_DELIVERED;
    j = json_pack("{s:s,s:s,s:s,s:s,s:I}", "device", l->id.device_id, "command", o->id, "state",
                  command_state_names[state], "at", now, "output_from", (json_int_t)o->sent);
    if (n > 0)
        (void)json_object_set_new(j, "output", json_stringn(text, n));
    if (*ret_end && o->result != NULL)
        (void)json_object_set(j, "result", o->result);
    if (*ret_end && o->problem != NULL)
        (void)json_object_set(j, "problem", o->problem);
    return j;
}

static void say(struct loop *l, struct order *o, int64_t now)
{
    AUTO(json_free) json_t *doc = report_of(l, o, &l->orders.sent_end);
    AUTO_STR char *text = doc == NULL ? NULL : json_canonical(doc);
    AUTO_STR char *jws = NULL;
    char path[128];
    struct http_req *r;

    l->orders.send_next = now + 1000;
    if (text == NULL ||
        jose_jws_sign(l->id.key.sig, PROTO_TYP_RESULT, slice_of(text), false, &jws, NULL) != ERR_OK)
        return;
    (void)snprintf(path, sizeof path, "/api/agent/v1/commands/%s/result", o->id);
    r = http_req_new("PUT", path);
    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", l->parent.token);
        http_req_body(r, "application/jose+json", slice_of(jws));
    }
    l->orders.sending = o;
    l->orders.send_busy = http_start(l->http, r, on_said, l, NULL) == ERR_OK;
    if (l->orders.send_busy)
        l->orders.send_next = now;
}

void command_turn_parent(struct loop *l)
{
    struct orders *all = &l->orders;
    int64_t now = clock_mono_ms();

    if (all->asked && !all->list_busy) {
        if (now >= all->list_next)
            ask_list(l, now);
        else
            loop_wake(l, all->list_next);
    }
    for (size_t i = 0; i < all->n && !all->send_busy; i++) {
        if (!wants_to_say(all->v[i]))
            continue;
        if (now >= all->send_next)
            say(l, all->v[i], now);
        else
            loop_wake(l, all->send_next);
    }
}

/* --- doing --- */

static void begin(struct loop *l, struct order *o)
{
    if (o->expires_ms != 0 && loop_now_ms(l) > o->expires_ms) {
        order_fail(o, COMMAND_EXPIRED, "timeout", "its time was over before it could be begun");
        (void)kept(l, o);
        return;
    }
    o->state = COMMAND_RUNNING;
    if (!kept(l, o)) {
        o->state = COMMAND_DELIVERED;
        return;
    }
    log_event(LOG_LEVEL_INFO, "command.begun", KV_STR("command", o->id),
              KV_STR("kind", command_kind_names[o->args.kind]));
    loop_crash_at("command-begun");
}

static void step(struct loop *l, struct order *o, int64_t now)
{
    if (o->state == COMMAND_DELIVERED)
        begin(l, o);
    if (o->state != COMMAND_RUNNING)
        return;
    if (now < o->next) {
        loop_wake(l, o->next);
        return;
    }
    command_step(l, o);
    loop_crash_at("command-done");
    if (has_ended(o)) {
        log_event(LOG_LEVEL_INFO, "command.ended", KV_STR("command", o->id),
                  KV_STR("state", command_state_names[o->state]),
                  KV_STR("problem", json_str(o->problem, "detail", "")));
        if (!kept(l, o))
            o->state = COMMAND_RUNNING; /* the helper remembers; ask it again */
    }
    loop_wake(l, now + STEP_MS);
}

void command_turn_work(struct loop *l)
{
    int64_t now = clock_mono_ms();

    for (size_t i = 0; i < l->orders.n; i++) {
        struct order *o = l->orders.v[i];
        if (o->told && clock_wall_ms() - o->ended_ms > KEEP_MS) {
            drop(l, o);
            break; /* the rest in the next turn */
        }
        if (!l->work.recovered && o->args.kind != COMMAND_ROTATE_KEY)
            continue; /* all others need a helper in order */
        if (o->accepted && !has_ended(o) && !l->work.pending.active)
            step(l, o, now);
    }
}
