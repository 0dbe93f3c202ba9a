/*
 * process.h - what /proc says of any process, without rights over it: no descriptor, program file or environment of
 * another user's process is looked at (that would take CAP_SYS_PTRACE).  Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
    char name[32]; /* of its program, at most 15 bytes */
    char state;    /* 'R' 'S' 'T' ... 'Z' */
    pid_t parent, group;
    uint64_t start; /* clock ticks since boot */
};
/* false: there is none. */
bool process_look(pid_t pid, struct process *ret);
/* Id of the version 2 control group it is in; 0: the root group, or not known. */
uint64_t process_cgroup(pid_t pid);
/* Each process there is, in the order of /proc, until fn gives false. */
void process_each(bool (*fn)(void *ctx, pid_t pid), void *ctx);
