/*
 * finding.h - what the catalog and the planner have to say about settings: a list of findings, each with an
 * id from api/findings.json, the JSON pointer of the setting it is about and up to four arguments.
 * Threads: a list belongs to one thread.  Limits: FINDINGS_MAX entries; more are counted, not kept.
 */
#pragma once

#include "base/err.h"
#include "base/findings.h"

#include <stdbool.h>

enum { FINDINGS_MAX = 200, FINDING_ARGS = 4, FINDING_ARG_MAX = 160 };

struct finding {
    enum finding_id id;
    bool warning;       /* said, but nothing is refused for it */
    bool forceable;     /* refused unless the change is forced with a reason */
    char pointer[192];  /* "/settings/smtp.relay_domains/example.com" */
    char arg[FINDING_ARGS][FINDING_ARG_MAX]; /* cut at the limit, control characters replaced */
};

struct findings {
    struct finding *v; /* heap; grows */
    size_t n;
    size_t dropped; /* beyond FINDINGS_MAX or out of memory */
    size_t errors;  /* how many are not warnings (dropped ones included) */
};

void findings_clear(struct findings *f);
/* Add an error.  Arguments may be NULL.  Returns the new entry (borrowed, until the next add) or NULL when it
 * was only counted. */
struct finding *finding_add(struct findings *f, enum finding_id id, const char *pointer, const char *a0,
                            const char *a1, const char *a2, const char *a3);
/* Add one that refuses nothing. */
struct finding *finding_warn(struct findings *f, enum finding_id id, const char *pointer, const char *a0,
                             const char *a1, const char *a2, const char *a3);
/* How many refuse the change even when it is forced with a reason.  A device judges what the parent has signed by
 * this number: what could be forced has been, or it would not be in the bundle. */
size_t findings_blocking(const struct findings *f);
/* The message with its arguments, in lang, into buf (always terminated). */
void finding_message(const struct finding *f, enum lang lang, char *buf, size_t size);
void finding_remedy(const struct finding *f, enum lang lang, char *buf, size_t size);
