/* transfer.h - what the senders share: a libcurl handle with deadline, stop flag, checked addresses
 * and steps. */
#pragma once

#include "notify/notify.h"
#include "notify/target.h"

#include <curl/curl.h>

enum { TRANSFER_BODY_MAX = 64 * 1024, TRANSFER_SEND_MAX = 2 * 1024 * 1024 };

struct transfer {
    const struct notify_run *run;
    enum target_policy policy;
    const char *allowed;
    CURL *curl;
    struct slice send; /* what is left to be sent */
    size_t received;
    bool secret_line;               /* what the client says now is a credential */
    char refused[TARGET_TEXT_SIZE]; /* an address that may not be reached; "" none */
    char last[200];                 /* what the peer said last */
    char error[CURL_ERROR_SIZE];
};
/* protocol: "smtp,smtps" or "https". */
MUST_USE enum err_code transfer_begin(struct transfer *t, const struct notify_run *run,
                                      enum target_policy policy, const char *protocols,
                                      const char *ca, struct err *e);
/* Do it.  ERR_UNAVAILABLE with the peer's or libcurl's words; ERR_TIMEOUT. */
MUST_USE enum err_code transfer_perform(struct transfer *t, struct err *e);
void transfer_clear(struct transfer *t);
/* Note a step, cut to 200 bytes without control characters. */
void transfer_step(const struct notify_run *run, const char *step, bool ok, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
