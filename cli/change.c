#include "change.h"

#include "base/file.h"
#include "base/hash.h"
#include "value.h"

#include <stdlib.h>

enum { FILE_MAX = 16 * 1024 * 1024, SECRET_MAX = 4096 };

static bool copy(char *to, size_t size, const char *from, size_t n)
{
    if (n == 0 || n >= size)
        return false;
    memcpy(to, from, n);
    to[n] = '\0';
    return true;
}

/* The ']' that closes text[0] == '[': rows such as "[10.0.0.1]:25" hold brackets themselves. */
static const char *closing(const char *text)
{
    int depth = 0;

    for (const char *p = text; *p != '\0'; p++) {
        depth += *p == '[';
        depth -= *p == ']';
        if (depth == 0)
            return p;
    }
    return NULL;
}

static bool parse_op(const char *p, struct assignment *ret)
{
    if (*p == '\0')
        return true;
    if (*p == '+')
        ret->op = ASSIGN_ADD;
    else if (*p == '-')
        ret->op = ASSIGN_REMOVE;
    p += *p == '+' || *p == '-';
    if (*p != '=')
        return false;
    ret->value = p + 1;
    return true;
}

bool assignment_parse(const char *text, struct assignment *ret)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyz0123456789_.";
    const char *p = text + strspn(text, word);

    *ret = (struct assignment){.op = ASSIGN_SET};
    if (!copy(ret->key, sizeof(ret->key), text, (size_t)(p - text)))
        return false;
    if (*p == '[') {
        const char *end = closing(p);
        if (end == NULL || !copy(ret->row, sizeof(ret->row), p + 1, (size_t)(end - p - 1)))
            return false;
        ret->has_row = true;
        p = end + 1;
        if (*p == '.') {
            size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
            if (!copy(ret->field, sizeof(ret->field), p + 1, n))
                return false;
            p += n + 1;
        }
        if (*p == '+' || *p == '-')
            return false;
    }
    return parse_op(p, ret);
}

/* Keys that share their last word or most of their letters with what was typed. */
static enum cli_exit no_setting(const struct cli *c, const char *key)
{
    AUTO_STRBUF struct strbuf near = STRBUF_INIT(2 * KIB);
    const char *dot = strrchr(key, '.');
    const char *word = dot == NULL ? key : dot + 1;
    int n = 0;

    for (size_t i = 0; i < catalog_count() && n < 5; i++) {
        const struct setting *s = catalog_at(i);
        const char *own = strrchr(s->key, '.');
        own = own == NULL ? s->key : own + 1;
        if (word[0] != '\0' && (strstr(s->key, word) != NULL || strstr(word, own) != NULL))
            strbuf_printf(&near, "%s%s", n++ == 0 ? "" : ", ", s->key);
    }
    if (n > 0)
        complain(c, T_NO_SETTING, key, strbuf_str(&near));
    else
        complain(c, T_NO_SETTING_PLAIN, key);
    return EXIT_REFUSED;
}

static json_t *sub_object(json_t *parent, const char *name)
{
    json_t *j = json_object_get(parent, name);

    if (json_is_object(j))
        return j;
    json_object_set_new(parent, name, json_object());
    return json_object_get(parent, name);
}

static const struct setting_field *field_of(const struct setting *s, const char *name,
                                            struct strbuf *all)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        if (strcmp(s->fields[i].name, name) == 0)
            return &s->fields[i];
        strbuf_printf(all, "%s%s", i == 0 ? "" : ", ", s->fields[i].name);
    }
    return NULL;
}

static enum cli_exit set_json(const struct cli *c, json_t *parent, const char *name,
                              const char *arg, const char *text)
{
    AUTO(json_free) json_t *j = NULL;
    struct err e = {0};

    if (json_in_parse(slice_of(text), FILE_MAX, &j, &e) != ERR_OK || !json_is_object(j)) {
        complain(c, T_BAD_JSON, arg, e.msg);
        return EXIT_REFUSED;
    }
    if (json_is_object(json_object_get(parent, name)))
        json_object_update(json_object_get(parent, name), j);
    else
        json_object_set(parent, name, j);
    return EXIT_OK_;
}

static enum cli_exit set_row(const struct cli *c, json_t *layer, const struct setting *s,
                             const struct assignment *a, const char *arg)
{
    AUTO_STRBUF struct strbuf names = STRBUF_INIT(4 * KIB);
    json_t *rows = sub_object(layer, s->key);
    const struct setting_field *f;
    json_t *value = NULL;
    enum cli_exit rc;

    if (a->field[0] == '\0')
        return set_json(c, rows, a->row, arg, a->value);
    f = field_of(s, a->field, &names);
    if (f == NULL) {
        complain(c, T_NO_FIELD, s->key, a->field, strbuf_str(&names));
        return EXIT_REFUSED;
    }
    rc = value_parse(c, arg, f, a->value, &value);
    if (rc == EXIT_OK_)
        json_object_set_new(sub_object(rows, a->row), a->field, value);
    return rc;
}

static void add_row(json_t *rows, struct slice row, bool remove)
{
    AUTO_STR char *name = NULL;

    row = slice_trim(row);
    if (row.n == 0)
        return;
    name = strndup(row.p, row.n);
    if (name == NULL)
        return;
    json_object_set_new(rows, name, remove ? json_pack("{s:b}", "$remove", 1) : json_object());
}

static enum cli_exit add_rows(const struct cli *c, json_t *rows, const char *value, bool remove)
{
    AUTO_STR char *text = NULL;
    struct slice rest = slice_of(value);
    struct err e = {0};
    char separator = ',';

    if (value[0] == '@') {
        size_t n = 0;
        if (file_read(value + 1, FILE_MAX, &text, &n, &e) != ERR_OK) {
            complain(c, T_READ_FILE, value + 1);
            return EXIT_ERROR;
        }
        rest = (struct slice){text, n};
        separator = '\n';
    }
    while (rest.n > 0) {
        struct slice row = slice_cut(&rest, separator);
        if (separator == '\n')
            row = slice_cut(&row, '#');
        add_row(rows, row, remove);
    }
    return EXIT_OK_;
}

/* Never from the command line, which every user of the host can read: KEY=@FILE, or KEY=@- for
 * standard input. */
static enum cli_exit set_secret(const struct cli *c, json_t *layer, const char *key,
                                const char *value)
{
    AUTO_STR char *text = NULL;
    struct slice rest, line;
    struct err e = {0};
    size_t n = 0;

    if (value[0] == '\0') {
        json_object_set_new(layer, key, json_string(""));
        return EXIT_OK_;
    }
    if (value[0] != '@') {
        complain(c, T_SECRET_FROM_FILE, key, key, key);
        return EXIT_REFUSED;
    }
    if (strcmp(value, "@-") == 0)
        text = read_secret(c, T_SECRET_PROMPT, false);
    else if (file_read(value + 1, SECRET_MAX, &text, &n, &e) != ERR_OK)
        text = NULL;
    if (text == NULL) {
        complain(c, T_READ_FILE, value + 1);
        return EXIT_ERROR;
    }
    rest = slice_of(text);
    line = slice_cut(&rest, '\n');
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (rest.n > 0 || line.n == 0) {
        secret_wipe(text, strlen(text));
        complain(c, T_SECRET_ONE_LINE, value + 1);
        return EXIT_REFUSED;
    }
    json_object_set_new(layer, key, json_stringn(line.p, line.n));
    secret_wipe(text, strlen(text));
    return EXIT_OK_;
}

enum cli_exit change_set(const struct cli *c, json_t *layer, const char *arg)
{
    struct assignment a;
    const struct setting *s;
    json_t *value = NULL;
    enum cli_exit rc;

    if (!assignment_parse(arg, &a) || a.value == NULL)
        return usage(c, T_NOT_ASSIGNMENT, arg);
    s = catalog_find(a.key);
    if (s == NULL)
        return no_setting(c, a.key);
    if (s->value.type != SET_LIST) {
        if (a.has_row || a.op != ASSIGN_SET) {
            complain(c, T_NOT_A_LIST, a.key, a.key);
            return EXIT_REFUSED;
        }
        if (s->value.type == SET_SECRET)
            return set_secret(c, layer, s->key, a.value);
        rc = value_parse(c, a.key, &s->value, a.value, &value);
        if (rc == EXIT_OK_)
            json_object_set_new(layer, s->key, value);
        return rc;
    }
    if (a.has_row)
        return set_row(c, layer, s, &a, arg);
    if (a.op != ASSIGN_SET)
        return add_rows(c, sub_object(layer, s->key), a.value, a.op == ASSIGN_REMOVE);
    if (a.value[0] == '{')
        return set_json(c, layer, s->key, arg, a.value);
    if (cli_opt(c, "device") == NULL && cli_opt(c, "group") == NULL) {
        json_t *exactly = json_object();
        json_object_set_new(layer, s->key, json_pack("{s:o}", CHANGE_EXACTLY, exactly));
        return add_rows(c, exactly, a.value, false);
    }
    complain(c, T_IS_A_LIST, a.key, a.key, a.key, a.key);
    return EXIT_REFUSED;
}

enum cli_exit change_check_options(struct cli *c)
{
    if (cli_opt(c, "device") != NULL && cli_opt(c, "group") != NULL)
        return usage(c, T_OPTION_BOTH, "device", "group");
    return EXIT_OK_;
}

enum cli_exit change_unset(const struct cli *c, json_t *layer, const char *arg, bool to_default)
{
    struct assignment a;
    const struct setting *s;
    json_t *marker;

    if (!assignment_parse(arg, &a) || a.value != NULL || a.field[0] != '\0')
        return usage(c, T_NOT_A_KEY, arg);
    s = catalog_find(a.key);
    if (s == NULL)
        return no_setting(c, a.key);
    if (a.has_row && s->value.type != SET_LIST) {
        complain(c, T_NOT_A_LIST, a.key, a.key);
        return EXIT_REFUSED;
    }
    marker = json_pack("{s:b}", to_default ? "$unset" : "$inherit", 1);
    if (a.has_row)
        json_object_set_new(sub_object(layer, s->key), a.row, marker);
    else
        json_object_set_new(layer, s->key, marker);
    return EXIT_OK_;
}

json_t *change_wrap(const struct cli *c, json_t *layer)
{
    if (cli_opt(c, "device") != NULL)
        return json_pack("{s:{s:o}}", "devices", cli_opt(c, "device"), layer);
    if (cli_opt(c, "group") != NULL)
        return json_pack("{s:{s:o}}", "groups", cli_opt(c, "group"), layer);
    return json_pack("{s:o}", "fleet", layer);
}
