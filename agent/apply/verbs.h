/* verbs.h - every request the helper serves, by name: a fixed table, each with its own typed
 * decoding (security.md C23). */
#pragma once

#include "apply/apply.h"
#include "targets/postfix_cf.h"

/* Serve one request.  New reference to a whole answer; NULL: no memory for all of it, although what
 * was asked for may be done. */
json_t *verbs_serve(struct helper *h, const json_t *request);

struct verb {
    const char *name;
    /* Add members to answer, or fail. */
    enum err_code (*fn)(struct helper *h, const json_t *request, json_t *answer, struct err *e);
};
extern const struct verb verbs_change[]; /* verbs_change.c; NULL-terminated */
extern const struct verb verbs_look[];   /* verbs_look.c */

/* The findings as the wire has them, into answer["findings"]. */
void verbs_put_findings(json_t *answer, const struct findings *f);

/* Whom the relay probe asks as, into answer["relay_clients"]. */
void verbs_put_clients(json_t *answer, const struct relay_clients *c);

/* Settings of a request -> checked, planned (verbs_plan.c).  Everything lives in a. */
struct planned {
    const char *digest, *device_id;
    int64_t epoch, rev, pub;
    struct plan *plan;
};
MUST_USE enum err_code verbs_plan(struct helper *h, const json_t *request, bool with_revision,
                                  struct arena *a, struct planned *ret, json_t *answer,
                                  struct err *e);
/* The one member "digest" of a request. */
MUST_USE enum err_code verbs_digest(const json_t *request, const char **ret, struct err *e);
/* No other member than verb and v. */
MUST_USE enum err_code verbs_bare(const json_t *request, struct err *e);
/* A cf_diff_fn: appends {"file","item","expected","found"} to the array ctx. */
void verbs_note_drift(void *ctx, const char *file, const char *item, const char *expected,
                      const char *found);
/* Compare what is in force with the live files (verbs_look.c). */
MUST_USE enum err_code verbs_drift(struct helper *h, const struct rendition *r, cf_diff_fn *fn,
                                   void *ctx, struct err *e);
