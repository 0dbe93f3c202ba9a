/* The lint's part about master.cf. */
#include "targets/postfix_lint.h"

#include "targets/sockets.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Without one of these mail stops or hangs. */
static const char *const mandatory[] = {"pickup", "cleanup", "qmgr",  "rewrite",
                                        "bounce", "defer",   "trace", NULL};

static bool is_unix(const struct cf_service *s)
{
    return strcmp(s->type, "unix") == 0 || strcmp(s->type, "fifo") == 0 ||
           strcmp(s->type, "unix-dgram") == 0;
}

static bool has_service(const struct lint *l, const char *name)
{
    for (size_t i = 0; i < l->n_services; i++)
        if (strcmp(l->services[i].name, name) == 0 && is_unix(&l->services[i]))
            return true;
    return false;
}

static const char *option(const struct cf_service *s, const char *name)
{
    for (size_t i = s->n_options; i-- > 0;)
        if (strcmp(s->options[i].name, name) == 0)
            return s->options[i].value;
    return NULL;
}

/* $name and ${name} with the values of main.cf; deeper forms are left as they are (postconf has
 * expanded main.cf). */
static const char *expand(struct lint *l, const char *value)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB);

    while (*value != '\0') {
        size_t n = *value == '$' ? strspn(value + 1 + (value[1] == '{'),
                                          "abcdefghijklmnopqrstuvwxyz0123456789_")
                                 : 0;
        char name[128];
        if (n == 0 || n >= sizeof name) {
            strbuf_putc(&b, *value++);
            continue;
        }
        (void)snprintf(name, sizeof name, "%.*s", (int)n, value + 1 + (value[1] == '{'));
        strbuf_puts(&b, lint_value(l, name));
        value += 1 + n + (value[1] == '{') + (value[1] == '{' && value[2 + n] == '}');
    }
    return arena_strdup(l->a, strbuf_str(&b));
}

/* --- where it listens --- */

struct endpoint {
    const char *name;
    char address[64];
    int port;
};

static bool parse_endpoint(struct lint *l, const struct cf_service *s, struct endpoint *ret)
{
    char name[256], *port, *host = name;
    struct servent *sv;
    uint64_t n;

    (void)snprintf(name, sizeof name, "%s", s->name);
    port = strrchr(name, ':');
    *ret = (struct endpoint){.name = s->name};
    if (port == NULL) {
        port = name;
        host = name + strlen(name);
    } else {
        *port++ = '\0';
    }
    if (*host == '[') {
        host++;
        host[strcspn(host, "]")] = '\0';
    }
    if (parse_u64(slice_of(port), 1, 65535, &n)) {
        ret->port = (int)n;
    } else if ((sv = getservbyname(port, "tcp")) != NULL) {
        ret->port = ntohs((uint16_t)sv->s_port);
    } else {
        lint_say(l, "master.cf: service %s/inet: there is no port \"%s\"", s->name, port);
        return false;
    }
    (void)snprintf(ret->address, sizeof ret->address, "%s", host);
    return true;
}

static bool is_numeric(const char *address)
{
    unsigned char raw[16];

    return inet_pton(AF_INET, address, raw) == 1 || inet_pton(AF_INET6, address, raw) == 1;
}

static void look_at_socket(struct lint *l, const struct endpoint *e, const struct listener *busy,
                           size_t n)
{
    pid_t master = postfix_pid(l->p->s->postfix_queue);

    if (e->address[0] != '\0' && is_numeric(e->address) && !sockets_is_local(e->address))
        lint_say(l, "master.cf: service %s/inet: %s is not an address of this device", e->name,
                 e->address);
    for (size_t i = 0; i < n; i++) {
        if (busy[i].port != e->port || busy[i].pid == master ||
            !sockets_overlap(e->address, busy[i].address))
            continue;
        /* Sessions of our own master hold a copy of its listening socket, and may have ended since.
         */
        if (master != 0 && strcmp(busy[i].owner, "postfix") == 0 &&
            busy[i].group == getpgid(master))
            continue;
        /* foxproxy lets go of what Postfix is to have, within the change (apply/front.h). */
        if (strcmp(busy[i].owner, "foxproxy") == 0)
            continue;
        lint_say(l, "master.cf: service %s/inet: port %d is already used by \"%s\"", e->name,
                 e->port, busy[i].owner[0] == '\0' ? "another program" : busy[i].owner);
        return;
    }
}

static void look_at_sockets(struct lint *l)
{
    struct endpoint *v = arena_alloc(l->a, (l->n_services + 1) * sizeof *v);
    struct listener *busy;
    size_t n = 0, n_busy;

    if (v == NULL || sockets_listeners(l->a, &busy, &n_busy, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < l->n_services; i++) {
        if (strcmp(l->services[i].type, "inet") != 0 && strcmp(l->services[i].type, "pass") != 0)
            continue;
        if (strcmp(l->services[i].type, "pass") == 0 || !parse_endpoint(l, &l->services[i], &v[n]))
            continue;
        look_at_socket(l, &v[n], busy, n_busy);
        for (size_t j = 0; j < n; j++)
            if (v[j].port == v[n].port && sockets_overlap(v[j].address, v[n].address))
                lint_say(l, "master.cf: services %s/inet and %s/inet listen on the same port",
                         v[j].name, v[n].name);
        n++;
    }
}

/* --- what a service runs --- */

static void look_at_program(struct lint *l, const struct cf_service *s)
{
    static const char *const free_args[] = {"pipe", "spawn", "local", NULL};
    char path[1200];

    (void)snprintf(path, sizeof path, "%s/%s", lint_value(l, "daemon_directory"), s->command);
    if (strchr(s->command, '/') != NULL || access(path, X_OK) != 0)
        lint_say(l, "master.cf: service %s/%s: there is no program \"%s\"", s->name, s->type,
                 s->command);
    for (size_t i = 0; free_args[i] != NULL; i++)
        if (strcmp(free_args[i], s->command) == 0)
            return;
    if (s->args[0] != '\0' && (s->args[0] != '-' || strchr(s->args, '=') != NULL))
        lint_say(l,
                 "master.cf: service %s/%s: \"%.80s\" is not an option (-o name=value without "
                 "blanks, or "
                 "-o { name = value })",
                 s->name, s->type, s->args);
}

static bool type_known(const char *type)
{
    static const char *const types[] = {"inet", "unix", "unix-dgram", "fifo", "pass", NULL};

    for (size_t i = 0; types[i] != NULL; i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

static void look_at_service(struct lint *l, const struct cf_service *s)
{
    char where[400];
    const char *relay, *recipient;

    (void)snprintf(where, sizeof where, "master.cf: service %s/%s", s->name, s->type);
    if (!type_known(s->type))
        lint_say(l, "%s: there is no service type \"%s\"", where, s->type);
    look_at_program(l, s);
    for (size_t i = 0; i < s->n_options; i++) {
        const char *name = s->options[i].name;
        if (s->options[i].value == NULL || *name == '\0')
            lint_say(l, "%s: -o without name=value", where);
        else
            lint_value_of(l, where, name, expand(l, s->options[i].value));
    }
    if (strcmp(s->command, "smtpd") != 0)
        return;
    relay = option(s, "smtpd_relay_restrictions");
    recipient = option(s, "smtpd_recipient_restrictions");
    lint_relay(
        l, where, relay != NULL ? expand(l, relay) : lint_value(l, "smtpd_relay_restrictions"),
        recipient != NULL ? expand(l, recipient) : lint_value(l, "smtpd_recipient_restrictions"));
}

void lint_services(struct lint *l)
{
    for (size_t i = 0; mandatory[i] != NULL; i++)
        if (!has_service(l, mandatory[i]))
            lint_say(l,
                     "master.cf: the service \"%s\" is missing; without it no mail is accepted or "
                     "delivered",
                     mandatory[i]);
    for (size_t i = 0; i < l->n_services; i++) {
        const struct cf_service *s = &l->services[i];
        if (cf_service_find(l->services, i, s->name, s->type) != NULL)
            lint_say(l, "master.cf: service %s/%s is there twice", s->name, s->type);
        look_at_service(l, s);
    }
    look_at_sockets(l);
}
