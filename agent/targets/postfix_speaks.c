/* One short dialogue with every listener: is there life behind it? */
#include "targets/postfix.h"

#include "targets/postfix_cf.h"
#include "targets/postfix_stage.h"
#include "targets/sockets.h"

#include <netdb.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LISTENERS_TRIED = 8, CONNECT_MS = 1000, GREETING_MS = 1500, REPLY_MS = 3000 };

static const char *option(const struct cf_service *s, const char *name)
{
    for (size_t i = s->n_options; i-- > 0;)
        if (strcmp(s->options[i].name, name) == 0)
            return s->options[i].value;
    return "";
}

/* An address to dial and the port of an inet service; false: a port name nobody knows. */
static bool target(const char *service, char *address, size_t size, int *port)
{
    const char *colon = strrchr(service, ':'), *p = colon == NULL ? service : colon + 1;
    struct servent *sv;
    uint64_t n;

    (void)snprintf(address, size, "%.*s", colon == NULL ? 0 : (int)(colon - service), service);
    if (address[0] == '[') {
        memmove(address, address + 1, strlen(address));
        address[strcspn(address, "]")] = '\0';
    }
    if (address[0] == '\0' || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "localhost") == 0)
        (void)snprintf(address, size, "127.0.0.1");
    else if (strcmp(address, "::") == 0)
        (void)snprintf(address, size, "::1");
    if (parse_u64(slice_of(p), 1, 65535, &n))
        *port = (int)n;
    else if ((sv = getservbyname(p, "tcp")) != NULL)
        *port = ntohs((uint16_t)sv->s_port);
    else
        return false;
    return true;
}

/* 0: it answers; else the step that failed. */
static const char *dialogue(int fd)
{
    static const char *const steps[] = {"EHLO localhost\r\n", "MAIL FROM:<>\r\n",
                                        "RCPT TO:<postmaster>\r\n"};
    char reply[2048];
    int code = sockets_reply(fd, reply, sizeof reply, GREETING_MS);

    if (code == 0)
        return "gives no greeting";
    if (code != 220)
        return NULL; /* it speaks, and refuses us */
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (write(fd, steps[i], strlen(steps[i])) < 0)
            return "closes the connection";
        code = sockets_reply(fd, reply, sizeof reply, REPLY_MS);
        if (code == 0)
            return i == 0   ? "does not answer EHLO"
                   : i == 1 ? "does not answer MAIL"
                            : "does not answer RCPT";
        if (code >= 500)
            return NULL;
        if (code >= 400 && i > 0)
            return "answers with a temporary failure";
    }
    (void)!write(fd, "QUIT\r\n", 6);
    return NULL;
}

static const char *try(const struct cf_service *s)
{
    char address[128];
    const char *fault;
    int port, fd;

    if (!target(s->name, address, sizeof address, &port))
        return "has an unknown port";
    fd = sockets_connect(address, port, CONNECT_MS);
    if (fd < 0)
        return "does not accept connections";
    fault = strcmp(option(s, "smtpd_upstream_proxy_protocol"), "") != 0 ||
                    strcmp(option(s, "smtpd_tls_wrappermode"), "yes") == 0
                ? NULL
                : dialogue(fd);
    (void)close(fd);
    return fault;
}

bool postfix_speaks(const struct postfix *p, struct strbuf *why)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO_STR char *text = NULL;
    struct cf_service *v;
    size_t n, len, tried = 0;

    if (a == NULL || stage_read_live(p->s, "master.cf", &text, &len, NULL, NULL) != ERR_OK ||
        master_cf_parse((struct slice){text, len}, a, &v, &n, NULL) != ERR_OK)
        return false;
    for (size_t i = 0; i < n && tried < LISTENERS_TRIED; i++) {
        const char *fault;
        if (strcmp(v[i].type, "inet") != 0 || strcmp(v[i].command, "smtpd") != 0)
            continue;
        tried++;
        fault = try(&v[i]);
        if (fault == NULL)
            continue;
        if (why != NULL)
            strbuf_printf(why, "%s %s", v[i].name, fault);
        return false;
    }
    return postfix_pid(p->s->postfix_queue) != 0;
}
