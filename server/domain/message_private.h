/* message_private.h - what message.c and message_list.c share. */
#pragma once

#include "domain/message.h"
#include "domain/message_id.h"
#include "domain/message_web.h"

struct message_end { /* of one recipient: the last thing that happened */
    const char *address;
    enum message_state state;
    const struct event_row *row; /* NULL: nothing yet */
    int leg, attempts;
};
struct message { /* borrowed from a web */
    const struct web *web;
    int group, root;
    const struct leg *first;
    char id[MESSAGE_ID_SIZE];
    struct message_end *end;
    size_t n_ends;
    int64_t count; /* of recipients, as far as known */
    enum message_state state;
    const struct event_row *last_word; /* the last reason that somebody gave, or NULL */
    int64_t last_ms;
    bool internal; /* a probe of the agent's own */
};
/* group: of a leg.  ERR_NO_MEMORY. */
MUST_USE enum err_code message_make(const struct web *w, int group, struct arena *a,
                                    struct message *ret, struct err *e);
/* As lists show it.  New reference. */
json_t *message_json(const struct message *m);
