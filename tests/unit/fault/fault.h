/*
 * fault.h - the n-th allocation or call on files that our code makes fails, kills the process, or
 * cuts the power. The linker leads the calls of our static libraries, and jansson by its own hooks,
 * through fault.c. Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum fault_mode { FAULT_OFF, FAULT_COUNT, FAULT_FAIL, FAULT_KILL, FAULT_CUT };
enum fault_kind { FAULT_ALLOC, FAULT_CALL };

struct fault {
    enum fault_mode mode;
    enum fault_kind kind;
    long at;      /* the first is 1 */
    bool lasting; /* FAULT_FAIL: all after it too */
    int err;      /* FAULT_FAIL of a call; FAULT_SHORT: half of the bytes are written or read */
    int variant;  /* FAULT_KILL: 0 before the call, 1 behind it (a write: in the middle of it).
                     FAULT_CUT: power.h */
};
enum { FAULT_SHORT = -1 };

void fault_begin(void); /* once, at the start of main() */
void fault_arm(struct fault f);
/* How many calls of that kind were made since fault_arm(). */
long fault_disarm(void);
long fault_hits(void);         /* how many of them failed */
const char *fault_where(void); /* name of the last call that failed */
size_t fault_live(void);       /* blocks of memory of our code that are not freed */
size_t fault_descriptors(void);
/* A new folder of this program (static); NULL: could not. */
char *fault_folder(void);

/* Add to the figures of this run: a line "kind N" to the file that INARI_FAULT_COUNTS names, and to
 * the output. */
void fault_report(const char *kind, long n);
