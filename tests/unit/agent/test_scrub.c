/* What leaves the host in a debug bundle holds no secret. */
#include "apply/scrub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(const char *in, const char *want)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB);

    scrub(slice_of(in), &b);
    assert_string_equal(strbuf_str(&b), want);
}

static void test_secrets_go(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"ldap_bind_pw = s3cret word\n", "ldap_bind_pw = [removed]\n"},
        {"x_password = a,\n  b c\nmyhostname = mx\n",
         "x_password = [removed]\n  [removed]\nmyhostname = mx\n"},
        {"x_secret =\n  b c\n  d\nnext = 1\n", "x_secret =\n  [removed]\n  [removed]\nnext = 1\n"},
        {"{\"password\":\"a\\\"b\",\"user\":\"u\"}\n", "{\"password\":[removed],\"user\":\"u\"}\n"},
        {"relay = smtp://joe:pw@mail.test/\n", "relay = smtp://[removed]@mail.test/\n"},
        {"smtp_sasl_password_maps = inline:{mx=joe:pw}\n",
         "smtp_sasl_password_maps = inline:[removed]\n"},
        {"Authorization: Bearer abc.def\n", "Authorization: [removed]\n"},
        {"got bearer abcdef ok\n", "got bearer [removed] ok\n"},
        {"log token=xyz,next=1\n", "log token=[removed],next=1\n"},
        {"token inari_0123456789abcdefghij end\n", "token [removed] end\n"},
        {"join inari1.eyJhZGRyZXNzZXMiOlsi end\n", "join [removed] end\n"},
        {"a\n-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nb\n",
         "a\n[removed]\nb\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(rows[i].in, rows[i].want);
}

static void test_the_rest_stays(void **state)
{
    static const char *const rows[] = {
        "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\n",
        "smtpd_tls_key_file = /etc/ssl/private/mx.key\n",
        "relayhost = [mail.example.test]:25\n",
        "Nov 22 03:31 mx postfix/smtpd[1]: connect from a[192.0.2.1]\n",
        "inari_digest = 0123456789abcdef\n",
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(rows[i], rows[i]);
}

static void test_any_bytes(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(64 * KIB);
    static const char *const odd[] = {
        "=",       ":",   "password=", "password: ", "://", "://:@", "\"token\":\"",
        "inline:", "eyJ", "bearer "};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(odd); i++)
        for (size_t n = 0; n <= strlen(odd[i]); n++)
            scrub((struct slice){odd[i], n}, &b);
    assert_true(strbuf_ok(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets_go),
        cmocka_unit_test(test_the_rest_stays),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
