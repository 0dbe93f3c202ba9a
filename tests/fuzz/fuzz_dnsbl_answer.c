// libs: inari_reputation
/* Answers of foreign DNS servers: never a read past the end, and a listing is always in 127/8 and
 * never in its error part. */
#include "reputation/dnsbl_answer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dnsbl_answer a;
    char text[DNSBL_TEXT_SIZE];

    dnsbl_answer_parse(data, size, &a);
    dnsbl_answer_text(&a, text);
    if (a.n > DNSBL_CODES_MAX || (a.kind == DNSBL_LISTED && a.n == 0) ||
        (a.kind == DNSBL_ERROR) != (a.error != DNSBL_E_NONE))
        abort();
    for (size_t i = 0; i < a.n && a.kind == DNSBL_LISTED; i++) {
        if (a.codes[i] >> 24 != 127 || a.codes[i] >> 8 == 0x7fffff)
            abort();
    }
    return 0;
}
