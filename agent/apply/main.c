/* inari-helper: the root half of the agent.  Reads agent.conf, finishes what a crash left, serves
 * its socket. */
#include "apply/server.h"
#include "base/log.h"
#include "targets/postfix_trial.h"
#include "targets/syn_hold.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile int stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static int usage(FILE *to, int status)
{
    (void)fputs(
        "usage: inari-helper [--config FILE] [--check | --show-settings | --sample | "
        "--hold PORTS | --version | --help]\n"
        "  --config FILE    settings (default " AGENT_CONF_DEFAULT
        ", or built-in values without it)\n"
        "  --check          read the settings and ask Postfix about itself, then end\n"
        "  --show-settings  print what is in force\n"
        "  --sample         print a commented sample of agent.conf\n"
        "  --hold PORT-...  new connections to these ports wait for 8 s; '' lets them in again\n"
        "                   (of the unit inari-hold@.service)\n",
        to);
    return status;
}

static int fail(const char *what, const struct err *e)
{
    (void)fprintf(stderr, "inari-helper: %s: %s\n", what, e->msg);
    return 1;
}

static int print(struct strbuf *b)
{
    (void)fputs(strbuf_str(b), stdout);
    strbuf_clear(b);
    return 0;
}

static enum log_level level_of(const char *word)
{
    return strcmp(word, "debug") == 0   ? LOG_LEVEL_DEBUG
           : strcmp(word, "warn") == 0  ? LOG_LEVEL_WARN
           : strcmp(word, "error") == 0 ? LOG_LEVEL_ERROR
                                        : LOG_LEVEL_INFO;
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

    (void)sigaction(SIGTERM, &sa, NULL);
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

/* Where the agent keeps lists of addresses, beside its own state: it is no root and cannot make the
 * folder where no installer did.  One that is there stays as it is. */
static void make_lists_folder(const struct agent_settings *set)
{
    const struct passwd *pw = getpwnam(set->agent_user);
    char dir[512];

    (void)snprintf(dir, sizeof dir, "%s-lists", set->agent_state);
    if (pw == NULL || mkdir(dir, 0755) != 0)
        return;
    if (chmod(dir, 0755) != 0 || lchown(dir, pw->pw_uid, pw->pw_gid) != 0)
        log_event(LOG_LEVEL_WARN, "helper.lists-folder", KV_STR("path", dir),
                  KV_INT("errno", errno));
}

static int run(const struct agent_settings *set)
{
    struct helper h = {
        .s = set, .j = {.fd = -1}, .output = STRBUF_INIT(64 * KIB), .front = {.pidfd = -1}};
    struct server s = {.h = &h, .listen_fd = -1, .lock_fd = -1};
    struct err e = {0};
    int status = 1;

    catch_signals();
    if (geteuid() != 0) {
        (void)fputs("inari-helper: must be started by root: it writes Postfix's files\n", stderr);
        return 1;
    }
    if (server_lock(&s, set, &e) != ERR_OK)
        (void)fail("could not start", &e);
    else if (postfix_open(&h.pf, set, &e) != ERR_OK)
        (void)fail("could not ask Postfix", &e);
    else if (journal_open(&h.j, set->helper_state, &e) != ERR_OK)
        (void)fail("could not open the journal", &e);
    else {
        make_lists_folder(set);
        foxproxy_open(&h.fox, set, h.pf.systemd);
        postfix_trial_stop(&h.pf);
        if (apply_recover(&h, &e) !=
            ERR_OK) /* serve all the same: the journal stays open and is tried again */
            log_event(LOG_LEVEL_ERROR, "helper.recover-failed", KV_STR("reason", e.msg));
        queue_hold_release_left(&h.pf);
        after_revert_resume(&h);
        if (server_listen(&s, set, &e) != ERR_OK) {
            (void)fail("could not start", &e);
        } else {
            log_event(LOG_LEVEL_INFO, "helper.started", KV_STR("version", INARI_VERSION),
                      KV_STR("postfix", h.pf.version), KV_STR("socket", set->helper_socket),
                      KV_STR("manager", h.pf.systemd ? "systemd" : "postfix"));
            server_run(&s, &stop);
            postfix_trial_stop(&h.pf);
            (void)unlink(set->helper_socket);
            log_event(LOG_LEVEL_INFO, "helper.stopped", KV_STR("phase", phase_word(h.j.s.phase)));
            status = 0;
        }
    }
    server_close(&s);
    journal_close(&h.j);
    postfix_close(&h.pf);
    strbuf_clear(&h.output);
    return status;
}

static int check(const struct agent_settings *set)
{
    struct postfix p;
    struct err e = {0};

    if (postfix_open(&p, set, &e) != ERR_OK)
        return fail("could not ask Postfix", &e);
    (void)printf("settings are good; Postfix %s in \"%s\"\n", p.version, set->postfix_config);
    postfix_close(&p);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},  {"check", no_argument, NULL, 'k'},
        {"show-settings", no_argument, NULL, 's'}, {"sample", no_argument, NULL, 'm'},
        {"hold", required_argument, NULL, 'o'},    {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    struct strbuf out = STRBUF_INIT(64 * KIB);
    struct agent_settings set;
    const char *path = NULL, *ports = "";
    struct err e = {0};
    int c, mode = 'r', status;

    (void)umask(077);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == '?')
            return usage(stderr, 2);
        if (c == 'c')
            path = optarg;
        else
            mode = c;
        if (c == 'o')
            ports = optarg;
    }
    if (optind != argc)
        return usage(stderr, 2);
    if (mode == 'h')
        return usage(stdout, 0);
    if (mode == 'v')
        return printf("inari-helper %s\n", INARI_VERSION) < 0;
    if (mode == 'm') {
        agent_settings_sample(&out);
        return print(&out);
    }
    if (mode == 'o')
        return syn_hold_unit(ports, &e) == ERR_OK ? 0 : fail("could not hold connections", &e);
    if (agent_settings_load(path, &set, &e) != ERR_OK)
        return fail("could not read the settings", &e);
    log_init("inari-helper", level_of(set.log_level));
    if (mode == 's') {
        agent_settings_show(&set, &out);
        status = print(&out);
    } else {
        status = mode == 'k' ? check(&set) : run(&set);
    }
    agent_settings_clear(&set);
    return status;
}
