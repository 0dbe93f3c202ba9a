/*
 * preset.h - named sets of values for one layer (api/presets.json): what a device in a known place of a topology needs.
 * A preset only proposes: its values go through a draft like any others.
 */
#pragma once

#include "base/err.h"
#include "catalog/catalog.h"

/* Array for GET /api/v1/presets, texts in one language: {"name","label","help","inputs":[{"name","label"}],"settings"};
 * new reference, NULL without memory. */
json_t *preset_list(enum lang lang);

/* The preset's settings with each {input} replaced by the text inputs (borrowed object) has for it; *ret is a new
 * reference.  preset: one of preset_list().  ERR_INVALID names the input that is missing, empty or not known, at
 * "/inputs/<name>"; ERR_NO_MEMORY.  Values are not checked: the draft does that. */
MUST_USE enum err_code preset_settings(const json_t *preset, const json_t *inputs, json_t **ret,
                                       struct err *e);
