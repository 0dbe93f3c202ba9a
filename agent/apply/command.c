#include "apply/command.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/rand.h"
#include "targets/mutate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEEP_S = 30 * 86400, JOURNAL_MAX = 4 * 1024 * 1024, PIECE = 96 * 1024 };

void order_clear(struct order *o)
{
    json_decref(o->target);
    json_decref(o->result);
    if (o->out >= 0)
        (void)close(o->out);
    o->out = -1;
    o->target = o->result = NULL;
}

void order_path(const struct helper *h, const char *id, const char *suffix, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/commands/%s%s", h->s->helper_state, id, suffix);
}

/* --- the journal --- */

static enum err_code write_down(struct order *o, const char *phase, enum err_code rc,
                                const struct err *why, struct err *e)
{
    AUTO(json_free)
    json_t *j = json_pack("{s:s,s:s,s:s,s:O,s:O?,s:I,s:s,s:s,s:I}", "id", o->id, "kind",
                          command_kind_names[o->args.kind], "phase", phase, "target", o->target,
                          "result", o->result, "output_bytes", (json_int_t)o->out_n, "error",
                          rc == ERR_OK ? "" : err_word(rc), "message", rc == ERR_OK ? "" : why->msg,
                          "at", (json_int_t)clock_wall_ms());
    AUTO_STR char *text = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    char path[4200];

    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    order_path(o->h, o->id, ".json", path, sizeof path);
    return file_write_atomic(path, slice_of(text), 0600, e);
}

enum err_code order_keep(struct order *o, struct err *e)
{
    return write_down(o, "started", ERR_OK, NULL, e);
}

static enum err_code read_back(const struct helper *h, const char *id, json_t **ret, struct err *e)
{
    AUTO_STR char *text = NULL;
    char path[4200];
    size_t n = 0;
    enum err_code rc;

    order_path(h, id, ".json", path, sizeof path);
    rc = file_read(path, JOURNAL_MAX, &text, &n, e);
    return rc == ERR_OK ? json_in_parse((struct slice){text, n}, JOURNAL_MAX, ret, e) : rc;
}

/* Commands of a month ago: the parent does not ask for them any more. */
static void forget_old(const struct helper *h)
{
    char dir[4200], path[4600];
    struct dirent *f;
    struct stat st;
    DIR *d;

    (void)snprintf(dir, sizeof dir, "%s/commands", h->s->helper_state);
    d = opendir(dir);
    while (d != NULL && (f = readdir(d)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        if (f->d_name[0] != '.' && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
            clock_wall_s() - st.st_mtime > KEEP_S)
            (void)unlink(path);
    }
    if (d != NULL)
        (void)closedir(d);
}

/* --- output --- */

static enum err_code open_output(struct order *o, struct err *e)
{
    char path[4200];

    order_path(o->h, o->id, ".out", path, sizeof path);
    o->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    o->out_n = 0;
    return o->out >= 0 ? ERR_OK : err_errno(e, ERR_STORAGE, errno, "could not open \"%s\"", path);
}

enum err_code order_say(struct order *o, struct slice text, struct err *e)
{
    if (o->out_n + (int64_t)text.n > COMMAND_OUTPUT_MAX)
        return ERR_OK;
    while (text.n > 0) {
        ssize_t n = write(o->out, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, ERR_STORAGE, errno, "could not write the output of the command");
        text = (struct slice){text.p + n, text.n - (size_t)n};
        o->out_n += n;
    }
    return ERR_OK;
}

/* --- the verbs --- */

static order_fn *const doers[] = {
    [COMMAND_SELF_CHECK] = order_self_check,
    [COMMAND_QUEUE_SHOW] = order_queue_show,
    [COMMAND_QUEUE_FLUSH] = order_queue_change,
    [COMMAND_QUEUE_HOLD] = order_queue_change,
    [COMMAND_QUEUE_RELEASE] = order_queue_change,
    [COMMAND_QUEUE_DELETE] = order_queue_change,
    [COMMAND_SERVICE_START] = order_service_start,
    [COMMAND_SERVICE_STOP] = order_service_stop,
    [COMMAND_SERVICE_RESTART] = order_service_restart,
    [COMMAND_TEST_MESSAGE] = order_test_message,
    [COMMAND_DEBUG_BUNDLE] = order_debug_bundle,
    [COMMAND_DRAIN] = order_drain,
    [COMMAND_UNDRAIN] = order_undrain,
    [COMMAND_DRY_RUN] =
        NULL, /* the agent's: stage, validate and trial_stop are verbs of their own */
};

struct asked {
    const char *id, *by, *reason;
    json_t *args, *status;
    int kind;
};

static enum err_code decode(const json_t *request, struct asked *a, struct order *o, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_UUID(struct asked, id, JD_REQUIRED),
        JDEC_ENUM(struct asked, kind, JD_REQUIRED, command_kind_names),
        JDEC_OBJECT(struct asked, args, 0),
        JDEC_STR(struct asked, by, 0, 0, 200),
        JDEC_STR(struct asked, reason, 0, 0, 500),
        JDEC_OBJECT(struct asked, status, JD_NULL_OK),
        JDEC_END,
    };
    enum err_code rc = jdec_object(request, fields, JD_ALLOW_UNKNOWN, "", a, e);

    if (rc == ERR_OK && a->kind == COMMAND_ROTATE_KEY)
        rc = err_field(e, ERR_INVALID, "/kind", "the agent's key is the agent's own affair");
    if (rc == ERR_OK && doers[a->kind] == NULL)
        rc = err_field(e, ERR_INVALID, "/kind", "this order is not the helper's to carry out");
    if (rc == ERR_OK)
        rc = command_args_read((enum command_kind)a->kind, a->args, "/args", &o->args, e);
    o->id = a->id;
    o->by = a->by;
    o->reason = a->reason;
    o->status = a->status;
    return rc;
}

static enum err_code begin(struct order *o, const json_t *kept, struct err *e)
{
    char dir[4200];
    enum err_code rc;

    (void)snprintf(dir, sizeof dir, "%s/commands", o->h->s->helper_state);
    rc = file_mkdirs(dir, 0700, e);
    o->again = kept != NULL;
    o->target = kept != NULL && json_is_object(json_object_get(kept, "target"))
                    ? json_incref(json_object_get(kept, "target"))
                    : json_object();
    if (rc == ERR_OK && o->target == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK)
        rc = open_output(o, e);
    if (rc == ERR_OK && kept == NULL) {
        forget_old(o->h);
        rc = order_keep(o, e);
    }
    return rc;
}

/* Do it and write down how it ended; an answer only after that. */
static enum err_code carry_out(struct order *o, struct err *e)
{
    struct err why = {0};
    enum err_code done;

    crash_at("command-begun");
    done = doers[o->args.kind](o, &why);
    crash_at("command-done");
    if (o->out >= 0 && fsync(o->out) != 0)
        return err_errno(e, ERR_STORAGE, errno, "could not write the output of the command");
    log_event(LOG_LEVEL_INFO, "command.done", KV_STR("command", o->id),
              KV_STR("kind", command_kind_names[o->args.kind]),
              KV_STR("result", done == ERR_OK ? "done" : err_word(done)),
              KV_STR("problem", why.msg));
    return write_down(o, "done", done, &why, e);
}

static void put_answer(json_t *answer, const json_t *kept)
{
    static const char *const names[] = {"result", "output_bytes"};
    bool failed = json_str(kept, "error", "")[0] != '\0';

    (void)json_object_set_new(answer, "state", json_string(failed ? "failed" : "done"));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        json_t *v = json_object_get(kept, names[i]);
        (void)json_object_set_new(answer, names[i], v == NULL ? json_null() : json_incref(v));
    }
    if (failed)
        (void)json_object_set_new(answer, "problem",
                                  json_pack("{s:s,s:s}", "error", json_str(kept, "error", ""),
                                            "message", json_str(kept, "message", "")));
}

enum err_code command_serve(struct helper *h, const json_t *request, json_t *answer, struct err *e)
{
    AUTO(json_free) json_t *kept = NULL;
    AUTO(json_free) json_t *ended = NULL;
    struct asked a = {.by = "", .reason = ""};
    struct order o = {.h = h, .out = -1};
    enum err_code rc = decode(request, &a, &o, e);

    if (rc == ERR_OK)
        rc = read_back(h, a.id, &kept, e);
    if (rc == ERR_OK && strcmp(json_str(kept, "phase", ""), "done") == 0) {
        put_answer(answer, kept);
        return ERR_OK;
    }
    if (rc != ERR_OK && rc != ERR_NOT_FOUND)
        return rc;
    if (apply_is_open(h))
        return err_set(e, ERR_CONFLICT, "a change is open; it must end first");
    *e = (struct err){0};
    rc = begin(&o, kept, e);
    if (rc == ERR_OK)
        rc = carry_out(&o, e);
    order_clear(&o);
    if (rc == ERR_OK)
        rc = read_back(h, a.id, &ended, e);
    if (rc == ERR_OK)
        put_answer(answer, ended);
    return rc;
}

/* At most n bytes from p that end with a whole character. */
static size_t whole_characters(const char *p, size_t n)
{
    size_t back = 0;

    while (back < 3 && back < n && ((unsigned char)p[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back < n && (unsigned char)p[n - 1 - back] >= 0xc0 &&
        !slice_is_utf8((struct slice){p + n - 1 - back, back + 1}))
        return n - 1 - back;
    return n;
}

enum err_code command_serve_output(struct helper *h, const json_t *request, json_t *answer,
                                   struct err *e)
{
    struct body {
        const char *id;
        int64_t from;
    } in = {0};
    static const struct jdec_field fields[] = {
        JDEC_UUID(struct body, id, JD_REQUIRED),
        JDEC_INT(struct body, from, JD_REQUIRED, 0, COMMAND_OUTPUT_MAX),
        JDEC_END,
    };
    AUTO_STR char *buf = malloc(PIECE);
    AUTO_FD int fd = -1;
    char path[4200];
    ssize_t n;
    enum err_code rc = jdec_object(request, fields, JD_ALLOW_UNKNOWN, "", &in, e);

    if (rc != ERR_OK)
        return rc;
    order_path(h, in.id, ".out", path, sizeof path);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || buf == NULL)
        return err_set(e, ERR_NOT_FOUND, "there is no output of command %s", in.id);
    n = pread(fd, buf, PIECE, in.from);
    if (n < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", path);
    if (n == PIECE)
        n = (ssize_t)whole_characters(buf, (size_t)n);
    (void)json_object_set_new(answer, "text", json_stringn(buf, (size_t)n));
    return ERR_OK;
}
