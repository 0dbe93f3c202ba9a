#include "loop/join.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"
#include "common/frame.h"
#include "loop/ask.h"
#include "loop/backoff.h"
#include "loop/http.h"
#include "loop/identity.h"
#include "loop/place.h"
#include "loop/token.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HELPER_FACTS_MS = 15000, APPROVAL_POLL_MS = 10000 };

/* What one run of the command knows so far. */
struct join {
    const struct agent_settings *s;
    const struct join_options *o;
    struct proto_join string; /* of the join string, when there is one */
    json_t *pins;             /* owned; NULL: the system trusts the certificate */
    char base[256];
    struct http *http;
    char fleet[64], nonce[256], issuer[256];
    int64_t offset_ms; /* the parent's clock minus ours */
    char *token;       /* secret */
    struct jose_key *sig, *enc;
    char hostname[256];
    struct machine machine;
    json_t *inventory;
};

static void join_clear(struct join *j)
{
    proto_join_clear(&j->string);
    json_decref(j->pins);
    json_decref(j->inventory);
    http_free(j->http);
    if (j->token != NULL)
        secret_wipe(j->token, strlen(j->token));
    free(j->token);
    jose_key_free(j->sig);
    jose_key_free(j->enc);
}

/* --- 1. which parent, and how do we know it is the one --- */

static enum err_code read_join_string(struct join *j, struct err *e)
{
    AUTO_STR char *text = NULL;
    size_t n = 0;
    enum err_code rc;

    if (j->o->join != NULL)
        return proto_join_parse(slice_of(j->o->join), &j->string, e);
    rc = strcmp(j->o->join_file, "-") == 0 ? ask_password("", true, &text, e)
                                           : file_read(j->o->join_file, 8 * KIB, &text, &n, e);
    if (rc != ERR_OK)
        return rc;
    rc = proto_join_parse(slice_of(text), &j->string, e);
    secret_wipe(text, strlen(text));
    return rc;
}

static enum err_code ask_about_pin(const char *base, const char *pin, struct err *e)
{
    char prompt[600];

    (void)fprintf(
        stderr,
        say_tr(
            "The certificate of %s is not publicly trusted. Its key has the fingerprint\n\n    "
            "%s\n\n"
            "Compare it with the one the parent shows (inarid prints it at its start).\n",
            "%s の証明書は公的に信頼されたものではありません。鍵のフィンガープリント:\n\n    %s\n\n"
            "上位デバイス側の表示(inarid の起動時に出力)と見比べてください。\n"),
        base, pin);
    if (!ask_possible())
        return err_set(e, ERR_REFUSED,
                       "nobody is here to confirm it: give --parent-pin or a join string");
    (void)snprintf(prompt, sizeof prompt, "%s ",
                   say_tr("Is it the same? Type yes:", "同じですか。はい と入力:"));
    if (!ask_yes(prompt))
        return err_set(e, ERR_REFUSED, "the parent's key was not confirmed");
    return ERR_OK;
}

static enum err_code find_parent(struct join *j, struct err *e)
{
    char pin[64];
    bool trusted = false;
    enum err_code rc;

    if (j->o->parent == NULL) {
        rc = read_join_string(j, e);
        if (rc == ERR_OK)
            j->pins = json_incref(j->string.pins);
        return rc;
    }
    (void)snprintf(j->base, sizeof j->base, "%s", j->o->parent);
    if (j->o->pin != NULL) {
        j->pins = json_pack("[s]", j->o->pin);
        return j->pins != NULL ? ERR_OK : err_set(e, ERR_INVALID, "--parent-pin is not a pin");
    }
    rc = http_peek_pin(j->base, pin, &trusted, e);
    if (rc != ERR_OK || trusted)
        return rc;
    rc = ask_about_pin(j->base, pin, e);
    if (rc == ERR_OK && (j->pins = json_pack("[s]", pin)) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    return rc;
}

/* Is our version of the protocol among those the parent lists? */
static bool speaks(const json_t *versions)
{
    size_t i;
    json_t *v;

    json_array_foreach(versions, i, v)
    {
        if (json_integer_value(v) == PROTO_API)
            return true;
    }
    return false;
}

static enum err_code hello(struct join *j, struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    struct http_answer a = {0};
    int64_t theirs = 0;
    enum err_code rc = http_call(j->http, http_req_new("GET", "/api/agent/v1/hello"), &a, e);

    if (rc != ERR_OK)
        return rc;
    rc = a.status == 200 ? json_in_parse(strbuf_slice(&a.body), 64 * KIB, &doc, e)
                         : http_answer_err(&a, e);
    http_answer_clear(&a);
    if (rc != ERR_OK)
        return err_wrap(e, "the parent's greeting");
    (void)snprintf(j->fleet, sizeof j->fleet, "%s", json_str(doc, "fleet", ""));
    (void)snprintf(j->nonce, sizeof j->nonce, "%s", json_str(doc, "nonce", ""));
    (void)snprintf(j->issuer, sizeof j->issuer, "%s", json_str(doc, "issuer", ""));
    if (clock_parse(slice_of(json_str(doc, "time", "")), &theirs))
        j->offset_ms = theirs - clock_wall_ms();
    if (j->fleet[0] == '\0' || j->nonce[0] == '\0')
        return err_set(e, ERR_MALFORMED, "the server at %s does not greet like a parent",
                       http_base(j->http));
    if (!speaks(json_object_get(doc, "api")))
        return err_set(e, ERR_AGENT_TOO_NEW,
                       "the parent does not speak protocol %d: upgrade the parent first",
                       PROTO_API);
    if (j->string.fleet[0] != '\0' && strcmp(j->string.fleet, j->fleet) != 0)
        return err_set(e, ERR_REFUSED, "the parent serves fleet %s, the join string is for %s",
                       j->fleet, j->string.fleet);
    return ERR_OK;
}

/* The first address that answers; all are held to the same pins. */
static enum err_code connect_parent(struct join *j, struct err *e)
{
    enum err_code rc = ERR_UNAVAILABLE;
    size_t i;
    json_t *v;

    if (j->o->parent != NULL) {
        rc = http_new(j->base, j->pins, &j->http, e);
        return rc == ERR_OK ? hello(j, e) : rc;
    }
    json_array_foreach(j->string.addresses, i, v)
    {
        (void)snprintf(j->base, sizeof j->base, "%s", json_string_value(v));
        http_free(j->http);
        j->http = NULL;
        rc = http_new(j->base, j->pins, &j->http, e);
        if (rc == ERR_OK)
            rc = hello(j, e);
        if (rc != ERR_UNAVAILABLE && rc != ERR_TIMEOUT)
            break;
    }
    return rc;
}

/* --- 2. the enrolment token --- */

static enum err_code login(struct join *j, struct err *e)
{
    AUTO_STR char *user = j->o->user == NULL ? NULL : strdup(j->o->user);
    AUTO_STR char *password = NULL;
    AUTO_STR char *form = NULL;
    struct http_answer a = {0};
    struct http_req *r;
    int64_t life;
    enum err_code rc = ERR_OK;

    if (user == NULL)
        rc = ask_line(say_tr("Administrator: ", "管理者名: "), &user, e);
    if (rc == ERR_OK)
        rc = ask_password(say_tr("Password: ", "パスワード: "), j->o->password_stdin, &password, e);
    if (rc == ERR_OK)
        rc = token_password_form(user, password, &form, e);
    if (password != NULL)
        secret_wipe(password, strlen(password));
    if (rc != ERR_OK)
        return rc;
    r = http_req_new("POST", "/oauth2/token");
    if (r != NULL) {
        http_req_secret(r);
        http_req_body(r, "application/x-www-form-urlencoded", slice_of(form));
    }
    secret_wipe(form, strlen(form));
    rc = http_call(j->http, r, &a, e);
    if (rc != ERR_OK)
        return rc;
    rc = a.status == 200 ? token_read(strbuf_slice(&a.body), "enrol", &j->token, &life, e)
                         : http_answer_err(&a, e);
    if (a.body.p != NULL)
        secret_wipe(a.body.p, a.body.n);
    http_answer_clear(&a);
    return rc == ERR_OK ? ERR_OK : err_wrap(e, "login as \"%s\"", user);
}

static enum err_code get_token(struct join *j, struct err *e)
{
    if (j->o->parent != NULL)
        return login(j, e);
    j->token = strdup(j->string.token);
    return j->token != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* --- 3. enrol --- */

/* What the helper can say about this host; a helper that does not run yet is no reason not to join.
 */
static void take_inventory(struct join *j)
{
    AUTO(json_free) json_t *answer = NULL;
    AUTO(json_free) json_t *ask = json_pack("{s:i,s:s,s:[]}", "v", 1, "verb", "facts", "names");
    char os[128];
    json_t *facts;
    AUTO_FD int fd = -1;

    place_os(os, sizeof os);
    j->inventory = json_pack("{s:s,s:s,s:s,s:[s]}", "hostname", j->hostname, "os", os,
                             "agent_version", INARI_VERSION, "capabilities", "postfix");
    if (helper_connect(j->s->helper_socket, &fd, NULL) != ERR_OK ||
        helper_call(fd, ask, HELPER_FACTS_MS, &answer, NULL) != ERR_OK ||
        !json_bool(answer, "ok", false))
        return;
    facts = json_object_get(answer, "facts");
    if (!json_is_object(facts))
        return;
    (void)json_object_set(j->inventory, "facts", facts);
    (void)json_object_set(j->inventory, "addresses", json_object_get(facts, "addresses"));
    (void)json_object_set(j->inventory, "postfix_version", json_object_get(facts, "postfix"));
}

static enum err_code enrol_body(struct join *j, char **ret, struct err *e)
{
    AUTO(json_free) json_t *jwk = jose_key_to_jwk(j->sig);
    AUTO(json_free) json_t *enc = jose_key_to_jwk(j->enc);
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *text = NULL;

    doc = json_pack("{s:O,s:O,s:s,s:s,s:s,s:s,s:s,s:s,s:[s],s:O}", "jwk", jwk, "enc_jwk", enc,
                    "nonce", j->nonce, "name", j->o->name != NULL ? j->o->name : j->hostname,
                    "hostname", j->hostname, "fingerprint", j->machine.whole, "hardware",
                    j->machine.hardware, "agent_version", INARI_VERSION, "capabilities", "postfix",
                    "inventory", j->inventory);
    if (doc != NULL && j->o->placement != NULL)
        (void)json_object_set_new(doc, "placement", json_string(j->o->placement));
    text = doc == NULL ? NULL : json_canonical(doc);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return jose_jws_sign(j->sig, PROTO_TYP_ENROL, slice_of(text), false, ret, e);
}

static enum err_code post_enrolment(struct join *j, struct http_answer *a, struct err *e)
{
    AUTO_STR char *body = NULL;
    struct http_req *r;
    enum err_code rc = enrol_body(j, &body, e);

    if (rc != ERR_OK)
        return rc;
    r = http_req_new("POST", "/api/agent/v1/enrolments");
    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", j->token);
        http_req_body(r, "application/jose+json", slice_of(body));
        http_req_limits(r, 256 * KIB, HTTP_HEAD_MS);
    }
    return http_call(j->http, r, a, e);
}

/* The preferred address is the one that worked just now; the trust document's others follow. */
static json_t *merge_addresses(const struct join *j, const struct trust *t)
{
    json_t *out = json_pack("[s]", j->base);
    size_t i;
    json_t *v;

    json_array_foreach(trust_addresses(t), i, v)
    {
        if (out != NULL && strcmp(json_string_value(v), j->base) != 0)
            (void)json_array_append(out, v);
    }
    return out;
}

/* From the first trust document, whose root key is pinned now, to the newest. */
static enum err_code walk_trust(const json_t *documents, const char *fleet, struct identity *id,
                                struct err *e)
{
    const char *newest = NULL;
    enum err_code rc = ERR_OK;
    size_t i;
    json_t *v;

    json_array_foreach(documents, i, v)
    {
        struct trust *next = NULL;
        newest = json_is_string(v) ? json_string_value(v) : "";
        rc = id->trust == NULL ? trust_first(slice_of(newest), fleet, &next, e)
                               : trust_next(id->trust, slice_of(newest), &next, e);
        if (rc != ERR_OK)
            return rc;
        trust_free(id->trust);
        id->trust = next;
    }
    if (newest == NULL)
        return err_set(e, ERR_MALFORMED, "enrolment answer without a trust document");
    id->trust_text = strdup(newest);
    return id->trust_text != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err_code read_answer(struct join *j, const struct http_answer *a, struct identity *id,
                                 struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    const json_t *poll;
    enum err_code rc = json_in_parse(strbuf_slice(&a->body), 256 * KIB, &doc, e);

    if (rc != ERR_OK)
        return err_wrap(e, "enrolment answer");
    if (!uuid_is_valid(json_str(doc, "device_id", "")))
        return err_set(e, ERR_MALFORMED, "enrolment answer without a device id");
    (void)snprintf(id->device_id, sizeof id->device_id, "%s", json_str(doc, "device_id", ""));
    (void)snprintf(id->name, sizeof id->name, "%s", json_str(doc, "name", ""));
    (void)snprintf(id->fleet, sizeof id->fleet, "%s", j->fleet);
    id->machine = j->machine;
    poll = json_object_get(doc, "poll");
    id->wait_s = json_int(poll, "wait_s", 50);
    id->interval_s = json_int(poll, "interval_s", 60);
    id->joined_ms = id->key_ms = clock_wall_ms() + j->offset_ms;
    id->receipt = strdup(json_str(doc, "receipt", ""));
    if (id->receipt == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    rc = walk_trust(json_object_get(doc, "trust"), j->fleet, id, e);
    if (rc == ERR_OK)
        rc = trust_receipt(id->trust, id->receipt, id->device_id, jose_key_kid(j->sig),
                           clock_wall_ms(), e);
    if (rc != ERR_OK)
        return rc;
    id->addresses = merge_addresses(j, id->trust);
    id->key.sig = TAKE(j->sig);
    id->key.enc = TAKE(j->enc);
    return id->addresses != NULL ? ERR_OK : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static void say_waiting(const struct join *j)
{
    (void)fprintf(stderr,
                  say_tr("Waiting for approval at the parent. Key of this device:\n    %s\n",
                         "上位デバイスでの承認を待っています。このデバイスの鍵:\n    %s\n"),
                  jose_key_kid(j->sig));
}

/* Which device waits, from the 202. */
static enum err_code pending_id(const struct http_answer *a, char ret[UUID_TEXT_SIZE],
                                struct err *e)
{
    AUTO(json_free) json_t *doc = NULL;
    enum err_code rc = json_in_parse(strbuf_slice(&a->body), 64 * KIB, &doc, e);

    if (rc == ERR_OK && !uuid_is_valid(json_str(doc, "device_id", "")))
        rc = err_set(e, ERR_MALFORMED, "no device id");
    if (rc != ERR_OK)
        return err_wrap(e, "enrolment answer");
    (void)snprintf(ret, UUID_TEXT_SIZE, "%s", json_str(doc, "device_id", ""));
    return ERR_OK;
}

/* Has somebody decided?  Our key proves who asks; the greeting before it brings the parent's time.
 */
static enum err_code ask_enrolment(struct join *j, const char *device_id, struct http_answer *a,
                                   struct err *e)
{
    AUTO_STR char *proof = NULL;
    char path[80];
    struct http_req *r;
    enum err_code rc = hello(j, e);

    if (rc == ERR_OK)
        rc = token_proof(j->sig, device_id, j->issuer, PROTO_ACT_ENROLMENT,
                         clock_wall_ms() + j->offset_ms, &proof, e);
    if (rc != ERR_OK)
        return rc;
    (void)snprintf(path, sizeof path, "/api/agent/v1/enrolments/%s", device_id);
    r = http_req_new("GET", path);
    if (r != NULL) {
        http_req_header(r, "Authorization: Bearer %s", proof);
        http_req_limits(r, 256 * KIB, HTTP_HEAD_MS);
    }
    return http_call(j->http, r, a, e);
}

/* A 202 is asked again until somebody decides; Ctrl-C is safe, the same command goes on. */
static enum err_code enrol(struct join *j, struct identity *id, struct err *e)
{
    char device_id[UUID_TEXT_SIZE] = "";
    struct http_answer a = {0};
    enum err_code rc = post_enrolment(j, &a, e);

    while (rc == ERR_OK && a.status == 202) {
        int64_t wait_ms = backoff_retry_after(slice_of(a.retry_after), clock_wall_ms());
        if (device_id[0] == '\0') {
            rc = pending_id(&a, device_id, e);
            say_waiting(j);
        }
        while (rc == ERR_OK) {
            (void)poll(NULL, 0, (int)(wait_ms < 0 ? APPROVAL_POLL_MS : wait_ms));
            http_answer_clear(&a);
            rc = ask_enrolment(j, device_id, &a, e);
            if (rc != ERR_UNAVAILABLE && rc != ERR_TIMEOUT)
                break;
            rc = ERR_OK;
            wait_ms = -1;
        }
    }
    if (rc == ERR_OK)
        rc =
            a.status == 201 || a.status == 200 ? read_answer(j, &a, id, e) : http_answer_err(&a, e);
    http_answer_clear(&a);
    return rc;
}

/* --- the command --- */

/* Joined already: fine when it is the same parent, refused when it is another. */
static int already(struct join *j, const struct identity *id, struct err *e)
{
    bool same = false;
    size_t i;
    json_t *v;

    if (j->o->parent != NULL) {
        json_array_foreach(id->addresses, i, v)
        {
            same = same || strcmp(json_string_value(v), j->o->parent) == 0;
        }
    } else if (read_join_string(j, e) == ERR_OK) {
        same = strcmp(j->string.fleet, id->fleet) == 0;
    } else {
        say_error(e);
        return EXIT_REFUSED;
    }
    if (same) {
        (void)printf(say_tr("Already joined as \"%s\" (%s).\n", "参加済みです: \"%s\" (%s)\n"),
                     id->name, id->device_id);
        return EXIT_OK;
    }
    (void)err_set(e, ERR_CONFLICT, "this host belongs to %s already; \"inari-agent leave\" first",
                  json_string_value(json_array_get(id->addresses, 0)));
    say_error(e);
    return EXIT_REFUSED;
}

static enum err_code steps(struct join *j, struct identity *id, struct err *e)
{
    enum err_code rc = find_parent(j, e);

    if (rc == ERR_OK)
        rc = connect_parent(j, e);
    if (rc == ERR_OK)
        rc = get_token(j, e);
    if (rc == ERR_OK)
        rc = identity_pending_keys(j->s->agent_state, &j->sig, &j->enc, e);
    if (rc != ERR_OK)
        return rc;
    take_inventory(j);
    rc = enrol(j, id, e);
    if (rc == ERR_OK) /* what another parent was to hear is not this one's, nor this device's */
        rc = identity_forget_events(j->s->agent_state, e);
    if (rc == ERR_OK)
        rc = identity_save(j->s->agent_state, id, e);
    if (rc == ERR_OK)
        identity_pending_done(j->s->agent_state);
    return rc;
}

static enum err_code enter(struct join *j, struct err *e)
{
    enum err_code rc;

    if (gethostname(j->hostname, sizeof j->hostname - 1) != 0)
        (void)snprintf(j->hostname, sizeof j->hostname, "localhost");
    identity_machine(&j->machine);
    rc = place_make(j->s, e);
    return rc == ERR_OK ? place_drop_root(j->s, e) : rc;
}

static int first_time(struct join *j, struct identity *id, struct err *e)
{
    AUTO_FD int lock = -1;
    enum err_code rc = place_lock(j->s, &lock, e);

    if (rc != ERR_OK) {
        say_error(e);
        return EXIT_LOCKED;
    }
    rc = steps(j, id, e);
    if (rc != ERR_OK) {
        say_error(e);
        return say_exit_of(rc);
    }
    (void)printf(say_tr("Joined as \"%s\" (%s). Nothing on this host was changed; the parent shows "
                        "what it found.\n",
                        "\"%s\" (%s) として参加しました。このホストの設定は変更していません。\n"),
                 id->name, id->device_id);
    return EXIT_OK;
}

int join_run(const struct agent_settings *s, const struct join_options *o)
{
    struct join j = {.s = s, .o = o};
    struct identity id = {0};
    struct err e = {0};
    enum err_code rc = enter(&j, &e);
    int status;

    if (rc == ERR_OK)
        rc = identity_load(s->agent_state, &id, &e);
    if (rc == ERR_OK) {
        status = already(&j, &id, &e);
    } else if (rc == ERR_NOT_FOUND) {
        status = first_time(&j, &id, &e);
    } else {
        say_error(&e);
        status = EXIT_FAILED;
    }
    identity_clear(&id);
    join_clear(&j);
    return status;
}
