#include "operate.h"

#include "base/hash.h"
#include "domain/account.h"
#include "domain/enrol.h"
#include "domain/keyring.h"
#include "domain/parent.h"
#include "store/db.h"
#include "store/migrate.h"

#include <stdio.h>
#include <stdlib.h>

enum { JOIN_LIFE_S = 600, JOIN_ARENA = 64 * KIB };

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
