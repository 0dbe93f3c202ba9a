/*
 * decide.h - what becomes of an address, before any greeting.
 * Order: approved > blocked > (the profiler's block list will stand here) > reputation.  The first
 * source that is on and says something decides; one that only logs is noted and the next is asked.
 * Pure: a snapshot, an address and a time in, a decision out; no I/O.
 */
#pragma once

#include "foxproxy/snapshot.h"

enum decide_source { DECIDE_NOBODY, DECIDE_APPROVED, DECIDE_BLOCKED };

struct decision {
    bool refuse;
    enum decide_source source; /* who decided; nobody: it passes */
    uint64_t row;              /* id of the list's row; 0: none */
    /* What a source that only logs would have done; DECIDE_NOBODY: none of them anything. */
    enum decide_source would;
    uint64_t would_row;
    enum reply_id reply; /* when refused */
};

struct decision decide_address(const struct snapshot *s, const struct iplist_addr *a,
                               int64_t wall_ms);
const char *decide_source_name(enum decide_source s); /* "approved", "blocked", "none" */
