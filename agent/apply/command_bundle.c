/* The debug bundle: configuration, state and logs of this host as a tar archive, every text without
 * its secrets, encrypted to the key of the one who asked before a byte of it is written anywhere.
 */
#include "apply/command.h"

#include "apply/desired.h"
#include "apply/scrub.h"
#include "apply/tar.h"
#include "base/clock.h"
#include "base/file.h"
#include "jose/jose.h"
#include "targets/queue_age.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUNDLE_MAX = 24 * 1024 * 1024,
    FILE_MAX = 1024 * 1024,
    TABLE_MAX = 256 * 1024,
    LOG_MAX = 2 * 1024 * 1024,
    RUN_MS = 15000,
    TABLES_MAX = 64,
};

struct bundle {
    struct order *o;
    struct strbuf tar;
    int64_t now_s, files;
};

static void add(struct bundle *b, const char *name, struct slice text)
{
    AUTO_STRBUF struct strbuf clean = STRBUF_INIT(2 * LOG_MAX);

    scrub(text, &clean);
    tar_add(&b->tar, name, strbuf_slice(&clean), b->now_s);
    b->files++;
}

static void add_json(struct bundle *b, const char *name, json_t *j) /* steals */
{
    AUTO_STR char *text = j == NULL ? NULL : json_text(j, JSON_INDENT(1) | JSON_SORT_KEYS);

    json_decref(j);
    if (text != NULL)
        add(b, name, slice_of(text));
}

static void add_file(struct bundle *b, const char *name, const char *path, size_t max)
{
    AUTO_STR char *text = NULL;
    struct err e = {0};
    size_t n = 0;

    if (file_read(path, max, &text, &n, &e) == ERR_OK)
        add(b, name, (struct slice){text, n});
    else
        add(b, name, slice_of(e.msg));
}

/* The end of a file that only grows. */
static void add_tail(struct bundle *b, const char *name, const char *path)
{
    AUTO_STR char *text = malloc(LOG_MAX);
    AUTO_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    ssize_t n;

    if (text == NULL || fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    n = pread(fd, text, LOG_MAX, st.st_size > LOG_MAX ? st.st_size - LOG_MAX : 0);
    if (n > 0)
        add(b, name, (struct slice){text, (size_t)n});
}

static void add_run(struct bundle *b, const char *name, const char *const argv[])
{
    struct proc_result r = {0};
    struct err e = {0};

    if (proc_run(argv, NULL, (struct slice){NULL, 0}, RUN_MS, &r, &e) == ERR_OK)
        add(b, name, slice_of(r.output));
    else
        add(b, name, slice_of(e.msg));
    proc_result_clear(&r);
}

static void add_tables(struct bundle *b, const char *dir, const char *under, int depth, int *left)
{
    char path[4600], name[100];
    struct dirent *f;
    struct stat st;
    DIR *d = opendir(dir);

    while (d != NULL && *left > 0 && (f = readdir(d)) != NULL) {
        if (f->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        (void)snprintf(name, sizeof name, "%s/%s", under, f->d_name);
        if (lstat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth > 0) {
            add_tables(b, path, name, depth - 1, left);
        } else if (S_ISREG(st.st_mode) && (st.st_mode & 077) == 0) {
            add(b, name, slice_of("[removed: a file that only root reads]\n"));
            (*left)--;
        } else if (S_ISREG(st.st_mode)) {
            add_file(b, name, path, TABLE_MAX);
            (*left)--;
        }
    }
    if (d != NULL)
        (void)closedir(d);
}

static void add_configuration(struct bundle *b)
{
    const struct agent_settings *s = b->o->h->s;
    char path[4600], postconf[4200];
    const char *const n[] = {postconf, "-c", s->postfix_config, "-n", NULL};
    const char *const m[] = {postconf, "-c", s->postfix_config, "-M", NULL};
    const char *const p[] = {postconf, "-c", s->postfix_config, "-P", NULL};
    int left = TABLES_MAX;

    (void)snprintf(postconf, sizeof postconf, "%s/postconf", s->postfix_commands);
    (void)snprintf(path, sizeof path, "%s/main.cf", s->postfix_config);
    add_file(b, "postfix/main.cf", path, FILE_MAX);
    (void)snprintf(path, sizeof path, "%s/master.cf", s->postfix_config);
    add_file(b, "postfix/master.cf", path, FILE_MAX);
    add_run(b, "postfix/postconf-n.txt", n);
    add_run(b, "postfix/postconf-M.txt", m);
    add_run(b, "postfix/postconf-P.txt", p);
    (void)snprintf(path, sizeof path, "%s/inari", s->postfix_config);
    add_tables(b, path, "postfix/inari", 1, &left);
    add_file(b, "inari/agent.conf", AGENT_CONF_DEFAULT, FILE_MAX);
}

static void add_state(struct bundle *b)
{
    static const char *const queues[] = {"incoming", "active", "deferred", "hold"};
    struct helper *h = b->o->h;
    json_t *queue = json_object();

    for (size_t i = 0; i < COUNT_OF(queues); i++)
        (void)json_object_set_new(
            queue, queues[i],
            json_integer((json_int_t)queue_count(h->s->postfix_queue, queues[i])));
    add_json(b, "inari/helper.json",
             json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:o,s:o}", "version", INARI_VERSION, "postfix",
                       h->pf.version, "phase", phase_word(h->j.s.phase), "last_result",
                       h->j.s.last_result, "last_digest", h->j.s.last_digest, "last_reason",
                       h->j.s.last_reason, "managed", h->j.s.managed, "queue", queue, "desired",
                       desired_read(h)));
    if (b->o->status != NULL)
        add_json(b, "inari/status.json", json_incref((json_t *)(uintptr_t)b->o->status));
    add_file(b, "host/os-release", "/etc/os-release", FILE_MAX);
}

static void add_logs(struct bundle *b)
{
    static const char *const journal[] = {"/usr/bin/journalctl",
                                          "--no-pager",
                                          "-q",
                                          "-n",
                                          "2000",
                                          "-u",
                                          "inari-agent.service",
                                          "-u",
                                          "inari-helper.service",
                                          "-u",
                                          "postfix*",
                                          NULL};

    if (access("/run/systemd/system", F_OK) == 0)
        add_run(b, "logs/journal.txt", journal);
    add_tail(b, "logs/mail.log", b->o->h->s->postfix_log);
}

enum err_code order_debug_bundle(struct order *o, struct err *e)
{
    struct bundle b = {.o = o, .tar = STRBUF_INIT(BUNDLE_MAX), .now_s = clock_wall_s()};
    AUTO(jose_key_free) struct jose_key *to = NULL;
    AUTO_STR char *text = NULL;
    int64_t bytes;
    enum err_code rc = jose_key_from_jwk(o->args.key, &to, e);

    if (rc != ERR_OK)
        return rc;
    add_configuration(&b);
    add_state(&b);
    add_logs(&b);
    tar_end(&b.tar);
    bytes = (int64_t)b.tar.n;
    rc = strbuf_check(&b.tar, e);
    if (rc == ERR_OK)
        rc = jose_jwe_encrypt(to, strbuf_slice(&b.tar), &text, e);
    strbuf_clear(&b.tar);
    if (rc == ERR_OK)
        rc = order_say(o, slice_of(text), e);
    if (rc == ERR_OK)
        o->result = json_pack("{s:I,s:I,s:s}", "files", (json_int_t)b.files, "bytes",
                              (json_int_t)bytes, "kid", jose_key_kid(to));
    return rc;
}
