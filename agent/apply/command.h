/*
 * command.h - orders to this host, each done at most once (docs/internals/helper.md, "Commands").
 * Before anything happens an order is written down under its id, with what exactly it is to touch; afterwards how it
 * ended.  The same id again gives the kept answer; one that was begun and not ended is carried on from what was
 * written down, so that a kill at any moment neither loses nor doubles its effect.
 * Files: <helper.state>/commands/<id>.json and <id>.out (its output).
 */
#pragma once

#include "apply/apply.h"

#include "json/json_in.h"
#include "proto/command.h"

/* One order on its way. */
struct order {
    struct helper *h;
    const char *id;
    const char *by, *reason; /* who gave it, and why */
    const json_t *status;    /* the agent's report, or NULL */
    struct command_args args;
    json_t *target;  /* owned: what it touches, as written down before it began; never NULL */
    bool again;      /* it was begun before and not ended */
    json_t *result;  /* owned: what it gives */
    int out;         /* its output file, opened for writing from the start */
    int64_t out_n;
};
void order_clear(struct order *o);
/* A path in the folder of the commands. */
void order_path(const struct helper *h, const char *id, const char *suffix, char *buf, size_t size);
/* Append to its output; what is beyond COMMAND_OUTPUT_MAX is left out. */
MUST_USE enum err_code order_say(struct order *o, struct slice text, struct err *e);
/* Write down o->target before something irreversible happens. */
MUST_USE enum err_code order_keep(struct order *o, struct err *e);

/* The verbs "command" {id, kind, args} and "command_output" {id, from}. */
MUST_USE enum err_code command_serve(struct helper *h, const json_t *request, json_t *answer, struct err *e);
MUST_USE enum err_code command_serve_output(struct helper *h, const json_t *request, json_t *answer, struct err *e);

/* What each kind does (command_queue.c ...): fill o->result, or fail. */
typedef enum err_code order_fn(struct order *o, struct err *e);
order_fn order_self_check, order_queue_show, order_queue_change, order_service_start, order_service_stop, order_service_restart,
    order_debug_bundle, order_test_message, order_drain, order_undrain;
