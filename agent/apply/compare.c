#include "apply/compare.h"

#include "apply/front.h"
#include "base/file.h"
#include "targets/postfix_cf.h"
#include "targets/secret_table.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_SHOWN = 100, LINE_BEFORE = 60 };

/* The line of text around byte at, made printable; of a long one the part that matters. */
static void show_line(struct slice text, size_t at, char *buf, size_t size)
{
    size_t start = at < text.n ? at : text.n, n = 0;

    while (start > 0 && text.p[start - 1] != '\n')
        start--;
    if (at - start > LINE_BEFORE) {
        start = at - LINE_BEFORE;
        n = (size_t)snprintf(buf, size, "...");
    }
    for (size_t i = start; i < text.n && text.p[i] != '\n' && n + 1 < size; i++)
        buf[n++] = text.p[i] >= ' ' && text.p[i] < 0x7f ? text.p[i] : '?';
    buf[n] = '\0';
}

static enum err_code differs(const char *path, struct slice want, struct slice found, struct err *e)
{
    size_t at = 0, line = 1;
    char a[LINE_SHOWN + 1], b[LINE_SHOWN + 1];

    while (at < want.n && at < found.n && want.p[at] == found.p[at]) {
        line += want.p[at] == '\n';
        at++;
    }
    show_line(found, at, a, sizeof a);
    show_line(want, at, b, sizeof b);
    return err_set(e, ERR_CHANGED_MEANWHILE,
                   "\"%s\" is not what was validated: line %zu is \"%s\", not \"%s\"", path, line,
                   at == found.n && a[0] == '\0' ? "(end of file)" : a,
                   at == want.n && b[0] == '\0' ? "(end of file)" : b);
}

/* Owner and mode decide who else may write it and whether Postfix may read it. */
static enum err_code check_inode(const char *path, mode_t mode, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? err_set(e, ERR_CHANGED_MEANWHILE, "\"%s\" is gone", path)
                               : err_errno(e, ERR_STORAGE, errno, "could not look at \"%s\"", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_CHANGED_MEANWHILE, "\"%s\" is no longer a regular file", path);
    if (st.st_uid != geteuid() || (st.st_mode & 07777) != mode)
        return err_set(e, ERR_CHANGED_MEANWHILE,
                       "\"%s\" belongs to user %u with mode %04o, not to user %u with mode %04o",
                       path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777),
                       (unsigned)geteuid(), (unsigned)mode);
    return ERR_OK;
}

/* What was found is the trace of who wrote it, and putting the old file back would end it. */
static void keep_found(const struct helper *h, const char *name, struct slice text)
{
    const char *base = strrchr(name, '/');
    char path[4400];

    (void)snprintf(path, sizeof path, "%s/found", h->s->helper_state);
    if (file_mkdirs(path, 0700, NULL) != ERR_OK)
        return;
    (void)snprintf(path, sizeof path, "%s/found/%s", h->s->helper_state,
                   base == NULL ? name : base + 1);
    (void)!file_write_atomic(path, text, 0600, NULL);
}

static enum err_code compare_file(const struct helper *h, const char *stage, const char *name,
                                  size_t max, mode_t mode, struct err *e)
{
    AUTO_STR char *want = NULL;
    AUTO_STR char *found = NULL;
    char live[4400], staged[4400];
    size_t n_want, n_found;
    enum err_code rc;

    (void)snprintf(live, sizeof live, "%s/%s", h->s->postfix_config, name);
    (void)snprintf(staged, sizeof staged, "%s/etc/%s", stage, name);
    rc = check_inode(live, mode, e);
    if (rc == ERR_OK)
        rc = file_read(staged, max, &want, &n_want, e);
    if (rc == ERR_OK)
        rc = file_read(live, max, &found, &n_found, e);
    if (rc != ERR_OK)
        return rc;
    if (n_want == n_found && memcmp(want, found, n_want) == 0)
        return ERR_OK;
    keep_found(h, name, (struct slice){found, n_found});
    return differs(live, (struct slice){want, n_want}, (struct slice){found, n_found}, e);
}

/* Neither of the two is shown or kept. */
static enum err_code compare_secret(const struct helper *h, const char *name,
                                    const struct plan_table *t, struct err *e)
{
    char live[4400];
    enum err_code rc;

    (void)snprintf(live, sizeof live, "%s/%s", h->s->postfix_config, name);
    rc = check_inode(live, 0600, e);
    if (rc == ERR_OK && !secret_table_ok(live, t))
        rc = err_set(e, ERR_CHANGED_MEANWHILE, "\"%s\" is not what was written there", live);
    return rc;
}

enum err_code compare_live(const struct helper *h, const struct rendition *r, const char *stage,
                           struct err *e)
{
    const struct plan *p = r->plan;
    char name[512];
    enum err_code rc =
        compare_file(h, stage, "main.cf", (size_t)2 * CF_FILE_MAX, (mode_t)h->j.s.old_main_mode, e);

    if (rc == ERR_OK)
        rc = compare_file(h, stage, "master.cf", (size_t)2 * CF_FILE_MAX,
                          (mode_t)h->j.s.old_master_mode, e);
    for (size_t i = 0; i < p->n_tables && p->tables_dir != NULL && rc == ERR_OK; i++) {
        (void)snprintf(name, sizeof name, "%s/%s", p->tables_dir, p->tables[i].name);
        rc = p->tables[i].secret ? compare_secret(h, name, &p->tables[i], e)
                                 : compare_file(h, stage, name, REND_MANIFEST_MAX, 0644, e);
    }
    return rc == ERR_OK ? front_compare(h, p, stage, e) : rc;
}
