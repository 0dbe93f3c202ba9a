/*
 * mutate.h - faults on demand, for the tests only: without INARI_TEST_HOOKS every call does
 * nothing.
 *   INARI_MUTATE=stage:<name>   the staged copy is made wrong after it was rendered and compared:
 *                               validate must find it
 *   INARI_MUTATE=live:<name>    the files are made wrong just before the rename
 *   INARI_MUTATE=reload:<name>  the live files, just before the reload: Postfix runs with them
 *   INARI_MUTATE=probe:<name>   the live files, behind the reload and the look after it
 *   INARI_MUTATE=revert:<name>  the live files, put back already, just before Postfix is reloaded
 *   INARI_MUTATE_PORT=<n>       the port of mutation "port-in-use"
 *   INARI_CRASH_AT=<point>      SIGKILL to ourselves at that point
 * The 44 names are the mutations of Postfix configurations that were measured (what broken
 * configuration does).
 */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"

enum mutate_when { MUTATE_STAGE, MUTATE_LIVE, MUTATE_RELOAD, MUTATE_PROBE, MUTATE_REVERT };

struct mutation {
    const char *name;
    bool harmless; /* Postfix runs as before with it */
};
size_t mutate_count(void);
const struct mutation *mutate_at(size_t i);

/* What INARI_MUTATE asks for at this moment, or NULL. */
const char *mutate_wanted(enum mutate_when when);
/* Apply the named mutation to the two files.  *ret_remove_main: main.cf is to be missing.  false:
 * no such name. */
bool mutate_apply(const char *name, struct strbuf *main_cf, struct strbuf *master_cf,
                  bool *ret_remove_main);
/* Apply what is wanted at this moment to the two files in directory config. */
void mutate_live(enum mutate_when when, const char *config);
/* INARI_CRASH_AT=<point>: end here by SIGKILL.  INARI_PAUSE_AT=<point>:<ms>: stay here that long.
 */
void crash_at(const char *point);
