#include "archive.h"

#include "base/file.h"
#include "base/hash.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_MAX = 64 * 1024, BLOCK = 64 * 1024 };
static const char manifest_name[] = "manifest.json";

enum err_code archive_digest(const char *path, char ret_hex[65], int64_t *ret_size, struct err *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char buf[BLOCK], sum[SHA256_SIZE];
    ssize_t n = 0;
    bool fine = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    int error = errno;

    *ret_size = 0;
    while (fd >= 0 && fine && (n = read(fd, buf, sizeof buf)) > 0) {
        fine = EVP_DigestUpdate(md, buf, (size_t)n) == 1;
        *ret_size += n;
    }
    fine = fine && EVP_DigestFinal_ex(md, sum, NULL) == 1;
    EVP_MD_CTX_free(md);
    if (fd < 0 || n < 0)
        return err_errno(e, fd < 0 && error == ENOENT ? ERR_NOT_FOUND : ERR_STORAGE,
                         fd < 0 ? error : errno, "could not read \"%s\"", path);
    if (!fine)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    hex_encode(sum, sizeof sum, ret_hex);
    return ERR_OK;
}

static enum err_code tar_failed(struct archive *t, const char *what, struct err *e)
{
    const char *why = archive_error_string(t);

    return err_set(e, ERR_STORAGE, "%s: %s", what, why == NULL ? "unknown" : why);
}

static enum err_code begin(struct archive *t, const char *name, int64_t size, struct err *e)
{
    struct archive_entry *entry = archive_entry_new();
    int rc = ARCHIVE_FATAL;

    if (entry != NULL) {
        archive_entry_set_pathname(entry, name);
        archive_entry_set_size(entry, size);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0600);
        rc = archive_write_header(t, entry);
    }
    archive_entry_free(entry);
    return rc == ARCHIVE_OK ? ERR_OK : tar_failed(t, "could not write the archive", e);
}

static enum err_code put(struct archive *t, const void *p, size_t n, struct err *e)
{
    return archive_write_data(t, p, n) == (la_ssize_t)n
               ? ERR_OK
               : tar_failed(t, "could not write the archive", e);
}

static enum err_code put_file(struct archive *t, const struct archive_member *m, int64_t size,
                              struct err *e)
{
    AUTO_FD int fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char buf[BLOCK];
    int64_t left = size;

    if (fd < 0)
        return err_errno(e, ERR_STORAGE, errno, "could not read \"%s\"", m->path);
    if (begin(t, m->name, size, e) != ERR_OK)
        return e->code;
    while (left > 0) {
        ssize_t n = read(fd, buf, left < BLOCK ? (size_t)left : BLOCK);
        if (n <= 0)
            return err_set(e, ERR_CONFLICT, "\"%s\" changed while it was read: try again", m->path);
        if (put(t, buf, (size_t)n, e) != ERR_OK)
            return e->code;
        left -= n;
    }
    return ERR_OK;
}

static enum err_code put_all(struct archive *t, json_t *manifest, const struct archive_member *m,
                             size_t n, struct err *e)
{
    json_t *members = json_object();
    AUTO_STR char *text = NULL;
    enum err_code rc = ERR_OK;
    int64_t size[ARCHIVE_MEMBERS_MAX];

    (void)json_object_set_new(manifest, "members", members);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        char hex[65];
        rc = archive_digest(m[i].path, hex, &size[i], e);
        if (rc == ERR_OK)
            (void)json_object_set_new(
                members, m[i].name,
                json_pack("{s:s,s:I}", "sha256", hex, "size", (json_int_t)size[i]));
    }
    text = rc == ERR_OK ? json_canonical(manifest) : NULL;
    if (rc == ERR_OK && text == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    if (rc == ERR_OK)
        rc = begin(t, manifest_name, (int64_t)strlen(text), e);
    if (rc == ERR_OK)
        rc = put(t, text, strlen(text), e);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        rc = put_file(t, &m[i], size[i], e);
    return rc;
}

enum err_code archive_write(const char *out, json_t *manifest, const struct archive_member *m,
                            size_t n, struct err *e)
{
    AUTO_FD int fd = open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct archive *t = archive_write_new();
    enum err_code rc = ERR_OK;

    if (fd < 0)
        rc = err_errno(e, ERR_STORAGE, errno, "could not make \"%s\"", out);
    else if (t == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    else if (archive_write_set_format_pax_restricted(t) != ARCHIVE_OK ||
             archive_write_open_fd(t, fd) != ARCHIVE_OK)
        rc = tar_failed(t, "could not write the archive", e);
    if (rc == ERR_OK)
        rc = put_all(t, manifest, m, n, e);
    if (rc == ERR_OK && (archive_write_close(t) != ARCHIVE_OK || fsync(fd) != 0))
        rc = tar_failed(t, "could not write the archive", e);
    (void)archive_write_free(t);
    return rc;
}

static bool listed(const char *const *names, const char *name)
{
    while (*names != NULL && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* One member into dir, under its own name with '/' as '-': what an archive calls a file never
 * becomes a path. */
static enum err_code take(struct archive *t, struct archive_entry *entry, const char *dir,
                          struct err *e)
{
    const char *name = archive_entry_pathname(entry);
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(4 * KIB);
    int fd;
    bool fine;

    strbuf_printf(&path, "%s/", dir);
    for (const char *c = name; *c != '\0'; c++)
        strbuf_putc(&path, *c == '/' ? '-' : *c);
    if (strbuf_check(&path, e) != ERR_OK)
        return e->code;
    fd = open(strbuf_str(&path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, errno == EEXIST ? ERR_MALFORMED : ERR_STORAGE, errno,
                         "could not unpack \"%s\"", name);
    fine = archive_read_data_into_fd(t, fd) == ARCHIVE_OK && fsync(fd) == 0;
    (void)close(fd);
    return fine ? ERR_OK : tar_failed(t, "could not unpack the archive", e);
}

static enum err_code unpack(struct archive *t, const char *dir, const char *const *names,
                            struct err *e)
{
    struct archive_entry *entry;
    size_t n = 0;
    int got;

    while ((got = archive_read_next_header(t, &entry)) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(entry);
        if (++n > ARCHIVE_MEMBERS_MAX || name == NULL ||
            archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL ||
            (strcmp(name, manifest_name) != 0 && !listed(names, name)))
            return err_set(e, ERR_MALFORMED,
                           "the archive holds \"%s\", which is no part of a backup",
                           name == NULL ? "?" : name);
        if (take(t, entry, dir, e) != ERR_OK)
            return e->code;
    }
    return got == ARCHIVE_EOF ? ERR_OK : err_set(e, ERR_MALFORMED, "the archive is cut or damaged");
}

/* Every name of the manifest is there with the bytes it had, and nothing else is. */
static enum err_code compare(const char *dir, const char *const *names, const json_t *manifest,
                             struct err *e)
{
    const json_t *members = json_object_get(manifest, "members");

    for (; *names != NULL; names++) {
        const json_t *m = json_object_get(members, *names);
        AUTO_STRBUF struct strbuf path = STRBUF_INIT(4 * KIB);
        char hex[65];
        int64_t size;
        enum err_code rc;

        strbuf_printf(&path, "%s/", dir);
        for (const char *c = *names; *c != '\0'; c++)
            strbuf_putc(&path, *c == '/' ? '-' : *c);
        rc = archive_digest(strbuf_str(&path), hex, &size, e);
        if (rc == ERR_NOT_FOUND && m == NULL)
            continue;
        if (rc != ERR_OK && rc != ERR_NOT_FOUND)
            return rc;
        if (rc != ERR_OK || m == NULL || strcmp(json_str(m, "sha256", ""), hex) != 0 ||
            json_int(m, "size", -1) != size)
            return err_set(e, ERR_MALFORMED, "\"%s\" is not what the manifest of the backup says",
                           *names);
    }
    return ERR_OK;
}

enum err_code archive_read(const char *in, const char *dir, const char *const *names, json_t **ret,
                           struct err *e)
{
    struct archive *t = archive_read_new();
    AUTO_STRBUF struct strbuf path = STRBUF_INIT(4 * KIB);
    AUTO(json_free) json_t *manifest = NULL;
    AUTO_STR char *text = NULL;
    size_t n = 0;
    enum err_code rc = ERR_OK;

    if (t == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (archive_read_support_format_tar(t) != ARCHIVE_OK ||
        archive_read_open_filename(t, in, BLOCK) != ARCHIVE_OK)
        rc = err_set(e, ERR_MALFORMED, "the backup holds no archive");
    if (rc == ERR_OK)
        rc = unpack(t, dir, names, e);
    (void)archive_read_free(t);
    strbuf_printf(&path, "%s/%s", dir, manifest_name);
    if (rc == ERR_OK)
        rc = file_read(strbuf_str(&path), MANIFEST_MAX, &text, &n, e);
    if (rc == ERR_OK)
        rc = json_in_parse((struct slice){text, n}, MANIFEST_MAX, &manifest, e);
    if (rc == ERR_OK)
        rc = compare(dir, names, manifest, e);
    if (rc == ERR_OK)
        *ret = TAKE(manifest);
    return rc;
}
