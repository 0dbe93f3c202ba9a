/*
 * postfix_stage.h - render a plan into <state>/stage/<digest>/: a complete copy of the live
 * configuration directory in etc/ with our parameters, services and tables in it, and
 * manifest.json.  Nothing live is written.
 */
#pragma once

#include "targets/postfix.h"
#include "targets/rendition.h"

struct stage_request {
    const char *digest, *device_id;
    int64_t epoch, rev, pub;
    const struct plan *plan;
    const struct plan *whole; /* rendition.h; NULL: plan is all of it */
};

/* <state>/stage/<digest> into buf. */
void stage_path(const struct agent_settings *s, const char *digest, char *buf, size_t size);
/* *ret lives in a.  What was staged before under any digest is removed.
 * ERR_STORAGE: disk full, a live file is not readable, is a link or is not root's.
 * ERR_INTERNAL: what was rendered does not read back as planned (security.md C24). */
MUST_USE enum err_code postfix_stage(const struct postfix *p, const struct stage_request *rq,
                                     struct arena *a, struct rendition *ret, struct err *e);
/* Read a live file of the configuration directory: regular, root's (or ours in tests that are not
 * root), no link. */
MUST_USE enum err_code stage_read_live(const struct agent_settings *s, const char *name, char **ret,
                                       size_t *ret_n, mode_t *ret_mode, struct err *e);
/* Write the tables of a plan below dir (created); existing ones are replaced.  live: those with secrets get their texts
 * (secret_table.h; secrets as there); else they stay as the plan has them, which is all a trial needs: it sends nothing. */
MUST_USE enum err_code stage_tables(const struct plan *p, const char *dir, bool live, const json_t *secrets,
                                    struct err *e);
/* Postfix reads a file again until its last change is two seconds ago ("pausing to let file cool
 * down"), and every command and daemon would wait for that: give what we wrote whole a time a
 * little in the past. */
void stage_cool(const char *path);
