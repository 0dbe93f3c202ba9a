#include "keeping.h"

#include "apply/desired.h"
#include "base/file.h"
#include "loop/identity.h"
#include "loop/memory.h"
#include "spool/spool.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char why[400];

static const char *wrong(int acked, int found, const char *words)
{
    (void)snprintf(why, sizeof why, "%d steps were acknowledged, version %d is there (%s)", acked,
                   found, words);
    return why;
}

static bool fits(int acked, int found)
{
    return found == acked || found == acked + 1;
}

static void *folder(const char *dir, struct err *e)
{
    (void)e;
    return strdup(dir);
}

/* --- a file: base/file.h --- */

enum { PADDING = 9000 };

static enum err_code file_step(void *ctx, int v, struct err *e)
{
    char path[512], text[PADDING + 1];

    (void)memset(text, 'a' + v, PADDING);
    text[PADDING] = '\0';
    (void)snprintf(path, sizeof path, "%s/file", (const char *)ctx);
    return file_write_atomic(path, slice_of(text), 0600, e);
}

static const char *file_check(const char *dir, int acked)
{
    AUTO_STR char *text = NULL;
    char path[512];
    struct err e = {0};
    size_t n = 0;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/file", dir);
    rc = file_read(path, MIB, &text, &n, &e);
    if (rc == ERR_NOT_FOUND)
        return acked == 0 ? NULL : "the file is gone";
    if (rc != ERR_OK)
        return "the file cannot be read";
    for (size_t i = 1; i < n; i++)
        if (text[i] != text[0])
            return "a mixture";
    if (n != PADDING)
        return "not the whole file";
    return fits(acked, text[0] - 'a') ? NULL : wrong(acked, text[0] - 'a', "file");
}

/* --- the agent's memory: numbers that never come twice, bundles that never go back --- */

struct agent_memory {
    struct memory m;
    char dir[512];
};

static void *memory_open(const char *dir, struct err *e)
{
    struct agent_memory *a = calloc(1, sizeof *a);

    if (a == NULL)
        return NULL;
    (void)snprintf(a->dir, sizeof a->dir, "%s", dir);
    if (memory_load(a->dir, &a->m, e) == ERR_OK)
        return a;
    free(a);
    return NULL;
}

static void memory_close(void *ctx)
{
    struct agent_memory *a = ctx;

    memory_clear(&a->m);
    free(a);
}

/* Step v finds all numbers before its block used up. */
static enum err_code seq_step(void *ctx, int v, struct err *e)
{
    struct agent_memory *a = ctx;
    int64_t seq = 0;

    a->m.seq = a->m.seq_end = (int64_t)(v - 1) * MEMORY_SEQ_BLOCK + 1;
    return memory_next_seq(&a->m, &seq, e);
}

static const char *seq_check(const char *dir, int acked)
{
    struct memory m = {0};
    struct err e = {0};
    int64_t next;

    if (memory_load(dir, &m, &e) != ERR_OK)
        return "the agent's memory cannot be read";
    next = m.seq;
    memory_clear(&m);
    return acked > 0 && next <= (int64_t)(acked - 1) * MEMORY_SEQ_BLOCK + 1
               ? wrong(acked, (int)next, "a sequence number would come twice")
               : NULL;
}

static enum err_code bundle_step(void *ctx, int v, struct err *e)
{
    struct agent_memory *a = ctx;
    struct bundle b = {.epoch = 1, .rev = v, .pub = v, .jti = "j", .digest = DIGEST};
    char text[6000];

    (void)memset(text, ' ', sizeof text);
    (void)snprintf(text, sizeof text - 1, "%06d", v);
    text[6] = ' ';
    text[sizeof text - 1] = '\0';
    (void)snprintf(b.etag, sizeof b.etag, "%d", v);
    return memory_keep_bundle(&a->m, slice_of(text), &b, e);
}

static const char *bundle_check(const char *dir, int acked)
{
    AUTO_STR char *text = NULL;
    struct memory m = {0};
    struct err e = {0};
    size_t n = 0;
    int rev, kept;

    if (memory_load(dir, &m, &e) != ERR_OK)
        return "the agent's memory cannot be read";
    rev = (int)m.rev;
    kept = memory_read_bundle(&m, &text, &n, &e) == ERR_OK ? atoi(text) : 0;
    memory_clear(&m);
    if (!fits(acked, rev))
        return wrong(acked, rev, "remembered");
    if (text != NULL && n != 5999)
        return "not the whole bundle";
    return kept == rev || kept == rev + 1 ? NULL
                                          : wrong(rev, kept, "bundle beside what is remembered");
}

/* --- who the device is --- */

/* The first step makes the pending keys and writes down which; they must be the same ever after. */
static enum err_code identity_step(void *ctx, int v, struct err *e)
{
    struct jose_key *sig = NULL, *enc = NULL;
    char path[512], kid[200];
    enum err_code rc = identity_pending_keys(ctx, &sig, &enc, e);

    (void)v;
    (void)snprintf(path, sizeof path, "%s/kid", (const char *)ctx);
    if (rc == ERR_OK && access(path, F_OK) != 0) {
        (void)snprintf(kid, sizeof kid, "%s %s", jose_key_kid(sig), jose_key_kid(enc));
        rc = file_write_atomic(path, slice_of(kid), 0600, e);
    }
    jose_key_free(sig);
    jose_key_free(enc);
    return rc;
}

static const char *identity_check(const char *dir, int acked)
{
    struct jose_key *sig = NULL, *enc = NULL;
    AUTO_STR char *text = NULL;
    char path[512], kid[200] = "";
    struct err e = {0};

    (void)snprintf(path, sizeof path, "%s/kid", dir);
    if (identity_pending_keys(dir, &sig, &enc, &e) != ERR_OK)
        return "the keys of the enrolment cannot be read";
    (void)snprintf(kid, sizeof kid, "%s %s", jose_key_kid(sig), jose_key_kid(enc));
    jose_key_free(sig);
    jose_key_free(enc);
    if (file_read(path, KIB, &text, NULL, &e) != ERR_OK)
        return acked == 0 ? NULL : "what was written before is gone";
    return strcmp(text, kid) == 0 ? NULL : "other keys than before";
}

/* --- the helper's journal --- */

static void *journal_begin(const char *dir, struct err *e)
{
    struct journal *j = calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    if (journal_open(j, dir, e) == ERR_OK)
        return j;
    free(j);
    return NULL;
}

static void journal_done(void *ctx)
{
    journal_close(ctx);
    free(ctx);
}

static enum err_code journal_step(void *ctx, int v, struct err *e)
{
    struct journal *j = ctx;

    j->s.rev = v;
    (void)snprintf(j->s.to, sizeof j->s.to, "%s", DIGEST);
    j->s.n_lkg = 1;
    (void)snprintf(j->s.lkg[0].digest, DIGEST_SIZE, "%s", DIGEST);
    j->s.lkg[0].rev = v;
    return journal_phase(j, PHASE_SWITCHING, e);
}

static const char *journal_check(const char *dir, int acked)
{
    struct journal j;
    struct err e = {0};
    int rev, kept;

    if (journal_open(&j, dir, &e) != ERR_OK) {
        (void)snprintf(why, sizeof why, "the journal does not open: %s", e.msg);
        return why;
    }
    rev = (int)j.s.rev;
    kept = j.s.n_lkg == 0 ? 0 : (int)j.s.lkg[0].rev;
    journal_close(&j);
    if (kept != rev)
        return wrong(rev, kept, "what is in force is missing in the journal");
    return fits(acked, rev) ? NULL : wrong(acked, rev, "journal");
}

/* --- what is wanted of the services --- */

struct wanted {
    struct agent_settings s;
    struct helper h;
};

static void *wanted_open(const char *dir, struct err *e)
{
    struct wanted *w = calloc(1, sizeof *w);

    (void)e;
    if (w == NULL || (w->s.helper_state = strdup(dir)) == NULL) {
        free(w);
        return NULL;
    }
    w->h.s = &w->s;
    return w;
}

static void wanted_close(void *ctx)
{
    struct wanted *w = ctx;

    free(w->s.helper_state);
    free(w);
}

/* Every third: to run again; the others stop it, with the step as the command. */
static enum err_code wanted_step(void *ctx, int v, struct err *e)
{
    struct wanted *w = ctx;
    char id[8];

    (void)snprintf(id, sizeof id, "%d", v);
    return v % 3 != 0 ? desired_stop(&w->h, "anna", "disk", id, e) : desired_run(&w->h, e);
}

static bool wanted_is(const json_t *j, int v)
{
    if (v % 3 == 0)
        return strcmp(json_str(j, "state", ""), "running") == 0;
    return strcmp(json_str(j, "state", ""), "stopped") == 0 &&
           atoi(json_str(j, "command", "0")) == v;
}

static const char *wanted_check(const char *dir, int acked)
{
    struct wanted *w = wanted_open(dir, NULL);
    AUTO(json_free) json_t *j = NULL;

    if (w == NULL)
        return "out of memory";
    j = desired_read(&w->h);
    wanted_close(w);
    return wanted_is(j, acked) || wanted_is(j, acked + 1)
               ? NULL
               : wrong(acked, atoi(json_str(j, "command", "0")), json_str(j, "state", ""));
}

/* --- the event spool: what a sync covered is all there, once, in order; with its mark --- */

enum { SPOOL_STEP = 3 }; /* records a step; their source is their number, so the mark is the step */

struct spool_pair {
    struct spool_writer *w;
    struct spool_reader *r;
    uint64_t seen;
};

static void spool_done(void *ctx)
{
    struct spool_pair *p = ctx;

    spool_writer_close(p->w);
    spool_reader_close(p->r);
    free(p);
}

/* Segments so small that each step or two begins one, and the reader removes some. */
static void *spool_begin(const char *dir, struct err *e)
{
    static const struct spool_limits small = {.segment_bytes = 512, .keep_free = 1};
    struct spool_pair *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    if (spool_writer_open(dir, &small, &p->w, e) == ERR_OK &&
        spool_reader_open(dir, &p->r, e) == ERR_OK)
        return p;
    spool_done(p);
    return NULL;
}

static bool spool_each(void *ctx, uint64_t seq, struct slice payload)
{
    uint64_t *last = ctx;
    char want[32];

    (void)snprintf(want, sizeof want, "record %" PRIu64, seq);
    if (seq != *last + 1 || !slice_is(payload, want))
        return false;
    *last = seq;
    return true;
}

static enum err_code spool_step(void *ctx, int v, struct err *e)
{
    struct spool_pair *p = ctx;
    struct spool_batch b = {0};
    enum err_code rc = ERR_OK;
    uint64_t last;
    char text[32];

    while (rc == ERR_OK && spool_last(p->w) < (uint64_t)v * SPOOL_STEP) {
        (void)snprintf(text, sizeof text, "record %" PRIu64, spool_last(p->w) + 1);
        rc = spool_append(p->w, slice_of(text), e);
    }
    (void)snprintf(text, sizeof text, "%d", v);
    if (rc == ERR_OK)
        rc = spool_sync(p->w, slice_of(text), e);
    if (rc != ERR_OK || v % 3 == 0)
        return rc; /* every third waits for the next */
    last = spool_acked(p->r);
    rc = spool_next(p->r, last, 1000, MIB, spool_each, &last, &b, e);
    if (rc == ERR_OK && b.last != (uint64_t)v * SPOOL_STEP)
        return err_set(e, ERR_INTERNAL, "not all records are handed out");
    return rc == ERR_OK ? spool_ack(p->r, b.first, b.last, e) : rc;
}

static const char *spool_check(const char *dir, int acked)
{
    struct spool_view view;
    struct err e = {0};
    uint64_t last;
    int mark;

    if (spool_look(dir, &view, &e) != ERR_OK)
        return acked == 0 ? NULL : e.msg;
    view.mark[view.mark_n] = '\0';
    mark = atoi(view.mark);
    last = view.acked;
    if (view.dropped != 0 || view.last != (uint64_t)mark * SPOOL_STEP)
        return wrong(acked, (int)view.last, "last record");
    if (spool_show(dir, 1000, spool_each, &last, &e) != ERR_OK || last != view.last)
        return wrong(acked, (int)last, "not all records are there, once, in order");
    return fits(acked, mark) ? NULL : wrong(acked, mark, "mark");
}

/* Does its writer live (test_fault_calls)? */
static bool spool_is_held(const char *dir)
{
    char path[512];
    bool held = false;
    AUTO_FD int fd = -1;

    (void)snprintf(path, sizeof path, "%s/writer.lock", dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        held = flock(fd, LOCK_EX | LOCK_NB) != 0;
    return held;
}

/* After a death: what a program that starts sees, and that both sides go on. */
static const char *spool_check_open(const char *dir, int acked)
{
    const char *fault = spool_check(dir, acked);
    struct spool_pair *p;
    struct err e = {0};
    int next;

    if (fault != NULL || spool_is_held(dir))
        return fault;
    p = spool_begin(dir, &e);
    if (p == NULL)
        return "the spool does not open";
    next = (int)(spool_last(p->w) / SPOOL_STEP) + 1;
    next += next % 3 == 0; /* one that is handed out and acknowledged */
    fault = spool_step(p, next, &e) == ERR_OK ? NULL : "the spool does not go on";
    spool_done(p);
    return fault != NULL ? fault : spool_check(dir, next);
}

const struct keeping keepings[] = {
    {"file", folder, file_step, free, file_check},
    {"sequence", memory_open, seq_step, memory_close, seq_check},
    {"bundle", memory_open, bundle_step, memory_close, bundle_check},
    {"identity", folder, identity_step, free, identity_check},
    {"journal", journal_begin, journal_step, journal_done, journal_check},
    {"wanted", wanted_open, wanted_step, wanted_close, wanted_check},
    {"spool", spool_begin, spool_step, spool_done, spool_check_open},
};
const size_t n_keepings = COUNT_OF(keepings);
