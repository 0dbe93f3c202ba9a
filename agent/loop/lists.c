#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/lists.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BUSY_MS = 1000,     /* the parent is building them */
    ASK_MS = 10 * 1000, /* longest wait for the daemon, which reads a large list meanwhile */
    ASK_AGAIN_MS = 30 * 1000,
    ASK_SOON_MS = 2000,
    LOOK_MS = 5, /* between two looks at its answer */
};

static void path_of(const struct loop *l, const char *name, char path[700])
{
    (void)snprintf(path, 700, "%s/%s", l->lists.dir, name);
}

static void path_of_file(const struct loop *l, const struct lists_file *f, char path[700])
{
    (void)snprintf(path, 700, "%s/%s.iplist", l->lists.dir, f->sha256);
}

static bool is_here(const struct loop *l, const struct lists_file *f)
{
    char path[700];
    struct stat st;

    path_of_file(l, f, path);
    return f->sha256[0] == '\0' || (stat(path, &st) == 0 && st.st_size == f->bytes);
}

/* --- fetching --- */

static void again(struct loop *l, const struct http_answer *a)
{
    struct loop_lists *x = &l->lists;
    int64_t wait = backoff_retry_after(slice_of(a->retry_after), loop_now_ms(l));

    if (a->status == 503 && wait >= 0) /* it builds them: no reason to look for another parent */
        wait = BUSY_MS;
    else
        wait = parent_react(l, a, &x->backoff);
    x->wanted = true;
    x->next = clock_mono_ms() + wait;
}

static void refuse(struct loop *l, const struct err *e)
{
    log_event(LOG_LEVEL_ERROR, "lists.refused", KV_STR("problem", e->msg));
    l->lists.wanted = true;
    l->lists.next = clock_mono_ms() + backoff_next(&l->lists.backoff);
}

/* Files that neither of the two manifests names. */
static void prune(struct loop *l, const struct lists_set *before)
{
    const struct lists_set *kept[] = {&l->lists.now, before};
    DIR *d = opendir(l->lists.dir);
    struct dirent *f;
    char path[700];

    while (d != NULL && (f = readdir(d)) != NULL) {
        size_t n = strlen(f->d_name);
        bool keep = n != 71 || strcmp(f->d_name + 64, ".iplist") != 0;
        for (size_t k = 0; k < COUNT_OF(kept); k++)
            for (int i = 0; i < LISTS_N; i++)
                keep = keep || (kept[k]->file[i].sha256[0] != '\0' &&
                                strncmp(kept[k]->file[i].sha256, f->d_name, 64) == 0);
        path_of(l, f->d_name, path);
        if (!keep)
            (void)unlink(path);
    }
    if (d != NULL)
        (void)closedir(d);
}

static void finish(struct loop *l)
{
    struct loop_lists *x = &l->lists;
    char path[700], previous[700];
    struct lists_set before = x->now;
    struct err e = {0};

    path_of(l, "manifest.jws", path);
    path_of(l, "previous.jws", previous);
    if (before.seq != x->coming.seq || before.epoch != x->coming.epoch) {
        (void)unlink(previous);
        (void)link(path, previous);
    }
    if (file_write_atomic(path, slice_of(x->manifest), 0644, &e) != ERR_OK) {
        refuse(l, &e);
        return;
    }
    x->now = x->coming;
    free(x->manifest);
    x->manifest = NULL;
    prune(l, &before);
    backoff_reset(&x->backoff);
    x->told = false;
    x->ask_next = 0;
    log_event(LOG_LEVEL_INFO, "lists.new", KV_INT("seq", x->now.seq),
              KV_INT("approved", x->now.file[0].rows), KV_INT("blocked", x->now.file[1].rows));
    loop_touch(l);
}

static void on_blob(void *ctx, struct http_answer *a);

/* The next file that is not here; all are: they are in force. */
static void go_on(struct loop *l)
{
    struct loop_lists *x = &l->lists;
    char path[128];
    struct http_req *r;

    for (int i = 0; i < LISTS_N; i++) {
        if (is_here(l, &x->coming.file[i]))
            continue;
        (void)snprintf(path, sizeof path, "/api/agent/v1/blobs/%s", x->coming.file[i].sha256);
        r = http_req_new("GET", path);
        if (r != NULL) {
            http_req_header(r, "Authorization: Bearer %s", l->parent.token);
            http_req_limits(r, PROTO_BLOB_MAX, HTTP_HEAD_MS);
        }
        x->busy = http_start(l->http, r, on_blob, l, NULL) == ERR_OK;
        if (!x->busy) {
            x->wanted = true;
            x->next = clock_mono_ms() + backoff_next(&x->backoff);
        }
        return;
    }
    finish(l);
}

static void on_blob(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct loop_lists *x = &l->lists;
    const struct lists_file *f = NULL;
    char path[700];
    struct err e = {0};

    x->busy = false;
    for (int i = LISTS_N - 1; i >= 0; i--)
        if (!is_here(l, &x->coming.file[i]))
            f = &x->coming.file[i];
    if (a->status == 404) { /* there are newer ones already */
        x->wanted = true;
        x->next = clock_mono_ms() + backoff_next(&x->backoff);
        return;
    }
    if (a->status != 200) {
        again(l, a);
        return;
    }
    parent_heard(l, a);
    if (f != NULL) {
        path_of_file(l, f, path);
        if (lists_keep(strbuf_slice(&a->body), f, path, &e) != ERR_OK) {
            refuse(l, &e);
            return;
        }
    }
    strbuf_clear(&a->body);
    if (l->parent.token == NULL) {
        x->wanted = true;
        return;
    }
    go_on(l);
}

static void on_manifest(void *ctx, struct http_answer *a)
{
    struct loop *l = ctx;
    struct loop_lists *x = &l->lists;
    struct err e = {0};

    x->busy = false;
    if (a->status != 200) {
        again(l, a);
        return;
    }
    parent_heard(l, a);
    if (lists_manifest(strbuf_slice(&a->body), l->id.trust, l->id.fleet, loop_now_ms(l), &x->now,
                       &x->coming, &e) != ERR_OK) {
        refuse(l, &e);
        return;
    }
    free(x->manifest);
    x->manifest = strbuf_take(&a->body);
    if (x->manifest == NULL || l->parent.token == NULL) {
        x->wanted = true;
        return;
    }
    go_on(l);
}

static void ask(struct loop *l)
{
    struct loop_lists *x = &l->lists;
    struct http_req *r = http_req_new("GET", "/api/agent/v1/lists");

    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", l->parent.token);
        http_req_limits(r, PROTO_LISTS_MAX, HTTP_HEAD_MS);
    }
    x->wanted = false;
    x->busy = http_start(l->http, r, on_manifest, l, NULL) == ERR_OK;
    if (!x->busy) {
        x->wanted = true;
        x->next = clock_mono_ms() + backoff_next(&x->backoff);
    }
}

bool lists_seen(struct loop *l, const char *token)
{
    struct loop_lists *x = &l->lists;

    if (token[0] == '\0' || strcmp(x->known, token) == 0)
        return false;
    text_copy(x->known, sizeof x->known, token);
    if (strcmp(x->now.token, token) == 0)
        return true;
    x->wanted = true;
    x->next = 0;
    return true;
}

/* --- the daemon --- */

static void hang_up(struct loop *l, int64_t wait_ms)
{
    struct loop_lists *x = &l->lists;

    if (x->fd >= 0)
        (void)close(x->fd);
    x->fd = -1;
    x->ask_next = clock_mono_ms() + wait_ms;
}

static void set_loaded(struct loop *l, json_t *loaded)
{
    struct loop_lists *x = &l->lists;

    if ((x->loaded == NULL) != (loaded == NULL) ||
        (loaded != NULL && !json_equal(x->loaded, loaded)))
        loop_touch(l);
    json_decref(x->loaded);
    x->loaded = loaded;
}

static json_t *file_path(const struct loop *l, const struct lists_file *f)
{
    char path[700];

    path_of_file(l, f, path);
    return f->sha256[0] == '\0' ? json_null() : json_string(path);
}

/* {"verb":"status"}, or the lists it is to have. */
static char *question(const struct loop *l, bool telling)
{
    const struct loop_lists *x = &l->lists;
    AUTO(json_free)
    json_t *j = telling ? json_pack("{s:s,s:o,s:o}", "verb", "lists", lists_names[0],
                                    file_path(l, &x->now.file[0]), lists_names[1],
                                    file_path(l, &x->now.file[1]))
                        : json_pack("{s:s}", "verb", "status");

    return j == NULL ? NULL : json_text(j, JSON_COMPACT);
}

static void call(struct loop *l, bool telling)
{
    struct loop_lists *x = &l->lists;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    AUTO_STR char *text = question(l, telling);
    AUTO_STRBUF struct strbuf line = STRBUF_INIT(4 * KIB);

    x->answer_n = 0;
    x->telling = telling;
    strbuf_puts(&line, text == NULL ? "" : text);
    strbuf_putc(&line, '\n');
    if (text == NULL || strlen(l->settings->foxproxy_control) >= sizeof at.sun_path) {
        hang_up(l, ASK_AGAIN_MS);
        return;
    }
    text_copy(at.sun_path, sizeof at.sun_path, l->settings->foxproxy_control);
    x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (x->fd < 0 || connect(x->fd, (const struct sockaddr *)&at, sizeof at) != 0 ||
        send(x->fd, line.p, line.n, MSG_NOSIGNAL) != (ssize_t)line.n) {
        hang_up(l, ASK_SOON_MS); /* it is not there, or starts */
        set_loaded(l, NULL);
        x->told = false;
        return;
    }
    x->ask_by = clock_mono_ms() + ASK_MS;
}

static const char *loaded_of(const json_t *status, const char *name)
{
    return json_str(json_object_get(json_object_get(status, "lists"), name), "sha256", "");
}

static void take_answer(struct loop *l)
{
    struct loop_lists *x = &l->lists;
    AUTO(json_free) json_t *doc = NULL;
    bool same = true, was_telling = x->telling;

    hang_up(l, ASK_AGAIN_MS);
    if (json_in_parse((struct slice){x->answer, x->answer_n}, sizeof x->answer, &doc, NULL) !=
            ERR_OK ||
        !json_bool(doc, "ok", false)) {
        log_event(LOG_LEVEL_WARN, "lists.not_taken",
                  KV_STR("problem", json_str(doc, "message", json_str(doc, "error", "no answer"))));
        return;
    }
    if (was_telling) { /* what it says that it has counts, not that it took it */
        x->ask_next = 0;
        x->told = true;
        return;
    }
    for (int i = 0; i < LISTS_N; i++)
        same = same && strcmp(loaded_of(doc, lists_names[i]), x->now.file[i].sha256) == 0;
    set_loaded(l, json_pack("{s:s,s:s}", lists_names[0], loaded_of(doc, lists_names[0]),
                            lists_names[1], loaded_of(doc, lists_names[1])));
    if (!same && !x->told)
        x->ask_next = 0;
    else
        x->told = same; /* taken, and not there: once more, but not at once */
}

static void listen_to_it(struct loop *l)
{
    struct loop_lists *x = &l->lists;
    ssize_t n = recv(x->fd, x->answer + x->answer_n, sizeof x->answer - x->answer_n, MSG_DONTWAIT);

    if (n > 0) {
        x->answer_n += (size_t)n;
        if (memchr(x->answer, '\n', x->answer_n) != NULL)
            take_answer(l);
        else if (x->answer_n == sizeof x->answer)
            hang_up(l, ASK_AGAIN_MS);
        return;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR) || clock_mono_ms() > x->ask_by)
        hang_up(l, ASK_SOON_MS);
}

/* Does it have other lists than these, as far as it said? */
static bool differs(const struct loop_lists *x)
{
    for (int i = 0; i < LISTS_N; i++)
        if (strcmp(json_str(x->loaded, lists_names[i], ""), x->now.file[i].sha256) != 0)
            return true;
    return false;
}

static void daemon_turn(struct loop *l, int64_t now)
{
    struct loop_lists *x = &l->lists;

    if (x->fd >= 0)
        listen_to_it(l);
    if (x->fd < 0 && now >= x->ask_next) /* before it said what it has it is asked */
        call(l, x->now.epoch != 0 && x->loaded != NULL && differs(x) && !x->told);
    if (x->fd >= 0)
        listen_to_it(l); /* small lists are taken at once */
    loop_wake(l, x->fd >= 0 ? clock_mono_ms() + LOOK_MS : x->ask_next);
}

/* --- the turn --- */

void lists_begin(struct loop *l)
{
    struct loop_lists *x = &l->lists;
    AUTO_STR char *text = NULL;
    char path[700];
    struct err e = {0};
    size_t n = 0;

    x->fd = -1;
    (void)snprintf(x->dir, sizeof x->dir, "%s-lists", l->settings->agent_state);
    text_copy(x->known, sizeof x->known, "0");
    path_of(l, "manifest.jws", path);
    if (file_read(path, PROTO_LISTS_MAX, &text, &n, &e) != ERR_OK)
        return;
    if (lists_manifest((struct slice){text, n}, l->id.trust, l->id.fleet, loop_now_ms(l), &x->now,
                       &x->coming, &e) != ERR_OK) {
        log_event(LOG_LEVEL_WARN, "lists.kept", KV_STR("problem", e.msg));
        return;
    }
    for (int i = 0; i < LISTS_N; i++)
        if (!is_here(l, &x->coming.file[i]))
            return; /* fetched again */
    x->now = x->coming;
    text_copy(x->known, sizeof x->known, x->now.token);
}

void lists_turn(struct loop *l)
{
    struct loop_lists *x = &l->lists;
    int64_t now = clock_mono_ms();

    if (x->wanted && !x->busy && l->parent.state == PARENT_OK && l->parent.token != NULL &&
        !parent_walks_trust(l)) {
        if (now >= x->next)
            ask(l);
        else
            loop_wake(l, x->next);
    }
    daemon_turn(l, now);
}

void lists_clear(struct loop *l)
{
    if (l->lists.fd >= 0)
        (void)close(l->lists.fd);
    l->lists.fd = -1;
    free(l->lists.manifest);
    l->lists.manifest = NULL;
    json_decref(l->lists.loaded);
    l->lists.loaded = NULL;
}

json_t *lists_report(const struct loop *l)
{
    const struct loop_lists *x = &l->lists;
    json_t *j = json_pack("{s:I,s:s,s:O?}", "seq", (json_int_t)x->now.seq, "token", x->now.token,
                          "loaded", x->loaded);

    for (int i = 0; j != NULL && i < LISTS_N; i++) {
        const struct lists_file *f = &x->now.file[i];
        json_t *one = f->sha256[0] == '\0' ? json_null()
                                           : json_pack("{s:s,s:I}", "sha256", f->sha256, "rows",
                                                       (json_int_t)f->rows);
        if (json_object_set_new(j, lists_names[i], one) != 0) {
            json_decref(j);
            return NULL;
        }
    }
    return j;
}
