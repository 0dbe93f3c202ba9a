/*
 * alert_send.h - a notice in words, and on its way: mail, webhook or trap by the channel's kind
 * (notify/notify.h). Threads: any that may wait; no transaction may be open.
 */
#pragma once

#include "base/strbuf.h"
#include "domain/app.h"
#include "notify/notify.h"
#include "store/alert_engine_store.h"

/* ERR_OK: it was taken.  steps as in struct notify_run. */
MUST_USE enum err_code alert_send(const struct app *app, const struct alert_notice *n,
                                  const struct notify_run *run, struct err *e);
/* Send a channel a notice that says it is a test.  *ret: {"ok","problem","steps":[..]}, new
 * reference. ERR_OVERLOADED: another test is going on. */
MUST_USE enum err_code alert_send_test(struct db *db, const struct app *app, const char *ref,
                                       enum lang lang, json_t **ret, struct err *e);
/* Subject and text of a notice, for people: *ret_text has lines that end in \n. */
void alert_send_words(const struct app *app, const json_t *body, enum lang lang,
                      struct strbuf *subject, struct strbuf *text);
