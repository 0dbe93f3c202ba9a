/*
 * drift_policy.h - what is to be done about an item that differs on a device (protocol.md 6.10): the settings drift.policy
 * and drift.items, merged like all others, and the device's own word (PATCH /devices/{id}), which stands above drift.policy
 * and below an item's row.
 * Threads: any; pure.
 */
#pragma once

#include "catalog/catalog.h"
#include "json/json_in.h"

extern const char *const drift_policy_words[]; /* "report" "enforce" "adopt", NULL */

/* device_word: "inherit" or one of the words.  As the bundle has it: {"postfix":word,"items":{name:word}}, "items" only
 * where there are any; new reference, NULL without memory. */
json_t *drift_policy_make(const json_t *effective, const char *device_word);
/* Of one item, by what drift_policy_make() gave. */
const char *drift_policy_of(const json_t *made, const char *item);
/* The setting that an item of main.cf is, or the one it is made of alone (mynetworks, relayhost); NULL: it is derived from
 * several, or a service, or a table. */
const struct setting *drift_setting_of(const json_t *row);
/* "<file>:<item>" of a row of a device's status. */
void drift_item_name(const json_t *row, char *buf, size_t size);
