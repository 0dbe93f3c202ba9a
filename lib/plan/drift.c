/* What drift.items may name: only what is ours can drift (P14). */
#include "plan/plan_private.h"

#include <stdlib.h>

static const char *behind(const char *s, const char *head)
{
    size_t n = strlen(head);

    return strncmp(s, head, n) == 0 && s[n] != '\0' ? s + n : NULL;
}

static bool owns(const char *const *owned, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(owned[i], name) == 0)
            return true;
    return false;
}

/* A service's name holds the address and port that it has on its device, so its form has to do. */
static bool is_service(const char *s)
{
    const char *type = strrchr(s, '/');

    return type != NULL && type != s && (strcmp(type, "/inet") == 0 || strcmp(type, "/unix") == 0);
}

void plan_check_drift(struct plan_builder *b)
{
    size_t n = 0, n_owned = 0;
    const char **rows = plan_rows(b, "drift.items", &n);
    const char *const *owned = n == 0 ? NULL : plan_owned(b->a, plan_has_auth(b), ~0U, &n_owned);

    for (size_t i = 0; i < n; i++) {
        const char *param = behind(rows[i], "main.cf:"), *service = behind(rows[i], "master.cf:");
        bool known = (param != NULL && owns(owned, n_owned, param)) ||
                     (service != NULL && is_service(service)) ||
                     behind(rows[i], "table:") != NULL || strcmp(rows[i], "service:postfix") == 0;
        if (!known)
            (void)finding_add(b->f, F_P14_DRIFT_ITEM, plan_at(b, "drift.items", rows[i]), rows[i],
                              NULL, NULL, NULL);
    }
}
