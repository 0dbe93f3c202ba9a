#include "domain/password.h"

#include "base/rand.h"

#include <argon2.h>
#include <pthread.h>
#include <strings.h>

enum { COST_T = 2, COST_KIB = 19456, LANES = 1, SALT = 16, HASH = 32 };

/* The product we succeed shipped with the first four; the rest is what login guessers send to
 * everybody. */
static const char *const forbidden[] = {
    "imss9.1",          "imss9.0",         "trendmicro",    "trendmicroimss",   "administrator",
    "administrator1",   "password1234",    "password12345", "passwordpassword", "123456789012",
    "1234567890123",    "qwertyuiop12",    "qwertyuiopas",  "adminadminadmin",  "letmeinletmein",
    "changemechangeme", "inariinariinari", "welcome12345",
};

enum err_code password_check_rules(const char *password, const char *account, const char *pointer,
                                   struct err *e)
{
    size_t n = strlen(password);
    bool same = true;

    if (n < PASSWORD_MIN || n > PASSWORD_MAX)
        return err_field(e, ERR_INVALID, pointer, "the password must have %d to %d characters",
                         PASSWORD_MIN, PASSWORD_MAX);
    for (size_t i = 1; i < n; i++)
        same = same && password[i] == password[0];
    if (same || strcasestr(password, account) != NULL)
        return err_field(
            e, ERR_INVALID, pointer,
            "the password must not repeat one character and must not contain the account name");
    for (size_t i = 0; i < COUNT_OF(forbidden); i++)
        if (strcasecmp(password, forbidden[i]) == 0)
            return err_field(e, ERR_INVALID, pointer,
                             "this password is one that everybody tries first");
    return ERR_OK;
}

enum err_code password_hash(const char *password, char encoded[PASSWORD_ENCODED_SIZE],
                            struct err *e)
{
    unsigned char salt[SALT];

    rand_bytes(salt, sizeof salt);
    if (argon2id_hash_encoded(COST_T, COST_KIB, LANES, password, strlen(password), salt,
                              sizeof salt, HASH, encoded, PASSWORD_ENCODED_SIZE) != ARGON2_OK)
        return err_set(e, ERR_NO_MEMORY, "could not hash the password");
    return ERR_OK;
}

static char dummy[PASSWORD_ENCODED_SIZE];

static void make_dummy(void)
{
    char password[PASSWORD_GENERATED_SIZE];

    password_generate(password);
    if (password_hash(password, dummy, NULL) != ERR_OK)
        dummy[0] = '\0';
}

bool password_matches(const char *encoded, const char *password)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool ok;

    (void)pthread_once(&once, make_dummy);
    ok =
        argon2id_verify(encoded == NULL ? dummy : encoded, password, strlen(password)) == ARGON2_OK;
    return ok && encoded != NULL;
}

void password_generate(char out[PASSWORD_GENERATED_SIZE])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

    for (size_t i = 0; i < 24; i++)
        out[i] = letters[rand_below(sizeof letters - 1)];
    out[24] = '\0';
}
