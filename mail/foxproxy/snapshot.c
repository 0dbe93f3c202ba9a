#include "foxproxy/snapshot.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *reason;
    int code;
    const char *status, *text;
} said[REPLIES] = {
    [REPLY_BLOCKED] = {"list.blocked", 554, "5.7.1", "Your address is blocked by this site"},
    [REPLY_FULL] = {"full", 421, "4.3.2", "Too many connections, try again later"},
    [REPLY_BACKEND] = {"backend-down", 421, "4.3.2", "Service not available, try again later"},
    [REPLY_PROXY] = {"proxy-header", 421, "4.3.2",
                     "The PROXY header of this connection is refused"},
    [REPLY_DRAIN] = {"drained", 421, "4.3.2", "Service not available, try again later"},
    [REPLY_REPUTATION] = {"rep", 554, "5.7.1", "Your address is listed"}, /* snapshot_listed_reply() says where */
};

const char *snapshot_reason(enum reply_id id)
{
    return said[id].reason;
}

void snapshot_listed_reply(const struct snapshot *s, const struct iplist_addr *a, const char *zone,
                           bool defer, struct reply *ret)
{
    char address[ADDR_TEXT_SIZE];

    addr_text(a, address);
    ret->n = (size_t)snprintf(ret->p, sizeof ret->p, "%s %s %s is listed in %s%s [rep.%s]\r\n",
                              defer ? "421 4.7.1" : "554 5.7.1", s->ini.hostname, address, zone,
                              defer ? ", try again later" : "", zone);
}

static void make_replies(struct snapshot *s)
{
    for (size_t i = 0; i < REPLIES; i++) {
        struct ini_reply r = {.code = said[i].code};
        const char *text = said[i].text;
        memcpy(r.status, said[i].status, strlen(said[i].status) + 1);
        if (i == REPLY_BLOCKED) {
            r = s->ini.blocked_reply;
            text = r.text[0] != '\0' ? r.text : text;
        }
        s->reply[i].n =
            (size_t)snprintf(s->reply[i].p, sizeof s->reply[i].p, "%d %s %s %s [%s]\r\n", r.code,
                             r.status, s->ini.hostname, text, said[i].reason);
    }
}

struct snapshot *snapshot_new(const struct ini *ini, struct list *approved, struct list *blocked,
                              const struct listener *listener, size_t listeners)
{
    AUTO(snapshot_unref) struct snapshot *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    atomic_init(&s->refs, 1);
    s->ini = *ini;
    s->approved = list_ref(approved);
    s->blocked = list_ref(blocked);
    if (listeners > 0) {
        s->listener = calloc(listeners, sizeof *listener);
        if (s->listener == NULL)
            return NULL;
        memcpy(s->listener, listener, listeners * sizeof *listener);
        s->listeners = listeners;
    }
    make_replies(s);
    return TAKE(s);
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    (void)atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    list_unref(s->approved);
    list_unref(s->blocked);
    free(s->listener);
    free(s);
}

bool snapshot_read_own(struct snapshot *s)
{
    struct ifaddrs *all;

    s->owns = 0;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *i = all; i != NULL && s->owns < SNAPSHOT_OWN_MAX; i = i->ifa_next) {
        struct sockaddr_storage ss = {0};
        struct addr_port a;
        if (i->ifa_addr == NULL)
            continue;
        if (i->ifa_addr->sa_family == AF_INET)
            memcpy(&ss, i->ifa_addr, sizeof(struct sockaddr_in));
        else if (i->ifa_addr->sa_family == AF_INET6)
            memcpy(&ss, i->ifa_addr, sizeof(struct sockaddr_in6));
        if (addr_of_sockaddr(&ss, &a))
            s->own[s->owns++] = a.addr;
    }
    freeifaddrs(all);
    return true;
}

bool snapshot_is_own(const struct snapshot *s, const struct iplist_addr *a)
{
    for (size_t i = 0; i < s->owns; i++)
        if (addr_eq(&s->own[i], a))
            return true;
    return false;
}
