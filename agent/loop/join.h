/*
 * join.h - inari-agent join: prove the parent, get an enrolment token, enrol, store who we are.
 * Any failure leaves nothing but the new keys in pending.json; the same command again goes on with
 * them.
 */
#pragma once

#include "common/agent_settings.h"
#include "loop/say.h"

struct join_options {
    const char *join;      /* join string, or NULL */
    const char *join_file; /* file that holds one ("-": stdin) */
    const char *parent;    /* https://host:8445 */
    const char *pin;       /* base64url SHA-256 of its public key */
    const char *user;      /* administrator's name; asked for when needed */
    bool password_stdin;
    const char *name;
    const char *placement; /* edge | inner | NULL */
};

/* Everything: messages to the terminal, exit status. */
int join_run(const struct agent_settings *s, const struct join_options *o);
