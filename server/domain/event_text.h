/* event_text.h - foreign text made fit for a column of the database.  Pure; views of what they are given. */
#pragma once

#include "base/strbuf.h"

/* At most max bytes of valid UTF-8, cut between two characters. */
struct slice event_text_cut(struct slice s, size_t max);
/* Any bytes as text: those that are no UTF-8, and NUL, as \xHH; as much as b takes.  b->no_memory says when there was none. */
void event_text_escape(struct slice s, struct strbuf *b);
/* A line of Postfix that shows a message's subject, up to there ("... header Subject:"); any other one whole. */
struct slice event_text_before_subject(struct slice s);
