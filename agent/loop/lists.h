/*
 * lists.h - the lists of addresses for the daemon in front of the mail: fetched when the parent names others than we know of,
 * verified, kept on disk (the present ones and those before), handed to the daemon when it is there.
 * Source:   docs/internals/wire.md, "Lists"; docs/internals/lists.md.
 * Files:    <agent.state>-lists/, readable for the daemon's user: HEX.iplist, manifest.jws, previous.jws.  Nothing secret.
 * Failures: whatever goes wrong, the lists that are there stay in force; the next try comes by itself.
 * Threads:  the loop's.
 */
#pragma once

#include "base/err.h"
#include "json/json_in.h"
#include "loop/backoff.h"
#include "loop/trust.h"

enum { LISTS_N = 2, LISTS_TOKEN_SIZE = 17 };
extern const char *const lists_names[LISTS_N]; /* "approved", "blocked" */

struct lists_file {
    char sha256[65]; /* "": no rows */
    int64_t bytes, rows;
};
struct lists_set { /* what a manifest says */
    int64_t epoch, seq; /* 0 0: none */
    char token[LISTS_TOKEN_SIZE];
    struct lists_file file[LISTS_N];
};

struct loop;
struct loop_lists {
    char dir[512];
    char known[LISTS_TOKEN_SIZE]; /* the newest the parent named; "0": none */
    bool wanted, busy;
    int64_t next;
    struct backoff backoff;
    struct lists_set now, coming; /* coming: while its files are fetched */
    char *manifest;               /* of coming: its text */
    /* The daemon: */
    int fd; /* a question that is on its way; -1 */
    char answer[16 * 1024];
    size_t answer_n;
    bool telling;       /* that question hands the lists over */
    bool told;          /* it has said that it has these */
    int64_t ask_by, ask_next;
    json_t *loaded;     /* {"approved":sha256|null,"blocked":...} as it says; NULL: it is not there */
};

void lists_begin(struct loop *l);
void lists_turn(struct loop *l);
void lists_clear(struct loop *l);
/* The answer to a poll named these; true: others than we knew of. */
bool lists_seen(struct loop *l, const char *token);
/* For the status document; new reference. */
json_t *lists_report(const struct loop *l);

/* Read a manifest of this fleet.  before: what was taken last.  ERR_SIGNATURE: not by a bundle key of the trust document, or
 * of another fleet; ERR_MALFORMED; ERR_REFUSED: older than that. */
MUST_USE enum err_code lists_manifest(struct slice text, const struct trust *t, const char *fleet, int64_t now_ms,
                                      const struct lists_set *before, struct lists_set *ret, struct err *e);
/* Unpack a blob, compare it with what the manifest says, open it once, and write it to path. */
MUST_USE enum err_code lists_keep(struct slice packed, const struct lists_file *f, const char *path, struct err *e);
