/* The verbs that only look. */
#include "apply/command.h"
#include "apply/desired.h"
#include "apply/drain.h"
#include "apply/front.h"
#include "apply/verbs.h"

#include "base/clock.h"
#include "base/file.h"
#include "targets/facts.h"
#include "targets/postfix_cf.h"
#include "targets/postfix_read.h"
#include "targets/postfix_stage.h"
#include "targets/queue_age.h"

#include <stdio.h>
#include <stdlib.h>
#include <pwd.h>
#include <sys/stat.h>

static enum err_code hello(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    (void)request;
    (void)e;
    (void)json_object_set_new(answer, "version", json_string(INARI_VERSION));
    (void)json_object_set_new(answer, "postfix", json_string(h->pf.version));
    (void)json_object_set_new(answer, "systemd", json_boolean(h->pf.systemd));
    return ERR_OK;
}

static enum err_code facts(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    const json_t *names = json_object_get(request, "names"),
                 *domains = json_object_get(request, "mx"),
                 *files = json_object_get(request, "files");
    json_t *f = NULL;
    enum err_code rc;

    if ((names != NULL && !json_is_array(names)) || (files != NULL && !json_is_array(files)) ||
        (domains != NULL && !json_is_array(domains)))
        return err_field(e, ERR_INVALID, "/names",
                         "\"names\", \"mx\" and \"files\" must be arrays of strings");
    if (json_array_size(names) > FACTS_NAMES_MAX)
        return err_field(e, ERR_INVALID, "/names", "at most %d names are resolved at once",
                         FACTS_NAMES_MAX);
    rc = facts_collect(&h->pf, h->fox.version, names, domains, files, &f, e);
    if (rc == ERR_OK)
        (void)json_object_set_new(answer, "facts", f);
    return rc;
}

static enum err_code read_now(struct helper *h, const json_t *request, json_t *answer,
                              struct err *e)
{
    (void)request;
    return postfix_read(&h->pf, answer, e);
}

void verbs_note_drift(void *ctx, const char *file, const char *item, const char *expected,
                      const char *found)
{
    (void)json_array_append_new(ctx, json_pack("{s:s,s:s,s:s?,s:s?}", "file", file, "item", item,
                                               "expected", expected, "found", found));
}

enum err_code verbs_drift(struct helper *h, const struct rendition *r, cf_diff_fn *fn, void *ctx,
                          struct err *e)
{
    enum err_code rc = postfix_compare(&h->pf, rendition_wanted(r), fn, ctx, e);

    return rc == ERR_OK ? front_diff(h, rendition_wanted(r), fn, ctx, e) : rc;
}

/* What can be known of who edited by hand: when the file was written last, and whose it is. */
static void add_traces(const struct helper *h, json_t *items)
{
    size_t i;
    json_t *v;

    json_array_foreach(items, i, v)
    {
        bool table = strcmp(json_str(v, "file", ""), "table") == 0;
        char path[4700], at[CLOCK_TEXT_SIZE];
        struct passwd *pw;
        struct stat st;
        (void)snprintf(path, sizeof path, "%s/%s", h->s->postfix_config,
                       json_str(v, table ? "item" : "file", ""));
        if (strcmp(json_str(v, "file", ""), "foxproxy.ini") == 0)
            (void)snprintf(path, sizeof path, "%s", h->s->foxproxy_config);
        if (lstat(path, &st) != 0)
            continue;
        clock_format((int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000, at);
        pw = getpwuid(st.st_uid);
        (void)json_object_set_new(v, "file_changed_at", json_string(at));
        (void)json_object_set_new(v, "file_owner",
                                  pw == NULL ? json_sprintf("%u", (unsigned)st.st_uid)
                                             : json_string(pw->pw_name));
    }
}

/* What joins foxproxy and Postfix: its file, the listener behind it, and the one by which it is
 * proven that nobody is taken for somebody else. */
static void mark_wiring(const struct plan *p, json_t *items)
{
    bool front = front_of(p) != NULL;
    size_t i;
    json_t *v;

    json_array_foreach(items, i, v)
    {
        const char *item = json_str(v, "item", "");
        bool joins = strcmp(json_str(v, "file", ""), "foxproxy.ini") == 0;
        for (size_t k = 0; k < p->n_listeners && !joins; k++) {
            char name[120];
            (void)snprintf(name, sizeof name, "%s:%lld/inet", p->listeners[k].address,
                           (long long)p->listeners[k].port);
            joins = front && strcmp(item, name) == 0 &&
                    (p->listeners[k].role == ROLE_FRONT || p->listeners[k].role == ROLE_PROBE);
        }
        if (joins)
            (void)json_object_set_new(v, "wiring", json_true());
    }
}

static enum err_code drift(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(512 * MIB);
    json_t *items = json_array();
    struct rendition r;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : verbs_bare(request, e);

    (void)json_object_set_new(answer, "drift", items);
    if (rc == ERR_OK)
        rc = apply_current(h, a, &r, e);
    if (rc == ERR_NOT_FOUND || apply_is_open(h))
        return ERR_OK; /* nothing of ours to drift from, or it is being changed right now */
    if (rc == ERR_OK)
        rc = verbs_drift(h, &r, verbs_note_drift, items, e);
    if (rc == ERR_OK) {
        mark_wiring(rendition_wanted(&r), items);
        add_traces(h, items);
    }
    return rc;
}

static enum err_code diff(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(512 * MIB);
    json_t *items = json_array();
    struct planned p = {0};
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    (void)json_object_set_new(answer, "would_change", items);
    if (rc == ERR_OK)
        rc = verbs_plan(h, request, false, a, &p, answer, e);
    if (rc == ERR_OK && (p.plan = apply_widen(h, p.plan, a)) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK)
        rc = postfix_compare(&h->pf, p.plan, verbs_note_drift, items, e);
    return rc == ERR_OK ? front_diff(h, p.plan, verbs_note_drift, items, e) : rc;
}

static json_t *time_json(int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms == 0)
        return json_null();
    clock_format(ms, text);
    return json_string(text);
}

static enum err_code tx(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    const struct journal_state *s = &h->j.s;
    struct relay_clients clients;
    struct err unknown, why;

    if (apply_clients(h, &clients, &unknown) == ERR_OK)
        verbs_put_clients(answer, &clients);
    if (s->phase == PHASE_PROBING && apply_still_same(h, &why) == ERR_CHANGED_MEANWHILE)
        (void)json_object_set_new(answer, "changed", json_string(why.msg));
    (void)json_object_set_new(answer, "open", json_boolean(apply_is_open(h)));
    (void)json_object_set_new(answer, "phase", json_string(phase_word(s->phase)));
    (void)json_object_set_new(answer, "from", json_string(s->phase == PHASE_NONE ? "" : s->from));
    (void)json_object_set_new(answer, "to", json_string(s->phase == PHASE_NONE ? "" : s->to));
    if (s->last_result[0] == '\0')
        (void)json_object_set_new(answer, "last", json_null());
    else
        (void)json_object_set_new(
            answer, "last",
            json_pack("{s:s,s:s,s:s,s:s,s:o,s:I,s:I}", "result", s->last_result, "digest",
                      s->last_digest, "phase", s->last_phase, "reason", s->last_reason, "at",
                      time_json(s->last_at_ms), "rev", (json_int_t)s->last_rev, "pub",
                      (json_int_t)s->last_pub));
    return verbs_bare(request, e);
}

static json_t *lkg_json(const struct journal_state *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->n_lkg; i++)
        (void)json_array_append_new(
            list, json_pack("{s:s,s:I,s:I,s:I,s:o}", "digest", s->lkg[i].digest, "epoch",
                            (json_int_t)s->lkg[i].epoch, "rev", (json_int_t)s->lkg[i].rev, "pub",
                            (json_int_t)s->lkg[i].pub, "at", time_json(s->lkg[i].at_ms)));
    return list;
}

static enum err_code running(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    static const char *const queues[] = {"incoming", "active", "deferred", "hold"};
    char in_main[DIGEST_SIZE], in_master[DIGEST_SIZE];
    pid_t pid = postfix_pid(h->s->postfix_queue);
    json_t *queue = json_object(), *drain, *fox;
    struct queue_look seen = {0};
    bool same, waits = false;

    postfix_digests(&h->pf, in_main, in_master);
    same = in_main[0] != '\0' && strcmp(in_main, in_master) == 0;
    for (size_t i = 0; i < COUNT_OF(queues); i++) {
        struct queue_look before = seen;
        if (strcmp(queues[i], "hold") == 0) /* somebody keeps it on purpose */
            seen.messages += queue_count(h->s->postfix_queue, queues[i]);
        else
            queue_look(h->s->postfix_queue, queues[i], &seen);
        waits = waits || (strcmp(queues[i], "hold") != 0 && seen.messages > before.messages);
        (void)json_object_set_new(queue, queues[i],
                                  json_integer((json_int_t)(seen.messages - before.messages)));
    }
    (void)json_object_set_new(answer, "queue_since",
                              !waits               ? json_integer(0)
                              : seen.oldest_s != 0 ? json_integer((json_int_t)seen.oldest_s)
                                                   : json_null());
    (void)json_object_set_new(answer, "state",
                              json_string(pid == 0             ? "stopped"
                                          : in_main[0] == '\0' ? "foreign"
                                                               : "running"));
    (void)json_object_set_new(answer, "pid", json_integer(pid));
    (void)json_object_set_new(answer, "since", time_json(pid == 0 ? 0 : postfix_since_ms(pid)));
    (void)json_object_set_new(answer, "version", json_string(h->pf.version));
    (void)json_object_set_new(answer, "on_disk", json_string(same ? in_main : ""));
    (void)json_object_set_new(answer, "on_disk_main", json_string(in_main));
    (void)json_object_set_new(answer, "on_disk_master", json_string(in_master));
    (void)json_object_set_new(answer, "managed", json_boolean(h->j.s.managed));
    (void)json_object_set_new(answer, "open", json_boolean(apply_is_open(h)));
    (void)json_object_set_new(answer, "lkg", lkg_json(&h->j.s));
    (void)json_object_set_new(answer, "queue", queue);
    (void)json_object_set_new(answer, "desired", desired_read(h));
    fox = front_running(h);
    if (fox != NULL)
        (void)json_object_set_new(answer, "foxproxy", fox);
    drain = drain_read(h);
    (void)json_object_set_new(answer, "drain", drain == NULL ? json_null() : drain);
    drain_mend(h);
    return verbs_bare(request, e);
}

const struct verb verbs_look[] = {
    {"hello", hello},     {"facts", facts},
    {"read", read_now},   {"diff", diff},
    {"drift", drift},     {"tx", tx},
    {"running", running}, {"command_output", command_serve_output},
    {NULL, NULL},
};
