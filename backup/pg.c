#include "pg.h"

#include "base/file.h"
#include "proc/proc.h"
#include "store/recovery_store.h"

#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

enum { LONGEST_MS = 3600 * 1000 };

/* The newest installed one: a newer pg_dump reads older servers, not the other way round. */
static enum err_code find(const char *program, struct arena *a, const char **ret, struct err *e)
{
    const char *pattern = arena_printf(a, "/usr/lib/postgresql/*/bin/%s", program);
    long best = -1;
    glob_t g;

    *ret = NULL;
    if (pattern != NULL && glob(pattern, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) {
            long version = strtol(g.gl_pathv[i] + sizeof "/usr/lib/postgresql/" - 1, NULL, 10);
            if (version > best && access(g.gl_pathv[i], X_OK) == 0) {
                best = version;
                *ret = arena_strdup(a, g.gl_pathv[i]);
            }
        }
        globfree(&g);
    }
    if (*ret != NULL)
        return ERR_OK;
    return err_set(e, ERR_NOT_FOUND,
                   "%s is not installed below /usr/lib/postgresql: install postgresql-client",
                   program);
}

static enum err_code run(const char *const argv[], const char *const env[], const char *what,
                         struct err *e)
{
    struct proc_result r = {0};
    enum err_code rc = proc_run(argv, env, (struct slice){NULL, 0}, LONGEST_MS, &r, e);

    if (rc == ERR_OK && r.timed_out)
        rc = err_set(e, ERR_STORAGE, "%s took longer than an hour", what);
    else if (rc == ERR_OK && r.status != 0)
        rc = err_set(e, ERR_STORAGE, "%s: %s", what, r.output == NULL ? "failed" : r.output);
    proc_result_clear(&r);
    return rc;
}

enum err_code pg_dump_to(const char *conninfo, const char *path, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    const char *const *env;
    const char *dbname, *program;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (find("pg_dump", a, &program, e) != ERR_OK ||
        recovery_store_env(conninfo, a, &env, &dbname, e) != ERR_OK)
        return e->code;
    /* What lives for minutes, or opens a door, has no place in a backup; nor have the events, which
     * may be a thousand times as much as all the rest (docs/internals/events.md): days are made
     * again. */
    return run(
        (const char *const[]){
            program, "--format=custom", "--compress=6", "--no-owner", "--no-acl", "--no-comments",
            "--schema=public", "--lock-wait-timeout=30s", "--exclude-table-data=public.session",
            "--exclude-table-data=public.idempotency", "--exclude-table-data=public.jti",
            "--exclude-table-data=public.presence", "--exclude-table-data=public.login_failure",
            "--exclude-table-data=public.lease", "--exclude-table=public.event_[0-9]*",
            "--exclude-table-data=public.event_batch", "--file", path, NULL},
        env, "pg_dump", e);
}

enum err_code pg_restore_check(const char *path, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    const char *program;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (find("pg_restore", a, &program, e) != ERR_OK)
        return e->code;
    return run((const char *const[]){program, "--list", "--file=/dev/null", path, NULL}, NULL,
               "pg_restore --list", e);
}

enum err_code pg_restore_from(const char *conninfo, const char *path, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    const char *const *env;
    const char *dbname, *program;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (find("pg_restore", a, &program, e) != ERR_OK ||
        recovery_store_env(conninfo, a, &env, &dbname, e) != ERR_OK)
        return e->code;
    return run((const char *const[]){program, "--no-owner", "--no-acl", "--exit-on-error",
                                     "--single-transaction", "--schema=public", "--dbname", dbname,
                                     path, NULL},
               env, "pg_restore", e);
}
