/*
 * command.h - the parent's orders to this host, each done at most once (docs/internals/wire.md, "Commands").
 * An order is written into the journal (<agent.state>/commands/<id>.json) before the parent hears that it is here, begun
 * only after the parent agreed, and its end is told until the parent has it.  What changes this host is done by the
 * helper, which keeps a journal of its own under the same id; so a kill of either at any moment neither loses nor
 * doubles an order.
 * Threads: the loop's.
 */
#pragma once

#include "loop/backoff.h"
#include "loop/http.h"

#include "base/rand.h"
#include "proto/command.h"

struct loop;

struct order {
    char id[UUID_TEXT_SIZE];
    json_t *doc; /* owned: the signed payload */
    struct command_args args;
    enum command_state state; /* COMMAND_DELIVERED: in the journal, COMMAND_RUNNING: begun, or its end */
    bool accepted;            /* the parent knows that it is here */
    bool told;                /* the parent has its end */
    bool shown_running;       /* the parent knows that it runs */
    int64_t expires_ms;
    int64_t next;             /* monotonic: next step, not before */
    int64_t sent, total;      /* bytes of output: the parent has, there are */
    bool place_known;         /* sent is the parent's word, not ours */
    json_t *result, *problem; /* owned */
    int64_t ended_ms;
};

struct orders {
    struct order **v; /* oldest first */
    size_t n, size;
    bool asked;       /* the list is wanted */
    bool fruitless;   /* the last list had nothing new */
    bool list_busy, send_busy;
    int64_t list_next, send_next;
    struct order *sending;
    bool sent_end;    /* what is under way says the end */
    struct {          /* what a dry run is to try: one at a time */
        char id[UUID_TEXT_SIZE]; /* of the order it is for; "" none */
        bool busy, here;
        struct strbuf text; /* owned */
        int refused;        /* status of a parent that does not give it; 0: none */
        int64_t next;       /* monotonic */
        struct backoff backoff;
    } trial;
    struct backoff list_backoff, send_backoff;
};

void command_begin(struct loop *l); /* read the journal */
void command_clear(struct loop *l);
/* An answer of the parent said how many orders wait. */
void command_waiting(struct loop *l, int64_t n);
/* Orders that the parent does not know to be here: a poll would come back at once. */
bool command_busy(const struct loop *l);
/* Ask, answer, tell; then do what is due.  Orders that change this host wait while a change is under way. */
void command_turn_parent(struct loop *l);
void command_turn_work(struct loop *l);

/* command_do.c: the next step of an order that runs; sets state when it has ended. */
void command_step(struct loop *l, struct order *o);
/* command_trial.c */
void command_trial(struct loop *l, struct order *o);
void command_trial_clear(struct orders *all);
void order_fail(struct order *o, enum command_state end, const char *word, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Bytes of output from o->sent on, whole characters, heap; *ret_n 0: none there (any more). */
MUST_USE enum err_code order_read_output(struct loop *l, struct order *o, char **ret, size_t *ret_n, struct err *e);
