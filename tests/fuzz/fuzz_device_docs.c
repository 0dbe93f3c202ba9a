// libs: inari_domain
/* What strangers and devices post: client assertions (nobody without the key may pass) and report
 * texts. */
#include "domain/device_status.h"
#include "domain/enrol.h"
#include "domain/keyring.h"
#include "http/park.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The listener's: nobody is parked here. */
int park_wake(const char *key)
{
    (void)key;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char id[] = "01932e7c-7b1f-7000-8000-000000000001";
    static struct keyring *ring;
    struct slice in = {(const char *)data, size};
    AUTO(json_free) json_t *j = NULL, *claims = NULL;
    char jti[80], at[160] = "", text[64];
    int64_t exp = 0;

    if (ring == NULL && (ring = keyring_new_for_test()) == NULL)
        return 0;
    if (device_assertion_check(in, "https://p", keyring_bundle_key(ring), id, 1800000000, jti, &exp,
                               NULL) == ERR_OK ||
        keyring_token_verify(ring, in, &claims, NULL) == ERR_OK)
        abort();
    (void)snprintf(text, sizeof text, "%.*s", (int)(size < 60 ? size : 60), in.p);
    if (keyring_nonce_ok(ring, text, 1800000000000))
        abort();
    (void)device_name_ok(text);
    if (json_in_parse(in, 64 * KIB, &j, NULL) == ERR_OK) {
        (void)report_texts_ok(j, at, sizeof at);
        (void)rollout_device_state(j, "d", "e", 7, 7, 7);
    }
    return 0;
}
