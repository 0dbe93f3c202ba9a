/*
 * keeping.h - everything of the two programs on a device that must survive: how it is written, step
 * by step, and what of it must be found again.  Step v writes version v; a folder may hold what was
 * acknowledged, or the step after it.
 */
#pragma once

#include "base/err.h"

struct keeping {
    const char *name;
    /* A fresh context over the folder; NULL: could not. */
    void *(*open)(const char *dir, struct err *e);
    enum err_code (*step)(void *ctx, int v, struct err *e);
    void (*close)(void *ctx);
    /* Read the folder as a program that starts does.  acked: steps that said ERR_OK.  NULL, or what
     * is wrong. */
    const char *(*check)(const char *dir, int acked);
};
extern const struct keeping keepings[];
extern const size_t n_keepings;

enum { KEEPING_STEPS = 10 };
