/* The commands that start and stop Postfix: first what is wanted is written down, then it is made
 * so. */
#include "apply/command.h"

#include "apply/desired.h"
#include "base/clock.h"
#include "targets/mutate.h"

#include <time.h>

enum { SPEAK_MS = 5000, SPEAK_STEP_MS = 100 };

static json_t *observed(const struct helper *h)
{
    pid_t pid = postfix_pid(h->s->postfix_queue);
    char since[CLOCK_TEXT_SIZE];

    clock_format(postfix_since_ms(pid), since);
    return json_pack("{s:s,s:I,s:s?}", "state", pid == 0 ? "stopped" : "running", "pid",
                     (json_int_t)pid, "since", pid == 0 ? NULL : since);
}

/* Started means that it answers. */
static enum err_code start(struct order *o, struct err *e)
{
    AUTO_STRBUF struct strbuf why = STRBUF_INIT(4 * KIB);
    struct timespec nap = {0, SPEAK_STEP_MS * 1000000L};
    int64_t until = clock_mono_ms() + SPEAK_MS;
    enum err_code rc = postfix_do(&o->h->pf, POSTFIX_START, &o->h->output, e);

    while (rc == ERR_OK && !postfix_speaks(&o->h->pf, &why)) {
        if (clock_mono_ms() > until)
            return err_set(e, ERR_UNAVAILABLE, "Postfix was started and does not answer: %.300s",
                           strbuf_str(&why));
        strbuf_clear(&why);
        (void)nanosleep(&nap, NULL);
    }
    return rc;
}

enum err_code order_service_start(struct order *o, struct err *e)
{
    enum err_code rc = desired_run(o->h, e);

    crash_at("command-wanted");
    if (rc == ERR_OK)
        rc = start(o, e);
    if (rc == ERR_OK)
        o->result = observed(o->h);
    return rc;
}

enum err_code order_service_stop(struct order *o, struct err *e)
{
    enum err_code rc = desired_stop(o->h, o->by, o->reason, o->id, e);

    crash_at("command-wanted");
    if (rc == ERR_OK)
        rc = postfix_do(&o->h->pf, POSTFIX_STOP, &o->h->output, e);
    if (rc == ERR_OK)
        o->result = observed(o->h);
    return rc;
}

/* "Restarted" is another master than the one that ran when it began: so it happens once, however
 * often it is carried on. */
enum err_code order_service_restart(struct order *o, struct err *e)
{
    pid_t pid = postfix_pid(o->h->s->postfix_queue);
    bool same;
    enum err_code rc = desired_may_run(o->h, e);

    if (rc == ERR_OK && json_object_get(o->target, "pid") == NULL) {
        (void)json_object_set_new(o->target, "pid", json_integer(pid));
        (void)json_object_set_new(o->target, "since",
                                  json_integer((json_int_t)postfix_since_ms(pid) / 1000));
        rc = order_keep(o, e);
    }
    crash_at("command-wanted");
    same = pid == (pid_t)json_int(o->target, "pid", 0) &&
           postfix_since_ms(pid) / 1000 - json_int(o->target, "since", 0) <= 1;
    if (rc == ERR_OK && pid != 0 && same)
        rc = postfix_do(&o->h->pf, POSTFIX_STOP, &o->h->output, e);
    crash_at("command-stopped");
    if (rc == ERR_OK)
        rc = start(o, e);
    if (rc == ERR_OK)
        o->result = observed(o->h);
    return rc;
}
