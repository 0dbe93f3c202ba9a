/*
 * dnsblask - mail/reputation on its own, for tests: one loop, orders on standard input, one JSON
 * line an event. conf WAIT_MS RESOLVER[,RESOLVER] or - for the system's [ZONE/PROFILE[/CODES WITH +
 * BETWEEN THEM]] ... ask ADDRESS        a verdict, now or later, with "ms" since the order cached
 * ADDRESS     what is known explain ADDRESS    the same a zone status
 */
#include "reputation/reputation.h"

#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct asked {
    char text[INET6_ADDRSTRLEN];
    int64_t began_us;
    bool at_once;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "dnsblask: %s\n", what);
    exit(1);
}

static void print(json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);

    if (text == NULL)
        die("out of memory");
    (void)puts(text);
    (void)fflush(stdout);
    free(text);
    json_decref(j);
}

static void address(const char *text, uint8_t addr[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(addr, prefix, sizeof prefix);
    if (inet_pton(AF_INET, text, addr + 12) != 1 && inet_pton(AF_INET6, text, addr) != 1)
        die("not an address");
}

static void told(void *user, const struct reputation_verdict *v)
{
    struct asked *a = user;

    print(json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:f}", "address", a->text, "action",
                    rep_action_name(v->action), "zone", v->zone, "code", v->code, "ttl_s",
                    (json_int_t)v->ttl_s, "cached", v->cached, "complete", v->complete, "at_once",
                    a->at_once, "ms", (double)(clock_mono_us() - a->began_us) / 1000.0));
    free(a);
}

static struct asked *asked_new(const char *text)
{
    struct asked *a = calloc(1, sizeof *a);

    if (a == NULL)
        die("out of memory");
    text_copy(a->text, sizeof a->text, text);
    a->began_us = clock_mono_us();
    return a;
}

static void order_ask(struct reputation_loop *l, const char *text)
{
    struct asked *a = asked_new(text);
    struct reputation_ask *ask;
    struct reputation_verdict v;
    uint8_t addr[16];

    address(text, addr);
    if (reputation_ask(l, addr, clock_mono_ms(), told, a, &v, &ask)) {
        a->at_once = true;
        told(a, &v);
    }
}

static void order_cached(struct reputation *r, const char *text)
{
    struct reputation_verdict v;
    uint8_t addr[16];

    address(text, addr);
    reputation_cached(r, addr, clock_mono_ms(), &v);
    told(asked_new(text), &v);
}

static void zone_of(char *word, struct rep_zone_conf *z)
{
    struct slice rest = slice_of(word), name = slice_cut(&rest, '/'),
                 profile = slice_cut(&rest, '/');
    struct err e;

    for (char *p = strchr(word, '+'); p != NULL; p = strchr(p, '+'))
        *p = ' ';
    if (reputation_conf_zone_name(name, z->name, &e) != ERR_OK ||
        reputation_conf_profile(profile, &z->profile, &e) != ERR_OK)
        die(e.msg);
    z->action = reputation_conf_default(z->profile);
    if (reputation_conf_codes(rest, z->action, &z->codes, &e) != ERR_OK)
        die(e.msg);
}

static void order_conf(struct reputation *r, char *words)
{
    struct reputation_conf c;
    struct err e;
    char *save = NULL, *word = strtok_r(words, " ", &save), *servers = strtok_r(NULL, " ", &save);

    reputation_conf_init(&c);
    if (word == NULL || servers == NULL)
        die("conf needs more");
    c.wait_ms = strtol(word, NULL, 10);
    for (struct slice rest = slice_of(strcmp(servers, "-") == 0 ? "" : servers); rest.n > 0;) {
        if (c.resolvers == REP_RESOLVERS_MAX ||
            reputation_conf_resolver(slice_cut(&rest, ','), c.resolver[c.resolvers++], &e) !=
                ERR_OK)
            die("a bad resolver");
    }
    while ((word = strtok_r(NULL, " ", &save)) != NULL && c.zones < REP_ZONES_MAX)
        zone_of(word, &c.zone[c.zones++]);
    if (reputation_configure(r, &c, clock_mono_ms(), &e) != ERR_OK)
        die(e.msg);
    print(json_pack("{s:b}", "ok", 1));
}

static void order(struct reputation *r, struct reputation_loop *l, char *line)
{
    char *arg = strchr(line, ' ');
    uint8_t addr[16];

    if (arg != NULL)
        *arg++ = '\0';
    if (strcmp(line, "status") == 0) {
        print(reputation_status_json(r, clock_mono_ms()));
    } else if (arg == NULL) {
        die("an order without its argument");
    } else if (strcmp(line, "ask") == 0) {
        order_ask(l, arg);
    } else if (strcmp(line, "cached") == 0) {
        order_cached(r, arg);
    } else if (strcmp(line, "explain") == 0) {
        address(arg, addr);
        print(reputation_explain_json(r, addr, clock_mono_ms()));
    } else if (strcmp(line, "conf") == 0) {
        order_conf(r, arg);
    } else {
        die("no such order");
    }
}

/* Whole lines of what was read so far. */
static bool orders(struct reputation *r, struct reputation_loop *l)
{
    static char buf[65536];
    static size_t n;
    ssize_t got = read(STDIN_FILENO, buf + n, sizeof buf - n - 1);
    char *end, *line = buf;

    if (got <= 0)
        return false;
    n += (size_t)got;
    buf[n] = '\0';
    while ((end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        order(r, l, line);
        line = end + 1;
    }
    n -= (size_t)(line - buf);
    memmove(buf, line, n);
    return true;
}

int main(void)
{
    struct reputation *r = reputation_new();
    struct reputation_loop *l = NULL;
    struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {-1, POLLIN, 0}};
    struct err e;
    bool more = true;

    log_init("dnsblask", LOG_LEVEL_INFO);
    if (r == NULL || reputation_loop_new(r, &l, &e) != ERR_OK)
        die("could not begin");
    fds[1].fd = reputation_loop_fd(l);
    while (more) {
        int timeout_ms = reputation_loop_timeout_ms(l, clock_mono_ms());
        int n = poll(fds, 2, timeout_ms);
        if (n > 0 && fds[0].revents != 0)
            more = orders(r, l);
        reputation_loop_run(l, clock_mono_ms());
    }
    reputation_loop_free(l);
    reputation_free(r);
    return 0;
}
