/* What of the lists can be judged and kept without the loop. */
#include "loop/lists.h"

#include "base/file.h"
#include "iplist/iplist.h"
#include "pack/unpack.h"
#include "proto/proto.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char *const lists_names[LISTS_N] = {"approved", "blocked"};

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static enum err_code read_file(const json_t *j, struct lists_file *ret, struct err *e)
{
    const char *sha256 = json_str(j, "sha256", "");

    *ret = (struct lists_file){.bytes = json_int(j, "bytes", -1), .rows = json_int(j, "rows", -1)};
    if (j == NULL || json_is_null(j)) {
        *ret = (struct lists_file){.bytes = 0};
        return ERR_OK;
    }
    if (!is_hex(sha256, 64) || ret->bytes < 1 || ret->bytes > PROTO_BLOB_MAX || ret->rows < 1)
        return err_set(e, ERR_MALFORMED, "it does not say which file a list is");
    text_copy(ret->sha256, sizeof ret->sha256, sha256);
    return ERR_OK;
}

static enum err_code read_doc(const json_t *doc, const char *fleet, const struct lists_set *before,
                              struct lists_set *ret, struct err *e)
{
    const json_t *lists = json_object_get(doc, "lists");
    const char *token = json_str(doc, "token", "");
    struct lists_set s = {.epoch = json_int(doc, "epoch", -1), .seq = json_int(doc, "seq", -1)};
    enum err_code rc = ERR_OK;

    if (strcmp(json_str(doc, "fleet", ""), fleet) != 0)
        return err_set(e, ERR_SIGNATURE, "of another fleet");
    if (!json_is_object(lists) || s.epoch < 0 || s.seq < 0 ||
        (!is_hex(token, LISTS_TOKEN_SIZE - 1) && strcmp(token, "0") != 0))
        return err_set(e, ERR_MALFORMED, "not whole");
    text_copy(s.token, sizeof s.token, token);
    /* A new epoch is a parent that begins anew, perhaps from an older backup. */
    if (s.epoch < before->epoch || (s.epoch == before->epoch && s.seq < before->seq))
        return err_set(e, ERR_REFUSED, "older than those that are here (%" PRId64 ".%" PRId64 ")",
                       before->epoch, before->seq);
    for (int i = 0; i < LISTS_N && rc == ERR_OK; i++)
        rc = read_file(json_object_get(lists, lists_names[i]), &s.file[i], e);
    if (rc == ERR_OK)
        *ret = s;
    return rc;
}

enum err_code lists_manifest(struct slice text, const struct trust *t, const char *fleet,
                             int64_t now_ms, const struct lists_set *before, struct lists_set *ret,
                             struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct jose_jws jws = {0};
    const struct jose_key *key;
    enum err_code rc = jose_jws_parse(text, PROTO_LISTS_MAX, PROTO_TYP_LISTS, &jws, e);

    if (rc != ERR_OK)
        return err_wrap(e, "lists");
    key = trust_key(t, "bundle", jws.kid, now_ms);
    rc = key == NULL ? err_set(e, ERR_SIGNATURE, "signed by an unknown key")
                     : jose_jws_verify(&jws, key, e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){jws.payload, jws.payload_n}, PROTO_LISTS_MAX, &doc, e);
    jose_jws_clear(&jws);
    if (rc == ERR_OK)
        rc = read_doc(doc, fleet, before, ret, e);
    return rc == ERR_OK ? rc : err_wrap(e, "lists");
}

static enum err_code unpack_all(struct slice packed, size_t n, struct strbuf *out, struct err *e)
{
    AUTO(unpack_free) struct unpack *u = unpack_new(packed, n);
    struct slice piece = {"", 1};
    enum err_code rc = u == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    while (rc == ERR_OK && piece.n > 0) {
        rc = unpack_next(u, &piece, e);
        if (rc == ERR_OK)
            strbuf_add(out, piece);
    }
    return rc == ERR_OK ? strbuf_check(out, e) : rc;
}

enum err_code lists_keep(struct slice packed, const struct lists_file *f, const char *path,
                         struct err *e)
{
    AUTO_STRBUF struct strbuf file = STRBUF_INIT(PROTO_BLOB_MAX);
    AUTO(iplist_close) struct iplist *l = NULL;
    char sha256[SHA256_HEX_SIZE];
    enum err_code rc = unpack_all(packed, (size_t)f->bytes, &file, e);

    if (rc != ERR_OK)
        return rc;
    sha256_hex(strbuf_slice(&file), sha256);
    if (strcmp(sha256, f->sha256) != 0)
        return err_set(e, ERR_SIGNATURE, "the file is not the one that was named");
    rc = iplist_read(strbuf_slice(&file), &l, e);
    if (rc == ERR_OK && iplist_rows(l) != (size_t)f->rows)
        rc = err_set(e, ERR_MALFORMED, "the list has %zu rows", iplist_rows(l));
    return rc == ERR_OK ? file_write_atomic(path, strbuf_slice(&file), 0644, e) : rc;
}
