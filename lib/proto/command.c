#include "proto/command.h"

#include "jose/jose.h"

#include <stdio.h>

const char *const command_kind_names[] = {"self-check",
                                          "queue-show",
                                          "queue-flush",
                                          "queue-hold",
                                          "queue-release",
                                          "queue-delete",
                                          "service-start",
                                          "service-stop",
                                          "service-restart",
                                          "test-message",
                                          "debug-bundle",
                                          "rotate-key",
                                          "drain",
                                          "undrain",
                                          "dry-run",
                                          "drift-enforce",
                                          NULL};
const char *const command_service_names[] = {"postfix", NULL};
const char *const command_queue_names[] = {"all", "incoming", "active", "deferred", "hold", NULL};
const char *const command_state_names[] = {"queued",  "delivered",   "running", "done",
                                           "failed",  "interrupted", "expired", "cancelled",
                                           "unknown", NULL};

static int index_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0)
            return i;
    }
    return -1;
}

int command_kind_of(const char *word)
{
    return index_of(word, command_kind_names);
}

int command_state_of(const char *word)
{
    return index_of(word, command_state_names);
}

bool command_queue_id_ok(struct slice id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return false;
    }
    return id.n >= 6 && id.n <= 30;
}

bool command_drift_item_ok(struct slice item)
{
    static const char *const files[] = {"main.cf:", "master.cf:", "table:", "service:",
                                        "foxproxy.ini:"};
    bool known = false;

    for (size_t i = 0; i < COUNT_OF(files); i++)
        known =
            known || (item.n > strlen(files[i]) && memcmp(item.p, files[i], strlen(files[i])) == 0);
    for (size_t i = 0; i < item.n; i++)
        known = known && item.p[i] > ' ' && item.p[i] < 0x7f && item.p[i] != '"';
    return known && item.n <= COMMAND_ITEM_MAX;
}

/* Either ids or all: a list that came out empty must not mean everything. */
static enum err_code check_ids(const struct command_args *a, const char *at, struct err *e)
{
    char pointer[160];
    size_t i;
    json_t *v;

    (void)snprintf(pointer, sizeof pointer, "%s/ids", at);
    if (a->all == (json_array_size(a->ids) > 0))
        return err_field(e, ERR_INVALID, pointer,
                         "name the messages in \"ids\", or say \"all\": true; not both");
    json_array_foreach(a->ids, i, v)
    {
        (void)snprintf(pointer, sizeof pointer, "%s/ids/%zu", at, i);
        if (!json_is_string(v) ||
            !command_queue_id_ok((struct slice){json_string_value(v), json_string_length(v)}))
            return err_field(e, ERR_INVALID, pointer,
                             "a queue id has 6 to 30 letters and digits, as queue-show prints it");
    }
    return ERR_OK;
}

/* An empty list must not mean everything. */
static enum err_code check_items(const struct command_args *a, const char *at, struct err *e)
{
    char pointer[160];
    size_t i;
    json_t *v;

    (void)snprintf(pointer, sizeof pointer, "%s/items", at);
    if (a->items != NULL && json_array_size(a->items) == 0)
        return err_field(e, ERR_INVALID, pointer,
                         "name at least one item, or leave \"items\" out for all that differ");
    json_array_foreach(a->items, i, v)
    {
        (void)snprintf(pointer, sizeof pointer, "%s/items/%zu", at, i);
        if (!json_is_string(v) ||
            !command_drift_item_ok((struct slice){json_string_value(v), json_string_length(v)}))
            return err_field(e, ERR_INVALID, pointer,
                             "an item is named as GET /devices/{id}/drift does, like "
                             "main.cf:message_size_limit");
    }
    return ERR_OK;
}

/* Plain "user@domain": nothing that a program could take for something else. */
static bool address_ok(const char *s)
{
    const char *sign = strrchr(s, '@');
    size_t local = sign == NULL ? 0 : (size_t)(sign - s);

    if (local == 0 || local > 64 || s[0] == '-' || strchr(sign, '.') == NULL)
        return false;
    for (const char *p = s; *p != '\0'; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= 'a' && *p <= 'z') || *p == '.' || *p == '-';
        if (p != sign && !plain && (p > sign || strchr("_+=%", *p) == NULL))
            return false;
    }
    return true;
}

static enum err_code check_addresses(const struct command_args *a, const char *at, struct err *e)
{
    bool recipient = !address_ok(a->recipient);
    char pointer[160];

    (void)snprintf(pointer, sizeof pointer, "%s/%s", at, recipient ? "recipient" : "sender");
    return !recipient && (a->sender == NULL || address_ok(a->sender))
               ? ERR_OK
               : err_field(e, ERR_INVALID, pointer,
                           "a plain address like user@example.com is needed");
}

static enum err_code check_key(const struct command_args *a, const char *at, struct err *e)
{
    AUTO(jose_key_free) struct jose_key *key = NULL;
    char pointer[160];

    (void)snprintf(pointer, sizeof pointer, "%s/key", at);
    return jose_key_from_jwk(a->key, &key, NULL) == ERR_OK
               ? ERR_OK
               : err_field(e, ERR_INVALID, pointer,
                           "the key must be a public P-256 JWK; inarictl debug-bundle makes one");
}

enum err_code command_args_read(enum command_kind kind, const json_t *args, const char *at,
                                struct command_args *ret, struct err *e)
{
    static const struct jdec_field none[] = {JDEC_END};
    static const struct jdec_field show[] = {
        JDEC_ENUM(struct command_args, queue, 0, command_queue_names),
        JDEC_INT(struct command_args, limit, 0, 1, COMMAND_SHOW_MAX),
        JDEC_END,
    };
    static const struct jdec_field some[] = {
        JDEC_ENUM(struct command_args, queue, 0, command_queue_names),
        JDEC_ARRAY(struct command_args, ids, 0, COMMAND_IDS_MAX),
        JDEC_BOOL(struct command_args, all, 0),
        JDEC_END,
    };
    static const struct jdec_field service[] = {
        JDEC_ENUM(struct command_args, service, JD_REQUIRED, command_service_names),
        JDEC_END,
    };
    static const struct jdec_field bundle[] = {
        JDEC_OBJECT(struct command_args, key, JD_REQUIRED),
        JDEC_END,
    };
    static const struct jdec_field message[] = {
        JDEC_STR(struct command_args, recipient, JD_REQUIRED, 3, 320),
        JDEC_STR(struct command_args, sender, 0, 3, 320),
        JDEC_END,
    };
    static const struct jdec_field drift[] = {
        JDEC_ARRAY(struct command_args, items, 0, COMMAND_ITEMS_MAX),
        JDEC_END,
    };
    static const struct jdec_field trial[] = {
        JDEC_UUID(struct command_args, run, JD_REQUIRED),
        JDEC_END,
    };
    static const struct jdec_field *const by_kind[] = {
        [COMMAND_SELF_CHECK] = none,
        [COMMAND_QUEUE_SHOW] = show,
        [COMMAND_QUEUE_FLUSH] = some,
        [COMMAND_QUEUE_HOLD] = some,
        [COMMAND_QUEUE_RELEASE] = some,
        [COMMAND_QUEUE_DELETE] = some,
        [COMMAND_SERVICE_START] = service,
        [COMMAND_SERVICE_STOP] = service,
        [COMMAND_SERVICE_RESTART] = service,
        [COMMAND_TEST_MESSAGE] = message,
        [COMMAND_DEBUG_BUNDLE] = bundle,
        [COMMAND_ROTATE_KEY] = none,
        [COMMAND_DRAIN] = none,
        [COMMAND_UNDRAIN] = none,
        [COMMAND_DRY_RUN] = trial,
        [COMMAND_DRIFT_ENFORCE] = drift,
    };
    AUTO(json_free) json_t *empty = args == NULL ? json_object() : NULL;
    struct command_args a = {.kind = kind, .limit = 1000};
    enum err_code rc =
        jdec_object(args == NULL ? empty : args, by_kind[kind], JD_REFUSE_UNKNOWN, at, &a, e);

    if (rc == ERR_OK && by_kind[kind] == some)
        rc = check_ids(&a, at, e);
    if (rc == ERR_OK && by_kind[kind] == message)
        rc = check_addresses(&a, at, e);
    if (rc == ERR_OK && by_kind[kind] == bundle)
        rc = check_key(&a, at, e);
    if (rc == ERR_OK && by_kind[kind] == drift)
        rc = check_items(&a, at, e);
    if (rc == ERR_OK)
        *ret = a;
    return rc;
}
