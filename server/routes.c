/*
 * The table of contents of the API: every address, who may call it, how large its body may be.  A test compares it
 * with api/openapi.yaml both ways.
 */
#include "http/request.h"
#include "http/status.h"

// clang-format off
const struct route routes[] = {
    /* method  path         handler      permission        body  flags */
    { "GET",   "/healthz",  health_get,  PERM_NONE,        0,    R_INLINE },
    { "GET",   "/readyz",   ready_get,   PERM_NONE,        0,    R_INLINE },
    { "GET",   "/metrics",  metrics_get, PERM_DEVICE_READ, 0,    R_INLINE | R_LOOPBACK },

    { NULL, NULL, NULL, 0, 0, 0 },
};
// clang-format on
