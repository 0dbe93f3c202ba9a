#include "cli.h"

#include "base/hash.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum { LINE_MAX_ = 1024 };

char *read_secret(const struct cli *c, enum text prompt, bool echo)
{
    struct termios old;
    bool tty = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &old) == 0;
    char line[LINE_MAX_];
    char *got;
    char *s;

    if (tty) {
        struct termios quiet = old;
        quiet.c_lflag &= (tcflag_t) ~(unsigned)ECHO;
        fputs(tx(c, prompt), stderr);
        fflush(stderr);
        if (!echo)
            (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    got = fgets(line, sizeof(line), stdin);
    if (tty) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        if (!echo)
            fputc('\n', stderr);
    }
    if (got == NULL)
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    s = line[0] == '\0' ? NULL : strdup(line);
    secret_wipe(line, sizeof(line));
    return s;
}

static void free_secret(char *s)
{
    if (s != NULL)
        secret_wipe(s, strlen(s));
    free(s);
}

static void wipe_member(json_t *body, const char *name)
{
    const char *s = json_string_value(json_object_get(body, name));

    if (s != NULL)
        secret_wipe((char *)(uintptr_t)s, strlen(s));
}

static enum cli_exit sign_in(struct cli *c, const char *user, const char *password, json_t **ret)
{
    AUTO(json_free) json_t *body = json_pack("{s:s, s:s}", "user", user, "password", password);
    struct apireply r;
    struct err e = {0};
    enum cli_exit rc = EXIT_OK_;

    if (apiclient_call(c->client,
                       &(struct apicall){.method = "POST", .path = "/api/v1/session", .body = body},
                       &r, &e) != ERR_OK)
        rc = fail(c, &e, r.json);
    else
        *ret = json_incref(r.json);
    if (rc == EXIT_OK_) {
        free_secret(c->conf.cookie);
        c->conf.cookie = strdup(r.cookie);
        apiclient_set_cookie(c->client, r.cookie);
    }
    wipe_member(body, "password");
    apireply_clear(&r);
    return rc;
}

static enum cli_exit change_password(struct cli *c, const char *old)
{
    json_t *body;
    char *first;
    char *second = NULL;
    enum cli_exit rc = EXIT_USAGE;

    complain(c, T_MUST_CHANGE);
    first = read_secret(c, T_NEW_PASSWORD, false);
    if (first != NULL)
        second = isatty(STDIN_FILENO) == 1 ? read_secret(c, T_NEW_AGAIN, false) : strdup(first);
    if (first == NULL || second == NULL) {
        complain(c, T_NO_INPUT);
    } else if (strcmp(first, second) != 0) {
        complain(c, T_PASSWORDS_DIFFER);
    } else {
        body = json_pack("{s:s, s:s}", "old", old, "new", first);
        json_incref(body);
        rc = cli_send(c, "PUT", "/api/v1/session/password", body, NULL);
        wipe_member(body, "old");
        wipe_member(body, "new");
        json_decref(body);
    }
    free_secret(first);
    free_secret(second);
    return rc;
}

static enum cli_exit save(struct cli *c, const char *user)
{
    struct err e = {0};

    free(c->conf.user);
    c->conf.user = strdup(user);
    if (conf_save(&c->conf, &e) != ERR_OK)
        return fail(c, &e, NULL);
    say(c, T_SIGNED_IN, c->conf.url, user);
    return EXIT_OK_;
}

/* Store an API token after trying it. */
static enum cli_exit login_token(struct cli *c)
{
    AUTO(json_free) json_t *me = NULL;
    char *token = read_secret(c, T_TOKEN_PROMPT, false);
    enum cli_exit rc;

    if (token == NULL) {
        complain(c, T_NO_INPUT);
        return EXIT_USAGE;
    }
    free_secret(c->conf.token);
    c->conf.token = token;
    rc = cli_get(c, "/api/v1/session", &me);
    if (rc == EXIT_OK_ && c->json)
        print_json(me);
    return rc == EXIT_OK_ ? save(c, json_str(me, "user", "token")) : rc;
}

static enum cli_exit login_password(struct cli *c, const char *user)
{
    AUTO(json_free) json_t *me = NULL;
    char *password;
    enum cli_exit rc = cli_connect(c);

    if (rc != EXIT_OK_)
        return rc;
    password = read_secret(c, T_PASSWORD, false);
    if (password == NULL) {
        complain(c, T_NO_INPUT);
        return EXIT_USAGE;
    }
    rc = sign_in(c, user, password, &me);
    if (rc == EXIT_OK_ && json_bool(me, "must_change_password", false))
        rc = change_password(c, password);
    free_secret(password);
    if (rc == EXIT_OK_ && c->json)
        print_json(me);
    return rc == EXIT_OK_ ? save(c, json_str(me, "user", user)) : rc;
}

enum cli_exit verb_login(struct cli *c)
{
    const char *user = cli_opt(c, "user");
    char *asked = NULL;
    enum cli_exit rc;

    if (cli_opt(c, "ca") != NULL && cli_opt(c, "pin") != NULL)
        return usage(c, T_OPTION_BOTH, "ca", "pin");
    if (cli_flag(c, "token"))
        return login_token(c);
    /* A token from the environment would be sent instead of the new session. */
    free_secret(c->conf.token);
    free_secret(c->conf.cookie);
    c->conf.token = c->conf.cookie = NULL;
    if (user == NULL)
        user = c->conf.user;
    if (user == NULL)
        user = asked = read_secret(c, T_USER, true);
    if (user == NULL) {
        complain(c, T_NO_INPUT);
        return EXIT_USAGE;
    }
    user = strdup(user);
    rc = login_password(c, user);
    free((char *)(uintptr_t)user);
    free(asked);
    return rc;
}

enum cli_exit verb_logout(struct cli *c)
{
    struct err e = {0};
    enum cli_exit rc = EXIT_OK_;

    /* The session ends at the parent too; one that is over already is no error. */
    if (c->conf.cookie != NULL && c->conf.token == NULL && cli_connect(c) == EXIT_OK_) {
        struct apireply r;
        enum err_code code = apiclient_call(
            c->client, &(struct apicall){.method = "DELETE", .path = "/api/v1/session"}, &r, &e);
        if (code != ERR_OK && err_http_status(code) != 401)
            rc = fail(c, &e, r.json);
        apireply_clear(&r);
    }
    if (conf_forget(&c->conf, &e) != ERR_OK)
        return fail(c, &e, NULL);
    if (c->json && rc == EXIT_OK_)
        fputs("{}\n", stdout);
    if (rc == EXIT_OK_)
        say(c, T_SIGNED_OUT);
    return rc;
}
