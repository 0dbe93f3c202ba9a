/*
 * startup.h - reaching the database, in the background: migrations, keys, first account, the fleet in memory; then
 * the listener is told that it may serve everything.  Away or too slow: again with back-off, for ever.
 */
#pragma once

#include "domain/app.h"
#include "http/http.h"

struct startup;

/* app and conninfo: borrowed until startup_stop(). */
MUST_USE enum err_code startup_begin(struct app *app, struct http *http, const char *conninfo, struct startup **ret,
                                     struct err *e);
/* Ends the tries: joins the thread (at most one try's time).  Before http_stop(): the thread tells the listener. */
void startup_quit(struct startup *s);
/* Frees what it made in app.  After http_stop(). */
void startup_stop(struct startup *s);
