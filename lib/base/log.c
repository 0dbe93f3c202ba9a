#include "base/log.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

static const char *program_name = "inari";
static enum log_level least_level = LOG_LEVEL_INFO;

void log_init(const char *program, enum log_level least)
{
    program_name = program;
    least_level = least;
}

struct line {
    char buf[8192];
    size_t n;
};

static void put(struct line *l, const char *s, size_t n)
{
    if (n > sizeof l->buf - 2 - l->n)
        n = sizeof l->buf - 2 - l->n;
    memcpy(l->buf + l->n, s, n);
    l->n += n;
}

static void put_value(struct line *l, const char *s)
{
    size_t n = strnlen(s, LOG_VALUE_MAX);

    put(l, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        char esc[8];
        if (c == '"' || c == '\\') {
            esc[0] = '\\';
            esc[1] = (char)c;
            put(l, esc, 2);
        } else if (c < 0x20 || c == 0x7f) {
            (void)snprintf(esc, sizeof esc, "\\x%02x", c);
            put(l, esc, 4);
        } else {
            put(l, s + i, 1);
        }
    }
    put(l, s[n] == '\0' ? "\"" : "...\"", s[n] == '\0' ? 1 : 4);
}

void log_event_v(enum log_level level, const char *event, const struct log_kv *kv, size_t n)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    struct line l;
    char when[CLOCK_TEXT_SIZE], num[64];
    ssize_t ignored;

    if (level < least_level)
        return;
    clock_format(clock_wall_ms(), when);
    l.n = (size_t)snprintf(l.buf, sizeof l.buf, "%s %s level=%s event=%s", when, program_name, names[level], event);
    for (size_t i = 0; i < n; i++) {
        put(&l, " ", 1);
        put(&l, kv[i].key, strlen(kv[i].key));
        put(&l, "=", 1);
        if (kv[i].str != NULL) {
            put_value(&l, kv[i].str);
        } else {
            int len = snprintf(num, sizeof num, "%lld", (long long)kv[i].num);
            put(&l, num, (size_t)len);
        }
    }
    l.buf[l.n++] = '\n';
    ignored = write(STDERR_FILENO, l.buf, l.n);
    (void)ignored;
}
