/*
 * proc.h - run a program with a fixed argument vector, no shell, a deadline and bounded output.
 * The child gets a clean environment (PATH, LC_ALL=C and what env adds), no inherited descriptors, its own process
 * group; at the deadline the whole group is killed.
 * Threads: any; needs no SIGCHLD handler.
 */
#pragma once

#include "base/strbuf.h"

struct proc_result {
    int status;      /* exit status; 128 + signal when it was killed */
    bool timed_out;  /* killed at the deadline */
    char *output;    /* heap: stdout and stderr together, at most PROC_OUTPUT_MAX bytes, text made printable */
    size_t output_n;
};
enum { PROC_OUTPUT_MAX = 64 * 1024 };

void proc_result_clear(struct proc_result *r);
/* argv[0] is an absolute path; argv and env are NULL-terminated ("NAME=value"); env may be NULL.
 * input may be empty: stdin is /dev/null then.
 * ERR_OK: it ran and ended (look at status and timed_out).  ERR_STORAGE / ERR_NO_MEMORY: it could not be started. */
MUST_USE enum err_code proc_run(const char *const argv[], const char *const env[], struct slice input, int timeout_ms,
                                struct proc_result *ret, struct err *e);
/* The same without input, stdout and stderr as they come into the file out_fd (borrowed), whatever their size; output
 * of ret stays empty. */
MUST_USE enum err_code proc_run_file(const char *const argv[], const char *const env[], int out_fd, int timeout_ms,
                                     struct proc_result *ret, struct err *e);
