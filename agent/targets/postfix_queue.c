#include "targets/postfix_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIST_MS = 60 * 1000, LINE_MAX_BYTES = 4 * 1024 * 1024 };

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
