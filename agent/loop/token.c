#include "loop/token.h"

#include "base/rand.h"
#include "proto/proto.h"

#include <stdio.h>
#include <stdlib.h>

enum { FORM_MAX = 16 * 1024, ASSERTION_LIFE_S = 60 };

static void form_add(struct strbuf *b, const char *name, const char *value)
{
    strbuf_printf(b, "%s%s=", b->n == 0 ? "" : "&", name);
    for (const unsigned char *p = (const unsigned char *)value; *p != '\0'; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
            *p == '-' || *p == '.' || *p == '_' || *p == '~')
            strbuf_putc(b, (char)*p);
        else
            strbuf_printf(b, "%%%02X", *p);
    }
}

/* act: NULL for an assertion. */
static enum err_code sign_claims(const struct jose_key *key, const char *typ, const char *device_id,
                                 const char *issuer, const char *act, int64_t now_ms, char **ret,
                                 struct err *e)
{
    AUTO(json_free) json_t *claims = NULL;
    AUTO_STR char *text = NULL;
    char jti[UUID_TEXT_SIZE];

    uuid7(jti);
    claims = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:s*}", "iss", device_id, "sub", device_id, "aud",
                       issuer, "jti", jti, "iat", (json_int_t)(now_ms / 1000), "exp",
                       (json_int_t)(now_ms / 1000 + ASSERTION_LIFE_S), "act", act);
    text = claims == NULL ? NULL : json_canonical(claims);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(key, typ, slice_of(text), true, ret, e);
}

enum err_code token_proof(const struct jose_key *key, const char *device_id, const char *issuer,
                          const char *act, int64_t now_ms, char **ret, struct err *e)
{
    return sign_claims(key, PROTO_TYP_PROOF, device_id, issuer, act, now_ms, ret, e);
}

enum err_code token_client_form(const struct jose_key *key, const char *device_id,
                                const char *issuer, int64_t now_ms, char **ret, struct err *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(FORM_MAX);
    AUTO_STR char *assertion = NULL;
    enum err_code rc =
        sign_claims(key, PROTO_TYP_CLIENT, device_id, issuer, NULL, now_ms, &assertion, e);

    if (rc != ERR_OK)
        return rc;
    form_add(&b, "grant_type", "client_credentials");
    form_add(&b, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    form_add(&b, "client_assertion", assertion);
    rc = strbuf_check(&b, e);
    if (rc == ERR_OK)
        *ret = strbuf_take(&b);
    return rc;
}

enum err_code token_password_form(const char *user, const char *password, char **ret, struct err *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(FORM_MAX);
    enum err_code rc;

    form_add(&b, "grant_type", "password");
    form_add(&b, "username", user);
    form_add(&b, "scope", "enrol");
    form_add(&b, "password", password);
    rc = strbuf_check(&b, e);
    if (rc == ERR_OK)
        *ret = strbuf_take(&b);
    return rc;
}

enum err_code token_read(struct slice body, const char *scope, char **ret_token,
                         int64_t *ret_life_s, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    enum err_code rc = json_in_parse(body, FORM_MAX, &j, e);
    const char *token;
    int64_t life;

    if (rc != ERR_OK)
        return err_wrap(e, "token answer");
    token = json_str(j, "access_token", "");
    life = json_int(j, "expires_in", 0);
    if (token[0] == '\0' || !slice_is_text(slice_of(token)) || strlen(token) > 4096 || life < 1 ||
        life > 86400 || strcmp(json_str(j, "scope", ""), scope) != 0)
        return err_set(e, ERR_MALFORMED, "token answer without a token for \"%s\"", scope);
    *ret_token = strdup(token);
    if (*ret_token == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *ret_life_s = life;
    return ERR_OK;
}

int64_t token_refresh_ms(int64_t life_s)
{
    return life_s * 600 + (int64_t)rand_below((uint64_t)life_s * 300 + 1);
}
