/*
 * ask.h - questions to the person at the terminal.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* A line from the terminal without echo, or the first line of stdin.  Heap; wipe it.
 * ERR_INVALID: there is neither a terminal nor a line. */
MUST_USE enum err_code ask_password(const char *prompt, bool from_stdin, char **ret, struct err *e);
/* A visible line from the terminal. */
MUST_USE enum err_code ask_line(const char *prompt, char **ret, struct err *e);
/* Only "yes" (or はい) counts; false also where there is no terminal. */
bool ask_yes(const char *prompt);
bool ask_possible(void);
