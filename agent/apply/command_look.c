/* The commands that only look. */
#include "apply/command.h"

#include "targets/postfix_queue.h"

#include <stdlib.h>

struct showing {
    struct order *o;
    int64_t listed;
};

static enum err_code show_one(void *ctx, const json_t *message, struct err *e)
{
    struct showing *s = ctx;
    AUTO_STR char *text = NULL;
    enum err_code rc;

    if (s->listed >= s->o->args.limit)
        return ERR_OK;
    text = json_text(message, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    s->listed++;
    rc = order_say(s->o, slice_of(text), e);
    return rc == ERR_OK ? order_say(s->o, slice_of("\n"), e) : rc;
}

enum err_code order_queue_show(struct order *o, struct err *e)
{
    struct showing s = {o, 0};
    struct queue_listing l;
    char scratch[4200];
    enum err_code rc;

    order_path(o->h, o->id, ".list", scratch, sizeof scratch);
    rc = queue_each(&o->h->pf, command_queue_names[o->args.queue], scratch, show_one, &s, &l, e);
    if (rc == ERR_OK)
        o->result =
            json_pack("{s:I,s:I,s:I,s:{s:I,s:I,s:I,s:I},s:s}", "messages", (json_int_t)l.messages,
                      "bytes", (json_int_t)l.bytes, "listed", (json_int_t)s.listed, "queues",
                      "incoming", (json_int_t)l.by_queue[0], "active", (json_int_t)l.by_queue[1],
                      "deferred", (json_int_t)l.by_queue[2], "hold", (json_int_t)l.by_queue[3],
                      "words", strbuf_str(&l.words));
    strbuf_clear(&l.words);
    return rc;
}

static void add_check(json_t *checks, const char *name, bool ok, const char *message)
{
    (void)json_array_append_new(
        checks, json_pack("{s:s,s:b,s:s}", "name", name, "ok", ok, "message", message));
}

/* The root half's share: Postfix, its files, the journal. */
enum err_code order_self_check(struct order *o, struct err *e)
{
    AUTO_STRBUF struct strbuf why = STRBUF_INIT(4 * KIB);
    json_t *checks = json_array();
    const char *const args[] = {"-c", o->h->s->postfix_config, "check", NULL};
    pid_t pid = postfix_pid(o->h->s->postfix_queue);
    struct proc_result r = {0};
    enum err_code rc = checks == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    if (rc != ERR_OK)
        return rc;
    add_check(checks, "helper", true, INARI_VERSION);
    add_check(checks, "postfix-version", o->h->pf.version[0] != '\0', o->h->pf.version);
    add_check(checks, "postfix-running", pid != 0, pid != 0 ? "" : "no master process");
    rc = postfix_run(&o->h->pf, "postfix", args, o->h->s->command_timeout_ms, &r, e);
    if (rc == ERR_OK)
        add_check(checks, "postfix-check", r.status == 0, r.output);
    else
        add_check(checks, "postfix-check", false, e->msg);
    proc_result_clear(&r);
    if (pid != 0)
        add_check(checks, "listeners", postfix_speaks(&o->h->pf, &why), strbuf_str(&why));
    add_check(checks, "no-open-change", !apply_is_open(o->h), "");
    o->result = json_pack("{s:o}", "checks", checks);
    return ERR_OK;
}
