/*
 * combine.h - what a device is to have: a publication, and the expedited ones laid over it (docs/internals/rollout.md).
 *
 * An expedited publication changes what each device has and brings nothing else along, so a device is entitled to a pair:
 * its publication and a list of higher ones, "6,8" ascending, "" none.  Their diffs are applied in that order, whatever
 * the publication below says of the same leaf; one that takes another of the list back exactly cancels it.
 * Contents are made once for each pair and live as long as the arena.
 */
#pragma once

#include "base/arena.h"
#include "json/json_in.h"
#include "store/db.h"

enum { COMBINE_MAX = 64 /* expedited publications since the last whole one: each device's content is made of them */ };

struct combined;
struct combine {
    struct db *db;
    struct arena *a;
    struct combined *known;
};
/* pub 0: what the whole fleet has, with its own list instead of urgent.  *ret: borrowed. */
MUST_USE enum err_code combine_content(struct combine *c, int64_t pub, const char *urgent, const json_t **ret,
                                       struct err *e);
/* Both lists, each number once, those above pub.  In a; NULL without memory. */
const char *combine_lists(struct arena *a, const char *one, const char *other, int64_t pub);
/* The newest publication in a pair. */
int64_t combine_newest(int64_t pub, const char *urgent);
