#include "backup.h"

#include "base/clock.h"
#include "base/file.h"
#include "pg.h"
#include "store/migrate.h"
#include "store/recovery_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH = 4096, KEY_FILE_MAX = 64 * 1024 };
static const char before[] = ".before-restore";
static const char none_before[] = ".none.before-restore"; /* an empty file: there was none */

/* Nobody works on the database, and what is in it may go aside. */
static enum err_code may_replace(struct db *db, const json_t *manifest,
                                 const struct restore_how *how, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    const char *fleet = json_str(manifest, "fleet", "");
    struct recovery_facts f;
    enum recovery_state state;
    int64_t parents = 0;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (migrate_preflight(db, e) != ERR_OK || recovery_store_parents(db, &parents, e) != ERR_OK ||
        recovery_store_state(db, &state, e) != ERR_OK)
        return e->code;
    if (parents > 0)
        return err_set(e, ERR_REFUSED,
                       "a parent is running on this database (%lld connections): stop inarid first "
                       "(systemctl stop inarid)",
                       (long long)parents);
    if (state != RECOVERY_DONE)
        return ERR_OK;
    if (recovery_store_facts(db, a, &f, e) != ERR_OK)
        return e->code;
    if (f.fleet[0] == '\0')
        return ERR_OK;
    if (strcmp(f.fleet, fleet) != 0 &&
        (how->replace_fleet == NULL || strcmp(how->replace_fleet, f.fleet) != 0))
        return err_set(e, ERR_REFUSED,
                       "the database holds fleet %s (revision %lld), the backup is of fleet %s: "
                       "give --replace-fleet %s if "
                       "it may be put aside",
                       f.fleet, (long long)f.pub, fleet, f.fleet);
    if (strcmp(f.fleet, fleet) == 0 && !how->replace && how->replace_fleet == NULL)
        return err_set(e, ERR_REFUSED,
                       "the database holds this fleet already, at revision %lld (the backup: "
                       "%lld): give --replace if it "
                       "may be put aside",
                       (long long)f.pub, (long long)json_int(manifest, "pub", 0));
    return ERR_OK;
}

/* What is there, or that nothing is, is kept once under a name of its own: a restore that was cut
 * off and is run again finds its own files. */
static enum err_code keep_before(const char *path, struct err *e)
{
    char old[PATH + 32], none[PATH + 32];
    int fd;

    (void)snprintf(old, sizeof old, "%s%s", path, before);
    (void)snprintf(none, sizeof none, "%s%s", path, none_before);
    if (access(old, F_OK) == 0 || access(none, F_OK) == 0)
        return ERR_OK;
    if (link(path, old) == 0)
        return ERR_OK;
    fd = errno == ENOENT ? open(none, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)
                         : -1;
    if (fd < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not keep \"%s\"", path);
    (void)close(fd);
    return ERR_OK;
}

/* A file of the state folder: the new bytes, or none. */
static enum err_code place(const char *path, struct slice data, bool present, struct err *e)
{
    enum err_code rc = keep_before(path, e);

    if (rc != ERR_OK || present)
        return rc == ERR_OK ? file_write_atomic(path, data, 0600, e) : rc;
    return unlink(path) == 0 || errno == ENOENT
               ? ERR_OK
               : err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", path);
}

static enum err_code take_back(const char *path, struct err *e)
{
    char old[PATH + 32], none[PATH + 32];

    (void)snprintf(old, sizeof old, "%s%s", path, before);
    (void)snprintf(none, sizeof none, "%s%s", path, none_before);
    if (rename(old, path) != 0 && errno != ENOENT)
        return err_errno(e, ERR_STORAGE, errno, "could not bring back \"%s\"", path);
    if (access(none, F_OK) == 0 &&
        ((unlink(path) != 0 && errno != ENOENT) || (unlink(none) != 0 && errno != ENOENT)))
        return err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", path);
    return ERR_OK;
}

static void state_path(const struct inarid_settings *set, const char *name, char path[PATH])
{
    (void)snprintf(path, PATH, "%s/%s", set->state, name + sizeof "state/" - 1);
}

static enum err_code place_keys(const struct inarid_settings *set, const char *dir, struct err *e)
{
    char from[PATH], to[PATH];
    enum err_code rc;

    (void)snprintf(to, sizeof to, "%s/tls", set->state);
    rc = file_mkdirs(to, 0700, e);
    for (size_t i = 1; rc == ERR_OK && backup_names[i] != NULL; i++) {
        AUTO_STR char *text = NULL;
        size_t n = 0;

        backup_unpacked(dir, backup_names[i], from, sizeof from);
        state_path(set, backup_names[i], to);
        rc = file_read(from, KEY_FILE_MAX, &text, &n, e);
        if (rc == ERR_OK || rc == ERR_NOT_FOUND)
            rc = place(to, (struct slice){text, n}, rc == ERR_OK, e);
    }
    return rc;
}

/* An earlier undo leaves nothing that place() would take for the state before this restore. */
static enum err_code forget_before(const struct inarid_settings *set, struct err *e)
{
    static const char *const ends[] = {before, none_before};
    char path[PATH], old[PATH + 32];

    for (size_t i = 1; backup_names[i] != NULL; i++) {
        state_path(set, backup_names[i], path);
        for (size_t k = 0; k < COUNT_OF(ends); k++) {
            (void)snprintf(old, sizeof old, "%s%s", path, ends[k]);
            if (unlink(old) != 0 && errno != ENOENT)
                return err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", old);
        }
    }
    return ERR_OK;
}

static json_t *fence(const json_t *manifest)
{
    char now[CLOCK_TEXT_SIZE];

    clock_format(clock_wall_ms(), now);
    return json_pack("{s:s,s:s,s:s,s:I,s:I}", "reason", "restored", "since", now, "backup_of",
                     json_str(manifest, "made_at", ""), "pub",
                     (json_int_t)json_int(manifest, "pub", 0), "rev",
                     (json_int_t)json_int(manifest, "rev", 0));
}

static enum err_code restore_in(const struct inarid_settings *set, struct db *db, const char *dir,
                                const char *file, const struct envelope_key *key,
                                const struct restore_how *how, struct backup_result *ret,
                                struct err *e)
{
    AUTO(json_free) json_t *note = NULL;
    char dump[PATH];
    enum recovery_state state;
    enum err_code rc = backup_open(file, dir, key, ret, e);

    if (rc == ERR_OK)
        rc = may_replace(db, ret->manifest, how, e);
    if (rc == ERR_OK)
        rc = recovery_store_state(db, &state, e);
    /* From here on it is to be finished: what is there has been read, and is kept. */
    if (rc == ERR_OK && (state == RECOVERY_DONE || state == RECOVERY_EMPTY))
        rc = forget_before(set, e);
    if (rc == ERR_OK && (note = fence(ret->manifest)) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK)
        rc = recovery_store_aside(db, note, e);
    if (rc == ERR_OK)
        rc = place_keys(set, dir, e);
    backup_unpacked(dir, backup_names[0], dump, sizeof dump);
    if (rc == ERR_OK)
        rc = pg_restore_from(set->conninfo, dump, e);
    return rc == ERR_OK ? recovery_store_settle(db, e) : rc;
}

enum err_code backup_restore(const struct inarid_settings *set, const char *file,
                             const struct envelope_key *key, const struct restore_how *how,
                             struct backup_result *ret, struct err *e)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inari-backup");
    char dir[512];
    enum err_code rc;

    *ret = (struct backup_result){0};
    if (db == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (file_mkdirs(set->state, 0700, e) != ERR_OK || backup_temp(set, dir, e) != ERR_OK)
        return e->code;
    rc = restore_in(set, db, dir, file, key, how, ret, e);
    backup_temp_remove(dir);
    return rc;
}

enum err_code backup_restore_undo(const struct inarid_settings *set, struct err *e)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inari-backup");
    char path[PATH];
    int64_t parents = 0;

    if (db == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (recovery_store_parents(db, &parents, e) != ERR_OK)
        return e->code;
    if (parents > 0)
        return err_set(e, ERR_REFUSED, "a parent is running on this database: stop inarid first");
    if (recovery_store_has_aside(db, e) != ERR_OK)
        return e->code;
    /* The keys first: cut off here, the undo is run again. Without its tables there is none. */
    for (size_t i = 1; backup_names[i] != NULL; i++) {
        state_path(set, backup_names[i], path);
        if (take_back(path, e) != ERR_OK)
            return e->code;
    }
    return recovery_store_back(db, e);
}
