/* P10: the installed Postfix can do what the plan asks. */
#include "plan/plan_private.h"

#include <stdio.h>

static bool known(const struct plan_facts *f)
{
    return f->postfix_major > 0;
}

static bool at_least(const struct plan_facts *f, int major, int minor, int patch)
{
    if (f->postfix_major != major)
        return f->postfix_major > major;
    if (f->postfix_minor != minor)
        return f->postfix_minor > minor;
    return f->postfix_patch >= patch;
}

/* smtpd_forbid_bare_newline=normalize came into every branch that was alive then. */
static bool has_smuggling_guard(const struct plan_facts *f)
{
    if (f->postfix_major == 3 && f->postfix_minor == 6)
        return f->postfix_patch >= 15;
    if (f->postfix_major == 3 && f->postfix_minor == 7)
        return f->postfix_patch >= 11;
    if (f->postfix_major == 3 && f->postfix_minor == 8)
        return f->postfix_patch >= 6;
    return at_least(f, 3, 9, 0);
}

static void check_needs(struct plan_builder *b, const struct setting *s, const char *has)
{
    int major, minor;

    if (s->needs[0] == '\0' || sscanf(s->needs, "postfix>=%4d.%4d", &major, &minor) != 2)
        return;
    if (!at_least(b->facts, major, minor, 0))
        (void)finding_add(b->f, F_P10_SETTING_VERSION, plan_at(b, s->key, NULL), s->key, s->needs,
                          has, NULL);
}

static bool has_map(const struct plan_facts *f, const char *type)
{
    for (size_t i = 0; i < f->n_map_types; i++) {
        if (strcmp(f->map_types[i], type) == 0)
            return true;
    }
    return f->n_map_types == 0;
}

void plan_check_version(struct plan_builder *b)
{
    static const char *const types[] = {"cidr", "texthash"};
    char has[40];

    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (!has_map(b->facts, types[i]))
            (void)finding_add(b->f, F_P10_MAP_TYPE, "/settings", types[i], NULL, NULL, NULL);
    }
    if (plan_has_subject(b) && !has_map(b->facts, "regexp"))
        (void)finding_add(b->f, F_P10_MAP_TYPE, plan_at(b, "smtp.log_subject", NULL), "regexp",
                          NULL, NULL, NULL);
    if (!known(b->facts))
        return;
    (void)snprintf(has, sizeof has, "%d.%d.%d", b->facts->postfix_major, b->facts->postfix_minor,
                   b->facts->postfix_patch);
    if (!has_smuggling_guard(b->facts))
        (void)finding_add(b->f, F_P10_POSTFIX_VERSION, "/settings", has,
                          "3.6.15, 3.7.11, 3.8.6, 3.9", NULL, NULL);
    for (size_t i = 0; i < catalog_count(); i++)
        check_needs(b, catalog_at(i), has);
}
