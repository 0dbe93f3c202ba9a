#include "targets/mutate.h"

#include "base/file.h"
#include "targets/cf_lines.h"
#include "targets/postfix_stage.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum op {
    MAIN_ADD, /* parameters of main.cf, where they stand; other text at its end */
    MAIN_EMPTY,
    MAIN_MISSING,
    MASTER_ADD, /* text at the end of master.cf */
    MASTER_EMPTY,
    MASTER_DROP,   /* the service of that name */
    PUBLIC_FIELD,  /* "<field>=<text>": a field of the first smtpd on inet */
    PUBLIC_OPTION, /* an argument after it */
    CRLF,
};

/* clang-format off */
static const struct {
    struct mutation m;
    enum op op;
    const char *text;
} table[] = {
    {{"main-no-equals", false},            MAIN_ADD, "this line has no equals sign\n"},
    {{"main-bad-integer", false},          MAIN_ADD, "message_size_limit = 12abc\n"},
    {{"main-bad-inet-interfaces", false},  MAIN_ADD, "inet_interfaces = no-such-interface.invalid\n"},
    {{"main-empty-myhostname", false},     MAIN_ADD, "myhostname =\n"},
    {{"main-macro-loop", false},           MAIN_ADD, "myorigin = $mydomain\nmydomain = $myorigin\n"},
    {{"main-unterminated-macro", false},   MAIN_ADD, "myorigin = ${mydomain\n"},
    {{"main-unknown-mail-owner", false},   MAIN_ADD, "mail_owner = nosuchuser\n"},
    {{"main-wrong-daemon-directory", false}, MAIN_ADD, "daemon_directory = /usr/lib/nowhere\n"},
    {{"main-missing-queue-directory", false}, MAIN_ADD, "queue_directory = /var/spool/nowhere\n"},
    {{"main-missing", false},              MAIN_MISSING, ""},
    {{"main-empty", false},                MAIN_EMPTY, ""},
    {{"main-unknown-parameter", false},    MAIN_ADD, "smtpd_recipient_restrictionz = reject\n"},
    {{"main-misspelt-restriction", false}, MAIN_ADD, "smtpd_recipient_restrictions = permit_mynetworkz, reject_unauth_destination\n"},
    {{"main-missing-map", false},          MAIN_ADD, "smtpd_sender_restrictions = check_sender_access texthash:/etc/postfix/no-such-table\n"},
    {{"main-unbuilt-map", false},          MAIN_ADD, "transport_maps = hash:/etc/postfix/master.cf\n"},
    {{"main-unknown-map-type", false},     MAIN_ADD, "smtpd_sender_restrictions = check_sender_access nosuchtype:/etc/postfix/x\n"},
    {{"main-policy-service-down", false},  MAIN_ADD, "smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:9, reject_unauth_destination\n"},
    {{"main-host-bits", false},            MAIN_ADD, "mynetworks = 127.0.0.1/8\n"},
    {{"main-no-relay-protection", false},  MAIN_ADD, "smtpd_relay_restrictions = permit_mynetworks\nsmtpd_recipient_restrictions = permit_mynetworks\n"},
    {{"main-unknown-proxy-protocol", false}, MAIN_ADD, "smtpd_upstream_proxy_protocol = nosuchproxy\n"},
    {{"main-milter-down", false},          MAIN_ADD, "smtpd_milters = inet:127.0.0.1:9\nmilter_default_action = tempfail\n"},
    {{"main-content-filter-missing", false}, MAIN_ADD, "content_filter = nosuchtransport:[127.0.0.1]:10025\n"},
    {{"main-relay-transport-missing", false}, MAIN_ADD, "relay_transport = nosuchtransport\ndefault_transport = nosuchtransport\n"},
    {{"main-transport-map-missing", false}, MAIN_ADD, "transport_maps = inline:{ example.test=nosuchtransport: }\n"},
    {{"main-broken-pcre", false},          MAIN_ADD, "header_checks = pcre:{ {/^Subject: (unclosed/ REJECT} }\n"},
    {{"main-missing-certificate", false},  MAIN_ADD, "smtpd_tls_security_level = may\nsmtpd_tls_chain_files =\nsmtpd_tls_cert_file = /etc/ssl/no-such.pem\nsmtpd_tls_key_file = /etc/ssl/no-such.key\n"},
    {{"master-bad-field-count", false},    MASTER_ADD, "10987 inet n -\n"},
    {{"master-bad-type", false},           MASTER_ADD, "10987 inett n - n - - smtpd\n"},
    {{"master-bad-process-limit", false},  MASTER_ADD, "10987 inet n - n - many smtpd\n"},
    {{"master-unknown-option", false},     PUBLIC_OPTION, "-o smtpd_bannner=x"},
    {{"master-unknown-port", false},       PUBLIC_FIELD, "0=127.0.0.1:nosuchport"},
    {{"master-port-in-use", false},        MASTER_ADD, "127.0.0.1:@PORT@ inet n - n - - smtpd\n"},
    {{"master-address-not-local", false},  MASTER_ADD, "192.0.2.77:25 inet n - n - - smtpd\n"},
    {{"master-cleanup-missing", false},    MASTER_DROP, "cleanup"},
    {{"master-rewrite-missing", false},    MASTER_DROP, "rewrite"},
    {{"master-qmgr-missing", false},       MASTER_DROP, "qmgr"},
    {{"master-bounce-missing", false},     MASTER_DROP, "bounce"},
    {{"master-binary-missing", false},     PUBLIC_FIELD, "7=nosuchdaemon"},
    {{"master-option-with-blanks", false}, PUBLIC_OPTION, "-o smtpd_banner = x"},
    {{"master-duplicate", false},          MASTER_ADD, "cleanup unix n - n - 0 smtpd\n"},
    {{"master-empty", false},              MASTER_EMPTY, ""},
    {{"both-crlf", true},                  CRLF, ""},
    {{"master-chroot", true},              PUBLIC_FIELD, "4=y"},
    {{"master-moved-port", true},          MASTER_ADD, "127.0.0.1:10986 inet n - n - - smtpd\n"},
};
/* clang-format on */

size_t mutate_count(void)
{
    return COUNT_OF(table);
}

const struct mutation *mutate_at(size_t i)
{
    return &table[i].m;
}

#ifdef INARI_TEST_HOOKS

const char *mutate_wanted(enum mutate_when when)
{
    static const char *const prefixes[] = {"stage:", "live:", "reload:", "probe:", "revert:"};
    const char *prefix = prefixes[when], *s = getenv("INARI_MUTATE");

    return s != NULL && strncmp(s, prefix, strlen(prefix)) == 0 ? s + strlen(prefix) : NULL;
}

void crash_at(const char *point)
{
    const char *s = getenv("INARI_CRASH_AT");

    if (s != NULL && strcmp(s, point) == 0)
        (void)kill(getpid(), SIGKILL);
    s = getenv("INARI_PAUSE_AT");
    if (s != NULL && strncmp(s, point, strlen(point)) == 0 && s[strlen(point)] == ':')
        (void)poll(NULL, 0, (int)strtol(s + strlen(point) + 1, NULL, 10));
}

static void replace(struct strbuf *b, struct strbuf *with)
{
    size_t max = b->max;

    strbuf_clear(b);
    b->max = max;
    strbuf_add(b, strbuf_slice(with));
    strbuf_clear(with);
}

/* The logical line of a service: by name, or with name NULL the first smtpd on inet that needs no
 * PROXY header. */
static bool find_line(const struct cf_lines *l, const char *name, struct arena *a, size_t *ret)
{
    for (size_t i = 0; i < l->n; i++) {
        char *s;
        if (l->v[i].kind != CF_START || (s = cf_logical(l, i, a)) == NULL)
            continue;
        if (name != NULL ? strncmp(s, name, strlen(name)) == 0 && s[strlen(name)] == ' '
                         : strstr(s, " inet ") != NULL && strstr(s, " smtpd") != NULL &&
                               strstr(s, "proxy_protocol") == NULL) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static void put_field(struct strbuf *out, const char *logical, int field, const char *with)
{
    for (int i = 0; *logical != '\0'; i++) {
        size_t n = strcspn(logical, " ");
        if (i == field)
            strbuf_puts(out, with);
        else
            strbuf_add(out, (struct slice){logical, n});
        logical += n + (logical[n] == ' ');
        strbuf_putc(out, *logical == '\0' ? '\n' : ' ');
    }
}

static void change_line(struct strbuf *master, enum op op, const char *text, struct arena *a)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(2 * MIB);
    AUTO_STRBUF struct strbuf instead = STRBUF_INIT(MIB);
    struct cf_lines l;
    struct err e;
    size_t i;

    if (cf_lines_split(strbuf_slice(master), a, &l, &e) != ERR_OK ||
        !find_line(&l, op == MASTER_DROP ? text : NULL, a, &i))
        return;
    if (op == PUBLIC_FIELD)
        put_field(&instead, cf_logical(&l, i, a), text[0] - '0', text + 2);
    else if (op == PUBLIC_OPTION)
        strbuf_printf(&instead, "%s %s\n", cf_logical(&l, i, a), text);
    cf_replace(&l, i, strbuf_str(&instead));
    cf_lines_write(&l, CF_NONE, NULL, &out);
    replace(master, &out);
}

static void add_line(struct strbuf *b, const char *text)
{
    const char *port = strstr(text, "@PORT@"), *want = getenv("INARI_MUTATE_PORT");

    if (b->n > 0 && b->p[b->n - 1] != '\n')
        strbuf_putc(b, '\n');
    if (port != NULL)
        strbuf_printf(b, "%.*s%s%s", (int)(port - text), text, want == NULL ? "22" : want,
                      port + 6);
    else
        strbuf_puts(b, text);
}

static void set_params(struct strbuf *main_cf, const char *text, struct arena *a)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(2 * MIB);
    struct plan_param pp[8];
    struct plan plan = {.params = pp};
    struct cf_param *v;
    struct err e;
    size_t n;

    if (main_cf_parse(slice_of(text), a, &v, &n, &e) != ERR_OK || n == 0 || n > COUNT_OF(pp)) {
        add_line(main_cf, text);
        return;
    }
    for (plan.n_params = 0; plan.n_params < n; plan.n_params++)
        pp[plan.n_params] = (struct plan_param){v[plan.n_params].name, v[plan.n_params].value};
    if (main_cf_edit(strbuf_slice(main_cf), &plan, &out, &e) == ERR_OK)
        replace(main_cf, &out);
}

static void crlf(struct strbuf *b)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(2 * MIB);

    for (size_t i = 0; i < b->n; i++) {
        if (b->p[i] == '\n')
            strbuf_putc(&out, '\r');
        strbuf_putc(&out, b->p[i]);
    }
    replace(b, &out);
}

static void empty(struct strbuf *b)
{
    size_t max = b->max;

    strbuf_clear(b);
    b->max = max;
}

bool mutate_apply(const char *name, struct strbuf *main_cf, struct strbuf *master_cf,
                  bool *ret_remove_main)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * MIB);
    size_t i = 0;

    while (i < COUNT_OF(table) && strcmp(table[i].m.name, name) != 0)
        i++;
    if (i == COUNT_OF(table) || a == NULL)
        return false;
    switch (table[i].op) {
    case MAIN_ADD:
        set_params(main_cf, table[i].text, a);
        break;
    case MASTER_ADD:
        add_line(master_cf, table[i].text);
        break;
    case MAIN_EMPTY:
        empty(main_cf);
        break;
    case MASTER_EMPTY:
        empty(master_cf);
        break;
    case MAIN_MISSING:
        *ret_remove_main = true;
        break;
    case CRLF:
        crlf(main_cf);
        crlf(master_cf);
        break;
    case MASTER_DROP:
    case PUBLIC_FIELD:
    case PUBLIC_OPTION:
        change_line(master_cf, table[i].op, table[i].text, a);
        break;
    }
    return true;
}

static void load(const char *path, struct strbuf *b)
{
    AUTO_STR char *text = NULL;
    size_t n;

    if (file_read(path, CF_FILE_MAX, &text, &n, NULL) == ERR_OK)
        strbuf_add(b, (struct slice){text, n});
}

void mutate_live(enum mutate_when when, const char *config)
{
    AUTO_STRBUF struct strbuf main_cf = STRBUF_INIT(2 * MIB);
    AUTO_STRBUF struct strbuf master_cf = STRBUF_INIT(2 * MIB);
    const char *name = mutate_wanted(when);
    char main_path[4096], master_path[4096];
    bool no_main = false;

    if (name == NULL)
        return;
    (void)snprintf(main_path, sizeof main_path, "%s/main.cf", config);
    (void)snprintf(master_path, sizeof master_path, "%s/master.cf", config);
    load(main_path, &main_cf);
    load(master_path, &master_cf);
    if (!mutate_apply(name, &main_cf, &master_cf, &no_main))
        return;
    if (no_main)
        (void)unlink(main_path);
    else
        (void)!file_write_atomic(main_path, strbuf_slice(&main_cf), 0644, NULL);
    (void)!file_write_atomic(master_path, strbuf_slice(&master_cf), 0644, NULL);
    stage_cool(main_path);
    stage_cool(master_path);
}

#else

void mutate_live(enum mutate_when when, const char *config)
{
    (void)when;
    (void)config;
}

const char *mutate_wanted(enum mutate_when when)
{
    (void)when;
    return NULL;
}

void crash_at(const char *point)
{
    (void)point;
}

bool mutate_apply(const char *name, struct strbuf *main_cf, struct strbuf *master_cf,
                  bool *ret_remove_main)
{
    (void)name;
    (void)main_cf;
    (void)master_cf;
    (void)ret_remove_main;
    return false;
}

#endif
