#include "apply/drain.h"

#include "apply/command.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "targets/mutate.h"
#include "targets/postfix.h"
#include "targets/queue_age.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DRAIN_MAX = 64 * 1024 };

/* Not 421, which an smtpd in trouble says as well: our own probes must tell the two apart. */
static const char none[] = "# empty: this device takes new mail\n";
static const char all[] =
    "# drained\n"
    "0.0.0.0/0 450 4.3.2 This gateway takes no new mail now, try another or later\n"
    "::/0 450 4.3.2 This gateway takes no new mail now, try another or later\n";

static void path_of(const struct helper *h, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/drain.json", h->s->helper_state);
}

static void table_of(const struct helper *h, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/" PLAN_DRAIN_TABLE, h->s->postfix_config);
}

/* NULL: there is none, or it cannot be read. */
static json_t *read_order(const char *path)
{
    AUTO_STR char *text = NULL;
    json_t *j = NULL;
    size_t n = 0;

    if (file_read(path, DRAIN_MAX, &text, &n, NULL) == ERR_OK &&
        json_in_parse((struct slice){text, n}, DRAIN_MAX, &j, NULL) == ERR_OK &&
        json_str(j, "since", "")[0] != '\0')
        return j;
    json_decref(j);
    return NULL;
}

/* Mail that comes in by mistake may be lost with a machine somebody takes down; mail that is put
 * off comes back.  So only a file that is not there says that mail is taken. */
static bool is_wanted(const char *path)
{
    return access(path, F_OK) == 0 || errno != ENOENT;
}

json_t *drain_read(const struct helper *h)
{
    char path[4200], since[CLOCK_TEXT_SIZE];
    struct stat st = {0};
    json_t *j;

    path_of(h, path, sizeof path);
    j = read_order(path);
    if (j != NULL || !is_wanted(path))
        return j;
    (void)stat(path, &st);
    clock_format((int64_t)st.st_mtime * 1000, since);
    return json_pack("{s:s,s:s,s:s,s:s}", "by", "", "reason",
                     "the order cannot be read (drain.json): undrain ends it", "since", since,
                     "command", "");
}

static enum err_code ensure(const struct helper *h, bool *ret_written, struct err *e)
{
    AUTO_STR char *text = NULL;
    const char *should;
    char path[4200];
    size_t n = 0;

    path_of(h, path, sizeof path);
    should = is_wanted(path) ? all : none;
    table_of(h, path, sizeof path);
    if (file_read(path, DRAIN_MAX, &text, &n, NULL) == ERR_OK && n == strlen(should) &&
        memcmp(text, should, n) == 0)
        return ERR_OK;
    *ret_written = true;
    return file_write_atomic(path, slice_of(should), 0644, e);
}

enum err_code drain_ensure(const struct helper *h, struct err *e)
{
    bool ignored = false;

    return ensure(h, &ignored, e);
}

void drain_mend(struct helper *h)
{
    struct err e = {0};
    bool written = false;
    enum err_code rc = ensure(h, &written, &e);

    if (rc != ERR_OK) {
        log_event(LOG_LEVEL_WARN, "drain.not_written", KV_STR("problem", e.msg));
        return;
    }
    if (!written || !h->j.s.managed)
        return;
    log_event(LOG_LEVEL_WARN, "drain.mended", KV_STR("table", PLAN_DRAIN_TABLE));
    if (!apply_is_open(h) && postfix_pid(h->s->postfix_queue) != 0 &&
        postfix_do(&h->pf, POSTFIX_RELOAD, &h->output, &e) != ERR_OK)
        log_event(LOG_LEVEL_WARN, "drain.not_reloaded", KV_STR("problem", e.msg));
}

/* Does what is on disk ask the table? */
static enum err_code check_asked(const struct helper *h, struct err *e)
{
    AUTO_STR char *text = NULL;
    char path[4200];
    size_t n = 0;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/main.cf", h->s->postfix_config);
    rc = file_read(path, 4 * MIB, &text, &n, e);
    if (rc == ERR_OK && strstr(text, "${config_directory}/" PLAN_DRAIN_TABLE) == NULL)
        rc = err_set(e, ERR_CONFLICT,
                     "the configuration that runs here cannot be drained: the device is not "
                     "managed, or was given it "
                     "by an older version; publish a change for it first");
    return rc;
}

enum err_code drain_begin(struct helper *h, const char *by, const char *reason, const char *command,
                          struct err *e)
{
    char path[4200], now[CLOCK_TEXT_SIZE];
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;
    enum err_code rc = check_asked(h, e);

    if (rc != ERR_OK)
        return rc;
    path_of(h, path, sizeof path);
    j = read_order(path);
    if (j == NULL) { /* drained twice is drained since the first time */
        clock_format(clock_wall_ms(), now);
        j = json_pack("{s:s,s:s,s:s,s:s}", "by", by, "reason", reason, "since", now, "command",
                      command);
    }
    text = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    path_of(h, path, sizeof path);
    rc = file_write_atomic(path, slice_of(text), 0600, e);
    crash_at("command-wanted");
    return rc == ERR_OK ? drain_ensure(h, e) : rc;
}

enum err_code drain_end(struct helper *h, struct err *e)
{
    char path[4200];
    enum err_code rc;

    path_of(h, path, sizeof path);
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", path);
    rc = file_fsync_dir(h->s->helper_state, e);
    crash_at("command-wanted");
    return rc == ERR_OK ? drain_ensure(h, e) : rc;
}

/* --- the orders --- */

/* smtpd reads a cidr table once in its life. */
static enum err_code make_known(struct order *o, struct err *e)
{
    return postfix_pid(o->h->s->postfix_queue) == 0
               ? ERR_OK
               : postfix_do(&o->h->pf, POSTFIX_RELOAD, &o->h->output, e);
}

static json_t *result_of(const struct helper *h, bool drained)
{
    static const char *const queues[] = {"incoming", "active", "deferred", "hold"};
    json_t *queue = json_object();

    for (size_t i = 0; i < COUNT_OF(queues); i++)
        (void)json_object_set_new(
            queue, queues[i],
            json_integer((json_int_t)queue_count(h->s->postfix_queue, queues[i])));
    return json_pack("{s:b,s:o}", "drained", drained, "queue", queue);
}

enum err_code order_drain(struct order *o, struct err *e)
{
    enum err_code rc = drain_begin(o->h, o->by, o->reason, o->id, e);

    if (rc == ERR_OK)
        rc = make_known(o, e);
    if (rc == ERR_OK)
        o->result = result_of(o->h, true);
    return rc;
}

enum err_code order_undrain(struct order *o, struct err *e)
{
    enum err_code rc = drain_end(o->h, e);

    if (rc == ERR_OK)
        rc = make_known(o, e);
    if (rc == ERR_OK)
        o->result = result_of(o->h, false);
    return rc;
}
