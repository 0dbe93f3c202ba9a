/* What devices hear of commands and say about them. */
#include "domain/command_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/device_status.h"
#include "domain/keyring.h"
#include "proto/proto.h"
#include "store/fleet_store.h"

#include <stdlib.h>

/* --- the list --- */

static enum err_code sign(const struct app *app, const struct command_row *c, char **ret,
                          struct err *e)
{
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;
    char created[CLOCK_TEXT_SIZE], expires[CLOCK_TEXT_SIZE];

    clock_format(c->created_ms, created);
    clock_format(c->expires_ms, expires);
    j = json_pack("{s:s,s:s,s:s,s:s,s:O?,s:s,s:s,s:s,s:s,s:s}", "fleet", app->fleet_id, "device",
                  c->device_id, "id", c->id, "kind", c->kind, "args", c->args, "reason", c->reason,
                  "by", c->by, "state", c->state, "created_at", created, "expires_at", expires);
    text = j == NULL ? NULL : json_canonical(j);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(keyring_bundle_key(app->keys), PROTO_TYP_COMMAND, slice_of(text), true,
                         ret, e);
}

enum err_code command_for_device(struct db *db, struct app *app, const char *device_id,
                                 struct arena *a, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *items = json_array();
    struct command_row *v = NULL;
    size_t n = 0, bytes = 0;
    enum err_code rc = command_store_open(db, device_id, COMMAND_OPEN_MAX, a, &v, &n, e);

    for (size_t i = 0; i < n && rc == ERR_OK; i++) {
        AUTO_STR char *jws = NULL;
        rc = sign(app, &v[i], &jws, e);
        if (rc == ERR_OK && (bytes += strlen(jws) + 8) > COMMAND_LIST_MAX - 64)
            break; /* the rest comes when these are done */
        if (rc == ERR_OK)
            (void)json_array_append_new(items, json_string(jws));
    }
    if (rc == ERR_OK)
        *ret = json_pack("{s:O}", "items", items);
    return rc;
}

/* --- reports --- */

struct report {
    const char *device_id, *id;
    struct app *app;
    struct arena *a;
    int64_t from;        /* byte at which output begins */
    struct slice output; /* n 0: none */
    enum command_state state;
    json_t *result, *problem; /* borrowed; NULL: none */
    json_t *answer;
    bool ended; /* by this report */
};

static enum err_code not_wanted(const struct command_row *c, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "the command is %s", c->state);
}

/* Where it stands -> where the device says it stands.  Repeats stay where they are. */
static enum err_code move(struct report *r, struct command_row *c, struct err *e)
{
    enum command_state now = (enum command_state)command_state_of(c->state);
    int64_t wall = clock_wall_ms();

    if (now == COMMAND_CANCELLED || now == COMMAND_EXPIRED)
        return r->state == COMMAND_EXPIRED ? ERR_OK : not_wanted(c, e);
    if (now >= COMMAND_DONE && now != COMMAND_UNKNOWN)
        return r->state == now || r->state < COMMAND_DONE ? ERR_OK : not_wanted(c, e);
    if (now == COMMAND_QUEUED && c->expires_ms <= wall)
        return err_set(e, ERR_CONFLICT, "the command has expired");
    if (now == COMMAND_QUEUED && r->state > COMMAND_DELIVERED)
        return err_set(e, ERR_CONFLICT, "the command was begun before it was accepted");
    if (now == COMMAND_UNKNOWN && r->state < COMMAND_DONE)
        return ERR_OK;
    if (r->state > now || now == COMMAND_UNKNOWN) {
        c->state = command_state_names[r->state];
        c->delivered_ms = c->delivered_ms == 0 ? wall : c->delivered_ms;
        c->started_ms = c->started_ms == 0 && r->state >= COMMAND_RUNNING ? wall : c->started_ms;
        r->ended = r->state >= COMMAND_DONE;
        c->ended_ms = r->ended ? wall : 0;
    }
    if (r->ended && r->result != NULL)
        c->result = r->result;
    if (r->ended && r->problem != NULL)
        c->problem = r->problem;
    return ERR_OK;
}

/* Output is a stream of bytes: what is there already is passed over, a hole is refused. */
static enum err_code take_output(struct db *db, const struct report *r, struct command_row *c,
                                 struct err *e)
{
    struct slice text = r->output;
    int64_t skip = c->output_bytes - r->from;
    enum err_code rc;

    if (r->output.n == 0 || skip >= (int64_t)r->output.n)
        return ERR_OK;
    if (skip < 0)
        return err_field(e, ERR_CONFLICT, "/output_from",
                         "output is stored up to byte %lld, this piece begins at %lld",
                         (long long)c->output_bytes, (long long)r->from);
    text = (struct slice){text.p + skip, text.n - (size_t)skip};
    if (!slice_is_utf8(text))
        return err_field(e, ERR_STATUS_INVALID, "/output", "the piece begins inside a character");
    if (c->output_bytes + (int64_t)text.n > COMMAND_OUTPUT_MAX)
        return err_field(e, ERR_TOO_LARGE, "/output", "a command has at most %d bytes of output",
                         COMMAND_OUTPUT_MAX);
    rc = command_store_add_output(db, c->id, c->output_bytes, text, e);
    if (rc == ERR_OK)
        c->output_bytes += (int64_t)text.n;
    return rc;
}

static enum err_code report_tx(struct db *db, void *ctx, struct err *e)
{
    struct report *r = ctx;
    const struct actor by = {"device", r->device_id, r->device_id, "", ""};
    struct command_row c;
    enum err_code rc = command_find(db, r->id, true, r->a, &c, e);

    r->ended = false;
    if (rc == ERR_OK && strcmp(c.device_id, r->device_id) != 0)
        return err_set(e, ERR_NOT_FOUND, "there is no command \"%s\"", r->id);
    if (rc == ERR_OK)
        rc = move(r, &c, e);
    if (rc == ERR_OK)
        rc = take_output(db, r, &c, e);
    if (rc == ERR_OK)
        rc = command_store_save(db, &c, e);
    if (rc != ERR_OK)
        return rc;
    json_decref(r->answer);
    r->answer =
        json_pack("{s:s,s:I}", "state", c.state, "output_bytes", (json_int_t)c.output_bytes);
    if (r->state == COMMAND_DELIVERED || r->ended)
        rc = fleet_store_note(db, "device", c.device_id, e);
    return rc == ERR_OK && r->ended ? command_audit(db, &by, "command.end", &c, e) : rc;
}

static enum err_code check_output(const json_t *text, struct report *r, struct err *e)
{
    if (text == NULL)
        return ERR_OK;
    r->output = (struct slice){json_string_value(text), json_string_length(text)};
    if (!json_is_string(text) || r->output.n > COMMAND_PIECE_MAX)
        return err_field(e, ERR_STATUS_INVALID, "/output", "output is text of at most %d bytes",
                         COMMAND_PIECE_MAX);
    for (size_t i = 0; i < r->output.n; i++) {
        unsigned char c = (unsigned char)r->output.p[i];
        if (c == 0x7f || (c < 0x20 && c != '\n' && c != '\t'))
            return err_field(e, ERR_STATUS_INVALID, "/output", "output has control characters");
    }
    return ERR_OK;
}

/* doc loses its output, which has bounds of its own. */
static enum err_code decode(json_t *doc, struct report *r, struct err *e)
{
    struct body {
        const char *command;
        json_t *result, *problem;
        int64_t output_from;
        int state;
    } in = {0};
    static const struct jdec_field fields[] = {
        JDEC_UUID(struct body, command, JD_REQUIRED),
        JDEC_ENUM(struct body, state, JD_REQUIRED, command_state_names),
        JDEC_INT(struct body, output_from, 0, 0, COMMAND_OUTPUT_MAX),
        JDEC_OBJECT(struct body, result, JD_NULL_OK),
        JDEC_OBJECT(struct body, problem, JD_NULL_OK),
        JDEC_END,
    };
    enum err_code rc = check_output(json_object_get(doc, "output"), r, e);

    if (rc != ERR_OK)
        return rc;
    rc = jdec_object(doc, fields, JD_ALLOW_UNKNOWN, "", &in, e);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(in.command, r->id) != 0)
        return err_field(e, ERR_STATUS_INVALID, "/command", "the report is about another command");
    if (in.state < COMMAND_DELIVERED || in.state == COMMAND_CANCELLED ||
        in.state == COMMAND_UNKNOWN)
        return err_field(e, ERR_STATUS_INVALID, "/state", "a device cannot say this of a command");
    r->from = in.output_from;
    r->state = (enum command_state)in.state;
    r->result = in.result;
    r->problem = in.problem;
    rc = r->result == NULL ? ERR_OK : report_check_texts(r->result, e);
    return rc == ERR_OK && r->problem != NULL ? report_check_texts(r->problem, e) : rc;
}

enum err_code command_report(struct db *db, struct app *app, const char *device_id, const char *id,
                             struct slice jws, struct arena *a, json_t **ret, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct report r = {.device_id = device_id, .id = id, .app = app, .a = a};
    struct jose_jws j = {0};
    struct device d;
    enum err_code rc = device_store_get(db, device_id, a, &d, e);

    if (rc == ERR_OK)
        rc = report_open(&d, PROTO_TYP_RESULT, COMMAND_REPORT_MAX, jws, &j, &doc, e);
    if (rc == ERR_OK)
        rc = decode(doc, &r, e);
    if (rc == ERR_OK)
        rc = tx_run(db, "command.report", report_tx, &r, e);
    jose_jws_clear(&j);
    if (rc != ERR_OK) {
        json_decref(r.answer);
        return rc;
    }
    if (r.state == COMMAND_DELIVERED || r.ended)
        command_committed(db, app);
    if (r.ended)
        log_event(LOG_LEVEL_INFO, "command.ended", KV_STR("command", id),
                  KV_STR("device", device_id), KV_STR("state", json_str(r.answer, "state", "")));
    *ret = r.answer;
    return ERR_OK;
}
