/* The commands that change the queue.  First the messages are written down that exist now, then it
 * is done to exactly those: after a kill it is carried on with the same list, so "all" never means
 * what came later. */
#include "apply/command.h"

#include "targets/mutate.h"
#include "targets/postfix_queue.h"

#include <stdio.h>
#include <stdlib.h>

enum { TARGETS_MAX = 200000 };

static enum queue_change change_of(enum command_kind kind)
{
    return kind == COMMAND_QUEUE_FLUSH     ? QUEUE_FLUSH
           : kind == COMMAND_QUEUE_HOLD    ? QUEUE_HOLD
           : kind == COMMAND_QUEUE_RELEASE ? QUEUE_RELEASE
                                           : QUEUE_DELETE;
}

static enum err_code places_now(struct order *o, const char *queue, json_t **ret, struct err *e)
{
    char scratch[4200];

    order_path(o->h, o->id, ".list", scratch, sizeof scratch);
    return queue_places(&o->h->pf, queue, scratch, ret, e);
}

/* Would it do anything to a message in that queue? */
static bool applies(enum queue_change what, const char *place)
{
    bool held = strcmp(place, "hold") == 0;

    return what == QUEUE_DELETE || (what == QUEUE_RELEASE ? held : !held);
}

/* The named ones that are there, or all that it applies to. */
static enum err_code choose(struct order *o, enum queue_change what, const json_t *places,
                            struct err *e)
{
    json_t *ids = json_array(), *missing = json_array(), *v;
    const char *id;
    size_t i, left = 0;

    json_array_foreach(o->args.ids, i, v)
    {
        const json_t *place = json_object_get(places, json_string_value(v));
        (void)json_array_append(
            json_is_string(place) && applies(what, json_string_value(place)) ? ids : missing, v);
    }
    json_object_foreach((json_t *)(uintptr_t)places, id, v)
    {
        if (!o->args.all || !applies(what, json_string_value(v)))
            continue;
        if (!command_queue_id_ok(slice_of(id)) || json_array_size(ids) == TARGETS_MAX)
            left++;
        else
            (void)json_array_append_new(ids, json_string(id));
    }
    if (json_object_set_new(o->target, "ids", ids) != 0 ||
        json_object_set_new(o->target, "missing", missing) != 0 ||
        json_object_set_new(o->target, "left", json_integer((json_int_t)left)) != 0)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return order_keep(o, e);
}

static bool reached(enum queue_change what, const json_t *place)
{
    bool there = json_is_string(place),
         held = there && strcmp(json_string_value(place), "hold") == 0;

    return what == QUEUE_FLUSH || (what == QUEUE_DELETE ? !there
                                   : what == QUEUE_HOLD ? held
                                                        : !held);
}

/* What came of it, from the queue itself: right also when it was done in two goes. */
static enum err_code account(struct order *o, enum queue_change what, const char *words,
                             struct err *e)
{
    AUTO(json_free) json_t *places = NULL;
    const json_t *ids = json_object_get(o->target, "ids"),
                 *missing = json_object_get(o->target, "missing");
    int64_t n = 0;
    size_t i;
    json_t *v;
    enum err_code rc = places_now(o, "all", &places, e);

    json_array_foreach(missing, i, v)
    {
        char line[80];
        (void)snprintf(line, sizeof line, "%s not there\n", json_string_value(v));
        if (rc == ERR_OK)
            rc = order_say(o, slice_of(line), e);
    }
    json_array_foreach(ids, i, v) n += reached(what, json_object_get(places, json_string_value(v)));
    if (rc == ERR_OK)
        o->result =
            json_pack("{s:I,s:I,s:I,s:I,s:s}", "chosen", (json_int_t)json_array_size(ids), "done",
                      (json_int_t)n, "missing", (json_int_t)json_array_size(missing), "left",
                      (json_int_t)json_int(o->target, "left", 0), "words", words);
    return rc;
}

enum err_code order_queue_change(struct order *o, struct err *e)
{
    AUTO_STRBUF struct strbuf words = STRBUF_INIT(8 * KIB);
    AUTO(json_free) json_t *places = NULL;
    enum queue_change what = change_of(o->args.kind);
    const char *queue = o->args.all ? command_queue_names[o->args.queue] : "all";
    enum err_code rc = ERR_OK;

    if (json_object_get(o->target, "ids") == NULL) {
        rc = places_now(o, queue, &places, e);
        if (rc == ERR_OK)
            rc = choose(o, what, places, e);
    }
    crash_at("command-chosen");
    /* One call, whichever queue: what is held is not tried, and the others are anyway. */
    if (rc == ERR_OK && what == QUEUE_FLUSH && o->args.all)
        rc = queue_flush_all(&o->h->pf, &words, e);
    else if (rc == ERR_OK)
        rc = queue_change(&o->h->pf, what, json_object_get(o->target, "ids"), &words, e);
    return rc == ERR_OK ? account(o, what, strbuf_str(&words), e) : rc;
}
