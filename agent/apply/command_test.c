/* The test message: through this host's own Postfix to a given recipient, followed in Postfix's log
 * to what became of it.  It is sent once: what was begun and is not found in the log or the queue
 * is not sent again. */
#include "apply/command.h"

#include "base/clock.h"
#include "targets/mutate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FOLLOW_MS = 10000, STEP_MS = 150, LOG_MAX = 4 * 1024 * 1024, RUN_MS = 10000, HOPS_MAX = 4 };

struct following {
    struct order *o;
    char mark[96];         /* message-id */
    char id[HOPS_MAX][32]; /* queue ids it had: a content filter gives it another one */
    size_t n;
    char status[24], dsn[16], relay[256], text[400];
};

/* --- the log --- */

static enum err_code log_from_file(const struct order *o, struct strbuf *out)
{
    AUTO_FD int fd = open(o->h->s->postfix_log, O_RDONLY | O_CLOEXEC);
    AUTO_STR char *buf = malloc(LOG_MAX);
    int64_t from = json_int(o->target, "log_at", 0);
    struct stat st;
    ssize_t n;

    if (fd < 0 || buf == NULL || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return ERR_NOT_FOUND;
    if (from > st.st_size) /* rotated */
        from = 0;
    n = pread(fd, buf, LOG_MAX, from);
    if (n > 0)
        strbuf_add(out, (struct slice){buf, (size_t)n});
    return ERR_OK;
}

static enum err_code log_from_journal(const struct order *o, struct strbuf *out)
{
    char since[40];
    const char *const argv[] = {
        "/usr/bin/journalctl", "--no-pager", "-q", "-o", "cat", "--since", since,
        "SYSLOG_FACILITY=2",   NULL};
    struct proc_result r = {0};
    enum err_code rc;

    if (access("/run/systemd/system", F_OK) != 0)
        return ERR_NOT_FOUND;
    (void)snprintf(since, sizeof since, "@%lld", (long long)json_int(o->target, "at_s", 0));
    rc = proc_run(argv, NULL, (struct slice){NULL, 0}, RUN_MS, &r, NULL);
    if (rc == ERR_OK)
        strbuf_puts(out, r.output);
    proc_result_clear(&r);
    return rc;
}

static const char *find(struct slice line, const char *word)
{
    return line.n == 0 ? NULL : memmem(line.p, line.n, word, strlen(word));
}

/* "QUEUEID: " right before at, into buf. */
static void id_before(struct slice line, const char *at, char *buf, size_t size)
{
    const char *end = at - 2, *p = end;

    buf[0] = '\0';
    while (p > line.p && p[-1] != ' ')
        p--;
    if (end > p && (size_t)(end - p) < size &&
        command_queue_id_ok((struct slice){p, (size_t)(end - p)}))
        (void)snprintf(buf, size, "%.*s", (int)(end - p), p);
}

static void copy_until(const char *from, const char *end, char stop, char *buf, size_t size)
{
    const char *p = from;

    while (p < end && *p != stop)
        p++;
    (void)snprintf(buf, size, "%.*s", (int)(p - from), from);
}

static bool is_ours(const struct following *f, const char *id)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->id[i], id) == 0)
            return true;
    }
    return false;
}

/* "ID: to=<r>, relay=..., dsn=..., status=sent (250 ...)" of one of our ids. */
static void take_status(struct following *f, struct slice line)
{
    const char *to = find(line, ": to=<"), *end = line.p + line.n,
               *status = find(line, ", status="), *relay = find(line, ", relay="),
               *dsn = find(line, ", dsn="), *text;
    char id[32];

    if (to == NULL || status == NULL || status < to)
        return;
    id_before(line, to + 2, id, sizeof id);
    if (!is_ours(f, id))
        return;
    copy_until(status + 9, end, ' ', f->status, sizeof f->status);
    f->relay[0] = f->dsn[0] = f->text[0] = '\0';
    if (relay != NULL)
        copy_until(relay + 8, end, ',', f->relay, sizeof f->relay);
    if (dsn != NULL)
        copy_until(dsn + 6, end, ',', f->dsn, sizeof f->dsn);
    text = memchr(status, '(', (size_t)(end - status));
    if (text != NULL)
        (void)snprintf(f->text, sizeof f->text, "%.*s", (int)(end - text), text);
}

static void take_line(struct following *f, struct slice line)
{
    const char *at = find(line, f->mark);
    char id[32];

    if (at != NULL && at - line.p > 12 && memcmp(at - 12, "message-id=<", 12) == 0) {
        id_before(line, at - 12, id, sizeof id);
        if (id[0] != '\0' && !is_ours(f, id) && f->n < HOPS_MAX)
            (void)snprintf(f->id[f->n++], sizeof f->id[0], "%s", id);
    }
    take_status(f, line);
}

static bool look(struct following *f)
{
    AUTO_STRBUF struct strbuf log = STRBUF_INIT(LOG_MAX + 64 * KIB);
    struct slice rest;

    if (log_from_file(f->o, &log) != ERR_OK && log_from_journal(f->o, &log) != ERR_OK)
        return false;
    f->n = 0;
    f->status[0] = '\0';
    for (rest = strbuf_slice(&log); rest.n > 0;)
        take_line(f, slice_cut(&rest, '\n'));
    return true;
}

/* A filter that took it hands it back under another id: its own "sent" is not the end. */
static bool has_outcome(const struct following *f)
{
    return f->status[0] != '\0' && strncmp(f->relay, "127.0.0.1[127.0.0.1]:1002", 25) != 0;
}

/* --- sending --- */

static enum err_code send(struct order *o, const char *mark, struct err *e)
{
    AUTO_STRBUF struct strbuf m = STRBUF_INIT(8 * KIB);
    char program[4200], config[4200];
    const char *from = o->args.sender == NULL ? "" : o->args.sender;
    const char *const argv[] = {program, "-i", "-f", from, "--", o->args.recipient, NULL};
    const char *const env[] = {config, NULL};
    struct proc_result r = {0};
    enum err_code rc;

    (void)snprintf(program, sizeof program, "%s/sendmail", o->h->s->postfix_commands);
    (void)snprintf(config, sizeof config, "MAIL_CONFIG=%s", o->h->s->postfix_config);
    strbuf_printf(&m, "From: %s\nTo: %s\nSubject: Inari test message\nMessage-ID: <%s>\n",
                  from[0] == '\0' ? "postmaster" : from, o->args.recipient, mark);
    strbuf_puts(&m,
                "Auto-Submitted: auto-generated\nX-Inari-Test: yes\n\n"
                "This is a test message that an administrator of this mail gateway asked for.\n");
    rc = proc_run(argv, env, strbuf_slice(&m), RUN_MS, &r, e);
    if (rc == ERR_OK && (r.timed_out || r.status != 0))
        rc = err_set(e, ERR_UNAVAILABLE, "sendmail ended with status %d: %.300s", r.status,
                     r.output == NULL ? "" : r.output);
    proc_result_clear(&r);
    return rc;
}

static enum err_code send_once(struct following *f, struct err *e)
{
    struct order *o = f->o;
    struct stat st;
    enum err_code rc;

    if (json_object_get(o->target, "at_s") != NULL) {
        (void)look(f);
        return f->n > 0 ? ERR_OK
                        : err_set(e, ERR_OUTCOME_UNKNOWN,
                                  "it was cut short; whether the message went out is not known, "
                                  "and it is not sent again");
    }
    (void)json_object_set_new(o->target, "at_s", json_integer((json_int_t)clock_wall_s() - 1));
    (void)json_object_set_new(
        o->target, "log_at",
        json_integer(stat(o->h->s->postfix_log, &st) == 0 ? (json_int_t)st.st_size : 0));
    rc = order_keep(o, e);
    crash_at("command-chosen");
    return rc == ERR_OK ? send(o, f->mark, e) : rc;
}

enum err_code order_test_message(struct order *o, struct err *e)
{
    static const struct timespec nap = {0, STEP_MS * 1000000L};
    struct following f = {.o = o};
    int64_t until = clock_mono_ms() + FOLLOW_MS;
    bool seen = true;
    enum err_code rc;

    (void)snprintf(f.mark, sizeof f.mark, "%s@test.inari.invalid", o->id);
    rc = send_once(&f, e);
    crash_at("command-sent");
    while (rc == ERR_OK && seen && !has_outcome(&f) && clock_mono_ms() < until) {
        (void)nanosleep(&nap, NULL);
        seen = look(&f);
    }
    if (rc == ERR_OK)
        o->result = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "status",
                              has_outcome(&f) ? f.status
                              : seen          ? "waiting"
                                              : "no-log",
                              "queue_id", f.n == 0 ? "" : f.id[f.n - 1], "dsn", f.dsn, "relay",
                              f.relay, "text", f.text, "message_id", f.mark);
    return rc;
}
