#include "domain/account.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "domain/auth.h"
#include "domain/change.h"
#include "domain/page.h"
#include "domain/role.h"
#include "store/session_store.h"

#include <stdio.h>
#include <string.h>

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

static json_t *token_to_json(const struct api_token_row *t)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:O,s:o,s:o,s:o}", "id", t->id, "name", t->name, "account",
                     t->account_id, "account_name", t->account_name, "scopes", t->scopes,
                     "created_at", time_json(t->created_at_ms), "expires_at",
                     time_json(t->expires_at_ms), "used_at", time_json(t->used_at_ms));
}

static enum err_code scopes_check(const json_t *scopes, unsigned perms, struct err *e)
{
    const json_t *word;
    char pointer[64];
    size_t i;

    if (json_array_size(scopes) == 0)
        return err_field(e, ERR_INVALID, "/scopes", "name at least one scope");
    json_array_foreach(scopes, i, word)
    {
        unsigned bit = json_is_string(word) ? scope_bit(json_string_value(word)) : 0;

        (void)snprintf(pointer, sizeof pointer, "/scopes/%zu", i);
        if (bit == 0)
            return err_field(e, ERR_INVALID, pointer,
                             "scopes are settings:read, settings:write, publish, device:read, "
                             "device:write, enrol, "
                             "audit:read, admin, command and events:read");
        if ((perms & bit) == 0)
            return err_field(e, ERR_FORBIDDEN, pointer, "your account does not have \"%s\" itself",
                             json_string_value(word));
    }
    return ERR_OK;
}

struct token_ctx {
    struct api_token_row row;
    const char *account_id;
    const struct actor *by;
    struct slice hash;
    int64_t now_ms;
    json_t *result;
};

static enum err_code create_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct token_ctx *x = ctx;
    AUTO(json_free)
    json_t *detail = json_pack("{s:s,s:O}", "name", x->row.name, "scopes", x->row.scopes);
    struct api_token_row stored;
    char object[64];
    enum err_code rc;

    if (a == NULL || detail == NULL)
        return no_memory(e);
    rc = api_token_store_insert(db, &x->row, x->hash, e);
    if (rc == ERR_OK)
        rc = api_token_store_by_id(db, x->row.id, a, &stored, e);
    if (rc != ERR_OK)
        return rc;
    json_decref(x->result);
    x->result = token_to_json(&stored);
    if (x->result == NULL)
        return no_memory(e);
    (void)snprintf(object, sizeof object, "api_token/%s", x->row.id);
    return audit_append(db, x->by, "api_token.create", object, detail, e);
}

enum err_code api_token_create(struct db *db, const struct who *owner,
                               const struct api_token_spec *spec, const struct actor *by,
                               int64_t now_ms, bool dry_run, json_t **ret, struct err *e)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(128);
    unsigned char random[32], hash[SHA256_SIZE];
    char id[UUID_TEXT_SIZE];
    struct token_ctx x = {.row = {.id = id,
                                  .name = spec->name,
                                  .account_id = owner->account,
                                  .scopes = spec->scopes,
                                  .expires_at_ms = spec->expires_at_ms},
                          .by = by,
                          .hash = {(const char *)hash, sizeof hash}};
    enum err_code rc = scopes_check(spec->scopes, owner->perms, e);

    if (rc == ERR_OK && spec->expires_at_ms != 0 && spec->expires_at_ms <= now_ms)
        rc = err_field(e, ERR_INVALID, "/expires_at", "the end must be in the future");
    if (rc != ERR_OK)
        return rc;
    uuid7(id);
    rand_bytes(random, sizeof random);
    strbuf_puts(&text, AUTH_TOKEN_PREFIX);
    b64u_add(&text, (struct slice){(const char *)random, sizeof random});
    secret_wipe(random, sizeof random);
    rc = strbuf_check(&text, e);
    if (rc != ERR_OK)
        return rc;
    sha256(strbuf_slice(&text), hash);
    rc = change_run(db, "api_token_create", dry_run, create_in_tx, &x, e);
    if (rc == ERR_OK && !dry_run &&
        json_object_set_new(x.result, "token", json_string(strbuf_str(&text))) != 0)
        rc = no_memory(e);
    secret_wipe(text.p, text.n);
    if (rc == ERR_OK)
        *ret = TAKE(x.result);
    json_decref(x.result);
    return rc;
}

enum err_code api_token_list(struct db *db, const char *account_id, const char *after, int limit,
                             json_t **ret, char ret_next[64], struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(4 * MIB);
    AUTO(json_free) json_t *items = json_array();
    struct api_token_row *rows = NULL;
    size_t n = 0;
    enum err_code rc;

    if (a == NULL || items == NULL)
        return no_memory(e);
    if (after[0] != '\0' && !uuid_is_valid(after))
        return err_field(e, ERR_INVALID, "/query/cursor", "this is not a cursor of this list");
    rc = api_token_store_list(db, account_id, after, limit, a, &rows, &n, e);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(items, token_to_json(&rows[i])) != 0)
            return no_memory(e);
    (void)snprintf(ret_next, 64, "%s", n == (size_t)limit ? rows[n - 1].id : "");
    *ret = TAKE(items);
    return ERR_OK;
}

static enum err_code revoke_in_tx(struct db *db, void *ctx, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    const struct token_ctx *x = ctx;
    struct api_token_row row;
    char object[64];
    enum err_code rc;

    if (a == NULL)
        return no_memory(e);
    rc = api_token_store_by_id(db, x->row.id, a, &row, e);
    if (rc == ERR_OK && x->account_id != NULL && strcmp(row.account_id, x->account_id) != 0)
        rc = ERR_NOT_FOUND; /* somebody else's token is told like one that is not there */
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no such token");
    if (rc == ERR_OK)
        rc = api_token_store_revoke(db, x->row.id, x->now_ms, e);
    (void)snprintf(object, sizeof object, "api_token/%s", x->row.id);
    return rc == ERR_OK ? audit_append(db, x->by, "api_token.revoke", object, NULL, e) : rc;
}

enum err_code api_token_revoke(struct db *db, const char *id, const char *account_id,
                               const struct actor *by, int64_t now_ms, bool dry_run, struct err *e)
{
    struct token_ctx x = {.row = {.id = id}, .account_id = account_id, .by = by, .now_ms = now_ms};

    if (!uuid_is_valid(id))
        return err_set(e, ERR_NOT_FOUND, "there is no such token");
    return change_run(db, "api_token_revoke", dry_run, revoke_in_tx, &x, e);
}
