/* The lint's part about values: maps, restrictions, networks, transports, milters, certificates. */
#include "targets/postfix_lint.h"

#include "base/file.h"
#include "targets/sockets.h"
#include "targets/tls_file.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECT_MS = 500 };

/* clang-format off */
static const char *const actions[] = {
    "permit", "reject", "defer", "defer_if_permit", "defer_if_reject", "warn_if_reject", "reject_unauth_pipelining",
    "reject_plaintext_session", "permit_inet_interfaces", "permit_mynetworks", "permit_sasl_authenticated",
    "permit_tls_all_clientcerts", "permit_tls_clientcerts", "permit_auth_destination", "permit_mx_backup",
    "reject_unauth_destination", "defer_unauth_destination", "reject_unknown_client_hostname",
    "reject_unknown_reverse_client_hostname", "reject_unknown_client", "reject_unknown_forward_client_hostname",
    "permit_naked_ip_address", "reject_invalid_helo_hostname", "reject_invalid_hostname",
    "reject_non_fqdn_helo_hostname", "reject_non_fqdn_hostname", "reject_unknown_helo_hostname",
    "reject_unknown_hostname", "reject_non_fqdn_sender", "reject_unknown_sender_domain", "reject_unknown_address",
    "reject_authenticated_sender_login_mismatch", "reject_known_sender_login_mismatch", "reject_sender_login_mismatch",
    "reject_unauthenticated_sender_login_mismatch", "reject_unlisted_sender", "reject_unverified_sender",
    "reject_non_fqdn_recipient", "reject_unknown_recipient_domain", "reject_unlisted_recipient", "check_recipient_maps",
    "reject_unverified_recipient", "reject_multi_recipient_bounce", "permit_dnswl_client", "sleep",
    "permit_auth_destination", "check_relay_domains", NULL,
};
static const char *const actions_arg[] = { /* these take the next word */
    "check_client_access", "check_ccert_access", "check_client_a_access", "check_client_mx_access",
    "check_client_ns_access", "check_reverse_client_hostname_access", "check_reverse_client_hostname_a_access",
    "check_reverse_client_hostname_mx_access", "check_reverse_client_hostname_ns_access", "check_sasl_access",
    "check_helo_access", "check_helo_a_access", "check_helo_mx_access", "check_helo_ns_access", "check_sender_access",
    "check_sender_a_access", "check_sender_mx_access", "check_sender_ns_access", "check_recipient_access",
    "check_recipient_a_access", "check_recipient_mx_access", "check_recipient_ns_access", "check_etrn_access",
    "check_policy_service", "reject_rbl_client", "reject_rhsbl_client", "reject_rhsbl_helo", "reject_rhsbl_sender",
    "reject_rhsbl_recipient", "reject_rhsbl_reverse_client", "permit_dnswl_client", "permit_rhswl_client",
    "reject_rbl", "reject_maps_rbl", "sleep", NULL,
};
static const char *const transport_names[] = {
    "content_filter", "default_transport", "relay_transport", "local_transport", "virtual_transport",
    "mailbox_transport", "fallback_transport", "error_service_name", "retry_service_name", "defer_service_name",
    "bounce_service_name", "cleanup_service_name", "queue_service_name", "rewrite_service_name", NULL,
};
static const char *const restriction_lists[] = {
    "smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions",
    "smtpd_etrn_restrictions", NULL,
};
static const char *const list_suffixes[] = { /* lists that may hold type:name */
    "_maps", "_checks", "_domains", "_access", "_networks", "mynetworks", "mydestination", "_map", "_destinations",
    "_exclusions", "_hosts", "_clients", "_exceptions", NULL,
};
/* clang-format on */

static bool in(const char *const *words, const char *s)
{
    for (; *words != NULL; words++)
        if (strcmp(*words, s) == 0)
            return true;
    return false;
}

static bool ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && strcmp(s + n - m, suffix) == 0;
}

static bool is_list(const char *name)
{
    for (size_t i = 0; list_suffixes[i] != NULL; i++)
        if (ends(name, list_suffixes[i]))
            return true;
    return false;
}

/* --- maps --- */

/* Remember it once; all are asked at the end. */
static void note_map(struct lint *l, const char *where, const char *name, const char *map)
{
    if (l->maps == NULL)
        l->maps = arena_alloc(l->a, LINT_MAPS_MAX * sizeof *l->maps);
    for (size_t i = 0; i < l->n_maps; i++)
        if (strcmp(l->maps[i].map, map) == 0)
            return;
    if (l->maps != NULL && l->n_maps < LINT_MAPS_MAX)
        l->maps[l->n_maps++] = (struct lint_map){arena_strdup(l->a, where),
                                                 arena_strdup(l->a, name), arena_strdup(l->a, map)};
}

/* postmap looks the key up in one table after the other until one has it: none has this one. */
static enum err_code query(struct lint *l, const struct lint_map *v, size_t n,
                           struct proc_result *r, struct err *e)
{
    const char *args[LINT_MAPS_MAX + 5] = {"-c", l->etc, "-q", "probe.inari.invalid"};

    for (size_t i = 0; i < n; i++)
        args[4 + i] = v[i].map;
    args[4 + n] = NULL;
    return postfix_run(l->p, "postmap", args, l->p->s->command_timeout_ms, r, e);
}

static bool complains(const struct proc_result *r)
{
    return r->output_n > 0 &&
           (strstr(r->output, "warning:") != NULL || strstr(r->output, "fatal:") != NULL ||
            strstr(r->output, "error:") != NULL);
}

static void query_one(struct lint *l, const struct lint_map *m)
{
    struct proc_result r = {0};
    struct err e = {0};
    enum err_code rc = query(l, m, 1, &r, &e);

    if (rc == ERR_TIMEOUT)
        (void)snprintf(l->hung, sizeof l->hung, "%s: %s: %.300s", m->where, m->name, e.msg);
    else if (rc != ERR_OK)
        lint_say(l, "%s: %s: %.300s", m->where, m->name, e.msg);
    else if (complains(&r))
        lint_say(l, "%s: %s: %.*s", m->where, m->name, (int)strcspn(r.output, "\n"), r.output);
    proc_result_clear(&r);
}

void lint_maps(struct lint *l)
{
    struct proc_result r = {0};
    struct err e = {0};
    enum err_code rc = l->n_maps == 0 ? ERR_OK : query(l, l->maps, l->n_maps, &r, &e);
    bool bad = rc != ERR_OK || complains(&r);

    proc_result_clear(&r);
    for (size_t i = 0; bad && i < l->n_maps && l->hung[0] == '\0'; i++) /* which one is it? */
        query_one(l, &l->maps[i]);
}

static bool file_is_there(const char *type, const char *path)
{
    static const char *const suffix[][2] = {{"hash", ".db"}, {"btree", ".db"}, {"lmdb", ".lmdb"},
                                            {"cdb", ".cdb"}, {"dbm", ".pag"},  {"sdbm", ".pag"}};
    char full[4200];

    for (size_t i = 0; i < COUNT_OF(suffix); i++) {
        if (strcmp(suffix[i][0], type) == 0) {
            (void)snprintf(full, sizeof full, "%s%s", path, suffix[i][1]);
            return access(full, R_OK) == 0;
        }
    }
    return access(path, R_OK) == 0;
}

static void look_at_map(struct lint *l, const char *where, const char *name, const char *word)
{
    const char *map = strncmp(word, "proxy:", 6) == 0 ? word + 6 : word;
    char type[64], padded[70];
    const char *rest = strchr(map, ':');

    if (rest == NULL || (size_t)(rest - map) >= sizeof type)
        return;
    (void)snprintf(type, sizeof type, "%.*s", (int)(rest - map), map);
    if (type[0] == '\0' || type[strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
        return;
    (void)snprintf(padded, sizeof padded, " %s ", type);
    if (l->p->map_types != NULL && strstr(l->p->map_types, padded) == NULL) {
        lint_say(l, "%s: %s: this Postfix has no table type \"%s\"", where, name, type);
        return;
    }
    if (rest[1] == '/' && strcmp(type, "unix") != 0 && strcmp(type, "socketmap") != 0) {
        if (!file_is_there(type, rest + 1)) {
            lint_say(l, "%s: %s: the table \"%s\" is not there", where, name, word);
            return;
        }
    }
    if (rest[1] == '/' || rest[1] == '{')
        note_map(l, where, name, map);
}

/* Every map named in a list; anything with a colon that is not an address is one. */
static void look_at_list(struct lint *l, const char *where, const char *name, const char *value)
{
    char *copy = arena_strdup(l->a, value), *word;

    while (copy != NULL && (word = lint_word(&copy)) != NULL)
        if (strchr(word, ':') != NULL && word[0] != '[' && strncmp(word, "!", 1) != 0)
            look_at_map(l, where, name, word);
}

/* --- networks --- */

static bool host_bits(const char *word)
{
    unsigned char raw[16];
    char address[64];
    const char *slash = strchr(word, '/');
    size_t bits, n;
    int family;

    if (slash == NULL || (size_t)(slash - word) >= sizeof address)
        return false;
    (void)snprintf(address, sizeof address, "%.*s", (int)(slash - word),
                   word[0] == '[' ? word + 1 : word);
    address[strcspn(address, "]/")] = '\0';
    family = strchr(address, ':') == NULL ? AF_INET : AF_INET6;
    bits = (size_t)strtoul(slash + 1, NULL, 10);
    n = family == AF_INET ? 4 : 16;
    if (inet_pton(family, address, raw) != 1 || bits > n * 8)
        return word[0] != '/';
    for (size_t i = bits; i < n * 8; i++)
        if ((raw[i / 8] >> (7 - i % 8) & 1) != 0)
            return true;
    return false;
}

static void look_at_networks(struct lint *l, const char *where, const char *name, const char *value)
{
    char *copy = arena_strdup(l->a, value), *word;

    while (copy != NULL && (word = lint_word(&copy)) != NULL) {
        const char *net = word[0] == '!' ? word + 1 : word;
        if (net[0] != '/' && strstr(net, ":/") == NULL && host_bits(net))
            lint_say(l, "%s: %s: \"%s\" is not a network (bits set behind the prefix?)", where,
                     name, word);
    }
}

/* --- restrictions --- */

static void reachable(struct lint *l, const char *where, const char *name, const char *endpoint)
{
    char path[4200], host[256];
    const char *port;
    int fd = -1;

    if (strncmp(endpoint, "unix:", 5) == 0) {
        (void)snprintf(path, sizeof path, "%s%s%s",
                       endpoint[5] == '/' ? "" : lint_value(l, "queue_directory"),
                       endpoint[5] == '/' ? "" : "/", endpoint + 5);
        fd = sockets_connect_unix(path, CONNECT_MS);
        if (fd < 0 && endpoint[5] == '/') { /* a path as a daemon in the chroot sees it */
            (void)snprintf(path, sizeof path, "%s%s", lint_value(l, "queue_directory"),
                           endpoint + 5);
            fd = sockets_connect_unix(path, CONNECT_MS);
        }
    } else if (strncmp(endpoint, "inet:", 5) == 0 &&
               (port = strrchr(endpoint, ':')) > endpoint + 4) {
        (void)snprintf(host, sizeof host, "%.*s", (int)(port - endpoint - 5), endpoint + 5);
        if (host[0] == '[')
            (void)snprintf(host, sizeof host, "%.*s", (int)strcspn(endpoint + 6, "]"),
                           endpoint + 6);
        if (strcmp(host, "localhost") == 0)
            (void)snprintf(host, sizeof host, "127.0.0.1");
        if (strspn(host, "0123456789abcdefABCDEF.:") != strlen(host))
            return; /* a name: resolving it is not this check's business */
        fd = sockets_connect(host, (int)strtol(port + 1, NULL, 10), CONNECT_MS);
    } else {
        return;
    }
    if (fd < 0)
        lint_say(l, "%s: %s: nobody answers at \"%s\"", where, name, endpoint);
    else
        (void)close(fd);
}

static void look_at_restrictions(struct lint *l, const char *where, const char *name,
                                 const char *value)
{
    char *classes = arena_strdup(l->a, lint_value(l, "smtpd_restriction_classes"));
    char *copy = arena_strdup(l->a, value), *word, *class;
    const char *list[64];
    size_t n = 0;

    while (classes != NULL && n + 1 < COUNT_OF(list) && (class = lint_word(&classes)) != NULL)
        list[n++] = class;
    list[n] = NULL;
    while (copy != NULL && (word = lint_word(&copy)) != NULL) {
        bool takes = in(actions_arg, word);
        if (takes && (class = lint_word(&copy)) != NULL) {
            if (strcmp(word, "check_policy_service") == 0)
                reachable(l, where, name, class);
            else if (strncmp(word, "check_", 6) == 0)
                look_at_map(l, where, name, class);
        } else if (strchr(word, ':') != NULL) {
            look_at_map(l, where, name, word);
        } else if (!takes && !in(actions, word) && !in(list, word) && word[0] != '4' &&
                   word[0] != '5') {
            lint_say(l, "%s: %s: there is no restriction \"%s\"", where, name, word);
        }
    }
}

void lint_relay(struct lint *l, const char *where, const char *relay, const char *recipient)
{
    static const char *const need[] = {
        "reject_unauth_destination", "defer_unauth_destination", "reject", "defer",
        "defer_if_permit",           "check_relay_domains",      NULL};

    for (int i = 0; i < 2; i++) {
        char *copy = arena_strdup(l->a, i == 0 ? relay : recipient), *word;
        while (copy != NULL && (word = lint_word(&copy)) != NULL)
            if (in(need, word))
                return;
    }
    lint_say(l,
             "%s: neither smtpd_relay_restrictions nor smtpd_recipient_restrictions refuses "
             "foreign destinations; "
             "smtpd will not start",
             where);
}

/* --- the rest --- */

static void look_at_transport(struct lint *l, const char *where, const char *name,
                              const char *value)
{
    char transport[256];
    size_t n = strcspn(value, ": ");

    (void)snprintf(transport, sizeof transport, "%.*s", (int)n, value);
    if (n == 0 || strchr(transport, '$') != NULL)
        return;
    for (size_t i = 0; i < l->n_services; i++)
        if (strcmp(l->services[i].name, transport) == 0 && strcmp(l->services[i].type, "unix") == 0)
            return;
    lint_say(l, "%s: %s: there is no transport \"%s\" in master.cf", where, name, transport);
}

/* The right-hand sides of a table of transports that can be read as text. */
static void look_at_transport_table(struct lint *l, const char *where, const char *name,
                                    const char *map)
{
    AUTO_STR char *text = NULL;
    struct slice rest;
    size_t n;

    if (strncmp(map, "inline:", 7) == 0) {
        const char *eq = strchr(map, '=');
        if (eq != NULL)
            look_at_transport(l, where, name, eq + 1 + strspn(eq + 1, " "));
        return;
    }
    if ((strncmp(map, "texthash:/", 10) != 0 && strncmp(map, "hash:/", 6) != 0 &&
         strncmp(map, "lmdb:/", 6) != 0) ||
        file_read(strchr(map, '/'), 4 * MIB, &text, &n, NULL) != ERR_OK)
        return;
    rest = (struct slice){text, n};
    while (rest.p != NULL) {
        struct slice line = slice_trim(slice_cut(&rest, '\n'));
        char value[256];
        size_t key = 0;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        while (key < line.n && line.p[key] != ' ' && line.p[key] != '\t')
            key++;
        (void)snprintf(value, sizeof value, "%.*s",
                       (int)slice_trim((struct slice){line.p + key, line.n - key}).n,
                       slice_trim((struct slice){line.p + key, line.n - key}).p);
        look_at_transport(l, where, name, value);
    }
}

static void look_at_tls(struct lint *l, const char *where, const char *name, const char *value)
{
    char *copy = arena_strdup(l->a, value), *word;
    const char *key;
    char key_name[64];

    while (copy != NULL && (word = lint_word(&copy)) != NULL) {
        struct tls_file f;
        if (word[0] != '/')
            continue;
        tls_file_look(word, word, &f);
        if (!f.readable || (!f.pem.is_cert && !f.pem.is_key))
            lint_say(l, "%s: %s: \"%s\" holds no certificate or key", where, name, word);
    }
    if (!ends(name, "_cert_file"))
        return;
    (void)snprintf(key_name, sizeof key_name, "%.*s_key_file",
                   (int)(strlen(name) - strlen("_cert_file")), name);
    key = lint_value(l, key_name);
    if (value[0] == '/' && key[0] == '/' && !tls_file_match(value, key))
        lint_say(l, "%s: the key \"%s\" does not belong to the certificate \"%s\"", where, key,
                 value);
}

void lint_value_of(struct lint *l, const char *where, const char *name, const char *value)
{
    if (in(restriction_lists, name))
        look_at_restrictions(l, where, name, value);
    else if (is_list(name))
        look_at_list(l, where, name, value);
    if (strcmp(name, "mynetworks") == 0 || ends(name, "_networks") ||
        (ends(name, "_exclusions") && strncmp(name, "smtpd_forbid", 12) == 0) ||
        ends(name, "_authorized_xforward_hosts") || ends(name, "_authorized_xclient_hosts"))
        look_at_networks(l, where, name, value);
    if (in(transport_names, name))
        look_at_transport(l, where, name, value);
    if (ends(name, "transport_maps")) {
        char *copy = arena_strdup(l->a, value), *word;
        while (copy != NULL && (word = lint_word(&copy)) != NULL)
            look_at_transport_table(l, where, name, word);
    }
    if (ends(name, "_milters")) {
        char *copy = arena_strdup(l->a, value), *word;
        while (copy != NULL && (word = lint_word(&copy)) != NULL)
            reachable(l, where, name, word[0] == '{' ? word + 1 + strspn(word + 1, " ") : word);
    }
    if (strcmp(name, "smtpd_upstream_proxy_protocol") == 0 && *value != '\0' &&
        strcmp(value, "haproxy") != 0)
        lint_say(l, "%s: %s: there is no protocol \"%s\"", where, name, value);
    if (strncmp(name, "smtp", 4) == 0 &&
        (ends(name, "_tls_cert_file") || ends(name, "_tls_key_file") ||
         ends(name, "_tls_chain_files") || ends(name, "_tls_eccert_file") ||
         ends(name, "_tls_eckey_file")))
        look_at_tls(l, where, name, value);
    if (strcmp(name, "queue_directory") == 0 && access(value, X_OK) != 0)
        lint_say(l, "%s: %s: \"%s\" is not there", where, name, value);
}
