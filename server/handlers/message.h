/* message.h - searching for messages and events, and following one message (api/openapi.yaml). */
#pragma once

#include "http/request.h"

enum err_code message_list_get(struct req *rq, struct reply *rp, struct err *e);
enum err_code message_get_one(struct req *rq, struct reply *rp, struct err *e);
enum err_code event_list_get(struct req *rq, struct reply *rp, struct err *e);

/* --- between message.c and message_export.c: a list as text/csv or application/x-ndjson where
 * Accept asks for it.  doc: borrowed; its items, and the cursor of the next page in the header
 * Inari-Next. */
enum export_kind { EXPORT_NONE, EXPORT_CSV, EXPORT_NDJSON };
enum export_kind export_asked_for(const struct req *rq);
extern const char *const export_message_columns[];
extern const char *const export_event_columns[];
enum err_code reply_export(struct reply *rp, enum export_kind kind, const char *name,
                           const char *const *columns, const json_t *doc, struct err *e);
