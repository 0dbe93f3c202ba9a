/* Changes of a list: a version, its history, the hint for the devices and the audit entry in one
 * transaction. */
#include "domain/list.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "domain/change.h"
#include "domain/issue.h"
#include "store/fleet_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CHANGE_ARENA = 256 * 1024 * 1024,
    ARRAY_MAX = 64 * 1024 * 1024,
    NEIGHBOURS_MAX = 500,
    MANY = 5000,                        /* rows that change how the table is best read */
    EXPIRED_STAY_MS = 24 * 3600 * 1000, /* an expired row is shown for a day */
};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* --- the wanted rows as arrays --- */

static int by_place(const void *a, const void *b)
{
    const struct list_want *x = a, *y = b;
    int order = (int)x->net.v6 - (int)y->net.v6;

    if (order == 0)
        order = memcmp(x->net.addr, y->net.addr, sizeof x->net.addr);
    if (order == 0)
        order = (int)x->net.bits - (int)y->net.bits;
    if (order == 0)
        order = strcmp(x->group == NULL ? "" : x->group, y->group == NULL ? "" : y->group);
    if (order == 0)
        order = strcmp(x->device == NULL ? "" : x->device, y->device == NULL ? "" : y->device);
    return order;
}

/* The later expiry of rows that were given twice stays; returns how many were. */
static size_t settle(struct list_wants *w)
{
    size_t kept = 0, n = w->n;

    if (n > 1)
        qsort(w->v, n, sizeof *w->v, by_place);
    for (size_t i = 0; i < n; i++) {
        struct list_want *last = kept == 0 ? NULL : &w->v[kept - 1];
        if (last == NULL || by_place(last, &w->v[i]) != 0)
            w->v[kept++] = w->v[i];
        else if (last->expires_ms != 0 &&
                 (w->v[i].expires_ms == 0 || w->v[i].expires_ms > last->expires_ms))
            *last = w->v[i];
    }
    w->n = kept;
    return n - kept;
}

struct arrays {
    struct strbuf net, group, device, comment, expires;
};

static void arrays_clear(struct arrays *x)
{
    strbuf_clear(&x->net);
    strbuf_clear(&x->group);
    strbuf_clear(&x->device);
    strbuf_clear(&x->comment);
    strbuf_clear(&x->expires);
}

static void put_quoted(struct strbuf *b, const char *s)
{
    strbuf_putc(b, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\')
            strbuf_putc(b, '\\');
        strbuf_putc(b, *s);
    }
    strbuf_putc(b, '"');
}

static enum err_code make_arrays(const struct list_wants *w, struct arrays *x, struct err *e)
{
    struct strbuf *all[] = {&x->net, &x->group, &x->device, &x->comment, &x->expires};
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        *all[i] = STRBUF_INIT(ARRAY_MAX);
        strbuf_putc(all[i], '{');
    }
    for (size_t i = 0; i < w->n; i++) {
        const struct list_want *v = &w->v[i];
        char net[IPNET_TEXT_MAX];
        for (size_t k = 0; k < COUNT_OF(all) && i > 0; k++)
            strbuf_putc(all[k], ',');
        ipnet_format_prefix(&v->net, net);
        strbuf_puts(&x->net, net);
        strbuf_puts(&x->group, v->group == NULL ? "NULL" : v->group);
        strbuf_puts(&x->device, v->device == NULL ? "NULL" : v->device);
        put_quoted(&x->comment, v->comment);
        if (v->expires_ms == 0)
            strbuf_puts(&x->expires, "NULL");
        else
            strbuf_printf(&x->expires, "%" PRId64, v->expires_ms);
    }
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        strbuf_putc(all[i], '}');
        if (rc == ERR_OK)
            rc = strbuf_check(all[i], e);
    }
    return rc;
}

/* --- the transaction --- */

struct change_ctx {
    const char *list, *kind;
    const struct list_change *c;
    const struct arrays *arrays; /* of what is given, or NULL */
    size_t given, duplicates;
    const char *replace; /* scope id */
    const struct list_which *which;
    int64_t undoes, expired_before_ms;
    json_t *result;
};

struct counts {
    int64_t added, changed, removed;
};

static enum err_code do_given(struct db *db, const struct change_ctx *x, int64_t version,
                              struct counts *n, struct err *e)
{
    const struct list_given g = {strbuf_str(&x->arrays->net), strbuf_str(&x->arrays->group),
                                 strbuf_str(&x->arrays->device), strbuf_str(&x->arrays->comment),
                                 strbuf_str(&x->arrays->expires)};
    enum err_code rc = list_store_close_changed(db, x->list, version, &g, &n->changed, e);

    if (rc == ERR_OK && x->replace != NULL)
        rc = list_store_close_others(db, x->list, version, x->replace, g.nets, &n->removed, e);
    if (rc == ERR_OK)
        rc = list_store_add(db, x->list, version, x->c->by->name, &g, &n->added, e);
    return rc;
}

static enum err_code do_it(struct db *db, const struct change_ctx *x, int64_t version,
                           struct counts *n, struct err *e)
{
    const struct list_which *w = x->which;

    if (x->arrays != NULL)
        return do_given(db, x, version, n, e);
    if (x->undoes != 0)
        return list_store_undo(db, x->list, version, x->undoes, &n->added, &n->removed, e);
    if (x->expired_before_ms != 0)
        return list_store_close_expired(db, x->list, version, x->expired_before_ms, &n->removed, e);
    if (w->ids != NULL)
        return list_store_close_ids(db, x->list, version, w->ids, &n->removed, e);
    if (w->nets != NULL)
        return list_store_close_nets(db, x->list, version, w->nets, w->scope, &n->removed, e);
    return list_store_close_found(db, x->list, version, w->filter, &n->removed, e);
}

static enum err_code audit(struct db *db, const struct change_ctx *x, int64_t version,
                           const struct counts *n, struct err *e)
{
    AUTO(json_free)
    json_t *detail =
        json_pack("{s:I,s:I,s:I,s:s,s:s*}", "version", (json_int_t)version, "added",
                  (json_int_t)n->added, "removed", (json_int_t)(n->removed + n->changed), "reason",
                  x->c->reason, "forced", x->c->force);
    char action[32], object[64];

    if (detail != NULL && x->undoes != 0 &&
        json_object_set_new(detail, "undoes", json_integer(x->undoes)) != 0)
        return no_memory(e);
    (void)snprintf(action, sizeof action, "list.%s", x->kind);
    (void)snprintf(object, sizeof object, "list/%s", x->list);
    return detail == NULL ? no_memory(e) : audit_append(db, x->c->by, action, object, detail, e);
}

/* Of what was brought: what lies in another row, or has some inside. */
static enum err_code neighbours(struct db *db, const struct change_ctx *x, int64_t version,
                                struct arena *a, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct list_overlap_row *v = NULL;
    size_t n = 0;
    enum err_code rc = list_store_neighbours(db, x->list, version, NEIGHBOURS_MAX, a, &v, &n, e);

    if (items == NULL)
        return no_memory(e);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        if ((v[i].outer[0] != '\0' || v[i].n > 0) &&
            json_array_append_new(items, json_pack("{s:s,s:s?,s:I}", "network", v[i].net, "inside",
                                                   v[i].outer[0] == '\0' ? NULL : v[i].outer,
                                                   "around", (json_int_t)v[i].n)) != 0)
            return no_memory(e);
    *ret = rc == ERR_OK ? TAKE(items) : NULL;
    return rc;
}

static enum err_code result_of(struct db *db, struct change_ctx *x, const struct list_state *s,
                               int64_t version, const struct counts *n, struct arena *a,
                               struct err *e)
{
    json_t *overlaps = NULL;
    enum err_code rc = neighbours(db, x, version, a, &overlaps, e);

    if (rc != ERR_OK)
        return rc;
    x->result =
        json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "list", x->list, "version",
                  (json_int_t)(n->added + n->removed + n->changed == 0 ? s->version : version),
                  "added", (json_int_t)(n->added - n->changed), "changed", (json_int_t)n->changed,
                  "removed", (json_int_t)n->removed, "unchanged",
                  (json_int_t)(x->arrays == NULL ? 0 : (int64_t)x->given - n->added), "duplicates",
                  (json_int_t)x->duplicates, "rows",
                  (json_int_t)(s->rows + n->added - n->changed - n->removed), "overlaps", overlaps);
    return x->result == NULL ? no_memory(e) : ERR_OK;
}

static enum err_code in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(CHANGE_ARENA);
    struct change_ctx *x = ctx;
    struct list_state s = {0};
    struct counts n = {0};
    struct list_change_row row;
    int64_t version;
    enum err_code rc = a == NULL ? no_memory(e) : list_store_get(db, x->list, true, &s, e);

    json_decref(x->result);
    x->result = NULL;
    if (rc == ERR_OK && x->c->if_version >= 0 && x->c->if_version != s.version)
        return err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"", (long long)s.version);
    version = s.version + 1;
    if (rc == ERR_OK)
        rc = do_it(db, x, version, &n, e);
    if (rc == ERR_OK && s.rows + n.added - n.changed - n.removed > LIST_ROWS_MAX)
        return err_field(e, ERR_INVALID, "/rows", "list %s would have more than %d rows", x->list,
                         LIST_ROWS_MAX);
    if (rc == ERR_OK && n.added > MANY)
        rc = list_store_analyze(db, e);
    if (rc == ERR_OK)
        rc = result_of(db, x, &s, version, &n, a, e);
    if (rc != ERR_OK || n.added + n.changed + n.removed == 0)
        return rc; /* nothing is another than before */
    rc = list_judge(db, x->list, version, s.rows + n.added, x->c, a, e);
    row = (struct list_change_row){.version = version,
                                   .undoes = x->undoes,
                                   .added = n.added,
                                   .removed = n.removed + n.changed,
                                   .kind = x->kind,
                                   .author = x->c->by->name,
                                   .reason = x->c->reason,
                                   .forced = x->c->force == NULL ? "" : x->c->force};
    if (rc == ERR_OK)
        rc = list_store_put_change(db, x->list, &row, e);
    if (rc == ERR_OK)
        rc = fleet_store_note(db, "lists", x->list, e);
    return rc == ERR_OK ? audit(db, x, version, &n, e) : rc;
}

static enum err_code run(struct db *db, struct change_ctx *x, json_t **ret, struct err *e)
{
    enum err_code rc = change_run(db, "list_change", x->c->dry_run, in_tx, x, e);
    struct err later;

    if (rc == ERR_OK && !x->c->dry_run)
        (void)issue_committed(db, x->c->app, &later); /* the job thread follows the hint */
    if (rc == ERR_OK && ret != NULL)
        *ret = TAKE(x->result);
    json_decref(x->result);
    return rc;
}

static enum err_code give(struct db *db, struct change_ctx *x, struct list_wants *w, json_t **ret,
                          struct err *e)
{
    struct arrays arrays = {.net = {0}};
    enum err_code rc;

    x->duplicates = settle(w);
    x->given = w->n;
    x->arrays = &arrays;
    rc = make_arrays(w, &arrays, e);
    if (rc == ERR_OK)
        rc = run(db, x, ret, e);
    arrays_clear(&arrays);
    return rc;
}

enum err_code list_add(struct db *db, const char *list, struct list_wants *w,
                       const struct list_change *c, json_t **ret, struct err *e)
{
    struct change_ctx x = {.list = list, .kind = "add", .c = c};

    return give(db, &x, w, ret, e);
}

enum err_code list_import(struct db *db, const char *list, struct list_wants *w,
                          const char *replace, const struct list_change *c, json_t **ret,
                          struct err *e)
{
    struct change_ctx x = {.list = list, .kind = "import", .c = c, .replace = replace};

    return give(db, &x, w, ret, e);
}

enum err_code list_remove(struct db *db, const char *list, const struct list_which *w,
                          const struct list_change *c, json_t **ret, struct err *e)
{
    struct change_ctx x = {.list = list, .kind = "remove", .c = c, .which = w};

    return run(db, &x, ret, e);
}

enum err_code list_undo(struct db *db, const char *list, int64_t version,
                        const struct list_change *c, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct change_ctx x = {.list = list, .kind = "undo", .c = c, .undoes = version};
    struct list_change_row row;
    enum err_code rc = a == NULL ? no_memory(e) : list_store_change(db, list, version, a, &row, e);

    return rc == ERR_OK ? run(db, &x, ret, e) : rc;
}

enum err_code list_clean(struct db *db, struct app *app, struct err *e)
{
    const struct actor by = ACTOR_SYSTEM;
    struct findings f = {0};
    const struct list_change c = {.app = app, .by = &by, .reason = "", .if_version = -1, .f = &f};
    enum err_code rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && list_names[i] != NULL; i++) {
        struct change_ctx x = {.list = list_names[i],
                               .kind = "expire",
                               .c = &c,
                               .expired_before_ms = clock_wall_ms() - EXPIRED_STAY_MS};
        int64_t n = 0;
        rc = list_store_expired(db, list_names[i], &n, e);
        if (rc == ERR_OK && n > 0)
            rc = run(db, &x, NULL, e);
    }
    findings_clear(&f);
    return rc == ERR_OK ? list_store_trim(db, e) : rc;
}
