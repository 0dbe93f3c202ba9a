/*
 * settings.h - inarid's own settings, a row each (base/settings.h).  What concerns mail is not here: that is in the
 * database and changed over the API.
 */
#pragma once

#include "base/settings.h"

#define INARID_CONFIG "/etc/inari/inarid.conf"

struct inarid_settings {
    char *listen, *name, *hosts, *addresses, *certificate, *private_key;
    char *state, *conninfo, *web_dir, *log_level, *alert_networks;
    int64_t io_threads, workers, queue, connections, connections_address, strangers_address;
    int64_t body_memory, header_deadline_ms, idle_ms, drain_ms;
    int64_t enrol_rate, wake_rate;
    bool lab;
};

extern const struct settings_row inarid_rows[];
extern const size_t inarid_rows_n;

/* path NULL: INARID_CONFIG when it is there, else the defaults.  Also checks what concerns several settings. */
MUST_USE enum err_code inarid_settings_load(const char *path, struct inarid_settings *ret, struct err *e);
void inarid_settings_clear(struct inarid_settings *s);
