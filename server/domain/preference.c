#include "domain/preference.h"

#include "domain/change.h"
#include "store/account_store.h"

#include <string.h>

static const char *const langs[] = {"en", "ja", NULL};
static const char *const themes[] = {"auto", "light", "dark", NULL};
static const char ZONE_CHARS[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";

struct patching {
    const char *account;
    json_t *patch;
    json_t *result;
};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* Names of zones are the browser's: their form is checked, the page shows times in UTC for one it
 * does not know. */
static enum err_code values_check(json_t *patch, struct err *e)
{
    struct wanted {
        const char *zone;
        int64_t page_size;
        int lang, theme;
        bool keys;
    } w = {NULL, 50, 0, 0, true};
    static const struct jdec_field fields[] = {
        JDEC_ENUM(struct wanted, lang, JD_NULL_OK, langs),
        JDEC_ENUM(struct wanted, theme, JD_NULL_OK, themes),
        JDEC_STR(struct wanted, zone, JD_NULL_OK, 1, 64),
        JDEC_INT(struct wanted, page_size, JD_NULL_OK, 20, 100),
        JDEC_BOOL(struct wanted, keys, JD_NULL_OK),
        JDEC_END};
    enum err_code rc = jdec_object(patch, fields, JD_REFUSE_UNKNOWN, "", &w, e);

    if (rc != ERR_OK)
        return rc;
    if (w.zone != NULL && w.zone[strspn(w.zone, ZONE_CHARS)] != '\0')
        return err_field(e, ERR_INVALID, "/zone", "a zone is named like Asia/Tokyo or UTC");
    if (w.page_size != 20 && w.page_size != 50 && w.page_size != 100)
        return err_field(e, ERR_INVALID, "/page_size", "a page has 20, 50 or 100 rows");
    return ERR_OK;
}

static enum err_code read_into(struct db *db, const char *account, bool lock, json_t **ret,
                               struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(16 * KIB);
    const char *text = NULL;
    enum err_code rc =
        a == NULL ? no_memory(e) : account_store_preferences(db, account, lock, a, &text, e);

    if (rc != ERR_OK)
        return rc;
    *ret = json_in_own(text);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

enum err_code preference_get(struct db *db, const char *account, json_t **ret, struct err *e)
{
    return read_into(db, account, false, ret, e);
}

static enum err_code patch_in_tx(struct db *db, void *ctx, struct err *e)
{
    struct patching *x = ctx;
    AUTO(json_free) json_t *now = NULL;
    AUTO_STR char *text = NULL;
    const char *key;
    json_t *value;
    enum err_code rc = read_into(db, x->account, true, &now, e);

    if (rc != ERR_OK)
        return rc;
    json_object_foreach(x->patch, key, value)
    {
        if (json_is_null(value))
            (void)json_object_del(now, key);
        else if (json_object_set(now, key, value) != 0)
            return no_memory(e);
    }
    text = json_text(now, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL)
        return no_memory(e);
    rc = account_store_preferences_save(db, x->account, text, e);
    json_decref(x->result);
    x->result = rc == ERR_OK ? json_incref(now) : NULL;
    return rc;
}

enum err_code preference_patch(struct db *db, const char *account, json_t *patch, bool dry_run,
                               json_t **ret, struct err *e)
{
    struct patching x = {.account = account, .patch = patch};
    enum err_code rc = values_check(patch, e);

    if (rc == ERR_OK)
        rc = change_run(db, "preferences", dry_run, patch_in_tx, &x, e);
    if (rc != ERR_OK) {
        json_decref(x.result);
        return rc;
    }
    *ret = x.result;
    return ERR_OK;
}
