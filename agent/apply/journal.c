#include "apply/journal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const phases[] = {"none",    "staged",     "switching", "reloading",
                                     "probing", "committing", "reverting"};

const char *phase_word(enum phase p)
{
    return phases[p];
}

static enum phase phase_of(const char *word)
{
    for (size_t i = 0; i < COUNT_OF(phases); i++)
        if (strcmp(phases[i], word) == 0)
            return (enum phase)i;
    return PHASE_NONE;
}

static json_t *to_json(const struct journal_state *s)
{
    json_t *lkg = json_array();

    for (size_t i = 0; i < s->n_lkg; i++)
        (void)json_array_append_new(
            lkg, json_pack("{s:s,s:I,s:I,s:I,s:I}", "digest", s->lkg[i].digest, "epoch",
                           (json_int_t)s->lkg[i].epoch, "rev", (json_int_t)s->lkg[i].rev, "pub",
                           (json_int_t)s->lkg[i].pub, "at", (json_int_t)s->lkg[i].at_ms));
    return json_pack(
        "{s:I,s:s,s:I,s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:I,s:I,s:b,s:b,s:b,s:o,s:b,s:s,s:s,s:s,s:s,s:I,"
        "s:I,s:I,s:I,s:s,s:s}",
        "seq", (json_int_t)s->seq, "phase", phase_word(s->phase), "at", (json_int_t)s->at_ms, "to",
        s->to, "from", s->from, "epoch", (json_int_t)s->epoch, "rev", (json_int_t)s->rev, "pub",
        (json_int_t)s->pub, "old_main", s->old_main, "old_master", s->old_master, "old_main_mode",
        (json_int_t)s->old_main_mode, "old_master_mode", (json_int_t)s->old_master_mode,
        "was_running", s->was_running, "restart", s->restart, "main_first", s->main_first, "lkg",
        lkg, "managed", s->managed, "last_result", s->last_result, "last_digest", s->last_digest,
        "last_phase", s->last_phase, "last_reason", s->last_reason, "last_at",
        (json_int_t)s->last_at_ms, "last_rev", (json_int_t)s->last_rev, "last_pub",
        (json_int_t)s->last_pub, "switched", (json_int_t)s->switched_ms, "old_front", s->old_front,
        "new_front", s->new_front);
}

#define COPY(field, name) (void)snprintf(s->field, sizeof s->field, "%s", json_str(j, name, ""))

static void from_json(const json_t *j, struct journal_state *s)
{
    const json_t *lkg = json_object_get(j, "lkg"), *one;
    size_t i;

    *s = (struct journal_state){.seq = json_int(j, "seq", 0), .at_ms = json_int(j, "at", 0)};
    s->phase = phase_of(json_str(j, "phase", "none"));
    COPY(to, "to");
    COPY(from, "from");
    COPY(old_main, "old_main");
    COPY(old_master, "old_master");
    COPY(old_front, "old_front");
    COPY(new_front, "new_front");
    COPY(last_result, "last_result");
    COPY(last_digest, "last_digest");
    COPY(last_phase, "last_phase");
    COPY(last_reason, "last_reason");
    s->epoch = json_int(j, "epoch", 0);
    s->rev = json_int(j, "rev", 0);
    s->pub = json_int(j, "pub", 0);
    s->old_main_mode = json_int(j, "old_main_mode", 0644);
    s->old_master_mode = json_int(j, "old_master_mode", 0644);
    s->was_running = json_bool(j, "was_running", false);
    s->restart = json_bool(j, "restart", false);
    s->main_first = json_bool(j, "main_first", false);
    s->managed = json_bool(j, "managed", false);
    s->last_at_ms = json_int(j, "last_at", 0);
    s->last_rev = json_int(j, "last_rev", 0);
    s->last_pub = json_int(j, "last_pub", 0);
    s->switched_ms = json_int(j, "switched", 0);
    json_array_foreach(lkg, i, one)
    {
        struct journal_entry *l = &s->lkg[s->n_lkg];
        if (s->n_lkg == JOURNAL_LKG_MAX || !digest_is_valid(json_str(one, "digest", "")))
            continue;
        (void)snprintf(l->digest, sizeof l->digest, "%s", json_str(one, "digest", ""));
        l->epoch = json_int(one, "epoch", 0);
        l->rev = json_int(one, "rev", 0);
        l->pub = json_int(one, "pub", 0);
        l->at_ms = json_int(one, "at", 0);
        s->n_lkg++;
    }
}

/* A slot: 64 digits, a blank, the JSON text, a newline, blanks to the end. */
static bool read_slot(int fd, int slot, struct journal_state *ret)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *buf = malloc(JOURNAL_SLOT + 1);
    char sum[SHA256_HEX_SIZE];
    struct slice text;
    char *end;

    if (buf == NULL || pread(fd, buf, JOURNAL_SLOT, (off_t)slot * JOURNAL_SLOT) != JOURNAL_SLOT)
        return false;
    buf[JOURNAL_SLOT] = '\0';
    end = memchr(buf, '\n', JOURNAL_SLOT);
    if (end == NULL || end - buf < 66)
        return false;
    text = (struct slice){buf + 65, (size_t)(end - buf) - 65};
    sha256_hex(text, sum);
    if (memcmp(sum, buf, 64) != 0 || json_in_parse(text, JOURNAL_SLOT, &j, NULL) != ERR_OK)
        return false;
    from_json(j, ret);
    return true;
}

enum err_code journal_write(struct journal *j, struct err *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(JOURNAL_SLOT + 1);
    uint64_t failed = json_failures();
    char sum[SHA256_HEX_SIZE];
    json_t *o;
    char *text;
    off_t at;

    j->s.seq++;
    j->s.at_ms = clock_wall_ms();
    o = to_json(&j->s);
    text = o == NULL || json_failures() != failed ? NULL : json_text(o, JSON_COMPACT);
    json_decref(o);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    sha256_hex(slice_of(text), sum);
    strbuf_printf(&b, "%s ", sum);
    strbuf_puts(&b, text);
    free(text);
    strbuf_putc(&b, '\n');
    while (strbuf_ok(&b) && b.n < JOURNAL_SLOT)
        strbuf_putc(&b, ' ');
    if (!strbuf_ok(&b) || b.n != JOURNAL_SLOT)
        return err_set(e, ERR_INTERNAL, "journal line of more than %d bytes", JOURNAL_SLOT);
    at = (off_t)(j->s.seq % 2) * JOURNAL_SLOT;
    if (pwrite(j->fd, b.p, b.n, at) != (ssize_t)b.n || fdatasync(j->fd) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not write the journal");
    return ERR_OK;
}

/* Under another name until it is whole: a helper that dies in its first second must not leave a
 * file that looks damaged. */
static enum err_code create(struct journal *j, const char *path, const char *dir, struct err *e)
{
    char new[4300];
    enum err_code rc;

    (void)snprintf(new, sizeof new, "%s.inari-tmp", path);
    (void)unlink(new);
    j->fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (j->fd < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not create \"%s\"", new);
    rc = journal_write(j, e); /* both slots: real bytes, so that later writes need no space */
    if (rc == ERR_OK)
        rc = journal_write(j, e);
    if (rc == ERR_OK)
        rc = fsync(j->fd) == 0 ? ERR_OK
                               : err_errno(e, ERR_STORAGE, errno, "could not fsync \"%s\"", new);
    if (rc == ERR_OK && rename(new, path) != 0)
        rc = err_errno(e, ERR_STORAGE, errno, "could not rename to \"%s\"", path);
    if (rc == ERR_OK)
        rc = file_fsync_dir(dir, e);
    if (rc != ERR_OK) {
        (void)unlink(new);
        journal_close(j);
    }
    return rc;
}

enum err_code journal_open(struct journal *j, const char *state_dir, struct err *e)
{
    struct journal_state s[2];
    bool ok[2];
    char path[4200];

    *j = (struct journal){.fd = -1};
    (void)snprintf(path, sizeof path, "%s/journal", state_dir);
    j->fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (j->fd < 0)
        return errno == ENOENT ? create(j, path, state_dir, e)
                               : err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
    for (int i = 0; i < 2; i++)
        ok[i] = read_slot(j->fd, i, &s[i]);
    if (!ok[0] && !ok[1]) {
        journal_close(j);
        return err_set(
            e, ERR_STORAGE,
            "\"%s\" is damaged in both slots; compare the files in \"%s/undo\" with the live "
            "ones, then remove it",
            path, state_dir);
    }
    j->s = ok[1] && (!ok[0] || s[1].seq > s[0].seq) ? s[1] : s[0];
    return ERR_OK;
}

void journal_close(struct journal *j)
{
    if (j->fd >= 0)
        (void)close(j->fd);
    j->fd = -1;
}

enum err_code journal_phase(struct journal *j, enum phase phase, struct err *e)
{
    j->s.phase = phase;
    return journal_write(j, e);
}

enum err_code journal_end(struct journal *j, const char *result, const char *reason, struct err *e)
{
    struct journal_state *s = &j->s;
    size_t n = 0;

    (void)snprintf(s->last_result, sizeof s->last_result, "%s", result);
    (void)snprintf(s->last_digest, sizeof s->last_digest, "%s", s->to);
    (void)snprintf(s->last_phase, sizeof s->last_phase, "%s", phase_word(s->phase));
    for (; *reason != '\0' && n + 1 < sizeof s->last_reason; reason++) /* one line of plain text */
        s->last_reason[n++] = *reason >= ' ' && *reason < 0x7f ? *reason : ' ';
    s->last_reason[n] = '\0';
    s->last_at_ms = clock_wall_ms();
    s->last_rev = s->rev;
    s->last_pub = s->pub;
    s->phase = PHASE_NONE;
    return journal_write(j, e);
}
