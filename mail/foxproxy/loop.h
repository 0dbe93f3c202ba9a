/*
 * loop.h - one thread, one epoll: accepts, refuses, carries sessions.  Private to foxproxy: front.h
 * is for the others. Nothing in it blocks: no files, no DNS, no lock but for the copy of a pointer.
 */
#pragma once

#include "foxproxy/front.h"
#include "foxproxy/linger.h"

enum { LOOP_BUF = 64 * 1024, LOOP_SLOW_CHUNK = 16 * 1024, LOOP_LINGER_MAX = 8192 };

/* First member of all that epoll points at. */
enum handle { HANDLE_WAKE, HANDLE_LISTENER, HANDLE_CLIENT, HANDLE_BACKEND, HANDLE_REPUTATION };

struct loop_listener {
    enum handle handle;
    struct listener l;
    struct loop_listener *next;
};

/* Sessions in the order in which their time is over: one list for each constant time. */
enum session_list { LIST_HEADER, LIST_ASK, LIST_CONNECT, LIST_OPEN, LIST_HALF, SESSION_LISTS };

struct session;

struct session_queue {
    struct session *first, *last;
};

struct loop {
    struct front *front;
    unsigned index;
    pthread_t thread;
    int ep, wake;
    enum handle wake_handle;
    struct snapshot *snap;
    struct reputation_loop *rep;
    enum handle rep_handle;
    bool rep_ready;
    int64_t rep_at_ms; /* when it has to run */
    struct loop_listener *listeners;
    int64_t accept_again_ms; /* no descriptors: listeners rest until then; 0: they do not */
    struct lingerers linger;
    struct session_queue queue[SESSION_LISTS];
    struct session *again; /* have more to do than one turn's share */
    struct session *dead;  /* freed at the end of the turn: epoll may still point at them */
    int64_t now_ms, wall_ms;
    int64_t log_second;
    unsigned log_lines;
    atomic_int_fast64_t turned_ms;
    atomic_uint_fast64_t seen; /* generation */
    struct loop_counters count;
    char *buf; /* LOOP_BUF, of every session in turn */
};

MUST_USE enum err_code loop_new(struct front *f, unsigned index, struct loop **ret, struct err *e);
void loop_free(struct loop *l);
void *loop_run(void *loop); /* the thread */
void loop_wake(struct loop *l);

/* accept.c */
void accept_ready(struct loop *l, struct loop_listener *at);
/* Decide about a connection whose address is known: fd is taken over. */
void accept_refuse(struct loop *l, int fd, enum reply_id why);
void accept_refuse_with(struct loop *l, int fd, enum reply_id why, const struct reply *r);
/* May one more line about a refused client be logged?  One for each would let anybody fill the
 * disk. */
bool accept_may_log(struct loop *l);
/* Listeners as the snapshot says; those that are gone are emptied first. */
void accept_adopt(struct loop *l);
void accept_leave(struct loop *l); /* all of them, at the end */
void accept_rested(struct loop *l);
