#include "domain/change.h"

#include <stdio.h>

struct trial {
    tx_fn fn;
    void *ctx;
    bool dry_run, passed;
};

static enum err_code run_trial(struct db *db, void *ctx, struct err *e)
{
    struct trial *t = ctx;
    enum err_code rc = t->fn(db, t->ctx, e);

    t->passed = rc == ERR_OK;
    return rc == ERR_OK && t->dry_run ? err_set(e, ERR_CONFLICT, "a dry run is rolled back") : rc;
}

enum err_code change_run(struct db *db, const char *name, bool dry_run, tx_fn fn, void *ctx,
                         struct err *e)
{
    struct trial t = {.fn = fn, .ctx = ctx, .dry_run = dry_run};
    enum err_code rc = tx_run(db, name, run_trial, &t, e);

    return dry_run && t.passed ? ERR_OK : rc;
}

void version_text(int64_t version, char out[VERSION_TEXT_SIZE])
{
    (void)snprintf(out, VERSION_TEXT_SIZE, "%lld", (long long)version);
}
