#include "domain/secret.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "catalog/catalog.h"
#include "domain/keyring.h"
#include "store/device_store.h"
#include "store/secret_store.h"

#include <stdio.h>
#include <stdlib.h>

enum { SECRET_ARENA = 4 * 1024 * 1024 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* --- taking in --- */

struct taking {
    struct db *db;
    const struct app *app;
    bool store;
    const struct actor *by;
    struct arena *a;
    struct findings *f;
};

static enum err_code put_in_box(const struct taking *t, const char *setting, json_t *v,
                                struct err *e)
{
    struct slice text = {json_string_value(v), json_string_length(v)};
    unsigned char *box = arena_alloc(t->a, text.n + KEYRING_BOX_EXTRA);
    char id[UUID_TEXT_SIZE], ref[CATALOG_SEALED_SIZE];
    enum err_code rc;

    uuid7(id);
    (void)snprintf(ref, sizeof ref, CATALOG_SEALED "%s", id);
    rc = box == NULL ? no_memory(e) : keyring_box(t->app->keys, id, text, box, e);
    if (rc == ERR_OK && t->store)
        rc = secret_store_add(t->db, id, setting,
                              (struct slice){(char *)box, text.n + KEYRING_BOX_EXTRA}, t->by->name,
                              e);
    if (rc != ERR_OK)
        return rc;
    secret_wipe((char *)(uintptr_t)text.p, text.n);
    return json_string_set(v, ref) == 0 ? ERR_OK : no_memory(e);
}

static enum err_code take_value(const struct taking *t, const struct setting *s, json_t *v,
                                const char *at, struct err *e)
{
    struct slice text = {json_string_value(v), json_string_length(v)}, box;
    enum err_code rc;

    if (text.n == 0) /* cleared, or of a type the catalog refuses */
        return ERR_OK;
    if (!catalog_is_sealed(text.p))
        return catalog_secret_ok(s, text, at, t->f) ? put_in_box(t, s->key, v, e) : ERR_OK;
    rc = secret_store_get(t->db, text.p + strlen(CATALOG_SEALED), s->key, t->a, &box, e);
    if (rc != ERR_NOT_FOUND)
        return rc;
    (void)finding_add(t->f, F_V_SEALED_UNKNOWN, at, s->key, NULL, NULL, NULL);
    return ERR_OK;
}

static enum err_code take_layer(const struct taking *t, json_t *layer, const char *at,
                                struct err *e)
{
    const char *key;
    json_t *v;

    json_object_foreach(layer, key, v)
    {
        const struct setting *s = catalog_find(key);
        char pointer[192];
        enum err_code rc;

        if (s == NULL || s->value.type != SET_SECRET || !json_is_string(v))
            continue;
        json_pointer_add(pointer, sizeof pointer, at, key);
        rc = take_value(t, s, v, pointer, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code take_all(const struct taking *t, json_t *changes, const char *at,
                              struct err *e)
{
    static const char *const parts[] = {"groups", "devices"};
    char part[192], pointer[192];
    const char *ref;
    json_t *v;
    enum err_code rc;

    json_pointer_add(part, sizeof part, at, "fleet");
    rc = take_layer(t, json_object_get(changes, "fleet"), part, e);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        json_pointer_add(part, sizeof part, at, parts[i]);
        json_object_foreach(json_object_get(changes, parts[i]), ref, v)
        {
            json_t *inner = json_object_get(v, "settings"); /* a group of an exported document */
            json_pointer_add(pointer, sizeof pointer, part, ref);
            if (rc == ERR_OK)
                rc = take_layer(t, inner != NULL ? inner : v, pointer, e);
        }
    }
    return rc;
}

enum err_code secret_take(struct db *db, const struct app *app, json_t *changes, const char *at,
                          bool store, const struct actor *by, struct findings *f, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(SECRET_ARENA);
    const struct taking t = {.db = db, .app = app, .store = store, .by = by, .a = a, .f = f};
    enum err_code rc = a == NULL ? no_memory(e) : take_all(&t, changes, at, e);

    if (rc == ERR_OK && f->errors > 0)
        rc = err_set(e, ERR_INVALID, "%zu of the values cannot be accepted", f->errors);
    return rc;
}

/* --- giving out --- */

enum err_code secret_boxes(struct db *db, const json_t *effective, struct arena *a,
                           struct secret_box **ret, size_t *ret_n, struct err *e)
{
    struct secret_box *v = NULL;
    size_t n = 0;

    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        const char *ref = json_str(effective, s->key, "");
        enum err_code rc;

        if (s->value.type != SET_SECRET || !catalog_is_sealed(ref))
            continue;
        if (v == NULL && (v = arena_alloc(a, catalog_count() * sizeof *v)) == NULL)
            return no_memory(e);
        v[n].id = arena_strdup(a, ref + strlen(CATALOG_SEALED));
        rc =
            v[n].id == NULL ? no_memory(e) : secret_store_get(db, v[n].id, s->key, a, &v[n].box, e);
        if (rc == ERR_NOT_FOUND)
            return err_set(e, ERR_STORAGE,
                           "the sealed text of %s is not in the database: set it again", s->key);
        if (rc != ERR_OK)
            return rc;
        n++;
    }
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

static enum err_code seal_one(const struct app *app, const struct jose_key *to,
                              const struct secret_box *s, json_t *out, struct err *e)
{
    size_t n = s->box.n < KEYRING_BOX_EXTRA ? 0 : s->box.n - KEYRING_BOX_EXTRA;
    AUTO_STR char *plain = malloc(n + 1);
    AUTO_STR char *jwe = NULL;
    enum err_code rc = plain == NULL
                           ? no_memory(e)
                           : keyring_unbox(app->keys, s->id, s->box, (unsigned char *)plain, e);

    if (rc == ERR_OK)
        rc = jose_jwe_encrypt(to, (struct slice){plain, n}, &jwe, e);
    if (plain != NULL)
        secret_wipe(plain, n);
    if (rc == ERR_OK && json_object_set_new(out, s->id, json_string(jwe)) != 0)
        rc = no_memory(e);
    return rc;
}

enum err_code secret_seal_for(struct db *db, const struct app *app, const char *device_id,
                              const char *enc_jwk, const struct secret_box *v, size_t n,
                              json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *jwk = NULL, *out = json_object();
    AUTO(jose_key_free) struct jose_key *to = NULL;
    enum err_code rc = out == NULL ? no_memory(e) : json_in_parse(slice_of(enc_jwk), 4096, &jwk, e);

    if (rc == ERR_OK)
        rc = jose_key_from_jwk(jwk, &to, e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        rc = seal_one(app, to, &v[i], out, e);
        if (rc == ERR_OK)
            rc = secret_store_given(db, device_id, v[i].id, e);
    }
    if (rc == ERR_OK)
        *ret = TAKE(out);
    return rc;
}

/* --- showing that there is one --- */

static json_t *to_item(const struct secret_row *r, bool of_device, bool lost)
{
    char created[CLOCK_TEXT_SIZE], given[CLOCK_TEXT_SIZE];
    json_t *j;

    clock_format(r->created_ms, created);
    clock_format(r->given_ms, given);
    j = json_pack("{s:s,s:s,s:s,s:s,s:o,s:b}", "id", r->id, "setting", r->setting, "author",
                  r->author, "created_at", created, "pub",
                  r->pub == 0 ? json_null() : json_integer((json_int_t)r->pub), "in_use",
                  r->in_use);
    if (j != NULL && of_device &&
        (json_object_set_new(j, "given_at", json_string(given)) != 0 ||
         json_object_set_new(j, "rotate", json_boolean(lost && r->in_use)) != 0)) {
        json_decref(j);
        return NULL;
    }
    return j;
}

enum err_code secret_list(struct db *db, const char *device, json_t **ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(SECRET_ARENA);
    AUTO(json_free) json_t *items = json_array();
    struct secret_row *v = NULL;
    struct device d = {0};
    bool lost;
    size_t n = 0;
    enum err_code rc = a == NULL || items == NULL ? no_memory(e) : ERR_OK;

    if (rc == ERR_OK && device != NULL)
        rc = device_store_get(db, device, a, &d, e);
    if (rc == ERR_OK)
        rc = secret_store_list(db, device == NULL ? NULL : d.id, a, &v, &n, e);
    if (rc != ERR_OK)
        return rc;
    lost = device != NULL && (strcmp(d.state, "revoked") == 0 || strcmp(d.state, "retired") == 0);
    for (size_t i = 0; i < n; i++) {
        if (json_array_append_new(items, to_item(&v[i], device != NULL, lost)) != 0)
            return no_memory(e);
    }
    *ret = json_pack("{s:O}", "items", items);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}
