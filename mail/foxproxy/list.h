/*
 * list.h - one address list in force: the mapped file and what is said about it.  Counted: every
 * snapshot that uses it holds it, so a list is unmapped when the last loop has gone on to the next
 * one.
 */
#pragma once

#include "base/err.h"
#include "iplist/iplist.h"

#include <stdatomic.h>

enum { LIST_PATH_MAX = 4096 };

struct list {
    atomic_uint refs;
    struct iplist *rows;
    char path[LIST_PATH_MAX];
    char sha256[65];
    int64_t loaded_ms; /* wall time */
};

/* Open, check and hash a file.  ERR_NOT_FOUND, ERR_STORAGE, ERR_MALFORMED, ERR_NO_MEMORY. */
MUST_USE enum err_code list_open(const char *path, struct list **ret, struct err *e);
struct list *list_ref(struct list *l); /* NULL stays NULL */
void list_unref(struct list *l);
DEFINE_CLEANUP(struct list, list_unref);
