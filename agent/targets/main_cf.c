#include "targets/cf_lines.h"

static struct slice name_of(struct slice line)
{
    size_t n = 0;

    while (n < line.n && !cf_is_blank(line.p[n]) && line.p[n] != '=')
        n++;
    return (struct slice){line.p, n};
}

/* Letters of either case and digits in front occur: smtp_tls_CAfile, 2bounce_notice_recipient. */
static bool is_name(const char *s)
{
    if (*s == '\0' || *s == '-' || *s == '_')
        return false;
    for (; *s != '\0'; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
              *s == '_' || *s == '-'))
            return false;
    return true;
}

bool cf_owns_param(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->n_owned; i++)
        if (strcmp(p->owned[i], name) == 0)
            return true;
    for (size_t i = 0; i < p->n_params; i++)
        if (strcmp(p->params[i].name, name) == 0)
            return true;
    return false;
}

const char *cf_param_value(const struct cf_param *v, size_t n, const char *name)
{
    while (n-- > 0)
        if (strcmp(v[n].name, name) == 0)
            return v[n].value;
    return NULL;
}

/* false: not "name = value". */
static bool split(char *logical, struct arena *a, struct cf_param *ret)
{
    char *eq = strchr(logical, '=');
    char *end = eq;

    if (eq == NULL)
        return false;
    while (end > logical && end[-1] == ' ')
        end--;
    for (const char *p = logical; p < end; p++)
        if (*p == ' ')
            return false;
    if (end == logical)
        return false;
    eq += eq[1] == ' ' ? 2 : 1;
    ret->name = arena_slice_dup(a, (struct slice){logical, (size_t)(end - logical)});
    ret->value = eq;
    return ret->name != NULL;
}

enum err_code main_cf_parse(struct slice text, struct arena *a, struct cf_param **ret,
                            size_t *ret_n, struct err *e)
{
    struct cf_lines l;
    struct cf_param *v;
    size_t n = 0;
    enum err_code rc = cf_lines_split(text, a, &l, e);

    if (rc != ERR_OK)
        return rc;
    v = arena_alloc(a, (l.n + 1) * sizeof *v);
    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < l.n; i++) {
        char *logical;
        if (l.v[i].kind != CF_START)
            continue;
        logical = cf_logical(&l, i, a);
        if (logical == NULL)
            return err_set(e, ERR_NO_MEMORY, "out of memory");
        n += split(logical, a, &v[n]);
    }
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

static enum err_code check(const struct plan *p, struct err *e)
{
    for (size_t i = 0; i < p->n_params; i++) {
        if (!is_name(p->params[i].name))
            return err_set(e, ERR_INVALID, "cannot write \"%s\": not a parameter name",
                           p->params[i].name);
        if (!cf_value_ok(p->params[i].value))
            return err_set(e, ERR_INVALID,
                           "cannot write parameter \"%s\": its value has a control character or a "
                           "blank at an end",
                           p->params[i].name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(p->params[i].name, p->params[j].name) == 0)
                return err_set(e, ERR_INVALID, "cannot write parameter \"%s\": planned twice",
                               p->params[i].name);
    }
    return ERR_OK;
}

static const char *param_line(const struct plan_param *pp, struct arena *a)
{
    return arena_printf(a, "%s =%s%s\n", pp->name, *pp->value == '\0' ? "" : " ", pp->value);
}

/* Owned lines are replaced by what the plan says, or dropped.  done[i]: parameter i has found its
 * place. */
static enum err_code mark(struct cf_lines *l, const struct plan *p, bool *done, struct arena *a,
                          struct err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        struct slice name = name_of(l->v[i].text);
        const char *instead = NULL;
        bool ours = false;

        if (l->v[i].kind != CF_START)
            continue;
        for (size_t j = 0; j < p->n_owned && !ours; j++)
            ours = slice_is(name, p->owned[j]);
        for (size_t j = 0; j < p->n_params; j++) {
            if (!slice_is(name, p->params[j].name))
                continue;
            ours = true;
            if (done[j])
                break;
            done[j] = true;
            instead = param_line(&p->params[j], a);
            if (instead == NULL)
                return err_set(e, ERR_NO_MEMORY, "out of memory");
        }
        if (ours)
            cf_replace(l, i, instead);
    }
    return ERR_OK;
}

/* Where the head of our block stands, as an index behind it; CF_NONE when there is none that can be
 * used. */
static size_t behind_head(const struct cf_lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].kind == CF_SKIP && slice_is(slice_trim(l->v[i].text), CF_BLOCK_HEAD))
            return cf_may_insert(l, i + 1) ? i + 1 : CF_NONE;
    return CF_NONE;
}

static enum err_code edit(struct slice old, const struct plan *p, bool *done, struct arena *a,
                          struct strbuf *out, struct err *e)
{
    AUTO_STRBUF struct strbuf block = STRBUF_INIT(CF_FILE_MAX);
    struct cf_lines l;
    size_t at;
    enum err_code rc = cf_lines_split(old, a, &l, e);

    if (rc == ERR_OK)
        rc = mark(&l, p, done, a, e);
    if (rc != ERR_OK)
        return rc;
    at = behind_head(&l);
    for (size_t i = 0; i < p->n_params; i++) {
        if (done[i])
            continue;
        if (block.n == 0 && at == CF_NONE)
            strbuf_puts(&block, CF_BLOCK_HEAD "\n");
        strbuf_printf(&block, "%s =%s%s\n", p->params[i].name,
                      *p->params[i].value == '\0' ? "" : " ", p->params[i].value);
    }
    cf_lines_write(&l, at == CF_NONE ? l.n : at, strbuf_str(&block), out);
    return cf_written(&block, out, "main.cf", e);
}

enum err_code main_cf_edit(struct slice old, const struct plan *p, struct strbuf *out,
                           struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    bool *done = a == NULL ? NULL : arena_alloc(a, p->n_params + 1);
    enum err_code rc = check(p, e);

    if (rc != ERR_OK)
        return rc;
    if (done == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return edit(old, p, done, a, out, e);
}

/* The plan's value the way the parser would give it back. */
static bool same_value(const char *planned, const char *found)
{
    while (*planned != '\0' && *found != '\0') {
        if (cf_is_blank(*planned) && *found == ' ') {
            while (cf_is_blank(*planned))
                planned++;
            found++;
        } else if (*planned++ != *found++) {
            return false;
        }
    }
    return *planned == *found;
}

enum err_code main_cf_diff(struct slice text, const struct plan *p, cf_diff_fn *fn, void *ctx,
                           struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    struct cf_param *v;
    size_t n;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : main_cf_parse(text, a, &v, &n, e);

    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < p->n_params; i++) {
        const char *found = cf_param_value(v, n, p->params[i].name);
        if (found == NULL || !same_value(p->params[i].value, found))
            fn(ctx, "main.cf", p->params[i].name, p->params[i].value, found);
    }
    for (size_t i = 0; i < n; i++) {
        bool planned = false, again = false;
        for (size_t j = 0; j < p->n_params && !planned; j++)
            planned = strcmp(p->params[j].name, v[i].name) == 0;
        for (size_t j = i + 1; j < n && !again; j++)
            again = strcmp(v[j].name, v[i].name) == 0;
        if (!planned && !again && cf_owns_param(p, v[i].name))
            fn(ctx, "main.cf", v[i].name, NULL, v[i].value);
    }
    return ERR_OK;
}
