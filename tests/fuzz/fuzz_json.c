// libs: inari_proto
/* Foreign JSON: parse, merge patch with itself, canonical text, and the text parses to the same value again. */
#include "proto/proto.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *j = NULL, *again = NULL;
    struct proto_join join;
    struct err e;

    if (json_in_parse((struct slice){(const char *)data, size}, 65536, &j, &e) == ERR_OK) {
        json_t *target = json_object();
        char *text = json_canonical(j);
        if (text == NULL || json_in_parse(slice_of(text), 1 << 20, &again, &e) != ERR_OK || !json_equal(j, again))
            abort();
        if (json_merge_patch(&target, j, &e) != ERR_OK)
            abort();
        free(text);
        json_decref(again);
        json_decref(target);
        json_decref(j);
    }
    if (proto_join_parse((struct slice){(const char *)data, size}, &join, &e) == ERR_OK)
        proto_join_clear(&join);
    return 0;
}
