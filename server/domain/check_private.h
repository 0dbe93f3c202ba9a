/* check_private.h - the findings of several devices made one list. */
#pragma once

#include "domain/check.h"
#include "store/bundle_store.h"

/* Those that to has not yet. */
void check_take_over(struct findings *to, const struct findings *from);
/* Errors that are in known too become warnings. */
void check_soften_known(struct findings *f, const struct findings *known);
/* V.group-conflict between those of one device's groups (in order of priority) that share one. */
void check_group_conflicts(const struct bundle_member *members, size_t n, const json_t *content,
                           struct findings *f);
/* "/settings/<key>/..." becomes "/changes/<layer>/<key>/..." where the draft set it; the device's
 * own layer first. */
void check_repoint(struct finding *x, const json_t *leaves, const char *device_id);
