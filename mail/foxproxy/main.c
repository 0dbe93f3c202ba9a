/*
 * foxproxy - stands in front of Postfix on port 25: refuses by address before any greeting, carries
 * the rest.
 */
#include "base/log.h"
#include "foxproxy/daemon.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_USAGE = 2, EXIT_OTHER_RUNS = 75, ASK_MS = 10000 };

static const char usage_text[] =
    "usage: foxproxy [OPTION...]                 run (started by the service manager or the "
    "agent's helper)\n"
    "       foxproxy --check [FILE]              every fault of a settings file; exit status 1 "
    "when there is one\n"
    "       foxproxy [OPTION...] --ask REQUEST   one request to the running foxproxy: a verb, or a "
    "JSON object\n"
    "  --config FILE    settings                            default /etc/inari-foxproxy/foxproxy.ini\n"
    "  --control PATH   control socket                      default /run/inari-foxproxy/control\n"
    "  --state DIR      what is remembered over restarts    default /var/lib/inari-foxproxy\n"
    "  --user NAME      who it becomes when root starts it  default foxproxy\n"
    "  --loops N        event loops                         default one a core\n"
    "  --grace SECONDS  for sessions, after SIGTERM         default 20\n"
    "verbs: status, reload, drain, undrain, release, quit; "
    "{\"verb\":\"why\",\"address\":\"192.0.2.1\"};\n"
    "       {\"verb\":\"lists\",\"blocked\":\"/path\"}\n"
    "exit status: 0 done, 1 failed, 2 wrong use, 75 another one runs\n";

static int check(const char *path)
{
    struct ini_faults *f = calloc(1, sizeof *f);
    struct ini *ini = calloc(1, sizeof *ini);
    struct err e = {0};
    int status = EXIT_FAILURE;

    if (f != NULL && ini != NULL && ini_load(path, ini, f, &e) == ERR_OK)
        status = EXIT_SUCCESS;
    for (size_t i = 0; f != NULL && i < f->n; i++) {
        if (f->v[i].line > 0)
            (void)fprintf(stderr, "%s:%u: %s\n", path, f->v[i].line, f->v[i].e.msg);
        else
            (void)fprintf(stderr, "%s: %s\n", path, f->v[i].e.msg);
    }
    if (status != EXIT_SUCCESS && (f == NULL || f->n == 0))
        (void)fprintf(stderr, "foxproxy: %s\n", e.code == ERR_OK ? "out of memory" : e.msg);
    free(f);
    free(ini);
    return status;
}

static int ask(const char *control, const char *request)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO(json_free) json_t *answer = NULL;
    struct err e = {0};

    if (request[0] != '{')
        j = json_pack("{s:s}", "verb", request);
    else if (json_in_parse(slice_of(request), 64 * KIB, &j, &e) != ERR_OK) {
        (void)fprintf(stderr, "foxproxy: %s\n", e.msg);
        return EXIT_USAGE;
    }
    if (control_ask(control, j, ASK_MS, &answer, &e) != ERR_OK) {
        (void)fprintf(stderr, "foxproxy: %s\n", e.msg);
        return EXIT_FAILURE;
    }
    AUTO_STR char *text = json_text(answer, JSON_INDENT(1));
    (void)puts(text == NULL ? "" : text);
    return json_bool(answer, "ok", false) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const struct daemon_options *o)
{
    static struct daemon d;
    struct err e = {0};
    int status;

    log_init("foxproxy", LOG_LEVEL_INFO);
    if (daemon_start(&d, o, &e) != ERR_OK) {
        (void)fprintf(stderr, "foxproxy: %s\n", e.msg);
        daemon_clear(&d);
        return e.code == ERR_CONFLICT ? EXIT_OTHER_RUNS : EXIT_FAILURE;
    }
    status = daemon_run(&d);
    daemon_clear(&d);
    return status;
}

static bool number(const char *text, uint64_t min, uint64_t max, int64_t *ret)
{
    uint64_t n;

    if (!parse_u64(slice_of(text), min, max, &n))
        return false;
    *ret = (int64_t)n;
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"control", required_argument, NULL, 's'},
        {"state", required_argument, NULL, 'd'},
        {"user", required_argument, NULL, 'u'},
        {"loops", required_argument, NULL, 'l'},
        {"grace", required_argument, NULL, 'g'},
        {"check", no_argument, NULL, 'k'},
        {"ask", required_argument, NULL, 'a'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct daemon_options o = {.config = "/etc/inari-foxproxy/foxproxy.ini",
                               .control = "/run/inari-foxproxy/control",
                               .state = "/var/lib/inari-foxproxy",
                               .user = "foxproxy",
                               .grace_s = 20};
    const char *request = NULL;
    bool checks = false, good = true;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            o.config = optarg;
            break;
        case 's':
            o.control = optarg;
            break;
        case 'd':
            o.state = optarg;
            break;
        case 'u':
            o.user = optarg;
            break;
        case 'l':
            good = good && number(optarg, 1, 64, &o.loops);
            break;
        case 'g':
            good = good && number(optarg, 0, 86400, &o.grace_s);
            break;
        case 'k':
            checks = true;
            break;
        case 'a':
            request = optarg;
            break;
        case 'v':
        case 'h':
            (void)fputs(c == 'v' ? "foxproxy " INARI_VERSION "\n" : usage_text, stdout);
            return EXIT_SUCCESS;
        default:
            good = false;
        }
    }
    if (!good || (optind < argc && (!checks || optind + 1 < argc))) {
        (void)fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    if (checks)
        return check(optind < argc ? argv[optind] : o.config);
    return request != NULL ? ask(o.control, request) : run(&o);
}
