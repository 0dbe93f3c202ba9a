// libs: inari_agent_loop
/* Bytes of a hostile parent: nothing a key of ours did not sign may pass, nothing may crash.  The
 * second byte on is the document; an even first byte wraps it as the payload of a bundle signed by
 * the right key, so that what lies behind the signature is reached too. */
#include "loop/bundle.h"

#include <stdlib.h>

#define FLEET  "019ab000-0000-7000-8000-000000000001"
#define DEVICE "019ab000-0000-7000-8000-0000000000aa"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct jose_key *key;
static struct trust *trust;

static void prepare(void)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL;
    AUTO_STR char *jws = NULL;

    key = jose_key_new();
    doc = json_pack("{s:i,s:s,s:i,s:o,s:[{s:s,s:o}],s:[s],s:s,s:[]}", "n", 1, "fleet", FLEET,
                    "epoch", 1, "root", jose_key_to_jwk(key), "keys", "use", "bundle", "jwk",
                    jose_key_to_jwk(key), "tls_pins", "x", "issuer", "i", "addresses");
    text = json_canonical(doc);
    if (text == NULL ||
        jose_jws_sign(key, PROTO_TYP_TRUST, slice_of(text), false, &jws, NULL) != ERR_OK ||
        trust_first(slice_of(jws), FLEET, &trust, NULL) != ERR_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bundle_known k = {.fleet = FLEET, .device = DEVICE, .now_ms = 1, .etag = ""};
    struct slice in = {(const char *)data + 1, size - 1};
    AUTO_STR char *jws = NULL;
    struct bundle b = {0};
    struct err e;

    if (size < 1)
        return 0;
    if (key == NULL)
        prepare();
    k.trust = trust;
    if (data[0] % 2 == 0) {
        if (jose_jws_sign(key, PROTO_TYP_BUNDLE, in, false, &jws, NULL) != ERR_OK)
            return 0;
        in = slice_of(jws);
    }
    if (bundle_verify(in, &k, &b, &e) == BUNDLE_OK) {
        if (data[0] % 2 != 0)
            abort(); /* nobody signed that */
        bundle_clear(&b);
    }
    return 0;
}
