/*
 * device_auth.h - who the child behind an access token is.  No SQL, no files: called by server/http on an I/O thread.
 * A token's MAC and claims are checked once a connection and remembered by its text; expiry, credential generation
 * and the device's state are checked at each call, against app->fleet.
 * Threads: any; a struct device_token belongs to one connection, which is served by one thread at a time.
 */
#pragma once

#include "http/request.h"

/* Our own tokens fit; a longer one is checked anew each time. */
enum { DEVICE_TOKEN_REMEMBERED = 512 };

struct device_token { /* zeroed when the connection begins, wiped by who frees it */
    size_t n; /* of text; 0: none was accepted yet */
    char text[DEVICE_TOKEN_REMEMBERED];
    char device[37];
    int64_t gen, exp_s;
};

/* token: borrowed, at most 4 KiB.  *ret: kind WHO_DEVICE, id, name, gen, perms PERM_DEVICE.
 * ERR_TOKEN_INVALID (not one of ours, older generation), ERR_TOKEN_EXPIRED, ERR_DEVICE_REVOKED, ERR_DEVICE_RETIRED,
 * ERR_DEVICE_UNKNOWN; ERR_OVERLOADED while app->keys or app->fleet is not there yet. */
MUST_USE enum err_code auth_device_token(struct app *app, struct device_token *remembered, struct slice token,
                                         int64_t now_s, struct who *ret, struct err *e);
