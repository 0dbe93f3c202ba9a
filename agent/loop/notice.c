#include "loop/notice.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdio.h>

enum { ADDRESSES_MAX = 16, ADDRESS_SIZE = 300 };

enum err_code notice_open(struct slice text, const struct trust *t, const char *fleet,
                          int64_t now_ms, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct jose_jws jws = {0};
    const struct jose_key *key;
    enum err_code rc = jose_jws_parse(text, PROTO_BUNDLE_MAX, PROTO_TYP_NOTICE, &jws, e);

    if (rc != ERR_OK)
        return err_wrap(e, "notice");
    key = trust_key(t, "bundle", jws.kid, now_ms);
    rc = key == NULL ? err_set(e, ERR_SIGNATURE, "signed by an unknown key")
                     : jose_jws_verify(&jws, key, e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){jws.payload, jws.payload_n}, PROTO_BUNDLE_MAX, &doc, e);
    jose_jws_clear(&jws);
    if (rc == ERR_OK && strcmp(json_str(doc, "fleet", ""), fleet) != 0)
        rc = err_set(e, ERR_SIGNATURE, "of another fleet");
    if (rc == ERR_OK && json_int(doc, "exp", 0) * 1000 < now_ms)
        rc = err_set(e, ERR_REFUSED, "it has run out");
    if (rc != ERR_OK)
        return err_wrap(e, "notice");
    *ret = TAKE(doc);
    return ERR_OK;
}

static void path_of(char path[512], const char *dir)
{
    (void)snprintf(path, 512, "%s/notice.jws", dir);
}

enum err_code notice_keep(const char *dir, struct slice text, struct err *e)
{
    char path[512];

    path_of(path, dir);
    return file_write_atomic(path, text, 0600, e);
}

enum err_code notice_kept(const char *dir, char **ret, struct err *e)
{
    char path[512];
    size_t n = 0;

    path_of(path, dir);
    return file_read(path, PROTO_BUNDLE_MAX, ret, &n, e);
}

bool notice_revokes(const json_t *notice, const char *device_id)
{
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(notice, "revoked"), i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), device_id) == 0)
            return true;
    }
    return false;
}

static bool usable(const json_t *address)
{
    const char *text = json_string_value(address);

    return text != NULL && strlen(text) < ADDRESS_SIZE && slice_is_text(slice_of(text)) &&
           slice_starts(slice_of(text), "https://") && strlen(text) > 8;
}

json_t *notice_addresses(const json_t *notice, const char *current)
{
    const json_t *named = json_object_get(notice, "addresses");
    AUTO(json_free) json_t *all = json_pack("[s]", current);
    bool there = false;
    size_t i;
    json_t *v;

    if (all == NULL || json_array_size(named) == 0 || json_array_size(named) > ADDRESSES_MAX)
        return NULL;
    json_array_foreach(named, i, v)
    {
        if (!usable(v))
            return NULL;
        if (strcmp(json_string_value(v), current) == 0)
            there = true;
        else if (json_array_append(all, v) != 0)
            return NULL;
    }
    return there ? TAKE(all) : NULL;
}
