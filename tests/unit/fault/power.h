/*
 * power.h - what a disk may hold when the power goes: what was not fsynced may be there or not.
 *   POWER_DATA   renames, links and removals are there, the contents of files without fsync are not
 *   POWER_NAMES  contents are there, names without fsync of their folder are not
 *   POWER_BOTH   neither
 * The first write to a file, and each change of a name, notes what it was before; fsync forgets
 * that.
 */
#pragma once

#include <sys/types.h>

enum { POWER_DATA, POWER_NAMES, POWER_BOTH, POWER_VARIANTS };

/* keep: a folder on the same file system, for the names that were replaced. */
void power_begin(const char *keep);
void power_before_write(int fd);
void power_before_create(const char *path); /* it may be there already */
void power_before_rename(const char *from, const char *to);
void power_before_unlink(const char *path);
void power_after_fsync(int fd);
void power_cut(int variant); /* make the disk so; the caller dies */
