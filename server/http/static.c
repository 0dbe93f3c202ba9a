#include "http/static.h"

#include "base/file.h"
#include "base/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct static_files {
    struct static_file *v;
    size_t n, size, total;
};

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".webp", "image/webp"},
    {".woff2", "font/woff2"},
    {".woff", "font/woff"},
    {".txt", "text/plain; charset=utf-8"},
    {".yaml", "application/yaml"},
    {".webmanifest", "application/manifest+json"},
};

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);

    return n > k && strcmp(s + n - k, suffix) == 0;
}

static const char *type_of(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (ends_with(path, types[i].suffix))
            return types[i].type;
    return "application/octet-stream";
}

void static_free(struct static_files *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].path);
        free((void *)(uintptr_t)f->v[i].plain.bytes.p);
        free((void *)(uintptr_t)f->v[i].gz.bytes.p);
        free((void *)(uintptr_t)f->v[i].br.bytes.p);
    }
    free(f->v);
    free(f);
}

static struct static_file *entry(struct static_files *f, const char *path)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].path, path) == 0)
            return &f->v[i];
    if (f->n == f->size) {
        size_t size = f->size == 0 ? 64 : f->size * 2;
        struct static_file *v =
            size > STATIC_FILES_MAX * 2 ? NULL : realloc(f->v, size * sizeof *v);
        if (v == NULL)
            return NULL;
        f->v = v;
        f->size = size;
    }
    f->v[f->n] = (struct static_file){.path = strdup(path)};
    return f->v[f->n].path == NULL ? NULL : &f->v[f->n++];
}

static enum err_code load_one(struct static_files *f, const char *file, const char *path,
                              struct err *e)
{
    char hex[SHA256_HEX_SIZE], name[1024];
    struct static_file *s;
    struct static_body *body;
    char *bytes = NULL;
    size_t n = 0;
    const char *coding = ends_with(path, ".br") ? ".br" : ends_with(path, ".gz") ? ".gz" : "";

    (void)snprintf(name, sizeof name, "%.*s", (int)(strlen(path) - strlen(coding)), path);
    if (f->n >= STATIC_FILES_MAX)
        return err_set(e, ERR_TOO_LARGE, "web_dir holds more than %d files", STATIC_FILES_MAX);
    if (file_read(file, STATIC_FILE_MAX, &bytes, &n, e) != ERR_OK)
        return e->code;
    f->total += n;
    s = f->total > STATIC_TOTAL_MAX ? NULL : entry(f, name);
    if (s == NULL) {
        free(bytes);
        return err_set(e, ERR_TOO_LARGE, "web_dir holds more than %d MiB",
                       STATIC_TOTAL_MAX / 1024 / 1024);
    }
    s->type = type_of(name);
    s->immutable = strncmp(name, "/assets/", 8) == 0;
    body = coding[0] == '\0' ? &s->plain : coding[1] == 'b' ? &s->br : &s->gz;
    free((void *)(uintptr_t)body->bytes.p);
    body->bytes = (struct slice){bytes, n};
    sha256_hex(body->bytes, hex);
    (void)snprintf(body->etag, sizeof body->etag, "%.22s", hex);
    return ERR_OK;
}

static enum err_code load_dir(struct static_files *f, const char *dir, const char *path, int depth,
                              struct err *e)
{
    DIR *d = opendir(dir);
    enum err_code rc = ERR_OK;
    struct dirent *i;

    if (d == NULL)
        return err_set(e, ERR_STORAGE, "could not open folder \"%s\"", dir);
    while (rc == ERR_OK && (i = readdir(d)) != NULL) {
        char file[4096], below[1024];
        struct stat st;
        if (i->d_name[0] == '.')
            continue;
        (void)snprintf(file, sizeof file, "%s/%s", dir, i->d_name);
        (void)snprintf(below, sizeof below, "%s/%s", path, i->d_name);
        if (fstatat(dirfd(d), i->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < 8)
            rc = load_dir(f, file, below, depth + 1, e);
        else if (S_ISREG(st.st_mode))
            rc = load_one(f, file, below, e);
    }
    (void)closedir(d);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct static_file *)a)->path, ((const struct static_file *)b)->path);
}

enum err_code static_load(const char *dir, struct static_files **ret, struct err *e)
{
    AUTO(static_free) struct static_files *f = calloc(1, sizeof *f);
    struct stat st;

    if (f == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (dir != NULL && stat(dir, &st) == 0 && load_dir(f, dir, "", 0, e) != ERR_OK)
        return e->code;
    if (f->n > 1)
        qsort(f->v, f->n, sizeof *f->v, by_path);
    *ret = TAKE(f);
    return ERR_OK;
}

size_t static_count(const struct static_files *f)
{
    return f->n;
}

const struct static_file *static_find(const struct static_files *f, struct slice path)
{
    size_t low = 0, high = f->n;

    if (slice_is(path, "/"))
        path = slice_of("/index.html");
    while (low < high) {
        size_t mid = (low + high) / 2, n = strlen(f->v[mid].path);
        int c = memcmp(f->v[mid].path, path.p, n < path.n ? n : path.n);
        if (c == 0)
            c = n < path.n ? -1 : n > path.n;
        if (c == 0)
            return f->v[mid].plain.bytes.p == NULL ? NULL : &f->v[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool accepts(const char *header, const char *coding)
{
    struct slice rest = slice_of(header);

    while (rest.n > 0) {
        struct slice parameters = slice_trim(slice_cut(&rest, ',')),
                     name = slice_trim(slice_cut(&parameters, ';'));
        if (slice_is(name, coding))
            return !slice_is(slice_trim(parameters), "q=0");
    }
    return false;
}

const struct static_body *static_body(const struct static_file *f, const char *accept,
                                      const char **ret_coding)
{
    *ret_coding = NULL;
    if (accept != NULL && f->br.bytes.p != NULL && accepts(accept, "br")) {
        *ret_coding = "br";
        return &f->br;
    }
    if (accept != NULL && f->gz.bytes.p != NULL && accepts(accept, "gzip")) {
        *ret_coding = "gzip";
        return &f->gz;
    }
    return &f->plain;
}
