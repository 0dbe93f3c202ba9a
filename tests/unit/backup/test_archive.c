/* archive.h: an archive made by a stranger writes nothing outside the folder it is unpacked into,
 * and is refused whole. */
#include "backup/archive.h"

#include "base/file.h"
#include "base/hash.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const char *const names[] = {"database.dump", "state/parent.key", NULL};
static const char manifest[] =
    "{\"members\":{\"database.dump\":{\"sha256\":"
    "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\",\"size\":4}}}";

/* root/victim and root/evil.tar lie beside root/inside, which is what archive_read() may write to.
 */
struct place {
    char root[64], tar[96], inside[96], victim[96];
};

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    (void)snprintf(p->root, sizeof p->root, "/tmp/inari-archive-XXXXXX");
    assert_non_null(mkdtemp(p->root));
    (void)snprintf(p->tar, sizeof p->tar, "%s/evil.tar", p->root);
    (void)snprintf(p->inside, sizeof p->inside, "%s/inside", p->root);
    (void)snprintf(p->victim, sizeof p->victim, "%s/victim", p->root);
    assert_int_equal(mkdir(p->inside, 0700), 0);
    write_file(p->victim, "mine");
    *state = p;
    return 0;
}

static int entries(const char *dir, bool remove_them)
{
    DIR *d = opendir(dir);
    int n = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            n++;
            if (remove_them)
                (void)unlinkat(dirfd(d), e->d_name, 0);
        }
    (void)closedir(d);
    return n;
}

static int clear_place(void **state)
{
    struct place *p = *state;

    (void)entries(p->inside, true);
    (void)rmdir(p->inside);
    (void)entries(p->root, true);
    (void)rmdir(p->root);
    free(p);
    return 0;
}

struct entry {
    const char *name;
    mode_t type; /* 0: the end */
    const char *link, *text;
    bool hard;
};

static void put_entry(struct archive *t, const struct entry *m)
{
    struct archive_entry *entry = archive_entry_new();
    size_t n = m->text == NULL ? 0 : strlen(m->text);

    archive_entry_set_pathname(entry, m->name);
    archive_entry_set_filetype(entry, m->type);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, (la_int64_t)n);
    if (m->link != NULL && m->hard)
        archive_entry_set_hardlink(entry, m->link);
    else if (m->link != NULL)
        archive_entry_set_symlink(entry, m->link);
    assert_int_equal(archive_write_header(t, entry), ARCHIVE_OK);
    if (n > 0)
        assert_int_equal(archive_write_data(t, m->text, n), (la_ssize_t)n);
    archive_entry_free(entry);
}

static void make_archive(const char *path, const char *format, const struct entry *v)
{
    struct archive *t = archive_write_new();

    assert_int_equal(archive_write_set_format_by_name(t, format), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(t, path), ARCHIVE_OK);
    for (; v->type != 0; v++)
        put_entry(t, v);
    assert_int_equal(archive_write_close(t), ARCHIVE_OK);
    (void)archive_write_free(t);
}

static enum err_code read_it(const struct place *p)
{
    json_t *got = NULL;
    struct err e = {0};
    enum err_code rc = archive_read(p->tar, p->inside, names, &got, &e);
    char *text = NULL;
    size_t n = 0;
    struct err ignored = {0};

    json_decref(got);
    assert_int_equal(entries(p->root, false), 3); /* the tar, the folder, the victim */
    assert_int_equal(file_read(p->victim, 100, &text, &n, &ignored), ERR_OK);
    assert_string_equal(text, "mine");
    free(text);
    (void)entries(p->inside, true);
    return rc;
}

#define FINE                                                                                       \
    {"manifest.json", AE_IFREG, NULL, manifest, false},                                            \
    {                                                                                              \
        "database.dump", AE_IFREG, NULL, "test", false                                             \
    }

static void test_a_whole_one(void **state)
{
    make_archive(((struct place *)*state)->tar, "paxr",
                 (const struct entry[]){FINE, {NULL, 0, NULL, NULL, false}});
    assert_int_equal(read_it(*state), ERR_OK);
}

/* Each behind members that are fine, so that only the last one is what is refused. */
static void test_strange_members(void **state)
{
    static const struct entry strange[] = {
        {"/etc/inari-evil", AE_IFREG, NULL, "x", false},
        {"../evil", AE_IFREG, NULL, "x", false},
        {"../victim", AE_IFREG, NULL, "x", false},
        {"state/../../victim", AE_IFREG, NULL, "x", false},
        {"./database.dump", AE_IFREG, NULL, "x", false},
        {"state/parent.key/..", AE_IFREG, NULL, "x", false},
        {"state/parent.key", AE_IFLNK, "../victim", NULL, false},
        {"state/parent.key", AE_IFREG, "../victim", NULL, true},
        {"state/parent.key", AE_IFREG, "database.dump", NULL, true},
        {"state/parent.key", AE_IFDIR, NULL, NULL, false},
        {"state/parent.key", AE_IFIFO, NULL, NULL, false},
        {"state/parent.key", AE_IFCHR, NULL, NULL, false},
        {"database.dump", AE_IFREG, NULL, "twice", false},
        {"manifest.json", AE_IFREG, NULL, "{}", false},
        {"no-part", AE_IFREG, NULL, "x", false},
    };
    struct place *p = *state;

    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        make_archive(p->tar, "ustar",
                     (const struct entry[]){FINE, strange[i], {NULL, 0, NULL, NULL, false}});
        if (read_it(p) != ERR_MALFORMED)
            fail_msg("\"%s\" (%zu) was not refused", strange[i].name, i);
    }
    assert_int_not_equal(access("/etc/inari-evil", F_OK), 0);
}

/* A name first made a link to elsewhere, then written through. */
static void test_links_to_write_through(void **state)
{
    struct place *p = *state;

    make_archive(p->tar, "ustar",
                 (const struct entry[]){{"database.dump", AE_IFLNK, "../victim", NULL, false},
                                        FINE,
                                        {NULL, 0, NULL, NULL, false}});
    assert_int_equal(read_it(p), ERR_MALFORMED);
    make_archive(p->tar, "ustar",
                 (const struct entry[]){{"state", AE_IFLNK, "..", NULL, false},
                                        {"state/parent.key", AE_IFREG, NULL, "x", false},
                                        FINE,
                                        {NULL, 0, NULL, NULL, false}});
    assert_int_equal(read_it(p), ERR_MALFORMED);
}

static void test_other_formats_and_no_manifest(void **state)
{
    static const char *const formats[] = {"newc", "zip", "7zip"};
    static const struct entry climbing[] = {{"../victim", AE_IFREG, NULL, "x", false},
                                            {NULL, 0, NULL, NULL, false}};
    struct place *p = *state;

    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        make_archive(p->tar, formats[i], climbing);
        assert_int_not_equal(read_it(p), ERR_OK);
    }
    make_archive(p->tar, "ustar",
                 (const struct entry[]){{"database.dump", AE_IFREG, NULL, "test", false},
                                        {NULL, 0, NULL, NULL, false}});
    assert_int_not_equal(read_it(p), ERR_OK);
}

static void test_bytes_that_are_not_the_manifests(void **state)
{
    struct place *p = *state;

    make_archive(p->tar, "ustar",
                 (const struct entry[]){{"manifest.json", AE_IFREG, NULL, manifest, false},
                                        {"database.dump", AE_IFREG, NULL, "tesT", false},
                                        {NULL, 0, NULL, NULL, false}});
    assert_int_equal(read_it(p), ERR_MALFORMED);
    make_archive(p->tar, "ustar",
                 (const struct entry[]){FINE,
                                        {"state/parent.key", AE_IFREG, NULL, "not named", false},
                                        {NULL, 0, NULL, NULL, false}});
    assert_int_equal(read_it(p), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_whole_one, make_place, clear_place),
        cmocka_unit_test_setup_teardown(test_strange_members, make_place, clear_place),
        cmocka_unit_test_setup_teardown(test_links_to_write_through, make_place, clear_place),
        cmocka_unit_test_setup_teardown(test_other_formats_and_no_manifest, make_place,
                                        clear_place),
        cmocka_unit_test_setup_teardown(test_bytes_that_are_not_the_manifests, make_place,
                                        clear_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
