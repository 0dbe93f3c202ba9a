/* The invariants judged on the result (security.md C39): whatever made the plan, this is what it
 * must be. */
#include "plan/plan_private.h"

#include <stdio.h>
#include <strings.h>

static const char *value_of(const struct plan_param *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i].name, name) == 0)
            return v[i].value;
    }
    return NULL;
}

/* --- P12: no value runs a program --- */
static bool has_control(const char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            return true;
    }
    return false;
}

/* The variables the planner writes itself; no other dollar sign may be there. */
static bool foreign_dollar(const char *s)
{
    static const char *const own[] = {"${config_directory}/inari/",
                                      "${config_directory}/" PLAN_DRAIN_TABLE, "$myhostname",
                                      "$inari_digest "};

    for (; (s = strchr(s, '$')) != NULL; s++) {
        bool ours = false;
        for (size_t i = 0; i < COUNT_OF(own); i++)
            ours = ours || strncmp(s, own[i], strlen(own[i])) == 0;
        if (!ours)
            return true;
    }
    return false;
}

static bool word_start(const char *s, const char *p)
{
    return p == s || strchr(" ,!:{", p[-1]) != NULL;
}

static const char *foreign_lookup(const char *s)
{
    static const char *const types[] = {
        "btree",  "cdb",     "dbm",      "environ",  "fail",   "hash",    "inline",    "internal",
        "ldap",   "lmdb",    "memcache", "mysql",    "nis",    "nisplus", "pcre",      "pgsql",
        "pipe",   "pipemap", "proxy",    "randmap",  "regexp", "sdbm",    "socketmap", "spawn",
        "sqlite", "static",  "tcp",      "unionmap", "unix",   "virtual", "local"};

    if (strchr(s, ':') == NULL) /* most values; each of them is looked at for each device */
        return NULL;
    for (const char *p = s; *p != '\0'; p++) {
        if (!word_start(s, p))
            continue;
        for (size_t i = 0; i < COUNT_OF(types); i++) {
            size_t n = strlen(types[i]);
            if (strncasecmp(p, types[i], n) == 0 && p[n] == ':')
                return types[i];
        }
    }
    return NULL;
}

/* The setting a parameter comes from, so that the finding names what can be changed. */
static void pointer_of(const char *param, char at[192])
{
    static const char *const derived[][2] = {{"relayhost", "smtp.relayhost"},
                                             {"smtpd_banner", "smtp.banner_text"},
                                             {"content_filter", "path.mode"}};
    const char *key = NULL;

    for (size_t i = 0; i < catalog_count() && key == NULL; i++) {
        if (strcmp(catalog_at(i)->param, param) == 0)
            key = catalog_at(i)->key;
    }
    for (size_t i = 0; i < COUNT_OF(derived) && key == NULL; i++) {
        if (strcmp(derived[i][0], param) == 0)
            key = derived[i][1];
    }
    (void)snprintf(at, 192, "%s", "/settings");
    if (key != NULL)
        json_pointer_add(at, 192, "/settings", key);
}

/* The one lookup of ours that is neither texthash nor cidr. */
static bool is_subject_check(const char *name, const char *value)
{
    static const char head[] = "regexp:${config_directory}/inari/";

    return strcmp(name, plan_checks_params[0]) == 0 && strncmp(value, head, sizeof head - 1) == 0 &&
           strpbrk(value + sizeof head - 1, " ,:") == NULL;
}

/* of_main: a parameter of main.cf, whose setting is named. */
static void check_value(const char *name, const char *value, bool of_main, struct findings *f)
{
    const char *type = of_main && is_subject_check(name, value) ? NULL : foreign_lookup(value);
    bool control = has_control(value),
         command = (foreign_dollar(value) || strpbrk(value, "|`<>\"\\") != NULL) &&
                   strncmp(name, "smtp_tls_", 9) != 0 && strncmp(name, "smtpd_tls_", 10) != 0;
    char at[192] = "/settings";

    if (!control && !command && type == NULL)
        return;
    if (of_main)
        pointer_of(name, at);
    if (control)
        (void)finding_add(f, F_P12_CONTROL, at, name, NULL, NULL, NULL);
    if (command)
        (void)finding_add(f, F_P12_COMMAND, at, name, value, NULL, NULL);
    if (type != NULL)
        (void)finding_add(f, F_P12_LOOKUP_TYPE, at, name, type, NULL, NULL);
}

static void check_programs(const struct plan *p, struct findings *f)
{
    static const char *const commands[] = {"smtpd", "smtp", "lmtp", "cleanup"};

    for (size_t i = 0; i < p->n_params; i++)
        check_value(p->params[i].name, p->params[i].value, true, f);
    for (size_t i = 0; i < p->n_services; i++) {
        const struct plan_service *s = &p->services[i];
        bool ok = false;
        for (size_t k = 0; k < COUNT_OF(commands); k++)
            ok = ok || strcmp(s->command, commands[k]) == 0;
        if (!ok)
            (void)finding_add(f, F_P12_SERVICE, "/settings", s->service, s->command, NULL, NULL);
        for (size_t k = 0; k < s->n_options; k++)
            check_value(s->options[k].name, s->options[k].value, false, f);
    }
    for (size_t i = 0; i < p->n_tables; i++) {
        if (strcmp(p->tables[i].type, "texthash") != 0 && strcmp(p->tables[i].type, "cidr") != 0 &&
            !plan_only_logs(&p->tables[i]))
            (void)finding_add(f, F_P12_LOOKUP_TYPE, "/settings", p->tables[i].name,
                              p->tables[i].type, NULL, NULL);
    }
}

/* --- smuggling: all three, on every smtpd --- */
static void check_smuggling(const struct plan *p, struct findings *f)
{
    static const char *const names[] = {"smtpd_forbid_bare_newline",
                                        "smtpd_forbid_bare_newline_exclusions",
                                        "smtpd_forbid_unauth_pipelining"};

    for (size_t s = 0; s <= p->n_services; s++) {
        bool main_cf = s == p->n_services;
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            const char *v =
                main_cf ? value_of(p->params, p->n_params, names[i])
                        : value_of(p->services[s].options, p->services[s].n_options, names[i]);
            if (v == NULL && !main_cf) /* main.cf holds */
                continue;
            if (v == NULL || (i == 0 && strcmp(v, "normalize") != 0 && strcmp(v, "reject") != 0) ||
                (i == 1 && v[0] != '\0') || (i == 2 && strcmp(v, "yes") != 0))
                (void)finding_add(f, F_P12_SMUGGLING,
                                  i == 2 ? "/settings/smtp.forbid_unauth_pipelining"
                                         : "/settings/smtp.forbid_bare_newline",
                                  names[i], NULL, NULL, NULL);
        }
    }
}

/* --- P03, P04 --- */
static const struct plan_service *service_at(const struct plan *p, const struct plan_listener *l)
{
    char name[80];

    (void)snprintf(name, sizeof name, "%s:%lld", l->address, (long long)l->port);
    for (size_t i = 0; i < p->n_services; i++) {
        if (strcmp(p->services[i].service, name) == 0)
            return &p->services[i];
    }
    return NULL;
}

static void check_reinject(const struct plan *p, const struct plan_listener *l, struct findings *f)
{
    static const struct plan_param must[] = {
        {"content_filter", ""},
        {"smtpd_proxy_filter", ""},
        {"smtpd_milters", ""},
        {"receive_override_options",
         "no_unknown_recipient_checks, no_header_body_checks, no_milters"},
        {"mynetworks", "127.0.0.0/8, [::1]/128"},
        {"smtpd_client_restrictions", "permit_mynetworks, reject"},
        {"smtpd_relay_restrictions", "permit_mynetworks, reject"},
        {"smtpd_recipient_restrictions", "permit_mynetworks, reject"},
        {"smtpd_authorized_xforward_hosts", "127.0.0.0/8, [::1]/128"},
        {"smtpd_authorized_xclient_hosts", ""},
        {"smtpd_upstream_proxy_protocol", ""},
        {"message_size_limit", "0"},
        {"smtpd_client_connection_count_limit", "0"},
    };
    const struct plan_service *s = service_at(p, l);
    const char *at = "/settings/scan.reinject_port";
    char where[80];
    struct ipnet a;

    (void)snprintf(where, sizeof where, "%s:%lld", l->address, (long long)l->port);
    if (s == NULL || ipnet_address(slice_of(l->address), &a) != IPNET_OK || !ipnet_is_loopback(&a))
        (void)finding_add(f, F_P03_REINJECT_OPEN, at, where, "address", l->address, NULL);
    for (size_t i = 0; s != NULL && i < COUNT_OF(must); i++) {
        const char *v = value_of(s->options, s->n_options, must[i].name);
        if (v == NULL || strcmp(v, must[i].value) != 0)
            (void)finding_add(f, F_P03_REINJECT_OPEN, at, where, must[i].name, v == NULL ? "-" : v,
                              NULL);
    }
}

static void check_chain(const struct plan *p, struct findings *f)
{
    bool plain = strcmp(p->mail_path, "plain") == 0;
    const char *filter = value_of(p->params, p->n_params, "content_filter");
    const char *override = value_of(p->params, p->n_params, "receive_override_options");
    bool reinject = false;

    for (size_t i = 0; i < p->n_listeners; i++) {
        if (p->listeners[i].role == ROLE_REINJECT) {
            check_reinject(p, &p->listeners[i], f);
            reinject = true;
        } else if (p->listeners[i].role != ROLE_DIGEST) {
            const struct plan_service *s = service_at(p, &p->listeners[i]);
            if (s != NULL && value_of(s->options, s->n_options, "content_filter") != NULL)
                filter = NULL; /* a door around the filter */
        }
    }
    if (filter == NULL || plain != reinject ||
        plain != (strncmp(filter, "inari-scan:inet:127.0.0.1:", 26) == 0))
        (void)finding_add(f, F_P04_UNSCANNED, "/settings/path.mode", p->mail_path, NULL, NULL,
                          NULL);
    if (plain && (override == NULL || strcmp(override, "no_address_mappings") != 0))
        (void)finding_add(f, F_P03_MAPPED_TWICE, "/settings/path.mode", NULL, NULL, NULL, NULL);
}

/* --- P05 --- */
static void check_relay_rule(const char *where, const char *rule, struct findings *f)
{
    if (rule != NULL && strcmp(rule, "permit_mynetworks, reject_unauth_destination") != 0 &&
        strcmp(rule, "permit_mynetworks, reject") != 0 && strcmp(rule, "reject") != 0)
        (void)finding_add(f, F_P05_RELAY_RESTRICTION, "/settings", where, rule, NULL, NULL);
}

/* The second word of every line of an access table; OK and permit would end the checks behind it.
 */
static void check_access(const struct plan_table *t, struct findings *f)
{
    struct slice rest = slice_of(t->content);

    while (rest.p != NULL && rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n');
        struct slice action = line;
        char word[40];
        (void)slice_cut(&action, ' ');
        if (line.n == 0 || line.p[0] == '#' || action.p == NULL || slice_is(action, "DUNNO") ||
            slice_is(action, "REJECT") || slice_starts(action, "550 "))
            continue;
        (void)snprintf(word, sizeof word, "%.*s", (int)(action.n < 39 ? action.n : 39), action.p);
        (void)finding_add(f, F_P05_ACCESS_OK, "/settings", t->name, word, NULL, NULL);
        return;
    }
}

static void check_relaying(const struct plan *p, struct findings *f)
{
    static const char *const access[] = {"client_access", "known_recipients", "refused_recipients"};
    const char *rule = value_of(p->params, p->n_params, "smtpd_relay_restrictions");
    const char *nets = value_of(p->params, p->n_params, "mynetworks");

    if (rule == NULL || strcmp(rule, "reject") == 0)
        rule = "";
    check_relay_rule("smtpd_relay_restrictions", rule, f);
    if (nets == NULL || strncmp(nets, "cidr:", 5) != 0)
        (void)finding_add(f, F_P05_RELAY_RESTRICTION, "/settings/smtp.relay_networks", "mynetworks",
                          nets == NULL ? "" : nets, NULL, NULL);
    for (size_t i = 0; i < p->n_services; i++)
        check_relay_rule(
            p->services[i].service,
            value_of(p->services[i].options, p->services[i].n_options, "smtpd_relay_restrictions"),
            f);
    for (size_t i = 0; i < p->n_tables; i++) {
        for (size_t k = 0; k < COUNT_OF(access); k++) {
            if (strcmp(p->tables[i].name, access[k]) == 0)
                check_access(&p->tables[i], f);
        }
    }
}

/* --- P13: every transport and service that is named exists, ours or Postfix's own --- */
static bool service_exists(const struct plan *p, struct slice name)
{
    static const char *const stock[] = {"smtp", "relay", "error", "discard", "cleanup"};

    for (size_t i = 0; i < COUNT_OF(stock); i++) {
        if (slice_is(name, stock[i]))
            return true;
    }
    for (size_t i = 0; i < p->n_services; i++) {
        if (strcmp(p->services[i].type, "unix") == 0 && slice_is(name, p->services[i].service))
            return true;
    }
    return false;
}

static void need_service(const struct plan *p, struct slice name, const char *where,
                         struct findings *f)
{
    char text[64];

    if (name.n == 0 || service_exists(p, name))
        return;
    (void)snprintf(text, sizeof text, "%.*s", (int)(name.n < 63 ? name.n : 63), name.p);
    (void)finding_add(f, F_P13_DANGLING, "/settings", where, text, NULL, NULL);
}

static void check_references(const struct plan *p, struct findings *f)
{
    static const char *const names[] = {"content_filter", "default_transport", "relay_transport",
                                        "local_transport"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct slice rest = slice_of(value_of(p->params, p->n_params, names[i]));
        need_service(p, slice_cut(&rest, ':'), names[i], f);
    }
    for (size_t i = 0; i < p->n_services; i++) {
        const struct plan_service *s = &p->services[i];
        need_service(p, slice_of(value_of(s->options, s->n_options, "cleanup_service_name")),
                     s->service, f);
    }
    for (size_t i = 0; i < p->n_tables; i++) {
        struct slice rest =
            slice_of(strcmp(p->tables[i].name, "transport") == 0 ? p->tables[i].content : "");
        while (rest.n > 0) {
            struct slice line = slice_cut(&rest, '\n'), to = line;
            (void)slice_cut(&to, ' ');
            if (line.n > 0 && line.p[0] != '#')
                need_service(p, slice_cut(&to, ':'), "transport", f);
        }
    }
}

/* --- P14 --- */
static int by_name(const void *name, const void *owned)
{
    return strcmp(name, *(const char *const *)owned);
}

static void check_owned(const struct plan *p, struct findings *f)
{
    const char *log = value_of(p->params, p->n_params, "maillog_file");

    for (size_t i = 0; i < p->n_params; i++) {
        if (bsearch(p->params[i].name, p->owned, p->n_owned, sizeof *p->owned, by_name) == NULL)
            (void)finding_add(f, F_P14_NOT_OWNED, "/settings", p->params[i].name, NULL, NULL, NULL);
    }
    for (size_t i = 0; i < p->n_services; i++) {
        char name[128];
        bool owned = false;
        (void)snprintf(name, sizeof name, "%s/%s", p->services[i].service, p->services[i].type);
        for (size_t k = 0; k < p->n_owned_services && !owned; k++)
            owned = strcmp(p->owned_services[k], name) == 0;
        if (!owned)
            (void)finding_add(f, F_P14_NOT_OWNED, "/settings", name, NULL, NULL, NULL);
    }
    if (log == NULL || log[0] != '\0')
        (void)finding_add(f, F_P14_MAILLOG_FILE, "/settings", NULL, NULL, NULL, NULL);
}

/* --- P15 --- */
static void check_auth(const struct plan *p, struct findings *f)
{
    static const char *const enforced[] = {"encrypt", "verify", "secure"};
    const char *auth = value_of(p->params, p->n_params, "smtp_sasl_auth_enable");
    const char *level = value_of(p->params, p->n_params, "smtp_tls_security_level");
    const char *to = value_of(p->params, p->n_params, "relayhost");
    bool ok = auth == NULL || strcmp(auth, "no") == 0;

    for (size_t i = 0; i < COUNT_OF(enforced); i++)
        ok = ok || (level != NULL && strcmp(level, enforced[i]) == 0);
    if (!ok)
        (void)finding_add(f, F_P15_NO_TLS, "/settings/smtp_tls.outbound", to == NULL ? "" : to,
                          "smtp_tls.outbound", level == NULL ? "none" : level, NULL);
}

void plan_verify(const struct plan *p, struct findings *f)
{
    check_auth(p, f);
    plan_verify_front(p, f);
    check_programs(p, f);
    check_smuggling(p, f);
    check_chain(p, f);
    check_relaying(p, f);
    check_references(p, f);
    check_owned(p, f);
}
