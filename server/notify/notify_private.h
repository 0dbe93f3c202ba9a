/* notify_private.h - between the files of this folder. */
#pragma once

#include "base/err.h"

MUST_USE enum err_code notify_mail_init(struct err *e);
void notify_mail_end(void);
