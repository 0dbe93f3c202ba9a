/*
 * session.h - a client on its way to the backend, and the bytes between the two.  Private to
 * foxproxy. Life: HEADER (a balancer's PROXY header is awaited) -> ASK (reputation is asked) ->
 * CONNECT -> OPEN -> dead; any of the first three may end in a reply instead (session_refuse).  No
 * bytes of a session are held in this program but those that one side would not take at once.
 */
#pragma once

#include "foxproxy/loop.h"

enum session_state { SESSION_HEADER, SESSION_ASK, SESSION_CONNECT, SESSION_OPEN, SESSION_DEAD };

struct end {
    enum handle handle;
    int fd;
    bool readable, writable; /* as epoll said last and no call has denied since */
    bool hup;                /* an end of its bytes was announced: read until it is seen */
    bool eof;                /* it was seen */
    bool shut;               /* nothing will be written to it any more */
    bool slow;               /* has not taken all at once before: smaller pieces */
    uint32_t kept_n, kept_at;
    char *kept; /* read from it, not yet taken by the other side */
};

struct session {
    struct end client, backend;
    enum session_state state;
    enum session_list list;
    bool spoke;   /* the backend has said something */
    bool waiting; /* is in loop.again */
    bool counted; /* in front.backend */
    bool proxied; /* src and dst are a balancer's claim */
    struct addr_port src, dst;
    int64_t since_ms; /* of the queue it is in */
    struct session *prev, *next;
    struct session *again;
    struct loop *loop;          /* whose */
    struct reputation_ask *ask; /* in SESSION_ASK */
};

/* Begin with an accepted connection; fd is taken over.  header: a PROXY header has to come first.
 */
void session_new(struct loop *l, int fd, const struct addr_port *peer, bool header);
/* Begin in SESSION_ASK, or go there.  NULL: there was no memory, and the client has been told. */
struct session *session_asking(struct loop *l, struct session *s, int fd,
                               const struct addr_port *peer);
/* Its address may pass: on to the backend. */
void session_connect(struct loop *l, struct session *s);
void session_event(struct loop *l, struct end *end, uint32_t events);
void session_end(struct loop *l, struct session *s);
/* End it with a reply to the client, who has not been told anything. */
void session_refuse(struct loop *l, struct session *s, enum reply_id why);
void session_into(struct loop *l, struct session *s, enum session_list list);
void session_timers(struct loop *l);
int64_t session_next_ms(const struct loop *l);
void session_free_dead(struct loop *l);

/* The same with this reply. */
void session_refuse_with(struct loop *l, struct session *s, enum reply_id why,
                         const struct reply *r);

/* accept.c: decide about s (or, NULL, about the new connection fd, which is taken over) by the
 * address. */
void accept_decide(struct loop *l, struct session *s, int fd, const struct addr_port *peer);

/* reputation.c: what DNS lists say about it; it goes on now, or when they have answered.  s and fd
 * as above. */
void reputation_decide_on(struct loop *l, struct session *s, int fd, const struct addr_port *peer);

/* flow.c: carry what can be carried. */
void flow_run(struct loop *l, struct session *s);
void flow_again(struct loop *l);
