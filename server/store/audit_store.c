#include "store/audit_store.h"

static const struct stmt LOCK_HEAD = {"audit_lock_head", 0,
                                      "SELECT seq, hash FROM audit_head FOR UPDATE"};
static const struct stmt HEAD = {"audit_head", 0, "SELECT seq, hash FROM audit_head"};
static const struct stmt INSERT = {"audit_insert", 10,
                                   "INSERT INTO audit (seq, at, actor_kind, actor, address, "
                                   "action, object, detail, prev, hash) VALUES "
                                   "($1::bigint, $2::timestamptz, $3::text, $4::text, $5::text, "
                                   "$6::text, $7::text, $8::jsonb, $9::bytea, "
                                   "$10::bytea)"};
static const struct stmt SET_HEAD = {"audit_set_head", 2,
                                     "UPDATE audit_head SET seq = $1::bigint, hash = $2::bytea"};
static const struct stmt PAGE = {
    "audit_page", 1,
    "SELECT seq, at, actor_kind, actor, address, action, object, detail, prev, hash FROM audit "
    "WHERE seq > $1::bigint ORDER BY seq LIMIT 1000"};
static const struct stmt LIST = {
    "audit_list", 7,
    "SELECT seq, at, actor_kind, actor, address, action, object, detail, prev, hash FROM audit "
    "WHERE ($1::bigint = 0 OR seq < $1::bigint) AND ($2::timestamptz IS NULL OR at >= "
    "$2::timestamptz) "
    "AND ($3::text IS NULL OR action = $3::text) AND ($4::text IS NULL OR starts_with(action, "
    "$4::text)) "
    "AND ($5::text IS NULL OR actor = $5::text) AND ($7::text IS NULL OR object = $7::text) ORDER "
    "BY seq DESC LIMIT $6::int"};

const struct stmt *const audit_store_stmts[] = {&LOCK_HEAD, &HEAD, &INSERT, &SET_HEAD,
                                                &PAGE,      &LIST, NULL};

static enum err_code head(struct db *db, const struct stmt *stmt, struct arena *a, int64_t *ret_seq,
                          struct slice *ret_hash, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, stmt, NULL, a, &r, e);

    if (rc != ERR_OK)
        return rc;
    *ret_seq = rows_int(r, 0, 0);
    *ret_hash = rows_bytes(r, 0, 1);
    return ERR_OK;
}

enum err_code audit_store_lock_head(struct db *db, struct arena *a, int64_t *ret_seq,
                                    struct slice *ret_hash, struct err *e)
{
    return head(db, &LOCK_HEAD, a, ret_seq, ret_hash, e);
}

enum err_code audit_store_head(struct db *db, struct arena *a, int64_t *ret_seq,
                               struct slice *ret_hash, struct err *e)
{
    return head(db, &HEAD, a, ret_seq, ret_hash, e);
}

enum err_code audit_store_insert(struct db *db, const struct audit_row *row, struct err *e)
{
    enum err_code rc = db_run(
        db, &INSERT,
        (struct db_param[]){P_INT(row->seq), P_TIME(row->at_ms), P_TEXT(row->actor_kind),
                            P_TEXT(row->actor), P_TEXT(row->address), P_TEXT(row->action),
                            P_TEXT(row->object), P_JSON(row->detail),
                            P_BYTES(row->prev.p, row->prev.n), P_BYTES(row->hash.p, row->hash.n)},
        NULL, NULL, e);

    if (rc != ERR_OK)
        return rc;
    return db_run(db, &SET_HEAD,
                  (struct db_param[]){P_INT(row->seq), P_BYTES(row->hash.p, row->hash.n)}, NULL,
                  NULL, e);
}

static enum err_code rows_of(const struct rows *r, struct arena *a, struct audit_row **ret,
                             size_t *ret_n, struct err *e)
{
    int n = rows_count(r);
    struct audit_row *v = arena_alloc(a, (size_t)(n + 1) * sizeof *v);

    if (v == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (int i = 0; i < n; i++)
        v[i] = (struct audit_row){.seq = rows_int(r, i, 0),
                                  .at_ms = rows_time_ms(r, i, 1),
                                  .actor_kind = rows_text(r, i, 2),
                                  .actor = rows_text(r, i, 3),
                                  .address = rows_text(r, i, 4),
                                  .action = rows_text(r, i, 5),
                                  .object = rows_text(r, i, 6),
                                  .detail = rows_json(r, i, 7),
                                  .prev = rows_bytes(r, i, 8),
                                  .hash = rows_bytes(r, i, 9)};
    *ret = v;
    *ret_n = (size_t)n;
    return ERR_OK;
}

enum err_code audit_store_page(struct db *db, int64_t after, struct arena *a,
                               struct audit_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_run(db, &PAGE, (struct db_param[]){P_INT(after)}, a, &r, e);

    return rc == ERR_OK ? rows_of(r, a, ret, ret_n, e) : rc;
}

enum err_code audit_store_list(struct db *db, int64_t before, int64_t since_ms, const char *action,
                               const char *action_prefix, const char *actor, const char *object,
                               int limit, struct arena *a, struct audit_row **ret, size_t *ret_n,
                               struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_run(db, &LIST,
               (struct db_param[]){P_INT(before), since_ms == 0 ? P_NULL : P_TIME(since_ms),
                                   P_TEXT(action), P_TEXT(action_prefix), P_TEXT(actor),
                                   P_INT(limit), P_TEXT(object)},
               a, &r, e);

    return rc == ERR_OK ? rows_of(r, a, ret, ret_n, e) : rc;
}
