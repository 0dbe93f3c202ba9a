#include "loop/memory.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { STATE_MAX = 1024 * 1024, PATH_SIZE = 512 };

void memory_clear(struct memory *m)
{
    json_decref(m->failed);
    json_decref(m->last_attempt);
    json_decref(m->hold);
    json_decref(m->drift);
    *m = (struct memory){0};
}

static void path_of(const struct memory *m, char *buf, const char *name)
{
    (void)snprintf(buf, PATH_SIZE, "%s/%s", m->dir, name);
}

static void copy(char *to, size_t size, const json_t *j, const char *name)
{
    (void)snprintf(to, size, "%s", json_str(j, name, ""));
}

/* A digest that failed under another agent version may work now (fault case C12). */
static void forget_other_versions(json_t *failed)
{
    const char *digest;
    json_t *v;
    void *tmp;

    json_object_foreach_safe(failed, tmp, digest, v)
    {
        if (strcmp(json_str(v, "agent", ""), INARI_VERSION) != 0)
            (void)json_object_del(failed, digest);
    }
}

static json_t *object_or_null(const json_t *j, const char *name)
{
    json_t *v = json_object_get(j, name);

    return json_is_object(v) ? json_incref(v) : NULL;
}

static void decode(const json_t *j, struct memory *m)
{
    const json_t *seen = json_object_get(j, "observed");

    m->epoch = json_int(seen, "epoch", 0);
    m->rev = json_int(seen, "rev", 0);
    m->pub = json_int(seen, "pub", 0);
    copy(m->etag, sizeof m->etag, seen, "etag");
    copy(m->digest, sizeof m->digest, seen, "digest");
    copy(m->jti, sizeof m->jti, seen, "jti");
    copy(m->proposal, sizeof m->proposal, j, "proposal");
    copy(m->network, sizeof m->network, j, "network");
    m->degraded = json_bool(j, "degraded", false);
    m->fresh_ms = json_int(j, "fresh_ms", 0);
    m->server_ms = json_int(j, "server_ms", 0);
    m->seq = m->seq_end = json_int(j, "seq", 1);
    m->last_attempt = object_or_null(j, "last_attempt");
    m->hold = object_or_null(j, "hold");
    m->drift = object_or_null(j, "drift");
    m->failed = object_or_null(j, "failed");
}

enum err_code memory_load(const char *dir, struct memory *ret, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;
    struct memory m = {.dir = dir, .seq = 1, .seq_end = 1};
    char path[PATH_SIZE];
    size_t n = 0;
    enum err_code rc;

    path_of(&m, path, "state.json");
    rc = file_read(path, STATE_MAX, &text, &n, e);
    if (rc != ERR_OK && rc != ERR_NOT_FOUND)
        return rc;
    if (rc == ERR_OK) {
        rc = json_in_parse((struct slice){text, n}, STATE_MAX, &j, e);
        if (rc != ERR_OK)
            return err_wrap(e, "\"%s\"", path);
        decode(j, &m);
    }
    if (m.failed == NULL && (m.failed = json_object()) == NULL) {
        memory_clear(&m);
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    forget_other_versions(m.failed);
    *ret = m;
    return ERR_OK;
}

static void set_new(json_t *j, const char *name, json_t *v, bool *ok)
{
    if (json_object_set_new(j, name, v) != 0)
        *ok = false;
}

enum err_code memory_save(const struct memory *m, struct err *e)
{
    AUTO(json_free)
    json_t *j = json_pack("{s:{s:I,s:I,s:I,s:s,s:s,s:s},s:I,s:I,s:I,s:s,s:s,s:b}", "observed",
                          "epoch", (json_int_t)m->epoch, "rev", (json_int_t)m->rev, "pub",
                          (json_int_t)m->pub, "etag", m->etag, "digest", m->digest, "jti", m->jti,
                          "fresh_ms", (json_int_t)m->fresh_ms, "server_ms",
                          (json_int_t)m->server_ms, "seq", (json_int_t)m->seq_end, "proposal",
                          m->proposal, "network", m->network, "degraded", (int)m->degraded);
    AUTO_STR char *text = NULL;
    char path[PATH_SIZE];
    bool ok = j != NULL;

    if (ok && m->failed != NULL)
        set_new(j, "failed", json_incref(m->failed), &ok);
    if (ok && m->last_attempt != NULL)
        set_new(j, "last_attempt", json_incref(m->last_attempt), &ok);
    if (ok && m->hold != NULL)
        set_new(j, "hold", json_incref(m->hold), &ok);
    if (ok && json_object_size(m->drift) > 0)
        set_new(j, "drift", json_incref(m->drift), &ok);
    text = ok ? json_text(j, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    path_of(m, path, "state.json");
    return file_write_atomic(path, slice_of(text), 0600, e);
}

enum err_code memory_next_seq(struct memory *m, int64_t *ret, struct err *e)
{
    if (m->seq >= m->seq_end) {
        int64_t before = m->seq_end;
        enum err_code rc;
        m->seq_end = m->seq + MEMORY_SEQ_BLOCK;
        rc = memory_save(m, e);
        if (rc != ERR_OK) {
            m->seq_end = before;
            return rc;
        }
    }
    *ret = m->seq++;
    return ERR_OK;
}

enum err_code memory_keep_bundle(struct memory *m, struct slice text, const struct bundle *b,
                                 struct err *e)
{
    char path[PATH_SIZE];
    enum err_code rc;

    path_of(m, path, "bundle.jws");
    rc = file_write_atomic(path, text, 0600, e);
    if (rc != ERR_OK)
        return rc;
    m->epoch = b->epoch;
    m->rev = b->rev;
    m->pub = b->pub;
    (void)snprintf(m->etag, sizeof m->etag, "%s", b->etag);
    (void)snprintf(m->digest, sizeof m->digest, "%s", b->digest);
    (void)snprintf(m->jti, sizeof m->jti, "%s", b->jti);
    return memory_save(m, e);
}

enum err_code memory_read_bundle(const struct memory *m, char **ret, size_t *ret_n, struct err *e)
{
    char path[PATH_SIZE];

    path_of(m, path, "bundle.jws");
    return file_read(path, PROTO_BUNDLE_MAX, ret, ret_n, e);
}

void memory_keep_fork(const struct memory *m, struct slice text)
{
    char path[PATH_SIZE];

    path_of(m, path, "fork.jws");
    if (file_write_atomic(path, text, 0600, NULL) != ERR_OK)
        return; /* only evidence */
}

int64_t memory_failures(const struct memory *m, const char *digest)
{
    return json_int(json_object_get(m->failed, digest), "count", 0);
}

/* Make room: the one that failed longest ago goes. */
static void drop_oldest(json_t *failed)
{
    const char *digest, *oldest = NULL;
    int64_t at = INT64_MAX;
    json_t *v;

    json_object_foreach(failed, digest, v)
    {
        if (json_int(v, "at", 0) < at) {
            at = json_int(v, "at", 0);
            oldest = digest;
        }
    }
    if (oldest != NULL)
        (void)json_object_del(failed, oldest);
}

int64_t memory_failed(struct memory *m, const char *digest, const char *reason)
{
    int64_t count = memory_failures(m, digest) + 1;

    if (count == 1 && json_object_size(m->failed) >= MEMORY_FAILED_MAX)
        drop_oldest(m->failed);
    (void)json_object_set_new(m->failed, digest,
                              json_pack("{s:I,s:s,s:s,s:I}", "count", (json_int_t)count, "reason",
                                        reason, "agent", INARI_VERSION, "at",
                                        (json_int_t)clock_wall_ms()));
    return count;
}

void memory_forgive(struct memory *m, const char *digest)
{
    (void)json_object_del(m->failed, digest);
}
