#include "handlers/alert.h"

#include "domain/alert_doc.h"
#include "domain/alert_send.h"
#include "handlers/common.h"

#include <stdio.h>

enum { FILTER_MAX = 100 };

static struct alert_change change_of(const struct req *rq, const struct actor *by)
{
    return (struct alert_change){
        .app = rq->app, .by = by, .lang = rq->lang, .dry_run = rq->dry_run};
}

/* --- reading --- */

static enum err_code filter(const struct req *rq, const char *name, const char *const *words,
                            const char **ret, struct err *e)
{
    const char *v = req_query(rq, name);
    char at[40];

    *ret = v == NULL ? "" : v;
    (void)snprintf(at, sizeof at, "/query/%s", name);
    if (v == NULL)
        return ERR_OK;
    if (v[0] == '\0' || strlen(v) > FILTER_MAX || !slice_is_text(slice_of(v)))
        return err_field(e, ERR_INVALID, at, "a text of 1 to %d bytes is needed", FILTER_MAX);
    for (; words != NULL && *words != NULL; words++)
        if (strcmp(*words, v) == 0)
            return ERR_OK;
    return words == NULL ? ERR_OK
                         : err_field(e, ERR_INVALID, at, "this list does not know that word");
}

static enum err_code list(struct req *rq, struct reply *rp, enum alert_thing what, struct err *e)
{
    static const char *const alert_states[] = {"open", "pending", "firing", "resolved", NULL};
    static const char *const notice_states[] = {"queued", "sending", "sent", "dead", NULL};
    static const char *const silence_states[] = {"active", "waiting", "over", NULL};
    static const char *const severities[] = {"info", "warning", "critical", NULL};
    static const char *const *const states[] = {[ALERT_ALERT] = alert_states,
                                                [ALERT_NOTICE] = notice_states,
                                                [ALERT_SILENCE] = silence_states};
    struct alert_filter f = {.state = "", .severity = "", .device = "", .rule = ""};
    json_t *items = NULL;
    char next[64];
    int limit = 0;
    enum err_code rc = req_page(rq, &limit, &f.cursor, e);

    f.limit = limit;
    if (rc == ERR_OK && (what == ALERT_ALERT || what == ALERT_NOTICE || what == ALERT_SILENCE))
        rc = filter(rq, "state", states[what], &f.state, e);
    if (rc == ERR_OK && (what == ALERT_ALERT || what == ALERT_NOTICE))
        rc = filter(rq, "rule", NULL, &f.rule, e);
    if (rc == ERR_OK && what == ALERT_ALERT)
        rc = filter(rq, "severity", severities, &f.severity, e);
    if (rc == ERR_OK && what == ALERT_ALERT)
        rc = filter(rq, "device", NULL, &f.device, e);
    if (rc == ERR_OK)
        rc = alert_doc_list(rq->db, what, &f, rq->lang, &items, next, e);
    return rc == ERR_OK ? reply_items(rp, items, next, e) : rc;
}

static enum err_code get_one(struct req *rq, struct reply *rp, enum alert_thing what, struct err *e)
{
    int64_t version = 0;
    json_t *j = NULL;
    enum err_code rc = alert_doc_get(rq->db, what, rq->param[0], rq->lang, &j, &version, e);

    if (rc != ERR_OK)
        return rc;
    return what == ALERT_ALERT || what == ALERT_NOTICE ? reply_json(rp, 200, j, e)
                                                       : reply_resource(rp, 200, j, version, e);
}

/* --- changing --- */

static enum err_code post(struct req *rq, struct reply *rp, enum alert_thing what, const char *path,
                          struct err *e)
{
    const struct actor by = req_actor(rq);
    const struct alert_change c = change_of(rq, &by);
    json_t *made = NULL;
    enum err_code rc = alert_doc_create(rq->db, what, rq->json, &c, &made, e);

    if (rc != ERR_OK)
        return rc;
    (void)snprintf(rp->location, sizeof rp->location, "/api/v1/%s/%s", path,
                   json_str(made, "id", ""));
    return reply_resource(rp, rq->dry_run ? 200 : 201, made, json_int(made, "version", 1), e);
}

static enum err_code seen_version(struct req *rq, enum alert_thing what, int64_t *ret,
                                  struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    enum err_code rc = alert_doc_get(rq->db, what, rq->param[0], rq->lang, &j, ret, e);

    return rc == ERR_OK ? req_if_version(rq, *ret, e) : rc;
}

static enum err_code patch(struct req *rq, struct reply *rp, enum alert_thing what, struct err *e)
{
    const struct actor by = req_actor(rq);
    const struct alert_change c = change_of(rq, &by);
    int64_t version = 0;
    json_t *changed = NULL;
    enum err_code rc = seen_version(rq, what, &version, e);

    if (rc == ERR_OK)
        rc = alert_doc_patch(rq->db, what, rq->param[0], version, rq->json, &c, &changed, e);
    return rc == ERR_OK ? reply_resource(rp, 200, changed, json_int(changed, "version", 1), e) : rc;
}

static enum err_code delete_one(struct req *rq, struct reply *rp, enum alert_thing what,
                                struct err *e)
{
    const struct actor by = req_actor(rq);
    const struct alert_change c = change_of(rq, &by);
    int64_t version = 0;
    enum err_code rc = seen_version(rq, what, &version, e);

    if (rc == ERR_OK)
        rc = alert_doc_delete(rq->db, what, rq->param[0], version, &c, e);
    return rc == ERR_OK ? reply_empty(rp) : rc;
}

enum err_code alert_ack_post(struct req *rq, struct reply *rp, struct err *e)
{
    struct ack {
        const char *reason;
    } in = {.reason = ""};
    static const struct jdec_field fields[] = {JDEC_STR(struct ack, reason, 0, 0, 500), JDEC_END};
    const struct actor by = req_actor(rq);
    const struct alert_change c = change_of(rq, &by);
    json_t *j = NULL;
    enum err_code rc = jdec_object(rq->json, fields, JD_REFUSE_UNKNOWN, "", &in, e);

    if (rc == ERR_OK)
        rc = alert_doc_ack(rq->db, rq->param[0], in.reason, &c, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

/* A body that has nothing to say. */
static enum err_code empty_body(const struct req *rq, struct err *e)
{
    static const struct jdec_field none[] = {JDEC_END};

    return jdec_object(rq->json, none, JD_REFUSE_UNKNOWN, "", NULL, e);
}

enum err_code alert_notice_retry_post(struct req *rq, struct reply *rp, struct err *e)
{
    const struct actor by = req_actor(rq);
    const struct alert_change c = change_of(rq, &by);
    json_t *j = NULL;
    enum err_code rc = empty_body(rq, e);

    if (rc == ERR_OK)
        rc = alert_doc_again(rq->db, rq->param[0], &c, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

enum err_code alert_channel_test_post(struct req *rq, struct reply *rp, struct err *e)
{
    json_t *j = NULL;
    enum err_code rc = empty_body(rq, e);

    if (rc == ERR_OK)
        rc = alert_send_test(rq->db, rq->app, rq->param[0], rq->lang, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}

/* --- one of each --- */

enum err_code alert_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    return list(rq, rp, ALERT_ALERT, e);
}

enum err_code alert_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    return get_one(rq, rp, ALERT_ALERT, e);
}

enum err_code alert_notice_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    return list(rq, rp, ALERT_NOTICE, e);
}

enum err_code alert_notice_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    return get_one(rq, rp, ALERT_NOTICE, e);
}

enum err_code alert_rule_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    return list(rq, rp, ALERT_RULE, e);
}

enum err_code alert_rule_post(struct req *rq, struct reply *rp, struct err *e)
{
    return post(rq, rp, ALERT_RULE, "alert-rules", e);
}

enum err_code alert_rule_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    return get_one(rq, rp, ALERT_RULE, e);
}

enum err_code alert_rule_patch(struct req *rq, struct reply *rp, struct err *e)
{
    return patch(rq, rp, ALERT_RULE, e);
}

enum err_code alert_rule_delete_one(struct req *rq, struct reply *rp, struct err *e)
{
    return delete_one(rq, rp, ALERT_RULE, e);
}

enum err_code alert_channel_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    return list(rq, rp, ALERT_CHANNEL, e);
}

enum err_code alert_channel_post(struct req *rq, struct reply *rp, struct err *e)
{
    return post(rq, rp, ALERT_CHANNEL, "alert-channels", e);
}

enum err_code alert_channel_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    return get_one(rq, rp, ALERT_CHANNEL, e);
}

enum err_code alert_channel_patch(struct req *rq, struct reply *rp, struct err *e)
{
    return patch(rq, rp, ALERT_CHANNEL, e);
}

enum err_code alert_channel_delete_one(struct req *rq, struct reply *rp, struct err *e)
{
    return delete_one(rq, rp, ALERT_CHANNEL, e);
}

enum err_code alert_silence_list_get(struct req *rq, struct reply *rp, struct err *e)
{
    return list(rq, rp, ALERT_SILENCE, e);
}

enum err_code alert_silence_post(struct req *rq, struct reply *rp, struct err *e)
{
    return post(rq, rp, ALERT_SILENCE, "alert-silences", e);
}

enum err_code alert_silence_get_one(struct req *rq, struct reply *rp, struct err *e)
{
    return get_one(rq, rp, ALERT_SILENCE, e);
}

enum err_code alert_silence_patch(struct req *rq, struct reply *rp, struct err *e)
{
    return patch(rq, rp, ALERT_SILENCE, e);
}

enum err_code alert_silence_delete_one(struct req *rq, struct reply *rp, struct err *e)
{
    return delete_one(rq, rp, ALERT_SILENCE, e);
}
