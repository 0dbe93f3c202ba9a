/* Subjects in Postfix's log (P16): a header check that logs and does nothing else.  A device that
 * has header checks of its own keeps them: they may be what protects its mailboxes. */
#include "plan/plan_private.h"

#define OURS  "regexp:${config_directory}/inari/"
#define TABLE "header_checks"

const char *const plan_checks_params[PLAN_CHECKS] = {"header_checks", "mime_header_checks",
                                                     "nested_header_checks"};

enum whose { NOBODY, UNKNOWN, OF_INARI, OF_BOTH, OF_SITE };

/* As this planner writes it: inari/<16 digits>/header_checks. */
static bool is_ours(const char *value)
{
    size_t n = sizeof OURS - 1;

    return strncmp(value, OURS, n) == 0 && strspn(value + n, "0123456789abcdef") == 16 &&
           strcmp(value + n + 16, "/" TABLE) == 0;
}

static enum whose whose(const struct plan_facts *f)
{
    static const char *const folders[] = {"${config_directory}/inari/", "$config_directory/inari/",
                                          "/postfix/inari/"};
    const char *value = f->checks[0];

    if (!f->checks_known)
        return UNKNOWN;
    if (value == NULL || value[0] == '\0')
        return NOBODY;
    if (is_ours(value))
        return OF_INARI;
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        if (strstr(value, folders[i]) != NULL)
            return OF_BOTH;
    return OF_SITE;
}

/* Postfix's default of the other two is the first, so a header of a part or of a message inside
 * would be asked for as well. */
static bool is_free(const char *value)
{
    return value == NULL || value[0] == '\0' || strcmp(value, "$header_checks") == 0 ||
           strcmp(value, "${header_checks}") == 0;
}

bool plan_leaves_checks(const struct plan_facts *f, size_t i)
{
    enum whose w = whose(f);

    return f->checks_known && (i == 0 ? w == OF_SITE || w == OF_BOTH : !is_free(f->checks[i]));
}

bool plan_has_subject(const struct plan_builder *b)
{
    enum whose w = whose(b->facts);

    return plan_bool(b, "smtp.log_subject") && (w == NOBODY || w == OF_INARI);
}

unsigned plan_owned_checks(const struct plan_builder *b)
{
    unsigned mask = 0;

    if (!plan_has_subject(b) && whose(b->facts) != OF_INARI)
        return 0;
    for (size_t i = 0; i < PLAN_CHECKS; i++)
        mask |= plan_leaves_checks(b->facts, i) ? 0 : 1U << i;
    return mask;
}

bool plan_only_logs(const struct plan_table *t)
{
    return strcmp(t->type, "regexp") == 0 && strcmp(t->name, TABLE) == 0 &&
           strcmp(t->content, PLAN_SUBJECT_CHECK) == 0;
}

void plan_add_subject(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(KIB);
    unsigned owned = plan_owned_checks(b);

    if (!plan_has_subject(b))
        return;
    strbuf_puts(&s, PLAN_SUBJECT_CHECK);
    plan_param(b, plan_checks_params[0], "%s", plan_table(b, TABLE, "regexp", &s));
    for (size_t i = 1; i < PLAN_CHECKS; i++)
        if ((owned >> i & 1) != 0)
            plan_param(b, plan_checks_params[i], "%s", "");
}

void plan_check_subject(struct plan_builder *b)
{
    static const char key[] = "smtp.log_subject";
    enum whose w = whose(b->facts);
    struct finding *f;

    if (w == OF_BOTH) /* our table goes with its configuration, and with it all mail would wait */
        (void)finding_add(b->f, F_P16_MIXED_CHECKS, plan_at(b, key, NULL), b->facts->checks[0],
                          NULL, NULL, NULL);
    if (!plan_bool(b, key))
        return;
    if (w == OF_SITE) {
        f = finding_add(b->f, F_P16_SITE_CHECKS, plan_at(b, key, NULL), b->facts->checks[0], key,
                        NULL, NULL);
        if (f != NULL)
            f->forceable = true;
    } else if (w == UNKNOWN && b->facts->postfix_major > 0) {
        (void)finding_warn(b->f, F_P16_CHECKS_UNKNOWN, plan_at(b, key, NULL), key, NULL, NULL,
                           NULL);
    }
}
