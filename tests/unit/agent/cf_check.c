#include "cf_check.h"

#include <stdio.h>

/* Independent of the parser under test on purpose: a logical line is found here by its own small
 * rule, on the bytes. */
static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool skipped(struct slice s)
{
    while (s.n > 0 && blank(*s.p))
        s.p++, s.n--;
    return s.n == 0 || *s.p == '#';
}

static struct slice cut_line(struct slice *t)
{
    const char *nl = memchr(t->p, '\n', t->n);
    struct slice line = {t->p, nl == NULL ? t->n : (size_t)(nl - t->p) + 1};

    t->p += line.n;
    t->n -= line.n;
    return line;
}

/* The first two words of the logical line that starts at t; in main.cf "=" ends the first. */
static void two_words(struct slice t, bool master, char word[2][512])
{
    size_t w = 0, n = 0;

    word[0][0] = word[1][0] = '\0';
    for (bool first = true; t.n > 0 && w < 2; first = false) {
        struct slice line = cut_line(&t);
        if (skipped(line))
            continue;
        if (!first && !blank(*line.p))
            return;
        for (size_t i = 0; i < line.n && w < 2; i++) {
            if (blank(line.p[i]) || (!master && line.p[i] == '=')) {
                w += n > 0;
                n = 0;
            } else if (n < 511) {
                word[w][n++] = line.p[i] == '\0' ? '?' : line.p[i];
                word[w][n] = '\0';
            }
        }
    }
}

/* Feed every foreign physical line (comments, and lines of logical lines that are not ours) to a
 * string. */
static void foreign(struct slice t, bool master, const struct plan *p, struct strbuf *out)
{
    bool ours = false;

    while (t.n > 0) {
        struct slice at = t, line = cut_line(&t);
        char w[2][512];
        if (!skipped(line) && !blank(*line.p)) {
            two_words(at, master, w);
            ours = master ? cf_owns_service(p, w[0], w[1]) ||
                                (p->n_services == 3 && strcmp(w[1], "inet") == 0 &&
                                 (strcmp(w[0], "smtp") == 0 || strcmp(w[0], "25") == 0))
                          : cf_owns_param(p, w[0]);
        }
        if (skipped(line) ? slice_is(slice_trim(line), CF_BLOCK_HEAD) : ours)
            continue;
        strbuf_add(out, line);
        if (line.p[line.n - 1] != '\n')
            strbuf_putc(out, '\n');
    }
}

typedef enum err_code edit_fn(struct slice, const struct plan *, struct strbuf *, struct err *);

static const char *check_edit(struct slice old, bool master, edit_fn *edit, const struct plan *p,
                              struct strbuf *one)
{
    AUTO_STRBUF struct strbuf two = STRBUF_INIT(4 * MIB);
    AUTO_STRBUF struct strbuf before = STRBUF_INIT(4 * MIB);
    AUTO_STRBUF struct strbuf after = STRBUF_INIT(4 * MIB);
    struct err e = {0};

    if (edit(old, p, one, &e) != ERR_OK)
        return old.n > CF_FILE_MAX / 2 ? NULL : "an edit failed";
    if (edit(strbuf_slice(one), p, &two, &e) != ERR_OK ||
        !slice_eq(strbuf_slice(one), strbuf_slice(&two)))
        return "editing twice is not editing once";
    foreign(old, master, p, &before);
    foreign(strbuf_slice(one), master, p, &after);
    if (!slice_eq(strbuf_slice(&before), strbuf_slice(&after)))
        return master ? "a foreign byte of master.cf changed" : "a foreign byte of main.cf changed";
    return NULL;
}

static void count(void *ctx, const char *file, const char *item, const char *expected,
                  const char *found)
{
    (void)file;
    (void)item;
    (void)expected;
    (void)found;
    ++*(size_t *)ctx;
}

const char *cf_check_properties(struct slice main_cf, struct slice master_cf, const struct plan *p)
{
    AUTO_STRBUF struct strbuf m = STRBUF_INIT(4 * MIB);
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(4 * MIB);
    const char *fault = check_edit(main_cf, false, main_cf_edit, p, &m);
    struct err e = {0};
    size_t n = 0;

    if (fault == NULL)
        fault = check_edit(master_cf, true, master_cf_edit, p, &s);
    if (fault != NULL)
        return fault;
    if (main_cf_diff(strbuf_slice(&m), p, count, &n, &e) == ERR_OK && n > 0)
        return "main.cf read back is not the plan";
    /* A foreign line with too few fields makes the whole of master.cf unreadable, as it does for
     * Postfix. */
    if (master_cf_diff(strbuf_slice(&s), p, count, &n, &e) == ERR_OK && n > 0)
        return "master.cf read back is not the plan";
    return NULL;
}

static const char *const owned[] = {"message_size_limit", "mynetworks", "relay_domains",
                                    "relayhost", "smtpd_banner"};
static const char *const owned_services[] = {"0.0.0.0:25/inet", "127.0.0.1:10026/inet",
                                             "inari-scan/unix", "127.0.0.1:10029/inet"};
static const struct plan_param params[] = {
    {"message_size_limit", "31457280"},
    {"mynetworks", "127.0.0.0/8 [::1]/128"},
    {"relayhost", ""},
    {"smtpd_banner", "$myhostname ESMTP, {curly} = fine"},
};
static const struct plan_param fewer[] = {
    {"relay_domains", "texthash:$config_directory/inari/0123456789abcdef/relay"}};
static const struct plan_param options[] = {
    {"smtpd_relay_restrictions", "permit_mynetworks, reject"},
    {"smtpd_milters", ""},
    {"smtpd_banner", "inari ${inari_digest} abc"},
};
static const struct plan_service services[] = {
    {"0.0.0.0:25", "inet", "n", "-", "n", "-", "-", "smtpd", NULL, 0, true},
    {"127.0.0.1:10026", "inet", "n", "-", "n", "-", "20", "smtpd", options, COUNT_OF(options),
     false},
    {"inari-scan", "unix", "-", "-", "n", "-", "10", "lmtp", options, 1, false},
};

const struct plan *cf_check_plan(unsigned variant)
{
    static const struct plan plans[] = {
        {.params = params,
         .n_params = COUNT_OF(params),
         .owned = owned,
         .n_owned = COUNT_OF(owned),
         .services = services,
         .n_services = COUNT_OF(services),
         .owned_services = owned_services,
         .n_owned_services = COUNT_OF(owned_services)},
        {.params = fewer,
         .n_params = 1,
         .owned = owned,
         .n_owned = COUNT_OF(owned),
         .services = services + 1,
         .n_services = 1,
         .owned_services = owned_services,
         .n_owned_services = COUNT_OF(owned_services)},
        {.owned = owned,
         .n_owned = COUNT_OF(owned),
         .owned_services = owned_services,
         .n_owned_services = COUNT_OF(owned_services)},
    };

    return &plans[variant % COUNT_OF(plans)];
}
