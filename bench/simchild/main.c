#include "base/clock.h"
#include "base/rand.h"
#include "sim.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
    "simchild - thousands of simulated child devices in one process, speaking the real protocol\n"
    "\n"
    "  simchild --count N (--join STRING | --state FILE) [options]\n"
    "\n"
    "  --join STRING          join string of a token with N uses (may be in SIMCHILD_JOIN)\n"
    "  --state FILE           keep the devices there; read at the start, so that they sign in by "
    "key\n"
    "  --address URL          https://host:port instead of what the join string says\n"
    "  --name NAME            devices are called NAME-00001 ... (sim)\n"
    "  --sources N            spread over 127.0.1.1 ... 127.0.1.N; 0: do not bind (64)\n"
    "  --enrol-parallel N     enrolments on their way at a time (16)\n"
    "  --apply-ms MIN-MAX     how long applying takes (200-1500)\n"
    "  --wait SECONDS         how long a poll asks to be held (50)\n"
    "  --verify PERCENT       these verify bundles as the agent does, the others only read them "
    "(100)\n"
    "  --rebooted             all machines have just booted: first polls by the device's slot\n"
    "  --for SECONDS          end by itself\n"
    "faults, each of so many percent of the devices, none twice (the report names them):\n"
    "  --fail-percent P       refuse what they are sent and report it reverted\n"
    "  --fail-on TEXT         these refuse only settings that have this text\n"
    "  --silent-after-fetch P fetch it and are never heard of again\n"
    "  --slow P:MS            apply after MS more\n"
    "  --old-revision P       see the new bundle and go on running the old one\n"
    "  --lie P                say applied, with a digest nobody asked for\n"
    "  --disconnect-storm S   all connections are cut every S seconds\n"
    "\n"
    "Lines on standard input: report (one line of JSON), mark (counting starts anew), storm, "
    "quit.\n";

const char *const fault_names[] = {"none", "fail", "silent", "slow", "old", "lie"};
struct options opt = {.name = "sim",
                      .sources = 64,
                      .enrol_parallel = 16,
                      .wait_s = 50,
                      .verify_percent = 100,
                      .apply_min_ms = 200,
                      .apply_max_ms = 1500,
                      .slow_ms = 5000};
struct child *fleet;
json_t *trust_documents;
struct counters count;
uint32_t arrivals[ARRIVALS];
int64_t mark_ms;

static int64_t *due; /* by device; apart, so that one look at all of them is cheap */
static int joining, next_to_join;
static bool quit, saved;
static json_t *parent; /* join string or state: "addresses", "pins", "token" */

enum { SWEEP_MS = 200, ROUND_MS = 50, LINE_MAX_ = 200 };

static void die(const char *why)
{
    (void)fprintf(stderr, "simchild: %s\n", why);
    exit(EXIT_FAILURE);
}

void main_due(struct child *d, int64_t due_ms)
{
    due[d->index] = due_ms;
}

void main_trust(const json_t *documents)
{
    if (json_array_size(documents) <= json_array_size(trust_documents))
        return;
    json_decref(trust_documents);
    trust_documents = json_deep_copy(documents);
}

static void join_more(void)
{
    while (joining < opt.enrol_parallel && next_to_join < opt.count) {
        struct child *d = &fleet[next_to_join++];
        joining++;
        d->sig = jose_key_new();
        d->enc = jose_key_new();
        if (d->sig == NULL || d->enc == NULL)
            die("could not make a key");
        child_begin(d);
    }
}

void main_joined(struct child *d, bool ok)
{
    struct err e = {0};

    jose_key_free(d->enc); /* nothing is sealed to it yet */
    d->enc = NULL;
    (void)ok;
    joining--;
    join_more();
    if (joining == 0 && opt.state != NULL && !saved) {
        saved = true;
        if (state_write(opt.state, parent, &e) != ERR_OK)
            die(e.msg);
    }
}

/* --- faults --- */

/* Exactly so many of them, spread by a fixed shuffle: two runs hit the same devices. */
static void choose_faults(void)
{
    int *order = calloc((size_t)opt.count, sizeof *order), at = 0;
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

    if (order == NULL)
        die("out of memory");
    for (int i = 0; i < opt.count; i++)
        order[i] = i;
    for (int i = opt.count - 1; i > 0; i--) {
        int k, was = order[i];
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        k = (int)(x % (uint64_t)(i + 1));
        order[i] = order[k];
        order[k] = was;
    }
    for (int f = FAULT_NONE + 1; f < FAULTS; f++) {
        int n = (int)(opt.percent[f] * opt.count / 100 + 0.5);
        for (; n > 0 && at < opt.count; n--)
            fleet[order[at++]].fault = (enum fault)f;
    }
    free(order);
}

/* --- the report --- */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* {"n","first","p50","p99","last"} of n times. */
static json_t *spread(int64_t *v, size_t n)
{
    if (n == 0)
        return json_pack("{s:i}", "n", 0);
    qsort(v, n, sizeof *v, by_time);
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "n", (json_int_t)n, "first", (json_int_t)v[0], "p50",
                     (json_int_t)v[n / 2], "p99", (json_int_t)v[(n * 99 - 1) / 100], "last",
                     (json_int_t)v[n - 1]);
}

static json_t *named(enum fault f)
{
    json_t *v = json_array();

    for (int i = 0; i < opt.count && v != NULL; i++)
        if (fleet[i].fault == f)
            (void)json_array_append_new(v, json_string(fleet[i].name));
    return v;
}

static void add_times(json_t *j)
{
    int64_t *v = calloc((size_t)opt.count, sizeof *v), pub = 0;
    size_t n = 0;

    if (v == NULL)
        die("out of memory");
    for (int i = 0; i < opt.count; i++)
        pub = fleet[i].fetched_pub > pub ? fleet[i].fetched_pub : pub;
    (void)json_object_set_new(j, "pub", json_integer(pub));
    for (int i = 0; i < opt.count; i++)
        if (fleet[i].fetched_pub == pub && pub > 0)
            v[n++] = fleet[i].fetched_wall_ms;
    (void)json_object_set_new(j, "fetched_wall_ms", spread(v, n));
    n = 0;
    for (int i = 0; i < opt.count; i++)
        if (fleet[i].running_pub == pub && pub > 0)
            v[n++] = fleet[i].running_wall_ms;
    (void)json_object_set_new(j, "running_wall_ms", spread(v, n));
    n = 0;
    for (int i = 0; i < opt.count; i++)
        if (fleet[i].failed_pub > 0) /* also when it was given something else since */
            v[n++] = fleet[i].failed_wall_ms;
    (void)json_object_set_new(j, "failed_wall_ms", spread(v, n));
    for (int i = 0; i < opt.count; i++)
        v[i] = fleet[i].polls;
    (void)json_object_set_new(j, "polls_of_a_device", spread(v, (size_t)opt.count));
    n = 0;
    for (int i = 0; i < opt.count; i++)
        if (fleet[i].served_ms != 0)
            v[n++] = fleet[i].served_ms - mark_ms;
    (void)json_object_set_new(j, "served_ms", spread(v, n));
    free(v);
}

static void add_counts(json_t *j)
{
    json_t *answers = json_object(), *faults = json_object(), *when = json_array();
    int phases[CHILD_GONE + 1] = {0}, waiting = 0, open = 0, last = 0, bad = 0;
    char word[16];

    for (int i = 0; i < opt.count; i++) {
        phases[fleet[i].phase]++;
        bad += fleet[i].given_bad;
        waiting += fleet[i].polling != NULL && fleet[i].polling->state == CONN_READING;
        open +=
            (fleet[i].conn[0].state > CONN_HANDSHAKE) + (fleet[i].conn[1].state > CONN_HANDSHAKE);
    }
    for (int i = 0; i < 600; i++)
        if (count.answers[i] > 0) {
            (void)snprintf(word, sizeof word, "%d", i);
            (void)json_object_set_new(answers, word, json_integer((json_int_t)count.answers[i]));
        }
    for (int f = FAULT_NONE + 1; f < FAULTS; f++)
        (void)json_object_set_new(faults, fault_names[f], named((enum fault)f));
    for (int i = 0; i < ARRIVALS; i++)
        last = arrivals[i] > 0 ? i : last;
    for (int i = 0; i <= last; i++)
        (void)json_array_append_new(when, json_integer(arrivals[i]));
    (void)json_object_update_new(
        j, json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:o,s:o,s:o}", "given_bad", bad, "devices",
                     opt.count, "running", phases[CHILD_RUNNING], "silent", phases[CHILD_SILENT],
                     "gone", phases[CHILD_GONE], "waiting", waiting, "connections", open, "answers",
                     answers, "faults", faults, "arrivals", when));
}

static void report(void)
{
    json_t *j = json_object();
    char *text;
#define COUNT(member) #member, (json_int_t)count.member
    (void)json_object_update_new(
        j, json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", COUNT(connects),
                     COUNT(handshakes), COUNT(resumed), COUNT(connect_failures), COUNT(cut),
                     COUNT(expired), COUNT(polls), COUNT(held), COUNT(bundles),
                     COUNT(bundles_refused), COUNT(statuses), COUNT(enrolled), COUNT(tokens),
                     "refused_why", count.refused_why));
#undef COUNT
    add_counts(j);
    add_times(j);
    text = json_text(j, JSON_COMPACT);
    if (text == NULL)
        die("out of memory");
    (void)puts(text);
    (void)fflush(stdout);
    free(text);
    json_decref(j);
}

static void mark(void)
{
    mark_ms = clock_mono_ms();
    memset(arrivals, 0, sizeof arrivals);
    memset(&count, 0, sizeof count);
    for (int i = 0; i < opt.count; i++) {
        fleet[i].served_ms = 0;
        fleet[i].polls = 0;
    }
}

static void storm(void)
{
    for (int i = 0; i < opt.count; i++)
        child_storm(&fleet[i]);
}

static void obey(const char *line)
{
    if (strcmp(line, "report") == 0)
        report();
    else if (strcmp(line, "mark") == 0)
        mark();
    else if (strcmp(line, "storm") == 0)
        storm();
    else if (strcmp(line, "quit") == 0)
        quit = true;
    else if (line[0] != '\0')
        (void)fprintf(stderr, "simchild: \"%s\" is not report, mark, storm or quit\n", line);
}

static void read_orders(void)
{
    static char line[LINE_MAX_];
    static size_t n;
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    char c;

    while (poll(&p, 1, 0) > 0) {
        ssize_t got = read(STDIN_FILENO, &c, 1);
        if (got <= 0) {
            quit = quit || opt.seconds == 0; /* whoever started us is gone */
            return;
        }
        if (c != '\n') {
            line[n] = c;
            n += n + 1 < sizeof line;
            continue;
        }
        line[n] = '\0';
        n = 0;
        obey(line);
    }
}

/* --- running --- */

static void turns(int64_t now)
{
    for (int i = 0; i < opt.count; i++)
        if (due[i] <= now)
            child_turn(&fleet[i]);
}

static void sweep(int64_t now)
{
    for (int i = 0; i < opt.count; i++) {
        conn_expire(&fleet[i].conn[0], now);
        conn_expire(&fleet[i].conn[1], now);
    }
}

static int until_next(int64_t now)
{
    int64_t least = now + ROUND_MS;

    for (int i = 0; i < opt.count; i++)
        least = due[i] < least ? due[i] : least;
    return least <= now ? 0 : (int)(least - now);
}

static void run(void)
{
    int64_t end = opt.seconds == 0 ? INT64_MAX : clock_mono_ms() + opt.seconds * 1000, swept = 0,
            stormed = clock_mono_ms(), looked = 0;

    while (!quit && clock_mono_ms() < end) {
        int64_t now = clock_mono_ms();
        if (now != looked)
            turns(now);
        looked = now;
        if (now - swept >= SWEEP_MS) {
            swept = now;
            sweep(now);
            read_orders();
        }
        if (opt.storm_ms > 0 && now - stormed >= opt.storm_ms) {
            stormed = now;
            storm();
        }
        conn_wait(until_next(now));
    }
}

/* --- starting --- */

static double number(const char *text, double least, double most, const char *what)
{
    char *end = NULL;
    double v = strtod(text, &end);

    if (end == text || (*end != '\0' && *end != '-' && *end != ':') || v < least || v > most) {
        (void)fprintf(stderr, "simchild: %s must be %g to %g, not \"%s\"\n", what, least, most,
                      text);
        exit(EXIT_FAILURE);
    }
    return v;
}

static void take_option(int c, const char *arg)
{
    const char *second = strpbrk(arg == NULL ? "" : arg, "-:");

    switch (c) {
    case 'c':
        opt.count = (int)number(arg, 1, 100000, "--count");
        break;
    case 'j':
        opt.join = arg;
        break;
    case 't':
        opt.state = arg;
        break;
    case 'a':
        opt.address = arg;
        break;
    case 'n':
        opt.name = arg;
        break;
    case 's':
        opt.sources = (int)number(arg, 0, 60000, "--sources");
        break;
    case 'e':
        opt.enrol_parallel = (int)number(arg, 1, 1000, "--enrol-parallel");
        break;
    case 'm':
        opt.apply_min_ms = (int64_t)number(arg, 0, 3600000, "--apply-ms");
        opt.apply_max_ms = second == NULL ? opt.apply_min_ms
                                          : (int64_t)number(second + 1, (double)opt.apply_min_ms,
                                                            3600000, "--apply-ms");
        break;
    case 'w':
        opt.wait_s = (int)number(arg, 0, 60, "--wait");
        break;
    case 'V':
        opt.verify_percent = (int)number(arg, 0, 100, "--verify");
        break;
    case 'R':
        opt.rebooted = true;
        break;
    case 'B':
        opt.fail_on = arg;
        break;
    case 'f':
        opt.seconds = (int64_t)number(arg, 1, 86400, "--for");
        break;
    case 'F':
        opt.percent[FAULT_FAIL] = number(arg, 0, 100, "--fail-percent");
        break;
    case 'S':
        opt.percent[FAULT_SILENT] = number(arg, 0, 100, "--silent-after-fetch");
        break;
    case 'W':
        opt.percent[FAULT_SLOW] = number(arg, 0, 100, "--slow");
        if (second != NULL)
            opt.slow_ms = (int64_t)number(second + 1, 0, 3600000, "--slow");
        break;
    case 'O':
        opt.percent[FAULT_OLD] = number(arg, 0, 100, "--old-revision");
        break;
    case 'L':
        opt.percent[FAULT_LIE] = number(arg, 0, 100, "--lie");
        break;
    case 'D':
        opt.storm_ms = (int64_t)(1000 * number(arg, 0.1, 86400, "--disconnect-storm"));
        break;
    case 'h':
        (void)fputs(usage, stdout);
        exit(EXIT_SUCCESS);
    default:
        (void)fputs(usage, stderr);
        exit(EXIT_FAILURE);
    }
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"count", required_argument, NULL, 'c'},
        {"join", required_argument, NULL, 'j'},
        {"state", required_argument, NULL, 't'},
        {"address", required_argument, NULL, 'a'},
        {"name", required_argument, NULL, 'n'},
        {"sources", required_argument, NULL, 's'},
        {"enrol-parallel", required_argument, NULL, 'e'},
        {"apply-ms", required_argument, NULL, 'm'},
        {"wait", required_argument, NULL, 'w'},
        {"verify", required_argument, NULL, 'V'},
        {"rebooted", no_argument, NULL, 'R'},
        {"for", required_argument, NULL, 'f'},
        {"fail-percent", required_argument, NULL, 'F'},
        {"fail-on", required_argument, NULL, 'B'},
        {"silent-after-fetch", required_argument, NULL, 'S'},
        {"slow", required_argument, NULL, 'W'},
        {"old-revision", required_argument, NULL, 'O'},
        {"lie", required_argument, NULL, 'L'},
        {"disconnect-storm", required_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        take_option(c, optarg);
    if (opt.join == NULL)
        opt.join = getenv("SIMCHILD_JOIN");
    if (opt.count == 0 || optind != argc || (opt.join == NULL && opt.state == NULL))
        take_option('?', NULL);
}

static void raise_descriptors(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur < (rlim_t)opt.count + 100)
        die("too few open files are allowed for that many devices (ulimit -n)");
}

static void read_parent(void)
{
    struct proto_join j = {0};
    struct err e = {0};

    if (opt.state != NULL && access(opt.state, F_OK) == 0) {
        if (state_read(opt.state, &parent, &e) != ERR_OK)
            die(e.msg);
        return;
    }
    if (opt.join == NULL || proto_join_parse(slice_of(opt.join), &j, &e) != ERR_OK)
        die(opt.join == NULL ? "the state file is not there, and no join string is given" : e.msg);
    parent = json_pack("{s:O,s:O,s:s}", "addresses", j.addresses, "pins", j.pins, "token", j.token);
    proto_join_clear(&j);
}

static void connect_parent(void)
{
    const char *address =
        opt.address != NULL
            ? opt.address
            : json_string_value(json_array_get(json_object_get(parent, "addresses"), 0));
    char host[256] = "", port[8] = "8445";
    struct err e = {0};

    if (address == NULL || sscanf(address, "https://%255[^:/]:%7[0-9]", host, port) < 1)
        die("the parent's address is not https://host:port");
    if (!conn_init(host, port, json_object_get(parent, "pins"), opt.sources, &e))
        die(e.msg);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    raise_descriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    fleet = calloc((size_t)opt.count, sizeof *fleet);
    due = calloc((size_t)opt.count, sizeof *due);
    if (fleet == NULL || due == NULL)
        die("out of memory");
    read_parent();
    connect_parent();
    choose_faults();
    mark();
    for (int i = 0; i < opt.count; i++) {
        struct child *d = &fleet[i];
        d->index = i;
        due[i] = INT64_MAX;
        if (d->id[0] != '\0') {
            child_begin(d);
            continue;
        }
        (void)snprintf(d->name, sizeof d->name, "%.40s-%05d", opt.name, i + 1);
        d->join_token = strdup(json_str(parent, "token", ""));
    }
    if (fleet[0].id[0] == '\0')
        join_more();
    run();
    report();
    for (int i = 0; i < opt.count; i++)
        child_free(&fleet[i]);
    free(fleet);
    free(due);
    json_decref(parent);
    json_decref(trust_documents);
    conn_cleanup();
    return EXIT_SUCCESS;
}
