#include "startup.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "domain/account.h"
#include "domain/event_feed.h"
#include "domain/fleet_cache.h"
#include "domain/keyring.h"
#include "domain/list_give.h"
#include "domain/recovery.h"
#include "jobs/jobs.h"
#include "store/feed_store.h"
#include "store/look_store.h"
#include "store/migrate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { RETRY_FIRST_MS = 250, RETRY_MAX_MS = 10 * 1000 };

struct startup {
    struct app *app;
    struct http *http;
    const char *conninfo;
    pthread_t thread;
    atomic_bool stop;
    struct jobs *jobs;
};

/* What is shown once lies in a file only its owner can read, until it is deleted: a log would keep
 * it for ever. */
static enum err_code write_first_login(const struct app *app, const char *password,
                                       const char *passphrase, struct err *e)
{
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(4 * KIB);
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(4 * KIB);
    enum err_code rc;

    strbuf_puts(&text, "Note these down and delete this file.\n");
    if (password[0] != '\0')
        strbuf_printf(&text, "user: admin\npassword: %s\n", password);
    if (passphrase[0] != '\0')
        strbuf_printf(&text, "passphrase of root.key.pem: %s\n", passphrase);
    strbuf_printf(&path, "%s/first-login.txt", app->state_dir);
    rc = file_write_atomic(strbuf_str(&path), strbuf_slice(&text), 0600, e);
    if (text.p != NULL)
        secret_wipe(text.p, text.n);
    if (rc == ERR_OK)
        log_event(LOG_LEVEL_INFO, "parent.first_start",
                  KV_STR("read_and_delete", strbuf_str(&path)));
    return rc;
}

static enum err_code first_start(struct app *app, struct db *db, struct err *e)
{
    struct keyring_first first = {0};
    char password[BOOTSTRAP_PASSWORD_SIZE] = "";
    enum err_code rc = ERR_OK;

    if (app->keys == NULL)
        rc = keyring_bootstrap(db, app, &first, e);
    if (rc == ERR_OK)
        rc = account_bootstrap(db, app, password, e);
    if (first.made || password[0] != '\0') {
        struct err second;
        /* Even when a later step failed: the passphrase exists only here. */
        enum err_code written =
            write_first_login(app, password, first.made ? first.root_passphrase : "", &second);
        if (rc == ERR_OK && written != ERR_OK) {
            *e = second;
            rc = written;
        }
    }
    secret_wipe(password, sizeof password);
    secret_wipe(first.root_passphrase, sizeof first.root_passphrase);
    return rc;
}

/* Whatever this host's clock says: parents over one database have one time. */
static enum err_code take_time(struct db *db, struct err *e)
{
    int64_t wall_ms = 0, asked_ms = clock_mono_ms();
    enum err_code rc = look_store_time(db, &wall_ms, e);

    if (rc == ERR_OK)
        clock_follow(wall_ms, asked_ms);
    return rc;
}

static enum err_code load(struct startup *s, struct db *db, struct err *e)
{
    struct app *app = s->app;
    struct fleet_cache *fleet;

    if (migrate_run(db, e) != ERR_OK)
        return err_wrap(e, "schema");
    if (take_time(db, e) != ERR_OK)
        return err_wrap(e, "time");
    if (feed_store_settle(db, e) != ERR_OK)
        return err_wrap(e, "order of events");
    if (recovery_check_witness(db, app, e) != ERR_OK)
        return e->code;
    if (first_start(app, db, e) != ERR_OK)
        return err_wrap(e, "keys and accounts");
    if (recovery_write_witness(db, app, e) != ERR_OK)
        return err_wrap(e, "witness");
    if (app->fleet != NULL)
        return ERR_OK;
    fleet = fleet_cache_new();
    if (fleet == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (fleet_cache_refresh(fleet, db, e) != ERR_OK) {
        fleet_cache_free(fleet);
        return err_wrap(e, "devices");
    }
    app->lists = list_give_new();
    if (app->lists == NULL || list_give_refresh(db, app, e) != ERR_OK) {
        enum err_code rc =
            app->lists == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : e->code;
        list_give_free(app->lists);
        app->lists = NULL;
        fleet_cache_free(fleet);
        return rc;
    }
    app->fleet = fleet;
    return ERR_OK;
}

static void wait_ms(struct startup *s, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;

    while (!atomic_load(&s->stop) && clock_mono_ms() < until)
        (void)usleep(50 * 1000);
}

static void *run(void *arg)
{
    struct startup *s = arg;
    int64_t retry_ms = RETRY_FIRST_MS;

    while (!atomic_load(&s->stop)) {
        AUTO(db_close) struct db *db = db_open(s->conninfo, "inarid start");
        struct err e = {0};
        if (db != NULL && load(s, db, &e) == ERR_OK &&
            (s->app->feed != NULL ||
             feed_start(s->app, s->conninfo, &s->app->feed, &e) == ERR_OK) &&
            jobs_start(s->app, s->conninfo, &s->jobs, &e) == ERR_OK) {
            http_ready(s->http, true);
            log_event(LOG_LEVEL_INFO, "parent.ready", KV_STR("fleet", s->app->fleet_id),
                      KV_INT("devices", fleet_count(s->app->fleet)));
            return NULL;
        }
        log_event(LOG_LEVEL_WARN, "parent.waiting", KV_STR("error", e.msg),
                  KV_INT("retry_ms", retry_ms));
        wait_ms(s, retry_ms);
        retry_ms = retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : retry_ms * 2;
    }
    return NULL;
}

enum err_code startup_begin(struct app *app, struct http *http, const char *conninfo,
                            struct startup **ret, struct err *e)
{
    struct startup *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    s->app = app;
    s->http = http;
    s->conninfo = conninfo;
    if (pthread_create(&s->thread, NULL, run, s) != 0) {
        free(s);
        return err_set(e, ERR_NO_MEMORY, "could not start a thread");
    }
    *ret = s;
    return ERR_OK;
}

void startup_quit(struct startup *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stop, true);
    (void)pthread_join(s->thread, NULL);
}

void startup_stop(struct startup *s)
{
    if (s == NULL)
        return;
    jobs_stop(s->jobs);
    feed_stop(s->app->feed);
    s->app->feed = NULL;
    fleet_cache_free(s->app->fleet);
    keyring_free(s->app->keys);
    list_give_free(s->app->lists);
    s->app->lists = NULL;
    s->app->fleet = NULL;
    s->app->keys = NULL;
    free(s);
}
