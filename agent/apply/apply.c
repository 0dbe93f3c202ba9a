#include "apply/apply.h"

#include "apply/compare.h"
#include "apply/front.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "targets/mutate.h"
#include "targets/postfix_cf.h"
#include "targets/postfix_stage.h"
#include "targets/postfix_trial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const both[] = {"main.cf", "master.cf"};
enum { BACK_TRIES = 3 }; /* against somebody who writes the files while they are put back */

void apply_lkg_path(const struct agent_settings *s, const char *digest, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/lkg/%s", s->helper_state, digest);
}

bool apply_is_open(const struct helper *h)
{
    return h->j.s.phase > PHASE_STAGED;
}

enum err_code apply_current(const struct helper *h, struct arena *a, struct rendition *ret,
                            struct err *e)
{
    char dir[4200];
    enum err_code rc;

    if (!h->j.s.managed || h->j.s.n_lkg == 0)
        return err_set(e, ERR_NOT_FOUND, "this device is not managed yet: nothing was committed");
    apply_lkg_path(h->s, h->j.s.lkg[0].digest, dir, sizeof dir);
    rc = rendition_load(dir, a, ret, e);
    /* Lost, not never there: whoever compares with it must not find that nothing differs. */
    return rc == ERR_NOT_FOUND
               ? err_set(e, ERR_STORAGE,
                         "what was committed is not kept any more (\"%s\"): publish a change to "
                         "this device, and it is kept again",
                         dir)
               : rc;
}

enum err_code apply_clients(struct helper *h, struct relay_clients *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(256 * MIB);
    const struct journal_state *s = &h->j.s;
    const char *digest = apply_is_open(h)             ? s->to
                         : s->managed && s->n_lkg > 0 ? s->lkg[0].digest
                                                      : "";
    struct rendition r;
    char dir[4200];
    enum err_code rc = ERR_OK;

    if (digest[0] == '\0')
        return err_set(e, ERR_NOT_FOUND, "this device is not managed yet: nothing was committed");
    if (strcmp(h->clients_of, digest) != 0) {
        if (apply_is_open(h))
            stage_path(h->s, digest, dir, sizeof dir);
        else
            apply_lkg_path(h->s, digest, dir, sizeof dir);
        rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : rendition_load(dir, a, &r, e);
        if (rc == ERR_OK)
            rc = relay_clients_choose(r.plan, &h->clients, e);
        (void)snprintf(h->clients_of, sizeof h->clients_of, "%s", rc == ERR_OK ? digest : "");
    }
    if (rc == ERR_OK)
        *ret = h->clients;
    return rc;
}

static void live_path(const struct helper *h, const char *name, const char *suffix, char *buf,
                      size_t size)
{
    (void)snprintf(buf, size, "%s/%s%s", h->s->postfix_config, name, suffix);
}

static bool file_is(const char *path, const char *sum)
{
    AUTO_STR char *text = NULL;
    char have[SHA256_HEX_SIZE];
    size_t n;

    if (file_read(path, CF_FILE_MAX, &text, &n, NULL) != ERR_OK)
        return false;
    sha256_hex((struct slice){text, n}, have);
    return strcmp(have, sum) == 0;
}

/* --- before the journal says switching: everything that can fail for want of space or rights ---
 */

/* The files as they were: into undo/ and, the first time ever, into original/. */
static enum err_code keep_old(struct helper *h, const struct rendition *r, struct err *e)
{
    struct journal_state *s = &h->j.s;
    const char *const sums[] = {r->base_main, r->base_master};
    char path[4200], dir[4200];
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < 2 && rc == ERR_OK; i++) {
        AUTO_STR char *text = NULL;
        char have[SHA256_HEX_SIZE];
        mode_t mode;
        size_t n;
        rc = stage_read_live(h->s, both[i], &text, &n, &mode, e);
        if (rc != ERR_OK)
            return rc;
        sha256_hex((struct slice){text, n}, have);
        if (strcmp(have, sums[i]) != 0)
            return err_set(e, ERR_CONFLICT, "\"%s\" was changed after staging; stage again",
                           both[i]);
        *(i == 0 ? &s->old_main_mode : &s->old_master_mode) = mode;
        (void)snprintf(i == 0 ? s->old_main : s->old_master, DIGEST_SIZE, "%s", have);
        (void)snprintf(path, sizeof path, "%s/undo/%s", h->s->helper_state, both[i]);
        rc = file_write_atomic(path, (struct slice){text, n}, 0600, e);
        (void)snprintf(dir, sizeof dir, "%s/original", h->s->helper_state);
        (void)snprintf(path, sizeof path, "%s/%s", dir, both[i]);
        if (rc == ERR_OK && access(path, F_OK) != 0)
            rc = file_write_atomic(path, (struct slice){text, n}, 0600, e);
    }
    return rc;
}

/* Write name.inari-new beside the live file and link name.inari-old to it: both renames later need
 * no space. */
static enum err_code prepare(struct helper *h, const char *name, struct slice data, mode_t mode,
                             struct err *e)
{
    char live[4200], new[4200], old[4200];
    enum err_code rc;

    live_path(h, name, "", live, sizeof live);
    live_path(h, name, ".inari-new", new, sizeof new);
    live_path(h, name, ".inari-old", old, sizeof old);
    rc = file_write_atomic(new, data, mode, e);
    if (rc != ERR_OK)
        return rc;
    stage_cool(new);
    (void)unlink(old);
    return link(live, old) == 0 ? ERR_OK
                                : err_errno(e, ERR_STORAGE, errno, "could not link \"%s\"", old);
}

static enum err_code read_staged(const char *stage, const char *name, struct strbuf *out,
                                 struct err *e)
{
    AUTO_STR char *text = NULL;
    char path[4300];
    size_t n;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/etc/%s", stage, name);
    rc = file_read(path, CF_FILE_MAX, &text, &n, e);
    if (rc == ERR_OK)
        strbuf_add(out, (struct slice){text, n});
    return rc;
}

static enum err_code prepare_files(struct helper *h, const char *stage, struct err *e)
{
    AUTO_STRBUF struct strbuf main_cf = STRBUF_INIT((size_t)2 * CF_FILE_MAX);
    AUTO_STRBUF struct strbuf master_cf = STRBUF_INIT((size_t)2 * CF_FILE_MAX);
    const char *mutation = mutate_wanted(MUTATE_LIVE);
    bool no_main = false;
    enum err_code rc = read_staged(stage, both[0], &main_cf, e);

    if (rc == ERR_OK)
        rc = read_staged(stage, both[1], &master_cf, e);
    if (rc == ERR_OK && mutation != NULL)
        (void)mutate_apply(mutation, &main_cf, &master_cf, &no_main);
    if (rc == ERR_OK)
        rc = prepare(h, both[0], strbuf_slice(&main_cf), (mode_t)h->j.s.old_main_mode, e);
    if (rc == ERR_OK)
        rc = prepare(h, both[1], strbuf_slice(&master_cf), (mode_t)h->j.s.old_master_mode, e);
    if (rc == ERR_OK && no_main) {
        char path[4200];
        live_path(h, both[0], ".inari-new", path, sizeof path);
        (void)unlink(path);
    }
    return rc;
}

static void forget_prepared(struct helper *h)
{
    /* the second: of a write that was cut off (file_write_atomic()) */
    static const char *const suffix[] = {".inari-new", ".inari-new.inari-tmp", ".inari-old"};
    char path[4200];

    for (size_t i = 0; i < COUNT_OF(both) * COUNT_OF(suffix); i++) {
        live_path(h, both[i / COUNT_OF(suffix)], suffix[i % COUNT_OF(suffix)], path, sizeof path);
        (void)unlink(path);
    }
    front_forget(h);
}

/* The tables get their own new directory: nothing that runs looks at it before main.cf names it. */
static enum err_code place_tables(struct helper *h, const struct plan *p, const json_t *secrets,
                                  struct err *e)
{
    char path[4200];

    if (p->n_tables == 0 || p->tables_dir == NULL)
        return ERR_OK;
    live_path(h, p->tables_dir, "", path, sizeof path);
    return stage_tables(p, path, true, secrets, e);
}

/* --- the switch --- */

/* Nothing new for main.cf to name and something taken away: main.cf lets go first. */
static bool only_removes(struct helper *h, const struct rendition *r)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO_STR char *text = NULL;
    struct cf_service *v;
    size_t n, len, gone = 0, added = 0;

    if (a == NULL || stage_read_live(h->s, "master.cf", &text, &len, NULL, NULL) != ERR_OK ||
        master_cf_parse((struct slice){text, len}, a, &v, &n, NULL) != ERR_OK)
        return false;
    for (size_t i = 0; i < r->plan->n_services; i++)
        added +=
            cf_service_find(v, n, r->plan->services[i].service, r->plan->services[i].type) == NULL;
    for (size_t i = 0; i < n; i++) {
        bool stays = false;
        for (size_t j = 0; j < r->plan->n_services && !stays; j++)
            stays = strcmp(r->plan->services[j].service, v[i].name) == 0;
        gone += !stays && cf_owns_service(r->plan, v[i].name, v[i].type);
    }
    return gone > 0 && added == 0;
}

static enum err_code rename_new(struct helper *h, const char *name, struct err *e)
{
    char from[4200], to[4200];

    live_path(h, name, ".inari-new", from, sizeof from);
    live_path(h, name, "", to, sizeof to);
    if (rename(from, to) == 0)
        return file_fsync_dir(h->s->postfix_config, e);
    if (errno == ENOENT && mutate_wanted(MUTATE_LIVE) != NULL)
        return unlink(to) == 0 ? ERR_OK
                               : err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", to);
    return err_errno(e, ERR_STORAGE, errno, "could not rename to \"%s\"", to);
}

static enum err_code activate(struct helper *h, bool *restarted, struct err *e)
{
    bool runs = postfix_pid(h->s->postfix_queue) != 0;
    enum err_code rc = ERR_OK;

    *restarted = !runs || h->j.s.restart;
    if (runs && h->j.s.restart)
        rc = postfix_do(&h->pf, POSTFIX_STOP, &h->output, e);
    if (rc == ERR_OK)
        rc = postfix_do(&h->pf, *restarted ? POSTFIX_START : POSTFIX_RELOAD, &h->output, e);
    return rc;
}

/* Run what is on disk, and see that this was what is being switched to: a difference explains more
 * than what Postfix says about it. */
static enum err_code take_over(struct helper *h, const struct rendition *r, const char *stage,
                               bool *restarted, struct err *e)
{
    struct err other = {0};
    enum err_code rc = journal_phase(&h->j, PHASE_RELOADING, e);

    crash_at("reloading");
    if (rc == ERR_OK && h->j.s.restart && postfix_pid(h->s->postfix_queue) != 0) {
        rc = postfix_do(&h->pf, POSTFIX_STOP, &h->output, e);
        if (rc == ERR_OK) /* nothing delivers now: the last look before something does */
            rc = compare_live(h, r, stage, e);
    }
    if (rc == ERR_OK) {
        front_let_go(h, front_will_be(h));
        rc = activate(h, restarted, e);
    }
    if (rc == ERR_OK)
        rc = front_take(h, front_will_be(h), e);
    if (compare_live(h, r, stage, &other) == ERR_CHANGED_MEANWHILE)
        return err_set(e, ERR_CHANGED_MEANWHILE, "%s", other.msg);
    return rc;
}

static enum err_code cross_over(struct helper *h, const struct rendition *r, const char *stage,
                                bool *restarted, struct err *e)
{
    int first = h->j.s.main_first ? 0 : 1;
    enum err_code rc;

    front_hold(h);
    if (h->j.s.was_running && !h->j.s.restart) /* a stop ends the queue manager by itself */
        (void)queue_hold_begin(&h->pf, &h->hold);
    h->j.s.switched_ms = clock_wall_ms();
    rc = journal_phase(&h->j, PHASE_SWITCHING, e);

    crash_at("switching");
    if (rc == ERR_OK)
        rc = rename_new(h, both[first], e);
    crash_at("renamed");
    if (rc == ERR_OK)
        rc = rename_new(h, both[1 - first], e);
    if (rc == ERR_OK)
        rc = front_place(h, e);
    crash_at("switched");
    if (rc == ERR_OK)
        rc = compare_live(h, r, stage, e);
    mutate_live(MUTATE_RELOAD, h->s->postfix_config);
    if (rc == ERR_OK)
        rc = take_over(h, r, stage, restarted, e);
    crash_at("reloaded");
    if (rc == ERR_OK)
        rc = journal_phase(&h->j, PHASE_PROBING, e);
    if (rc == ERR_OK) {
        front_end(h);
        queue_hold_end(&h->pf, &h->hold, true);
    }
    mutate_live(MUTATE_PROBE, h->s->postfix_config);
    crash_at("probing");
    return rc;
}

static void prune_tables(struct helper *h);

static enum err_code get_ready(struct helper *h, const struct rendition *r, const char *stage,
                               const json_t *secrets, struct err *e)
{
    struct journal_state *s = &h->j.s;
    char dir[4200];
    enum err_code rc;

    (void)snprintf(dir, sizeof dir, "%s/undo", h->s->helper_state);
    rc = file_mkdirs(dir, 0700, e);
    (void)snprintf(dir, sizeof dir, "%s/original", h->s->helper_state);
    if (rc == ERR_OK)
        rc = file_mkdirs(dir, 0700, e);
    if (rc == ERR_OK)
        rc = keep_old(h, r, e);
    if (rc == ERR_OK)
        rc = place_tables(h, r->plan, secrets, e);
    if (rc == ERR_OK)
        rc = prepare_files(h, stage, e);
    if (rc == ERR_OK)
        rc = front_prepare(h, stage, r->plan, e);
    if (rc != ERR_OK) {
        forget_prepared(h);
        prune_tables(h); /* no secret stays of a change that was not made */
        return rc;
    }
    (void)snprintf(s->to, sizeof s->to, "%s", r->digest);
    (void)snprintf(s->from, sizeof s->from, "%s",
                   s->managed && s->n_lkg > 0 ? s->lkg[0].digest : "");
    s->epoch = r->epoch;
    s->rev = r->rev;
    s->pub = r->pub;
    s->restart = r->restart;
    s->main_first = only_removes(h, r);
    s->was_running = postfix_pid(h->s->postfix_queue) != 0;
    return ERR_OK;
}

enum err_code apply_switch(struct helper *h, const char *digest, const json_t *secrets,
                           bool *ret_restarted, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(256 * MIB);
    struct rendition r;
    struct err ignored;
    char stage[4200];
    bool healthy;
    enum err_code rc;

    if (apply_is_open(h))
        return err_set(e, ERR_CONFLICT,
                       "a change to %.16s is open in phase %s; commit or revert it first",
                       h->j.s.to, phase_word(h->j.s.phase));
    stage_path(h->s, digest, stage, sizeof stage);
    rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : rendition_load(stage, a, &r, e);
    if (rc != ERR_OK)
        return rc == ERR_NOT_FOUND ? err_set(e, ERR_CONFLICT, "%.16s is not staged", digest) : rc;
    if (!r.validated)
        return err_set(e, ERR_REFUSED, "%.16s was not validated", digest);
    rc = get_ready(h, &r, stage, secrets, e);
    if (rc != ERR_OK)
        return rc;
    rc = cross_over(h, &r, stage, ret_restarted, e);
    if (rc != ERR_OK && apply_revert(h, "reverted", e->msg, &healthy, &ignored) != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "apply.revert-failed", KV_STR("reason", ignored.msg));
    front_end(h);
    queue_hold_end(&h->pf, &h->hold, true);
    if (rc == ERR_CHANGED_MEANWHILE)
        h->output.n = 0; /* the difference is the reason, not what Postfix said to it */
    return rc;
}

/* --- the end of a change --- */

/* Does a directory of tables hold one that only root reads? */
static bool has_secret(const char *dir)
{
    char path[4900];
    bool found = false;
    struct dirent *f;
    struct stat st;
    DIR *d = opendir(dir);

    while (d != NULL && !found && (f = readdir(d)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        found = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) == 0;
    }
    if (d != NULL)
        (void)closedir(d);
    return found;
}

/* The tables of renderings that are neither in force nor the one before. */
static void prune_tables(struct helper *h)
{
    char dir[4200], path[4600];
    struct dirent *f;
    DIR *d;

    live_path(h, "inari", "", dir, sizeof dir);
    d = opendir(dir);
    while (d != NULL && (f = readdir(d)) != NULL) {
        bool used = f->d_name[0] == '.';
        (void)snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        /* all but a secret can be written again from the rendering */
        for (size_t i = 0; i < h->j.s.n_lkg; i++)
            used = used || (strncmp(h->j.s.lkg[i].digest, f->d_name, 16) == 0 &&
                            (i < 2 || has_secret(path)));
        if (!used)
            (void)!file_remove_tree(path, NULL);
    }
    if (d != NULL)
        (void)closedir(d);
}

static void drop_lkg(struct helper *h, const char *digest)
{
    char dir[4200];

    apply_lkg_path(h->s, digest, dir, sizeof dir);
    (void)chmod(dir, 0700);
    (void)!file_remove_tree(dir, NULL);
}

static void remember(struct helper *h)
{
    struct journal_state *s = &h->j.s;
    struct journal_entry new = {
        .epoch = s->epoch, .rev = s->rev, .pub = s->pub, .at_ms = clock_wall_ms()};
    size_t keep = (size_t)h->s->lkg_keep + 1, n = 0;
    struct journal_entry v[JOURNAL_LKG_MAX];

    memcpy(new.digest, s->to, sizeof new.digest);
    v[n++] = new;
    for (size_t i = 0; i < s->n_lkg; i++) {
        if (strcmp(s->lkg[i].digest, s->to) == 0)
            continue;
        if (n < keep && n < JOURNAL_LKG_MAX)
            v[n++] = s->lkg[i];
        else
            drop_lkg(h, s->lkg[i].digest);
    }
    memcpy(s->lkg, v, n * sizeof *v);
    s->n_lkg = n;
    s->managed = true;
}

/* The stage becomes a kept rendering: content-addressed, not written again. */
static enum err_code keep_rendering(struct helper *h, struct err *e)
{
    char stage[4200], kept[4200], parent[4200];
    enum err_code rc;

    (void)snprintf(parent, sizeof parent, "%s/lkg", h->s->helper_state);
    rc = file_mkdirs(parent, 0700, e);
    if (rc != ERR_OK)
        return rc;
    stage_path(h->s, h->j.s.to, stage, sizeof stage);
    apply_lkg_path(h->s, h->j.s.to, kept, sizeof kept);
    if (access(stage, F_OK) != 0 && access(kept, F_OK) == 0)
        return ERR_OK; /* a crash came between rename and journal */
    drop_lkg(h, h->j.s.to);
    if (rename(stage, kept) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not keep the rendering in \"%s\"", kept);
    (void)chmod(kept, 0500);
    return file_fsync_dir(parent, e);
}

static enum err_code finish_commit(struct helper *h, struct err *e)
{
    enum err_code rc = keep_rendering(h, e);

    crash_at("committing");
    if (rc != ERR_OK)
        return rc;
    remember(h);
    memset(h->after.rq.filters, 0, sizeof h->after.rq.filters); /* they may be the right ones now */
    rc = journal_end(&h->j, "committed", "", e);
    forget_prepared(h);
    prune_tables(h);
    return rc;
}

enum err_code apply_still_same(struct helper *h, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(256 * MIB);
    struct rendition r;
    char stage[4200];
    enum err_code rc;

    stage_path(h->s, h->j.s.to, stage, sizeof stage);
    rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : rendition_load(stage, a, &r, e);
    return rc == ERR_OK ? compare_live(h, &r, stage, e) : rc;
}

enum err_code apply_commit(struct helper *h, const char *digest, struct err *e)
{
    struct journal_state *s = &h->j.s;
    enum err_code rc;

    if (!apply_is_open(h) && s->managed && s->n_lkg > 0 && strcmp(s->lkg[0].digest, digest) == 0)
        return ERR_OK; /* said twice */
    if (s->phase != PHASE_PROBING || strcmp(s->to, digest) != 0)
        return err_set(e, ERR_CONFLICT, "no change to %.16s waits for its commit", digest);
    rc = apply_still_same(h, e); /* a probe sees what Postfix does, not all that it was told */
    if (rc == ERR_OK)
        rc = front_runs(h, e);
    if (rc == ERR_OK)
        rc = journal_phase(&h->j, PHASE_COMMITTING, e);
    return rc == ERR_OK ? finish_commit(h, e) : rc;
}

/* Bring one file back to what it was, by whatever way is left; needs no space when the link beside
 * it is there. */
static enum err_code put_back(struct helper *h, const char *name, const char *sum, mode_t mode,
                              struct err *e)
{
    AUTO_STR char *text = NULL;
    char live[4200], old[4200], undo[4200];
    size_t n;
    enum err_code rc;

    live_path(h, name, "", live, sizeof live);
    live_path(h, name, ".inari-old", old, sizeof old);
    if (file_is(live, sum))
        return ERR_OK;
    if (file_is(old, sum) && rename(old, live) == 0)
        return ERR_OK;
    (void)snprintf(undo, sizeof undo, "%s/undo/%s", h->s->helper_state, name);
    rc = file_read(undo, CF_FILE_MAX, &text, &n, e);
    if (rc == ERR_OK)
        rc = file_write_atomic(live, (struct slice){text, n}, mode, e);
    stage_cool(live);
    return rc;
}

/* Both files, the other way round than forward. */
static enum err_code put_both_back(struct helper *h, struct err *e)
{
    struct journal_state *s = &h->j.s;
    enum err_code rc = ERR_OK;

    for (int i = 0; i < 2 && rc == ERR_OK; i++) {
        if ((i == 0) != s->main_first)
            rc = put_back(h, "main.cf", s->old_main, (mode_t)s->old_main_mode, e);
        else
            rc = put_back(h, "master.cf", s->old_master, (mode_t)s->old_master_mode, e);
        crash_at("restored");
    }
    if (rc == ERR_OK)
        rc = front_put_back(h, e);
    return rc == ERR_OK ? file_fsync_dir(h->s->postfix_config, e) : rc;
}

static bool are_back(const struct helper *h)
{
    const char *const sums[] = {h->j.s.old_main, h->j.s.old_master};
    char path[4200];

    for (size_t i = 0; i < COUNT_OF(both); i++) {
        live_path(h, both[i], "", path, sizeof path);
        if (!file_is(path, sums[i]))
            return false;
    }
    return front_is_back(h);
}

/* Somebody else wrote them since: once more. */
static enum err_code still_back(struct helper *h, struct err *e)
{
    if (are_back(h))
        return ERR_OK;
    log_event(LOG_LEVEL_WARN, "apply.put-back-again", KV_STR("digest", h->j.s.to));
    return put_both_back(h, e);
}

/* Run the old files.  Nothing is delivered before what it was done with has been looked at: between
 * stop and start, or behind a reload, while the queue manager is held. */
static enum err_code run_old(struct helper *h, struct err *e)
{
    bool restarted = false;
    enum err_code rc = ERR_OK;

    mutate_live(MUTATE_REVERT, h->s->postfix_config);
    if (h->j.s.restart && postfix_pid(h->s->postfix_queue) != 0)
        rc = postfix_do(&h->pf, POSTFIX_STOP, &h->output, e);
    if (rc == ERR_OK && postfix_pid(h->s->postfix_queue) == 0)
        rc = still_back(h, e);
    if (rc == ERR_OK)
        rc = activate(h, &restarted, e);
    crash_at("revived");
    for (int i = 0; i < BACK_TRIES && !are_back(h); i++) { /* also why a reload was refused */
        rc = still_back(h, e);
        if (rc != ERR_OK)
            break;
        rc = postfix_do(&h->pf, POSTFIX_RELOAD, &h->output, e);
    }
    if (rc == ERR_OK && !are_back(h))
        rc = err_set(e, ERR_CHANGED_MEANWHILE,
                     "something on this host writes main.cf or master.cf again and again");
    queue_hold_end(&h->pf, &h->hold, true);
    return rc;
}

/* The public port to whom it belonged, and everybody in again: before Postfix is asked whether it
 * answers there. */
static bool take_front_back(struct helper *h)
{
    struct err e = {0};
    enum err_code rc = front_take(h, front_was(h), &e);

    if (rc != ERR_OK)
        log_event(LOG_LEVEL_ERROR, "front.not-back", KV_STR("reason", e.msg));
    front_end(h);
    return rc == ERR_OK;
}

/* Make Postfix run the old files: reload when it lives, stop and start when it does not recover by
 * that. */
static enum err_code revive(struct helper *h, bool *healthy, struct err *e)
{
    AUTO_STRBUF struct strbuf why = STRBUF_INIT(4 * KIB);
    bool front_back;
    enum err_code rc;

    *healthy = false;
    front_let_go(h, front_was(h));
    if (!h->j.s.was_running) {
        *healthy = true;
        rc = postfix_do(&h->pf, POSTFIX_STOP, &h->output, e);
        (void)take_front_back(h);
        return rc;
    }
    rc = run_old(h, e);
    front_back = take_front_back(h);
    if ((rc == ERR_OK || rc == ERR_CHANGED_MEANWHILE) && postfix_speaks(&h->pf, &why)) {
        *healthy = front_back;
        return rc;
    }
    log_event(LOG_LEVEL_WARN, "apply.restart",
              KV_STR("reason", rc == ERR_OK ? strbuf_str(&why) : e->msg));
    rc = postfix_do(&h->pf, POSTFIX_STOP, &h->output, e);
    if (rc == ERR_OK)
        rc = still_back(h, e);
    if (rc == ERR_OK)
        rc = postfix_do(&h->pf, POSTFIX_START, &h->output, e);
    *healthy = rc == ERR_OK && postfix_speaks(&h->pf, NULL) && take_front_back(h);
    return rc;
}

static enum err_code go_back(struct helper *h, const char *result, const char *reason,
                             bool *ret_healthy, struct err *e)
{
    struct journal_state *s = &h->j.s;
    struct err start_err = {0};
    enum err_code rc = put_both_back(h, e), started;

    if (rc != ERR_OK)
        return rc; /* the journal stays open: tried again at the next revert or start */
    started = revive(h, ret_healthy, &start_err);
    forget_prepared(h);
    rc = journal_end(&h->j, result, reason, e);
    if (rc == ERR_OK)
        prune_tables(h);
    if (started == ERR_OK)
        after_revert_begin(h);
    log_event(started == ERR_OK && *ret_healthy ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR,
              "apply.reverted", KV_STR("result", result), KV_STR("digest", s->last_digest),
              KV_STR("reason", reason),
              KV_STR("postfix", started != ERR_OK ? start_err.msg
                                : *ret_healthy    ? "answers"
                                                  : "does not answer"));
    return rc;
}

enum err_code apply_revert(struct helper *h, const char *result, const char *reason,
                           bool *ret_healthy, struct err *e)
{
    char kept_reason[256];
    enum err_code rc;

    (void)snprintf(kept_reason, sizeof kept_reason, "%s", reason);
    after_revert_note(h);
    rc = journal_phase(&h->j, PHASE_REVERTING, e);
    crash_at("reverting");
    if (rc == ERR_OK)
        front_hold(h);
    /* As for the change itself; within a switch that failed it is held already. */
    if (rc == ERR_OK && h->hold.guard == 0 && h->j.s.was_running && !h->j.s.restart)
        (void)queue_hold_begin(&h->pf, &h->hold);
    if (rc == ERR_OK)
        rc = go_back(h, result, kept_reason, ret_healthy, e);
    front_end(h);
    queue_hold_end(&h->pf, &h->hold, false);
    return rc;
}

enum err_code apply_recover(struct helper *h, struct err *e)
{
    char stage[4200];
    bool healthy = false;

    (void)snprintf(stage, sizeof stage, "%s/stage", h->s->helper_state);
    switch (h->j.s.phase) {
    case PHASE_NONE:
        forget_prepared(h); /* killed between the end in the journal and this */
        return file_remove_tree(stage, e);
    case PHASE_STAGED: {
        enum err_code rc = file_remove_tree(stage, e);
        forget_prepared(h);
        prune_tables(h);
        return rc == ERR_OK ? journal_end(&h->j, "dropped", "the helper ended before the switch", e)
                            : rc;
    }
    case PHASE_COMMITTING:
        log_event(LOG_LEVEL_WARN, "apply.recover", KV_STR("phase", "committing"),
                  KV_STR("digest", h->j.s.to));
        return finish_commit(h, e);
    case PHASE_SWITCHING:
    case PHASE_RELOADING:
    case PHASE_PROBING:
    case PHASE_REVERTING:
        break;
    }
    log_event(LOG_LEVEL_WARN, "apply.recover", KV_STR("phase", phase_word(h->j.s.phase)),
              KV_STR("digest", h->j.s.to));
    return apply_revert(h, "interrupted", "the helper ended in the middle of the change", &healthy,
                        e);
}
