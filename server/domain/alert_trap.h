/*
 * alert_trap.h - a notice as SNMP notifications (docs/mib/INARI-MIB.txt): one an alert, each with
 * the number of what it is about.  Threads: any that may wait.
 */
#pragma once

#include "domain/alert_send.h"

/* Below which everything of the MIB stands.  Nobody has assigned a number to this project: this is
 * net-snmp's place for private use (netSnmpPlaypen).  A channel's "root" says another. */
#define ALERT_TRAP_ROOT "1.3.6.1.4.1.8072.9999.9999.4627"
enum {
    ALERT_TRAP_TEST = 98, /* the test button */
    ALERT_TRAP_MORE = 99, /* how many alerts of a notice were not sent one by one */
    ALERT_TRAPS_MAX = 100 /* of a notice */
};
/* secrets: of the channel. */
MUST_USE enum err_code alert_trap_send(const struct app *app, const struct alert_notice *n,
                                       const json_t *secrets, const struct notify_run *run,
                                       struct err *e);
