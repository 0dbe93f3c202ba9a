#include "targets/postfix_lint.h"

#include "base/clock.h"
#include "base/file.h"
#include "targets/mutate.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void lint_say(struct lint *l, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    strbuf_puts(l->faults, line);
    strbuf_putc(l->faults, '\n');
}

const char *lint_value(const struct lint *l, const char *name)
{
    const char *v = cf_param_value(l->main, l->n_main, name);

    return v == NULL ? "" : v;
}

char *lint_word(char **s)
{
    char *p = *s, *start;
    int depth = 0;

    while (*p == ' ' || *p == ',' || *p == '\t')
        p++;
    if (*p == '\0')
        return NULL;
    for (start = p; *p != '\0' && (depth > 0 || (*p != ' ' && *p != ',' && *p != '\t')); p++) {
        depth += *p == '{';
        depth -= *p == '}' && depth > 0;
    }
    if (*p != '\0')
        *p++ = '\0';
    *s = p;
    return start;
}

/* The first line of output that complains, or "". */
static const char *complaint_in(const char *output)
{
    const char *at = output == NULL ? NULL : strstr(output, "fatal: ");

    return at == NULL ? "" : at;
}

/* All values, macros expanded.  What postconf complains of is a fault of the configuration. */
static enum err_code load_values(struct lint *l, struct err *e)
{
    const char *const args[] = {"-c", l->etc, "-x", NULL};
    struct proc_result r = {0};
    enum err_code rc = postfix_run(l->p, "postconf", args, l->p->s->command_timeout_ms, &r, e);

    if (rc == ERR_OK)
        rc = main_cf_parse((struct slice){r.output, r.output_n}, l->a, &l->main, &l->n_main, e);
    if (rc == ERR_OK && r.status != 0)
        lint_say(l, "postconf cannot read this configuration: %.*s",
                 (int)strcspn(complaint_in(r.output), "\n"), complaint_in(r.output));
    proc_result_clear(&r);
    return rc;
}

static enum err_code load_files(struct lint *l, struct err *e)
{
    AUTO_STR char *main_cf = NULL;
    AUTO_STR char *master_cf = NULL;
    char path[4200];
    size_t n_main, n_master;
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/main.cf", l->etc);
    rc = file_read(path, CF_FILE_MAX, &main_cf, &n_main, e);
    if (rc == ERR_OK)
        rc = main_cf_parse((struct slice){main_cf, n_main}, l->a, &l->set, &l->n_set, e);
    (void)snprintf(path, sizeof path, "%s/master.cf", l->etc);
    if (rc == ERR_OK)
        rc = file_read(path, CF_FILE_MAX, &master_cf, &n_master, e);
    if (rc == ERR_OK)
        rc = master_cf_parse((struct slice){master_cf, n_master}, l->a, &l->services,
                             &l->n_services, e);
    return rc;
}

static void look(struct lint *l)
{
    if (l->n_set == 0)
        lint_say(l, "main.cf is empty: Postfix would fall back to what it was built with");
    for (size_t i = 0; i < l->n_set; i++)
        lint_value_of(l, "main.cf", l->set[i].name, lint_value(l, l->set[i].name));
    lint_services(l);
    lint_maps(l);
}

struct named {
    struct lint *l;
};

static void not_as_planned(void *ctx, const char *file, const char *item, const char *expected,
                           const char *found)
{
    struct named *n = ctx;

    lint_say(n->l, "%s: %s is \"%.100s\", planned was \"%.100s\"", file, item,
             found == NULL ? "(not there)" : found, expected == NULL ? "(not there)" : expected);
}

/* What is staged must still read as the plan does (security.md C24).  Tests that made it wrong on
 * purpose want to know which of the other checks notices. */
static enum err_code look_planned(struct lint *l, const struct rendition *r, struct err *e)
{
    AUTO_STR char *main_cf = NULL;
    AUTO_STR char *master_cf = NULL;
    struct named n = {l};
    char path[4200];
    size_t n_main, n_master;
    enum err_code rc;

    if (r == NULL || mutate_wanted(MUTATE_STAGE) != NULL)
        return ERR_OK;
    (void)snprintf(path, sizeof path, "%s/main.cf", l->etc);
    rc = file_read(path, CF_FILE_MAX, &main_cf, &n_main, e);
    if (rc == ERR_OK)
        rc = main_cf_diff((struct slice){main_cf, n_main}, r->plan, not_as_planned, &n, e);
    (void)snprintf(path, sizeof path, "%s/master.cf", l->etc);
    if (rc == ERR_OK)
        rc = file_read(path, CF_FILE_MAX, &master_cf, &n_master, e);
    return rc != ERR_OK ? rc
                        : master_cf_diff((struct slice){master_cf, n_master}, r->plan,
                                         not_as_planned, &n, e);
}

enum err_code postfix_lint(const struct postfix *p, const char *etc, const struct rendition *r,
                           struct arena *a, struct strbuf *faults, struct err *e)
{
    struct lint l = {.p = p, .etc = etc, .a = a, .faults = faults};
    enum err_code rc = load_files(&l, e);

    if (rc != ERR_OK) { /* not readable as configuration is a fault, not our failure */
        lint_say(&l, "%s", e->msg);
        return rc == ERR_NO_MEMORY ? rc : ERR_OK;
    }
    rc = load_values(&l, e);
    if (rc == ERR_OK)
        rc = look_planned(&l, r, e);
    if (rc == ERR_OK)
        look(&l);
    return l.hung[0] == '\0' ? rc : err_set(e, ERR_TIMEOUT, "%s", l.hung);
}

static enum err_code command(const struct postfix *p, const char *name, const char *const *args,
                             bool all_output, struct strbuf *faults, struct err *e)
{
    struct proc_result r = {0};
    struct slice rest;
    char said[32];
    size_t before = faults->n, n = (size_t)snprintf(said, sizeof said, "%s: ", name);
    enum err_code rc = postfix_run(p, name, args, p->s->command_timeout_ms, &r, e);

    rest = (struct slice){r.output, r.output == NULL ? 0 : r.output_n};
    while (rc == ERR_OK && rest.p != NULL && rest.n > 0) {
        struct slice line = slice_trim(slice_cut(&rest, '\n'));
        const char *word = memmem(line.p, line.n, said, n);
        /* "/usr/sbin/postconf: warning", not a value that is listed */
        bool complaint = word != NULL && memchr(line.p, ' ', line.n) > (const void *)word;
        if (line.n == 0 || (!all_output && !complaint))
            continue;
        strbuf_add(faults, line);
        strbuf_putc(faults, '\n');
    }
    if (rc == ERR_OK && r.status != 0 && faults->n == before)
        strbuf_printf(faults, "%s %s ended with status %d\n", name, args[2], r.status);
    proc_result_clear(&r);
    return rc;
}

static enum err_code run_lists(const struct postfix *p, const char *etc, struct strbuf *faults,
                               struct err *e)
{
    static const char *const lists[] = {"-n", "-M", "-P"};
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < COUNT_OF(lists) && rc == ERR_OK; i++) {
        const char *const args[] = {"-c", etc, lists[i], NULL};
        rc = command(p, "postconf", args, false, faults, e);
    }
    return rc;
}

static enum err_code run_check(const struct postfix *p, const char *etc, struct strbuf *faults,
                               struct err *e)
{
    const char *const args[] = {"-c", etc, "check", NULL};

    return command(p, "postfix", args, true, faults, e);
}

enum err_code postfix_lint_commands(const struct postfix *p, const char *etc, struct strbuf *faults,
                                    struct err *e)
{
    enum err_code rc = run_lists(p, etc, faults, e);

    return rc == ERR_OK ? run_check(p, etc, faults, e) : rc;
}

/* The line with the names of both directories taken out, to compare two runs: "postfix check" on a
 * staged copy speaks of the live directory as well. */
static void plain(struct slice line, const char *etc, const char *live, char *out, size_t size)
{
    const char *const dirs[] = {etc, live};
    size_t n = 0;

    for (size_t i = 0; i < line.n && n + 1 < size; i++) {
        char c = line.p[i];
        for (size_t j = 0; j < COUNT_OF(dirs); j++) {
            size_t skip = strlen(dirs[j]);
            if (line.n - i >= skip && memcmp(line.p + i, dirs[j], skip) == 0) {
                i += skip - 1;
                c = '@';
                break;
            }
        }
        out[n++] = c;
    }
    out[n] = '\0';
}

static bool has_line(struct slice text, const char *live, const char *want)
{
    while (text.p != NULL) {
        char buf[1200];
        plain(slice_cut(&text, '\n'), live, live, buf, sizeof buf);
        if (strcmp(buf, want) == 0)
            return true;
    }
    return false;
}

/* Take away what the live configuration says as well. */
static enum err_code subtract_live(const struct postfix *p, const char *etc, struct strbuf *faults,
                                   struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO_STRBUF struct strbuf live = STRBUF_INIT(256 * KIB);
    AUTO_STRBUF struct strbuf left = STRBUF_INIT(faults->max);
    struct slice rest = strbuf_slice(faults);
    enum err_code rc;

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = postfix_lint(p, p->s->postfix_config, NULL, a, &live, e);
    if (rc == ERR_OK)
        rc = postfix_lint_commands(p, p->s->postfix_config, &live, e);
    if (rc != ERR_OK)
        return rc;
    while (rest.p != NULL) {
        struct slice line = slice_cut(&rest, '\n');
        char want[1200];
        plain(line, etc, p->s->postfix_config, want, sizeof want);
        if (line.n == 0 ||
            (live.n > 0 && has_line(strbuf_slice(&live), p->s->postfix_config, want)))
            continue;
        strbuf_add(&left, line);
        strbuf_putc(&left, '\n');
    }
    faults->n = 0;
    strbuf_puts(faults, strbuf_str(&left));
    if (left.n == 0 && faults->p != NULL)
        faults->p[0] = '\0';
    return ERR_OK;
}

/* Postfix's own commands, beside our own look: they only read. */
struct commands {
    enum err_code (*run)(const struct postfix *p, const char *etc, struct strbuf *faults,
                         struct err *e);
    const struct postfix *p;
    const char *etc;
    struct strbuf faults;
    struct err e;
    enum err_code rc;
    pthread_t thread;
    bool threaded;
};

static void *run_commands(void *arg)
{
    struct commands *c = arg;

    c->rc = c->run(c->p, c->etc, &c->faults, &c->e);
    return NULL;
}

static void commands_begin(struct commands *c)
{
    c->threaded = pthread_create(&c->thread, NULL, run_commands, c) == 0;
}

static enum err_code commands_end(struct commands *c, struct strbuf *faults, struct err *e)
{
    if (c->threaded)
        (void)pthread_join(c->thread, NULL);
    else
        (void)run_commands(c);
    strbuf_puts(faults, strbuf_str(&c->faults));
    strbuf_clear(&c->faults);
    if (c->rc != ERR_OK)
        *e = c->e;
    return c->rc;
}

enum err_code postfix_validate(const struct postfix *p, const char *etc, const struct rendition *r,
                               validate_meanwhile_fn *meanwhile, void *ctx, struct strbuf *faults,
                               struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    struct commands c[] = {
        {.run = run_check, .p = p, .etc = etc, .faults = STRBUF_INIT(256 * KIB)},
        {.run = run_lists, .p = p, .etc = etc, .faults = STRBUF_INIT(256 * KIB)}};
    enum err_code rc;
    char first[300];

    if (a == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < COUNT_OF(c); i++)
        commands_begin(&c[i]);
    rc = postfix_lint(p, etc, r, a, faults, e);
    if (rc == ERR_OK && faults->n == 0 && meanwhile != NULL)
        rc = meanwhile(ctx, e);
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        struct err e2 = {0};
        enum err_code ended = commands_end(&c[i], faults, &e2);
        if (rc == ERR_OK && ended != ERR_OK) {
            *e = e2;
            rc = ended;
        }
    }
    if (rc == ERR_OK && faults->n > 0)
        rc = subtract_live(p, etc, faults, e);
    if (rc != ERR_OK || faults->n == 0)
        return rc;
    (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(strbuf_str(faults), "\n"),
                   strbuf_str(faults));
    return err_set(e, ERR_REFUSED, "Postfix would not run with this: %s", first);
}
