/*
 * operate.h - what inarid does for whoever may run it on its own host, beside the server or without it.
 * Each opens the database, does its work, says on stderr what failed, and gives the exit status of the program.
 */
#pragma once

#include "base/err.h"
#include "domain/app.h"
#include "settings.h"

struct new_epoch { /* an order signed with the root key; all borrowed */
    const char *reason, *root_key /* NULL: <state>/root.key.pem */, *passphrase_file /* NULL: standard input */;
    bool keep;            /* new-epoch */
    bool receipt, stolen; /* rotate-key */
};

int operate_complain(const struct err *e); /* "inarid: <message>"; EXIT_FAILURE */
int operate_migrate(const struct inarid_settings *set);
/* Prints the new password of account "admin", once. */
int operate_reset_admin(const struct inarid_settings *set);
int operate_may_remove(const struct inarid_settings *set, bool force);
/* Sets app->{fleet_id,epoch} from the database.  ERR_UNAVAILABLE: no parent has started on it yet; so it is asked before
 * anything of the running parent's (certificate, pins) is touched that only its first start may make. */
MUST_USE enum err_code operate_fleet(const struct inarid_settings *set, struct app *app, struct err *e);
/* Prints a join string for one child, good for ten minutes; in the audit log as any enrolment token.
 * app: {state_dir,addresses,tls_pins,fleet_id} are set. */
int operate_make_join(const struct inarid_settings *set, struct app *app);
/* A new epoch, signed by the root key (domain/epoch.h).  app: {state_dir,tls_pins} are set. */
int operate_new_epoch(const struct inarid_settings *set, struct app *app, const struct new_epoch *n);
/* A new bundle key, signed into the next trust document by the root key (domain/trust.h).  app as above. */
int operate_rotate_key(const struct inarid_settings *set, struct app *app, const struct new_epoch *n);
/* Another root key, handed down by the present one in the next trust document.  Prints its passphrase, once, before any
 * device hears of it.  app as above. */
int operate_rotate_root(const struct inarid_settings *set, struct app *app, const struct new_epoch *n);
