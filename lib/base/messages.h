/* messages.h - the details of errors in Japanese, by their English format string
 * (api/messages.json); for err.c. */
#pragma once

#include <stddef.h>

struct message_text {
    const char *en, *ja; /* formats with the same conversions in the same order */
};
extern const struct message_text message_texts[]; /* in order of en, as strcmp() */
extern const size_t message_texts_n;
