/* Lists of addresses as a hostile or confused parent might send them: only what is signed, newer
 * and whole is kept. */
#include "loop/lists.h"

#include "base/file.h"
#include "iplist/iplist.h"
#include "proto/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#define FLEET "019ab000-0000-7000-8000-000000000001"

static struct jose_key *key, *other;
static struct trust *trust;

static char *sign(const struct jose_key *k, const char *typ, json_t *doc)
{
    AUTO_STR char *text = json_canonical(doc);
    char *jws = NULL;

    assert_non_null(text);
    assert_int_equal(jose_jws_sign(k, typ, slice_of(text), false, &jws, NULL), ERR_OK);
    json_decref(doc);
    return jws;
}

static int setup(void **state)
{
    AUTO_STR char *jws = NULL;

    (void)state;
    key = jose_key_new();
    other = jose_key_new();
    jws = sign(key, PROTO_TYP_TRUST,
               json_pack("{s:i,s:s,s:i,s:o,s:[{s:s,s:o}],s:[s],s:s,s:[]}", "n", 1, "fleet", FLEET,
                         "epoch", 1, "root", jose_key_to_jwk(key), "keys", "use", "bundle", "jwk",
                         jose_key_to_jwk(key), "tls_pins", "x", "issuer", "i", "addresses"));
    return trust_first(slice_of(jws), FLEET, &trust, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    trust_free(trust);
    jose_key_free(key);
    jose_key_free(other);
    return 0;
}

static json_t *doc(int epoch, int seq)
{
    return json_pack("{s:s,s:i,s:i,s:s,s:{s:{s:s,s:i,s:i,s:i},s:n}}", "fleet", FLEET, "epoch",
                     epoch, "seq", seq, "token", "0123456789abcdef", "lists", "approved", "sha256",
                     "00000000000000000000000000000000000000000000000000000000000000aa", "bytes",
                     400, "packed", 100, "rows", 3, "blocked");
}

static enum err_code judge(char *jws, const struct lists_set *before, struct lists_set *ret)
{
    struct err e = {0};
    enum err_code rc = lists_manifest(slice_of(jws), trust, FLEET, 1, before, ret, &e);

    free(jws);
    return rc;
}

static void what_is_believed(void **state)
{
    const struct lists_set none = {.epoch = 0}, have = {.epoch = 2, .seq = 7};
    struct lists_set s = {.epoch = 99};
    json_t *wrong;

    (void)state;
    assert_int_equal(judge(sign(other, PROTO_TYP_LISTS, doc(2, 8)), &none, &s), ERR_SIGNATURE);
    assert_int_equal(judge(sign(key, PROTO_TYP_NOTICE, doc(2, 8)), &none, &s), ERR_MALFORMED);
    wrong = doc(2, 8);
    (void)json_object_set_new(wrong, "fleet", json_string("019ab000-0000-7000-8000-000000000002"));
    assert_int_equal(judge(sign(key, PROTO_TYP_LISTS, wrong), &none, &s), ERR_SIGNATURE);
    wrong = doc(2, 8);
    (void)json_object_set_new(json_object_get(json_object_get(wrong, "lists"), "approved"),
                              "sha256", json_string("../../etc/passwd"));
    assert_int_equal(judge(sign(key, PROTO_TYP_LISTS, wrong), &none, &s), ERR_MALFORMED);
    wrong = doc(2, 8);
    (void)json_object_set_new(json_object_get(json_object_get(wrong, "lists"), "approved"), "bytes",
                              json_integer(INT64_C(1) << 40));
    assert_int_equal(judge(sign(key, PROTO_TYP_LISTS, wrong), &none, &s), ERR_MALFORMED);
    assert_int_equal(judge(sign(key, PROTO_TYP_LISTS, doc(2, 6)), &have, &s), ERR_REFUSED);
    assert_int_equal(judge(sign(key, PROTO_TYP_LISTS, doc(1, 9)), &have, &s), ERR_REFUSED);
    assert_int_equal(s.epoch, 99); /* nothing was taken over */
    assert_int_equal(judge(sign(key, PROTO_TYP_LISTS, doc(3, 1)), &have, &s), ERR_OK);
    assert_int_equal(judge(sign(key, PROTO_TYP_LISTS, doc(2, 7)), &have, &s), ERR_OK);
    assert_int_equal(s.seq, 7);
    assert_int_equal(s.file[0].rows, 3);
    assert_string_equal(s.file[1].sha256, "");
}

static void what_is_kept(void **state)
{
    const struct iplist_row rows[] = {{{{[10] = 0xff, [11] = 0xff, 10}}, 104, 0, 7}};
    char packed[4096], path[] = "/tmp/inari-lists-XXXXXX", *file = NULL;
    struct lists_file f = {.rows = 1};
    struct err e = {0};
    size_t n = 0, k;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0 && close(fd) == 0 && unlink(path) == 0);
    assert_int_equal(iplist_build(rows, 1, &file, &n, NULL, &e), ERR_OK);
    f.bytes = (int64_t)n;
    sha256_hex((struct slice){file, n}, f.sha256);
    k = ZSTD_compress(packed, sizeof packed, file, n, 3);
    assert_false(ZSTD_isError(k));
    assert_int_equal(lists_keep((struct slice){packed, k - 1}, &f, path, &e), ERR_MALFORMED);
    assert_int_equal(lists_keep((struct slice){file, n}, &f, path, &e), ERR_MALFORMED);
    f.bytes--;
    assert_int_equal(lists_keep((struct slice){packed, k}, &f, path, &e), ERR_TOO_LARGE);
    f.bytes++;
    f.sha256[0] = f.sha256[0] == 'a' ? 'b' : 'a';
    assert_int_equal(lists_keep((struct slice){packed, k}, &f, path, &e), ERR_SIGNATURE);
    sha256_hex((struct slice){file, n}, f.sha256);
    f.rows = 2;
    assert_int_equal(lists_keep((struct slice){packed, k}, &f, path, &e), ERR_MALFORMED);
    assert_int_not_equal(access(path, F_OK), 0);
    f.rows = 1;
    assert_int_equal(lists_keep((struct slice){packed, k}, &f, path, &e), ERR_OK);
    assert_int_equal(access(path, F_OK), 0);
    (void)unlink(path);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_believed),
        cmocka_unit_test(what_is_kept),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
