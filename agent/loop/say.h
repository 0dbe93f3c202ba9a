/*
 * say.h - what inari-agent says to a person at a terminal, in the language of LC_ALL, LC_MESSAGES
 * or LANG.
 */
#pragma once

#include "base/err.h"

enum lang say_lang(void);
/* The text for that language: say_tr("not joined", "参加していません"). */
const char *say_tr(const char *en, const char *ja) __attribute__((format_arg(1), format_arg(2)));
/* "inari-agent: <message>" and, on a line of its own, the remedy of its code, on stderr. */
void say_error(const struct err *e);

/* Exit statuses of the program (inari-agent help prints them). */
enum say_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_JOINED = 3,
    EXIT_REFUSED = 4,
    EXIT_UNREACHABLE = 5,
    EXIT_LOCKED = 75,
};
int say_exit_of(enum err_code code);
