#include "foxproxy/ini_private.h"

#include "base/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECTIONS_MAX = 8, LINE_MAX_BYTES = 2048, KEYS_MAX = 16 };

struct reader {
    struct ini *ini;
    struct ini_faults *f;
    unsigned line;
    const struct ini_section *in; /* NULL: before the first, or in one that is unknown */
    bool lost;                    /* in an unknown section: its keys are not named one by one */
    bool had[SECTIONS_MAX];
    uint32_t keys[SECTIONS_MAX]; /* bit of the key's index: it was there */
};

static void fault(struct reader *r, const struct err *e, unsigned line)
{
    if (r->f->n == INI_FAULTS_MAX)
        return;
    r->f->v[r->f->n].line = line;
    r->f->v[r->f->n].e = *e;
    r->f->n++;
}

/* What stood in the section before and has to, where there are many of its kind. */
static void look_for_keys(struct reader *r, size_t s, unsigned line)
{
    const struct ini_section *in = &ini_sections[s];
    struct err e;

    for (size_t i = 0; i < in->n; i++) {
        if (!in->keys[i].required || (r->keys[s] & 1U << i) != 0)
            continue;
        (void)err_set(&e, ERR_INVALID, "[%s] needs the key \"%s\"", in->name, in->keys[i].name);
        fault(r, &e, line);
    }
}

/* One more of many: [zone NAME]. */
static void named_section(struct reader *r, size_t i, struct slice name)
{
    struct err e;

    r->in = &ini_sections[i];
    r->lost = false;
    if (r->had[i])
        look_for_keys(r, i, r->line);
    r->had[i] = true;
    r->keys[i] = 0;
    if (r->in->begin(r->ini, name, &e) == ERR_OK)
        return;
    fault(r, &e, r->line);
    r->keys[i] = UINT32_MAX; /* one fault is enough */
    r->in = NULL;
    r->lost = true;
}

static void section(struct reader *r, struct slice name)
{
    struct err e;

    r->in = NULL;
    r->lost = true;
    for (size_t i = 0; i < ini_sections_n; i++) {
        size_t n = strlen(ini_sections[i].name);
        if (ini_sections[i].begin != NULL && slice_starts(name, ini_sections[i].name) &&
            name.n > n && name.p[n] == ' ') {
            named_section(r, i, slice_trim((struct slice){name.p + n, name.n - n}));
            return;
        }
        if (ini_sections[i].begin != NULL || !slice_is(name, ini_sections[i].name))
            continue;
        r->in = &ini_sections[i];
        r->lost = false;
        if (r->had[i]) {
            (void)err_set(&e, ERR_INVALID, "section [%s] stands twice", r->in->name);
            fault(r, &e, r->line);
        }
        r->had[i] = true;
        return;
    }
    (void)err_set(&e, ERR_INVALID, "there is no section [%.*s]", (int)(name.n < 80 ? name.n : 80),
                  name.p);
    fault(r, &e, r->line);
}

static void key_value(struct reader *r, struct slice key, struct slice value)
{
    struct err e;
    size_t at;

    if (r->in == NULL) {
        if (!r->lost) {
            (void)err_set(&e, ERR_INVALID, "a key needs a [section] before it");
            fault(r, &e, r->line);
        }
        return;
    }
    at = (size_t)(r->in - ini_sections);
    for (size_t i = 0; i < r->in->n; i++) {
        const struct ini_key *k = &r->in->keys[i];
        if (!slice_is(key, k->name))
            continue;
        if (!k->many && (r->keys[at] & 1U << i) != 0) {
            (void)err_set(&e, ERR_INVALID, "\"%s\" stands twice in [%s]", k->name, r->in->name);
            fault(r, &e, r->line);
        } else if (k->take(r->ini, value, &e) != ERR_OK) {
            (void)err_wrap(&e, "%s", k->name);
            fault(r, &e, r->line);
        }
        r->keys[at] |= 1U << i;
        return;
    }
    (void)err_set(&e, ERR_INVALID, "[%s] has no key \"%.*s\"", r->in->name,
                  (int)(key.n < 80 ? key.n : 80), key.p);
    fault(r, &e, r->line);
}

static void one_line(struct reader *r, struct slice line)
{
    struct slice rest = line, key;
    struct err e;

    if (line.n > LINE_MAX_BYTES || !slice_is_text(line)) {
        (void)err_set(&e, ERR_INVALID,
                      "a line is text of at most %d bytes without control characters",
                      LINE_MAX_BYTES);
        fault(r, &e, r->line);
        return;
    }
    if (line.n == 0 || line.p[0] == '#')
        return;
    if (line.p[0] == '[' && line.p[line.n - 1] == ']') {
        section(r, slice_trim((struct slice){line.p + 1, line.n - 2}));
        return;
    }
    if (memchr(line.p, '=', line.n) == NULL) {
        (void)err_set(&e, ERR_INVALID, "a line is \"[section]\", \"key = value\" or begins with #");
        fault(r, &e, r->line);
        return;
    }
    key = slice_trim(slice_cut(&rest, '='));
    key_value(r, key, slice_trim(rest));
}

/* What must be there and is not. */
static void look_for_missing(struct reader *r)
{
    struct err e;

    for (size_t s = 0; s < ini_sections_n; s++) {
        const struct ini_section *in = &ini_sections[s];
        if (!r->had[s]) {
            if (in->required) {
                (void)err_set(&e, ERR_INVALID, "section [%s] is missing", in->name);
                fault(r, &e, 0);
            }
            continue;
        }
        look_for_keys(r, s, 0);
    }
}

/* Mail that foxproxy hands to itself never ends. */
static void look_for_circle(struct reader *r)
{
    const struct ini *ini = r->ini;
    struct err e;

    for (size_t i = 0; i < ini->listens; i++) {
        const struct addr_port *l = &ini->listen[i];
        static const uint8_t none[16] = {0};
        bool any = iplist_is_v4(&l->addr) ? memcmp(l->addr.b + 12, none, 4) == 0
                                          : memcmp(l->addr.b, none, 16) == 0;
        if (l->port == ini->backend.port &&
            iplist_is_v4(&l->addr) == iplist_is_v4(&ini->backend.addr) &&
            (any || addr_eq(&l->addr, &ini->backend.addr))) {
            (void)err_set(&e, ERR_INVALID,
                          "backend is an address of listen: mail would go round for ever");
            fault(r, &e, 0);
            return;
        }
    }
}

enum err_code ini_parse(struct slice text, struct ini *ret, struct ini_faults *f, struct err *e)
{
    struct ini *ini = calloc(1, sizeof *ini);
    struct reader r = {.ini = ini, .f = f};
    struct slice rest = text;
    enum err_code rc = ERR_OK;

    f->n = 0;
    if (ini == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    ini->max_sessions = 100;
    ini->connect_timeout_ms = 5000;
    ini->idle_timeout_s = 600;
    ini->blocked_reply = (struct ini_reply){.code = 554, .status = "5.7.1"};
    reputation_conf_init(&ini->rep);
    while (rest.n > 0) {
        r.line++;
        one_line(&r, slice_trim(slice_cut(&rest, '\n')));
    }
    look_for_missing(&r);
    ini_zones_finish(ini);
    if (f->n == 0)
        look_for_circle(&r);
    if (f->n > 0) {
        if (e != NULL)
            *e = f->v[0].e;
        rc = f->v[0].line > 0 ? err_wrap(e, "line %u", f->v[0].line) : ERR_INVALID;
    } else {
        *ret = *ini;
    }
    free(ini);
    return rc;
}

enum err_code ini_load(const char *path, struct ini *ret, struct ini_faults *f, struct err *e)
{
    AUTO_STR char *text = NULL;
    size_t n = 0;

    f->n = 0;
    if (file_read(path, INI_FILE_MAX, &text, &n, e) != ERR_OK)
        return e->code;
    return ini_parse((struct slice){text, n}, ret, f, e);
}

bool ini_is_balancer(const struct ini *ini, const struct iplist_addr *a)
{
    for (size_t i = 0; i < ini->balancers; i++)
        if (addr_net_has(&ini->balancer[i], a))
            return true;
    return false;
}

const char *ini_mode_name(enum ini_mode m)
{
    return m == INI_ON ? "on" : m == INI_LOG ? "log" : "off";
}
