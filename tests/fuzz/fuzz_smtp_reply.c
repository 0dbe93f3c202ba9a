// libs: inari_agent_loop
/* Replies of foreign SMTP servers: never a read past the end, and what is accepted stays inside its
 * limits. */
#include "loop/smtp_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_reply r;

    if (smtp_reply_parse((struct slice){(const char *)data, size}, &r) == SMTP_REPLY_DONE &&
        (r.used > size || r.code < 200 || r.code > 599 || strlen(r.text) >= sizeof r.text))
        abort();
    return 0;
}
