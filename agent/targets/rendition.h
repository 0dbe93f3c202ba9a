/*
 * rendition.h - one rendered configuration and where it came from: the plan, which digest and
 * revision it is, and which live files it was made from.  Kept as manifest.json beside the rendered
 * files, so that drift, repair and going back need neither the settings nor the planner.
 */
#pragma once

#include "base/arena.h"
#include "json/json_in.h"
#include "plan/plan.h"

enum { DIGEST_SIZE = 65, REND_MANIFEST_MAX = 64 * 1024 * 1024 };

struct rendition {
    char digest[DIGEST_SIZE]; /* content digest: 64 hexadecimal digits */
    char device_id[64];
    int64_t epoch, rev, pub;
    char base_main[DIGEST_SIZE]; /* SHA-256 of the live files the staged ones were made from */
    char base_master[DIGEST_SIZE];
    bool restart; /* Postfix must be stopped and started for it */
    bool validated;
    const struct plan *plan; /* in the arena it was loaded into */
    const struct plan *whole; /* where a part was left as it was found: what it should be; else NULL */
};

/* What the settings ask for: drift is measured against this. */
const struct plan *rendition_wanted(const struct rendition *r);

bool digest_is_valid(const char *s);
MUST_USE json_t *
rendition_to_json(const struct rendition *r); /* new reference; NULL without memory */
/* Everything is copied into a. */
MUST_USE enum err_code rendition_from_json(const json_t *j, struct arena *a, struct rendition *ret,
                                           struct err *e);
/* manifest.json in dir, with fsync.  Load: ERR_NOT_FOUND when there is none. */
MUST_USE enum err_code rendition_save(const char *dir, const struct rendition *r, struct err *e);
MUST_USE enum err_code rendition_load(const char *dir, struct arena *a, struct rendition *ret,
                                      struct err *e);
