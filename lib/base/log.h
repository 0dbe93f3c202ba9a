/*
 * log.h - one key=value line an event, to stderr (systemd's journal or a file takes it from there).
 * Event names are stable: "node.enrolled", listed in docs/logging.md.  Values that came from a peer are escaped
 * and cut at LOG_VALUE_MAX.  Never a password, token, key or body.
 *   log_event(LOG_LEVEL_INFO, "device.enrolled", KV_STR("device", id), KV_INT("rev", rev));
 * Threads: any; a line is written by one write(2).
 */
#pragma once

#include "base/slice.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum { LOG_VALUE_MAX = 512, LOG_FIELDS_MAX = 16 };

struct log_kv {
    const char *key;
    const char *str; /* NULL: the number */
    int64_t num;
};

#define KV_STR(k, s) ((struct log_kv){(k), (s) == NULL ? "" : (s), 0})
#define KV_INT(k, i) ((struct log_kv){(k), NULL, (int64_t)(i)})

void log_init(const char *program, enum log_level least);
void log_event_v(enum log_level level, const char *event, const struct log_kv *kv, size_t n);
#define log_event(level, event, ...)                                                               \
    log_event_v((level), (event), (const struct log_kv[]){__VA_ARGS__},                            \
                sizeof((const struct log_kv[]){__VA_ARGS__}) / sizeof(struct log_kv))
