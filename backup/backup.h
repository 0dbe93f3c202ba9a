/*
 * backup.h - everything a parent is, in one encrypted file, and back (security.md C21, drills D1-D4, D8).
 *
 * In the file: manifest.json (fleet, epoch, highest revision, schema, time, SHA-256 of each member), database.dump
 * (pg_dump, one snapshot, no owners or privileges) and the parent's own keys: parent.key, root.key.pem where it is kept
 * on this host, and the TLS keys the children have pinned, so that a new host is the same parent to every child.
 *
 * A restore reads and checks all of it before it changes anything.  Then: the tables there are are put aside as schema
 * "inari_before_restore" (restore_undo() brings them back), the dump is restored in one transaction, the parent is fenced
 * (it may know less than its children do), the key files replace what was there (kept as NAME.before-restore).  Cut off
 * at any moment it is run again; until then inarid does not start on the half.
 */
#pragma once

#include "envelope.h"
#include "json/json_in.h"
#include "settings.h"

struct backup_result {
    json_t *manifest; /* new reference */
    char sha256[65];  /* of the encrypted file */
    int64_t size;
};

/* file must not exist; it appears whole or not at all, 0600. */
MUST_USE enum err_code backup_make(const struct inarid_settings *set, const char *file, const struct envelope_key *key,
                                   struct backup_result *ret, struct err *e);
/* Opens and checks every byte; changes nothing. */
MUST_USE enum err_code backup_check(const struct inarid_settings *set, const char *file, const struct envelope_key *key,
                                    struct backup_result *ret, struct err *e);
/* ERR_REFUSED: a parent is running on the database, or there is a fleet already and replace is false (or it is another
 * fleet: replace_fleet must name it), or the backup has a newer schema than this program. */
struct restore_how {
    bool replace;
    const char *replace_fleet; /* id of the other fleet whose data may be put aside; NULL */
};
MUST_USE enum err_code backup_restore(const struct inarid_settings *set, const char *file, const struct envelope_key *key,
                                      const struct restore_how *how, struct backup_result *ret, struct err *e);
/* The tables and key files as they were before the last restore. */
MUST_USE enum err_code backup_restore_undo(const struct inarid_settings *set, struct err *e);

/* For the parts. */
extern const char *const backup_names[];        /* NULL-terminated: database.dump first, then files of the state folder */
void backup_unpacked(const char *dir, const char *name, char *path, size_t size); /* where archive_read() puts it */
MUST_USE enum err_code backup_temp(const struct inarid_settings *set, char dir[512], struct err *e);
void backup_temp_remove(const char *dir);
MUST_USE enum err_code backup_open(const char *file, const char *dir, const struct envelope_key *key,
                                   struct backup_result *ret, struct err *e);
