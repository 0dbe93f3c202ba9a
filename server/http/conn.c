/* Connections: caps per address, deadlines, and the session tickets libmicrohttpd does not enable.
 */
#include "http/http_private.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "http/tls.h"
#include "http/trickle.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { PEER_BUCKETS = 4096, PEER_KEY = 16 };

struct peer {
    struct peer *next;
    unsigned char key[PEER_KEY]; /* IPv6 /64, or the IPv4-mapped address */
    unsigned n, strangers;
};

bool conns_init(struct conns *cs, unsigned max_address, unsigned strangers_address)
{
    cs->max_address = max_address;
    cs->strangers_address = strangers_address;
    cs->buckets = calloc(PEER_BUCKETS, sizeof(struct peer *));
    rand_bytes(&cs->key, sizeof cs->key);
    return cs->buckets != NULL && pthread_mutex_init(&cs->lock, NULL) == 0;
}

void conns_clear(struct conns *cs)
{
    free(cs->buckets);
    (void)pthread_mutex_destroy(&cs->lock);
}

static bool peer_key(const struct sockaddr *address, unsigned char key[PEER_KEY])
{
    memset(key, 0, PEER_KEY);
    if (address->sa_family == AF_INET) {
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        memcpy(key, a, IN6_IS_ADDR_V4MAPPED(a) ? 16 : 8);
        return true;
    }
    return false;
}

static struct peer **peer_slot(struct conns *cs, const unsigned char key[PEER_KEY])
{
    uint64_t h = cs->key;
    struct peer **at;

    for (int i = 0; i < PEER_KEY; i++)
        h = (h ^ key[i]) * UINT64_C(0x100000001b3);
    for (at = &cs->buckets[(h ^ (h >> 32)) % PEER_BUCKETS]; *at != NULL; at = &(*at)->next)
        if (memcmp((*at)->key, key, PEER_KEY) == 0)
            break;
    return at;
}

enum MHD_Result conns_accept(void *http, const struct sockaddr *address, socklen_t n)
{
    struct http *h = http;
    struct conns *cs = &h->conns;
    unsigned char key[PEER_KEY];
    const struct peer *p;
    bool ok;

    (void)n;
    if (!peer_key(address, key))
        return MHD_NO;
    (void)pthread_mutex_lock(&cs->lock);
    p = *peer_slot(cs, key);
    ok = p == NULL || (p->n < cs->max_address && p->strangers < cs->strangers_address);
    (void)pthread_mutex_unlock(&cs->lock);
    if (!ok)
        metrics_count(h->metrics, METRIC_REFUSED_ADDRESS);
    return ok ? MHD_YES : MHD_NO;
}

static void address_text(const struct sockaddr *address, char buf[46], bool *ret_loopback)
{
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    const struct in_addr *v4 = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    struct in_addr mapped;

    if (address->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(v6)) {
        *ret_loopback = IN6_IS_ADDR_LOOPBACK(v6);
        (void)inet_ntop(AF_INET6, v6, buf, 46);
        return;
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&mapped, v6->s6_addr + 12, 4);
        v4 = &mapped;
    }
    *ret_loopback = ntohl(v4->s_addr) >> 24 == 127;
    (void)inet_ntop(AF_INET, v4, buf, 46);
}

static void local_address(struct conn *c)
{
    struct sockaddr_storage own;
    socklen_t n = sizeof own;
    bool unused;

    if (getsockname(c->fd, (struct sockaddr *)&own, &n) == 0)
        address_text((const struct sockaddr *)&own, c->local, &unused);
}

static struct conn *conn_new(struct http *h, struct MHD_Connection *mc)
{
    const struct sockaddr *address =
        MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    struct conn *c = calloc(1, sizeof *c);
    unsigned char key[PEER_KEY];
    struct peer **at;

    if (c == NULL || !peer_key(address, key)) {
        free(c);
        return NULL;
    }
    c->fd = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    conn_deadline(c, h->cfg.header_deadline_ms);
    address_text(address, c->address, &c->loopback);
    local_address(c);
    (void)pthread_mutex_lock(&h->conns.lock);
    at = peer_slot(&h->conns, key);
    if (*at == NULL && (*at = calloc(1, sizeof **at)) != NULL)
        memcpy((*at)->key, key, PEER_KEY);
    c->peer = *at;
    if (c->peer != NULL) {
        c->peer->n++;
        c->peer->strangers++;
        c->next = h->conns.first;
        if (c->next != NULL)
            c->next->prev = c;
        h->conns.first = c;
        h->conns.n++;
        /* Two I/O threads may each have let in the last one. */
        if (c->peer->n > h->conns.max_address || c->peer->strangers > h->conns.strangers_address)
            (void)shutdown(c->fd, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&h->conns.lock);
    if (c->peer == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

static void conn_end(struct conns *cs, struct conn *c)
{
    struct peer *p = c->peer;

    (void)pthread_mutex_lock(&cs->lock);
    if (c->next != NULL)
        c->next->prev = c->prev;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        cs->first = c->next;
    cs->n--;
    p->strangers -= !c->trusted;
    if (--p->n == 0) {
        *peer_slot(cs, p->key) = p->next;
        free(p);
    }
    (void)pthread_mutex_unlock(&cs->lock);
    arena_free(c->arena);
    secret_wipe(&c->device, sizeof c->device);
    free(c);
}

void conns_notify(void *http, struct MHD_Connection *mc, void **ctx,
                  enum MHD_ConnectionNotificationCode what)
{
    struct http *h = http;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        metrics_count(h->metrics, METRIC_CONNECTIONS);
        const union MHD_ConnectionInfo *i =
            MHD_get_connection_info(mc, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        *ctx = conn_new(h, mc);
        if (i != NULL && *ctx != NULL) {
            (void)gnutls_session_ticket_enable_server(i->tls_session, tls_ticket_key(h->cfg.tls));
            trickle_watch(i->tls_session, ((const struct conn *)*ctx)->fd);
        }
    } else if (*ctx != NULL) {
        /* The TLS session is freed already; the socket is still open, so the reaper cannot hit a
         * reused one. */
        if (((const struct conn *)*ctx)->body_coming)
            linger_add(&h->lingers, ((const struct conn *)*ctx)->fd);
        conn_end(&h->conns, *ctx);
        *ctx = NULL;
    }
}

void conns_trust(struct conns *cs, struct conn *c)
{
    if (c->trusted)
        return;
    (void)pthread_mutex_lock(&cs->lock);
    c->trusted = true;
    c->peer->strangers--;
    (void)pthread_mutex_unlock(&cs->lock);
}

void conn_deadline(struct conn *c, int64_t in_ms)
{
    atomic_store_explicit(&c->deadline_ms,
                          in_ms == CONN_NO_DEADLINE ? in_ms : clock_mono_coarse_ms() + in_ms,
                          memory_order_relaxed);
}

unsigned conns_reap(struct conns *cs, int64_t now_ms)
{
    unsigned n = 0;

    (void)pthread_mutex_lock(&cs->lock);
    for (struct conn *c = cs->first; c != NULL; c = c->next)
        if (atomic_load_explicit(&c->deadline_ms, memory_order_relaxed) <= now_ms) {
            (void)shutdown(c->fd, SHUT_RDWR);
            atomic_store_explicit(&c->deadline_ms, CONN_NO_DEADLINE, memory_order_relaxed);
            n++;
        }
    (void)pthread_mutex_unlock(&cs->lock);
    return n;
}
