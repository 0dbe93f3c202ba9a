/*
 * err.h - the one way a function of ours says what went wrong.
 * The codes come from api/problems.json: code, HTTP status, word and texts stand there once.
 * The caller owns a fixed-size struct err, so reporting never allocates.  Functions return the code
 * and, when it is not ERR_OK, have filled *e (e may be NULL where the caller does not care).
 * Wording: "could not ..." if it may work later, "cannot ..." if it never will; lower case, no full stop.
 */
#pragma once

#include "base/macros.h"
#include "base/problems.h"

enum lang { LANG_EN = 0, LANG_JA = 1 };

struct err {
    enum err_code code;
    char msg[512];     /* for people; never a secret, never a path of the source */
    char msg_ja[512];  /* the same in Japanese; "" when api/messages.json does not have it */
    char pointer[192]; /* RFC 6901 pointer to the field at fault, or "" */
};

/* Fill *e and return code, so that  return err_set(e, ERR_INVALID, "...", ...);  reads well. */
enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same, naming the field. */
enum err_code err_field(struct err *e, enum err_code code, const char *pointer, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Put "fmt: " in front of the message that is there; returns e->code. */
enum err_code err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* fmt, then ": " and strerror(errno_value). */
enum err_code err_errno(struct err *e, enum err_code code, int errno_value, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* The message in lang; English where there is no other. */
const char *err_text(const struct err *e, enum lang lang);
const char *err_word(enum err_code code);   /* "stale-edit" */
int err_http_status(enum err_code code);    /* 412 */
/* The code for a word, or ERR_INTERNAL when it is not one of ours. */
enum err_code err_code_of_word(const char *word);
