/* inari-backup - "inarid backup", "inarid restore" and "inarid check-backup" (inarid(8)). */
#include "backup.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, PASSPHRASE_MAX = 1024 };

static const char usage[] =
    "usage: inarid [--config FILE] backup FILE        (--recipient CERT.pem | --passphrase-file "
    "FILE) [--json]\n"
    "       inarid [--config FILE] check-backup FILE  (--key KEY.pem | --passphrase-file FILE) "
    "[--json]\n"
    "       inarid [--config FILE] restore FILE       (--key KEY.pem | --passphrase-file FILE) "
    "[--json]\n"
    "                                                 [--replace | --replace-fleet ID]\n"
    "       inarid [--config FILE] restore --undo     the tables and keys as they were before the "
    "last restore\n";

struct args {
    const char *config, *verb, *file, *passphrase_file;
    struct envelope_key key;
    struct restore_how how;
    bool json, undo;
};

static int complain(const struct err *e)
{
    (void)fprintf(stderr, "inarid: %s\n", e->msg);
    return EXIT_FAILURE;
}

static bool parse(int argc, char **argv, struct args *a)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"recipient", required_argument, NULL, 'r'},
        {"key", required_argument, NULL, 'k'},    {"passphrase-file", required_argument, NULL, 'p'},
        {"replace", no_argument, NULL, 'R'},      {"replace-fleet", required_argument, NULL, 'F'},
        {"undo", no_argument, NULL, 'u'},         {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int o;

    while ((o = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        switch (o) {
        case 'c':
            a->config = optarg;
            break;
        case 'r':
            a->key.certificate = optarg;
            break;
        case 'k':
            a->key.private_key = optarg;
            break;
        case 'p':
            a->passphrase_file = optarg;
            break;
        case 'R':
            a->how.replace = true;
            break;
        case 'F':
            a->how.replace_fleet = optarg;
            break;
        case 'u':
            a->undo = true;
            break;
        case 'j':
            a->json = true;
            break;
        default:
            return false;
        }
    }
    a->verb = optind < argc ? argv[optind++] : "";
    a->file = optind < argc ? argv[optind++] : NULL;
    return optind == argc;
}

/* Which of the options belong together. */
static bool sensible(const struct args *a)
{
    bool restore = strcmp(a->verb, "restore") == 0, backup = strcmp(a->verb, "backup") == 0;
    int keys =
        (a->key.certificate != NULL) + (a->key.private_key != NULL) + (a->passphrase_file != NULL);

    if (!restore && !backup && strcmp(a->verb, "check-backup") != 0)
        return false;
    if (!restore && (a->undo || a->how.replace || a->how.replace_fleet != NULL))
        return false;
    if (a->undo)
        return a->file == NULL && keys == 0;
    return a->file != NULL && keys == 1 &&
           (backup ? a->key.private_key == NULL : a->key.certificate == NULL);
}

/* The first line of the file. */
static enum err_code read_passphrase(const char *path, char **ret, struct err *e)
{
    size_t n = 0;

    if (file_read(path, PASSPHRASE_MAX, ret, &n, e) != ERR_OK)
        return e->code;
    (*ret)[strcspn(*ret, "\r\n")] = '\0';
    if (strlen(*ret) < ENVELOPE_PASSPHRASE_MIN)
        return err_set(e, ERR_INVALID, "the passphrase in \"%s\" is shorter than %d characters",
                       path, ENVELOPE_PASSPHRASE_MIN);
    return ERR_OK;
}

static int report(const struct args *a, const struct backup_result *r)
{
    const json_t *m = r->manifest;
    AUTO_STR char *text = NULL;

    if (a->json) {
        AUTO(json_free)
        json_t *out = json_pack("{s:s,s:s,s:I,s:O}", "file", a->file, "sha256", r->sha256, "size",
                                (json_int_t)r->size, "manifest", m);
        text = out == NULL ? NULL : json_text(out, JSON_INDENT(2) | JSON_SORT_KEYS);
        return text != NULL && puts(text) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    (void)printf("%s: %s, %lld bytes, sha256 %s\n"
                 "fleet %s, revision %lld, %lld devices, of %s by %s\n",
                 a->file,
                 a->verb[0] == 'b'   ? "made"
                 : a->verb[0] == 'c' ? "whole, and this key opens it"
                                     : "restored",
                 (long long)r->size, r->sha256, json_str(m, "fleet", "?"),
                 (long long)json_int(m, "pub", 0), (long long)json_int(m, "devices", 0),
                 json_str(m, "made_at", "?"), json_str(m, "made_by", "?"));
    if (a->verb[0] == 'r')
        (void)puts("Start inarid. It is fenced: devices go on with what they run, nothing is "
                   "published until you have seen\n"
                   "what they know more than this backup (inarictl recovery) and decided.");
    return EXIT_SUCCESS;
}

static int run(struct args *a, const struct inarid_settings *set)
{
    AUTO_STR char *passphrase = NULL;
    struct backup_result r = {0};
    struct err e = {0};
    enum err_code rc = ERR_OK;
    int status;

    if (a->undo) {
        if (backup_restore_undo(set, &e) != ERR_OK)
            return complain(&e);
        (void)puts("The database and the keys are as they were before the restore.");
        return EXIT_SUCCESS;
    }
    if (a->passphrase_file != NULL)
        rc = read_passphrase(a->passphrase_file, &passphrase, &e);
    a->key.passphrase = passphrase;
    if (rc == ERR_OK)
        rc = a->verb[0] == 'b'   ? backup_make(set, a->file, &a->key, &r, &e)
             : a->verb[0] == 'c' ? backup_check(set, a->file, &a->key, &r, &e)
                                 : backup_restore(set, a->file, &a->key, &a->how, &r, &e);
    status = rc == ERR_OK ? report(a, &r) : complain(&e);
    if (passphrase != NULL)
        secret_wipe(passphrase, strlen(passphrase));
    json_decref(r.manifest);
    return status;
}

int main(int argc, char **argv)
{
    struct inarid_settings set;
    struct args a = {0};
    struct err e;
    int status;

    if (!parse(argc, argv, &a) || !sensible(&a)) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    (void)umask(077);
    log_init("inari-backup", LOG_LEVEL_WARN);
    if (geteuid() == 0) {
        (void)fputs("inarid: does not run as root: setpriv --reuid=inari --regid=inari "
                    "--init-groups inarid ...\n",
                    stderr);
        return EXIT_FAILURE;
    }
    if (inarid_settings_load(a.config, &set, &e) != ERR_OK)
        return complain(&e);
    status = run(&a, &set);
    inarid_settings_clear(&set);
    return status;
}
