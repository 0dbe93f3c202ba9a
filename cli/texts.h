/*
 * texts.h - every text inarictl prints, in both languages (texts.def is the table).
 * The two texts of a row take the same arguments in the same order (tests/unit/cli checks it).
 */
#pragma once

#include "base/err.h"

enum text {
#define X(id, en, ja) id,
#include "texts.def"
#undef X
    TEXT_COUNT
};

const char *text_get(enum text id, enum lang lang);
/* From --lang, LC_ALL, LC_MESSAGES or LANG: "ja..." is Japanese, anything else English. */
enum lang text_lang(const char *wanted);
