#include "proto/command.h"

const char *const command_kind_names[] = {"self-check", "queue-show", NULL};
const char *const command_queue_names[] = {"all", "incoming", "active", "deferred", "hold", NULL};
const char *const command_state_names[] = {"queued",  "delivered",   "running", "done",
                                           "failed",  "interrupted", "expired", "cancelled",
                                           "unknown", NULL};

static int index_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0)
            return i;
    }
    return -1;
}

int command_kind_of(const char *word)
{
    return index_of(word, command_kind_names);
}

int command_state_of(const char *word)
{
    return index_of(word, command_state_names);
}

enum err_code command_args_read(enum command_kind kind, const json_t *args, const char *at,
                                struct command_args *ret, struct err *e)
{
    static const struct jdec_field none[] = {JDEC_END};
    static const struct jdec_field show[] = {
        JDEC_ENUM(struct command_args, queue, 0, command_queue_names),
        JDEC_INT(struct command_args, limit, 0, 1, COMMAND_SHOW_MAX),
        JDEC_END,
    };
    static const struct jdec_field *const by_kind[] = {
        [COMMAND_SELF_CHECK] = none,
        [COMMAND_QUEUE_SHOW] = show,
    };
    AUTO(json_free) json_t *empty = args == NULL ? json_object() : NULL;
    struct command_args a = {.kind = kind, .limit = 1000};
    enum err_code rc =
        jdec_object(args == NULL ? empty : args, by_kind[kind], JD_REFUSE_UNKNOWN, at, &a, e);

    if (rc == ERR_OK)
        *ret = a;
    return rc;
}
