#include "maillog/maillog_journal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

enum { FIELD_MAX = 64 * 1024, HOST_MAX = 255 };

void maillog_journal_init(struct maillog_journal *t, const char *dir)
{
    *t = (struct maillog_journal){.dir = dir};
}

void maillog_journal_close(struct maillog_journal *t)
{
    sd_journal_close(t->j);
    t->j = NULL;
    t->placed = t->standing = false;
}

void maillog_journal_from(struct maillog_journal *t, const char *cursor)
{
    text_copy(t->cursor, sizeof t->cursor, cursor);
    t->placed = t->standing = false;
}

/* --- opening --- */

static enum err_code failed(struct maillog_journal *t, int rc, const char *what, struct err *e)
{
    maillog_journal_close(t);
    return err_errno(e,
                     rc == -ENOENT || rc == -ENOTDIR ? ERR_NOT_FOUND
                     : rc == -EACCES || rc == -EPERM ? ERR_FORBIDDEN
                     : rc == -ENOMEM                 ? ERR_NO_MEMORY
                                                     : ERR_STORAGE,
                     -rc, "could not %s the journal", what);
}

/* An empty journal and one that may not be read look alike: is there any entry at all? */
static bool may_read(struct maillog_journal *t)
{
    return t->dir[0] != '\0' || sd_journal_has_runtime_files(t->j) > 0 ||
           sd_journal_has_persistent_files(t->j) > 0;
}

static enum err_code open_it(struct maillog_journal *t, struct err *e)
{
    int rc;

    if (t->j != NULL)
        return ERR_OK;
    rc = t->dir[0] != '\0' ? sd_journal_open_directory(&t->j, t->dir, 0)
                           : sd_journal_open(&t->j, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
    if (rc < 0) {
        t->j = NULL;
        return failed(t, rc, "open", e);
    }
    if (!may_read(t)) {
        maillog_journal_close(t);
        return err_set(e, access("/run/systemd/journal", F_OK) == 0 ? ERR_FORBIDDEN : ERR_NOT_FOUND,
                       "there is no journal that may be read");
    }
    (void)sd_journal_set_data_threshold(t->j, FIELD_MAX);
    (void)sd_journal_get_fd(t->j); /* from now on it hears of new files */
    rc = sd_journal_add_match(t->j, "SYSLOG_FACILITY=2", 0);
    t->placed = false;
    return rc < 0 ? failed(t, rc, "search", e) : ERR_OK;
}

/* --- one entry --- */

/* A field's value, borrowed until the next call; empty: it has none. */
static struct slice field(struct maillog_journal *t, const char *name)
{
    const void *p = NULL;
    size_t n = 0, skip = strlen(name) + 1;

    if (sd_journal_get_data(t->j, name, &p, &n) < 0 || n < skip)
        return (struct slice){NULL, 0};
    return (struct slice){(const char *)p + skip, n - skip};
}

static void add(char *buf, size_t size, size_t *n, struct slice s)
{
    for (size_t i = 0; i < s.n && *n < size; i++)
        buf[(*n)++] = (unsigned char)s.p[i] < 0x20 ? ' ' : s.p[i];
}

static bool is_postfix(struct maillog_journal *t)
{
    return slice_starts(field(t, "SYSLOG_IDENTIFIER"), "postfix");
}

/* "TIME HOST postfix/smtpd[PID]: text"; 0: the entry has no text. */
static size_t line_of(struct maillog_journal *t, char buf[MAILLOG_JOURNAL_LINE])
{
    char when[CLOCK_TEXT_SIZE];
    struct slice said = field(t, "_SOURCE_REALTIME_TIMESTAMP"), pid;
    uint64_t us = 0;
    size_t n = 0;

    if (!parse_u64(said, 0, UINT64_MAX, &us))
        (void)sd_journal_get_realtime_usec(t->j, &us);
    clock_format((int64_t)(us / 1000), when);
    add(buf, MAILLOG_JOURNAL_LINE, &n, slice_of(when));
    add(buf, MAILLOG_JOURNAL_LINE, &n, slice_of(" "));
    said = field(t, "_HOSTNAME");
    add(buf, MAILLOG_JOURNAL_LINE, &n,
        said.n == 0 || said.n > HOST_MAX ? slice_of("localhost") : said);
    add(buf, MAILLOG_JOURNAL_LINE, &n, slice_of(" "));
    add(buf, MAILLOG_JOURNAL_LINE, &n, field(t, "SYSLOG_IDENTIFIER"));
    add(buf, MAILLOG_JOURNAL_LINE, &n, slice_of("["));
    pid = field(t, "SYSLOG_PID");
    add(buf, MAILLOG_JOURNAL_LINE, &n, pid.n != 0 ? pid : field(t, "_PID"));
    add(buf, MAILLOG_JOURNAL_LINE, &n, slice_of("]: "));
    said = field(t, "MESSAGE");
    add(buf, MAILLOG_JOURNAL_LINE, &n, said);
    return said.n == 0 ? 0 : n;
}

static bool take_cursor(struct maillog_journal *t, char to[MAILLOG_CURSOR])
{
    AUTO_STR char *text = NULL;

    if (sd_journal_get_cursor(t->j, &text) < 0 || strlen(text) >= MAILLOG_CURSOR)
        return false;
    text_copy(to, MAILLOG_CURSOR, text);
    return true;
}

/* --- places --- */

/* Stand on the entry of the cursor, *ret_there; or, when that is gone, before or (standing) on the
 * first that is behind it. */
static int seek(struct maillog_journal *t, const char *cursor, bool *ret_there)
{
    int rc;

    *ret_there = true;
    t->placed = t->standing = false;
    if (cursor[0] == '\0')
        return sd_journal_seek_head(t->j);
    rc = sd_journal_seek_cursor(t->j, cursor);
    if (rc >= 0)
        rc = sd_journal_next(t->j);
    *ret_there = rc > 0 && sd_journal_test_cursor(t->j, cursor) > 0;
    t->standing = rc > 0 && !*ret_there;
    return rc;
}

bool maillog_journal_has(struct maillog_journal *t, const char *cursor)
{
    struct err e;
    bool there = false;

    return open_it(t, &e) == ERR_OK && seek(t, cursor, &there) >= 0 && there;
}

bool maillog_journal_end(struct maillog_journal *t, uint64_t back, char ret_end[MAILLOG_CURSOR],
                         char ret_back[MAILLOG_CURSOR])
{
    struct err e;

    if (open_it(t, &e) != ERR_OK)
        return false;
    t->placed = t->standing = false;
    if (sd_journal_seek_tail(t->j) < 0 || sd_journal_previous(t->j) <= 0 ||
        !take_cursor(t, ret_end))
        return false;
    if (sd_journal_previous_skip(t->j, back) <= 0)
        text_copy(ret_back, MAILLOG_CURSOR, ret_end);
    else if (!take_cursor(t, ret_back))
        return false;
    return true;
}

void maillog_journal_before(struct maillog_journal *t, const char *cursor, uint64_t back,
                            char ret[MAILLOG_CURSOR])
{
    text_copy(ret, MAILLOG_CURSOR, cursor);
    if (maillog_journal_has(t, cursor) && sd_journal_previous_skip(t->j, back) > 0 &&
        !take_cursor(t, ret))
        text_copy(ret, MAILLOG_CURSOR, cursor);
}

void maillog_journal_since(struct maillog_journal *t, int64_t at_ms)
{
    struct err e;

    t->cursor[0] = '\0';
    t->standing = false;
    t->placed = open_it(t, &e) == ERR_OK &&
                sd_journal_seek_realtime_usec(t->j, (uint64_t)at_ms * 1000) >= 0;
}

/* "s=..;i=..;b=..;m=..;t=..;x=..", numbers in hexadecimal digits. */
static struct slice part(const char *cursor, const char *name)
{
    struct slice rest = slice_of(cursor);

    while (rest.n > 0) {
        struct slice one = slice_cut(&rest, ';');
        if (slice_starts(one, name))
            return (struct slice){one.p + strlen(name), one.n - strlen(name)};
    }
    return (struct slice){NULL, 0};
}

static uint64_t hex(struct slice s)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n && i < 16; i++) {
        char c = s.p[i];
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

bool maillog_cursor_reached(const char *a, const char *b)
{
    struct slice sa = part(a, "s="), sb = part(b, "s=");

    if (sa.n == sb.n && sa.n > 0 && memcmp(sa.p, sb.p, sa.n) == 0)
        return hex(part(a, "i=")) >= hex(part(b, "i="));
    return hex(part(a, "t=")) >= hex(part(b, "t="));
}

/* --- reading --- */

int maillog_journal_wait_fd(const struct maillog_journal *t)
{
    return t->j == NULL ? -1 : sd_journal_get_fd(t->j);
}

bool maillog_journal_hint(struct maillog_journal *t)
{
    return t->j != NULL && sd_journal_process(t->j) > 0;
}

static enum err_code place(struct maillog_journal *t, bool *ret_gap, struct err *e)
{
    bool there = true;
    int rc = t->placed ? 0 : seek(t, t->cursor, &there);

    if (rc < 0)
        return failed(t, rc, "search", e);
    *ret_gap = !there;
    t->placed = true;
    return ERR_OK;
}

enum err_code maillog_journal_step(struct maillog_journal *t, size_t max, maillog_journal_fn *fn,
                                   void *ctx, bool *ret_more, bool *ret_gap, struct err *e)
{
    char line[MAILLOG_JOURNAL_LINE];
    size_t done = 0, n;
    bool go_on = true;
    int rc = 0;
    enum err_code err;

    *ret_more = *ret_gap = false;
    err = open_it(t, e);
    if (err == ERR_OK)
        err = place(t, ret_gap, e);
    *ret_more = err == ERR_OK && *ret_gap; /* said first, then what follows */
    if (err != ERR_OK || *ret_gap)
        return err;
    (void)sd_journal_process(t->j); /* files that came and went */
    while (go_on && done < max && (rc = t->standing ? 1 : sd_journal_next(t->j)) > 0) {
        bool ours = is_postfix(t);
        t->standing = false;
        if (!take_cursor(t, t->cursor))
            return failed(t, -EBADMSG, "read", e);
        n = ours ? line_of(t, line) : 0;
        done += n + 64;
        go_on = n == 0 || fn(ctx, (struct slice){line, n});
    }
    if (rc < 0)
        return failed(t, rc, "read", e);
    *ret_more = !go_on || done >= max;
    return ERR_OK;
}
