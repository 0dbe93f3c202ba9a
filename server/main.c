/* inarid - the Inari parent: one process that serves children and administrators over HTTPS. */
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "domain/auth.h"
#include "domain/device_auth.h"
#include "domain/fleet_cache.h"
#include "domain/fleet_figures.h"
#include "domain/parent.h"
#include "hand_over.h"
#include "handlers/idempotent.h"
#include "http/http.h"
#include "http/static.h"
#include "http/tls.h"
#include "notify/notify.h"
#include "operate.h"
#include "sandbox.h"
#include "settings.h"
#include "startup.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    REASON_MAX = 500,
    ADDRESSES_MAX = 16,
    SPARE_FILES = 500,
    WATCH_S = 2,
    TRIM_AT = 16 * 1024 * 1024
};

static const char usage[] =
    "usage: inarid [--config FILE] [COMMAND]\n"
    "Serve the parent's HTTPS interface, or one of:\n"
    "  --check          read the settings, say what is wrong with them\n"
    "  --show-settings  print the settings in force\n"
    "  --sample         print a commented sample of the settings file\n"
    "  --routes         print every route: method, path, permission\n"
    "  --version        print the version\n"
    "  migrate          bring the database to this program's schema\n"
    "  reset-admin      give account \"admin\" a new password and print it\n"
    "  make-join        print a join string: for one child, for ten minutes\n"
    "  may-remove       whether this parent can be taken away: not while it has children\n"
    "  --force          with may-remove: although it has children\n"
    "  new-epoch        let devices take lower revisions, once: signed by the root key, whose\n"
    "                   passphrase is read from standard input (see inarid(8) before using it)\n"
    "  --reason TEXT    with new-epoch: why, for the audit log\n"
    "  --keep           with new-epoch: nothing is given out before the next publication\n"
    "  --root-key FILE, --passphrase-file FILE   with new-epoch: where they are\n"
    "  rotate-key       a new key for what children are sent, signed by the root key as above;\n"
    "                   --reason, --root-key and --passphrase-file as above\n"
    "  --stolen         with rotate-key: the key before counts for nothing from now on\n"
    "  --receipt        with rotate-key: the key of enrolment receipts too\n"
    "  rotate-root      another root key, handed down by the present one; options as new-epoch\n"
    "  backup FILE      everything the parent is, in one encrypted file (see inarid backup "
    "--help)\n"
    "  check-backup FILE, restore FILE, restore --undo\n"
    "The settings file is " INARID_CONFIG " unless --config names another.\n";

struct parent {
    struct inarid_settings set;
    const char *config;
    struct hosts hosts;
    struct app app;
    const char *addresses[ADDRESSES_MAX + 1];
    char *addresses_text;
    char default_address[300];
    struct tls *tls;
    struct static_files *files;
    struct http *http;
    struct startup *startup;
};

static enum log_level level_of(const char *word)
{
    return word[0] == 'd'   ? LOG_LEVEL_DEBUG
           : word[0] == 'w' ? LOG_LEVEL_WARN
           : word[0] == 'e' ? LOG_LEVEL_ERROR
                            : LOG_LEVEL_INFO;
}

/* The names of api.name, api.hosts and the hosts in api.addresses: all of them reach this parent.
 */
static enum err_code collect_hosts(const struct inarid_settings *set, struct hosts *ret,
                                   struct err *e)
{
    AUTO_STRBUF struct strbuf all = STRBUF_INIT(64 * KIB);
    struct slice rest = slice_of(set->addresses);

    strbuf_printf(&all, "%s %s", set->name == NULL ? "" : set->name,
                  set->hosts == NULL ? "" : set->hosts);
    while (rest.n > 0) {
        size_t n = strcspn(rest.p, ", \t");
        struct slice one = {rest.p, n}, after = {rest.p + n, rest.n - n};
        if (slice_starts(one, "https://")) {
            one = (struct slice){one.p + 8, one.n - 8};
            strbuf_putc(&all, ' ');
            strbuf_add(&all, slice_cut(&one, '/'));
        }
        rest = after.n > 0 ? (struct slice){after.p + 1, after.n - 1} : after;
    }
    if (strbuf_check(&all, e) != ERR_OK)
        return e->code;
    return hosts_collect(strbuf_str(&all), ret, e);
}

/* A limit of descriptors that the connections fit into; fewer connections when the hard limit is
 * low. */
static unsigned fit_descriptors(int64_t connections)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 512;
    if (r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
        (void)getrlimit(RLIMIT_NOFILE, &r);
    }
    if (r.rlim_cur > SPARE_FILES + 16 && (int64_t)(r.rlim_cur - SPARE_FILES) < connections) {
        connections = (int64_t)(r.rlim_cur - SPARE_FILES);
        log_event(LOG_LEVEL_WARN, "parent.few_descriptors", KV_INT("limit", r.rlim_cur),
                  KV_INT("connections", connections));
    }
    return (unsigned)connections;
}

static enum err_code fill_addresses(struct parent *p, struct err *e)
{
    const char *name = p->set.name != NULL ? p->set.name : p->hosts.name[0];
    const char *port = strrchr(p->set.listen, ':');
    size_t n = 0;

    (void)snprintf(p->default_address, sizeof p->default_address, "https://%s%s", name,
                   port == NULL ? "" : port);
    (void)snprintf(p->app.issuer, sizeof p->app.issuer, "%s", p->default_address);
    p->app.addresses = p->addresses;
    p->addresses[0] = p->default_address;
    if (p->set.addresses == NULL)
        return ERR_OK;
    p->addresses_text = strdup(p->set.addresses);
    if (p->addresses_text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (char *at = p->addresses_text; *at != '\0' && n < ADDRESSES_MAX;) {
        size_t length = strcspn(at, ", \t");
        bool last = at[length] == '\0';
        at[length] = '\0';
        if (length > 0)
            p->addresses[n++] = at;
        at += length + !last;
    }
    return ERR_OK;
}

static enum err_code prepare(struct parent *p, struct err *e)
{
    if (collect_hosts(&p->set, &p->hosts, e) != ERR_OK ||
        file_mkdirs(p->set.state, 0700, e) != ERR_OK || fill_addresses(p, e) != ERR_OK)
        return e->code;
    p->app.state_dir = p->set.state;
    p->app.lab = p->set.lab;
    p->app.started_ms = clock_wall_ms();
    p->app.started_mono_ms = clock_mono_ms();
    p->app.enrol_rate = p->set.enrol_rate;
    p->app.wake_rate = p->set.wake_rate;
    p->app.alert_networks = p->set.alert_networks;
    if (tls_open(p->set.state, p->set.certificate, p->set.private_key, &p->hosts, &p->tls, e) !=
        ERR_OK)
        return e->code;
    p->app.tls_pins = tls_pins(p->tls);
    p->app.certificate_end_ms = tls_end_ms;
    return static_load(p->set.web_dir, &p->files, e);
}

static bool usable(struct app *app)
{
    return app->fleet != NULL && fleet_usable(app->fleet, clock_mono_ms());
}

static enum err_code serve(struct parent *p, struct err *e)
{
    const struct http_config cfg = {
        .listen = p->set.listen,
        .hosts = &p->hosts,
        .routes = routes,
        .app = &p->app,
        .tls = p->tls,
        .files = p->files,
        .hooks = {auth_session, auth_api_token, auth_device_token, db_open, db_close,
                  db_statement_count, db_request_statement_count, idempotent_post, db_reached,
                  fleet_figures, usable},
        .conninfo = p->set.conninfo,
        .io_threads = (unsigned)p->set.io_threads,
        .workers = (unsigned)p->set.workers,
        .queue_max = (unsigned)p->set.queue,
        .connections = fit_descriptors(p->set.connections),
        .connections_address = (unsigned)p->set.connections_address,
        .strangers_address = (unsigned)p->set.strangers_address,
        .body_memory = (size_t)p->set.body_memory,
        .header_deadline_ms = p->set.header_deadline_ms,
        .idle_ms = p->set.idle_ms,
    };

    if (http_start(&cfg, &p->http, e) != ERR_OK)
        return e->code;
    log_event(LOG_LEVEL_INFO, "parent.listening", KV_STR("address", p->set.listen),
              KV_INT("port", http_port(p->http)), KV_STR("issuer", p->app.issuer),
              KV_STR("pin", p->app.tls_pins[0]), KV_INT("files", static_count(p->files)));
    return startup_begin(&p->app, p->http, p->set.conninfo, &p->startup, e);
}

/* SIGHUP: names, addresses and certificate again.  The rest needs a restart, and a bad file changes
 * nothing. */
static void reload(struct parent *p)
{
    struct inarid_settings set;
    struct hosts hosts;
    struct err e;

    tls_refresh(p->tls, true);
    if (inarid_settings_load(p->config, &set, &e) != ERR_OK) {
        log_event(LOG_LEVEL_ERROR, "parent.not_reloaded", KV_STR("error", e.msg));
        return;
    }
    if (collect_hosts(&set, &hosts, &e) == ERR_OK) {
        http_set_hosts(p->http, &hosts);
        log_event(LOG_LEVEL_INFO, "parent.reloaded", KV_INT("names", hosts.n));
    } else {
        log_event(LOG_LEVEL_ERROR, "parent.not_reloaded", KV_STR("error", e.msg));
    }
    inarid_settings_clear(&set);
}

static void watch(struct parent *p, const sigset_t *signals)
{
    static const struct timespec pause = {.tv_sec = WATCH_S};

    for (;;) {
        int got = sigtimedwait(signals, NULL, &pause);
        if (got == SIGTERM || got == SIGINT)
            return;
        if (got == SIGHUP)
            reload(p);
        else
            tls_refresh(p->tls, false);
    }
}

static int run(struct parent *p)
{
    sigset_t signals;
    struct err e;

    if (geteuid() == 0) {
        (void)fputs("inarid: does not run as root; start it as its own user (inari)\n", stderr);
        return EXIT_FAILURE;
    }
    (void)umask(077);
    /* Each I/O thread's heap breathes with every request: not to be given back and asked for again.
     */
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_AT);
    (void)mallopt(M_TOP_PAD, TRIM_AT / 16);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (prepare(p, &e) != ERR_OK || notify_init(&e) != ERR_OK || sandbox_enter(&e) != ERR_OK ||
        serve(p, &e) != ERR_OK)
        return operate_complain(&e);
    watch(p, &signals);
    log_event(LOG_LEVEL_INFO, "parent.stopping", KV_INT("drain_ms", p->set.drain_ms));
    startup_quit(p->startup);
    if (!http_stop(p->http, p->set.drain_ms)) {
        log_event(LOG_LEVEL_ERROR, "parent.not_drained", KV_STR("effect", "requests were cut off"));
        _exit(EXIT_FAILURE);
    }
    startup_stop(p->startup);
    notify_end();
    log_event(LOG_LEVEL_INFO, "parent.stopped", KV_INT("pid", getpid()));
    return EXIT_SUCCESS;
}

static void parent_clear(struct parent *p)
{
    tls_free(p->tls);
    static_free(p->files);
    free(p->addresses_text);
    inarid_settings_clear(&p->set);
}

static int show(const struct inarid_settings *set, bool sample)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(MIB);

    if (sample)
        settings_sample(inarid_rows, inarid_rows_n, &out);
    else
        settings_show(inarid_rows, inarid_rows_n, set, &out);
    (void)fputs(strbuf_str(&out), stdout);
    return EXIT_SUCCESS;
}

/* What tests compare with api/openapi.yaml: the permission in the words of its x-permission. */
static int show_routes(void)
{
    static const struct {
        unsigned perm;
        const char *word;
    } words[] = {{PERM_NONE, "none"},
                 {PERM_SESSION, "session"},
                 {PERM_KNOWN, "known"},
                 {PERM_DEVICE, "device"}};

    for (const struct route *r = routes; r->method != NULL; r++) {
        const char *word = "?";
        for (size_t i = 0; i < COUNT_OF(words); i++)
            if (words[i].perm == r->perm)
                word = words[i].word;
        for (size_t bit = 0; bit < 16; bit++)
            if (r->perm == 1U << bit && scope_names[bit][0] != '\0')
                word = scope_names[bit];
        (void)printf("%s %s %s\n", r->method, r->path, word);
    }
    return EXIT_SUCCESS;
}

/* What the command line says of commands. */
struct order {
    const char *word;
    bool force;
    struct new_epoch epoch;
};

/* With names, addresses and pins of this parent, as the running one gives them to its children. */
static int as_parent(struct parent *p, const struct order *o)
{
    struct err e;

    if (geteuid() == 0) { /* it may write below the state folder, which is another user's */
        (void)fprintf(stderr, "inarid: does not run as root: sudo -u inari inarid %s\n", o->word);
        return EXIT_FAILURE;
    }
    (void)umask(077);
    if (operate_fleet(&p->set, &p->app, &e) != ERR_OK || prepare(p, &e) != ERR_OK)
        return operate_complain(&e);
    if (strcmp(o->word, "rotate-key") == 0)
        return operate_rotate_key(&p->set, &p->app, &o->epoch);
    if (strcmp(o->word, "rotate-root") == 0)
        return operate_rotate_root(&p->set, &p->app, &o->epoch);
    return strcmp(o->word, "new-epoch") == 0 ? operate_new_epoch(&p->set, &p->app, &o->epoch)
                                             : operate_make_join(&p->set, &p->app);
}

static int command(struct parent *p, const struct order *o)
{
    const char *word = o->word;

    if (strcmp(word, "make-join") == 0 || strcmp(word, "new-epoch") == 0 ||
        strcmp(word, "rotate-key") == 0 || strcmp(word, "rotate-root") == 0)
        return as_parent(p, o);
    if (strcmp(word, "migrate") == 0)
        return operate_migrate(&p->set);
    return strcmp(word, "reset-admin") == 0 ? operate_reset_admin(&p->set)
                                            : operate_may_remove(&p->set, o->force);
}

/* Is it a command, and has it the options it is given and needs? */
static bool known_command(const struct order *o)
{
    static const char *const words[] = {"migrate", "reset-admin", "make-join"};
    const struct new_epoch *n = &o->epoch;
    bool rotate = strcmp(o->word, "rotate-key") == 0, root = strcmp(o->word, "rotate-root") == 0;
    bool epoch = n->reason != NULL || n->root_key != NULL || n->passphrase_file != NULL ||
                 n->keep || n->receipt || n->stolen;

    if (rotate ? n->keep : n->receipt || n->stolen || (root && n->keep))
        return false;
    if (rotate || root || strcmp(o->word, "new-epoch") == 0)
        return n->reason != NULL && n->reason[0] != '\0' && strlen(n->reason) <= REASON_MAX &&
               !o->force;
    for (size_t i = 0; i < COUNT_OF(words) && !o->force && !epoch; i++)
        if (strcmp(o->word, words[i]) == 0)
            return true;
    return strcmp(o->word, "may-remove") == 0 && !epoch;
}

/* An option of a command; false: it is none. */
static bool take_order(struct order *o, int option)
{
    switch (option) {
    case 'f':
        o->force = true;
        return true;
    case 'R':
        o->epoch.reason = optarg;
        return true;
    case 'K':
        o->epoch.root_key = optarg;
        return true;
    case 'P':
        o->epoch.passphrase_file = optarg;
        return true;
    case 's' + 256:
        o->epoch.stolen = true;
        return true;
    case 'r' + 256:
        o->epoch.receipt = true;
        return true;
    case 'k' + 256:
        o->epoch.keep = true;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'k'},
        {"show-settings", no_argument, NULL, 's'},
        {"sample", no_argument, NULL, 'e'},
        {"routes", no_argument, NULL, 'r'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"force", no_argument, NULL, 'f'},
        {"reason", required_argument, NULL, 'R'},
        {"root-key", required_argument, NULL, 'K'},
        {"passphrase-file", required_argument, NULL, 'P'},
        {"keep", no_argument, NULL, 'k' + 256},
        {"stolen", no_argument, NULL, 's' + 256},
        {"receipt", no_argument, NULL, 'r' + 256},
        {NULL, 0, NULL, 0},
    };
    static struct parent p;
    int what = 0, o, rc;
    struct order order = {0};
    struct err e;

    if (hand_over_wanted(argc, argv))
        return hand_over(argv);
    while ((o = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        if (o == '?')
            return EXIT_USAGE;
        if (o == 'c')
            p.config = optarg;
        else if (!take_order(&order, o))
            what = o;
    }
    order.word = optind < argc ? argv[optind] : "";
    if (what == 'v' || what == 'h') {
        (void)fputs(what == 'v' ? "inarid " INARI_VERSION "\n" : usage, stdout);
        return EXIT_SUCCESS;
    }
    if (optind == argc ? order.force || order.epoch.reason != NULL
                       : what != 0 || optind + 1 < argc || !known_command(&order)) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (what == 'e' || what == 'r')
        return what == 'e' ? show(NULL, true) : show_routes();
    if (inarid_settings_load(p.config, &p.set, &e) != ERR_OK)
        return operate_complain(&e);
    log_init("inarid", level_of(p.set.log_level));
    rc = what == 's'      ? show(&p.set, false)
         : what == 'k'    ? EXIT_SUCCESS
         : optind == argc ? run(&p)
                          : command(&p, &order);
    parent_clear(&p);
    return rc;
}
