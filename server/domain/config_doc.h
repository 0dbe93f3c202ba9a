/*
 * config_doc.h - the configuration as one document: exported with names instead of ids, imported as
 * a draft that is looked at and published like any other.
 *
 * DOCUMENT {"format":"inari.config","version":1,"product","exported_at","pub","content":{
 *   "fleet":{key:value},"groups":{name:{"kind","priority","members":[names],"settings":{}}},
 *   "devices":{name:{key:value}}},"digest":"<sha256 of content, canonical JSON>","left_out":[..]}.
 * Secrets: none is in it; what is left out is listed with the reason.
 */
#pragma once

#include "domain/audit.h"
#include "domain/check.h"

enum { CONFIG_DOC_VERSION = 1, CONFIG_DOC_MAX = 16 * 1024 * 1024 };

/* One snapshot, at any time; new reference. */
MUST_USE enum err_code config_export(struct db *db, enum lang lang, json_t **ret, struct err *e);

extern const char *const config_mode_names[]; /* "merge" "replace", NULL */
enum config_mode { CONFIG_MERGE, CONFIG_REPLACE };

struct config_import {
    const json_t *document;
    const json_t *parts;   /* array of "fleet" "groups" "devices"; NULL: fleet and groups, so that
                              what belongs to one device never gets to another site by accident */
    enum config_mode mode; /* replace: what the document does not say goes, in the chosen parts */
    const char *title;
    const struct actor *by;
    enum lang lang;
    bool dry_run;
    struct findings *f; /* the caller clears it */
};
/* One transaction: checked with catalog and planner, stored as a draft of the caller (or nothing:
 * dry run, or ERR_INVALID with every finding).
 * *ret: the draft with "findings", "devices" and "diff"; new reference. */
MUST_USE enum err_code config_import(struct db *db, const struct config_import *how, json_t **ret,
                                     struct err *e);
