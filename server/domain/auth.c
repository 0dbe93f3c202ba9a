#include "domain/auth.h"

#include "base/hash.h"
#include "base/log.h"
#include "domain/app.h"
#include "domain/role.h"
#include "store/session_store.h"

#include <stdio.h>
#include <string.h>

enum { SEEN_STEP_MS = 60 * 1000 };

static const char *const role_words[] = {"viewer", "operator", "admin"};

unsigned role_perms(const char *role)
{
    unsigned perms = PERM_SETTINGS_READ | PERM_DEVICE_READ | PERM_AUDIT_READ | PERM_EVENTS_READ;

    if (strcmp(role, role_words[0]) == 0)
        return perms;
    perms |= PERM_SETTINGS_WRITE | PERM_PUBLISH | PERM_DEVICE_WRITE | PERM_COMMAND;
    if (strcmp(role, role_words[1]) == 0)
        return perms;
    return strcmp(role, role_words[2]) == 0 ? perms | PERM_ENROL | PERM_ADMIN : 0;
}

unsigned scope_bit(const char *word)
{
    for (unsigned bit = 0; bit < 16; bit++)
        if (scope_names[bit][0] != '\0' && strcmp(scope_names[bit], word) == 0)
            return 1U << bit;
    return 0;
}

json_t *perms_to_json(unsigned perms)
{
    json_t *words = json_array();

    for (unsigned bit = 0; words != NULL && bit < 16; bit++)
        if ((perms & (1U << bit)) != 0 && scope_names[bit][0] != '\0')
            (void)json_array_append_new(words, json_string(scope_names[bit]));
    return words;
}

static void hash_of(const char *text, unsigned char out[SHA256_SIZE])
{
    sha256(slice_of(text), out);
}

static enum err_code no_session(struct err *e)
{
    return err_set(e, ERR_UNAUTHENTICATED, "there is no such session, or it has ended");
}

enum err_code auth_session(struct db *db, struct app *app, const char *cookie, int64_t now_ms,
                           struct arena *a, struct who *ret, struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    struct slice id = {(const char *)hash, sizeof hash};
    struct session_row s;
    enum err_code rc;

    hash_of(cookie, hash);
    rc = session_store_find(db, id, a, &s, e);
    if (rc == ERR_NOT_FOUND)
        return no_session(e);
    if (rc != ERR_OK)
        return rc;
    if (s.disabled || now_ms >= s.expires_at_ms || now_ms - s.seen_at_ms >= SESSION_IDLE_MS) {
        log_event(LOG_LEVEL_INFO, "session.refused", KV_STR("account", s.account_name),
                  KV_STR("cause", s.disabled                  ? "disabled"
                                  : now_ms >= s.expires_at_ms ? "too old"
                                                              : "idle"));
        return no_session(e);
    }
    if (now_ms - s.seen_at_ms >= SEEN_STEP_MS) {
        rc = session_store_seen(db, id, now_ms, e);
        if (rc != ERR_OK)
            return rc;
    }
    *ret = (struct who){.kind = WHO_ACCOUNT,
                        .perms = role_perms(s.role) | PERM_SESSION | PERM_KNOWN,
                        .must_change_password = s.must_change && !app->lab,
                        .lang = strcmp(s.lang, "ja") == 0 ? LANG_JA : LANG_EN};
    (void)snprintf(ret->id, sizeof ret->id, "%s", s.account_id);
    (void)snprintf(ret->account, sizeof ret->account, "%s", s.account_id);
    (void)snprintf(ret->name, sizeof ret->name, "%s", s.account_name);
    return ERR_OK;
}

static const char *token_fault(const struct api_token_row *t, int64_t now_ms)
{
    if (t->revoked_at_ms != 0)
        return "revoked";
    if (t->expires_at_ms != 0 && now_ms >= t->expires_at_ms)
        return "expired";
    return t->disabled ? "account disabled" : NULL;
}

enum err_code auth_api_token(struct db *db, struct app *app, const char *token, int64_t now_ms,
                             struct arena *a, struct who *ret, struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    struct api_token_row t;
    unsigned perms = 0;
    const json_t *word;
    enum err_code rc;
    size_t i;

    (void)app;
    hash_of(token, hash);
    rc = api_token_store_find(db, (struct slice){(const char *)hash, sizeof hash}, a, &t, e);
    if (rc == ERR_NOT_FOUND || (rc == ERR_OK && token_fault(&t, now_ms) != NULL)) {
        log_event(LOG_LEVEL_INFO, "api_token.refused", KV_STR("token", rc == ERR_OK ? t.name : ""),
                  KV_STR("cause", rc == ERR_OK ? token_fault(&t, now_ms) : "unknown"));
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    }
    if (rc != ERR_OK)
        return rc;
    json_array_foreach(t.scopes, i, word) perms |= scope_bit(json_string_value(word));
    if (now_ms - t.used_at_ms >= SEEN_STEP_MS) {
        rc = api_token_store_used(db, t.id, now_ms, e);
        if (rc != ERR_OK)
            return rc;
    }
    *ret = (struct who){.kind = WHO_TOKEN,
                        .perms = (perms & role_perms(t.role)) | PERM_KNOWN,
                        .lang = strcmp(t.lang, "ja") == 0 ? LANG_JA : LANG_EN};
    (void)snprintf(ret->id, sizeof ret->id, "%s", t.id);
    (void)snprintf(ret->account, sizeof ret->account, "%s", t.account_id);
    (void)snprintf(ret->name, sizeof ret->name, "token:%.50s", t.name);
    return ERR_OK;
}
