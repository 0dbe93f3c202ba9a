/*
 * hand_over.h - the commands that work on a parent as a whole ("backup", "check-backup", "restore") are a program of their
 * own, inari-backup, because they start pg_dump and pg_restore and the server starts nothing, ever (security.md C27).
 * This process becomes it, before it has read a setting or opened a file.
 */
#pragma once

#include <stdbool.h>

/* Is one of argv's words before "--" such a command? */
bool hand_over_wanted(int argc, char **argv);
/* Returns only when the program is not there: exit status, with a message on stderr. */
int hand_over(char **argv);
