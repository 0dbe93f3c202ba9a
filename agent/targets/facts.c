#include "targets/facts.h"

#include "base/clock.h"
#include "base/file.h"
#include "catalog/catalog.h"
#include "targets/postfix_cf.h"
#include "targets/sockets.h"
#include "targets/tls_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- names: one thread each, since getaddrinfo has no deadline; a late one frees its own memory
 * --- */

enum { ADDRESSES_MAX = 16 };

struct lookup {
    char name[256];
    char address[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    size_t n;
    bool found;
    atomic_bool done;
    atomic_int users; /* the thread and the caller */
};

static void let_go(struct lookup *l)
{
    if (atomic_fetch_sub(&l->users, 1) == 1)
        free(l);
}

static void add_address(struct lookup *l, const struct addrinfo *ai)
{
    struct sockaddr_in s4;
    struct sockaddr_in6 s6;

    if (l->n == ADDRESSES_MAX)
        return;
    if (ai->ai_family == AF_INET) {
        memcpy(&s4, ai->ai_addr, sizeof s4);
        (void)inet_ntop(AF_INET, &s4.sin_addr, l->address[l->n++], INET6_ADDRSTRLEN);
    } else if (ai->ai_family == AF_INET6) {
        memcpy(&s6, ai->ai_addr, sizeof s6);
        (void)inet_ntop(AF_INET6, &s6.sin6_addr, l->address[l->n++], INET6_ADDRSTRLEN);
    }
}

static void *resolve(void *arg)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    struct lookup *l = arg;

    if (getaddrinfo(l->name, NULL, &hints, &all) == 0) {
        l->found = true;
        for (const struct addrinfo *i = all; i != NULL; i = i->ai_next)
            add_address(l, i);
        freeaddrinfo(all);
    }
    atomic_store(&l->done, true);
    let_go(l);
    return NULL;
}

static struct lookup *start_lookup(const char *name)
{
    struct lookup *l = calloc(1, sizeof *l);
    pthread_attr_t attr;
    pthread_t t;

    if (l == NULL)
        return NULL;
    (void)snprintf(l->name, sizeof l->name, "%s", name);
    atomic_init(&l->users, 2);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, 256 * KIB);
    if (pthread_create(&t, &attr, resolve, l) != 0) {
        free(l);
        l = NULL;
    }
    (void)pthread_attr_destroy(&attr);
    return l;
}

static json_t *addresses_of(const struct lookup *l)
{
    json_t *a = json_array();

    for (size_t i = 0; i < l->n; i++)
        (void)json_array_append_new(a, json_string(l->address[i]));
    return a;
}

static json_t *resolve_names(const json_t *names, int64_t timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    struct lookup *v[FACTS_NAMES_MAX];
    json_t *ret = json_object();
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(names) && n < FACTS_NAMES_MAX; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name != NULL && strlen(name) < 256 && (v[n] = start_lookup(name)) != NULL)
            n++;
    }
    for (size_t i = 0; i < n; i++) {
        while (!atomic_load(&v[i]->done) && clock_mono_ms() < until)
            (void)usleep(2000);
        if (atomic_load(&v[i]->done))
            (void)json_object_set_new(ret, v[i]->name, addresses_of(v[i]));
        let_go(v[i]);
    }
    return ret;
}

/* --- the rest --- */

static json_t *own_addresses(void)
{
    json_t *ret = json_array();
    struct ifaddrs *all, *i;

    if (getifaddrs(&all) != 0)
        return ret;
    for (i = all; i != NULL; i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN] = "";
        struct sockaddr_in s4;
        struct sockaddr_in6 s6;
        if (i->ifa_addr == NULL)
            continue;
        if (i->ifa_addr->sa_family == AF_INET) {
            memcpy(&s4, i->ifa_addr, sizeof s4);
            (void)inet_ntop(AF_INET, &s4.sin_addr, text, sizeof text);
        } else if (i->ifa_addr->sa_family == AF_INET6) {
            memcpy(&s6, i->ifa_addr, sizeof s6);
            if (!IN6_IS_ADDR_LINKLOCAL(&s6.sin6_addr))
                (void)inet_ntop(AF_INET6, &s6.sin6_addr, text, sizeof text);
        }
        if (text[0] != '\0')
            (void)json_array_append_new(ret, json_string(text));
    }
    freeifaddrs(all);
    return ret;
}

static enum err_code listeners(json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4 * MIB);
    struct listener *v;
    size_t n;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : sockets_listeners(a, &v, &n, e);

    if (rc != ERR_OK)
        return rc;
    *ret = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(
            *ret, json_pack("{s:s,s:i,s:s}", "address", v[i].address, "port", v[i].port, "owner",
                            v[i].owner[0] == '\0' ? "unknown" : v[i].owner));
    return ERR_OK;
}

static json_t *map_types(const struct postfix *p)
{
    struct slice rest = slice_of(p->map_types);
    json_t *ret = json_array();

    while (rest.n > 0) {
        struct slice w = slice_cut(&rest, ' ');
        if (w.n > 0)
            (void)json_array_append_new(ret, json_stringn(w.p, w.n));
    }
    return ret;
}

/* With every other file as its possible other half. */
static json_t *look_at_files(const json_t *files)
{
    json_t *ret = json_array();
    size_t n = json_array_size(files) > FACTS_FILES_MAX ? FACTS_FILES_MAX : json_array_size(files);

    for (size_t i = 0; i < n; i++) {
        const char *path = json_string_value(json_array_get(files, i));
        struct tls_file f;
        bool match = false;
        json_t *o;
        if (path == NULL || path[0] != '/')
            continue;
        tls_file_look(path, path, &f);
        match = f.key_matches;
        for (size_t j = 0; j < n && !match && f.readable; j++) {
            struct tls_file pair;
            const char *other = json_string_value(json_array_get(files, j));
            if (i != j && other != NULL && other[0] == '/') {
                tls_file_look(path, other, &pair);
                match = pair.key_matches;
            }
        }
        o = json_pack("{s:s,s:b,s:b,s:b,s:b}", "path", path, "readable", f.readable, "is_cert",
                      f.is_cert, "is_key", f.is_key, "key_matches", match);
        if (f.not_after_ms != 0) {
            char text[CLOCK_TEXT_SIZE];
            clock_format(f.not_after_ms, text);
            (void)json_object_set_new(o, "not_after", json_string(text));
        }
        (void)json_array_append_new(ret, o);
    }
    return ret;
}

/* The fully qualified name, by the host's own means; the bare one when nothing else is known. */
static void host_name(char *buf, size_t size)
{
    char text[256] = "", *end;
    FILE *f;

    if (gethostname(buf, size) != 0)
        (void)snprintf(buf, size, "localhost");
    buf[size - 1] = '\0';
    if (strchr(buf, '.') != NULL)
        return;
    f = fopen("/etc/hosts", "re"); /* no DNS here: it may hang */
    while (f != NULL && fgets(text, sizeof text, f) != NULL) {
        size_t n = strlen(buf);
        text[strcspn(text, "#\n")] = '\0';
        for (char *w = strtok_r(text, " \t", &end); w != NULL; w = strtok_r(NULL, " \t", &end)) {
            if (strncmp(w, buf, n) == 0 && w[n] == '.' && strlen(w) < size) {
                memcpy(buf, w, strlen(w) + 1);
                (void)fclose(f);
                return;
            }
        }
    }
    if (f != NULL)
        (void)fclose(f);
}

/* The name Postfix had before it was ours, when somebody had given it one: it stays the device's
 * name until a setting says otherwise. */
static void mail_name(const char *folder, char *buf, size_t size)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * MIB);
    AUTO_STR char *path = NULL, *text = NULL;
    struct cf_param *v;
    const char *name;
    struct err e = {0};
    size_t n, count;

    if (a == NULL || asprintf(&path, "%s/main.cf", folder) < 0 ||
        file_read(path, CF_FILE_MAX, &text, &n, &e) != ERR_OK ||
        main_cf_parse((struct slice){text, n}, a, &v, &count, &e) != ERR_OK)
        return;
    name = cf_param_value(v, count, "myhostname");
    if (name != NULL && name[0] != '\0' && strchr(name, '$') == NULL && strlen(name) < size)
        memcpy(buf, name, strlen(name) + 1);
}

enum err_code facts_collect(const struct postfix *p, const json_t *names, const json_t *files,
                            json_t **ret, struct err *e)
{
    json_t *sockets = NULL;
    char host[256], original[PATH_MAX];
    enum err_code rc = listeners(&sockets, e);

    if (rc != ERR_OK)
        return rc;
    host_name(host, sizeof host);
    (void)snprintf(original, sizeof original, "%s/original", p->s->helper_state);
    mail_name(access(original, F_OK) == 0 ? original : p->s->postfix_config, host, sizeof host);
    *ret = json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "hostname", host, "postfix", p->version,
                     "addresses", own_addresses(), "map_types", map_types(p), "listeners", sockets,
                     "names", resolve_names(names, p->s->resolve_timeout_ms), "files",
                     look_at_files(files));
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

/* --- what settings speak of --- */

static void want(json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), word) == 0)
            return;
    (void)json_array_append_new(list, json_string(word));
}

static void want_value(enum setting_type type, const char *text, json_t *names, json_t *files)
{
    unsigned char raw[16];
    char host[256];

    if (text == NULL || text[0] == '\0')
        return;
    if (type == SET_PATH)
        want(files, text);
    if (type != SET_HOST && type != SET_HOSTPORT)
        return;
    (void)snprintf(host, sizeof host, "%s", text[0] == '[' ? text + 1 : text);
    host[text[0] == '[' ? strcspn(host, "]") : strcspn(host, ":")] = '\0';
    if (host[0] != '\0' && inet_pton(AF_INET, host, raw) != 1 &&
        inet_pton(AF_INET6, host, raw) != 1)
        want(names, host);
}

void facts_wanted(const json_t *settings, json_t **ret_names, json_t **ret_files)
{
    *ret_names = json_array();
    *ret_files = json_array();
    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        json_t *v = json_object_get(settings, s->key), *row;
        const char *key;
        if (s->value.type != SET_LIST) {
            want_value(s->value.type, json_string_value(v), *ret_names, *ret_files);
            continue;
        }
        json_object_foreach(v, key, row)
        {
            for (size_t j = 0; j < s->n_fields; j++)
                want_value(s->fields[j].type, json_str(row, s->fields[j].name, NULL), *ret_names,
                           *ret_files);
        }
    }
}
