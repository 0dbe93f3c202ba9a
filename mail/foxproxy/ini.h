/*
 * ini.h - foxproxy.ini: written by the device's helper from the planner's rendering, readable by
 * people, read strictly. Lines are "[section]", "key = value", blank, or begin with # (a value may
 * hold one).  An unknown section or key, a bad value, a key or section given twice that may stand
 * once, and what a section needs and has not, are faults with their line. Absent sections are
 * sources that are off.  docs/internals/foxproxy.md lists every key.
 */
#pragma once

#include "base/strbuf.h"
#include "foxproxy/addr.h"
#include "reputation/reputation_conf.h"

enum {
    INI_LISTEN_MAX = 16,
    INI_BALANCERS_MAX = 256,
    INI_REPLY_MAX = 256,
    INI_FAULTS_MAX = 50,
    INI_FILE_MAX = 256 * 1024
};

enum ini_mode { INI_OFF, INI_LOG, INI_ON };

/* What a source says to whom it refuses, without the end that foxproxy puts there. */
struct ini_reply {
    int code;                 /* 554 or 421: what RFC 5321 allows at the greeting */
    char status[8];           /* "5.7.1" */
    char text[INI_REPLY_MAX]; /* ASCII; "" is the text of the program */
};

struct ini {
    char digest[65]; /* "" when the file names none */
    struct addr_port listen[INI_LISTEN_MAX];
    size_t listens;
    struct addr_port backend;
    char hostname[256];
    int64_t max_sessions;
    int64_t connect_timeout_ms;
    int64_t idle_timeout_s;
    enum lang language; /* of what is said to who operates it: a reply is ASCII */
    struct addr_net balancer[INI_BALANCERS_MAX];
    size_t balancers;
    enum ini_mode approved, blocked;
    struct ini_reply blocked_reply;
    enum ini_mode reputation;
    struct reputation_conf rep; /* without zones while it is off */
};

struct ini_faults {
    struct ini_fault {
        unsigned line; /* 0: of the file as a whole */
        struct err e;
    } v[INI_FAULTS_MAX];
    size_t n;
};

/* Read a file into *ret.  ERR_OK: *ret is set.  ERR_INVALID: f has what is wrong, e the first of
 * it; ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_STORAGE, ERR_NO_MEMORY: e.  *ret is untouched then.  ret is
 * a struct of its own: large, no pointers. */
MUST_USE enum err_code ini_load(const char *path, struct ini *ret, struct ini_faults *f,
                                struct err *e);
/* The same from text. */
MUST_USE enum err_code ini_parse(struct slice text, struct ini *ret, struct ini_faults *f,
                                 struct err *e);
bool ini_is_balancer(const struct ini *ini, const struct iplist_addr *a);
const char *ini_mode_name(enum ini_mode m);
