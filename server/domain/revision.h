/* revision.h - reading what is published: history, layers, effective settings, and who set what,
 * when and why. */
#pragma once

#include "domain/check.h"

/* Newest first, without content and diff:
 * {"pub","author","reason","kind","source","at","digest","changes"}. */
MUST_USE enum err_code revision_list(struct db *db, int64_t before, int limit, json_t **ret,
                                     struct err *e);
/* pub 0: the newest.  With "content", "diff" and "forced". */
MUST_USE enum err_code revision_get(struct db *db, int64_t pub, enum lang lang, json_t **ret,
                                    struct err *e);
/* {"pub","against","items"}: from against to pub; against < 0: what pub itself changed. */
MUST_USE enum err_code revision_diff(struct db *db, int64_t pub, int64_t against, enum lang lang,
                                     json_t **ret, struct err *e);
/* {"pub","layer","id","name","settings"}; layer "fleet", "group:REF" or "device:REF". */
MUST_USE enum err_code settings_layer(struct db *db, const char *layer, json_t **ret,
                                      struct err *e);
/* {"pub","device","name","settings"} */
MUST_USE enum err_code settings_effective(struct db *db, const char *device_ref, json_t **ret,
                                          struct err *e);
/* {"key","label","value","layers":[{"layer","id","name","value","wins","pub","author","reason","at",["rows"]}],"running"};
 * rows of a list carry their own pub, author, reason and at.  running: the device runs what was
 * published (null: unknown). */
MUST_USE enum err_code settings_explain(struct db *db, const char *device_ref, const char *key,
                                        enum lang lang, json_t **ret, struct err *e);
