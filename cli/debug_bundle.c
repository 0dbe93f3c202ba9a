/* The debug bundle: a key for one text, the command, and the text opened here. */
#include "command.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "jose/jose.h"

#include <stdlib.h>

/* NAME-20261122T031500Z.tar */
static void name_of(const struct cli *c, char *buf, size_t size)
{
    char at[CLOCK_TEXT_SIZE], plain[CLOCK_TEXT_SIZE];
    size_t n = 0;

    clock_format(clock_wall_ms(), at);
    for (const char *p = at; *p != '\0' && *p != '.'; p++) {
        if (*p != '-' && *p != ':')
            plain[n++] = *p;
    }
    plain[n] = '\0';
    (void)snprintf(buf, size, "%s-%sZ.tar", c->arg[0], plain);
}

static enum cli_exit keep(struct cli *c, const struct jose_key *key, const struct given *g)
{
    char name[300];
    const char *path = cli_opt(c, "out");
    AUTO_STR char *plain = NULL;
    struct err e = {0};
    size_t n = 0;
    enum err_code rc = jose_jwe_decrypt(key, strbuf_slice(&g->output), &plain, &n, &e);

    if (path == NULL) {
        name_of(c, name, sizeof name);
        path = name;
    }
    if (rc == ERR_OK)
        rc = file_write_atomic(path, (struct slice){plain, n}, 0600, &e);
    if (rc != ERR_OK)
        return fail(c, &e, NULL);
    secret_wipe(plain, n);
    if (c->json) {
        AUTO(json_free)
        json_t *j =
            json_pack("{s:s,s:I,s:O}", "file", path, "bytes", (json_int_t)n, "command", g->command);
        print_json(j);
    } else {
        say(c, T_BUNDLE_WRITTEN, path, (long long)n);
    }
    return EXIT_OK_;
}

enum cli_exit verb_debug_bundle(struct cli *c)
{
    AUTO(jose_key_free) struct jose_key *key = jose_key_new();
    struct given g;
    enum cli_exit rc;

    if (key == NULL)
        return EXIT_ERROR;
    if (strchr(c->arg[0], '/') != NULL)
        return usage(c, T_TOO_MANY, c->arg[0]);
    rc = command_run(c, c->arg[0], "debug-bundle", json_pack("{s:o}", "key", jose_key_to_jwk(key)),
                     false, &g);
    if (rc == EXIT_OK_ && c->dry_run)
        say(c, T_DRY_RUN);
    else if (rc == EXIT_OK_)
        rc = keep(c, key, &g);
    given_clear(&g);
    return rc;
}
