/* notify_private.h - between the files of this folder. */
#pragma once

#include "base/err.h"

MUST_USE enum err_code notify_mail_init(struct err *e);
void notify_mail_end(void);
/* Before other threads exist.  Neither reads nor writes a file. */
void notify_trap_init(void);
void notify_trap_end(void);
