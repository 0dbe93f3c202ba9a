#include "targets/secret_table.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/rand.h"
#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SALT = 16, SALT_HEX = 2 * SALT, FILE_BYTES_MAX = 256 * 1024 };

#define HEAD "# written by Inari, do not edit: "

/* Of the salt, the plan's words and what was made of them. */
static bool checksum(const char *salt, const struct plan_table *t, struct slice body,
                     char out[SHA256_HEX_SIZE])
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(2 * (size_t)FILE_BYTES_MAX + (size_t)KIB);

    strbuf_add(&b, (struct slice){salt, SALT_HEX});
    strbuf_puts(&b, t->content);
    strbuf_putc(&b, '\n');
    strbuf_add(&b, body);
    if (strbuf_ok(&b))
        sha256_hex(strbuf_slice(&b), out);
    if (b.p != NULL)
        secret_wipe(b.p, b.n);
    return strbuf_ok(&b);
}

/* The plan's words with each text in its place. */
static enum err_code fill(const struct plan_table *t, const json_t *secrets, struct strbuf *out,
                          struct err *e)
{
    const char *at = t->content, *mark;

    while ((mark = strstr(at, CATALOG_SEALED)) != NULL) {
        char ref[CATALOG_SEALED_SIZE];
        const char *text;
        strbuf_add(out, (struct slice){at, (size_t)(mark - at)});
        (void)snprintf(ref, sizeof ref, "%s", mark);
        text =
            catalog_is_sealed(ref) ? json_str(secrets, ref + strlen(CATALOG_SEALED), NULL) : NULL;
        if (text == NULL)
            return err_set(e, ERR_CONFLICT,
                           "table \"%s\" needs a sealed secret that did not come with this request",
                           t->name);
        if (!slice_is_text(slice_of(text)))
            return err_set(e, ERR_INVALID, "a secret of table \"%s\" is not one line of text",
                           t->name);
        strbuf_puts(out, text);
        at = mark + strlen(ref);
    }
    strbuf_puts(out, at);
    return strbuf_check(out, e);
}

enum err_code secret_table_write(const char *dir, const struct plan_table *t, const json_t *secrets,
                                 struct err *e)
{
    AUTO_STRBUF struct strbuf body = STRBUF_INIT(FILE_BYTES_MAX);
    AUTO_STRBUF struct strbuf file = STRBUF_INIT(FILE_BYTES_MAX + (size_t)KIB);
    unsigned char random[SALT];
    char salt[SALT_HEX + 1], sum[SHA256_HEX_SIZE], path[4600];
    enum err_code rc;

    (void)snprintf(path, sizeof path, "%s/%s", dir, t->name);
    if (secret_table_ok(path, t))
        return ERR_OK;
    rand_bytes(random, sizeof random);
    hex_encode(random, sizeof random, salt);
    rc = fill(t, secrets, &body, e);
    if (rc == ERR_OK && !checksum(salt, t, strbuf_slice(&body), sum))
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK) {
        strbuf_printf(&file, HEAD "%s %s\n", salt, sum);
        strbuf_add(&file, strbuf_slice(&body));
        rc = strbuf_check(&file, e);
    }
    if (rc == ERR_OK)
        rc = file_write_atomic(path, strbuf_slice(&file), 0600, e);
    if (body.p != NULL)
        secret_wipe(body.p, body.n);
    if (file.p != NULL)
        secret_wipe(file.p, file.n);
    return rc;
}

bool secret_table_ok(const char *path, const struct plan_table *t)
{
    AUTO_STR char *text = NULL;
    struct slice rest, head, salt, sum;
    char want[SHA256_HEX_SIZE];
    struct stat st;
    size_t n = 0;
    bool ok;

    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 07777) != 0600 || file_read(path, FILE_BYTES_MAX, &text, &n, NULL) != ERR_OK)
        return false;
    rest = (struct slice){text, n};
    head = slice_cut(&rest, '\n');
    ok = head.n == strlen(HEAD) + SALT_HEX + 1 + SHA256_HEX_SIZE - 1 &&
         memcmp(head.p, HEAD, strlen(HEAD)) == 0 && head.p[strlen(HEAD) + SALT_HEX] == ' ';
    if (ok) {
        salt = (struct slice){head.p + strlen(HEAD), SALT_HEX};
        sum = (struct slice){salt.p + SALT_HEX + 1, SHA256_HEX_SIZE - 1};
        ok = checksum(salt.p, t, rest, want) && slice_is(sum, want);
    }
    secret_wipe(text, n);
    return ok;
}
