/*
 * postfix_lint.h - is a staged configuration one Postfix will run with?  "postfix check" is silent
 * on two thirds of what stops mail, so the parts it does not look at are looked at here.
 */
#pragma once

#include "base/arena.h"
#include "targets/postfix.h"
#include "targets/postfix_cf.h"
#include "targets/rendition.h"

/* Our own look at the directory etc (a staged copy or the live one).  Every fault is a line in
 * faults; none: it stays empty.  r: what it should be, or NULL for the live one.  ERR_*: it could
 * not be looked at. */
MUST_USE enum err_code postfix_lint(const struct postfix *p, const char *etc,
                                    const struct rendition *r, struct arena *a,
                                    struct strbuf *faults, struct err *e);
/* "postfix check", "postconf -n", "-M", "-P" on the directory: every word they say is a line in
 * faults. */
MUST_USE enum err_code postfix_lint_commands(const struct postfix *p, const char *etc,
                                             struct strbuf *faults, struct err *e);
/* Both, on the staged copy, at the same time; lines that the live configuration causes as well are
 * not the change's fault and are left out.  meanwhile (may be NULL) is called while Postfix's own
 * commands still run, when our own look found nothing; what it returns other than ERR_OK ends the
 * validation with its error. ERR_REFUSED: faults remain, in faults.  ERR_TIMEOUT: a command hung
 * and was killed. */
typedef enum err_code validate_meanwhile_fn(void *ctx, struct err *e);
MUST_USE enum err_code postfix_validate(const struct postfix *p, const char *etc,
                                        const struct rendition *r, validate_meanwhile_fn *meanwhile,
                                        void *ctx, struct strbuf *faults, struct err *e);

/* --- shared by the parts of the lint only --- */
struct lint_map { /* a table and where it was named first */
    const char *where, *name, *map;
};
enum { LINT_MAPS_MAX = 64 };
struct lint {
    const struct postfix *p;
    const char *etc;
    struct arena *a;
    struct strbuf *faults;
    struct cf_param *main; /* postconf -x: every parameter, macros expanded */
    size_t n_main;
    struct cf_param *set; /* main.cf as it is written */
    size_t n_set;
    struct cf_service *services;
    size_t n_services;
    struct lint_map *maps; /* named so far, each once; asked all at once */
    size_t n_maps;
    char hung[400]; /* a table that gave no answer: not a fault to compare, the end of the check */
};
void lint_say(struct lint *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *lint_value(const struct lint *l, const char *name); /* "" when unknown */
/* Next word of a list separated by blanks and commas, braces kept together; NULL at the end. Writes
 * into *s. */
char *lint_word(char **s);
void lint_maps(struct lint *l);     /* postfix_lint_value.c: ask every table named */
void lint_services(struct lint *l); /* postfix_lint_master.c */
void lint_value_of(struct lint *l, const char *where, const char *name,
                   const char *value); /* postfix_lint_value.c */
void lint_relay(struct lint *l, const char *where, const char *relay, const char *recipient);
