/* The grammar of every textual type: what passes here can go into a file of a daemon. */
#include "catalog/catalog_private.h"
#include "catalog/ipnet.h"

#include <stdio.h>
#include <strings.h>

static bool fail(struct findings *f, enum finding_id id, const char *pointer, const char *a0,
                 const char *a1)
{
    (void)finding_add(f, id, pointer, a0, a1, NULL, NULL);
    return false;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    }
    return true;
}

/* Letters, digits and inner hyphens in labels of 1..63 bytes (RFC 1123 2.1); lower-cased into out.
 * The last label is not a number: no name looks like an address. */
static bool ldh(struct slice s, char *out, size_t size, size_t *labels)
{
    bool digits_only = true;
    size_t len = 0;

    *labels = 1;
    if (s.n == 0 || s.n > 253 || s.n >= size)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool end = i + 1 == s.n || s.p[i + 1] == '.';
        if (c == '.') {
            if (len == 0 || i + 1 == s.n)
                return false;
            ++*labels;
            len = 0;
            digits_only = true;
        } else {
            if ((!is_alnum(c) && (c != '-' || len == 0 || end)) || ++len > 63)
                return false;
            digits_only = digits_only && c >= '0' && c <= '9';
        }
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    out[s.n] = '\0';
    return !digits_only;
}

static bool name_text(struct slice in, bool domain, const char *name, const char *pointer,
                      char *out, struct findings *f)
{
    size_t labels;

    if (in.n > 1 && in.p[in.n - 1] == '.')
        in.n--; /* "example.com." is the same name */
    if (!is_ascii(in))
        return fail(f, F_V_IDNA, pointer, name, NULL);
    if (!ldh(in, out, CATALOG_TEXT_MAX, &labels))
        return fail(f, domain ? F_V_DOMAIN : F_V_HOST, pointer, name, NULL);
    return true;
}

static bool address_text(struct slice in, const char *name, const char *pointer, char *out,
                         struct findings *f)
{
    struct ipnet n;

    switch (ipnet_address(in, &n)) {
    case IPNET_OK:
        ipnet_format(&n, out);
        return true;
    case IPNET_MAPPED:
        return fail(f, F_V_MAPPED, pointer, name, NULL);
    case IPNET_SYNTAX:
    case IPNET_HOST_BITS:
        break;
    }
    return fail(f, F_V_ADDRESS, pointer, name, NULL);
}

static bool cidr_text(struct slice in, const char *name, const char *pointer, char *out,
                      struct findings *f)
{
    struct ipnet n;

    switch (ipnet_parse(in, &n)) {
    case IPNET_OK:
        ipnet_format(&n, out);
        return true;
    case IPNET_MAPPED:
        return fail(f, F_V_MAPPED, pointer, name, NULL);
    case IPNET_HOST_BITS:
        ipnet_format_prefix(&n, out);
        return fail(f, F_V_HOST_BITS, pointer, name, out);
    case IPNET_SYNTAX:
        break;
    }
    return fail(f, F_V_CIDR, pointer, name, NULL);
}

/* "host", "host:port", "[host]", "[host]:port"; an address gets its brackets: it has no MX. */
static bool one_hop(struct slice in, char *out, size_t size)
{
    struct slice host = in, port = {NULL, 0};
    bool bracket = in.n > 0 && in.p[0] == '[', address = true;
    char text[256];
    struct ipnet n;
    size_t labels;
    uint64_t number;

    if (bracket) {
        const char *end = memchr(in.p, ']', in.n);
        if (end == NULL)
            return false;
        host = (struct slice){in.p + 1, (size_t)(end - in.p) - 1};
        if (host.n + 2 < in.n) {
            if (end[1] != ':')
                return false;
            port = (struct slice){end + 2, in.n - host.n - 3};
        }
    } else if (ipnet_address(in, &n) != IPNET_OK) {
        port = in;
        host = slice_cut(&port, ':');
    }
    if (port.p != NULL && (!parse_u64(port, 1, 65535, &number) || port.p[0] == '0'))
        return false;
    if (ipnet_address(host, &n) == IPNET_OK) {
        ipnet_format(&n, text);
    } else {
        address = false;
        if (!ldh(host, text, sizeof text, &labels))
            return false;
    }
    bracket = bracket || address;
    (void)snprintf(out, size, "%s%s%s%s%.*s", bracket ? "[" : "", text, bracket ? "]" : "",
                   port.p == NULL ? "" : ":", (int)port.n, port.p == NULL ? "" : port.p);
    return true;
}

static bool hops_text(const struct setting_field *fd, struct slice in, const char *name,
                      const char *pointer, char *out, struct findings *f)
{
    struct slice rest = in;
    size_t used = 0;
    int64_t n = 0;

    do {
        struct slice one = slice_trim(slice_cut(&rest, ','));
        char text[280];
        if (!one_hop(one, text, sizeof text))
            return fail(f, F_V_NEXT_HOP, pointer, name, NULL);
        if (++n > (fd->max < 1 ? 1 : fd->max)) {
            char most[24];
            (void)snprintf(most, sizeof most, "%lld", (long long)(fd->max < 1 ? 1 : fd->max));
            return fail(f, F_V_TOO_MANY_HOPS, pointer, name, most);
        }
        used += (size_t)snprintf(out + used, CATALOG_TEXT_MAX - used, "%s%s", used == 0 ? "" : ", ",
                                 text);
    } while (rest.p != NULL && used < CATALOG_TEXT_MAX);
    return used < CATALOG_TEXT_MAX;
}

static bool path_text(struct slice in, const char *name, const char *pointer, char *out,
                      struct findings *f)
{
    bool ok = in.n > 1 && in.n <= 255 && in.p[0] == '/' && in.p[in.n - 1] != '/';

    for (size_t i = 0; ok && i < in.n; i++) {
        ok = is_alnum(in.p[i]) || strchr("/._-+@", in.p[i]) != NULL;
        if (in.p[i] == '/' && i + 1 < in.n &&
            (in.p[i + 1] == '/' ||
             (in.p[i + 1] == '.' && (i + 2 == in.n || in.p[i + 2] == '/' || in.p[i + 2] == '.'))))
            ok = false; /* "//", "/./", "/.." */
    }
    if (!ok)
        return fail(f, F_V_PATH, pointer, name, NULL);
    memcpy(out, in.p, in.n);
    out[in.n] = '\0';
    return true;
}

/* RFC 5321 dot-atom local parts only: nothing quoted, no percent hack, no bang path. */
static bool mail_text(struct slice in, const char *name, const char *pointer, char *out,
                      struct findings *f)
{
    struct slice domain = in;
    struct slice local = slice_cut(&domain, '@');
    size_t labels;

    if (!is_ascii(in))
        return fail(f, F_V_IDNA, pointer, name, NULL);
    if (domain.p == NULL || local.n > 64)
        return fail(f, F_V_MAIL, pointer, name, NULL);
    for (size_t i = 0; i < local.n; i++) {
        char c = local.p[i];
        bool dot_ok = c == '.' && i > 0 && i + 1 < local.n && local.p[i - 1] != '.';
        if (!is_alnum(c) && !dot_ok && (c == '.' || strchr("'*+-/=?^_~&", c) == NULL))
            return fail(f, F_V_MAIL, pointer, name, NULL);
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    out[local.n] = '@';
    if (!ldh(domain, out + local.n + 1, CATALOG_TEXT_MAX - local.n - 1, &labels))
        return fail(f, F_V_MAIL, pointer, name, NULL);
    return true;
}

/* The lookup types of Postfix: a text that starts a word with one of them and a colon is refused.
 */
static const char *lookup_type_in(struct slice s)
{
    static const char *const types[] = {
        "btree",    "cdb",    "cidr",    "dbm",      "environ",  "fail",   "hash",    "inline",
        "internal", "ldap",   "lmdb",    "memcache", "mysql",    "nis",    "nisplus", "pcre",
        "pgsql",    "pipe",   "pipemap", "proxy",    "randmap",  "regexp", "sdbm",    "socketmap",
        "sqlite",   "static", "tcp",     "texthash", "unionmap", "unix"};

    for (size_t i = 0; i < s.n; i++) {
        if (i > 0 && is_alnum(s.p[i - 1]))
            continue;
        for (size_t k = 0; k < COUNT_OF(types); k++) {
            size_t n = strlen(types[k]);
            if (s.n - i > n && strncasecmp(s.p + i, types[k], n) == 0 && s.p[i + n] == ':')
                return types[k];
        }
    }
    return NULL;
}

static bool plain_text(const struct setting_field *fd, struct slice in, const char *name,
                       const char *pointer, char *out, struct findings *f)
{
    const char *type;

    if ((int64_t)in.n < fd->min || (int64_t)in.n > fd->max || in.n >= CATALOG_TEXT_MAX) {
        char n[24], lo[24], hi[24];
        (void)snprintf(n, sizeof n, "%zu", in.n);
        (void)snprintf(lo, sizeof lo, "%lld", (long long)fd->min);
        (void)snprintf(hi, sizeof hi, "%lld", (long long)fd->max);
        (void)finding_add(f, F_V_LENGTH, pointer, name, n, lo, hi);
        return false;
    }
    if (!fd->note) {
        for (size_t i = 0; i < in.n; i++) {
            char c[2] = {in.p[i], '\0'};
            if ((unsigned char)c[0] >= 0x80)
                return fail(f, F_V_ASCII, pointer, name, NULL);
            if (strchr("$|`{}<>\"\\", c[0]) != NULL)
                return fail(f, F_V_CHARACTER, pointer, name, c);
        }
        if (in.n > 0 && (in.p[0] == ' ' || in.p[in.n - 1] == ' '))
            return fail(f, F_V_BLANKS, pointer, name, NULL);
        if ((type = lookup_type_in(in)) != NULL)
            return fail(f, F_V_LOOKUP_TYPE, pointer, name, type);
    }
    if (in.n > 0)
        memcpy(out, in.p, in.n);
    out[in.n] = '\0';
    return true;
}

static bool enum_text(const struct setting_field *fd, struct slice in, const char *name,
                      const char *pointer, char *out, struct findings *f)
{
    char all[FINDING_ARG_MAX] = "";
    size_t used = 0;

    for (size_t i = 0; fd->names[i] != NULL; i++) {
        if (slice_is(in, fd->names[i])) {
            (void)snprintf(out, CATALOG_TEXT_MAX, "%s", fd->names[i]);
            return true;
        }
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i == 0 ? "" : ", ",
                                     fd->names[i]);
    }
    return fail(f, F_V_ENUM, pointer, name, all);
}

bool catalog_text(const struct setting_field *fd, struct slice in, const char *name,
                  const char *pointer, char out[CATALOG_TEXT_MAX], struct findings *f)
{
    if (!slice_is_text(in))
        return fail(f, F_V_CONTROL, pointer, name, NULL);
    if (in.n == 0 && fd->optional_empty) {
        out[0] = '\0';
        return true;
    }
    switch (fd->type) {
    case SET_ENUM:
        return enum_text(fd, in, name, pointer, out, f);
    case SET_TEXT:
        return plain_text(fd, in, name, pointer, out, f);
    case SET_ADDRESS:
        return address_text(in, name, pointer, out, f);
    case SET_CIDR:
        return cidr_text(in, name, pointer, out, f);
    case SET_HOST:
        return name_text(in, false, name, pointer, out, f);
    case SET_DOMAIN:
        return name_text(in, true, name, pointer, out, f);
    case SET_HOSTPORT:
        return hops_text(fd, in, name, pointer, out, f);
    case SET_PATH:
        return path_text(in, name, pointer, out, f);
    case SET_MAIL:
        return mail_text(in, name, pointer, out, f);
    case SET_BOOL:
    case SET_INT:
    case SET_BYTES:
    case SET_DURATION:
    case SET_PORT:
    case SET_SECRET:
    case SET_LIST:
        break;
    }
    return fail(f, F_V_TYPE, pointer, name, "a text");
}
