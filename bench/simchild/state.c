/* state.c - {"addresses","pins","trust":[...],"devices":[{"name","id","key"}]}, 0600: it holds the
 * devices' private keys. */
#include "base/file.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { STATE_MAX = 64 * 1024 * 1024 };

static enum err_code read_device(struct child *d, const json_t *j, struct trust *trust,
                                 struct err *e)
{
    const char *id = json_str(j, "id", ""), *name = json_str(j, "name", "");

    (void)snprintf(d->id, sizeof d->id, "%s", id);
    (void)snprintf(d->name, sizeof d->name, "%s", name);
    d->trust = trust;
    d->seq = json_int(j, "seq", 0);
    return jose_key_from_pem(slice_of(json_str(j, "key", "")), &d->sig, e);
}

enum err_code state_read(const char *path, json_t **ret_join, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;
    struct trust *trust;
    const json_t *devices;
    size_t n = 0;
    enum err_code rc = file_read(path, STATE_MAX, &text, &n, e);

    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){text, n}, STATE_MAX, &j, e);
    if (rc != ERR_OK)
        return rc;
    main_trust(json_object_get(j, "trust"));
    trust = child_trust(trust_documents, e);
    if (trust == NULL)
        return e->code;
    devices = json_object_get(j, "devices");
    if (json_array_size(devices) < (size_t)opt.count)
        return err_set(e, ERR_INVALID, "\"%s\" has only %zu devices", path,
                       json_array_size(devices));
    for (int i = 0; i < opt.count && rc == ERR_OK; i++)
        rc = read_device(&fleet[i], json_array_get(devices, (size_t)i), trust, e);
    if (rc == ERR_OK)
        *ret_join = json_incref(j);
    return rc;
}

enum err_code state_write(const char *path, const json_t *join, struct err *e)
{
    AUTO(json_free) json_t *devices = json_array();
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;

    for (int i = 0; i < opt.count; i++) {
        AUTO_STR char *pem = NULL;
        if (fleet[i].id[0] == '\0' || jose_key_to_pem(fleet[i].sig, &pem, e) != ERR_OK)
            continue;
        (void)json_array_append_new(devices, json_pack("{s:s,s:s,s:s,s:I}", "name", fleet[i].name,
                                                       "id", fleet[i].id, "key", pem, "seq",
                                                       (json_int_t)fleet[i].seq));
        secret_wipe(pem, strlen(pem));
    }
    j = json_pack("{s:O,s:O,s:O,s:O}", "addresses", json_object_get(join, "addresses"), "pins",
                  json_object_get(join, "pins"), "trust", trust_documents, "devices", devices);
    text = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return file_write_atomic(path, slice_of(text), 0600, e);
}
