#include "domain/combine.h"

#include "base/strbuf.h"
#include "domain/content.h"
#include "store/revision_store.h"
#include "store/rollout_store.h"

#include <string.h>

struct combined {
    struct combined *next;
    int64_t pub;
    const char *urgent;
    const json_t *content;
};

/* Numbers of a list, ascending; at most room. */
static size_t numbers(const char *list, int64_t *v, size_t room)
{
    struct slice rest = slice_of(list);
    size_t n = 0;

    while (rest.n > 0 && n < room) {
        if (parse_i64(slice_cut(&rest, ','), 1, INT64_MAX, &v[n]))
            n++;
    }
    return n;
}

int64_t combine_newest(int64_t pub, const char *urgent)
{
    int64_t v[2 * COMBINE_MAX];
    size_t n = numbers(urgent, v, COUNT_OF(v));

    return n == 0 || v[n - 1] < pub ? pub : v[n - 1];
}

const char *combine_lists(struct arena *a, const char *one, const char *other, int64_t pub)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(4 * KIB);
    int64_t v[2][2 * COMBINE_MAX], last = pub;
    size_t n[2] = {numbers(one, v[0], COUNT_OF(v[0])), numbers(other, v[1], COUNT_OF(v[1]))};

    for (size_t i = 0, k = 0; i < n[0] || k < n[1];) {
        bool first = k == n[1] || (i < n[0] && v[0][i] <= v[1][k]);
        int64_t next = first ? v[0][i++] : v[1][k++];
        if (next <= last)
            continue;
        strbuf_printf(&b, "%s%lld", b.n == 0 ? "" : ",", (long long)next);
        last = next;
    }
    return strbuf_ok(&b) ? arena_strdup(a, strbuf_str(&b)) : NULL;
}

/* Does the later one take the earlier one back, all of it? */
static bool cancels(const struct revision_row *later, const struct revision_row *earlier)
{
    AUTO(json_free) json_t *back = NULL;

    if (strcmp(later->kind, "undo") != 0 || later->source != earlier->pub)
        return false;
    back = content_inverse(earlier->diff);
    return back != NULL && json_equal(back, (json_t *)(uintptr_t)later->diff);
}

static enum err_code lay_over(struct combine *c, json_t *content, const char *urgent, struct err *e)
{
    int64_t v[2 * COMBINE_MAX];
    size_t n = numbers(urgent, v, COUNT_OF(v));
    struct revision_row *r = arena_alloc(c->a, (n + 1) * sizeof *r);
    bool *gone = arena_alloc(c->a, n + 1);
    enum err_code rc =
        r == NULL || gone == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        gone[i] = false;
        rc = revision_store_get(c->db, v[i], c->a, &r[i], e);
        for (size_t k = 0; k < i && rc == ERR_OK; k++) {
            if (!gone[k] && !gone[i] && cancels(&r[i], &r[k]))
                gone[k] = gone[i] = true;
        }
    }
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        AUTO(json_free) json_t *others = NULL;
        if (!gone[i])
            rc = content_apply(content, r[i].diff, true, &others, e);
    }
    return rc;
}

static enum err_code make(struct combine *c, int64_t pub, const char *urgent, const json_t **ret,
                          struct err *e)
{
    struct revision_row r = {0};
    json_t *content;
    enum err_code rc = revision_store_get(c->db, pub, c->a, &r, e);

    *ret = r.content;
    if (rc != ERR_OK || urgent[0] == '\0')
        return rc;
    content = json_deep_copy(r.content);
    if (content == NULL || !arena_defer(c->a, (void (*)(void *))json_decref, content)) {
        json_decref(content);
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    *ret = content;
    return lay_over(c, content, urgent, e);
}

/* It had nothing yet. */
static enum err_code begin_with(struct combine *c, int64_t *pub, const char **urgent, struct err *e)
{
    const char *stable = "";
    enum err_code rc = rollout_store_stable(c->db, c->a, pub, &stable, e);

    if (rc == ERR_OK && (*urgent = combine_lists(c->a, stable, *urgent, *pub)) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    return rc;
}

enum err_code combine_content(struct combine *c, int64_t pub, const char *urgent,
                              const json_t **ret, struct err *e)
{
    struct combined *k;
    enum err_code rc = ERR_OK;

    for (k = c->known; k != NULL; k = k->next) {
        if (k->pub == pub && strcmp(k->urgent, urgent) == 0) {
            *ret = k->content;
            return ERR_OK;
        }
    }
    k = arena_alloc(c->a, sizeof *k);
    if (k == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *k = (struct combined){.next = c->known, .pub = pub, .urgent = urgent};
    if (pub == 0)
        rc = begin_with(c, &pub, &urgent, e);
    if (rc == ERR_OK)
        rc = make(c, pub, urgent, &k->content, e);
    if (rc != ERR_OK)
        return rc;
    c->known = k;
    *ret = k->content;
    return ERR_OK;
}
