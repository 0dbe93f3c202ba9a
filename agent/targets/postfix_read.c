#include "targets/postfix_read.h"

#include "base/file.h"
#include "base/hash.h"
#include "targets/postfix_stage.h"
#include "targets/secret_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- the live files against a plan --- */

static enum err_code compare_tables(const struct postfix *p, const struct plan *plan,
                                    cf_diff_fn *fn, void *ctx)
{
    for (size_t i = 0; i < plan->n_tables; i++) {
        AUTO_STR char *text = NULL;
        char path[4400], item[400], want[SHA256_HEX_SIZE], have[SHA256_HEX_SIZE];
        size_t n;
        (void)snprintf(item, sizeof item, "%s/%s", plan->tables_dir, plan->tables[i].name);
        (void)snprintf(path, sizeof path, "%s/%s", p->s->postfix_config, item);
        sha256_hex(slice_of(plan->tables[i].content), want);
        if (plan->tables[i].secret) { /* nothing that was made of the text is said */
            if (!secret_table_ok(path, &plan->tables[i]))
                fn(ctx, "table", item, want, access(path, F_OK) == 0 ? "(changed)" : NULL);
            continue;
        }
        if (file_read(path, REND_MANIFEST_MAX, &text, &n, NULL) != ERR_OK) {
            fn(ctx, "table", item, want, NULL);
            continue;
        }
        sha256_hex((struct slice){text, n}, have);
        if (strcmp(want, have) != 0)
            fn(ctx, "table", item, want, have);
    }
    return ERR_OK;
}

enum err_code postfix_compare(const struct postfix *p, const struct plan *plan, cf_diff_fn *fn,
                              void *ctx, struct err *e)
{
    AUTO_STR char *main_cf = NULL;
    AUTO_STR char *master_cf = NULL;
    size_t n, m;
    enum err_code rc = stage_read_live(p->s, "main.cf", &main_cf, &n, NULL, e);

    if (rc == ERR_OK)
        rc = main_cf_diff((struct slice){main_cf, n}, plan, fn, ctx, e);
    if (rc == ERR_OK)
        rc = stage_read_live(p->s, "master.cf", &master_cf, &m, NULL, e);
    if (rc == ERR_OK)
        rc = master_cf_diff((struct slice){master_cf, m}, plan, fn, ctx, e);
    return rc == ERR_OK ? compare_tables(p, plan, fn, ctx) : rc;
}

/* --- which digest they carry --- */

static void keep_digest(const char *s, char out[DIGEST_SIZE])
{
    if (s != NULL && digest_is_valid(s))
        memcpy(out, s, DIGEST_SIZE);
}

void postfix_digests(const struct postfix *p, char in_main[DIGEST_SIZE],
                     char in_master[DIGEST_SIZE])
{
    static const char head[] = "inari $inari_digest ";
    AUTO(arena_free) struct arena *a = arena_new(64 * MIB);
    AUTO_STR char *main_cf = NULL;
    AUTO_STR char *master_cf = NULL;
    struct cf_param *v;
    struct cf_service *s;
    size_t n, len;

    in_main[0] = in_master[0] = '\0';
    if (a == NULL)
        return;
    if (stage_read_live(p->s, "main.cf", &main_cf, &len, NULL, NULL) == ERR_OK &&
        main_cf_parse((struct slice){main_cf, len}, a, &v, &n, NULL) == ERR_OK)
        keep_digest(cf_param_value(v, n, "inari_digest"), in_main);
    if (stage_read_live(p->s, "master.cf", &master_cf, &len, NULL, NULL) != ERR_OK ||
        master_cf_parse((struct slice){master_cf, len}, a, &s, &n, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < s[i].n_options; j++)
            if (strcmp(s[i].options[j].name, "smtpd_banner") == 0 &&
                strncmp(s[i].options[j].value, head, sizeof head - 1) == 0)
                keep_digest(s[i].options[j].value + sizeof head - 1, in_master);
}

/* --- in catalog words --- */

static bool acceptable(const struct setting *s, json_t *v)
{
    struct findings f = {0};
    bool ok;

    catalog_check_value(s, v, "/settings", &f);
    ok = f.errors == 0;
    findings_clear(&f);
    return ok;
}

static void read_settings(const struct cf_param *v, size_t n, const struct cf_param *raw,
                          size_t n_raw, json_t *settings, json_t *unreadable)
{
    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        const char *text = s->param[0] == '\0' ? NULL : cf_param_value(raw, n_raw, s->param);
        json_t *j;
        if (text == NULL)
            continue; /* not set in main.cf: the built-in default is what runs */
        text = cf_param_value(v, n, s->param);
        j = text == NULL ? NULL : catalog_read_text(s, text);
        if (j != NULL && acceptable(s, j)) {
            (void)json_object_set_new(settings, s->key, j);
            continue;
        }
        json_decref(j);
        (void)json_object_set_new(unreadable, s->key,
                                  json_string(cf_param_value(raw, n_raw, s->param)));
    }
}

/* What we own does not depend on the settings but for what main.cf has already: any plan says it.
 */
static const struct plan *owner(const struct cf_param *v, size_t n, struct arena *a)
{
    json_t *settings = catalog_defaults();
    struct plan_facts facts = {.checks_known = true};
    struct findings f = {0};
    struct plan *p = NULL;

    for (size_t i = 0; i < PLAN_CHECKS; i++)
        facts.checks[i] = cf_param_value(v, n, plan_checks_params[i]);
    for (int i = 0; i < 2 && p == NULL && settings != NULL; i++) {
        if (plan_make(settings, &facts, "", a, &p, &f, NULL) != ERR_OK)
            p = NULL;
        facts = (struct plan_facts){0}; /* theirs and ours in one: neither */
    }
    findings_clear(&f);
    json_decref(settings);
    return p;
}

static json_t *foreign(const struct cf_param *v, size_t n, const struct cf_service *s, size_t n_s,
                       const struct plan *p)
{
    json_t *main_cf = json_array(), *master_cf = json_array();

    for (size_t i = 0; i < n; i++)
        if (p == NULL || !cf_owns_param(p, v[i].name))
            (void)json_array_append_new(main_cf, json_string(v[i].name));
    for (size_t i = 0; i < n_s; i++) {
        char item[300];
        (void)snprintf(item, sizeof item, "%s/%s", s[i].name, s[i].type);
        if (p == NULL || !cf_owns_service(p, s[i].name, s[i].type))
            (void)json_array_append_new(master_cf, json_string(item));
    }
    return json_pack("{s:o,s:o}", "main_cf", main_cf, "master_cf", master_cf);
}

enum err_code postfix_read(const struct postfix *p, json_t *answer, struct err *e)
{
    const char *const args[] = {"-c", p->s->postfix_config, "-n", "-x", NULL};
    AUTO(arena_free) struct arena *a = arena_new(128 * MIB);
    AUTO_STR char *main_cf = NULL;
    AUTO_STR char *master_cf = NULL;
    json_t *settings = json_object(), *unreadable = json_object();
    struct proc_result r = {0};
    struct cf_param *v = NULL, *raw;
    struct cf_service *s;
    size_t n = 0, n_raw, n_s, len;
    enum err_code rc = a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    (void)json_object_set_new(answer, "settings", settings);
    (void)json_object_set_new(answer, "unreadable", unreadable);
    if (rc == ERR_OK)
        rc = stage_read_live(p->s, "main.cf", &main_cf, &len, NULL, e);
    if (rc == ERR_OK)
        rc = main_cf_parse((struct slice){main_cf, len}, a, &raw, &n_raw, e);
    if (rc == ERR_OK)
        rc = stage_read_live(p->s, "master.cf", &master_cf, &len, NULL, e);
    if (rc == ERR_OK)
        rc = master_cf_parse((struct slice){master_cf, len}, a, &s, &n_s, e);
    if (rc == ERR_OK)
        rc = postfix_run(p, "postconf", args, p->s->command_timeout_ms, &r, e);
    if (rc == ERR_OK)
        rc = main_cf_parse((struct slice){r.output, r.output_n}, a, &v, &n, e);
    if (rc == ERR_OK) {
        read_settings(v, n, raw, n_raw, settings, unreadable);
        (void)json_object_set_new(answer, "foreign",
                                  foreign(raw, n_raw, s, n_s, owner(raw, n_raw, a)));
    }
    proc_result_clear(&r);
    return rc;
}
