#include "pack/unpack.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { PIECE = 128 * 1024 /* a block is no larger: each comes out in one */ };

struct unpack {
    ZSTD_DStream *z;
    ZSTD_inBuffer in;
    size_t left; /* of max */
    bool done;
    char out[PIECE];
};

struct unpack *unpack_new(struct slice in, size_t max)
{
    struct unpack *u = malloc(sizeof *u);

    if (u == NULL)
        return NULL;
    u->in = (ZSTD_inBuffer){in.p, in.n, 0};
    u->left = max;
    u->done = false;
    u->z = ZSTD_createDStream();
    if (u->z != NULL &&
        !ZSTD_isError(ZSTD_DCtx_setParameter(u->z, ZSTD_d_windowLogMax, UNPACK_WINDOW_LOG)))
        return u;
    unpack_free(u);
    return NULL;
}

void unpack_free(struct unpack *u)
{
    if (u == NULL)
        return;
    (void)ZSTD_freeDStream(u->z);
    free(u);
}

static enum err_code broken(size_t code, struct err *e)
{
    ZSTD_ErrorCode what = ZSTD_getErrorCode(code);

    if (what == ZSTD_error_memory_allocation)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (what == ZSTD_error_frameParameter_windowTooLarge)
        return err_set(e, ERR_TOO_LARGE, "the zstd window may have at most %d KiB",
                       1 << (UNPACK_WINDOW_LOG - 10));
    return err_set(e, ERR_MALFORMED, "this is not whole and valid zstd: %s",
                   ZSTD_getErrorName(code));
}

enum err_code unpack_next(struct unpack *u, struct slice *ret, struct err *e)
{
    ZSTD_outBuffer out = {u->out, sizeof u->out, 0};

    while (!u->done && out.pos == 0) {
        size_t before = u->in.pos;
        size_t hint = ZSTD_decompressStream(u->z, &out, &u->in);

        if (ZSTD_isError(hint))
            return broken(hint, e);
        u->done = hint == 0; /* the end of the frame, checksum and all */
        if (!u->done && out.pos == 0 && u->in.pos == u->in.size && u->in.pos == before)
            return err_set(e, ERR_MALFORMED, "the zstd frame is cut off");
    }
    if (u->done && u->in.pos != u->in.size)
        return err_set(e, ERR_MALFORMED, "there is something behind the zstd frame");
    if (out.pos > u->left)
        return err_set(e, ERR_TOO_LARGE, "the body is larger than allowed once it is unpacked");
    u->left -= out.pos;
    *ret = (struct slice){u->out, out.pos};
    return ERR_OK;
}
