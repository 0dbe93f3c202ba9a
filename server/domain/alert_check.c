#include "domain/alert_check.h"

#include "base/clock.h"
#include "base/rand.h"
#include "domain/alert_kind.h"
#include "domain/page.h"

#include <stdio.h>

enum {
    CHANNELS_MAX = 50,
    MONTH_S = 30 * 86400,
    SILENCE_MAX_S = 366 * 86400,
};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

enum err_code alert_check_name(const char *name, struct err *e)
{
    size_t n = strlen(name);

    if (!uuid_is_valid(name) &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n &&
        name[0] != '.' && name[0] != '-')
        return ERR_OK;
    return err_field(e, ERR_INVALID, "/name",
                     "a name has letters, digits, '.', '_' and '-', begins with a letter or digit "
                     "and is no id");
}

/* "name or id", or {"id":..} as it was read; *ret NULL: none. */
static enum err_code find(struct db *db, const char *kind, const json_t *v, const char *at,
                          struct arena *a, const char **ret, struct err *e)
{
    const char *ref = json_is_string(v) ? json_string_value(v) : json_str(v, "id", NULL);
    json_t *rule = NULL;
    enum err_code rc;

    *ret = NULL;
    if (v == NULL || json_is_null(v))
        return ERR_OK;
    if (ref == NULL || ref[0] == '\0' || strlen(ref) > 100)
        return err_field(e, ERR_INVALID, at, "a name or an id is needed");
    if (strcmp(kind, "rule") == 0) {
        rc = alert_store_get(db, ALERT_RULE, ref, clock_wall_ms(), a, &rule, e);
        if (rc == ERR_OK)
            *ret = json_str(rule, "id", "");
    } else {
        rc = alert_store_find(db, kind, ref, a, ret, e);
    }
    return rc == ERR_NOT_FOUND ? err_field(e, ERR_INVALID, at, "there is no \"%s\" here", ref) : rc;
}

/* --- rules --- */

struct rule {
    const char *name;
    json_t *parameters, *scope, *channels;
    int64_t for_s, clear_s, group_wait_s, group_interval_s, repeat_s, trap;
    int kind, severity;
    bool enabled;
};
static const char *const severities[] = {"info", "warning", "critical", NULL};
static const char *const scopes[] = {"fleet", "group", "device", NULL};

static enum err_code check_scope(struct db *db, const struct rule *r, const char **ret_kind,
                                 const char **ret_id, struct arena *a, struct err *e)
{
    struct scope {
        int kind;
        json_t *id, *name;
    } s = {.kind = 0};
    static const struct jdec_field fields[] = {
        JDEC_ENUM(struct scope, kind, JD_REQUIRED, scopes),
        JDEC_ANY(struct scope, id, 0),
        JDEC_ANY(struct scope, name, 0), /* as it was read */
        JDEC_END,
    };
    enum err_code rc = r->scope == NULL
                           ? ERR_OK
                           : jdec_object(r->scope, fields, JD_REFUSE_UNKNOWN, "/scope", &s, e);

    *ret_kind = scopes[s.kind];
    *ret_id = NULL;
    if (rc != ERR_OK || s.kind == 0)
        return rc;
    if (!alert_kinds[r->kind].devices)
        return err_field(e, ERR_INVALID, "/scope/kind",
                         "a rule of kind \"%s\" is about no device: its scope is the fleet",
                         alert_kind_words[r->kind]);
    rc = find(db, *ret_kind, s.id, "/scope/id", a, ret_id, e);
    return rc == ERR_OK && *ret_id == NULL
               ? err_field(e, ERR_INVALID, "/scope/id", "a name or an id is needed")
               : rc;
}

/* Names become ids. */
static enum err_code check_channels(struct db *db, const json_t *given, struct arena *a,
                                    json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *out = given == NULL ? json_null() : json_array();
    json_t *v, *channel = NULL;
    char at[40];
    size_t i;

    json_array_foreach(given, i, v)
    {
        enum err_code rc = ERR_NOT_FOUND;
        (void)snprintf(at, sizeof at, "/channels/%zu", i);
        if (json_is_string(v))
            rc = alert_store_get(db, ALERT_CHANNEL, json_string_value(v), clock_wall_ms(), a,
                                 &channel, e);
        if (rc == ERR_NOT_FOUND)
            return err_field(e, ERR_INVALID, at,
                             "there is no such channel: name one by its name or id");
        if (rc != ERR_OK)
            return rc;
        (void)json_array_append(out, json_object_get(channel, "id"));
    }
    *ret = TAKE(out);
    return ERR_OK;
}

static enum err_code check_rule(struct db *db, const json_t *doc, const json_t *before,
                                struct arena *a, json_t **ret, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_STR(struct rule, name, JD_REQUIRED, 1, 63),
        JDEC_ENUM(struct rule, kind, JD_REQUIRED, alert_kind_words),
        JDEC_OBJECT(struct rule, parameters, 0),
        JDEC_ENUM(struct rule, severity, 0, severities),
        JDEC_BOOL(struct rule, enabled, 0),
        JDEC_INT(struct rule, for_s, 0, 0, MONTH_S),
        JDEC_INT(struct rule, clear_s, 0, 0, MONTH_S),
        JDEC_OBJECT(struct rule, scope, 0),
        JDEC_ARRAY(struct rule, channels, JD_NULL_OK, CHANNELS_MAX),
        JDEC_INT(struct rule, group_wait_s, 0, 0, 3600),
        JDEC_INT(struct rule, group_interval_s, 0, 0, 86400),
        JDEC_INT(struct rule, repeat_s, 0, 0, MONTH_S),
        JDEC_INT(struct rule, trap, JD_NULL_OK, 1, INT32_MAX),
        JDEC_END,
    };
    struct rule r = {.severity = 1,
                     .enabled = true,
                     .for_s = 120,
                     .clear_s = 60,
                     .group_wait_s = 20,
                     .group_interval_s = 300};
    AUTO(json_free) json_t *params = NULL;
    AUTO(json_free) json_t *channels = NULL;
    const char *scope = NULL, *scope_id = NULL;
    enum err_code rc = jdec_object(doc, fields, JD_REFUSE_UNKNOWN, "", &r, e);

    if (rc == ERR_OK)
        rc = alert_check_name(r.name, e);
    if (rc == ERR_OK && before != NULL &&
        strcmp(json_str(before, "kind", ""), alert_kind_words[r.kind]) != 0)
        return err_field(e, ERR_INVALID, "/kind",
                         "the kind stays as it was: make a new one instead");
    if (rc == ERR_OK && r.repeat_s != 0 && r.repeat_s < 300)
        return err_field(e, ERR_INVALID, "/repeat_s",
                         "0 for never, or a time from 300 s on is needed");
    if (rc == ERR_OK)
        rc = alert_kind_params(&alert_kinds[r.kind], r.parameters, "/parameters", &params, e);
    if (rc == ERR_OK)
        rc = check_scope(db, &r, &scope, &scope_id, a, e);
    if (rc == ERR_OK)
        rc = check_channels(db, r.channels, a, &channels, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack(
        "{s:s,s:s,s:O,s:s,s:b,s:I,s:I,s:{s:s,s:s?},s:O,s:I,s:I,s:I,s:o}", "name", r.name, "kind",
        alert_kind_words[r.kind], "parameters", params, "severity", severities[r.severity],
        "enabled", r.enabled, "for_s", (json_int_t)r.for_s, "clear_s", (json_int_t)r.clear_s,
        "scope", "kind", scope, "id", scope_id, "channels", channels, "group_wait_s",
        (json_int_t)r.group_wait_s, "group_interval_s", (json_int_t)r.group_interval_s, "repeat_s",
        (json_int_t)r.repeat_s, "trap", r.trap == 0 ? json_null() : json_integer(r.trap));
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* --- silences --- */

static enum err_code check_silence(struct db *db, const json_t *doc, struct arena *a, json_t **ret,
                                   struct err *e)
{
    struct silence {
        json_t *rule, *device, *group;
        int64_t starts_at, ends_at;
        const char *reason;
    } s = {.starts_at = clock_wall_ms()};
    static const struct jdec_field fields[] = {
        JDEC_ANY(struct silence, rule, 0),
        JDEC_ANY(struct silence, device, 0),
        JDEC_ANY(struct silence, group, 0),
        JDEC_TIME(struct silence, starts_at, 0),
        JDEC_TIME(struct silence, ends_at, JD_REQUIRED),
        JDEC_STR(struct silence, reason, JD_REQUIRED, 1, 500),
        JDEC_END,
    };
    const char *rule = NULL, *device = NULL, *group = NULL;
    enum err_code rc = jdec_object(doc, fields, JD_REFUSE_UNKNOWN, "", &s, e);

    if (rc == ERR_OK && (s.ends_at <= clock_wall_ms() || s.ends_at <= s.starts_at))
        return err_field(e, ERR_INVALID, "/ends_at",
                         "a silence ends in the future, and after it has begun");
    if (rc == ERR_OK && s.ends_at - clock_wall_ms() > SILENCE_MAX_S * INT64_C(1000))
        return err_field(e, ERR_INVALID, "/ends_at",
                         "a silence ends within a year: switch the rule off for longer");
    if (rc == ERR_OK)
        rc = find(db, "rule", s.rule, "/rule", a, &rule, e);
    if (rc == ERR_OK)
        rc = find(db, "device", s.device, "/device", a, &device, e);
    if (rc == ERR_OK)
        rc = find(db, "group", s.group, "/group", a, &group, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:{s:s?},s:{s:s?},s:{s:s?},s:o,s:o,s:s}", "rule", "id", rule, "device", "id",
                     device, "group", "id", group, "starts_at", time_json(s.starts_at), "ends_at",
                     time_json(s.ends_at), "reason", s.reason);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

enum err_code alert_check(struct db *db, enum alert_thing what, const json_t *doc,
                          const json_t *before, struct arena *a, json_t **ret, struct err *e)
{
    return what == ALERT_RULE      ? check_rule(db, doc, before, a, ret, e)
           : what == ALERT_CHANNEL ? alert_check_channel(doc, before, ret, e)
                                   : check_silence(db, doc, a, ret, e);
}
