#include "store/secret_store.h"

static const struct stmt ADD = {"secret_add", 4,
                                "INSERT INTO secret (id, setting, box, author) VALUES ($1::uuid, "
                                "$2::text, $3::bytea, $4::text)"};
static const struct stmt GET = {
    "secret_get", 2, "SELECT box FROM secret WHERE id = $1::uuid AND setting = $2::text"};
static const struct stmt PUBLISHED = {"secret_published", 1,
                                      "UPDATE secret s SET pub = r.pub FROM revision r WHERE r.pub "
                                      "= $1::bigint AND s.pub IS NULL AND "
                                      "position('sealed:' || s.id::text IN r.content::text) > 0"};
static const struct stmt GIVEN = {"secret_given", 2,
                                  "INSERT INTO device_secret (device_id, secret_id) VALUES "
                                  "($1::uuid, $2::uuid) ON CONFLICT DO NOTHING"};
static const struct stmt ANY = {
    "secret_any", 1, "SELECT EXISTS (SELECT FROM device_secret WHERE device_id = $1::uuid)"};

/* Of drafts that were discarded, and of values that were put in another one's place before anybody
 * published them.  A box and the draft that has it are written in one transaction; the hour is for
 * people who take what they were shown of one draft over into another. */
static const struct stmt TRIM = {
    "secret_trim", 1,
    "DELETE FROM secret s WHERE s.pub IS NULL AND ($1::boolean OR s.created_at < now() - interval"
    " '1 hour') AND NOT EXISTS (SELECT FROM draft d WHERE position('sealed:' || s.id::text IN"
    " d.changes::text) > 0) AND NOT EXISTS (SELECT FROM dry_run d WHERE d.content IS NOT NULL AND"
    " position('sealed:' || s.id::text IN d.content::text) > 0) AND NOT EXISTS (SELECT FROM "
    "revision"
    " r WHERE position('sealed:' || s.id::text IN r.content::text) > 0)"};

#define IN_USE                                                                                     \
    "EXISTS (SELECT FROM revision r WHERE r.pub = (SELECT max(pub) FROM revision) AND "            \
    "position('sealed:' || s.id::text IN r.content::text) > 0)"
#define COLUMNS "s.id, s.setting, s.author, s.created_at, s.pub, "
static const struct stmt LIST = {"secret_list", 0,
                                 "SELECT " COLUMNS
                                 "NULL::timestamptz, true FROM secret s WHERE s.pub IS NOT NULL "
                                 "AND " IN_USE " ORDER BY s.id DESC LIMIT 1000"};
static const struct stmt LIST_OF = {
    "secret_list_of", 1,
    "SELECT " COLUMNS "d.first_at, " IN_USE " FROM device_secret d JOIN secret s ON s.id = "
    "d.secret_id WHERE d.device_id = $1::uuid ORDER BY s.id DESC LIMIT 1000"};

const struct stmt *const secret_store_stmts[] = {&ADD, &GET,  &PUBLISHED, &GIVEN, &TRIM,
                                                 &ANY, &LIST, &LIST_OF,   NULL};

enum err_code secret_store_add(struct db *db, const char *id, const char *setting, struct slice box,
                               const char *author, struct err *e)
{
    return db_run(
        db, &ADD,
        (struct db_param[]){P_TEXT(id), P_TEXT(setting), P_BYTES(box.p, box.n), P_TEXT(author)},
        NULL, NULL, e);
}

enum err_code secret_store_get(struct db *db, const char *id, const char *setting, struct arena *a,
                               struct slice *ret_box, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = db_one(db, &GET, (struct db_param[]){P_TEXT(id), P_TEXT(setting)}, a, &r, e);

    if (rc == ERR_OK)
        *ret_box = rows_bytes(r, 0, 0);
    return rc;
}

enum err_code secret_store_published(struct db *db, int64_t pub, struct err *e)
{
    return db_run(db, &PUBLISHED, (struct db_param[]){P_INT(pub)}, NULL, NULL, e);
}

enum err_code secret_store_trim(struct db *db, bool fresh, struct err *e)
{
    return db_run(db, &TRIM, (struct db_param[]){P_BOOL(fresh)}, NULL, NULL, e);
}

enum err_code secret_store_given(struct db *db, const char *device_id, const char *id,
                                 struct err *e)
{
    return db_run(db, &GIVEN, (struct db_param[]){P_TEXT(device_id), P_TEXT(id)}, NULL, NULL, e);
}

enum err_code secret_store_any(struct db *db, const char *device_id, bool *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc = a == NULL
                           ? err_set(e, ERR_NO_MEMORY, "out of memory")
                           : db_one(db, &ANY, (struct db_param[]){P_TEXT(device_id)}, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_bool(r, 0, 0);
    return rc;
}

static void read_row(const struct rows *r, int i, void *item)
{
    *(struct secret_row *)item =
        (struct secret_row){.id = rows_text(r, i, 0),
                            .setting = rows_text(r, i, 1),
                            .author = rows_text(r, i, 2),
                            .created_ms = rows_time_ms(r, i, 3),
                            .pub = rows_null(r, i, 4) ? 0 : rows_int(r, i, 4),
                            .given_ms = rows_time_ms(r, i, 5),
                            .in_use = rows_bool(r, i, 6)};
}

enum err_code secret_store_list(struct db *db, const char *device_id, struct arena *a,
                                struct secret_row **ret, size_t *ret_n, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc = device_id == NULL
                           ? db_run(db, &LIST, NULL, a, &r, e)
                           : db_run(db, &LIST_OF, (struct db_param[]){P_TEXT(device_id)}, a, &r, e);

    return rc == ERR_OK ? rows_read(r, sizeof **ret, read_row, ret, ret_n, e) : rc;
}
