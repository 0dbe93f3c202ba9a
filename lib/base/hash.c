/* The one-shot SHA256() of OpenSSL 3 looks its algorithm up at each call, which costs several times the hash of a token;
 * its older functions do not (and an authenticated poll hashes one token). */
#define OPENSSL_API_COMPAT 10100

#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>

void sha256(struct slice in, unsigned char out[SHA256_SIZE])
{
    SHA256_CTX ctx;

    (void)SHA256_Init(&ctx);
    (void)SHA256_Update(&ctx, in.p, in.n);
    (void)SHA256_Final(out, &ctx);
    OPENSSL_cleanse(&ctx, sizeof ctx);
}

void hex_encode(const unsigned char *in, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * n] = '\0';
}

void sha256_hex(struct slice in, char out[SHA256_HEX_SIZE])
{
    unsigned char d[SHA256_SIZE];

    sha256(in, d);
    hex_encode(d, sizeof d, out);
}

void hmac_sha256(struct slice key, struct slice in, unsigned char out[SHA256_SIZE])
{
    unsigned int n = SHA256_SIZE;

    if (HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)in.p, in.n, out, &n) == NULL)
        abort(); /* only without memory; a zero MAC must never be used */
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_decode(struct slice in, unsigned char *out, size_t n)
{
    if (in.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int h = hex_digit(in.p[2 * i]), l = hex_digit(in.p[2 * i + 1]);
        if (h < 0 || l < 0)
            return false;
        out[i] = (unsigned char)(h << 4 | l);
    }
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void b64u_add(struct strbuf *b, struct slice in)
{
    for (size_t i = 0; i < in.n; i += 3) {
        size_t left = in.n - i;
        uint32_t v = (uint32_t)(unsigned char)in.p[i] << 16;
        char out[4];
        if (left > 1)
            v |= (uint32_t)(unsigned char)in.p[i + 1] << 8;
        if (left > 2)
            v |= (unsigned char)in.p[i + 2];
        for (int k = 0; k < 4; k++)
            out[k] = alphabet[v >> (18 - 6 * k) & 63];
        strbuf_add(b, (struct slice){out, left > 2 ? 4 : left + 1});
    }
}

static int b64u_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

bool b64u_decode(struct slice in, unsigned char *out, size_t max, size_t *ret_n)
{
    size_t n = 0;
    uint32_t v = 0;
    int bits = 0;

    if (in.n % 4 == 1)
        return false;
    for (size_t i = 0; i < in.n; i++) {
        int d = b64u_digit(in.p[i]);
        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (n >= max)
                return false;
            out[n++] = (unsigned char)(v >> bits & 0xff);
        }
    }
    if ((v & ((1u << bits) - 1)) != 0) /* the unused bits must be zero: one encoding only */
        return false;
    *ret_n = n;
    return true;
}

bool const_time_eq(struct slice a, struct slice b)
{
    unsigned char d = 0;

    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        d |= (unsigned char)(a.p[i] ^ b.p[i]);
    return d == 0;
}

void secret_wipe(void *p, size_t n)
{
    if (p != NULL)
        explicit_bzero(p, n);
}
