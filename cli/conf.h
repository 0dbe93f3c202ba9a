/*
 * conf.h - where the parent is and who we are: the environment first, then
 * ~/.config/inari/inarictl.json (0600). A stored credential is only ever used with the address it
 * was stored for.
 */
#pragma once

#include "base/err.h"

struct conf {
    char *url;     /* all heap, NULL: not known */
    char *ca_file; /* INARI_CA or --ca */
    char *ca_pem;  /* stored */
    char *pin;
    char *token, *cookie; /* secrets */
    char *user;
};

void conf_clear(struct conf *c);
/* url, ca_file, pin: from the command line, may be NULL.  ERR_STORAGE, ERR_MALFORMED: the file is
 * there but no good. */
MUST_USE enum err_code conf_load(struct conf *c, const char *url, const char *ca_file,
                                 const char *pin, struct err *e);
MUST_USE enum err_code conf_save(const struct conf *c, struct err *e);
/* Forget stored credentials (address and certificate stay). */
MUST_USE enum err_code conf_forget(struct conf *c, struct err *e);
