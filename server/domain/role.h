/* role.h - what the roles may do, and the limits of a session. */
#pragma once

#include "http/request.h"

enum { SESSION_IDLE_MS = 15 * 60 * 1000, SESSION_MAX_MS = 12 * 60 * 60 * 1000 };

unsigned role_perms(const char *role); /* 0: no such role; without PERM_SESSION */
unsigned scope_bit(const char *word);  /* 0: no such scope */
json_t *perms_to_json(unsigned perms); /* array of words; new reference */
