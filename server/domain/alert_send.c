#include "domain/alert_send.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "domain/alert_kind.h"
#include "domain/alert_trap.h"
#include "domain/keyring.h"
#include "domain/page.h"
#include "store/alert_store.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SUBJECT_MAX = 4 * 1024,
    TEXT_MAX = 512 * 1024,
    TEST_MS = 15 * 1000,
    TEST_ARENA = 1024 * 1024
};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* "parent.example" of "https://parent.example:8445": what we say we are. */
static void own_host(const struct app *app, char *buf, size_t size)
{
    const char *name =
        slice_starts(slice_of(app->issuer), "https://") ? app->issuer + 8 : app->issuer;
    size_t n = name[0] == '[' ? strcspn(name, "]") + 1 : strcspn(name, ":/");

    (void)snprintf(buf, size, "%.*s", (int)n, name);
}

static int word_index(const char *word, const char *const *words)
{
    int i = 0;

    while (words[i] != NULL && strcmp(words[i], word) != 0)
        i++;
    return words[i] == NULL ? 0 : i;
}

static enum err_code send_mail(const struct app *app, const struct alert_notice *n,
                               const json_t *secrets, const struct notify_run *run, struct err *e)
{
    static const char *const tls[] = {"none", "starttls", "tls", NULL};
    AUTO_STRBUF struct strbuf subject = STRBUF_INIT(SUBJECT_MAX);
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(TEXT_MAX);
    char host[256];
    struct notify_mail m = {
        .host = json_str(n->config, "host", ""),
        .port = json_int(n->config, "port", 25),
        .tls = word_index(json_str(n->config, "tls", ""), tls),
        .ca = json_str(n->config, "ca", NULL),
        .user = json_str(n->config, "user", NULL),
        .password = json_str(secrets, "password", NULL),
        .helo = host,
        .from = json_str(n->config, "from", ""),
        .to = json_object_get(n->config, "to"),
        .charset = json_str(n->config, "charset", "utf-8"),
        .id = n->id,
        .date_ms = n->created_ms,
    };

    own_host(app, host, sizeof host);
    alert_send_words(app, n->body, strcmp(n->lang, "ja") == 0 ? LANG_JA : LANG_EN, &subject, &text);
    if (strbuf_check(&subject, e) != ERR_OK || strbuf_check(&text, e) != ERR_OK)
        return e->code;
    m.subject = strbuf_str(&subject);
    m.text = strbuf_str(&text);
    return notify_send_mail(&m, run, e);
}

/* The body as the engine wrote it, and what people would read. */
static json_t *webhook_body(const struct app *app, const struct alert_notice *n)
{
    enum lang lang = strcmp(n->lang, "ja") == 0 ? LANG_JA : LANG_EN;
    AUTO_STRBUF struct strbuf subject = STRBUF_INIT(SUBJECT_MAX);
    AUTO_STRBUF struct strbuf text = STRBUF_INIT(TEXT_MAX);
    uint64_t failed = json_failures();
    json_t *out = json_deep_copy(n->body), *v;
    size_t i;

    alert_send_words(app, n->body, lang, &subject, &text);
    (void)json_object_set_new(out, "id", json_string(n->id));
    (void)json_object_set_new(out, "parent", json_string(app->issuer));
    (void)json_object_set_new(out, "created_at", time_json(n->created_ms));
    (void)json_object_set_new(out, "summary", json_string(strbuf_str(&subject)));
    json_array_foreach(json_object_get(out, "alerts"), i, v)
    {
        AUTO_STRBUF struct strbuf one = STRBUF_INIT(SUBJECT_MAX);
        alert_kind_text(v, lang, &one);
        (void)json_object_set_new(v, "text", json_string(strbuf_str(&one)));
    }
    if (json_failures() == failed && strbuf_ok(&subject) && strbuf_ok(&text))
        return out;
    json_decref(out);
    return NULL;
}

static enum err_code send_webhook(const struct app *app, const struct alert_notice *n,
                                  const json_t *secrets, const struct notify_run *run,
                                  struct err *e)
{
    AUTO(json_free) json_t *body = webhook_body(app, n);
    AUTO_STR char *text = body == NULL ? NULL : json_text(body, JSON_COMPACT);
    const struct notify_webhook w = {
        .url = json_str(n->config, "url", ""),
        .ca = json_str(n->config, "ca", NULL),
        .key = json_str(secrets, "key", ""),
        .id = n->id,
        .body = slice_of(text),
    };

    return text == NULL ? no_memory(e) : notify_send_webhook(&w, run, e);
}

/* {} when there are none; new reference. */
static enum err_code open_box(const struct app *app, const struct alert_notice *n, json_t **ret,
                              struct err *e)
{
    enum err_code rc = ERR_OK;
    char *plain;

    if (n->box.n <= KEYRING_BOX_EXTRA) {
        *ret = json_object();
        return *ret == NULL ? no_memory(e) : ERR_OK;
    }
    plain = calloc(1, n->box.n);
    if (plain == NULL)
        return no_memory(e);
    rc = keyring_unbox(app->keys, n->channel_id, n->box, (unsigned char *)plain, e);
    *ret = rc == ERR_OK ? json_in_own(plain) : NULL;
    secret_wipe(plain, n->box.n);
    free(plain);
    return rc == ERR_OK && *ret == NULL ? no_memory(e) : rc;
}

enum err_code alert_send(const struct app *app, const struct alert_notice *n,
                         const struct notify_run *run, struct err *e)
{
    AUTO(json_free) json_t *secrets = NULL;
    struct notify_run mine = *run;
    enum err_code rc = open_box(app, n, &secrets, e);

    mine.allowed = app->alert_networks;
    if (rc != ERR_OK)
        return rc;
    if (strcmp(n->kind, "mail") == 0)
        return send_mail(app, n, secrets, &mine, e);
    if (strcmp(n->kind, "webhook") == 0)
        return send_webhook(app, n, secrets, &mine, e);
    if (strcmp(n->kind, "snmp") == 0)
        return alert_trap_send(app, n, secrets, &mine, e);
    return err_set(e, ERR_INTERNAL, "no such kind of channel");
}

/* --- the test button --- */

static enum err_code test_notice(struct db *db, const char *ref, struct arena *a,
                                 struct alert_notice *n, struct err *e)
{
    json_t *channel = NULL, *body = json_pack("{s:b,s:s,s:s,s:{},s:[]}", "test", 1, "rule", "test",
                                              "severity", "info", "counts", "alerts");
    enum err_code rc;

    if (body == NULL || !arena_defer(a, (void (*)(void *))json_decref, body))
        return no_memory(e);
    rc = alert_store_get(db, ALERT_CHANNEL, ref, clock_wall_ms(), a, &channel, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no \"%s\" here", ref);
    if (rc != ERR_OK)
        return rc;
    n->channel_id = json_str(channel, "id", "");
    n->kind = json_str(channel, "kind", "");
    n->lang = json_str(channel, "lang", "");
    n->config = json_object_get(channel, "config");
    n->body = body;
    n->created_ms = clock_wall_ms();
    return alert_store_get_box(db, n->channel_id, a, &n->box, e);
}

enum err_code alert_send_test(struct db *db, const struct app *app, const char *ref, enum lang lang,
                              json_t **ret, struct err *e)
{
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    AUTO(arena_free) struct arena *a = arena_new(TEST_ARENA);
    AUTO(json_free) json_t *steps = json_array();
    char id[UUID_TEXT_SIZE];
    struct alert_notice n = {.id = id};
    struct notify_run run = {.limit_ms = TEST_MS, .steps = steps};
    struct err sent = {0};
    enum err_code rc;

    uuid7(id);
    if (a == NULL || steps == NULL)
        return no_memory(e);
    rc = test_notice(db, ref, a, &n, e);
    if (rc != ERR_OK)
        return rc;
    if (atomic_flag_test_and_set(&busy)) /* one worker waits for strangers, not all of them */
        return err_set(e, ERR_OVERLOADED, "another channel is being tested: try again in a moment");
    rc = alert_send(app, &n, &run, &sent);
    atomic_flag_clear(&busy);
    *ret = json_pack("{s:b,s:s?,s:O}", "ok", rc == ERR_OK, "problem",
                     rc == ERR_OK ? NULL : err_text(&sent, lang), "steps", steps);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}
