/*
 * verbs.c - what the control socket answers.  docs/internals/foxproxy.md has requests and answers.
 */
#include "foxproxy/daemon.h"

#include "base/clock.h"
#include "foxproxy/decide.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { RELEASE_S = 600, RELEASE_MAX_S = 86400 };

static json_t *no(enum err_code code, const char *message)
{
    struct err e;

    (void)err_set(&e, code, "%s", message);
    return control_no(&e);
}

static json_t *ok_or_no(enum err_code rc, const struct err *e)
{
    return rc == ERR_OK ? control_ok() : control_no(e);
}

static json_t *time_json(int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(wall_ms, text);
    return json_string(text);
}

static json_t *list_json(const struct list *l, enum ini_mode mode, const char *trouble)
{
    json_t *j = json_pack("{s:s}", "mode", ini_mode_name(mode));

    if (l != NULL)
        (void)json_object_update_new(j, json_pack("{s:s,s:I,s:o}", "sha256", l->sha256, "rows",
                                                  (json_int_t)iplist_rows(l->rows), "loaded_at",
                                                  time_json(l->loaded_ms)));
    if (trouble[0] != '\0')
        (void)json_object_set_new(j, "trouble", json_string(trouble));
    return j;
}

static json_t *counters_json(const struct front *f)
{
    struct loop_counters c;
    json_t *j = json_object(), *refused = json_object();

    front_counters(f, &c);
#define X(name) (void)json_object_set_new(j, #name, json_integer((json_int_t)c.name));
    LOOP_COUNTERS(X)
#undef X
    for (int i = 0; i < REPLIES; i++)
        (void)json_object_set_new(refused, snapshot_reason((enum reply_id)i),
                                  json_integer((json_int_t)c.refused[i]));
    (void)json_object_set_new(j, "refused", refused);
    (void)json_object_set_new(j, "lingering", json_integer((json_int_t)c.lingering));
    (void)json_object_set_new(j, "linger_cut", json_integer((json_int_t)c.linger_cut));
    return j;
}

static const char *state_word(const struct daemon *d)
{
    return d->state != DAEMON_RUNNING ? "ending" : d->drained ? "drained" : "running";
}

static json_t *listeners_json(const struct daemon *d)
{
    json_t *j = json_array();

    for (size_t i = 0; d->state == DAEMON_RUNNING && i < d->ini.listens; i++) {
        char text[ADDR_TEXT_SIZE];
        addr_port_text(&d->ini.listen[i], text);
        (void)json_array_append_new(j, json_string(text));
    }
    return j;
}

static json_t *main_status(struct daemon *d)
{
    char backend[ADDR_TEXT_SIZE];

    addr_port_text(&d->ini.backend, backend);
    return json_pack("{s:b,s:s,s:s,s:s,s:i,s:o,s:i,s:o,s:s,s:I,s:I,s:I,s:{s:o,s:o},s:o}", "ok", 1,
                     "state", state_word(d), "version", INARI_VERSION, "digest", d->ini.digest,
                     "pid", (int)getpid(), "since", time_json(d->started_ms), "loops",
                     (int)d->front.loops, "listen", listeners_json(d), "backend", backend,
                     "max_sessions", (json_int_t)d->ini.max_sessions, "sessions",
                     (json_int_t)atomic_load(&d->front.held), "backend_sessions",
                     (json_int_t)atomic_load(&d->front.backend), "lists", "approved",
                     list_json(d->approved, d->ini.approved, d->list_trouble[0]), "blocked",
                     list_json(d->blocked, d->ini.blocked, d->list_trouble[1]), "counters",
                     counters_json(&d->front));
}

static json_t *verb_status(struct daemon *d)
{
    json_t *j = main_status(d), *zones = reputation_status_json(d->rep, clock_mono_ms());

    if (j != NULL)
        (void)json_object_update_new(j,
                                     json_pack("{s:s, s:o}", "reputation",
                                               ini_mode_name(d->ini.reputation), "zones", zones));
    else
        json_decref(zones);
    return j;
}

static json_t *verb_reload(struct daemon *d)
{
    struct ini_faults *f = calloc(1, sizeof *f);
    json_t *answer, *faults;
    struct err e;
    enum err_code rc;

    if (f == NULL)
        return no(ERR_NO_MEMORY, "out of memory");
    rc = daemon_reload(d, f, &e);
    answer = ok_or_no(rc, &e);
    faults = json_array();
    for (size_t i = 0; i < f->n; i++)
        (void)json_array_append_new(faults,
                                    json_pack("{s:i,s:s,s:s}", "line", (int)f->v[i].line, "message",
                                              f->v[i].e.msg, "message_ja", f->v[i].e.msg_ja));
    (void)json_object_set_new(answer, rc == ERR_OK ? "digest" : "faults",
                              rc == ERR_OK ? json_string(d->ini.digest) : json_incref(faults));
    json_decref(faults);
    free(f);
    return answer;
}

static bool wish(const json_t *ask, const char *name, struct list_wish *ret)
{
    const json_t *v = json_object_get(ask, name);

    *ret = (struct list_wish){.change = v == NULL         ? LIST_STAYS
                                        : json_is_null(v) ? LIST_NONE
                                                          : LIST_PATH,
                              .path = json_string_value(v)};
    return ret->change != LIST_PATH || (ret->path != NULL && ret->path[0] == '/');
}

static json_t *verb_lists(struct daemon *d, const json_t *ask)
{
    struct list_wish approved, blocked;
    struct err e;

    if (!wish(ask, "approved", &approved) || !wish(ask, "blocked", &blocked))
        return no(ERR_INVALID, "approved and blocked are each an absolute path or null");
    return ok_or_no(daemon_lists(d, &approved, &blocked, &e), &e);
}

static json_t *hit_json(const struct list *l, enum ini_mode mode, const struct iplist_addr *a,
                        int64_t now_ms)
{
    char net[ADDR_TEXT_SIZE];
    struct iplist_row row;
    json_t *j;

    if (l == NULL || mode == INI_OFF || !iplist_find(l->rows, a, now_ms, &row))
        return json_null();
    addr_text(&row.net, net);
    j = json_pack("{s:I,s:s,s:i,s:s}", "row", (json_int_t)row.id, "network", net, "prefix",
                  iplist_is_v4(&row.net) ? row.bits - 96 : row.bits, "mode", ini_mode_name(mode));
    if (row.expires_ms != 0)
        (void)json_object_set_new(j, "expires", time_json(row.expires_ms));
    return j;
}

struct told {
    bool done;
    struct reputation_verdict v;
};

static void told(void *user, const struct reputation_verdict *v)
{
    *(struct told *)user = (struct told){true, *v};
}

/* Asks now, wait_ms at most; the control socket's other callers wait that long. */
static struct reputation_verdict ask_zones(struct daemon *d, const struct iplist_addr *a)
{
    struct told t = {.v = {.action = REP_UNKNOWN}};
    struct reputation_loop *l;
    struct reputation_ask *ask;
    struct pollfd p = {.events = POLLIN};

    if (reputation_loop_new(d->rep, &l, NULL) != ERR_OK)
        return t.v;
    p.fd = reputation_loop_fd(l);
    t.done = reputation_ask(l, a->b, clock_mono_ms(), told, &t, &t.v, &ask);
    while (!t.done) {
        (void)poll(&p, 1, reputation_loop_timeout_ms(l, clock_mono_ms()));
        reputation_loop_run(l, clock_mono_ms());
    }
    reputation_loop_free(l);
    return t.v;
}

/* What reputation would do with an address nobody else has decided about; {} while it is off. */
static json_t *reputation_why(struct daemon *d, const struct iplist_addr *a,
                              struct reputation_verdict *v)
{
    if (d->ini.rep.zones == 0)
        return json_object();
    *v = ask_zones(d, a);
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:o}", "mode",
                     ini_mode_name(d->ini.reputation), "action", rep_action_name(v->action), "zone",
                     v->zone, "code", v->code, "complete", v->complete, "cached", v->cached,
                     "age_s", (json_int_t)v->age_s, "ttl_s", (json_int_t)v->ttl_s, "zones",
                     reputation_explain_json(d->rep, a->b, clock_mono_ms()));
}

/* answer, of the lists alone, with what reputation says; it decides where they have not. */
static json_t *with_reputation(struct daemon *d, const struct iplist_addr *a,
                               enum decide_source lists, json_t *answer)
{
    struct reputation_verdict v = {.action = REP_PASS};
    json_t *rep = reputation_why(d, a, &v);
    char reason[REP_ZONE_NAME_SIZE + 4] = "rep.";

    (void)json_object_set_new(answer, "reputation", rep);
    if (lists != DECIDE_NOBODY || v.action < REP_DEFER || d->ini.reputation != INI_ON)
        return answer;
    text_copy(reason + 4, sizeof reason - 4, v.zone);
    (void)json_object_set_new(answer, "source", json_string("reputation"));
    if (v.action != REP_APPROVE) {
        (void)json_object_set_new(answer, "decision", json_string("refuse"));
        (void)json_object_set_new(answer, "reason", json_string(reason));
    }
    return answer;
}

static json_t *verb_why(struct daemon *d, const json_t *ask)
{
    const char *text = json_str(ask, "address", "");
    const struct snapshot *s = d->front.snap; /* only this thread changes it */
    int64_t now = clock_wall_ms();
    struct iplist_addr a;
    struct decision r;

    if (!addr_parse(slice_of(text), &a))
        return no(ERR_INVALID, "address is an IPv4 or IPv6 address");
    r = decide_address(s, &a, now);
    return with_reputation(d, &a, r.source,
                           json_pack("{s:b,s:s,s:s,s:s,s:s,s:b,s:s,s:{s:o,s:o}}", "ok", 1,
                                     "address", text, "decision", r.refuse ? "refuse" : "pass",
                                     "source", decide_source_name(r.source), "reason",
                                     r.refuse ? snapshot_reason(r.reply) : "", "drained",
                                     s->drained, "would", decide_source_name(r.would), "lists",
                                     "approved", hit_json(s->approved, s->ini.approved, &a, now),
                                     "blocked", hit_json(s->blocked, s->ini.blocked, &a, now)));
}

static json_t *verb_release(struct daemon *d, const json_t *ask)
{
    int64_t seconds = json_int(ask, "seconds", RELEASE_S);

    if (seconds < 0 || seconds > RELEASE_MAX_S)
        return no(ERR_INVALID, "seconds is a number from 0 to 86400");
    daemon_release(d, seconds * 1000);
    return control_ok();
}

static json_t *answer_to(struct daemon *d, const json_t *ask)
{
    const char *verb = json_str(ask, "verb", "");
    struct err e;

    if (strcmp(verb, "status") == 0)
        return verb_status(d);
    if (strcmp(verb, "reload") == 0)
        return verb_reload(d);
    if (strcmp(verb, "lists") == 0)
        return verb_lists(d, ask);
    if (strcmp(verb, "why") == 0)
        return verb_why(d, ask);
    if (strcmp(verb, "drain") == 0)
        return ok_or_no(daemon_drain(d, true, &e), &e);
    if (strcmp(verb, "undrain") == 0)
        return ok_or_no(daemon_drain(d, false, &e), &e);
    if (strcmp(verb, "release") == 0)
        return verb_release(d, ask);
    if (strcmp(verb, "quit") == 0) {
        daemon_end(d, 0);
        return control_ok();
    }
    (void)err_set(&e, ERR_INVALID, "there is no verb \"%.40s\"", verb);
    return control_no(&e);
}

/* Without memory for a part there is no answer, rather than one with something missing. */
json_t *verbs_answer(void *daemon, const json_t *ask)
{
    uint64_t failures = json_failures();
    json_t *answer = answer_to(daemon, ask);

    if (json_failures() == failures)
        return answer;
    json_decref(answer);
    return NULL;
}
