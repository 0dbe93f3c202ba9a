#include "backup.h"

#include "archive.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "pg.h"
#include "store/migrate.h"
#include "store/recovery_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT = 1, PATH = 4096 };

/* All but the first lie in the parent's state folder under the same name without "state/". */
const char *const backup_names[] = {
    "database.dump",        "state/parent.key",     "state/root.key.pem", "state/tls/server.crt",
    "state/tls/server.key", "state/tls/backup.key", "state/tls/pins",     NULL};

void backup_unpacked(const char *dir, const char *name, char *path, size_t size)
{
    size_t n = (size_t)snprintf(path, size, "%s/", dir);

    (void)snprintf(path + n, size > n ? size - n : 0, "%s", name);
    for (char *c = path + n; *c != '\0'; c++)
        if (*c == '/')
            *c = '-';
}

enum err_code backup_temp(const struct inarid_settings *set, char dir[512], struct err *e)
{
    (void)snprintf(dir, 512, "%s/backup.XXXXXX", set->state);
    if (mkdtemp(dir) != NULL)
        return ERR_OK;
    return err_errno(e, ERR_STORAGE, errno, "could not make a folder in \"%s\"", set->state);
}

void backup_temp_remove(const char *dir)
{
    struct err e;

    if (file_remove_tree(dir, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "backup.left_behind", KV_STR("folder", dir),
                  KV_STR("error", e.msg));
}

static enum err_code describe(const struct inarid_settings *set, json_t **ret, struct err *e)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inari-backup");
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct recovery_facts f;
    enum recovery_state state;
    int64_t devices = 0;
    char now[CLOCK_TEXT_SIZE];

    if (db == NULL || a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (recovery_store_state(db, &state, e) != ERR_OK)
        return e->code;
    if (state != RECOVERY_DONE && state != RECOVERY_UNDECIDED)
        return err_set(e, ERR_REFUSED,
                       "the database holds no parent yet: there is nothing to back up");
    if (recovery_store_facts(db, a, &f, e) != ERR_OK ||
        recovery_store_devices(db, a, &devices, e) != ERR_OK)
        return e->code;
    clock_format(clock_wall_ms(), now);
    *ret = json_pack("{s:i,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:i}", "format", FORMAT, "made_by",
                     "inarid " INARI_VERSION, "made_at", now, "fleet", f.fleet, "epoch",
                     (json_int_t)f.epoch, "pub", (json_int_t)f.pub, "rev", (json_int_t)f.rev,
                     "devices", (json_int_t)devices, "schema", migrate_latest());
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

/* The dump and what there is of the key files. */
static size_t collect(const struct inarid_settings *set, const char *dump, char path[][PATH],
                      struct archive_member m[ARCHIVE_MEMBERS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; backup_names[i] != NULL; i++) {
        if (i == 0)
            (void)snprintf(path[n], PATH, "%s", dump);
        else
            (void)snprintf(path[n], PATH, "%s/%s", set->state,
                           backup_names[i] + sizeof "state/" - 1);
        if (access(path[n], F_OK) != 0)
            continue;
        m[n] = (struct archive_member){backup_names[i], path[n]};
        n++;
    }
    return n;
}

/* Beside its final name, then renamed: nobody ever sees half a backup. */
static enum err_code put_in_place(const char *from, const char *to, struct err *e)
{
    char folder[PATH];
    char *slash;

    if (link(from, to) != 0) /* unlike rename(), it replaces nothing */
        return err_errno(e, errno == EEXIST ? ERR_CONFLICT : ERR_STORAGE, errno,
                         "could not make \"%s\"", to);
    (void)unlink(from);
    (void)snprintf(folder, sizeof folder, "%s", to);
    slash = strrchr(folder, '/');
    if (slash == NULL)
        return file_fsync_dir(".", e);
    *slash = '\0';
    return file_fsync_dir(folder[0] == '\0' ? "/" : folder, e);
}

static enum err_code make_in(const struct inarid_settings *set, const char *dir, const char *file,
                             const struct envelope_key *key, struct backup_result *ret,
                             struct err *e)
{
    static char path[ARCHIVE_MEMBERS_MAX][PATH];
    struct archive_member m[ARCHIVE_MEMBERS_MAX];
    char dump[PATH], tar[PATH], sealed[PATH];
    enum err_code rc;

    (void)snprintf(dump, sizeof dump, "%s/dump", dir);
    (void)snprintf(tar, sizeof tar, "%s/tar", dir);
    (void)snprintf(sealed, sizeof sealed, "%s.part-%d", file, (int)getpid());
    rc = describe(set, &ret->manifest, e);
    if (rc == ERR_OK)
        rc = pg_dump_to(set->conninfo, dump, e);
    if (rc == ERR_OK)
        rc = pg_restore_check(dump, e);
    if (rc == ERR_OK)
        rc = archive_write(tar, ret->manifest, m, collect(set, dump, path, m), e);
    if (rc == ERR_OK)
        rc = envelope_seal(tar, sealed, key, e);
    if (rc != ERR_OK)
        return rc;
    rc = archive_digest(sealed, ret->sha256, &ret->size, e);
    if (rc == ERR_OK)
        rc = put_in_place(sealed, file, e);
    if (rc != ERR_OK)
        (void)unlink(sealed);
    return rc;
}

enum err_code backup_make(const struct inarid_settings *set, const char *file,
                          const struct envelope_key *key, struct backup_result *ret, struct err *e)
{
    char dir[512];
    enum err_code rc;

    *ret = (struct backup_result){0};
    if (access(file, F_OK) == 0)
        return err_set(e, ERR_CONFLICT, "\"%s\" is there already: name a file that is not", file);
    if (backup_temp(set, dir, e) != ERR_OK)
        return e->code;
    rc = make_in(set, dir, file, key, ret, e);
    backup_temp_remove(dir);
    return rc;
}

static enum err_code check_manifest(const json_t *m, struct err *e)
{
    if (json_int(m, "format", 0) != FORMAT)
        return err_set(
            e, ERR_REFUSED,
            "the backup has format %lld, this program knows %d: use the inarid that made it (%s)",
            (long long)json_int(m, "format", 0), FORMAT, json_str(m, "made_by", "?"));
    if (json_int(m, "schema", INT32_MAX) > migrate_latest())
        return err_set(
            e, ERR_REFUSED,
            "the backup has schema %lld, this program knows %d: install %s or newer first",
            (long long)json_int(m, "schema", 0), migrate_latest(), json_str(m, "made_by", "?"));
    if (json_str(m, "fleet", "")[0] == '\0')
        return err_set(e, ERR_MALFORMED, "the manifest of the backup names no fleet");
    return ERR_OK;
}

enum err_code backup_open(const char *file, const char *dir, const struct envelope_key *key,
                          struct backup_result *ret, struct err *e)
{
    char tar[PATH], dump[PATH];
    enum err_code rc;

    (void)snprintf(tar, sizeof tar, "%s/tar", dir);
    rc = archive_digest(file, ret->sha256, &ret->size, e);
    if (rc == ERR_OK)
        rc = envelope_open(file, tar, key, e);
    if (rc == ERR_OK)
        rc = archive_read(tar, dir, backup_names, &ret->manifest, e);
    (void)unlink(tar);
    if (rc == ERR_OK)
        rc = check_manifest(ret->manifest, e);
    backup_unpacked(dir, backup_names[0], dump, sizeof dump);
    return rc == ERR_OK ? pg_restore_check(dump, e) : rc;
}

enum err_code backup_check(const struct inarid_settings *set, const char *file,
                           const struct envelope_key *key, struct backup_result *ret, struct err *e)
{
    char dir[512];
    enum err_code rc;

    *ret = (struct backup_result){0};
    if (backup_temp(set, dir, e) != ERR_OK)
        return e->code;
    rc = backup_open(file, dir, key, ret, e);
    backup_temp_remove(dir);
    return rc;
}
