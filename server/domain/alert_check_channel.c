#include "domain/alert_check.h"

#include "domain/alert_trap.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { RECIPIENTS_MAX = 20, CA_MAX = 64 * 1024, KEY_MIN = 16, PASSPHRASE_MIN = 8 };

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "out of memory");
}

struct config {
    const char *host, *user, *from, *url, *root;
    json_t *to, *ca;
    int64_t port;
    int tls, charset, version;
    bool inform;
};
static const char *const channel_kinds[] = {"mail", "webhook", "snmp", NULL};
static const char *const tls_words[] = {"none", "starttls", "tls", NULL};
static const char *const charsets[] = {"utf-8", "iso-2022-jp", NULL};
static const char *const languages[] = {"en", "ja", NULL};
static const char *const versions[] = {"v2c", "v3", NULL};

static enum err_code check_host(const char *host, struct err *e)
{
    unsigned char addr[16];
    size_t n = strlen(host);

    if (inet_pton(AF_INET6, host, addr) == 1 || inet_pton(AF_INET, host, addr) == 1)
        return ERR_OK;
    if (n <= 253 && host[0] != '-' && host[0] != '.' &&
        strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == n)
        return ERR_OK;
    return err_field(e, ERR_INVALID, "/config/host",
                     "a host name, or an IPv4 or IPv6 address without brackets, is needed");
}

static bool is_address(const char *s)
{
    const char *at = strrchr(s, '@');
    size_t n = strlen(s);

    if (at == NULL || at == s || at[1] == '\0' || n > 254)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] >= 0x7f ||
            strchr("<>()[],;:\\\"", s[i]) != NULL)
            return false;
    return strchr(s, '@') == at;
}

static enum err_code check_ca(const json_t *ca, struct err *e)
{
    const char *text = json_string_value(ca);

    if (ca == NULL || json_is_null(ca))
        return ERR_OK;
    if (text == NULL || strlen(text) > CA_MAX ||
        strstr(text, "-----BEGIN CERTIFICATE-----") == NULL)
        return err_field(e, ERR_INVALID, "/config/ca",
                         "certificates in PEM of at most %d bytes are needed", CA_MAX);
    return ERR_OK;
}

static json_t *ca_json(const struct config *c)
{
    return c->ca == NULL ? json_null() : json_incref(c->ca);
}

static enum err_code check_mail(const json_t *given, json_t **ret, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_STR(struct config, host, JD_REQUIRED, 1, 253),
        JDEC_INT(struct config, port, 0, 1, 65535),
        JDEC_ENUM(struct config, tls, 0, tls_words),
        JDEC_STR(struct config, user, JD_NULL_OK, 1, 200),
        JDEC_STR(struct config, from, JD_REQUIRED, 3, 254),
        JDEC_ARRAY(struct config, to, JD_REQUIRED, RECIPIENTS_MAX),
        JDEC_ENUM(struct config, charset, 0, charsets),
        JDEC_ANY(struct config, ca, 0),
        JDEC_END,
    };
    struct config c = {.port = 25};
    enum err_code rc = jdec_object(given, fields, JD_REFUSE_UNKNOWN, "/config", &c, e);
    char at[40];
    json_t *v;
    size_t i;

    if (rc == ERR_OK)
        rc = check_host(c.host, e);
    if (rc == ERR_OK)
        rc = check_ca(c.ca, e);
    if (rc == ERR_OK && !is_address(c.from))
        return err_field(e, ERR_INVALID, "/config/from",
                         "a mail address like inari@example.com is needed");
    if (rc == ERR_OK && json_array_size(c.to) == 0)
        return err_field(e, ERR_INVALID, "/config/to", "at least one recipient is needed");
    if (rc == ERR_OK && c.user != NULL && c.tls == 0)
        return err_field(e, ERR_INVALID, "/config/user",
                         "a password goes over TLS only: set \"tls\" to \"starttls\" or \"tls\"");
    json_array_foreach(rc == ERR_OK ? c.to : NULL, i, v)
    {
        (void)snprintf(at, sizeof at, "/config/to/%zu", i);
        if (!json_is_string(v) || !is_address(json_string_value(v)))
            return err_field(e, ERR_INVALID, at, "a mail address like inari@example.com is needed");
    }
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:s,s:I,s:s,s:s?,s:s,s:O,s:s,s:o}", "host", c.host, "port",
                     (json_int_t)c.port, "tls", tls_words[c.tls], "user", c.user, "from", c.from,
                     "to", c.to, "charset", charsets[c.charset], "ca", ca_json(&c));
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* Without a name, password or fragment: what is secret stands in "secrets". */
static bool is_url(const char *s)
{
    size_t n = strlen(s), host;

    if (!slice_starts(slice_of(s), "https://") || strchr(s, '#') != NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] >= 0x7f || s[i] == '\\')
            return false;
    host = strcspn(s + 8, "/?");
    return host > 0 && memchr(s + 8, '@', host) == NULL;
}

static enum err_code check_webhook(const json_t *given, json_t **ret, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_STR(struct config, url, JD_REQUIRED, 9, 2000),
        JDEC_ANY(struct config, ca, 0),
        JDEC_END,
    };
    struct config c = {0};
    enum err_code rc = jdec_object(given, fields, JD_REFUSE_UNKNOWN, "/config", &c, e);

    if (rc == ERR_OK)
        rc = check_ca(c.ca, e);
    if (rc == ERR_OK && !is_url(c.url))
        return err_field(e, ERR_INVALID, "/config/url",
                         "an address like https://hooks.example.com/inari is needed, without a "
                         "name or password in it");
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:s,s:o}", "url", c.url, "ca", ca_json(&c));
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

static enum err_code check_snmp(const json_t *given, json_t **ret, struct err *e)
{
    static const struct jdec_field fields[] = {
        JDEC_STR(struct config, host, JD_REQUIRED, 1, 253),
        JDEC_INT(struct config, port, 0, 1, 65535),
        JDEC_ENUM(struct config, version, 0, versions),
        JDEC_BOOL(struct config, inform, 0),
        JDEC_STR(struct config, user, JD_NULL_OK, 1, 32),
        JDEC_STR(struct config, root, 0, 1, 200),
        JDEC_END,
    };
    struct config c = {.port = 162, .version = 1, .inform = true, .root = ALERT_TRAP_ROOT};
    enum err_code rc = jdec_object(given, fields, JD_REFUSE_UNKNOWN, "/config", &c, e);

    if (rc == ERR_OK)
        rc = check_host(c.host, e);
    if (rc == ERR_OK && (c.user != NULL) != (c.version == 1))
        return err_field(e, ERR_INVALID, "/config/user",
                         "SNMPv3 needs the name of a user, SNMPv2c has a community instead");
    if (rc == ERR_OK && !notify_trap_root_ok(c.root))
        return err_field(e, ERR_INVALID, "/config/root",
                         "an object identifier below 1.3.6.1 like %s is needed", ALERT_TRAP_ROOT);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:s,s:I,s:s,s:b,s:s?,s:s}", "host", c.host, "port", (json_int_t)c.port,
                     "version", versions[c.version], "inform", c.inform, "user", c.user, "root",
                     c.root);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

typedef enum err_code (*config_fn)(const json_t *given, json_t **ret, struct err *e);
static const config_fn config_checks[] = {check_mail, check_webhook, check_snmp};

enum err_code alert_check_channel(const json_t *doc, const json_t *before, json_t **ret,
                                  struct err *e)
{
    struct channel {
        const char *name;
        json_t *config;
        int kind, lang;
        bool enabled, fallback;
    } c = {.enabled = true, .fallback = true};
    static const struct jdec_field fields[] = {
        JDEC_STR(struct channel, name, JD_REQUIRED, 1, 63),
        JDEC_ENUM(struct channel, kind, JD_REQUIRED, channel_kinds),
        JDEC_OBJECT(struct channel, config, JD_REQUIRED),
        JDEC_BOOL(struct channel, enabled, 0),
        JDEC_BOOL(struct channel, fallback, 0),
        JDEC_ENUM(struct channel, lang, 0, languages),
        JDEC_END,
    };
    AUTO(json_free) json_t *config = NULL;
    enum err_code rc = jdec_object(doc, fields, JD_REFUSE_UNKNOWN, "", &c, e);

    if (rc == ERR_OK)
        rc = alert_check_name(c.name, e);
    if (rc == ERR_OK && before != NULL &&
        strcmp(json_str(before, "kind", ""), channel_kinds[c.kind]) != 0)
        return err_field(e, ERR_INVALID, "/kind",
                         "the kind stays as it was: make a new one instead");
    if (rc == ERR_OK)
        rc = config_checks[c.kind](c.config, &config, e);
    if (rc != ERR_OK)
        return rc;
    *ret = json_pack("{s:s,s:s,s:O,s:b,s:b,s:s}", "name", c.name, "kind", channel_kinds[c.kind],
                     "config", config, "enabled", c.enabled, "fallback", c.fallback, "lang",
                     languages[c.lang]);
    return *ret == NULL ? no_memory(e) : ERR_OK;
}

/* Which secrets a channel has, all of which it must have. */
static bool has_secret(const char *kind, const json_t *config, const char *name)
{
    bool v2c = strcmp(json_str(config, "version", ""), "v2c") == 0;

    if (strcmp(kind, "mail") == 0)
        return strcmp(name, "password") == 0 && json_str(config, "user", NULL) != NULL;
    if (strcmp(kind, "webhook") == 0)
        return strcmp(name, "key") == 0;
    return v2c ? strcmp(name, "community") == 0
               : strcmp(name, "auth_password") == 0 || strcmp(name, "priv_password") == 0;
}

/* Shorter ones could be guessed from what was heard on the way. */
static int shortest(const char *name)
{
    if (strcmp(name, "key") == 0)
        return KEY_MIN;
    return strcmp(name, "auth_password") == 0 || strcmp(name, "priv_password") == 0 ? PASSPHRASE_MIN
                                                                                    : 1;
}

enum err_code alert_check_secrets(const char *kind, const json_t *config, const json_t *secrets,
                                  struct err *e)
{
    static const char *const names[] = {"password", "key", "community", "auth_password",
                                        "priv_password"};
    char at[192];
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)secrets, name, v)
    {
        json_pointer_add(at, sizeof at, "/secrets", name);
        if (!has_secret(kind, config, name))
            return err_field(e, ERR_INVALID, at, "this channel has no such secret");
        if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > 200 ||
            !slice_is_text((struct slice){json_string_value(v), json_string_length(v)}))
            return err_field(e, ERR_INVALID, at, "a text of 1 to 200 bytes is needed");
        if (json_string_length(v) < (size_t)shortest(name))
            return err_field(e, ERR_INVALID, at, "at least %d bytes are needed", shortest(name));
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        json_pointer_add(at, sizeof at, "/secrets", names[i]);
        if (has_secret(kind, config, names[i]) && json_object_get(secrets, names[i]) == NULL)
            return err_field(e, ERR_INVALID, at, "this channel needs this secret");
    }
    return ERR_OK;
}
