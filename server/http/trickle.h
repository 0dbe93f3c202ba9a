/*
 * trickle.h - a peer that sends its TLS records byte by byte wakes its I/O thread a few times a record, not once a byte.
 * Every wake-up costs a look at each connection of the thread (poll mode), so a thousand such peers would cost as much as
 * thousands of requests. The kernel is told how many bytes there must be before a connection counts as readable
 * (SO_RCVLOWAT): the head of a record, then what is missing of it. The end of a connection and its deadline wake as before.
 * Threads: any; a connection belongs to one of them at a time.
 */
#pragma once

#include <gnutls/gnutls.h>

/* Once, before the first connection.  Without memory for it connections work as without this file. */
void trickle_start(void);
/* A connection that has just come, not read from yet. */
void trickle_watch(gnutls_session_t session, int fd);
