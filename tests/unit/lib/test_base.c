/* base: the ground everything stands on. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/finding.h"
#include "base/hash.h"
#include "base/pem.h"
#include "base/rand.h"
#include "base/settings.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* What the system refused is said in words, never as a bare number. */
static void test_errno_in_words(void **state)
{
    static const int numbers[] = {EMFILE, ENFILE, ENOSPC, EIO, ENOENT, EACCES};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct err e = {0};
        assert_int_equal(err_errno(&e, ERR_STORAGE, numbers[i], "could not open \"%s\"", "x"), ERR_STORAGE);
        assert_int_equal(strncmp(e.msg, "could not open \"x\": ", 20), 0);
        assert_true(strlen(e.msg) > 25);
        assert_null(strpbrk(e.msg, "0123456789"));
    }
    struct err e = {0};
    (void)err_errno(&e, ERR_STORAGE, EMFILE, "run");
    assert_string_equal(e.msg, "run: Too many open files");
}

static void test_numbers(void **state)
{
    static const struct {
        const char *in;
        bool ok;
        uint64_t want;
    } t[] = {{"0", true, 0},
             {"18446744073709551615", true, UINT64_MAX},
             {"18446744073709551616", false, 0},
             {"", false, 0},
             {"+1", false, 0},
             {"-1", false, 0},
             {"1 ", false, 0},
             {"0x1", false, 0},
             {"99999999999999999999", false, 0},
             {"007", true, 7}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        uint64_t v = 42;
        if (parse_u64(slice_of(t[i].in), 0, UINT64_MAX, &v) != t[i].ok)
            fail_msg("%s", t[i].in);
        assert_true(v == (t[i].ok ? t[i].want : 42)); /* never written on failure */
    }
    int64_t s = 0;
    assert_true(parse_i64(slice_of("-9223372036854775808"), INT64_MIN, INT64_MAX, &s));
    assert_true(s == INT64_MIN);
    assert_false(parse_i64(slice_of("9223372036854775808"), INT64_MIN, INT64_MAX, &s));
}

static void test_text(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        bool utf8, text;
    } t[] = {{"abc", 3, true, true},
             {"a\nb", 3, true, false},
             {"a\0b", 3, true, false},
             {"\xc3\xa9", 2, true, true},
             {"\xc0\xaf", 2, false, false},
             {"\xed\xa0\x80", 3, false, false},
             {"\xf4\x90\x80\x80", 4, false, false},
             {"\xe3\x81", 2, false, false},
             {"\x7f", 1, true, false},
             {"\xc2\x85", 2, true, false},
             {"\xe2\x80\xa8", 3, true, false},
             {"", 0, true, true}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        struct slice s = {t[i].in, t[i].n};
        if (slice_is_utf8(s) != t[i].utf8 || slice_is_text(s) != t[i].text)
            fail_msg("row %zu", i);
    }
}

static void test_strbuf_limit(void **state)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(10);

    (void)state;
    strbuf_puts(&b, "12345");
    strbuf_printf(&b, "%d", 67890);
    assert_true(strbuf_ok(&b));
    assert_string_equal(strbuf_str(&b), "1234567890");
    strbuf_putc(&b, 'x');
    assert_false(strbuf_ok(&b));
    strbuf_puts(&b, "y"); /* stays failed, changes nothing */
    assert_int_equal(b.n, 10);
    assert_int_equal(strbuf_check(&b, NULL), ERR_TOO_LARGE);
}

static int freed;
static void count_free(void *p)
{
    freed += *(int *)p;
}

static void test_arena(void **state)
{
    struct arena *a = arena_new(64 * KIB);
    int one = 1;

    (void)state;
    for (int i = 0; i < 100; i++) {
        char *p = arena_alloc(a, 100);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (int k = 0; k < 100; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xee, 100);
    }
    assert_null(arena_alloc(a, 65 * KIB));
    assert_string_equal(arena_printf(a, "%s-%d", "x", 7), "x-7");
    assert_true(arena_defer(a, count_free, &one));
    arena_free(a);
    assert_int_equal(freed, 1);
}

static void test_times(void **state)
{
    static const struct {
        const char *in;
        bool ok;
        int64_t want;
    } t[] = {{"1970-01-01T00:00:00Z", true, 0},
             {"2026-11-21T23:21:17.123Z", true, 1795303277123},
             {"2026-11-22T08:21:17.123+09:00", true, 1795303277123},
             {"2026-02-30T00:00:00Z", false, 0},
             {"2026-13-01T00:00:00Z", false, 0},
             {"2026-11-21 23:21:17Z", false, 0},
             {"2026-11-21T23:21:17", false, 0},
             {"2026-11-21T23:21:17.Z", false, 0},
             {"2026-11-21T23:21:17ZZ", false, 0}};
    char buf[CLOCK_TEXT_SIZE];
    int64_t v;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        v = -1;
        if (clock_parse(slice_of(t[i].in), &v) != t[i].ok || v != (t[i].ok ? t[i].want : -1))
            fail_msg("%s gives %lld", t[i].in, (long long)v);
    }
    clock_format(1795303277123, buf);
    assert_string_equal(buf, "2026-11-21T23:21:17.123Z");
    clock_format_people(1795303277123, buf);
    assert_string_equal(buf, "2026-11-21 23:21 UTC");
    clock_format_http(1795303277000, buf);
    assert_string_equal(buf, "Sat, 21 Nov 2026 23:21:17 GMT");
    assert_true(clock_parse_http(slice_of(buf), &v));
    assert_true(v == 1795303277000);
    assert_false(clock_parse_http(slice_of("Sat, 32 Nov 2026 23:21:17 GMT"), &v));
}

static void test_encodings(void **state)
{
    unsigned char raw[64], back[64];
    size_t n;

    (void)state;
    for (size_t len = 0; len < sizeof raw; len++) {
        AUTO_STRBUF struct strbuf b = STRBUF_INIT(128);
        rand_bytes(raw, len);
        b64u_add(&b, (struct slice){(char *)raw, len});
        assert_true(b64u_decode(strbuf_slice(&b), back, sizeof back, &n));
        assert_int_equal(n, len);
        assert_memory_equal(raw, back, len);
    }
    assert_false(b64u_decode(slice_of("QQ=="), back, sizeof back, &n));
    assert_false(b64u_decode(slice_of("QR"), back, sizeof back,
                             &n)); /* unused bits set: a second spelling */
    assert_false(b64u_decode(slice_of("Q+"), back, sizeof back, &n));
    char hex[SHA256_HEX_SIZE];
    sha256_hex(slice_of("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char id[UUID_TEXT_SIZE], id2[UUID_TEXT_SIZE];
    uuid7(id);
    uuid7(id2);
    assert_true(uuid_is_valid(id));
    assert_int_equal(id[14], '7');
    assert_string_not_equal(id, id2);
    assert_false(uuid_is_valid("0190A000-0000-7000-8000-000000000000"));
}

static void test_atomic_write(void **state)
{
    char dir[] = "/tmp/inari-base-XXXXXX", path[64];
    AUTO_STR char *text = NULL;
    struct err e = {0};
    struct stat st;
    size_t n;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/a", dir);
    assert_int_equal(file_write_atomic(path, slice_of("one"), 0600, &e), ERR_OK);
    assert_int_equal(file_write_atomic(path, slice_of("two"), 0640, &e), ERR_OK);
    assert_int_equal(file_read(path, 100, &text, &n, &e), ERR_OK);
    assert_string_equal(text, "two");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    char *no = NULL;
    assert_int_equal(file_read(path, 2, &no, &n, &e), ERR_TOO_LARGE);
    assert_int_equal(file_read(dir, 100, &no, &n, &e), ERR_STORAGE);
    (void)snprintf(path, sizeof path, "%s/none/a", dir);
    assert_int_equal(file_write_atomic(path, slice_of("x"), 0600, &e), ERR_STORAGE);
    assert_int_equal(file_read(path, 100, &no, &n, &e), ERR_NOT_FOUND);
    assert_int_equal(file_remove_tree(dir, &e), ERR_OK);
    assert_int_equal(access(dir, F_OK), -1);
    assert_int_equal(file_remove_tree(dir, &e), ERR_OK);
}

struct conf {
    char *listen, *secret;
    int64_t size, wait_ms;
    bool on;
};
static const struct settings_row rows[] = {
    {"listen", S_STR, offsetof(struct conf, listen), "[::]:8445", 0, 0, SF_RESTART, "address"},
    {"secret", S_STR, offsetof(struct conf, secret), "", 0, 0, SF_SECRET, "a secret"},
    {"size", S_SIZE, offsetof(struct conf, size), "1M", 4096, 67108864, SF_RELOAD, "size"},
    {"wait", S_MSEC, offsetof(struct conf, wait_ms), "5s", 100, 60000, SF_RELOAD, "wait"},
    {"on", S_BOOL, offsetof(struct conf, on), "no", 0, 0, SF_RELOAD, "switch"},
};

static void test_settings(void **state)
{
    static const struct {
        const char *text, *message; /* NULL: good */
    } t[] = {{"listen = 1.2.3.4:1\n# c\n\nsize=8k\nwait = 2m\n", "wait"},
             {"size = 8k\non = yes\nwait = 200ms\nsecret = geheim\n", NULL},
             {"sice = 8k\n", "unknown key \"sice\""},
             {"size = 8k\nsize = 9k\n", ":2"},
             {"on = maybe\n", "yes or no"},
             {"listen\n", "expected key = value"},
             {"size = 99999999999999999999G\n", "size"}};
    char path[] = "/tmp/inari-conf-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    for (size_t i = 0; i < COUNT_OF(t); i++) {
        struct conf c = {0};
        struct err e = {0};
        enum err_code rc;
        assert_int_equal(file_write_atomic(path, slice_of(t[i].text), 0600, &e), ERR_OK);
        rc = settings_load(rows, COUNT_OF(rows), path, &c, &e);
        if ((rc == ERR_OK) != (t[i].message == NULL))
            fail_msg("row %zu: %s", i, e.msg);
        if (t[i].message != NULL) {
            if (strstr(e.msg, t[i].message) == NULL)
                fail_msg("row %zu: %s", i, e.msg);
            continue;
        }
        AUTO_STRBUF struct strbuf show = STRBUF_INIT(4 * KIB);
        assert_true(c.size == 8192 && c.wait_ms == 200 && c.on);
        settings_show(rows, COUNT_OF(rows), &c, &show);
        assert_non_null(strstr(strbuf_str(&show), "secret = ***"));
        assert_null(strstr(strbuf_str(&show), "geheim"));
        settings_clear(rows, COUNT_OF(rows), &c);
    }
    (void)unlink(path);
}

static void test_findings(void **state)
{
    struct findings f = {0};
    char buf[256];

    (void)state;
    assert_non_null(finding_add(&f, F_V_RANGE, "/settings/x", "x", "9\n", "1", "5"));
    finding_message(&f.v[0], LANG_EN, buf, sizeof buf);
    assert_string_equal(buf, "x is 9?; it must be between 1 and 5");
    finding_message(&f.v[0], LANG_JA, buf, sizeof buf);
    assert_non_null(strstr(buf, "9?"));
    assert_non_null(finding_warn(&f, F_V_TYPE, "", "a", "b", NULL, NULL));
    assert_int_equal(f.errors, 1);
    for (int i = 0; i < FINDINGS_MAX + 5; i++)
        (void)finding_add(&f, F_V_TYPE, "", NULL, NULL, NULL, NULL);
    assert_int_equal(f.n, FINDINGS_MAX);
    assert_int_equal(f.dropped, 7);
    assert_int_equal(f.errors, FINDINGS_MAX + 6);
    findings_clear(&f);
}

static void test_clock_file(void **state)
{
#ifdef INARI_TEST_HOOKS
    char path[] = "/tmp/inari-clock-XXXXXX";
    int fd = mkstemp(path);
    int64_t before = clock_wall_ms(), mono = clock_mono_ms();

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "3600\n", 5), 5);
    (void)close(fd);
    (void)setenv("INARI_CLOCK_FILE", path, 1);
    (void)usleep(120000);
    assert_true(clock_wall_ms() - before >= 3600000);
    assert_true(clock_mono_ms() - mono < 60000); /* durations never jump */
    (void)unsetenv("INARI_CLOCK_FILE");
    (void)unlink(path);
#else
    (void)state;
#endif
}

/* A self-signed certificate with the given extension, common name "cn.test", from -1 to +1 day of
 * 2026-01-01; and its key. */
static char *make_pem(const char *names, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);
    BIO *b = BIO_new(BIO_s_mem());
    char *text = NULL, *copy;
    long n;

    assert_int_equal(X509_set_version(x, 2), 1);
    assert_int_equal(ASN1_TIME_set_string(X509_getm_notBefore(x), "20251231000000Z"), 1);
    assert_int_equal(ASN1_TIME_set_string(X509_getm_notAfter(x), "20260102000000Z"), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"cn.test", -1, -1, 0),
                     1);
    if (names != NULL) {
        X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
        assert_non_null(ext);
        assert_int_equal(X509_add_ext(x, ext, -1), 1);
        X509_EXTENSION_free(ext);
    }
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_int_not_equal(X509_sign(x, key, EVP_sha256()), 0);
    assert_int_equal(PEM_write_bio_X509(b, x), 1);
    n = BIO_get_mem_data(b, &text);
    copy = strndup(text, (size_t)n);
    BIO_free(b);
    X509_free(x);
    return copy;
}

static char *key_pem(EVP_PKEY *key)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *text = NULL, *copy;
    long n;

    assert_int_equal(PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL), 1);
    n = BIO_get_mem_data(b, &text);
    copy = strndup(text, (size_t)n);
    BIO_free(b);
    return copy;
}

static void test_pem(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    AUTO_STR char *with = make_pem("DNS:mx1.test,DNS:*.mx.test,IP:192.0.2.1", key),
                  *bare = make_pem(NULL, key);
    AUTO_STR char *key_text = key_pem(key), *other_text = key_pem(other), *both = NULL;
    struct pem_info i;

    (void)state;
    pem_look(slice_of(with), &i);
    assert_true(i.is_cert && !i.is_key && !i.key_matches);
    assert_true(i.not_before_ms == INT64_C(1767139200000) &&
                i.not_after_ms == INT64_C(1767312000000));
    assert_int_equal(i.n_names, 2); /* not the common name, not the address */
    assert_string_equal(i.name[0], "mx1.test");
    assert_string_equal(i.name[1], "*.mx.test");
    pem_look(slice_of(bare), &i);
    assert_int_equal(i.n_names, 1);
    assert_string_equal(i.name[0], "cn.test");
    pem_look(slice_of(key_text), &i);
    assert_true(!i.is_cert && i.is_key && i.not_after_ms == 0 && i.n_names == 0);
    assert_true(asprintf(&both, "%s%s", with, key_text) > 0);
    pem_look(slice_of(both), &i);
    assert_true(i.is_cert && i.is_key && i.key_matches);
    assert_true(pem_match(slice_of(with), slice_of(key_text)));
    assert_false(pem_match(slice_of(with), slice_of(other_text)));
    for (size_t n = 0; n < strlen(with); n += 7) { /* cut anywhere: no certificate, no crash */
        pem_look((struct slice){with, n}, &i);
        assert_true(!i.is_cert || n + 8 > strlen(with) - 1);
    }
    pem_look((struct slice){NULL, 0}, &i);
    assert_true(!i.is_cert && !i.is_key);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

/* Another process holds the lock for ms and ends. */
static pid_t hold_lock(const char *path, unsigned ms)
{
    int ready[2];
    char c;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        bool got = file_lock(fd);
        (void)!write(ready[1], got ? "y" : "n", 1);
        (void)usleep(ms * 1000);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void test_lock_of_one_that_is_dying(void **state)
{
    char path[] = "/tmp/inari-lock-XXXXXX";
    int fd = mkstemp(path), other;
    pid_t pid;

    (void)state;
    assert_true(fd >= 0);
    pid = hold_lock(path, 300);
    assert_true(file_lock(fd)); /* it ends while we wait */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    other = open(path, O_RDWR | O_CLOEXEC);
    assert_false(file_lock(other)); /* we live */
    (void)close(other);
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errno_in_words),
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_text),
        cmocka_unit_test(test_strbuf_limit), cmocka_unit_test(test_arena),
        cmocka_unit_test(test_times),        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_atomic_write), cmocka_unit_test(test_settings),
        cmocka_unit_test(test_findings),     cmocka_unit_test(test_clock_file),
        cmocka_unit_test(test_pem),          cmocka_unit_test(test_lock_of_one_that_is_dying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
