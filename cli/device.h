/* device.h - one device as a row of a table: the three truths side by side. */
#pragma once

#include "cli.h"

enum { DEVICE_COLUMNS = 9 };

void device_heads(const struct cli *c, struct table *t);
void device_row(const struct cli *c, struct table *t, const json_t *d);
/* What its Postfix did lately: "health" of a device; nothing when it does not say. */
void device_figures(const struct cli *c, const json_t *health);
/* The devices of a list document as a table on standard output. */
void device_table(const struct cli *c, const json_t *doc);
