/* stream_private.h - the listener's side of stream.h.  Lock order: libmicrohttpd's response, the list of streams, a stream,
 * libmicrohttpd's connections. */
#pragma once

#include "http/http_private.h"
#include "http/stream.h"

/* A response that sends s on c's connection; takes the answer's reference, also when it fails (NULL). */
struct MHD_Response *stream_response(struct call *c, struct stream *s);
/* Every stream says its last word and ends; none begins any more. */
void streams_close(void);
void streams_open(void);
/* Ends those whose client has left; the reaper's, a few times a second. */
void streams_hang_up(void);
/* Connections that are suspended for want of something to send. */
int streams_suspended(void);
