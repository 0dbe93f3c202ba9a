/* What is ours in the live files beside what the plan says (apply.h, apply_widen). */
#include "apply/apply.h"

#include "base/file.h"
#include "targets/postfix_cf.h"
#include "targets/postfix_stage.h"

struct words {
    const char **v;
    size_t n, max;
};

static void add(struct words *w, const char *word)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->v[i], word) == 0)
            return;
    if (w->n < w->max && word != NULL)
        w->v[w->n++] = word;
}

static bool is_marked(const struct cf_service *s)
{
    static const char *const marks[] = {"inari-cleanup", "$inari_digest",
                                        "${config_directory}/inari/", NULL};

    for (size_t i = 0; i < s->n_options; i++)
        for (size_t j = 0; marks[j] != NULL; j++)
            if (strstr(s->options[i].value, marks[j]) != NULL)
                return true;
    return false;
}

static void add_marked(const struct helper *h, struct words *w, struct arena *a)
{
    AUTO_STR char *text = NULL;
    struct cf_service *v;
    size_t n, len;

    if (stage_read_live(h->s, "master.cf", &text, &len, NULL, NULL) != ERR_OK ||
        master_cf_parse((struct slice){text, len}, a, &v, &n, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < n; i++)
        if (is_marked(&v[i]))
            add(w, arena_printf(a, "%s/%s", v[i].name, v[i].type));
}

static void add_plan(const struct plan *p, struct words *params, struct words *services,
                     struct arena *a)
{
    for (size_t i = 0; i < p->n_owned; i++)
        add(params, p->owned[i]);
    for (size_t i = 0; i < p->n_params; i++)
        add(params, p->params[i].name);
    for (size_t i = 0; i < p->n_owned_services; i++)
        add(services, p->owned_services[i]);
    for (size_t i = 0; i < p->n_services; i++)
        add(services, arena_printf(a, "%s/%s", p->services[i].service, p->services[i].type));
}

static void leave(const struct plan *p, struct words *w)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->n; i++) {
        bool left = false;
        for (size_t k = 0; k < p->n_left; k++)
            left = left || strcmp(w->v[i], p->left[k]) == 0;
        if (!left)
            w->v[kept++] = w->v[i];
    }
    w->n = kept;
}

struct plan *apply_widen(const struct helper *h, const struct plan *plan, struct arena *a)
{
    enum { MAX = 4000 };
    struct words params = {arena_alloc(a, MAX * sizeof(char *)), 0, MAX};
    struct words services = {arena_alloc(a, MAX * sizeof(char *)), 0, MAX};
    struct plan *p = arena_alloc(a, sizeof *p);
    struct rendition before;
    char dir[4200];

    if (params.v == NULL || services.v == NULL || p == NULL)
        return NULL;
    add_plan(plan, &params, &services, a);
    if (h->j.s.n_lkg > 0) { /* also after leaving: Postfix still runs it */
        apply_lkg_path(h->s, h->j.s.lkg[0].digest, dir, sizeof dir);
        if (rendition_load(dir, a, &before, NULL) == ERR_OK)
            add_plan(rendition_wanted(&before), &params, &services, a);
    }
    add_marked(h, &services, a);
    *p = *plan;
    leave(plan, &params);
    p->owned = params.v;
    p->n_owned = params.n;
    p->owned_services = services.v;
    p->n_owned_services = services.n;
    return p;
}
