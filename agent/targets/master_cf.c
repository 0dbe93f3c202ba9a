#include "targets/cf_lines.h"

#include <stdio.h>

/* The programs a service of ours may name (P12): never pipe, spawn, virtual or local. */
static const char *const commands[] = {"smtpd",   "smtp",    "lmtp", "error",
                                       "discard", "cleanup", NULL};

const struct cf_service *cf_service_find(const struct cf_service *v, size_t n, const char *name,
                                         const char *type)
{
    while (n-- > 0)
        if (strcmp(v[n].name, name) == 0 && strcmp(v[n].type, type) == 0)
            return &v[n];
    return NULL;
}

bool cf_owns_service(const struct plan *p, const char *name, const char *type)
{
    char key[300];

    (void)snprintf(key, sizeof key, "%s/%s", name, type);
    for (size_t i = 0; i < p->n_owned_services; i++)
        if (strcmp(p->owned_services[i], key) == 0)
            return true;
    for (size_t i = 0; i < p->n_services; i++)
        if (strcmp(p->services[i].service, name) == 0 && strcmp(p->services[i].type, type) == 0)
            return true;
    return false;
}

/* Next token of *s; braces keep blanks together.  NULL: none left.  *bad: unbalanced. */
static char *token(char **s, bool *bad)
{
    char *p = *s, *start;
    int depth = 0;

    while (*p == ' ')
        p++;
    if (*p == '\0')
        return NULL;
    for (start = p; *p != '\0' && (depth > 0 || *p != ' '); p++) {
        depth += *p == '{';
        depth -= *p == '}' && depth > 0;
    }
    *bad = *bad || depth > 0;
    if (*p != '\0')
        *p++ = '\0';
    *s = p;
    return start;
}

static char *trim(char *s)
{
    size_t n;

    while (*s == ' ')
        s++;
    for (n = strlen(s); n > 0 && s[n - 1] == ' '; n--)
        s[n - 1] = '\0';
    return s;
}

/* "name=value" or "{ name = value }" into its halves. */
static void option(char *s, struct plan_param *ret)
{
    size_t n = strlen(s);
    char *eq;

    if (n >= 2 && s[0] == '{' && s[n - 1] == '}') {
        s[n - 1] = '\0';
        s = trim(s + 1);
    }
    eq = strchr(s, '=');
    if (eq != NULL)
        *eq = '\0';
    ret->name = trim(s);
    ret->value = eq == NULL ? "" : trim(eq + 1);
}

static enum err_code arguments(char *rest, struct arena *a, struct cf_service *s, struct err *e)
{
    size_t max = strlen(rest) / 2 + 2, n = 0;
    struct plan_param *v = arena_alloc(a, max * sizeof *v);
    char *args = arena_alloc(a, strlen(rest) + 2), *to = args, *t;
    bool bad = false;

    if (v == NULL || args == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    while ((t = token(&rest, &bad)) != NULL) {
        if (strncmp(t, "-o", 2) == 0 && n < max) {
            char *value = t[2] != '\0' ? t + 2 : token(&rest, &bad);
            if (value == NULL)
                return err_set(e, ERR_INVALID, "service \"%s/%s\": -o without a parameter", s->name,
                               s->type);
            option(value, &v[n++]);
        } else {
            size_t len = strlen(t); /* all words together are never longer than rest was */
            if (to != args)
                *to++ = ' ';
            memcpy(to, t, len);
            to += len;
        }
    }
    if (bad)
        return err_set(e, ERR_INVALID, "service \"%s/%s\": unbalanced brace", s->name, s->type);
    s->options = v;
    s->n_options = n;
    s->args = args;
    return ERR_OK;
}

static enum err_code service(char *logical, struct arena *a, struct cf_service *ret, struct err *e)
{
    const char **const fields[] = {&ret->name,   &ret->type,   &ret->priv,    &ret->unpriv,
                                   &ret->chroot, &ret->wakeup, &ret->maxproc, &ret->command};

    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        char *end;
        while (*logical == ' ')
            logical++;
        if (*logical == '\0')
            return err_set(e, ERR_INVALID, "service line \"%s\" has only %zu of 8 fields",
                           i > 0 ? ret->name : "", i);
        end = strchr(logical, ' ');
        *fields[i] = logical;
        logical = end == NULL ? logical + strlen(logical) : end + 1;
        if (end != NULL)
            *end = '\0';
    }
    return arguments(logical, a, ret, e);
}

enum err_code master_cf_parse(struct slice text, struct arena *a, struct cf_service **ret,
                              size_t *ret_n, struct err *e)
{
    struct cf_lines l;
    struct cf_service *v;
    size_t n = 0;
    enum err_code rc = cf_lines_split(text, a, &l, e);

    if (rc != ERR_OK)
        return rc;
    v = arena_alloc(a, (l.n + 1) * sizeof *v);
    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < l.n && rc == ERR_OK; i++) {
        char *logical;
        if (l.v[i].kind != CF_START)
            continue;
        logical = cf_logical(&l, i, a);
        if (logical == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        rc = service(logical, a, &v[n++], e);
        if (rc != ERR_OK)
            return err_wrap(e, "master.cf:%zu", i + 1);
    }
    *ret = v;
    *ret_n = n;
    return rc;
}

static bool is_word(const char *s)
{
    if (*s == '\0' || *s == '#')
        return false;
    for (; *s != '\0'; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
              strchr("_-.:[]?%/", *s) != NULL))
            return false;
    return true;
}

static bool balanced(const char *s)
{
    int depth = 0;

    for (; *s != '\0' && depth >= 0; s++)
        depth += (*s == '{') - (*s == '}');
    return depth == 0;
}

static enum err_code check_service(const struct plan_service *s, struct err *e)
{
    const char *const words[] = {s->service, s->priv, s->unpriv, s->chroot, s->wakeup, s->maxproc};
    bool known = false;

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!is_word(words[i]))
            return err_set(e, ERR_INVALID,
                           "cannot write service \"%s\": \"%s\" is not a master.cf word",
                           s->service, words[i]);
    if (strcmp(s->type, "inet") != 0 && strcmp(s->type, "unix") != 0)
        return err_set(e, ERR_INVALID, "cannot write service \"%s\": type \"%s\"", s->service,
                       s->type);
    for (size_t i = 0; commands[i] != NULL && !known; i++)
        known = strcmp(commands[i], s->command) == 0;
    if (!known)
        return err_set(e, ERR_INVALID, "cannot write service \"%s\": command \"%s\" is not allowed",
                       s->service, s->command);
    for (size_t i = 0; i < s->n_options; i++)
        if (!is_word(s->options[i].name) || !cf_value_ok(s->options[i].value) ||
            !balanced(s->options[i].value))
            return err_set(e, ERR_INVALID, "cannot write option \"%s\" of service \"%s\"",
                           s->options[i].name, s->service);
    return ERR_OK;
}

static enum err_code check(const struct plan *p, struct err *e)
{
    for (size_t i = 0; i < p->n_services; i++) {
        enum err_code rc = check_service(&p->services[i], e);
        if (rc != ERR_OK)
            return rc;
        for (size_t j = 0; j < i; j++)
            if (strcmp(p->services[i].service, p->services[j].service) == 0 &&
                strcmp(p->services[i].type, p->services[j].type) == 0)
                return err_set(e, ERR_INVALID, "cannot write service \"%s\": planned twice",
                               p->services[i].service);
    }
    return ERR_OK;
}

static void put_service(const struct plan_service *s, struct strbuf *out)
{
    strbuf_printf(out, "%-15s %-5s %-7s %-7s %-7s %-7s %-7s %s\n", s->service, s->type, s->priv,
                  s->unpriv, s->chroot, s->wakeup, s->maxproc, s->command);
    for (size_t i = 0; i < s->n_options; i++)
        strbuf_printf(out, "    -o { %s =%s%s }\n", s->options[i].name,
                      *s->options[i].value == '\0' ? "" : " ", s->options[i].value);
}

static const char *service_text(const struct plan_service *s, struct arena *a)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(256 * KIB);

    put_service(s, &b);
    return strbuf_ok(&b) ? arena_strdup(a, strbuf_str(&b)) : NULL;
}

/* All services that take the stock line's place, not placed yet. */
static const char *smtp_text(const struct plan *p, bool *done, struct arena *a)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(256 * KIB);

    for (size_t i = 0; i < p->n_services; i++) {
        if (!p->services[i].replaces_smtp || done[i])
            continue;
        done[i] = true;
        put_service(&p->services[i], &b);
    }
    return strbuf_ok(&b) ? arena_strdup(a, strbuf_str(&b)) : NULL;
}

static bool is_stock_smtp(const char *name, const char *type)
{
    return strcmp(type, "inet") == 0 && (strcmp(name, "smtp") == 0 || strcmp(name, "25") == 0);
}

static bool takes_smtp(const struct plan *p)
{
    for (size_t i = 0; i < p->n_services; i++)
        if (p->services[i].replaces_smtp)
            return true;
    return false;
}

/* The first two words of the line that starts at i. */
static bool key_of(const struct cf_lines *l, size_t i, struct arena *a, char **name, char **type)
{
    char *s = cf_logical(l, i, a), *blank;

    if (s == NULL)
        return false;
    *name = s;
    blank = strchr(s, ' ');
    *type = blank == NULL ? s + strlen(s) : blank + 1;
    if (blank != NULL)
        *blank = '\0';
    (*type)[strcspn(*type, " ")] = '\0';
    return true;
}

static size_t planned(const struct plan *p, const char *name, const char *type)
{
    for (size_t i = 0; i < p->n_services; i++)
        if (strcmp(p->services[i].service, name) == 0 && strcmp(p->services[i].type, type) == 0)
            return i;
    return CF_NONE;
}

/* Owned lines that the plan has keep their place: first, so that the stock line does not take them
 * along. */
static enum err_code mark(struct cf_lines *l, const struct plan *p, bool *done, struct arena *a,
                          struct err *e)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < l->n; i++) {
            const char *instead = NULL;
            char *name, *type;
            size_t at;
            if (l->v[i].kind != CF_START || l->v[i].drop)
                continue;
            if (!key_of(l, i, a, &name, &type))
                return err_set(e, ERR_NO_MEMORY, "out of memory");
            at = planned(p, name, type);
            if (pass == 0 && at != CF_NONE && !done[at]) {
                done[at] = true;
                instead = service_text(&p->services[at], a);
            } else if (pass == 1 && is_stock_smtp(name, type) && takes_smtp(p)) {
                instead = smtp_text(p, done, a);
            } else if (pass == 0 || !cf_owns_service(p, name, type)) {
                continue;
            } else {
                cf_replace(l, i, NULL);
                continue;
            }
            if (instead == NULL)
                return err_set(e, ERR_NO_MEMORY, "out of memory");
            cf_replace(l, i, instead);
        }
    }
    return ERR_OK;
}

enum err_code master_cf_edit(struct slice old, const struct plan *p, struct strbuf *out,
                             struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO_STRBUF struct strbuf block = STRBUF_INIT(CF_FILE_MAX);
    bool *done = a == NULL ? NULL : arena_alloc(a, p->n_services + 1);
    struct cf_lines l;
    enum err_code rc = check(p, e);

    if (rc != ERR_OK)
        return rc;
    if (done == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = cf_lines_split(old, a, &l, e);
    if (rc == ERR_OK)
        rc = mark(&l, p, done, a, e);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < p->n_services; i++)
        if (!done[i])
            put_service(&p->services[i], &block);
    cf_lines_write(&l, l.n, strbuf_str(&block), out);
    return cf_written(&block, out, "master.cf", e);
}

/* One line for people: the fields and options of a service. */
static void describe(struct strbuf *b, const struct cf_service *s)
{
    strbuf_printf(b, "%s %s %s %s %s %s", s->priv, s->unpriv, s->chroot, s->wakeup, s->maxproc,
                  s->command);
    if (*s->args != '\0')
        strbuf_printf(b, " %s", s->args);
    for (size_t i = 0; i < s->n_options; i++)
        strbuf_printf(b, " -o { %s = %s }", s->options[i].name, s->options[i].value);
}

static enum err_code say(const struct cf_service *want, const struct cf_service *found,
                         cf_diff_fn *fn, void *ctx, struct err *e)
{
    AUTO_STRBUF struct strbuf w = STRBUF_INIT(64 * KIB);
    AUTO_STRBUF struct strbuf f = STRBUF_INIT(64 * KIB);
    const struct cf_service *s = want != NULL ? want : found;
    char item[300];

    if (want != NULL)
        describe(&w, want);
    if (found != NULL)
        describe(&f, found);
    if (!strbuf_ok(&w) || !strbuf_ok(&f)) /* two texts that are cut off look alike */
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (want != NULL && found != NULL && slice_eq(strbuf_slice(&w), strbuf_slice(&f)))
        return ERR_OK;
    (void)snprintf(item, sizeof item, "%s/%s", s->name, s->type);
    fn(ctx, "master.cf", item, want == NULL ? NULL : strbuf_str(&w),
       found == NULL ? NULL : strbuf_str(&f));
    return ERR_OK;
}

enum err_code master_cf_diff(struct slice text, const struct plan *p, cf_diff_fn *fn, void *ctx,
                             struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    struct plan mine = {.services = p->services, .n_services = p->n_services};
    AUTO_STRBUF struct strbuf wanted = STRBUF_INIT(CF_FILE_MAX);
    struct cf_service *v, *w;
    size_t n, n_w;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    if (rc == ERR_OK)
        rc = master_cf_parse(text, a, &v, &n, e);
    if (rc == ERR_OK) /* the plan as the parser gives it back */
        rc = master_cf_edit((struct slice){NULL, 0}, &mine, &wanted, e);
    if (rc == ERR_OK)
        rc = master_cf_parse(strbuf_slice(&wanted), a, &w, &n_w, e);
    for (size_t i = 0; rc == ERR_OK && i < n_w; i++)
        rc = say(&w[i], cf_service_find(v, n, w[i].name, w[i].type), fn, ctx, e);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        bool again = cf_service_find(v + i + 1, n - i - 1, v[i].name, v[i].type) != NULL;
        bool stock = is_stock_smtp(v[i].name, v[i].type) && takes_smtp(p);
        if (!again && cf_service_find(w, n_w, v[i].name, v[i].type) == NULL &&
            (stock || cf_owns_service(p, v[i].name, v[i].type)))
            rc = say(NULL, &v[i], fn, ctx, e);
    }
    return rc;
}
