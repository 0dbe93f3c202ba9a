/*
 * journal.h - where a change stands, so that a crash at any moment leaves the old or the new
 * configuration, never a mixture.  One file of two preallocated slots, written in turn, each one
 * JSON line behind its SHA-256: a full disk cannot stop it and a torn write leaves the other slot.
 * Also remembers what is in force, which older renderings are kept, and how the last change ended.
 */
#pragma once

#include "targets/rendition.h"

enum { JOURNAL_SLOT = 16384, JOURNAL_LKG_MAX = 21 };

enum phase {
    PHASE_NONE,
    PHASE_STAGED,
    PHASE_SWITCHING,
    PHASE_RELOADING,
    PHASE_PROBING,
    PHASE_COMMITTING,
    PHASE_REVERTING
};
const char *phase_word(enum phase p);

struct journal_entry { /* a rendering that ran and passed its probes */
    char digest[DIGEST_SIZE];
    int64_t epoch, rev, pub, at_ms;
};

struct journal_state {
    int64_t seq;
    enum phase phase;                                    /* PHASE_NONE: closed */
    int64_t at_ms, switched_ms;                          /* switched: just before the renames */
    char to[DIGEST_SIZE], from[DIGEST_SIZE];             /* from "": files of nobody's rendering */
    int64_t epoch, rev, pub;                             /* of to */
    char old_main[DIGEST_SIZE], old_master[DIGEST_SIZE]; /* SHA-256 of the files as they were */
    int64_t old_main_mode, old_master_mode;
    /* SHA-256 of foxproxy.ini as it was and as it is to be; "": not there, Postfix has the port */
    char old_front[DIGEST_SIZE], new_front[DIGEST_SIZE];
    bool was_running, restart, main_first;

    struct journal_entry lkg[JOURNAL_LKG_MAX]; /* newest first; [0] is in force when managed */
    size_t n_lkg;
    bool managed;

    char last_result[16], last_digest[DIGEST_SIZE], last_phase[16],
        last_reason[256]; /* "": none yet */
    int64_t last_at_ms, last_rev, last_pub;
};

struct journal {
    int fd;
    struct journal_state s;
};

/* Open or create <state>/journal; both slots damaged is ERR_STORAGE (never guessed). */
MUST_USE enum err_code journal_open(struct journal *j, const char *state_dir, struct err *e);
void journal_close(struct journal *j);
/* Write j->s durably with the next sequence number. */
MUST_USE enum err_code journal_write(struct journal *j, struct err *e);
/* Move to phase and write. */
MUST_USE enum err_code journal_phase(struct journal *j, enum phase phase, struct err *e);
/* Close the open change: result is committed, reverted, interrupted or dropped; reason may be "".
 */
MUST_USE enum err_code journal_end(struct journal *j, const char *result, const char *reason,
                                   struct err *e);
