// libs: inari_iplist
/* A list's file of a hostile parent: refused, or searched without a step outside of it.  The
 * checksum is made to fit, so that what lies behind it is reached; an odd first byte leaves it as
 * it is. */
#include "iplist/iplist_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct iplist *l = NULL;
    struct iplist_row r;
    size_t n = size < 1 ? 0 : size - 1;
    char *file;

    if (n == 0 || (file = malloc(n)) == NULL)
        return 0;
    memcpy(file, data + 1, n);
    if (data[0] % 2 == 0 && n >= 16 && n % 8 == 0) {
        uint64_t sum = iplist_sum(file, n - sizeof sum);
        memcpy(file + n - sizeof sum, &sum, sizeof sum);
    }
    if (iplist_read((struct slice){file, n}, &l, NULL) == ERR_OK) {
        for (size_t i = 0; i < iplist_rows(l); i++) {
            struct iplist_row at = iplist_at(l, i);
            if (iplist_find(l, &at.net, 0, &r) && memcmp(&r.net, &at.net, r.bits / 8) != 0)
                abort();
        }
        for (size_t i = 0; i + sizeof(struct iplist_addr) <= n && i < 4096; i += 7) {
            struct iplist_addr a;
            memcpy(&a, file + i, sizeof a);
            if (iplist_find(l, &a, (int64_t)i, &r) && memcmp(&r.net, &a, r.bits / 8) != 0)
                abort();
        }
    }
    iplist_close(l);
    free(file);
    return 0;
}
