/*
 * plan_private.h - between the files of lib/plan, and for tests that break a finished plan on
 * purpose.
 */
#pragma once

#include "base/strbuf.h"
#include "catalog/ipnet.h"
#include "plan/plan.h"

enum {
    PLAN_PARAMS_MAX = 256,
    PLAN_SERVICES_MAX = 16,
    PLAN_OPTIONS_MAX = 64,
    PLAN_TABLES_MAX = 16,
    PLAN_LISTENERS_MAX = 8
};
#define PLAN_TABLE_BYTES_MAX (64 * MIB) /* 100,000 rows of the longest names, twice */

/* A plan while it is made.  All memory is the arena's; oom says that a step was skipped for lack of
 * it. */
struct plan_builder {
    const json_t *settings; /* borrowed */
    json_t *defaults; /* of the keys that settings lack, as far as they were asked for */
    const struct plan_facts *facts;
    struct arena *a;
    struct findings *f;
    const char *digest; /* hexadecimal, or "preview" */
    const char *dir;    /* "inari/<digest16>" */
    const char *mail_path;
    const char *probe_domain; /* "" while the device is unknown */
    bool plain, front, oom;
    struct plan_param params[PLAN_PARAMS_MAX];
    struct plan_service services[PLAN_SERVICES_MAX];
    struct plan_table tables[PLAN_TABLES_MAX];
    struct plan_listener listeners[PLAN_LISTENERS_MAX];
    const char *ini; /* path "front": foxproxy.ini */
    size_t n_params, n_services, n_tables, n_listeners;
};

/* --- settings (plan_build.c); a value of the wrong JSON type counts as the default --- */
const json_t *plan_get(const struct plan_builder *b, const char *key);
const char *plan_str(const struct plan_builder *b, const char *key);
int64_t plan_int(const struct plan_builder *b, const char *key);
bool plan_bool(const struct plan_builder *b, const char *key);
/* A list's row keys in byte order, in the arena; rows that are no objects are left out. */
const char **plan_rows(struct plan_builder *b, const char *key, size_t *ret_n);
/* "/settings/<key>" or "/settings/<key>/<row>" in the arena. */
const char *plan_at(struct plan_builder *b, const char *key, const char *row);

/* --- building --- */
void plan_param(struct plan_builder *b, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
struct plan_service *plan_service(struct plan_builder *b, const char *service, const char *type,
                                  const char *maxproc, const char *command);
void plan_option(struct plan_builder *b, struct plan_service *s, const char *name, const char *fmt,
                 ...) PRINTF_LIKE(4, 5);
/* Copies the text.  The value for main.cf: "texthash:${config_directory}/inari/<digest16>/<name>".
 */
const char *plan_table(struct plan_builder *b, const char *name, const char *type,
                       const struct strbuf *content);
/* What a table's value is, without making the table. */
const char *plan_table_ref(struct plan_builder *b, const char *name, const char *type);
void plan_listener(struct plan_builder *b, const char *address, int64_t port, enum plan_role role);

void plan_add_params(struct plan_builder *b);   /* params.c */
void plan_add_tls(struct plan_builder *b);      /* tls.c */
void plan_add_tables(struct plan_builder *b);   /* tables.c */
void plan_add_services(struct plan_builder *b); /* services.c */
void plan_add_auth(struct plan_builder *b);     /* auth.c */
void plan_add_foxproxy(struct plan_builder *b); /* foxproxy.c */
/* Does the host, as far as it is known, have IPv6? */
bool plan_has_ipv6(const struct plan_facts *f);
/* "192.0.2.1:25", "[::]:25" in the arena; NULL without memory. */
const char *plan_address_port(struct plan_builder *b, const char *address, int64_t port);
/* What is never a relay client behind a proxy, whatever is listed: the proxy's own side of the connection, in every
 * spelling. */
#define PLAN_NO_LOOPBACK "!127.0.0.0/8, ![::1]/128, ![::ffff:0:0]/96, "
/* Does this device sign in at its relayhost? */
bool plan_has_auth(const struct plan_builder *b);

/* --- subjects in the log (subject.c) --- */
#define PLAN_SUBJECT_CHECK                                                                         \
    "# only logs: the agent reads subjects from the log\n/^Subject:(.*)/ INFO inari-subject$1\n"
void plan_add_subject(struct plan_builder *b);
/* Does the plan log subjects: asked for, and header_checks is nobody's or ours? */
bool plan_has_subject(const struct plan_builder *b);
/* Which of plan_checks_params are ours on this device, as bits. */
unsigned plan_owned_checks(const struct plan_builder *b);
/* Is number i of them the site's own? */
bool plan_leaves_checks(const struct plan_facts *f, size_t i);
/* A regexp table that is ours, and nothing but the check above. */
bool plan_only_logs(const struct plan_table *t);

/* The transport of a route's "tls" member: "smtp" or one of ours. */
const char *plan_route_transport(const char *tls);

/* --- ownership (owned.c) --- */
extern const char *const plan_owned_services[];
extern const size_t plan_n_owned_services;
/* Every owned parameter name, sorted, in the arena.  auth: those of signing in too; a device that signs in by its own
 * main.cf, as it was found, keeps that until the settings say something about it.  checks: bits of plan_checks_params. */
const char *const *plan_owned(struct arena *a, bool auth, unsigned checks, size_t *ret_n);

/* --- invariants --- */
void plan_check_relay(struct plan_builder *b);   /* P02, P05: relay.c */
void plan_check_ports(struct plan_builder *b);   /* P01: ports.c */
void plan_check_loops(struct plan_builder *b);   /* P06: loops.c */
void plan_check_tls(struct plan_builder *b);     /* P07: tls.c */
void plan_check_limits(struct plan_builder *b);  /* P04, P09: limits.c */
void plan_check_version(struct plan_builder *b); /* P10: version.c */
void plan_check_drift(struct plan_builder *b);   /* P14: drift.c */
void plan_check_auth(struct plan_builder *b);    /* P15: auth.c */
void plan_check_subject(struct plan_builder *b); /* P16: subject.c */
void plan_check_front(struct plan_builder *b);   /* P02, P05, P10, P17 of the sender filter: front.c */
/* P03, P04, P05, P12, P14, P16 on the finished plan, whatever made it. */
void plan_verify(const struct plan *p, struct findings *f);
/* P02 and P13 of the sender filter on the finished plan: verify_front.c */
void plan_verify_front(const struct plan *p, struct findings *f);
/* The row keys of a list, parsed: is their union as wide as everyone (error everyone), or wider than a public /16 or /32
 * (error wide, forceable)?  each, when not NULL, is called for every row: relay.c */
void plan_check_width(struct plan_builder *b, const char *key, enum finding_id everyone, enum finding_id too_wide,
                      void (*each)(struct plan_builder *b, const char *row, const struct ipnet *net));

/* One next hop of a hostport text: host lower-case without brackets, port 25 when none is given.
 * rest moves on. */
struct plan_hop {
    char host[256];
    int64_t port;
    bool is_address;
    bool by_mx; /* a domain without brackets: its MX records are looked up */
    struct ipnet address;
};
bool plan_next_hop(struct slice *rest, struct plan_hop *ret);
/* Does the hop lead to this device (facts: address, name, resolved name; hostname: its own setting
 * or "")? */
bool plan_hop_is_device(const struct plan_hop *hop, const struct plan_facts *facts,
                        const char *hostname);
bool plan_is_device_address(const char *address, const struct plan_facts *facts);
bool plan_is_device_name(const char *name, const struct plan_facts *facts, const char *hostname);
/* What is known of the MX records of a hop by_mx; NULL: nothing. */
const struct plan_mx_fact *plan_mx_of(const struct plan_hop *hop, const struct plan_facts *facts);
/* Does a name of a certificate ("mx1.example.com", "*.example.com") cover a host name? */
bool plan_cert_covers(const char *pattern, const char *name);
