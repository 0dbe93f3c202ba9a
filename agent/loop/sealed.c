#include "loop/sealed.h"

#include "base/hash.h"
#include "base/rand.h"

#include <stdlib.h>

enum { SECRETS_MAX = 64, SECRET_TEXT_MAX = 4096 };

static enum err_code open_one(const struct identity *id, const char *name, const json_t *jwe,
                              json_t *out, struct err *e)
{
    const struct jose_key *const keys[] = {id->key.enc, id->next.enc, id->old.enc};
    struct slice text = {json_string_value(jwe), json_string_length(jwe)};
    enum err_code rc = ERR_SIGNATURE;
    AUTO_STR char *plain = NULL;
    size_t n = 0;

    if (!uuid_is_valid(name) || text.p == NULL || text.n > SECRET_TEXT_MAX)
        return err_field(e, ERR_MALFORMED, "/secrets", "the bundle's secrets are not of our kind");
    for (size_t i = 0; i < COUNT_OF(keys) && rc == ERR_SIGNATURE; i++)
        rc = keys[i] == NULL ? ERR_SIGNATURE : jose_jwe_decrypt(keys[i], text, &plain, &n, e);
    if (rc == ERR_SIGNATURE)
        return err_field(e, ERR_SIGNATURE, "/secrets",
                         "secret %s is sealed to a key that this device does not have", name);
    if (rc == ERR_OK && json_object_set_new(out, name, json_stringn(plain, n)) != 0)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (plain != NULL)
        secret_wipe(plain, n);
    return rc;
}

enum err_code sealed_open(const struct identity *id, const struct bundle *b, json_t **ret,
                          struct err *e)
{
    json_t *out, *v;
    const char *name;
    enum err_code rc = ERR_OK;

    *ret = NULL;
    if (json_object_size(b->sealed) == 0)
        return ERR_OK;
    if (json_object_size(b->sealed) > SECRETS_MAX)
        return err_field(e, ERR_TOO_LARGE, "/secrets", "a bundle has at most %d secrets",
                         SECRETS_MAX);
    out = json_object();
    if (out == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    json_object_foreach((json_t *)(uintptr_t)b->sealed, name, v)
    {
        rc = open_one(id, name, v, out, e);
        if (rc != ERR_OK)
            break;
    }
    if (rc == ERR_OK)
        *ret = out;
    else
        sealed_wipe(out);
    return rc;
}

void sealed_wipe(json_t *secrets)
{
    const char *name;
    json_t *v;

    json_object_foreach(secrets, name, v)
        secret_wipe((char *)(uintptr_t)json_string_value(v), json_string_length(v));
    json_decref(secrets);
}
