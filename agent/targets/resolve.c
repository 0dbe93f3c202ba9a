#include "targets/resolve.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 16, STACK = 512 * 1024 };
enum {
    MX_MS = 1500
}; /* only a warning is lost when DNS is slower: no change waits longer for it */

struct host {
    char name[256];
    int preference;
    char address[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    size_t n;
};

struct lookup {
    char name[256];
    bool mx, found;
    size_t n_hosts; /* of an MX; a plain name is the one at hosts[0] */
    struct host hosts[RESOLVE_MX_MAX];
    atomic_bool done;
    atomic_int users; /* the thread and the caller */
};

static void let_go(struct lookup *l)
{
    if (atomic_fetch_sub(&l->users, 1) == 1)
        free(l);
}

static void add_address(struct host *h, const struct addrinfo *ai)
{
    struct sockaddr_in s4;
    struct sockaddr_in6 s6;

    if (h->n == ADDRESSES_MAX)
        return;
    if (ai->ai_family == AF_INET) {
        memcpy(&s4, ai->ai_addr, sizeof s4);
        (void)inet_ntop(AF_INET, &s4.sin_addr, h->address[h->n++], INET6_ADDRSTRLEN);
    } else if (ai->ai_family == AF_INET6) {
        memcpy(&s6, ai->ai_addr, sizeof s6);
        (void)inet_ntop(AF_INET6, &s6.sin6_addr, h->address[h->n++], INET6_ADDRSTRLEN);
    }
}

static bool addresses_of(struct host *h)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;

    if (getaddrinfo(h->name, NULL, &hints, &all) != 0)
        return false;
    for (const struct addrinfo *i = all; i != NULL; i = i->ai_next)
        add_address(h, i);
    freeaddrinfo(all);
    return true;
}

static void add_exchanger(struct lookup *l, const ns_msg *msg, const ns_rr *rr)
{
    struct host *h = &l->hosts[l->n_hosts];
    const unsigned char *data = ns_rr_rdata(*rr);

    if (ns_rr_type(*rr) != ns_t_mx || ns_rr_rdlen(*rr) < 3 || l->n_hosts == RESOLVE_MX_MAX)
        return;
    if (dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), data + 2, h->name, (int)sizeof h->name) < 0)
        return;
    h->preference = (int)ns_get16(data);
    l->n_hosts++;
}

/* An answer without MX records is one: mail then goes to the name's own address.  "No such name"
 * and silence are none. */
static bool exchangers_of(struct lookup *l)
{
    struct __res_state state = {0};
    unsigned char answer[8192];
    ns_msg msg;
    int n;

    if (res_ninit(&state) != 0)
        return false;
    state.retrans = state.retry = 1;
    n = res_nquery(&state, l->name, ns_c_in, ns_t_mx, answer, (int)sizeof answer);
    l->found = n < 0 && state.res_h_errno == NO_DATA;
    res_nclose(&state);
    if (n < 0 || n > (int)sizeof answer || ns_initparse(answer, n, &msg) != 0)
        return l->found;
    for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
        ns_rr rr;
        if (ns_parserr(&msg, ns_s_an, i, &rr) == 0)
            add_exchanger(l, &msg, &rr);
    }
    for (size_t i = 0; i < l->n_hosts; i++)
        (void)addresses_of(&l->hosts[i]);
    return true;
}

static void *run(void *arg)
{
    struct lookup *l = arg;

    if (l->mx) {
        l->found = exchangers_of(l);
    } else {
        (void)snprintf(l->hosts[0].name, sizeof l->hosts[0].name, "%s", l->name);
        l->found = addresses_of(&l->hosts[0]);
    }
    atomic_store(&l->done, true);
    let_go(l);
    return NULL;
}

static struct lookup *start(const char *name, bool mx)
{
    struct lookup *l = calloc(1, sizeof *l);
    pthread_attr_t attr;
    pthread_t t;

    if (l == NULL)
        return NULL;
    (void)snprintf(l->name, sizeof l->name, "%s", name);
    l->mx = mx;
    atomic_init(&l->users, 2);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK);
    if (pthread_create(&t, &attr, run, l) != 0) {
        free(l);
        l = NULL;
    }
    (void)pthread_attr_destroy(&attr);
    return l;
}

static size_t start_all(const json_t *names, bool mx, size_t max, struct lookup **v)
{
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(names) && n < max; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name != NULL && name[0] != '\0' && strlen(name) < 256 &&
            (v[n] = start(name, mx)) != NULL)
            n++;
    }
    return n;
}

static json_t *addresses_to_json(const struct host *h)
{
    json_t *a = json_array();

    for (size_t i = 0; i < h->n; i++)
        (void)json_array_append_new(a, json_string(h->address[i]));
    return a;
}

static json_t *exchangers_to_json(const struct lookup *l)
{
    json_t *a = json_array();

    for (size_t i = 0; i < l->n_hosts; i++)
        (void)json_array_append_new(a, json_pack("{s:i,s:s,s:o}", "preference",
                                                 l->hosts[i].preference, "host", l->hosts[i].name,
                                                 "addresses", addresses_to_json(&l->hosts[i])));
    return a;
}

void resolve_all(const json_t *names, const json_t *domains, int64_t timeout_ms, json_t **ret_names,
                 json_t **ret_mx)
{
    int64_t begun = clock_mono_ms(), until = begun + timeout_ms,
            mx_until = begun + (timeout_ms < MX_MS ? timeout_ms : MX_MS);
    struct lookup *v[RESOLVE_NAMES_MAX + RESOLVE_MX_MAX];
    size_t n = start_all(names, false, RESOLVE_NAMES_MAX, v);

    n += start_all(domains, true, RESOLVE_MX_MAX, v + n);
    *ret_names = json_object();
    *ret_mx = json_object();
    for (size_t i = 0; i < n; i++) {
        while (!atomic_load(&v[i]->done) && clock_mono_ms() < (v[i]->mx ? mx_until : until))
            (void)usleep(2000);
        if (!atomic_load(&v[i]->done)) {
            let_go(v[i]);
            continue;
        }
        if (!v[i]->mx) /* also when it has no address: then nothing leads anywhere */
            (void)json_object_set_new(*ret_names, v[i]->name, addresses_to_json(&v[i]->hosts[0]));
        else if (v[i]->found)
            (void)json_object_set_new(*ret_mx, v[i]->name, exchangers_to_json(v[i]));
        let_go(v[i]);
    }
}
