/*
 * iplist.h - an immutable list of networks, up to millions, in one flat file: built by the parent,
 * searched by the daemon in front of the mail. Source:   our own format, iplist_private.h;
 * docs/internals/lists.md.  Position-independent, so it is used where it is mapped; little-endian.
 * The checksum finds damage, not malice: who fetched the file has compared its SHA-256. Families:
 * IPv4 a.b.c.d/n is ::ffff:a.b.c.d/(96+n).  An IPv4 address is searched among IPv4 rows only: ::/0
 * is every IPv6 address and no IPv4 one. Expiry:   part of each row.  A row whose time has come is
 * as if it were not there, without a new file: the row around it takes over. Files:    are replaced
 * by rename, never changed or shortened while one is open (a mapped page that is gone is SIGBUS).
 * Threads:  an open list is immutable; any number of threads search it.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum { IPLIST_ROWS_MAX = 16 * 1000 * 1000 };

struct iplist_addr {
    uint8_t b[16]; /* network order; IPv4 as ::ffff:a.b.c.d */
};

struct iplist_row {
    struct iplist_addr net;
    uint8_t bits;       /* 0..128; IPv4 /n is 96 + n */
    int64_t expires_ms; /* since the epoch; it counts until then, not at it.  0: never */
    uint64_t id;        /* the parent's; never 0 */
};

struct iplist_report {
    size_t rows;       /* in the file */
    size_t duplicates; /* given twice: equal network; the later expiry was kept (never is latest;
                          then the smaller id) */
    size_t nested;     /* rows of the file that lie inside another one */
    size_t bad;        /* ERR_INVALID: the index of the row at fault */
};

struct iplist;

static inline struct iplist_addr iplist_v4(const uint8_t a[4])
{
    return (struct iplist_addr){{[10] = 0xff, [11] = 0xff, a[0], a[1], a[2], a[3]}};
}
bool iplist_is_v4(const struct iplist_addr *a);

/* The file of rows in any order; the same rows in another order give the same bytes.
 *   ret  heap, *ret_n bytes, aligned for iplist_read(); written on ERR_OK only.
 *   rep  always written; may be NULL.
 * ERR_INVALID: a row with more than 128 bits, bits set behind its prefix, a negative expiry or id
 * 0.  ERR_TOO_LARGE: more than IPLIST_ROWS_MAX.  ERR_NO_MEMORY. */
MUST_USE enum err_code iplist_build(const struct iplist_row *rows, size_t n, char **ret,
                                    size_t *ret_n, struct iplist_report *rep, struct err *e);

/* Map a file; every offset in it is checked.  ERR_NOT_FOUND, ERR_STORAGE (cannot be opened or
 * mapped), ERR_MALFORMED (no such list, damaged, cut off, of another version), ERR_NO_MEMORY; *ret
 * is written on ERR_OK only. */
MUST_USE enum err_code iplist_open(const char *path, struct iplist **ret, struct err *e);
/* The same from an open descriptor, which stays the caller's and may be closed afterwards. */
MUST_USE enum err_code iplist_open_fd(int fd, struct iplist **ret, struct err *e);
/* The same from memory that is borrowed until iplist_close() and starts at a multiple of 8. */
MUST_USE enum err_code iplist_read(struct slice file, struct iplist **ret, struct err *e);
void iplist_close(struct iplist *l); /* NULL does nothing */
DEFINE_CLEANUP(struct iplist, iplist_close);

/* The longest match of a that has not expired at now_ms (wall time); false: none, *ret is
 * untouched. */
bool iplist_find(const struct iplist *l, const struct iplist_addr *a, int64_t now_ms,
                 struct iplist_row *ret);
size_t iplist_rows(const struct iplist *l); /* expired ones too */
/* The i-th row (i < iplist_rows()): IPv4 before IPv6, by address, an outer one before those inside
 * it. */
struct iplist_row iplist_at(const struct iplist *l, size_t i);
