#include "jose/jose.h"

#include <stdio.h>
#include <stdlib.h>

enum { JWS_MAX = 8 * 1024 * 1024 };

enum err_code jose_jws_sign(const struct jose_key *k, const char *typ, struct slice payload, bool compact, char **ret,
                            struct err *e)
{
    AUTO_STRBUF struct strbuf part = STRBUF_INIT(JWS_MAX);
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(JWS_MAX);
    unsigned char sig[64];
    char header[256];
    enum err_code rc;
    size_t dot;
    int n = snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\",\"typ\":\"%s\"}", jose_key_kid(k), typ);

    b64u_add(&part, (struct slice){header, (size_t)n});
    dot = part.n;
    strbuf_putc(&part, '.');
    b64u_add(&part, payload);
    rc = strbuf_check(&part, e);
    if (rc == ERR_OK)
        rc = jose_es256_sign(k, strbuf_slice(&part), sig, e);
    if (rc != ERR_OK)
        return rc;
    if (compact) {
        strbuf_add(&out, strbuf_slice(&part));
        strbuf_putc(&out, '.');
        b64u_add(&out, (struct slice){(char *)sig, sizeof sig});
    } else {
        strbuf_puts(&out, "{\"payload\":\"");
        strbuf_add(&out, (struct slice){part.p + dot + 1, part.n - dot - 1});
        strbuf_puts(&out, "\",\"protected\":\"");
        strbuf_add(&out, (struct slice){part.p, dot});
        strbuf_puts(&out, "\",\"signature\":\"");
        b64u_add(&out, (struct slice){(char *)sig, sizeof sig});
        strbuf_puts(&out, "\"}");
    }
    rc = strbuf_check(&out, e);
    if (rc == ERR_OK)
        *ret = strbuf_take(&out);
    return rc;
}

void jose_jws_clear(struct jose_jws *j)
{
    free(j->payload);
    free(j->signed_part);
    json_decref(j->header);
    *j = (struct jose_jws){0};
}

static enum err_code split(struct slice text, size_t max, struct slice part[3], json_t **hold, struct err *e)
{
    enum err_code rc;

    if (text.n > max || text.n > JWS_MAX)
        return err_set(e, ERR_TOO_LARGE, "signed document of %zu bytes; at most %zu are accepted", text.n, max);
    if (text.n > 0 && text.p[0] == '{') {
        static const char *const names[] = {"protected", "payload", "signature"};
        rc = json_in_parse(text, max, hold, e);
        if (rc != ERR_OK)
            return rc;
        for (int i = 0; i < 3; i++) {
            const json_t *v = json_object_get(*hold, names[i]);
            if (!json_is_string(v))
                return err_set(e, ERR_MALFORMED, "signed document without \"%s\"", names[i]);
            part[i] = (struct slice){json_string_value(v), json_string_length(v)};
        }
        return json_object_size(*hold) == 3 ? ERR_OK : err_set(e, ERR_MALFORMED, "signed document with unknown members");
    }
    part[0] = slice_cut(&text, '.');
    part[1] = slice_cut(&text, '.');
    part[2] = slice_cut(&text, '.');
    if (text.p != NULL || part[2].n == 0)
        return err_set(e, ERR_MALFORMED, "not a signed document");
    return ERR_OK;
}

/* Decode base64url into a NUL-terminated heap buffer; ERR_MALFORMED with the text what, ERR_NO_MEMORY. */
static enum err_code decode(struct slice in, const char *what, char **ret, size_t *ret_n, struct err *e)
{
    char *p = malloc(in.n + 1);

    if (p == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (!b64u_decode(in, (unsigned char *)p, in.n, ret_n)) {
        free(p);
        return err_set(e, ERR_MALFORMED, "%s", what);
    }
    p[*ret_n] = '\0';
    *ret = p;
    return ERR_OK;
}

static enum err_code read_header(struct slice part, const char *alg, const char *typ, json_t **ret, struct err *e)
{
    static const char bad[] = "signed document with a bad header";
    AUTO_STR char *text = NULL;
    json_t *h = NULL;
    size_t n = 0;
    enum err_code rc = part.n > 2048 ? err_set(e, ERR_MALFORMED, "%s", bad) : decode(part, bad, &text, &n, e);

    if (rc != ERR_OK)
        return rc;
    rc = json_in_parse((struct slice){text, n}, 2048, &h, e);
    if (rc == ERR_NO_MEMORY)
        return rc;
    if (rc != ERR_OK)
        return err_set(e, ERR_MALFORMED, "%s", bad);
    if (strcmp(json_str(h, "alg", ""), alg) != 0 || strcmp(json_str(h, "typ", ""), typ) != 0 ||
        json_object_get(h, "crit") != NULL || json_object_get(h, "b64") != NULL) {
        json_decref(h);
        return err_set(e, ERR_MALFORMED, "signed document is not of type %s with %s", typ, alg);
    }
    *ret = h;
    return ERR_OK;
}

enum err_code jose_jws_parse(struct slice text, size_t max, const char *typ, struct jose_jws *ret, struct err *e)
{
    AUTO(json_free) json_t *hold = NULL;
    struct slice part[3];
    struct jose_jws j = {0};
    size_t n = 0;
    enum err_code rc = split(text, max, part, &hold, e);

    if (rc == ERR_OK)
        rc = read_header(part[0], "ES256", typ, &j.header, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(j.typ, sizeof j.typ, "%s", typ);
    if (strlen(json_str(j.header, "kid", "")) != JOSE_KID_SIZE - 1 || !b64u_decode(part[2], j.sig, sizeof j.sig, &n) ||
        n != sizeof j.sig) {
        jose_jws_clear(&j);
        return err_set(e, ERR_MALFORMED, "signed document with a bad key id or signature");
    }
    (void)snprintf(j.kid, sizeof j.kid, "%s", json_str(j.header, "kid", ""));
    rc = decode(part[1], "signed document with a bad payload", &j.payload, &j.payload_n, e);
    j.signed_part = malloc(part[0].n + 1 + part[1].n + 1);
    if (rc == ERR_OK && j.signed_part == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc != ERR_OK) {
        jose_jws_clear(&j);
        return rc;
    }
    memcpy(j.signed_part, part[0].p, part[0].n);
    j.signed_part[part[0].n] = '.';
    memcpy(j.signed_part + part[0].n + 1, part[1].p, part[1].n);
    j.signed_part[part[0].n + 1 + part[1].n] = '\0';
    *ret = j;
    return ERR_OK;
}

enum err_code jose_jws_verify(const struct jose_jws *j, const struct jose_key *k, struct err *e)
{
    if (strcmp(j->kid, jose_key_kid(k)) != 0 || !jose_es256_verify(k, slice_of(j->signed_part), j->sig))
        return err_set(e, ERR_SIGNATURE, "the signature does not match");
    return ERR_OK;
}

enum err_code jose_hs256_sign(struct slice key, const char *kid, const char *typ, const json_t *claims, char **ret,
                              struct err *e)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(8 * KIB);
    AUTO_STR char *text = json_canonical(claims);
    unsigned char mac[SHA256_SIZE];
    char header[256];
    int n = snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"%s\"}", kid, typ);
    enum err_code rc;

    if (key.n < 32)
        return err_set(e, ERR_INTERNAL, "could not make a token");
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    b64u_add(&out, (struct slice){header, (size_t)n});
    strbuf_putc(&out, '.');
    b64u_add(&out, slice_of(text));
    hmac_sha256(key, strbuf_slice(&out), mac);
    strbuf_putc(&out, '.');
    b64u_add(&out, (struct slice){(char *)mac, sizeof mac});
    rc = strbuf_check(&out, e);
    if (rc == ERR_OK)
        *ret = strbuf_take(&out);
    return rc;
}

bool jose_hs256_kid(struct slice token, char kid[64])
{
    json_t *h = NULL;
    size_t n = 0;
    struct slice first = slice_cut(&token, '.');
    AUTO_STR char *text = NULL;
    bool ok = first.n > 0 && first.n <= 512 && decode(first, "", &text, &n, NULL) == ERR_OK &&
              json_in_parse((struct slice){text, n}, 512, &h, NULL) == ERR_OK;

    if (ok) {
        const char *s = json_str(h, "kid", "");
        ok = strlen(s) > 0 && strlen(s) < 64;
        if (ok)
            memcpy(kid, s, strlen(s) + 1);
    }
    json_decref(h);
    return ok;
}

enum err_code jose_hs256_verify(struct slice key, const char *kid, const char *typ, struct slice token,
                                json_t **ret_claims, struct err *e)
{
    AUTO(json_free) json_t *h = NULL;
    AUTO_STR char *text = NULL;
    struct slice part[3], rest = token, covered;
    unsigned char mac[SHA256_SIZE], got[SHA256_SIZE];
    size_t n = 0;

    if (key.n < 32 || token.n > 4096)
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    for (int i = 0; i < 3; i++)
        part[i] = slice_cut(&rest, '.');
    if (rest.p != NULL || part[2].n == 0)
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    covered = (struct slice){token.p, part[0].n + 1 + part[1].n};
    hmac_sha256(key, covered, mac);
    if (!b64u_decode(part[2], got, sizeof got, &n) || n != sizeof got ||
        !const_time_eq((struct slice){(char *)mac, sizeof mac}, (struct slice){(char *)got, sizeof got}))
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    if (read_header(part[0], "HS256", typ, &h, NULL) != ERR_OK || strcmp(json_str(h, "kid", ""), kid) != 0)
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    if (decode(part[1], "", &text, &n, NULL) != ERR_OK ||
        json_in_parse((struct slice){text, n}, 4096, ret_claims, NULL) != ERR_OK)
        return err_set(e, ERR_TOKEN_INVALID, "the token was not accepted");
    return ERR_OK;
}
