#include "operate.h"

#include "base/hash.h"
#include "domain/account.h"
#include "domain/enrol.h"
#include "domain/epoch.h"
#include "domain/keyring.h"
#include "domain/parent.h"
#include "domain/trust.h"
#include "store/db.h"
#include "store/migrate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JOIN_LIFE_S = 600, JOIN_ARENA = 64 * KIB, PASSPHRASE_MAX = 1024 };

int operate_complain(const struct err *e)
{
    (void)fprintf(stderr, "inarid: %s\n", e->msg);
    return EXIT_FAILURE;
}

int operate_migrate(const struct inarid_settings *set)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inarid migrate");
    struct err e = {0};

    if (db == NULL || migrate_run(db, &e) != ERR_OK)
        return operate_complain(&e);
    (void)printf("the schema is at version %d\n", migrate_latest());
    return EXIT_SUCCESS;
}

int operate_reset_admin(const struct inarid_settings *set)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inarid reset-admin");
    char password[BOOTSTRAP_PASSWORD_SIZE] = "";
    struct err e = {0};

    if (db == NULL || migrate_run(db, &e) != ERR_OK ||
        account_reset_admin(db, password, &e) != ERR_OK)
        return operate_complain(&e);
    (void)printf("user: admin\npassword: %s\n", password);
    secret_wipe(password, sizeof password);
    return EXIT_SUCCESS;
}

int operate_may_remove(const struct inarid_settings *set, bool force)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inarid may-remove");
    size_t children = 0;
    struct err e = {0};

    if (db == NULL || migrate_run(db, &e) != ERR_OK ||
        parent_may_remove(db, force, &children, &e) != ERR_OK)
        return operate_complain(&e);
    if (children > 0)
        (void)fprintf(
            stderr,
            "inarid: warning: %zu children are left without a parent. Mail goes on as they "
            "are set, for any length of time; nobody can change or see them until each has "
            "left (inari-agent leave) and joined another parent.\n",
            children);
    else
        (void)puts("no children are registered here");
    return EXIT_SUCCESS;
}

enum err_code operate_fleet(const struct inarid_settings *set, struct app *app, struct err *e)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inarid make-join");
    enum err_code rc = db == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : migrate_run(db, e);

    return rc == ERR_OK ? keyring_fleet(db, app, e) : rc;
}

int operate_make_join(const struct inarid_settings *set, struct app *app)
{
    static const struct enrol_spec spec = {.name = "make-join",
                                           .name_pattern = "*",
                                           .placement = "edge",
                                           .uses = 1,
                                           .expires_in_s = JOIN_LIFE_S};
    const struct actor by = ACTOR_SYSTEM;
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inarid make-join");
    AUTO(arena_free) struct arena *a = arena_new(JOIN_ARENA);
    AUTO(json_free) json_t *token = NULL;
    struct err e = {.code = ERR_NO_MEMORY, .msg = "out of memory"};

    if (db == NULL || a == NULL ||
        enrol_token_create(db, app, &spec, &by, false, a, &token, &e) != ERR_OK)
        return operate_complain(&e);
    (void)puts(json_str(token, "join", ""));
    return EXIT_SUCCESS;
}

/* The first line of the file, or of standard input. */
static enum err_code read_passphrase(const char *path, char ret[PASSPHRASE_MAX], struct err *e)
{
    FILE *in = path == NULL ? stdin : fopen(path, "re");
    enum err_code rc = ERR_OK;

    if (in == NULL)
        return err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    if (path == NULL && isatty(STDIN_FILENO))
        (void)fputs("passphrase of the root key (first-login.txt): ", stderr);
    if (fgets(ret, PASSPHRASE_MAX, in) == NULL)
        ret[0] = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
    if (ret[0] == '\0')
        rc = err_set(e, ERR_INVALID, "no passphrase was given");
    if (path != NULL)
        (void)fclose(in);
    return rc;
}

/* The keys of the running parent, and the root key beside them.  *ret: the caller frees it. */
static enum err_code open_keys(struct db *db, struct app *app, const struct new_epoch *n,
                               struct jose_key **ret, struct err *e)
{
    char passphrase[PASSPHRASE_MAX] = "";
    struct keyring_first first = {0};
    enum err_code rc = migrate_run(db, e);

    if (rc == ERR_OK) /* never a first start: operate_fleet() saw one */
        rc = keyring_bootstrap(db, app, &first, e);
    if (rc == ERR_OK)
        rc = read_passphrase(n->passphrase_file, passphrase, e);
    if (rc == ERR_OK)
        rc = keyring_root_open(app, n->root_key, passphrase, ret, e);
    secret_wipe(passphrase, sizeof passphrase);
    return rc;
}

static enum err_code raise_epoch(struct db *db, struct app *app, const struct new_epoch *n,
                                 struct epoch_result *ret, struct err *e)
{
    const struct actor by = ACTOR_SYSTEM;
    AUTO(jose_key_free) struct jose_key *root = NULL;
    enum err_code rc = open_keys(db, app, n, &root, e);

    return rc == ERR_OK ? epoch_raise(db, app, root, &by, n->reason, n->keep, ret, e) : rc;
}

int operate_new_epoch(const struct inarid_settings *set, struct app *app, const struct new_epoch *n)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inarid new-epoch");
    struct epoch_result r = {0};
    struct err e = {.code = ERR_NO_MEMORY, .msg = "out of memory"};
    enum err_code rc = db == NULL ? e.code : raise_epoch(db, app, n, &r, &e);

    keyring_free(app->keys);
    app->keys = NULL;
    if (rc != ERR_OK)
        return operate_complain(&e);
    (void)printf("epoch %lld, trust document %lld, signed by the root key\n", (long long)r.epoch,
                 (long long)r.trust);
    if (n->keep)
        (void)puts("devices go on as they are until the next publication");
    else
        (void)printf("%lld devices are given what is published, under fresh revisions\n",
                     (long long)r.devices);
    return EXIT_SUCCESS;
}

static enum err_code rotate(struct db *db, struct app *app, const struct new_epoch *n,
                            struct trust_result *ret, struct err *e)
{
    const struct trust_order o = {n->reason, n->receipt, n->stolen};
    const struct actor by = ACTOR_SYSTEM;
    AUTO(jose_key_free) struct jose_key *root = NULL;
    enum err_code rc = open_keys(db, app, n, &root, e);

    return rc == ERR_OK ? trust_rotate(db, app, root, &by, &o, ret, e) : rc;
}

int operate_rotate_key(const struct inarid_settings *set, struct app *app,
                       const struct new_epoch *n)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inarid rotate-key");
    struct trust_result r = {0};
    struct err e = {.code = ERR_NO_MEMORY, .msg = "out of memory"};
    enum err_code rc = db == NULL ? e.code : rotate(db, app, n, &r, &e);

    keyring_free(app->keys);
    app->keys = NULL;
    if (rc != ERR_OK)
        return operate_complain(&e);
    (void)printf("bundle key %s, trust document %lld, signed by the root key\n", r.kid,
                 (long long)r.trust);
    if (n->stolen)
        (void)puts("what the key before has signed counts for nothing any more");
    else
        (void)printf("the key before counts for %d more days\n", TRUST_OVERLAP_DAYS);
    (void)printf("%lld devices are given what they have, signed anew\n", (long long)r.devices);
    return EXIT_SUCCESS;
}

/* The heir is kept, and its passphrase shown, before a document names it: whatever ends this
 * program, there is a root key that somebody has. */
static enum err_code succeed(struct db *db, struct app *app, const struct new_epoch *n,
                             struct root_heir *heir, int64_t *ret_n, struct err *e)
{
    const struct actor by = ACTOR_SYSTEM;
    AUTO(jose_key_free) struct jose_key *root = NULL;
    enum err_code rc = open_keys(db, app, n, &root, e);

    if (rc == ERR_OK)
        rc = keyring_root_heir(app, heir, e);
    if (rc != ERR_OK)
        return rc;
    (void)printf("the root key that follows: %s\n  its passphrase, shown only now: %s\n",
                 heir->path, heir->passphrase);
    if (fflush(stdout) != 0)
        return err_set(e, ERR_STORAGE, "the passphrase could not be shown: nothing was changed");
    return trust_replace_root(db, app, root, heir->key, &by, n->reason, ret_n, e);
}

int operate_rotate_root(const struct inarid_settings *set, struct app *app,
                        const struct new_epoch *n)
{
    AUTO(db_close) struct db *db = db_open(set->conninfo, "inarid rotate-root");
    struct root_heir heir = {.key = NULL};
    struct err e = {.code = ERR_NO_MEMORY, .msg = "out of memory"};
    int64_t trust = 0;
    enum err_code rc = db == NULL ? e.code : succeed(db, app, n, &heir, &trust, &e);

    if (rc == ERR_OUTCOME_UNKNOWN) { /* its file stays, under its own name */
        (void)printf("whether a trust document names it is not known: inarictl trust says it\n");
        jose_key_free(heir.key);
        secret_wipe(heir.passphrase, sizeof heir.passphrase);
    } else {
        keyring_root_heir_end(app, &heir, rc == ERR_OK);
    }
    keyring_free(app->keys);
    app->keys = NULL;
    if (rc != ERR_OK)
        return operate_complain(&e);
    (void)printf("trust document %lld names it; it lies in %s now, the one before beside it\n",
                 (long long)trust, heir.path);
    return EXIT_SUCCESS;
}
