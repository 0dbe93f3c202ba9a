/* draft_private.h - what reading and editing drafts have in common. */
#pragma once

#include "domain/draft.h"

enum { DRAFT_ARENA = 256 * 1024 * 1024 };

struct preview {
    json_t *leaves, *after, *conflicts, *devices; /* owned */
    const json_t *before;                         /* borrowed from the arena */
};

/* What publishing the draft now would do; its values win over colleagues' here, the publication
 * decides.  The caller clears p in any case. */
MUST_USE enum err_code draft_preview(struct db *db, const struct draft_row *draft, struct arena *a,
                                     bool plans, enum lang lang, struct findings *f,
                                     struct preview *p, struct err *e);
void draft_preview_clear(struct preview *p);
