// libs: inari_http_core inari_base
/* Request line, headers, query, form, cookies, languages, ETags, routes: the first byte chooses,
 * lines are split here. */
#include "http/gate.h"
#include "http/params.h"
#include "http/router.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code nothing(struct req *rq, struct reply *rp, struct err *e)
{
    (void)rq;
    (void)rp;
    return err_set(e, ERR_NOT_FOUND, "nothing");
}

static const struct route table[] = {
    {"GET", "/", nothing, PERM_NONE, 0, 0},
    {"GET", "/api/v1/devices/{id}", nothing, PERM_NONE, 0, 0},
    {"POST", "/api/v1/devices/{id}/{verb}/x/{a}/{b}", nothing, PERM_NONE, 0, 0},
    {NULL, NULL, NULL, 0, 0, 0},
};

/* What the gate let through must be what it promises. */
static void check_admitted(const struct gate_request *rq, const struct gate_result *r,
                           struct arena *a)
{
    static struct router *router;
    struct router_match m;
    struct err e;
    size_t hosts = 0, lengths = 0, codings = 0;

    for (size_t i = 0; i < rq->n_fields; i++) {
        hosts += gate_field(&rq->fields[i], 1, "host") != NULL;
        lengths += gate_field(&rq->fields[i], 1, "content-length") != NULL;
        codings += gate_field(&rq->fields[i], 1, "transfer-encoding") != NULL;
        for (size_t k = 0; k < rq->fields[i].value.n; k++)
            if ((unsigned char)rq->fields[i].value.p[k] < 0x20 && rq->fields[i].value.p[k] != '\t')
                abort();
    }
    if (hosts != 1 || lengths + codings > 1 || r->host[0] == '\0' || r->path.p[0] != '/')
        abort();
    if (router == NULL)
        router = router_new(table);
    if (router_find(router, rq->method, r->path, &m, &e) == ERR_OK)
        for (size_t i = 0; i < ROUTER_PARAMS && m.param[i].p != NULL; i++) {
            char *s = params_segment(m.param[i], ROUTER_PARAM_MAX, a);
            /* No separator may come out of one segment. */
            if (s != NULL &&
                (strlen(s) > ROUTER_PARAM_MAX || strchr(s, '/') != NULL || strcmp(s, "..") == 0))
                abort();
        }
}

static void gate(struct slice text, struct arena *a)
{
    struct gate_field fields[GATE_FIELDS_MAX + 1];
    struct gate_request rq = {.fields = fields};
    struct gate_result result;
    struct slice line = slice_cut(&text, '\n');
    struct err e;

    rq.method = slice_cut(&line, ' ');
    rq.target = slice_cut(&line, ' ');
    rq.version = line.n == 0 ? slice_of("HTTP/1.1") : line;
    while (text.n > 0 && rq.n_fields < COUNT_OF(fields)) {
        struct slice value = slice_cut(&text, '\n'), name = slice_cut(&value, ':');
        if (value.p == NULL)
            value = slice_of("");
        fields[rq.n_fields++] = (struct gate_field){name, value};
    }
    if (gate_check(&rq, &result, &e) == ERR_OK)
        check_admitted(&rq, &result, a);
}

static void params(struct slice text, struct arena *a)
{
    struct param_list p;
    struct err e;

    if (params_parse(text, a, &p, &e) != ERR_OK)
        return;
    for (size_t i = 0; i < p.n; i++)
        if (params_get(&p, p.v[i].name) != p.v[i].value || !slice_is_text(slice_of(p.v[i].value)))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena_free) struct arena *a = arena_new(MIB);
    struct slice text = {(const char *)data + 1, size - 1};
    char buf[64], host[GATE_HOST_MAX];
    enum lang lang;

    if (size == 0 || a == NULL)
        return 0;
    switch (data[0] % 8) {
    case 0:
        params(text, a);
        break;
    case 1:
        if (cookie_find(text, "__Host-inari", buf, sizeof buf) && strlen(buf) >= sizeof buf)
            abort();
        break;
    case 2:
        (void)accept_language(text, &lang);
        break;
    case 3:
        (void)etag_listed(text, "abc", true);
        (void)media_type_is(text, "application/json");
        break;
    case 4:
        if (gate_host(text, host) && host[0] == '\0')
            abort();
        break;
    default:
        gate(text, a);
    }
    return 0;
}
