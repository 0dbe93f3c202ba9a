// libs: inari_targets inari_base
/* Any bytes as main.cf and master.cf: the properties of editing hold.  The first byte chooses the plan. */
#include "../unit/agent/cf_check.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = {(const char *)data, size};
    const char *fault;

    if (size == 0)
        return 0;
    s.p++;
    s.n--;
    fault = cf_check_properties(s, s, cf_check_plan(data[0]));
    if (fault != NULL) {
        (void)fprintf(stderr, "%s\n", fault);
        abort();
    }
    return 0;
}
