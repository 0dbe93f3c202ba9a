#include "store/bundle_store.h"

#include "base/strbuf.h"
#include "store/recovery_store.h"

#include <stdio.h>

static const struct stmt LOCK = {"bundle_lock", 0, "SELECT pg_advisory_xact_lock(8445, 2)"};

enum err_code bundle_store_lock(struct db *db, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    const json_t *fence = NULL;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : db_run(db, &LOCK, NULL, NULL, NULL, e);

    if (rc == ERR_OK)
        rc = recovery_store_fenced(db, a, &fence, e);
    if (rc != ERR_OK || fence == NULL)
        return rc;
    return err_set(e, ERR_FENCED,
                   "this parent is fenced since %s (%s): it may know less than the devices do, and "
                   "gives nothing out until an administrator has decided",
                   json_str(fence, "since", "?"), json_str(fence, "reason", "?"));
}

#define TARGETS                                                                                    \
    "SELECT d.id, d.name, d.mode, d.placement, d.drift, d.state = 'held', "                        \
    "coalesce(b.content_digest, ''),"                                                              \
    " coalesce(b.etag, ''), coalesce(b.mode, ''), d.desired_rev, d.pub, "                          \
    "array_to_string(d.urgent, ','), d.kid, d.enc_jwk::text FROM device d LEFT JOIN "              \
    "bundle b "                                                                                    \
    "ON b.device_id = d.id"                                                                        \
    " AND b.rev = d.desired_rev WHERE d.state IN ('observing', 'managed', 'held', 'quarantined')"
static const struct stmt ALL_TARGETS = {"bundle_targets_all", 0, TARGETS " ORDER BY d.id"};
static const struct stmt SOME_TARGETS = {"bundle_targets", 1,
                                         TARGETS " AND d.id = ANY ($1::uuid[]) ORDER BY d.id"};

static void read_targets(const struct rows *r, int i, void *item)
{
    *(struct bundle_target *)item = (struct bundle_target){
        rows_text(r, i, 0),  rows_text(r, i, 1), rows_text(r, i, 2), rows_text(r, i, 3),
        rows_text(r, i, 4),  rows_bool(r, i, 5), rows_text(r, i, 6), rows_text(r, i, 7),
        rows_text(r, i, 8),  rows_int(r, i, 9),  rows_int(r, i, 10), rows_text(r, i, 11),
        rows_text(r, i, 12), rows_text(r, i, 13)};
}

enum err_code bundle_store_targets(struct db *db, const char *ids, struct arena *a,
                                   struct bundle_target **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = ids == NULL
                           ? db_run(db, &ALL_TARGETS, NULL, a, &r, e)
                           : db_run(db, &SOME_TARGETS, (struct db_param[]){P_TEXT(ids)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_targets, ret, ret_n, e) : rc;
}

#define MEMBERS                                                                                    \
    "SELECT m.device_id, g.id, g.name, g.priority FROM device_member m JOIN device_group g ON "    \
    "g.id = "                                                                                      \
    "m.group_id"
static const struct stmt ALL_MEMBERS = {"bundle_members_all", 0,
                                        MEMBERS " ORDER BY m.device_id, g.priority, g.id"};
static const struct stmt SOME_MEMBERS = {
    "bundle_members", 1,
    MEMBERS " WHERE m.device_id = ANY ($1::uuid[]) ORDER BY m.device_id, g.priority, g.id"};

static void read_members(const struct rows *r, int i, void *item)
{
    *(struct bundle_member *)item = (struct bundle_member){rows_text(r, i, 0), rows_text(r, i, 1),
                                                           rows_text(r, i, 2), rows_int(r, i, 3)};
}

enum err_code bundle_store_members(struct db *db, const char *ids, struct arena *a,
                                   struct bundle_member **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = ids == NULL
                           ? db_run(db, &ALL_MEMBERS, NULL, a, &r, e)
                           : db_run(db, &SOME_MEMBERS, (struct db_param[]){P_TEXT(ids)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_members, ret, ret_n, e) : rc;
}

static const struct stmt REVS = {"bundle_revs", 1,
                                 "SELECT r FROM (SELECT nextval('bundle_rev') AS r FROM "
                                 "generate_series(1, $1::bigint)) AS x ORDER BY r"};

enum err_code bundle_store_revs(struct db *db, size_t n, struct arena *a, int64_t **ret,
                                struct err *e)
{
    struct rows *r = NULL;
    int64_t *v = arena_alloc(a, (n + 1) * sizeof *v);
    enum err_code rc = v == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory")
                                 : db_run(db, &REVS, (struct db_param[]){P_INT(n)}, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        v[i] = rows_int(r, (int)i, 0);
    *ret = v;
    return ERR_OK;
}

static const struct stmt PUT = {
    "bundle_put", 10,
    "WITH n AS (SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[],"
    " $6::text[], $7::boolean[]) AS x(id, rev, digest, etag, mode, jws, offer)), b AS (INSERT INTO"
    " bundle (device_id, epoch, rev, pub, content_digest, etag, mode, rollout_id, jws) SELECT id,"
    " $8::bigint, rev, $9::bigint, digest, etag, mode, $10::uuid, jws FROM n)"
    " UPDATE device d SET desired_rev = n.rev, offered_rev = CASE WHEN n.offer OR d.offered_rev = 0"
    " THEN n.rev ELSE d.offered_rev END FROM n WHERE d.id = n.id"};

/* One more element of an array's text. */
static void element(struct strbuf *b, const char *text)
{
    strbuf_puts(b, b->n == 0 ? "{\"" : ",\"");
    while (*text != '\0') {
        size_t plain = strcspn(text, "\"\\");
        strbuf_add(b, (struct slice){text, plain});
        text += plain;
        if (*text != '\0') {
            strbuf_putc(b, '\\');
            strbuf_putc(b, *text++);
        }
    }
    strbuf_putc(b, '"');
}

enum { ID, REV, DIGEST, ETAG, MADE_FOR, JWS, OFFER, ARRAYS };

static enum err_code put_arrays(struct db *db, struct strbuf *arrays, const struct bundle_new *v,
                                struct err *e)
{
    struct db_param params[ARRAYS + 3];

    for (int i = 0; i < ARRAYS; i++) {
        strbuf_putc(&arrays[i], '}');
        if (strbuf_check(&arrays[i], e) != ERR_OK)
            return e->code;
        params[i] = P_SLICE(strbuf_slice(&arrays[i]));
    }
    params[ARRAYS] = P_INT(v->epoch);
    params[ARRAYS + 1] = P_INT(v->pub);
    params[ARRAYS + 2] = v->rollout_id == NULL ? P_NULL : P_TEXT(v->rollout_id);
    return db_run(db, &PUT, params, NULL, NULL, e);
}

enum err_code bundle_store_put(struct db *db, const struct bundle_new *v, size_t n, struct err *e)
{
    struct strbuf arrays[ARRAYS];
    char rev[24];
    enum err_code rc;

    if (n == 0)
        return ERR_OK;
    for (int i = 0; i < ARRAYS; i++)
        arrays[i] = STRBUF_INIT(64 * MIB);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(rev, sizeof rev, "%lld", (long long)v[i].rev);
        element(&arrays[ID], v[i].device_id);
        element(&arrays[REV], rev);
        element(&arrays[DIGEST], v[i].digest);
        element(&arrays[ETAG], v[i].etag);
        element(&arrays[MADE_FOR], v[i].made_for);
        element(&arrays[JWS], v[i].jws);
        element(&arrays[OFFER], v[i].offer ? "t" : "f");
    }
    rc = put_arrays(db, arrays, v, e);
    for (int i = 0; i < ARRAYS; i++)
        strbuf_clear(&arrays[i]);
    return rc;
}

static const struct stmt TRIM = {
    "bundle_trim", 1,
    "UPDATE bundle b SET jws = '' FROM (SELECT device_id, epoch, rev, row_number() OVER (PARTITION"
    " BY device_id ORDER BY epoch DESC, rev DESC) AS k FROM bundle WHERE jws <> '') AS x, device d"
    " WHERE b.device_id = x.device_id AND b.epoch = x.epoch AND b.rev = x.rev AND d.id ="
    " b.device_id AND x.k > $1::bigint AND b.rev NOT IN (d.desired_rev, d.offered_rev)"};

enum err_code bundle_store_trim(struct db *db, int keep, struct err *e)
{
    return db_run(db, &TRIM, (struct db_param[]){P_INT(keep)}, NULL, NULL, e);
}

const struct stmt *const bundle_store_stmts[] = {
    &LOCK, &ALL_TARGETS, &SOME_TARGETS, &ALL_MEMBERS, &SOME_MEMBERS, &REVS, &PUT, &TRIM, NULL};
