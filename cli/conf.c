#include "conf.h"

#include "base/file.h"
#include "base/hash.h"
#include "json/json_in.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { CONF_MAX = 256 * 1024 };

static void wipe_free(char **s)
{
    if (*s != NULL)
        secret_wipe(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

void conf_clear(struct conf *c)
{
    wipe_free(&c->token);
    wipe_free(&c->cookie);
    free(c->url);
    free(c->ca_file);
    free(c->ca_pem);
    free(c->pin);
    free(c->user);
    *c = (struct conf){0};
}

static bool replace(char **target, const char *s)
{
    char *copy;

    if (s == NULL || s[0] == '\0')
        return true;
    copy = strdup(s);
    free(*target);
    *target = copy;
    return copy != NULL;
}

static void folder(struct strbuf *b)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (base != NULL && base[0] == '/')
        strbuf_printf(b, "%s/inari", base);
    else
        strbuf_printf(b, "%s/.config/inari", home != NULL ? home : "");
}

static enum err_code read_stored(struct conf *c, struct err *e)
{
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(4 * KIB);
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;
    size_t n = 0;
    enum err_code rc;

    folder(&path);
    strbuf_puts(&path, "/inarictl.json");
    rc = file_read(strbuf_str(&path), CONF_MAX, &text, &n, e);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){text, n}, CONF_MAX, &j, e);
    if (text != NULL)
        secret_wipe(text, n);
    if (rc != ERR_OK)
        return err_wrap(e, "could not use \"%s\"", strbuf_str(&path));
    if (!replace(&c->url, json_str(j, "url", NULL)) ||
        !replace(&c->ca_pem, json_str(j, "ca", NULL)) ||
        !replace(&c->pin, json_str(j, "pin", NULL)) ||
        !replace(&c->token, json_str(j, "token", NULL)) ||
        !replace(&c->cookie, json_str(j, "session", NULL)) ||
        !replace(&c->user, json_str(j, "user", NULL)))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return ERR_OK;
}

/* "https://a:8445/" and "https://a:8445" are one address. */
static bool same_url(const char *a, const char *b)
{
    struct slice x = slice_of(a);
    struct slice y = slice_of(b);

    if (x.n > 0 && x.p[x.n - 1] == '/')
        x.n--;
    if (y.n > 0 && y.p[y.n - 1] == '/')
        y.n--;
    return slice_eq(x, y);
}

enum err_code conf_load(struct conf *c, const char *url, const char *ca_file, const char *pin,
                        struct err *e)
{
    enum err_code rc;

    *c = (struct conf){0};
    rc = read_stored(c, e);
    if (rc != ERR_OK)
        return rc;
    if (url == NULL || url[0] == '\0')
        url = getenv("INARI_API");
    if (url != NULL && url[0] != '\0' && (c->url == NULL || !same_url(c->url, url)))
        conf_clear(c);
    if (ca_file == NULL && pin == NULL)
        ca_file = getenv("INARI_CA");
    if ((ca_file != NULL && ca_file[0] != '\0') || pin != NULL) {
        free(c->ca_pem);
        free(c->pin);
        c->ca_pem = c->pin = NULL;
    }
    if (getenv("INARI_TOKEN") != NULL)
        wipe_free(&c->cookie);
    if (!replace(&c->url, url) || !replace(&c->ca_file, ca_file) || !replace(&c->pin, pin) ||
        !replace(&c->token, getenv("INARI_TOKEN")))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return ERR_OK;
}

static void put(json_t *j, const char *name, const char *value)
{
    if (value != NULL)
        json_object_set_new(j, name, json_string(value));
}

enum err_code conf_save(const struct conf *c, struct err *e)
{
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(4 * KIB);
    AUTO(json_free) json_t *j = json_object();
    AUTO_STR char *ca = NULL;
    AUTO_STR char *text = NULL;
    size_t n = 0;
    enum err_code rc = ERR_OK;

    if (c->ca_file != NULL)
        rc = file_read(c->ca_file, CONF_MAX, &ca, &n, e);
    if (rc != ERR_OK)
        return rc;
    put(j, "url", c->url);
    put(j, "ca", ca != NULL ? ca : c->ca_pem);
    put(j, "pin", c->pin);
    put(j, "token", c->token);
    put(j, "session", c->cookie);
    put(j, "user", c->user);
    text = json_text(j, JSON_INDENT(1));
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    folder(&path);
    rc = file_mkdirs(strbuf_str(&path), 0700, e);
    strbuf_puts(&path, "/inarictl.json");
    if (rc == ERR_OK)
        rc = file_write_atomic(strbuf_str(&path), slice_of(text), 0600, e);
    secret_wipe(text, strlen(text));
    return rc;
}

enum err_code conf_forget(struct conf *c, struct err *e)
{
    wipe_free(&c->token);
    wipe_free(&c->cookie);
    return conf_save(c, e);
}
