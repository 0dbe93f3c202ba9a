/*
 * command.h - the tracked one-off orders to a device: their words, their arguments and the limits of both, checked by
 * the same code on the parent (when an administrator gives one), in the agent (when it arrives) and in the root helper
 * (before anything is done).  docs/internals/wire.md, "Commands".
 * Threads: any; nothing is kept.
 */
#pragma once

#include "json/json_in.h"

enum command_kind {
    COMMAND_SELF_CHECK, /* what the agent knows about itself and its host */
    COMMAND_QUEUE_SHOW, /* the messages in the queue, one JSON line each */
    COMMAND_QUEUE_FLUSH, /* try to deliver now */
    COMMAND_QUEUE_HOLD,
    COMMAND_QUEUE_RELEASE,
    COMMAND_QUEUE_DELETE,
    COMMAND_SERVICE_START, /* wanted: running */
    COMMAND_SERVICE_STOP,  /* wanted: stopped, until it is started by an order */
    COMMAND_SERVICE_RESTART,
    COMMAND_TEST_MESSAGE, /* send one, follow it to its result */
    COMMAND_DEBUG_BUNDLE, /* configuration, state and logs without secrets, encrypted to the caller's key */
    COMMAND_ROTATE_KEY, /* the agent renews its own key; the helper has no part in it */
    COMMAND_DRAIN,   /* take no new mail until it is undrained; the queue empties */
    COMMAND_UNDRAIN,
    COMMAND_DRY_RUN, /* try what the parent keeps for it (GET commands/{id}/bundle); given by the parent itself */
    COMMAND_DRIFT_ENFORCE, /* put back what was changed by hand; the agent's, with the helper's repair */
};
extern const char *const command_kind_names[];  /* "self-check", ...; NULL-terminated, by enum command_kind */
extern const char *const command_queue_names[]; /* "all" "incoming" "active" "deferred" "hold" */

/* Where a command stands.  The first three are open; the others are final, only "unknown" may still become one that
 * the device reports late. */
enum command_state {
    COMMAND_QUEUED,      /* the device has not taken it yet */
    COMMAND_DELIVERED,   /* it stands in the device's journal */
    COMMAND_RUNNING,
    COMMAND_DONE,
    COMMAND_FAILED,
    COMMAND_INTERRUPTED, /* cut short; it is not known how much of it happened, and it is not done again */
    COMMAND_EXPIRED,     /* nobody began it in time */
    COMMAND_CANCELLED,
    COMMAND_UNKNOWN,     /* taken, and the device never said how it ended */
};
extern const char *const command_state_names[];

enum {
    COMMAND_ITEMS_MAX = 200,              /* drift items named one by one */
    COMMAND_ITEM_MAX = 300,               /* bytes of such a name */
    COMMAND_IDS_MAX = 1000,               /* messages named one by one */
    COMMAND_SHOW_MAX = 100000,            /* messages listed */
    COMMAND_OUTPUT_MAX = 64 * 1024 * 1024, /* bytes of output of one command */
    COMMAND_PIECE_MAX = 128 * 1024,       /* bytes of output in one report */
    COMMAND_REPORT_MAX = 512 * 1024,      /* bytes of one signed report */
    COMMAND_OPEN_MAX = 100,               /* commands a device has open at once */
    COMMAND_LIST_MAX = 512 * 1024,        /* bytes of the list of open ones */
};

struct command_args { /* strings and JSON borrowed from what was read */
    enum command_kind kind;
    int queue;     /* index into command_queue_names */
    int64_t limit; /* most messages to list */
    json_t *ids;   /* queue ids, each checked by command_queue_id_ok(); NULL: all */
    bool all;
    const char *recipient, *sender; /* plain addresses; sender NULL: none, so nothing bounces */
    json_t *items; /* names of drift items, each checked by command_drift_item_ok(); NULL: all */
    json_t *key;   /* public P-256 JWK */
    int service;   /* index into command_service_names */
    const char *run; /* id of the dry run, for people */
};
extern const char *const command_service_names[]; /* "postfix" */
/* 6 to 30 letters and digits: what Postfix makes, and nothing that means something else to postsuper. */
bool command_queue_id_ok(struct slice id);
/* "main.cf:message_size_limit", "master.cf:smtp/inet", "table:inari/.../relay_domains", "service:postfix". */
bool command_drift_item_ok(struct slice item);
/* kind by its word; -1: there is none. */
int command_kind_of(const char *word);
int command_state_of(const char *word);
/* Check args (NULL: none) of that kind.  ERR_INVALID names the member below at ("/args"). */
MUST_USE enum err_code command_args_read(enum command_kind kind, const json_t *args, const char *at,
                                         struct command_args *ret, struct err *e);
