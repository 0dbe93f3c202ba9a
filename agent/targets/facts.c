#include "targets/facts.h"

#include "base/clock.h"
#include "base/file.h"
#include "targets/postfix_cf.h"
#include "targets/resolve.h"
#include "targets/sockets.h"
#include "targets/tls_file.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static bool fits_another(const json_t *files, size_t n, size_t i)
{
    const char *path = json_string_value(json_array_get(files, i));

    for (size_t j = 0; j < n; j++) {
        const char *other = json_string_value(json_array_get(files, j));
        struct tls_file pair;
        if (i == j || other == NULL || other[0] != '/')
            continue;
        tls_file_look(path, other, &pair);
        if (pair.pem.key_matches)
            return true;
    }
    return false;
}

static void put_time(json_t *o, const char *member, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms == 0)
        return;
    clock_format(ms, text);
    (void)json_object_set_new(o, member, json_string(text));
}

/* With every other file as its possible other half. */
static json_t *look_at_files(const json_t *files, const json_t *used)
{
    json_t *ret = json_array();
    size_t n = json_array_size(files) > FACTS_FILES_MAX ? FACTS_FILES_MAX : json_array_size(files);

    for (size_t i = 0; i < n; i++) {
        const char *path = json_string_value(json_array_get(files, i));
        struct tls_file f;
        json_t *o;
        if (path == NULL || path[0] != '/')
            continue;
        tls_file_look(path, path, &f);
        o = json_pack("{s:s,s:b,s:b,s:b,s:b,s:b}", "path", path, "readable", f.readable, "is_cert",
                      f.pem.is_cert, "is_key", f.pem.is_key, "key_matches",
                      f.pem.key_matches || (f.readable && fits_another(files, n, i)), "in_use",
                      json_object_get(used, path) != NULL);
        put_time(o, "not_before", f.pem.not_before_ms);
        put_time(o, "not_after", f.pem.not_after_ms);
        if (f.pem.n_names > 0) {
            json_t *names = json_array();
            for (size_t k = 0; k < f.pem.n_names; k++)
                (void)json_array_append_new(names, json_string(f.pem.name[k]));
            (void)json_object_set_new(o, "names", names);
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

static struct cf_param *main_cf(const char *folder, struct arena *a, size_t *ret_n)
{
    AUTO_STR char *path = NULL, *text = NULL;
    struct cf_param *v;
    struct err e = {0};
    size_t n;

    *ret_n = 0;
    if (asprintf(&path, "%s/main.cf", folder) < 0 ||
        file_read(path, CF_FILE_MAX, &text, &n, &e) != ERR_OK ||
        main_cf_parse((struct slice){text, n}, a, &v, ret_n, &e) != ERR_OK)
        return NULL;
    return v;
}

/* The name Postfix had before it was ours, when somebody had given it one: it stays the device's
 * name until a setting says otherwise. */
static void mail_name(const char *folder, struct arena *a, char *buf, size_t size)
{
    size_t n;
    struct cf_param *v = main_cf(folder, a, &n);
    const char *name = v == NULL ? NULL : cf_param_value(v, n, "myhostname");

    if (name != NULL && name[0] != '\0' && strchr(name, '$') == NULL && strlen(name) < size)
        memcpy(buf, name, strlen(name) + 1);
}

/* Header checks as they are written, in characters that a report can show; {} when there are none.
 */
static json_t *header_checks(const struct cf_param *v, size_t n)
{
    json_t *ret = json_object();

    for (size_t i = 0; i < PLAN_CHECKS; i++) {
        const char *value = cf_param_value(v, n, plan_checks_params[i]);
        char text[FACTS_CHECKS_MAX + 1];
        size_t len = 0;
        if (value == NULL)
            continue;
        for (; value[len] != '\0' && len < FACTS_CHECKS_MAX; len++)
            text[len] = value[len] >= 0x20 && value[len] < 0x7f ? value[len] : '?';
        text[len] = '\0';
        (void)json_object_set_new(ret, plan_checks_params[i], json_string(text));
    }
    return ret;
}

/* The addresses of a proxy or address translator in front (proxy_interfaces: nobody's setting, it
 * stays what the administrator wrote), and the files Postfix has now.  *ret_checks: header checks;
 * NULL when main.cf cannot be read. */
static void what_runs(const struct postfix *p, struct arena *a, json_t *proxies, json_t *used,
                      json_t **ret_checks)
{
    static const char *const files[] = {"smtpd_tls_cert_file", "smtpd_tls_key_file",
                                        "smtp_tls_CAfile"};
    size_t n;
    struct cf_param *v = main_cf(p->s->postfix_config, a, &n);
    const char *text = v == NULL ? NULL : cf_param_value(v, n, "proxy_interfaces");

    *ret_checks = v == NULL ? NULL : header_checks(v, n);
    for (size_t i = 0; v != NULL && i < COUNT_OF(files); i++) {
        const char *path = cf_param_value(v, n, files[i]);
        if (path != NULL)
            (void)json_object_set_new(used, path, json_true());
    }
    while (text != NULL && *(text += strspn(text, ", \t\n")) != '\0') {
        unsigned char raw[16];
        char one[INET6_ADDRSTRLEN];
        size_t len = strcspn(text, ", \t\n");
        (void)snprintf(one, sizeof one, "%.*s", (int)len, text);
        text += len;
        if (inet_pton(AF_INET, one, raw) == 1 || inet_pton(AF_INET6, one, raw) == 1)
            (void)json_array_append_new(proxies, json_string(one));
    }
}

enum err_code facts_collect(const struct postfix *p, const char *foxproxy, const json_t *names,
                            const json_t *domains, const json_t *files, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(32 * MIB);
    AUTO(json_free) json_t *used = json_object();
    json_t *sockets = NULL, *proxies = json_array(), *checks, *resolved, *mx;
    char host[256], original[PATH_MAX];
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : listeners(&sockets, e);

    if (rc != ERR_OK) {
        json_decref(proxies);
        return rc;
    }
    host_name(host, sizeof host);
    (void)snprintf(original, sizeof original, "%s/original", p->s->helper_state);
    mail_name(access(original, F_OK) == 0 ? original : p->s->postfix_config, a, host, sizeof host);
    what_runs(p, a, proxies, used, &checks);
    resolve_all(names, domains, p->s->resolve_timeout_ms, &resolved, &mx);
    *ret = json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o*}", "hostname", host, "postfix",
                     p->version, "addresses", own_addresses(), "proxy_addresses", proxies,
                     "map_types", map_types(p), "listeners", sockets, "names", resolved, "mx", mx,
                     "files", look_at_files(files, used), "header_checks", checks);
    if (*ret != NULL && foxproxy[0] != '\0')
        (void)json_object_set_new(*ret, "foxproxy", json_string(foxproxy));
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}
