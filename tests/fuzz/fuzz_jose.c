// libs: inari_jose
/* Signed documents and tokens: nothing that was not signed verifies. */
#include "jose/jose.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jose_key *key;
    struct slice text = {(const char *)data, size};
    struct jose_jws j;
    json_t *claims = NULL;
    char kid[64];
    struct err e;

    if (key == NULL)
        key = jose_key_new();
    if (jose_jws_parse(text, 65536, "t", &j, &e) == ERR_OK) {
        if (jose_jws_verify(&j, key, &e) == ERR_OK)
            abort();
        jose_jws_clear(&j);
    }
    if (jose_hs256_kid(text, kid) &&
        jose_hs256_verify(slice_of("0123456789abcdef0123456789abcdef"), kid, "t", text, &claims, &e) == ERR_OK)
        abort();
    if (json_in_parse(text, 65536, &claims, &e) == ERR_OK) {
        struct jose_key *k = NULL;
        if (jose_key_from_jwk(claims, &k, &e) == ERR_OK)
            jose_key_free(k);
        json_decref(claims);
    }
    return 0;
}
