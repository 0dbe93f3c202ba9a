/*
 * alert_sender.h - sends the notices that wait (store/alert_engine_store.h) on a thread of its own,
 * one after another, five tries each with growing pauses, then it gives up loudly ("dead").  It has
 * a database connection only while there is something to send. A notice is taken for longer than a
 * try can last; so whoever dies over one sends it once more at most, with the same id.
 */
#pragma once

#include "base/err.h"
#include "domain/alert_outage.h"
#include "domain/app.h"

struct alert_sender;

/* conninfo is copied. */
MUST_USE enum err_code alert_sender_start(const struct app *app, const char *conninfo,
                                          struct alert_sender **ret, struct err *e);
void alert_sender_wake(struct alert_sender *s); /* there is something to send */
/* Who is to be told when the database is away; takes it over. */
void alert_sender_remember(struct alert_sender *s, struct alert_outage *o);
/* It has been away for away_s by now; 0: it is there. */
void alert_sender_away(struct alert_sender *s, int64_t away_s);
void alert_sender_stop(
    struct alert_sender *s); /* ends what is under way and waits; NULL does nothing */
