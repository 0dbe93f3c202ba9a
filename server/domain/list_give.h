/*
 * list_give.h - the lists as devices get them (docs/internals/lists.md, "Delivery").
 *
 * A device's lists are known by a token: which versions of which scopes apply to it.  The tokens of all devices are in
 * memory (one for those without rows of their own, a small table for the others), so a poll costs no SQL and a held child
 * nothing.  What a token stands for is built when the first device asks: a signed manifest and the files it names, shared by
 * all devices with the same rows and kept while they may be asked for.
 * Threads: any.
 */
#pragma once

#include "domain/app.h"
#include "store/db.h"

enum { LIST_TOKEN_SIZE = 17 };

struct list_give;
struct list_bytes; /* counted, immutable */

MUST_USE struct list_give *list_give_new(void); /* NULL: out of memory */
void list_give_free(struct list_give *g);
/* Read which versions there are; wake the polls of devices whose lists are others than before (not at the first call). */
MUST_USE enum err_code list_give_refresh(struct db *db, struct app *app, struct err *e);
/* "0": no rows have ever applied to it.  false: not read yet. */
bool list_give_token(struct list_give *g, const char *device_id, char out[LIST_TOKEN_SIZE]);
/* The manifest (flattened JWS).  ERR_OVERLOADED: another one is building it, come back in a second. */
MUST_USE enum err_code list_give_manifest(struct db *db, struct app *app, const char *device_id, struct list_bytes **ret,
                                          struct err *e);
/* A file a manifest named, packed; NULL: not (any more) here, the manifest names another one now. */
struct list_bytes *list_give_blob(struct list_give *g, const char *sha256);
const char *list_bytes_text(const struct list_bytes *b, size_t *ret_n);
void list_bytes_unref(void *b); /* NULL does nothing; fits struct reply.release */
