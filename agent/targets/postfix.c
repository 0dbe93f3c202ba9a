#include "targets/postfix.h"

#include "base/clock.h"
#include "base/file.h"
#include "targets/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SETTLE_MS = 20, STEP_MS = 5, STOP_MS = 3000, RELOAD_MS = 5000, GONE_MS = 1000 };

static void nap(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&t, NULL);
}

enum err_code postfix_run(const struct postfix *p, const char *name, const char *const *args,
                          int64_t timeout_ms, struct proc_result *ret, struct err *e)
{
    const char *argv[POSTFIX_ARGS_MAX + 2];
    char path[4096];
    size_t n = 1;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/%s", p->s->postfix_commands, name);
    argv[0] = path;
    while (*args != NULL && n + 1 < COUNT_OF(argv))
        argv[n++] = *args++;
    argv[n] = NULL;
    if (p->deadline_ms != 0 && p->deadline_ms - clock_mono_ms() < timeout_ms)
        timeout_ms = p->deadline_ms - clock_mono_ms() > 1 ? p->deadline_ms - clock_mono_ms() : 1;
    rc = proc_run(argv, NULL, (struct slice){NULL, 0}, (int)timeout_ms, ret, e);
    if (rc == ERR_OK && ret->timed_out)
        return err_set(e, ERR_TIMEOUT, "\"%s %s\" gave no result within %lld ms and was killed",
                       name, argv[n - 1], (long long)timeout_ms);
    return rc;
}

/* "name = value" line of postconf's output into buf. */
static void value_of(const char *output, const char *name, char *buf, size_t size)
{
    size_t n = strlen(name);

    for (const char *p = output; p != NULL && *p != '\0';
         p = strchr(p, '\n') == NULL ? NULL : strchr(p, '\n') + 1) {
        if (strncmp(p, name, n) == 0 && strncmp(p + n, " = ", 3) == 0) {
            const char *v = p + n + 3;
            (void)snprintf(buf, size, "%.*s", (int)strcspn(v, "\n"), v);
            return;
        }
    }
}

static enum err_code ask(struct postfix *p, const char *const *args, struct proc_result *r,
                         struct err *e)
{
    enum err_code rc = postfix_run(p, "postconf", args, p->s->command_timeout_ms, r, e);

    if (rc == ERR_OK && r->status == 127)
        return err_set(e, ERR_UNAVAILABLE, "cannot run %s/postconf: is Postfix installed?",
                       p->s->postfix_commands);
    return rc;
}

enum err_code postfix_open(struct postfix *p, const struct agent_settings *s, struct err *e)
{
    const char *const facts[] = {
        "-c",         s->postfix_config, "-x", "mail_version", "daemon_directory",
        "mail_owner", "setgid_group",    NULL};
    const char *const types[] = {"-c", s->postfix_config, "-m", NULL};
    struct proc_result r = {0};
    AUTO_STRBUF struct strbuf list = STRBUF_INIT(8 * KIB);
    enum err_code rc;

    *p = (struct postfix){
        .s = s, .daemons = "/usr/lib/postfix/sbin", .owner = "postfix", .setgid = "postdrop"};
    p->systemd =
        strcmp(s->postfix_manager, "systemd") == 0 ||
        (strcmp(s->postfix_manager, "auto") == 0 && access("/run/systemd/system", F_OK) == 0);
    rc = ask(p, facts, &r, e);
    if (rc == ERR_OK) {
        value_of(r.output, "mail_version", p->version, sizeof p->version);
        value_of(r.output, "daemon_directory", p->daemons, sizeof p->daemons);
        value_of(r.output, "mail_owner", p->owner, sizeof p->owner);
        value_of(r.output, "setgid_group", p->setgid, sizeof p->setgid);
        proc_result_clear(&r);
        rc = ask(p, types, &r, e);
    }
    if (rc == ERR_OK && r.status == 0) {
        strbuf_putc(&list, ' ');
        for (struct slice rest = slice_of(r.output); rest.p != NULL;) {
            struct slice w = slice_trim(slice_cut(&rest, '\n'));
            if (w.n > 0)
                strbuf_printf(&list, "%.*s ", (int)w.n, w.p);
        }
    }
    p->map_types = strbuf_ok(&list) ? strbuf_take(&list) : NULL;
    proc_result_clear(&r);
    return rc;
}

void postfix_close(struct postfix *p)
{
    free(p->map_types);
    p->map_types = NULL;
}

/* Its name is enough: the number comes from a file that only root writes. */
pid_t postfix_pid(const char *queue_dir)
{
    char path[4096], *text = NULL;
    struct process p;
    pid_t pid;

    (void)snprintf(path, sizeof path, "%s/pid/master.pid", queue_dir);
    if (file_read(path, 64, &text, NULL, NULL) != ERR_OK)
        return 0;
    pid = (pid_t)strtol(text, NULL, 10);
    free(text);
    return pid > 1 && process_look(pid, &p) && p.state != 'Z' && strcmp(p.name, "master") == 0 ? pid
                                                                                               : 0;
}

int64_t postfix_since_ms(pid_t pid)
{
    struct process p;

    if (!process_look(pid, &p) || p.start == 0)
        return 0;
    return clock_wall_ms() - clock_boot_ms() +
           (int64_t)(p.start * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* A stop takes 20 ms and a reload 40; what takes longer hangs, and mail waits for us to notice. */
static int64_t time_for(const struct postfix *p, enum postfix_op op)
{
    int64_t max = op == POSTFIX_STOP ? STOP_MS : op == POSTFIX_RELOAD ? RELOAD_MS : INT64_MAX;

    return max < p->s->command_timeout_ms ? max : p->s->command_timeout_ms;
}

static enum err_code run_op(const struct postfix *p, enum postfix_op op, struct proc_result *r,
                            struct err *e)
{
    static const char *const words[] = {"start", "stop", "reload"};
    const char *const own[] = {"-c", p->s->postfix_config, words[op], NULL};
    const char *const unit[] = {"/usr/bin/systemctl", words[op], p->s->postfix_unit, NULL};
    enum err_code rc;

    if (!p->systemd || op == POSTFIX_RELOAD)
        return postfix_run(p, "postfix", own, time_for(p, op), r, e);
    rc = proc_run(unit, NULL, (struct slice){NULL, 0}, (int)p->s->command_timeout_ms, r, e);
    if (rc == ERR_OK && r->timed_out)
        return err_set(e, ERR_TIMEOUT, "\"systemctl %s\" gave no result in time", words[op]);
    return rc;
}

/* A master that hangs (mailpath.md 1.4) obeys nothing but this. */
static void kill_master(const struct postfix *p)
{
    pid_t pid = postfix_pid(p->s->postfix_queue);

    if (pid > 1 && getpgid(pid) == pid)
        (void)kill(-pid, SIGKILL);
    else if (pid > 1)
        (void)kill(pid, SIGKILL);
}

static enum err_code after(const struct postfix *p, enum postfix_op op, struct err *e)
{
    int64_t until = clock_mono_ms() + (op == POSTFIX_STOP ? GONE_MS : SETTLE_MS);

    while (clock_mono_ms() < until) {
        bool runs = postfix_pid(p->s->postfix_queue) != 0;
        if (op == POSTFIX_STOP && !runs)
            return ERR_OK;
        if (op != POSTFIX_STOP && !runs)
            return err_set(e, ERR_UNAVAILABLE, "Postfix's master process ended right after %s",
                           op == POSTFIX_START ? "start" : "reload");
        if (op == POSTFIX_START)
            return ERR_OK; /* the command waits until its listeners are open */
        nap(STEP_MS);
    }
    if (op == POSTFIX_STOP)
        kill_master(p);
    return ERR_OK; /* after a reload: still there */
}

enum err_code postfix_do(const struct postfix *p, enum postfix_op op, struct strbuf *output,
                         struct err *e)
{
    static const char *const words[] = {"start", "stop", "reload"};
    bool runs = postfix_pid(p->s->postfix_queue) != 0;
    struct proc_result r = {0};
    enum err_code rc;

    if ((op == POSTFIX_START && runs) || (op == POSTFIX_STOP && !runs))
        return ERR_OK;
    rc = run_op(p, op, &r, e);
    if (output != NULL && r.output != NULL)
        strbuf_puts(output, r.output);
    if (rc == ERR_TIMEOUT && op == POSTFIX_STOP) {
        kill_master(p);
        rc = ERR_OK;
    }
    if (rc == ERR_OK && r.status != 0 && op != POSTFIX_STOP)
        rc = err_set(e, ERR_UNAVAILABLE, "postfix %s ended with status %d: %.300s", words[op],
                     r.status, r.output == NULL ? "" : r.output);
    proc_result_clear(&r);
    return rc == ERR_OK ? after(p, op, e) : rc;
}
