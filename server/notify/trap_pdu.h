/* trap_pdu.h - an SNMP notification as docs/mib/INARI-MIB.txt describes it. */
#pragma once

#include "notify/notify.h"

#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

enum { TRAP_ROOT_MAX = 30 };
struct trap_name {
    oid arc[TRAP_ROOT_MAX + 4]; /* room for what stands below the root */
    size_t n;
};
/* false: numbers and dots are not what it is. */
MUST_USE bool trap_pdu_root(const char *text, struct trap_name *ret);
/* Of one entry of t->traps; objects in the order of the MIB.  NULL: no memory. */
netsnmp_pdu *trap_pdu_make(const struct notify_traps *t, const struct trap_name *root,
                           const json_t *trap);
