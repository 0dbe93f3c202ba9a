#include "store/migrate.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "migrate_private.h"
#include "store/db_private.h"
#include "store/recovery_store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MIGRATION_LIMIT_MS = 600000, /* the longest a migration may take */
    LOCKS_LIMIT_MS = 300000,     /* in all, for the locks it needs */
    LOCKS_PAUSE_MS = 1000
};
/* Whoever waits for a table's lock keeps everybody else from it, also those who only read: so a
 * migration waits a moment, lets the parents that run work on, and tries again. */
static const char PATIENCE_SQL[] = "SET LOCAL lock_timeout = '1s'";

/* The lock number is "inari" in ASCII; it is per database.  Waiting for another parent's migration
 * is no fault. */
static const char LOCK_SQL[] = "SET lock_timeout = '300s'; SET statement_timeout = '600s'; "
                               "SELECT pg_advisory_lock(452857459305)";
static const char UNLOCK_SQL[] = "SELECT pg_advisory_unlock(452857459305); "
                                 "SET lock_timeout = '2s'; SET statement_timeout = '5s'";
static const char VERSION_TABLE_SQL[] =
    "CREATE TABLE IF NOT EXISTS schema_migration ("
    "number integer PRIMARY KEY, name text NOT NULL, digest text NOT NULL, "
    "applied_at timestamptz NOT NULL DEFAULT now())";

static const struct stmt ROLE = {
    "migrate_role", 0,
    "SELECT r.rolname, r.rolsuper, current_setting('server_version_num')::int, "
    "pg_encoding_to_char(d.encoding), has_schema_privilege('public', 'CREATE'), "
    "pg_is_in_recovery() "
    "FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = "
    "current_database()"};
static const struct stmt APPLIED = {"migrate_applied", 0,
                                    "SELECT number, digest FROM schema_migration ORDER BY number"};
static const struct stmt RECORD = {
    "migrate_record", 3,
    "INSERT INTO schema_migration (number, name, digest) VALUES ($1::int, $2::text, $3::text)"};

const struct stmt *const migrate_store_stmts[] = {&ROLE, &APPLIED, &RECORD, NULL};

int migrate_latest(void)
{
    int n = 0;

    while (migrations[n].number != 0)
        n++;
    return n;
}

enum err_code migrate_preflight(struct db *db, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = db_one(db, &ROLE, NULL, a, &r, e);
    if (rc != ERR_OK)
        return rc;
    if (rows_bool(r, 0, 1))
        return err_set(e, ERR_REFUSED,
                       "the database role \"%s\" is a superuser: give the parent a plain role that "
                       "owns its database "
                       "(CREATE ROLE inari LOGIN; CREATE DATABASE inari OWNER inari)",
                       rows_text(r, 0, 0));
    if (rows_int(r, 0, 2) < 130000)
        return err_set(e, ERR_REFUSED, "the database server is older than PostgreSQL 13");
    if (strcmp(rows_text(r, 0, 3), "UTF8") != 0)
        return err_set(e, ERR_REFUSED,
                       "the database is in %s: it must be made with ENCODING 'UTF8'",
                       rows_text(r, 0, 3));
    if (rows_bool(r, 0, 5))
        return err_set(e, ERR_OVERLOADED, "the database is a standby that cannot be written");
    if (!rows_bool(r, 0, 4))
        return err_set(e, ERR_REFUSED,
                       "the database role \"%s\" may not create tables in schema public: make it "
                       "the owner of the "
                       "database (ALTER DATABASE ... OWNER TO %s)",
                       rows_text(r, 0, 0), rows_text(r, 0, 0));
    return ERR_OK;
}

static enum err_code apply_in_tx(struct db *db, void *ctx, struct err *e)
{
    const struct migration *m = ctx;
    char digest[SHA256_HEX_SIZE];

    sha256_hex(slice_of(m->sql), digest);
    if (db_script(db, PATIENCE_SQL, MIGRATION_LIMIT_MS, e) != ERR_OK)
        return e->code;
    if (db_script(db, m->sql, MIGRATION_LIMIT_MS, e) != ERR_OK)
        return err_wrap(e, "could not apply migration %04d_%s", m->number, m->name);
    return db_run(db, &RECORD,
                  (struct db_param[]){P_INT(m->number), P_TEXT(m->name), P_TEXT(digest)}, NULL,
                  NULL, e);
}

/* Held by somebody at every try, or a connection that is lost: its error. */
static enum err_code apply_one(struct db *db, const struct migration *known, struct err *e)
{
    static const struct timespec pause = {LOCKS_PAUSE_MS / 1000, 0};
    const int64_t until = clock_mono_ms() + LOCKS_LIMIT_MS;
    struct migration m = *known;
    bool said = false;
    enum err_code rc;

    for (;;) {
        rc = tx_run(db, "migrate", apply_in_tx, &m, e);
        if (rc != ERR_OVERLOADED || db->conn == NULL || clock_mono_ms() > until)
            break;
        if (!said)
            log_event(LOG_LEVEL_INFO, "schema.waits", KV_INT("migration", m.number),
                      KV_STR("for", "a table that is in use"));
        said = true;
        (void)nanosleep(&pause, NULL);
    }
    if (rc == ERR_OK)
        log_event(LOG_LEVEL_INFO, "schema.migrated", KV_INT("migration", m.number),
                  KV_STR("name", m.name));
    return rc;
}

#ifdef INARI_TEST_HOOKS
/* The program of a later version: one migration more, from the file INARI_MIGRATION_NEXT names. */
static enum err_code next_version(char **ret_sql, struct err *e)
{
    const char *path = getenv("INARI_MIGRATION_NEXT");
    size_t n = 0;

    return path == NULL ? ERR_OK : file_read(path, 64 * KIB, ret_sql, &n, e);
}
#else
static enum err_code next_version(char **ret_sql, struct err *e)
{
    (void)ret_sql;
    (void)e;
    return ERR_OK;
}
#endif

static enum err_code apply_missing(struct db *db, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(1 * MIB);
    AUTO_STR char *next = NULL;
    struct rows *r = NULL;
    enum err_code rc;
    int have, latest;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (next_version(&next, e) != ERR_OK)
        return e->code;
    latest = migrate_latest() + (next != NULL);
    rc = db_script(db, VERSION_TABLE_SQL, MIGRATION_LIMIT_MS, e);
    if (rc == ERR_OK)
        rc = db_run(db, &APPLIED, NULL, a, &r, e);
    if (rc != ERR_OK)
        return rc;
    have = rows_count(r) == 0 ? 0 : (int)rows_int(r, rows_count(r) - 1, 0);
    if (have > latest)
        return err_set(e, ERR_REFUSED,
                       "the database has schema %d, this program knows %d: start the newer inarid, "
                       "or restore a "
                       "backup made before the upgrade",
                       have, latest);
    for (int i = 0; i < have && i < rows_count(r) && migrations[i].number != 0; i++) {
        char digest[SHA256_HEX_SIZE];

        sha256_hex(slice_of(migrations[i].sql), digest);
        if (strcmp(digest, rows_text(r, i, 1)) != 0)
            log_event(LOG_LEVEL_WARN, "schema.differs", KV_INT("migration", i + 1),
                      KV_STR("advice", "this migration was edited after it had run here"));
    }
    for (int i = have; rc == ERR_OK && i < migrate_latest(); i++)
        rc = apply_one(db, &migrations[i], e);
    if (rc == ERR_OK && next != NULL && have < latest)
        rc = apply_one(db, &(struct migration){latest, "next", next}, e);
    return rc;
}

enum err_code migrate_run(struct db *db, struct err *e)
{
    struct err ignored;
    enum recovery_state found = RECOVERY_EMPTY;
    enum err_code rc = migrate_preflight(db, e);

    /* An empty schema means "first start", which would make a second fleet out of half a restore.
     */
    if (rc == ERR_OK)
        rc = recovery_store_state(db, &found, e);
    if (rc == ERR_OK && found == RECOVERY_CUT)
        rc = err_set(
            e, ERR_REFUSED,
            "a restore was cut off: run \"inarid restore\" again, or \"inarid restore --undo\"");
    if (rc == ERR_OK && found == RECOVERY_UNDECIDED)
        rc = recovery_store_settle(db, e);
    if (rc == ERR_OK)
        rc = db_script(db, LOCK_SQL, MIGRATION_LIMIT_MS, e);
    if (rc != ERR_OK)
        return rc;
    rc = apply_missing(db, e);
    if (db_script(db, UNLOCK_SQL, MIGRATION_LIMIT_MS, &ignored) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "schema.unlock",
                  KV_STR("text", ignored.msg)); /* the lock ends with the session */
    return rc;
}
