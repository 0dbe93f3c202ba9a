#include "domain/enrol.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/page.h"
#include "proto/proto.h"
#include "store/device_store.h"
#include "store/enrol_store.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static void make_token(char out[ENROL_TOKEN_SIZE], unsigned char hash[SHA256_SIZE])
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(ENROL_TOKEN_SIZE);
    unsigned char raw[32];

    rand_bytes(raw, sizeof raw);
    strbuf_puts(&b, "ij_");
    b64u_add(&b, (struct slice){(char *)raw, sizeof raw});
    (void)snprintf(out, ENROL_TOKEN_SIZE, "%s", strbuf_str(&b));
    sha256(slice_of(out), hash);
    secret_wipe(raw, sizeof raw);
}

/* "10.0.0.0/8" without bits beyond the length, or one address. */
static bool network_ok(const char *text)
{
    unsigned char addr[16] = {0};
    char host[64];
    const char *slash = strchr(text, '/');
    size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    uint64_t bits = family == AF_INET ? 32 : 128, len = bits;

    if (n == 0 || n >= sizeof host)
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    if (inet_pton(family, host, addr) != 1 ||
        (slash != NULL && !parse_u64(slice_of(slash + 1), 0, bits, &len)))
        return false;
    for (uint64_t i = len; i < bits; i++) {
        if ((addr[i / 8] >> (7 - i % 8) & 1) != 0)
            return false;
    }
    return true;
}

static enum err_code network_array(const json_t *networks, struct arena *a, const char **ret,
                                   struct err *e)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(16 * KIB);
    size_t i;
    json_t *v;

    strbuf_putc(&b, '{');
    json_array_foreach(networks, i, v)
    {
        if (!json_is_string(v) || !network_ok(json_string_value(v))) {
            char pointer[40];
            (void)snprintf(pointer, sizeof pointer, "/networks/%zu", i);
            return err_field(
                e, ERR_INVALID, pointer,
                "give a network like 10.1.0.0/16 or 2001:db8::/32, without bits beyond its length");
        }
        strbuf_printf(&b, "%s%s", i == 0 ? "" : ",", json_string_value(v));
    }
    strbuf_putc(&b, '}');
    *ret = arena_strdup(a, strbuf_str(&b));
    return strbuf_ok(&b) && *ret != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err_code make_join(const struct app *app, const char *token, int64_t expires_ms,
                               char **ret, struct err *e)
{
    struct proto_join j = {
        .addresses = json_array(), .pins = json_array(), .expires_ms = expires_ms};
    enum err_code rc;

    for (const char *const *s = app->addresses; s != NULL && *s != NULL; s++)
        (void)json_array_append_new(j.addresses, json_string(*s));
    for (const char *const *s = app->tls_pins; s != NULL && *s != NULL; s++)
        (void)json_array_append_new(j.pins, json_string(*s));
    (void)snprintf(j.fleet, sizeof j.fleet, "%s", app->fleet_id);
    (void)snprintf(j.token, sizeof j.token, "%s", token);
    rc = proto_join_format(&j, ret, e);
    proto_join_clear(&j);
    return rc;
}

struct create {
    struct enrol_token_new t;
    const struct actor *by;
    bool dry_run;
};

static enum err_code create_tx(struct db *db, void *ctx, struct err *e)
{
    struct create *c = ctx;
    char object[64];
    AUTO(json_free)
    json_t *detail =
        json_pack("{s:s,s:I,s:s,s:s,s:b,s:s*}", "name", c->t.name, "uses",
                  (json_int_t)c->t.uses_max, "networks", c->t.networks, "name_pattern",
                  c->t.name_pattern, "approval", c->t.approval, "group", c->t.group_id);
    enum err_code rc = enrol_store_token_add(db, &c->t, e);

    (void)snprintf(object, sizeof object, "enrolment-token/%s", c->t.id);
    if (rc == ERR_OK)
        rc = audit_append(db, c->by, "enrolment_token.create", object, detail, e);
    return rc;
}

enum err_code enrol_token_create(struct db *db, struct app *app, const struct enrol_spec *spec,
                                 const struct actor *by, bool dry_run, struct arena *a,
                                 json_t **ret, struct err *e)
{
    struct create c = {.by = by};
    unsigned char hash[SHA256_SIZE];
    char token[ENROL_TOKEN_SIZE], id[UUID_TEXT_SIZE];
    AUTO_STR char *join = NULL;
    enum err_code rc;

    uuid7(id);
    make_token(token, hash);
    c.t = (struct enrol_token_new){.id = id,
                                   .name = spec->name,
                                   .name_pattern = spec->name_pattern,
                                   .placement = spec->placement,
                                   .created_by = by->name,
                                   .hash = hash,
                                   .uses_max = spec->uses,
                                   .approval = spec->approval,
                                   .expires_ms = clock_wall_ms() + spec->expires_in_s * 1000};
    if (strcmp(spec->name, "login") == 0)
        return err_field(e, ERR_INVALID, "/name",
                         "\"login\" is the name of the tokens a sign-in makes; choose another");
    rc = network_array(spec->networks, a, &c.t.networks, e);
    if (rc == ERR_OK && spec->group != NULL &&
        enrol_store_group(db, spec->group, a, &c.t.group_id, e) != ERR_OK)
        rc = e->code == ERR_NOT_FOUND
                 ? err_field(e, ERR_INVALID, "/group", "there is no group \"%s\"", spec->group)
                 : e->code;
    if (rc == ERR_OK)
        rc = make_join(app, token, c.t.expires_ms, &join, e);
    if (rc == ERR_OK && !dry_run)
        rc = tx_run(db, "enrolment_token.create", create_tx, &c, e);
    if (rc == ERR_OK) {
        *ret = json_pack("{s:s,s:s,s:I,s:i,s:o,s:b}", "id", id, "name", spec->name, "uses",
                         (json_int_t)spec->uses, "used", 0, "expires_at", time_json(c.t.expires_ms),
                         "approval", spec->approval);
        if (!dry_run && *ret != NULL) {
            (void)json_object_set_new(*ret, "token", json_string(token));
            (void)json_object_set_new(*ret, "join", json_string(join));
        }
    }
    secret_wipe(token, sizeof token);
    if (join != NULL)
        secret_wipe(join, strlen(join));
    return rc;
}

static json_t *token_json(const struct enrol_token *t, json_t *devices)
{
    const char *state = t->revoked_ms != 0                 ? "revoked"
                        : t->expires_ms <= clock_wall_ms() ? "expired"
                        : t->uses >= t->uses_max           ? "used"
                                                           : "open";
    AUTO(json_free) json_t *networks = json_array();
    struct slice rest = slice_of(t->networks);

    if (rest.n > 2) { /* "{a,b}": CIDR texts need no quotes */
        rest = (struct slice){rest.p + 1, rest.n - 2};
        while (rest.n > 0) {
            struct slice one = slice_cut(&rest, ',');
            (void)json_array_append_new(networks, json_stringn(one.p, one.n));
        }
    }
    return json_pack("{s:s,s:s,s:s,s:I,s:I,s:O,s:o,s:s,s:s,s:b,s:s,s:o,s:o,s:o,s:o}", "id", t->id,
                     "name", t->name, "state", state, "used", (json_int_t)t->uses, "uses",
                     (json_int_t)t->uses_max, "networks", networks, "group",
                     t->group_id[0] == '\0' ? json_null() : json_string(t->group_id),
                     "name_pattern", t->name_pattern, "placement", t->placement, "approval",
                     t->approval, "created_by", t->created_by, "created_at",
                     time_json(t->created_ms), "expires_at", time_json(t->expires_ms), "revoked_at",
                     time_json(t->revoked_ms), "devices", devices);
}

enum err_code enrol_token_list(struct db *db, const char *cursor, int64_t limit, struct arena *a,
                               json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct enrol_token *v = NULL;
    size_t n = 0;
    enum err_code rc;

    if (cursor[0] != '\0' && !uuid_is_valid(cursor))
        return err_field(e, ERR_INVALID, "/query/cursor", "not a cursor of this list");
    rc = enrol_store_token_list(db, cursor, limit, a, &v, &n, e);
    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        json_t *devices = NULL;
        rc = device_store_by_token(db, v[i].id, &devices, e);
        if (rc == ERR_OK)
            (void)json_array_append_new(items, token_json(&v[i], devices));
    }
    if (rc == ERR_OK)
        *ret = json_pack("{s:O,s:o}", "items", items, "next",
                         (int64_t)n == limit && n > 0 ? json_string(v[n - 1].id) : json_null());
    return rc;
}

struct revoke {
    const char *id;
    const struct actor *by;
    bool dry_run;
    int64_t n;
};

static enum err_code revoke_tx(struct db *db, void *ctx, struct err *e)
{
    struct revoke *r = ctx;
    char object[64];
    enum err_code rc = enrol_store_token_revoke(db, r->id, &r->n, e);

    (void)snprintf(object, sizeof object, "enrolment-token/%s", r->id);
    if (rc == ERR_OK && r->n == 0)
        rc = err_set(e, ERR_NOT_FOUND, "there is no enrolment token \"%s\" that is not revoked",
                     r->id);
    return rc == ERR_OK ? audit_append(db, r->by, "enrolment_token.revoke", object, NULL, e) : rc;
}

enum err_code enrol_token_revoke(struct db *db, const char *id, const struct actor *by,
                                 bool dry_run, json_t **ret, struct err *e)
{
    struct revoke r = {.id = id, .by = by};
    json_t *devices = NULL;
    enum err_code rc;

    if (!uuid_is_valid(id))
        return err_set(e, ERR_NOT_FOUND, "there is no enrolment token \"%s\"", id);
    rc = device_store_by_token(db, id, &devices, e);
    if (rc == ERR_OK && !dry_run)
        rc = tx_run(db, "enrolment_token.revoke", revoke_tx, &r, e);
    if (rc == ERR_OK)
        *ret = json_pack("{s:O}", "devices", devices);
    json_decref(devices);
    return rc;
}

enum err_code enrol_token_for_login(struct db *db, const struct who *who, const struct actor *by,
                                    char ret_token[ENROL_TOKEN_SIZE], struct err *e)
{
    unsigned char hash[SHA256_SIZE];
    char id[UUID_TEXT_SIZE];
    struct create c = {.by = by};
    enum err_code rc;

    if ((who->perms & PERM_ENROL) == 0)
        return err_set(e, ERR_FORBIDDEN, "this account may not enrol devices");
    uuid7(id);
    make_token(ret_token, hash);
    c.t =
        (struct enrol_token_new){.id = id,
                                 .name = "login",
                                 .networks = "{}",
                                 .name_pattern = "*",
                                 .placement = "edge",
                                 .created_by = who->name,
                                 .hash = hash,
                                 .uses_max = 1,
                                 .expires_ms = clock_wall_ms() + (int64_t)ENROL_LOGIN_TTL_S * 1000};
    rc = tx_run(db, "enrolment_token.create", create_tx, &c, e);
    if (rc != ERR_OK)
        secret_wipe(ret_token, ENROL_TOKEN_SIZE);
    return rc;
}
