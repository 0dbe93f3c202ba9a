#include "targets/postfix_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIST_MS = 60 * 1000, CHANGE_MS = 60 * 1000, LINE_MAX_BYTES = 4 * 1024 * 1024 };

static const char *const queues[] = {"incoming", "active", "deferred", "hold"};

struct walk {
    const char *queue;
    queue_message_fn *fn;
    void *ctx;
    struct queue_listing *l;
};

static enum err_code take_line(struct walk *w, struct slice line, struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    const char *name;

    line = slice_trim(line);
    if (line.n == 0)
        return ERR_OK;
    if (line.p[0] != '{' || json_in_parse(line, LINE_MAX_BYTES, &j, NULL) != ERR_OK) {
        strbuf_add(&w->l->words, line);
        strbuf_putc(&w->l->words, '\n');
        return ERR_OK;
    }
    name = json_str(j, "queue_name", "");
    if (strcmp(w->queue, "all") != 0 && strcmp(w->queue, name) != 0)
        return ERR_OK;
    for (size_t i = 0; i < COUNT_OF(queues); i++)
        w->l->by_queue[i] += strcmp(name, queues[i]) == 0;
    w->l->messages++;
    w->l->bytes += json_int(j, "message_size", 0);
    return w->fn(w->ctx, j, e);
}

static enum err_code read_list(struct walk *w, const char *path, struct err *e)
{
    FILE *f = fopen(path, "re");
    AUTO_STR char *line = NULL;
    size_t size = 0;
    ssize_t n;
    enum err_code rc = ERR_OK;

    if (f == NULL)
        return err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    while (rc == ERR_OK && (n = getline(&line, &size, f)) > 0)
        rc = take_line(w, (struct slice){line, (size_t)n}, e);
    (void)fclose(f);
    return rc;
}

static enum err_code run_postqueue(const struct postfix *p, const char *path, struct err *e)
{
    char program[4096];
    const char *const argv[] = {program, "-c", p->s->postfix_config, "-j", NULL};
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct proc_result r = {0};
    enum err_code rc;

    (void)snprintf(program, sizeof program, "%s/postqueue", p->s->postfix_commands);
    if (fd < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    rc = proc_run_file(argv, NULL, fd, LIST_MS, &r, e);
    if (rc == ERR_OK && r.timed_out)
        rc = err_set(e, ERR_TIMEOUT, "postqueue gave no list within %d s", LIST_MS / 1000);
    else if (rc == ERR_OK && r.status != 0)
        rc = err_set(e, ERR_UNAVAILABLE, "postqueue ended with status %d", r.status);
    proc_result_clear(&r);
    return rc;
}

enum err_code queue_each(const struct postfix *p, const char *queue, const char *scratch,
                         queue_message_fn *fn, void *ctx, struct queue_listing *ret, struct err *e)
{
    struct walk w = {queue, fn, ctx, ret};
    enum err_code rc;

    *ret = (struct queue_listing){.words = STRBUF_INIT(8 * KIB)};
    rc = run_postqueue(p, scratch, e);
    if (rc == ERR_OK)
        rc = read_list(&w, scratch, e);
    (void)unlink(scratch);
    return rc;
}

/* --- changes --- */

static enum err_code note_place(void *ctx, const json_t *message, struct err *e)
{
    const char *id = json_str(message, "queue_id", "");

    return json_object_set_new(ctx, id, json_string(json_str(message, "queue_name", ""))) == 0
               ? ERR_OK
               : err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code queue_places(const struct postfix *p, const char *queue, const char *scratch,
                           json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *places = json_object();
    struct queue_listing l;
    enum err_code rc;

    if (places == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = queue_each(p, queue, scratch, note_place, places, &l, e);
    strbuf_clear(&l.words);
    if (rc == ERR_OK)
        *ret = TAKE(places);
    return rc;
}

static enum err_code run(const struct postfix *p, const char *name, const char *flag,
                         const char *value, struct slice input, struct strbuf *words, struct err *e)
{
    char program[4096];
    const char *const argv[] = {program, "-c", p->s->postfix_config, flag, value, NULL};
    struct proc_result r = {0};
    enum err_code rc;

    (void)snprintf(program, sizeof program, "%s/%s", p->s->postfix_commands, name);
    rc = proc_run(argv, NULL, input, CHANGE_MS, &r, e);
    if (rc == ERR_OK && r.output != NULL)
        strbuf_puts(words, r.output);
    if (rc == ERR_OK && r.timed_out)
        rc = err_set(e, ERR_TIMEOUT, "%s did not end within %d s", name, CHANGE_MS / 1000);
    else if (rc == ERR_OK && r.status != 0)
        rc = err_set(e, ERR_UNAVAILABLE, "%s ended with status %d: %.300s", name, r.status,
                     r.output == NULL ? "" : r.output);
    proc_result_clear(&r);
    return rc;
}

enum err_code queue_flush_all(const struct postfix *p, struct strbuf *words, struct err *e)
{
    return run(p, "postqueue", "-f", NULL, (struct slice){NULL, 0}, words, e);
}

enum err_code queue_change(const struct postfix *p, enum queue_change what, const json_t *ids,
                           struct strbuf *words, struct err *e)
{
    static const char *const flags[] = {
        [QUEUE_HOLD] = "-h", [QUEUE_RELEASE] = "-H", [QUEUE_DELETE] = "-d"};
    AUTO_STRBUF struct strbuf lines = STRBUF_INIT(16 * MIB);
    enum err_code rc = ERR_OK;
    size_t i;
    json_t *v;

    if (json_array_size(ids) == 0)
        return ERR_OK;
    json_array_foreach(ids, i, v)
    {
        if (what == QUEUE_FLUSH && rc == ERR_OK)
            rc = run(p, "postqueue", "-i", json_string_value(v), (struct slice){NULL, 0}, words, e);
        strbuf_puts(&lines, json_string_value(v));
        strbuf_putc(&lines, '\n');
    }
    if (what == QUEUE_FLUSH || rc != ERR_OK)
        return rc;
    rc = strbuf_check(&lines, e);
    return rc == ERR_OK ? run(p, "postsuper", flags[what], "-", strbuf_slice(&lines), words, e)
                        : rc;
}
