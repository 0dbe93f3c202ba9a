#include "domain/alert_doc.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "domain/alert_check.h"
#include "domain/alert_kind.h"
#include "domain/change.h"
#include "domain/keyring.h"
#include "store/alert_engine_store.h"

#include <stdio.h>
#include <stdlib.h>

enum { ALERT_ARENA = 64 * 1024 * 1024, TEXT_MAX = 4 * 1024 };

static const char *const nouns[] = {[ALERT_RULE] = "alert_rule",
                                    [ALERT_CHANNEL] = "alert_channel",
                                    [ALERT_SILENCE] = "alert_silence",
                                    [ALERT_ALERT] = "alert",
                                    [ALERT_NOTICE] = "alert_notice"};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* --- reading --- */

static enum err_code describe(enum alert_thing what, json_t *doc, enum lang lang, struct err *e)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(TEXT_MAX);
    const char *member = what == ALERT_RULE ? "label" : "text";

    if (what == ALERT_RULE)
        strbuf_puts(&text, alert_kind_label(json_str(doc, "kind", ""),
                                            json_object_get(doc, "parameters"), lang));
    else if (what == ALERT_ALERT)
        alert_kind_text(doc, lang, &text);
    else
        return ERR_OK;
    if (strbuf_check(&text, e) != ERR_OK)
        return e->code;
    return json_object_set_new(doc, member, json_string(strbuf_str(&text))) == 0 ? ERR_OK
                                                                                 : no_memory(e);
}

static enum err_code get(struct db *db, enum alert_thing what, const char *ref, struct arena *a,
                         json_t **ret, struct err *e)
{
    enum err_code rc =
        a == NULL ? no_memory(e) : alert_store_get(db, what, ref, clock_wall_ms(), a, ret, e);

    return rc == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no \"%s\" here", ref) : rc;
}

enum err_code alert_doc_get(struct db *db, enum alert_thing what, const char *ref, enum lang lang,
                            json_t **ret, int64_t *ret_version, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(ALERT_ARENA);
    json_t *doc = NULL;
    enum err_code rc = get(db, what, ref, a, &doc, e);

    if (rc == ERR_OK)
        rc = describe(what, doc, lang, e);
    if (rc != ERR_OK)
        return rc;
    *ret_version = json_int(doc, "version", 0);
    *ret = json_incref(doc);
    return ERR_OK;
}

enum err_code alert_doc_list(struct db *db, enum alert_thing what, struct alert_filter *f,
                             enum lang lang, json_t **ret, char ret_next[64], struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(ALERT_ARENA);
    bool by_name = what == ALERT_RULE || what == ALERT_CHANNEL;
    json_t *items = NULL, *doc;
    enum err_code rc;
    size_t i;

    if (!by_name && f->cursor[0] != '\0' && !uuid_is_valid(f->cursor))
        return err_field(e, ERR_INVALID, "/query/cursor", "not a cursor of this list");
    f->now_ms = clock_wall_ms();
    rc = a == NULL ? no_memory(e) : alert_store_list(db, what, f, a, &items, e);
    json_array_foreach(items, i, doc)
    {
        if (rc == ERR_OK)
            rc = describe(what, doc, lang, e);
    }
    if (rc != ERR_OK)
        return rc;
    doc = json_array_get(items, json_array_size(items) - 1);
    (void)snprintf(ret_next, 64, "%s",
                   json_array_size(items) == (size_t)f->limit
                       ? json_str(doc, by_name ? "name" : "id", "")
                       : "");
    *ret = json_incref(items);
    return ERR_OK;
}

/* --- changing --- */

struct edit {
    const struct alert_change *c;
    enum alert_thing what;
    const char *ref; /* NULL: a new one */
    const char *id;
    int64_t version;
    const json_t *body;
    const char *action;
    json_t *result;
};

static enum err_code audit(struct db *db, const struct edit *x, const char *id,
                           const json_t *before, const json_t *after, struct err *e)
{
    AUTO(json_free) json_t *detail = json_pack("{s:O?,s:O?}", "before", before, "after", after);
    char object[80], action[64];

    (void)snprintf(object, sizeof object, "%s/%s", nouns[x->what], id);
    (void)snprintf(action, sizeof action, "%s.%s", nouns[x->what], x->action);
    return detail == NULL ? no_memory(e) : audit_append(db, x->c->by, action, object, detail, e);
}

/* What became of it is the result, and goes into the audit log. */
static enum err_code note(struct db *db, struct edit *x, const json_t *before, struct arena *a,
                          struct err *e)
{
    json_t *after = NULL;
    enum err_code rc = get(db, x->what, x->id, a, &after, e);

    if (rc == ERR_OK)
        rc = describe(x->what, after, x->c->lang, e);
    if (rc != ERR_OK)
        return rc;
    json_decref(x->result);
    x->result = json_incref(after);
    return audit(db, x, x->id, before, after, e);
}

/* What can be edited of a document that was read. */
static json_t *editable(const json_t *doc)
{
    static const char *const shown[] = {"id",    "builtin", "version",  "created_at", "firing",
                                        "label", "dead",    "queued",   "sent_at",    "has_secret",
                                        "state", "author",  "engine_id"};
    json_t *out = json_copy((json_t *)(uintptr_t)doc);

    for (size_t i = 0; i < COUNT_OF(shown) && out != NULL; i++)
        (void)json_object_del(out, shown[i]);
    return out;
}

/* Secrets that are named are changed, the others stay; null takes one away. */
static enum err_code put_secrets(struct db *db, const struct edit *x, const char *id,
                                 const json_t *doc, const json_t *given, struct arena *a,
                                 struct err *e)
{
    AUTO(json_free) json_t *now = NULL;
    AUTO_STR char *text = NULL;
    struct slice box = {NULL, 0};
    unsigned char *out;
    enum err_code rc = x->ref == NULL ? ERR_OK : alert_store_get_box(db, id, a, &box, e);
    size_t n;

    if (rc == ERR_OK && box.n > KEYRING_BOX_EXTRA) {
        char *plain = arena_alloc(a, box.n);
        rc = plain == NULL ? no_memory(e)
                           : keyring_unbox(x->c->app->keys, id, box, (unsigned char *)plain, e);
        if (rc == ERR_OK)
            now = json_in_own(plain);
        if (plain != NULL)
            secret_wipe(plain, box.n);
    } else {
        now = json_object();
    }
    if (rc == ERR_OK && now == NULL)
        rc = no_memory(e);
    if (rc == ERR_OK && given != NULL)
        rc = json_merge_patch(&now, given, e);
    if (rc == ERR_OK)
        rc = alert_check_secrets(json_str(doc, "kind", ""), json_object_get(doc, "config"), now, e);
    if (rc != ERR_OK || given == NULL)
        return rc;
    text = json_text(now, JSON_COMPACT);
    n = text == NULL ? 0 : strlen(text);
    out = arena_alloc(a, n + KEYRING_BOX_EXTRA);
    if (text == NULL || out == NULL)
        return no_memory(e);
    rc = keyring_box(x->c->app->keys, id, (struct slice){text, n}, out, e);
    secret_wipe(text, n);
    box = (struct slice){(char *)out, json_object_size(now) == 0 ? 0 : n + KEYRING_BOX_EXTRA};
    return rc == ERR_OK ? alert_store_box(db, id, box, e) : rc;
}

static enum err_code save(struct db *db, struct edit *x, const json_t *before, const json_t *asked,
                          struct arena *a, struct err *e)
{
    AUTO(json_free) json_t *edited = editable(asked);
    AUTO(json_free) json_t *doc = NULL;
    AUTO(json_free) json_t *secrets = NULL;
    enum err_code rc;

    if (edited == NULL)
        return no_memory(e);
    if (x->what == ALERT_CHANNEL) {
        secrets = json_incref(json_object_get(edited, "secrets"));
        (void)json_object_del(edited, "secrets");
    }
    rc = alert_check(db, x->what, edited, before, a, &doc, e);
    if (rc == ERR_OK)
        rc = alert_store_save(db, x->what, x->id, doc, x->c->by->name, e);
    if (rc == ERR_CONFLICT)
        return err_field(e, ERR_CONFLICT, "/name", "there is one called \"%s\" already",
                         json_str(doc, "name", ""));
    if (rc == ERR_OK && x->what == ALERT_CHANNEL)
        rc = put_secrets(db, x, x->id, doc, secrets, a, e);
    return rc == ERR_OK ? note(db, x, before, a, e) : rc;
}

static enum err_code create_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(ALERT_ARENA);
    struct edit *x = ctx;
    const char *names[] = {"id", "version", "state"};
    enum err_code rc = a == NULL ? no_memory(e) : alert_engine_store_dirty(db, e);

    for (size_t i = 0; i < COUNT_OF(names) && rc == ERR_OK; i++) {
        char at[32];
        (void)snprintf(at, sizeof at, "/%s", names[i]);
        if (json_object_get(x->body, names[i]) != NULL)
            return err_field(e, ERR_INVALID, at, "the parent chooses that: leave the member out");
    }
    return rc == ERR_OK ? save(db, x, NULL, x->body, a, e) : rc;
}

/* The thing as it is, under the engine's lock. */
static enum err_code seen(struct db *db, struct edit *x, struct arena *a, json_t **ret,
                          struct err *e)
{
    enum err_code rc = a == NULL ? no_memory(e) : alert_engine_store_dirty(db, e);
    int64_t now;

    if (rc == ERR_OK)
        rc = get(db, x->what, x->ref, a, ret, e);
    if (rc != ERR_OK)
        return rc;
    x->id = json_str(*ret, "id", "");
    now = json_int(*ret, "version", 0);
    return x->version == 0 || x->version == now
               ? ERR_OK
               : err_set(e, ERR_STALE_EDIT, "the present version is \"%lld\"", (long long)now);
}

static enum err_code patch_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(ALERT_ARENA);
    AUTO(json_free) json_t *edited = NULL;
    struct edit *x = ctx;
    json_t *before = NULL;
    enum err_code rc = seen(db, x, a, &before, e);

    if (rc != ERR_OK)
        return rc;
    edited = json_deep_copy(before);
    if (edited == NULL)
        return no_memory(e);
    rc = json_merge_patch(&edited, x->body, e);
    /* Taken out of the merged one: null means "remove" there as well. */
    if (rc == ERR_OK && x->what == ALERT_CHANNEL && json_object_get(x->body, "secrets") != NULL)
        (void)json_object_set(edited, "secrets", json_object_get(x->body, "secrets"));
    return rc == ERR_OK ? save(db, x, before, edited, a, e) : rc;
}

static enum err_code delete_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(ALERT_ARENA);
    struct edit *x = ctx;
    json_t *before = NULL;
    enum err_code rc = seen(db, x, a, &before, e);

    if (rc == ERR_OK && x->what == ALERT_RULE && json_bool(before, "builtin", false))
        return err_set(e, ERR_CONFLICT,
                       "\"%s\" is built in: it can be switched off (enabled: false), not deleted",
                       json_str(before, "name", ""));
    if (rc == ERR_OK)
        rc = x->what == ALERT_SILENCE ? alert_store_end_silence(db, x->id, clock_wall_ms(), e)
                                      : alert_store_delete(db, x->what, x->id, e);
    return rc == ERR_OK ? audit(db, x, x->id, before, NULL, e) : rc;
}

static enum err_code run(struct db *db, struct edit *x, tx_fn fn, json_t **ret, struct err *e)
{
    char name[64];
    enum err_code rc;

    (void)snprintf(name, sizeof name, "%s.%s", nouns[x->what], x->action);
    rc = change_run(db, name, x->c->dry_run, fn, x, e);
    if (rc == ERR_OK && ret != NULL)
        *ret = TAKE(x->result);
    json_decref(x->result);
    return rc;
}

enum err_code alert_doc_create(struct db *db, enum alert_thing what, const json_t *body,
                               const struct alert_change *c, json_t **ret, struct err *e)
{
    char id[UUID_TEXT_SIZE];
    struct edit x = {.c = c, .what = what, .id = id, .body = body, .action = "create"};

    uuid7(id);
    return run(db, &x, create_in_tx, ret, e);
}

enum err_code alert_doc_patch(struct db *db, enum alert_thing what, const char *ref,
                              int64_t version, const json_t *patch, const struct alert_change *c,
                              json_t **ret, struct err *e)
{
    struct edit x = {
        .c = c, .what = what, .ref = ref, .version = version, .body = patch, .action = "update"};

    return run(db, &x, patch_in_tx, ret, e);
}

enum err_code alert_doc_delete(struct db *db, enum alert_thing what, const char *ref,
                               int64_t version, const struct alert_change *c, struct err *e)
{
    struct edit x = {.c = c,
                     .what = what,
                     .ref = ref,
                     .version = version,
                     .action = what == ALERT_SILENCE ? "end" : "delete"};

    return run(db, &x, delete_in_tx, NULL, e);
}

/* --- alerts and notices --- */

struct word {
    struct edit x;
    const char *reason;
};

static enum err_code word_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(ALERT_ARENA);
    struct word *w = ctx;
    struct edit *x = &w->x;
    json_t *before = NULL;
    int64_t n = 0, now = clock_wall_ms();
    enum err_code rc = seen(db, x, a, &before, e);

    if (rc != ERR_OK)
        return rc;
    rc = x->what == ALERT_ALERT ? alert_store_ack(db, x->id, now, x->c->by->name, w->reason, &n, e)
                                : alert_store_again(db, x->id, now, &n, e);
    if (rc == ERR_OK && n == 0)
        return x->what == ALERT_ALERT
                   ? err_set(e, ERR_CONFLICT, "alert \"%s\" is over", x->id)
                   : err_set(e, ERR_CONFLICT, "notice \"%s\" was not given up", x->id);
    return rc == ERR_OK ? note(db, x, NULL, a, e) : rc;
}

enum err_code alert_doc_ack(struct db *db, const char *id, const char *reason,
                            const struct alert_change *c, json_t **ret, struct err *e)
{
    struct word w = {{.c = c, .what = ALERT_ALERT, .ref = id, .action = "ack"}, reason};

    return run(db, &w.x, word_in_tx, ret, e);
}

enum err_code alert_doc_again(struct db *db, const char *id, const struct alert_change *c,
                              json_t **ret, struct err *e)
{
    struct word w = {{.c = c, .what = ALERT_NOTICE, .ref = id, .action = "retry"}, ""};

    return run(db, &w.x, word_in_tx, ret, e);
}
