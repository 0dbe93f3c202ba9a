/*
 * postfix_cf.h - main.cf and master.cf as bytes: parse, edit what is ours, compare.  Pure functions
 * over slices. Source:  postconf(5), master(5); what a logical line is was read from Postfix's
 * readlline: a line that starts with a blank continues the one before, empty lines and comments in
 * between do not end it. P14:     a logical line that is not owned is never changed, moved or
 * dropped, byte for byte, with these exceptions: a last line without newline gets one when
 * something follows it, and the stock "smtp inet" service gives its place to the plan's services
 * with replaces_smtp (the original file is kept elsewhere). Limits:  CF_FILE_MAX bytes,
 * CF_LINES_MAX lines; more is ERR_TOO_LARGE.
 */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"
#include "plan/plan.h"

enum { CF_FILE_MAX = 1024 * 1024, CF_LINES_MAX = 50000 };

/* The line in front of the block of parameters that were not in the file. */
#define CF_BLOCK_HEAD "# Managed by Inari: change these in the console, not here."

struct cf_param {             /* one logical line of main.cf */
    const char *name, *value; /* value: blanks around it gone, every run of blanks one space */
};
struct cf_service { /* one logical line of master.cf */
    const char *name, *type, *priv, *unpriv, *chroot, *wakeup, *maxproc, *command;
    const struct plan_param *options; /* every -o, in order, values as in cf_param */
    size_t n_options;
    const char *args; /* everything after the command that is not -o, tokens joined by one space */
};

/* All parameters in file order, duplicates included; lines without "=" are left out.  Results live
 * in a. */
MUST_USE enum err_code main_cf_parse(struct slice text, struct arena *a, struct cf_param **ret,
                                     size_t *ret_n, struct err *e);
/* All services in file order; ERR_INVALID names the line that has too few fields or unbalanced
 * braces. */
MUST_USE enum err_code master_cf_parse(struct slice text, struct arena *a, struct cf_service **ret,
                                       size_t *ret_n, struct err *e);
/* The value of the last entry of that name (Postfix's rule), or NULL. */
const char *cf_param_value(const struct cf_param *v, size_t n, const char *name);
const struct cf_service *cf_service_find(const struct cf_service *v, size_t n, const char *name,
                                         const char *type);

/* Append the edited file to out (give it a maximum).  Editing the result again gives the same
 * bytes. ERR_INVALID: the plan holds a name or value that may not be written (control character,
 * blank at an end, unbalanced brace, a command outside the fixed set): a bug or an attack, nothing
 * is written then. */
MUST_USE enum err_code main_cf_edit(struct slice old, const struct plan *p, struct strbuf *out,
                                    struct err *e);
MUST_USE enum err_code master_cf_edit(struct slice old, const struct plan *p, struct strbuf *out,
                                      struct err *e);

/* Is it one of ours? */
bool cf_owns_param(const struct plan *p, const char *name);
bool cf_owns_service(const struct plan *p, const char *name, const char *type);

/* Called for every owned item that is not as the plan says.  file: "main.cf" or "master.cf";
 * expected or found is NULL when the item should not be there or is not there. */
typedef void cf_diff_fn(void *ctx, const char *file, const char *item, const char *expected,
                        const char *found);
MUST_USE enum err_code main_cf_diff(struct slice text, const struct plan *p, cf_diff_fn *fn,
                                    void *ctx, struct err *e);
MUST_USE enum err_code master_cf_diff(struct slice text, const struct plan *p, cf_diff_fn *fn,
                                      void *ctx, struct err *e);
