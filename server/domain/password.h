/*
 * password.h - passwords: rules, Argon2id (t 2, 19 MiB, 1 lane; the OWASP minimum, 20 ms here) and
 * generated ones. Threads: all calls are reentrant; hashing takes 19 MiB and 20 ms: worker threads
 * only. Secrets: nothing here logs or repeats a password.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum {
    PASSWORD_MIN = 12,
    PASSWORD_MAX = 200,
    PASSWORD_ENCODED_SIZE = 160,
    PASSWORD_GENERATED_SIZE = 32
};

/* Long enough, not the account's name, none of the passwords everybody tries.  ERR_INVALID at
 * pointer. */
MUST_USE enum err_code password_check_rules(const char *password, const char *account,
                                            const char *pointer, struct err *e);
MUST_USE enum err_code password_hash(const char *password, char encoded[PASSWORD_ENCODED_SIZE],
                                     struct err *e);
/* encoded NULL (no such account): takes as long as a real one, and is false. */
bool password_matches(const char *encoded, const char *password);
/* 24 letters and digits that are not mistaken for each other: 119 bits or more. */
void password_generate(char out[PASSWORD_GENERATED_SIZE]);
