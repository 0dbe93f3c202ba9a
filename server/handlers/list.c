#include "handlers/list.h"

#include "base/strbuf.h"
#include "domain/list.h"
#include "handlers/common.h"

#include <stdio.h>
#include <string.h>

/* --- what the changes share --- */

/* If-Match is compared when it is sent: a row is there or not, whoever else changes others. */
static enum err_code change_of(struct req *rq, struct reply *rp, const struct actor *by,
                               const char *reason, struct list_change *ret, struct err *e)
{
    const char *force = req_query(rq, "force"), *match = req_header(rq, "If-Match");
    int64_t version = 0;
    enum err_code rc;

    if (force != NULL && (force[0] == '\0' || strlen(force) > LIST_REASON_MAX))
        return err_field(e, ERR_INVALID, "/query/force", "a reason has 1 to %d bytes",
                         LIST_REASON_MAX);
    *ret = (struct list_change){.app = rq->app,
                                .by = by,
                                .reason = reason == NULL ? "" : reason,
                                .force = force,
                                .if_version = -1,
                                .dry_run = rq->dry_run,
                                .f = &rp->findings};
    if (match == NULL)
        return ERR_OK;
    rc = list_version(rq->db, rq->param[0], &version, e);
    if (rc == ERR_OK)
        rc = req_if_version(rq, version, e);
    ret->if_version = version;
    return rc;
}

static enum err_code done(struct reply *rp, json_t *result, struct err *e)
{
    return reply_resource(rp, 200, result, json_int(result, "version", 0), e);
}

static enum err_code known(struct req *rq, struct err *e)
{
    int64_t version;

    return list_version(rq->db, rq->param[0], &version, e);
}

/* --- reading --- */

enum err_code list_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    enum err_code rc = items == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;

    for (size_t i = 0; rc == ERR_OK && list_names[i] != NULL; i++) {
        json_t *one = NULL;
        int64_t version = 0;
        rc = list_describe(rq->db, list_names[i], &one, &version, e);
        if (rc == ERR_OK && json_array_append_new(items, one) != 0)
            rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    return rc == ERR_OK ? reply_items(rp, TAKE(items), NULL, e) : rc;
}

enum err_code list_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    int64_t version = 0;
    enum err_code rc = list_describe(rq->db, rq->param[0], &j, &version, e);

    return rc == ERR_OK ? reply_resource(rp, 200, j, version, e) : rc;
}

static enum err_code read_network(const char *text, const char *at, struct arena *a,
                                  const char **ret, struct err *e)
{
    char buf[IPNET_TEXT_MAX];
    struct ipnet net;

    if (ipnet_parse(slice_of(text), &net) != IPNET_OK)
        return err_field(e, ERR_INVALID, at, "a network is like 192.0.2.0/24 or 2001:db8::/32");
    ipnet_format_prefix(&net, buf);
    *ret = arena_strdup(a, buf);
    return *ret == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
}

static enum err_code scope_id(struct req *rq, const char *scope, const char **ret, struct err *e)
{
    const char *group, *device;
    enum err_code rc = list_scope(rq->db, scope, rq->arena, &group, &device, e);

    *ret = group != NULL ? group : device != NULL ? device : LIST_FLEET;
    return rc;
}

static enum err_code filter_of(struct req *rq, struct list_filter *ret, struct err *e)
{
    const char *scope = req_query(rq, "scope"), *expired = req_query(rq, "expired");
    const char *net = req_query(rq, "network");
    enum err_code rc = ERR_OK;

    *ret =
        (struct list_filter){.author = req_query(rq, "author"), .text = req_query(rq, "comment")};
    if (scope != NULL)
        rc = scope_id(rq, scope, &ret->scope, e);
    if (rc == ERR_OK && net != NULL)
        rc = read_network(net, "/query/network", rq->arena, &ret->net, e);
    if (rc == ERR_OK && expired != NULL && strcmp(expired, "true") != 0 &&
        strcmp(expired, "false") != 0)
        return err_field(e, ERR_INVALID, "/query/expired", "expired is true or false");
    if (expired != NULL)
        ret->expired = strcmp(expired, "true") == 0 ? 1 : 2;
    return rc;
}

enum err_code list_rows_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "", *address = req_query(rq, "address");
    struct list_filter f;
    json_t *j = NULL;
    char next[110];
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK && address != NULL) {
        rc = list_search(rq->db, rq->param[0], address, rq->arena, &j, e);
        return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
    }
    if (rc == ERR_OK)
        rc = filter_of(rq, &f, e);
    if (rc == ERR_OK)
        rc = list_rows_json(rq->db, rq->param[0], &f, cursor, limit, rq->arena, &j, next, e);
    return rc == ERR_OK ? reply_items(rp, j, next, e) : rc;
}

static enum err_code id_of(const struct req *rq, int64_t *ret, struct err *e)
{
    return parse_i64(slice_of(rq->param[1]), 1, INT64_MAX, ret)
               ? ERR_OK
               : err_set(e, ERR_NOT_FOUND, "\"%s\" is no number of a row or version", rq->param[1]);
}

enum err_code list_row_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    int64_t id = 0;
    enum err_code rc = id_of(rq, &id, e);

    if (rc == ERR_OK)
        rc = list_row_json(rq->db, rq->param[0], id, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code list_overlaps_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *j = NULL;
    char next[110];
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = list_overlaps(rq->db, rq->param[0], cursor, limit, rq->arena, &j, next, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code list_export_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *format = req_query(rq, "format");
    bool csv = format == NULL || strcmp(format, "csv") == 0;
    struct list_filter f;
    enum err_code rc = filter_of(rq, &f, e);

    if (rc == ERR_OK && !csv && strcmp(format, "plain") != 0)
        return err_field(e, ERR_INVALID, "/query/format", "format is csv or plain");
    if (rc == ERR_OK)
        rc = list_export(rq->db, rq->param[0], &f, csv, &rp->text, &rp->text_n, e);
    if (rc != ERR_OK)
        return rc;
    reply_header(rp, "Content-Disposition", "attachment; filename=\"%s.%s\"", rq->param[0],
                 csv ? "csv" : "txt");
    rp->content_type = csv ? "text/csv; charset=utf-8" : "text/plain; charset=utf-8";
    return ERR_OK;
}

enum err_code list_change_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    const char *cursor = "";
    json_t *items = NULL;
    char next[110];
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &cursor, e);

    if (rc == ERR_OK)
        rc = list_history(rq->db, rq->param[0], cursor, limit, rq->arena, &items, next, e);
    return rc == ERR_OK ? reply_items(rp, items, next, e) : rc;
}

enum err_code list_change_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    int64_t version = 0, after = 0, limit = 0;
    json_t *j = NULL;
    enum err_code rc = id_of(rq, &version, e);

    if (rc == ERR_OK)
        rc = req_query_int(rq, "after", 0, INT64_MAX, 0, &after, e);
    if (rc == ERR_OK)
        rc = req_query_int(rq, "limit", 1, 500, 50, &limit, e);
    if (rc == ERR_OK)
        rc = list_history_one(rq->db, rq->param[0], version, after, (int)limit, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

/* --- changing --- */

struct add_body {
    json_t *rows;
    json_t *text; /* a string of several lines */
    const char *scope, *comment, *reason;
    int64_t expires_at;
    int format, mode;
};

static struct list_defaults defaults_of(const struct add_body *b)
{
    return (struct list_defaults){.scope = b->scope == NULL ? "fleet" : b->scope,
                                  .comment = b->comment == NULL ? "" : b->comment,
                                  .expires_ms = b->expires_at};
}

enum err_code list_rows_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    const struct jdec_field fields[] = {
        JDEC_ARRAY(struct add_body, rows, JD_REQUIRED, LIST_CALL_MAX),
        JDEC_STR(struct add_body, scope, 0, 1, 210),
        JDEC_STR(struct add_body, comment, 0, 0, LIST_COMMENT_MAX),
        JDEC_TIME(struct add_body, expires_at, JD_NULL_OK),
        JDEC_STR(struct add_body, reason, 0, 0, LIST_REASON_MAX),
        JDEC_END,
    };
    struct list_wants w = {0};
    struct list_defaults d;
    struct list_change c;
    struct add_body b = {0};
    json_t *result = NULL;
    enum err_code rc = known(rq, e);

    if (rc == ERR_OK)
        rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &b, e);
    d = defaults_of(&b);
    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, b.reason, &c, e);
    if (rc == ERR_OK)
        rc = list_wants_rows(rq->db, b.rows, &d, rq->arena, &w, &rp->findings, e);
    if (rc == ERR_OK)
        rc = list_add(rq->db, rq->param[0], &w, &c, &result, e);
    list_wants_clear(&w);
    return rc == ERR_OK ? done(rp, result, e) : rc;
}

enum err_code list_import_post(struct req *rq, struct reply *rp, struct err *e)
{
    static const char *const formats[] = {"csv", "plain", NULL};
    static const char *const modes[] = {"add", "replace", NULL};
    const struct actor by = req_actor(rq);
    const struct jdec_field fields[] = {
        JDEC_ANY(struct add_body, text, JD_REQUIRED),
        JDEC_ENUM(struct add_body, format, 0, formats),
        JDEC_ENUM(struct add_body, mode, 0, modes),
        JDEC_STR(struct add_body, scope, 0, 1, 210),
        JDEC_STR(struct add_body, comment, 0, 0, LIST_COMMENT_MAX),
        JDEC_TIME(struct add_body, expires_at, JD_NULL_OK),
        JDEC_STR(struct add_body, reason, 0, 0, LIST_REASON_MAX),
        JDEC_END,
    };
    struct list_wants w = {0};
    struct list_defaults d;
    struct list_change c;
    struct add_body b = {0};
    const char *replace = NULL;
    json_t *result = NULL;
    enum err_code rc = known(rq, e);

    if (rc == ERR_OK)
        rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &b, e);
    if (rc == ERR_OK && !json_is_string(b.text))
        rc = err_field(e, ERR_INVALID, "/text", "the text of the file is needed");
    d = defaults_of(&b);
    if (rc == ERR_OK && b.mode == 1)
        rc = scope_id(rq, d.scope, &replace, e);
    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, b.reason, &c, e);
    if (rc == ERR_OK)
        rc = list_wants_text(rq->db,
                             (struct slice){json_string_value(b.text), json_string_length(b.text)},
                             b.format == 0, &d, rq->arena, &w, &rp->findings, e);
    if (rc == ERR_OK)
        rc = list_import(rq->db, rq->param[0], &w, replace, &c, &result, e);
    list_wants_clear(&w);
    return rc == ERR_OK ? done(rp, result, e) : rc;
}

struct remove_body {
    json_t *ids, *networks, *match;
    const char *scope, *reason;
};
struct match_body {
    const char *scope, *author, *comment, *network;
    bool expired, all;
};

/* Members of an array as the text of PostgreSQL's. */
static enum err_code array_text(const json_t *array, bool ids, struct strbuf *b, struct err *e)
{
    struct list_wants w = {0};
    const struct list_want none = {.comment = ""};
    enum err_code rc = ERR_OK;
    size_t i;
    json_t *j;

    strbuf_putc(b, '{');
    json_array_foreach(array, i, j)
    {
        if (rc == ERR_OK && ids && !json_is_integer(j))
            rc = err_field(e, ERR_INVALID, "/ids", "an id is a number");
        else if (rc == ERR_OK && !ids && !json_is_string(j))
            rc = err_field(e, ERR_INVALID, "/networks", "a network is a text");
        if (rc == ERR_OK && ids)
            strbuf_printf(b, "%s%lld", i > 0 ? "," : "", (long long)json_integer_value(j));
        else if (rc == ERR_OK) {
            rc = list_wants_add(&w, slice_of(json_string_value(j)), &none, e);
            if (rc == ERR_INVALID)
                (void)snprintf(e->pointer, sizeof e->pointer, "/networks/%zu", i);
        }
    }
    for (i = 0; i < w.n; i++) {
        char text[IPNET_TEXT_MAX];
        ipnet_format_prefix(&w.v[i].net, text);
        strbuf_printf(b, "%s%s", i > 0 ? "," : "", text);
    }
    list_wants_clear(&w);
    strbuf_putc(b, '}');
    return rc == ERR_OK ? strbuf_check(b, e) : rc;
}

static enum err_code match_of(struct req *rq, const json_t *match, struct list_filter *ret,
                              struct err *e)
{
    const struct jdec_field fields[] = {
        JDEC_STR(struct match_body, scope, 0, 1, 210),
        JDEC_STR(struct match_body, author, 0, 1, 100),
        JDEC_STR(struct match_body, comment, 0, 1, LIST_COMMENT_MAX),
        JDEC_STR(struct match_body, network, 0, 1, 100),
        JDEC_BOOL(struct match_body, expired, 0),
        JDEC_BOOL(struct match_body, all, 0),
        JDEC_END,
    };
    struct match_body m = {0};
    enum err_code rc = jdec_object(match, fields, JD_REFUSE_UNKNOWN, "/match", &m, e);

    *ret = (struct list_filter){.author = m.author, .text = m.comment, .expired = m.expired};
    if (rc == ERR_OK && m.scope != NULL)
        rc = scope_id(rq, m.scope, &ret->scope, e);
    if (rc == ERR_OK && m.network != NULL)
        rc = read_network(m.network, "/match/network", rq->arena, &ret->net, e);
    if (rc == ERR_OK && !m.all && !m.expired && m.scope == NULL && m.author == NULL &&
        m.comment == NULL && m.network == NULL)
        return err_field(e, ERR_INVALID, "/match",
                         "say which rows: scope, author, comment, network or expired; all for the "
                         "whole list");
    return rc;
}

enum err_code list_remove_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    const struct jdec_field fields[] = {
        JDEC_ARRAY(struct remove_body, ids, 0, LIST_CALL_MAX),
        JDEC_ARRAY(struct remove_body, networks, 0, LIST_CALL_MAX),
        JDEC_OBJECT(struct remove_body, match, 0),
        JDEC_STR(struct remove_body, scope, 0, 1, 210),
        JDEC_STR(struct remove_body, reason, 0, 0, LIST_REASON_MAX),
        JDEC_END,
    };
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(16 * MIB);
    struct remove_body in = {0};
    struct list_filter filter;
    struct list_which which = {0};
    struct list_change c;
    json_t *result = NULL;
    enum err_code rc = known(rq, e);

    if (rc == ERR_OK)
        rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);
    if (rc == ERR_OK && (in.ids != NULL) + (in.networks != NULL) + (in.match != NULL) != 1)
        return err_field(e, ERR_INVALID, "/ids", "give one of ids, networks and match");
    if (rc == ERR_OK && in.match == NULL)
        rc = array_text(in.ids != NULL ? in.ids : in.networks, in.ids != NULL, &b, e);
    if (rc == ERR_OK && in.ids != NULL)
        which.ids = strbuf_str(&b);
    else if (rc == ERR_OK && in.networks != NULL)
        which.nets = strbuf_str(&b);
    else if (rc == ERR_OK) {
        rc = match_of(rq, in.match, &filter, e);
        which.filter = &filter;
    }
    if (rc == ERR_OK && in.scope != NULL)
        rc = scope_id(rq, in.scope, &which.scope, e);
    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, in.reason, &c, e);
    if (rc == ERR_OK)
        rc = list_remove(rq->db, rq->param[0], &which, &c, &result, e);
    return rc == ERR_OK ? done(rp, result, e) : rc;
}

enum err_code list_row_delete_one(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    struct list_which which = {0};
    struct list_change c;
    json_t *j = NULL, *result = NULL;
    char ids[32];
    int64_t id = 0;
    enum err_code rc = id_of(rq, &id, e);

    if (rc == ERR_OK)
        rc = list_row_json(rq->db, rq->param[0], id, rq->arena, &j, e);
    json_decref(j);
    (void)snprintf(ids, sizeof ids, "{%lld}", (long long)id);
    which.ids = ids;
    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, req_query(rq, "reason"), &c, e);
    if (rc == ERR_OK && strlen(c.reason) > LIST_REASON_MAX)
        rc = err_field(e, ERR_INVALID, "/query/reason", "a reason has 1 to %d bytes",
                       LIST_REASON_MAX);
    if (rc == ERR_OK)
        rc = list_remove(rq->db, rq->param[0], &which, &c, &result, e);
    return rc == ERR_OK ? done(rp, result, e) : rc;
}

enum err_code list_undo_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    const struct jdec_field fields[] = {JDEC_STR(struct add_body, reason, 0, 0, LIST_REASON_MAX),
                                        JDEC_END};
    struct add_body b = {0};
    struct list_change c;
    json_t *result = NULL;
    int64_t version = 0;
    enum err_code rc = known(rq, e);

    if (rc == ERR_OK)
        rc = id_of(rq, &version, e);
    if (rc == ERR_OK)
        rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &b, e);
    if (rc == ERR_OK)
        rc = change_of(rq, rp, &by, b.reason, &c, e);
    if (rc == ERR_OK)
        rc = list_undo(rq->db, rq->param[0], version, &c, &result, e);
    return rc == ERR_OK ? done(rp, result, e) : rc;
}
