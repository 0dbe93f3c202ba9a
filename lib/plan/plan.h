/*
 * plan.h - the planner (design.md 6): plan(effective settings, facts of the device) -> what Postfix must look like, or
 * the invariants that are broken.  Pure: no I/O, no clock, no randomness.  Linked by parent (draft, publish) and child
 * (before it applies); the same inputs give the same plan on both.
 */
#pragma once

#include "base/arena.h"
#include "catalog/catalog.h"

/* What is known of a device.  Decoded from the "facts" object of wire.md by plan_facts_from_json(); everything may be
 * missing (the parent before a device's first report): a check that needs a missing fact is skipped. */
struct plan_listener_fact { const char *address; int64_t port; const char *owner; /* "postfix", "sshd", ... */ };
struct plan_name_fact { const char *name; const char *const *addresses; size_t n; /* resolved by the child */ };
struct plan_mx_host { int64_t preference; const char *host; const char *const *addresses; size_t n; };
struct plan_mx_fact { /* what a domain's MX records say, as the child's resolver sees them; lowest preference first */
    const char *domain;
    const struct plan_mx_host *hosts; size_t n; /* 0: it has none */
};
struct plan_file_fact {
    const char *path;
    bool readable, is_cert, is_key, key_matches; /* key_matches: with the certificate of the same settings */
    bool in_use;                                 /* Postfix runs with it already */
    int64_t not_before_ms, not_after_ms;         /* certificates; 0 unknown */
    const char *const *names; size_t n_names;    /* certificates: DNS names, "*.example.com" among them */
};
enum { PLAN_CHECKS = 3 };
extern const char *const plan_checks_params[PLAN_CHECKS]; /* header_checks, mime_header_checks, nested_header_checks */
struct plan_facts {
    const char *device_id;     /* NULL: unknown */
    const char *hostname;      /* FQDN */
    const char *placement;     /* "edge" or "inner" */
    int postfix_major, postfix_minor, postfix_patch; /* 0 0 0: unknown */
    int64_t now_ms;            /* wall clock of whoever plans; not in the JSON; 0: no certificate is out of date */
    const char *const *addresses; size_t n_addresses; /* own addresses, loopback included */
    const char *const *proxy_addresses; size_t n_proxy_addresses; /* Postfix's proxy_interfaces: addresses that lead here */
    const char *const *map_types; size_t n_map_types; /* postconf -m */
    const struct plan_listener_fact *listeners; size_t n_listeners;
    const struct plan_name_fact *names; size_t n_names;
    const struct plan_mx_fact *mx; size_t n_mx;
    const struct plan_file_fact *files; size_t n_files;
    bool checks_known;               /* an agent before this fact does not say */
    const char *checks[PLAN_CHECKS]; /* as main.cf has them now; NULL: not there */
    bool reported;                   /* the device has said what is installed */
    const char *foxproxy;            /* version that is installed; NULL: none, or an agent that cannot drive it */
};
/* What a device must be asked for the facts these settings need: host names, domains whose MX counts, files; at most
 * PLAN_WANTED_MAX and PLAN_WANTED_MX_MAX of each, without repetition.  New references. */
enum { PLAN_WANTED_MAX = 64, PLAN_WANTED_MX_MAX = 16 };
void plan_wanted(const json_t *settings, json_t **ret_names, json_t **ret_domains, json_t **ret_files);
MUST_USE enum err_code plan_facts_from_json(const json_t *facts, struct arena *a, struct plan_facts *ret, struct err *e);

/* --- the result --- */
struct plan_param { const char *name, *value; };
struct plan_service { /* one owned master.cf service */
    const char *service; /* "127.0.0.1:10026" or "inari-scan" */
    const char *type;    /* "inet" | "unix" */
    const char *priv, *unpriv, *chroot, *wakeup, *maxproc; /* master.cf words: "-", "n", "y", a number */
    const char *command; /* "smtpd", "smtp", "lmtp": from a fixed set, never pipe, spawn or virtual programs */
    const struct plan_param *options; size_t n_options; /* -o { name = value } */
    bool replaces_smtp;  /* it takes the place of the stock "smtp inet" line */
};
struct plan_table { /* a lookup table of ours, <config_directory>/inari/<digest16>/<name> */
    const char *name;    /* "relay_domains" */
    const char *type;    /* "texthash", "cidr" */
    const char *content; /* whole file; of a secret one with CATALOG_SEALED and an id where each text belongs */
    bool secret;         /* the device puts the texts in; mode 0600 */
};
enum plan_role { ROLE_PUBLIC /* clients */, ROLE_SUBMISSION, ROLE_REINJECT /* 10026 */, ROLE_PROBE /* PROXY v2, loopback */,
                 ROLE_DIGEST /* banner shows the digests */,
                 ROLE_FRONT /* behind foxproxy: PROXY v2 required, loopback */ };
struct plan_listener { const char *address; /* "0.0.0.0", "::", "127.0.0.1" */ int64_t port; enum plan_role role; };

struct plan {
    const struct plan_param *params; size_t n_params;       /* owned main.cf parameters, sorted by name */
    const char *const *owned; size_t n_owned;               /* every parameter name the catalog and planner own, set or not:
                                                               an owned name that is not in params is removed from main.cf */
    const char *const *left; size_t n_left;                 /* the site's own on this device, also where a rendering before
                                                               owned that name: stays as it is */
    const struct plan_service *services; size_t n_services; /* owned services */
    const char *const *owned_services; size_t n_owned_services; /* "name/type" of all we ever own */
    const struct plan_table *tables; size_t n_tables;
    const struct plan_listener *listeners; size_t n_listeners;
    const char *tables_dir;   /* "inari/<first 16 digits of the digest>" below the configuration directory */
    const char *foxproxy;     /* whole foxproxy.ini, no secrets; NULL: not wanted, nothing of it may run or be pointed at.
                                 It binds the ROLE_PUBLIC listeners then, Postfix the ROLE_FRONT one */
    const char *mail_path;    /* "direct" | "plain" | "front" */
    int64_t sink_port;        /* loopback LMTP sink of the agent that receives the test message */
    const char *probe_domain; /* "<device_id>.inari.invalid" */
};

/* settings: effective (every key).  digest: content digest the running instance must show ("" on the parent).
 * *ret is written, in a, when findings_blocking(f) stays 0, else it is NULL: the parent refuses on f->errors unless the
 * change is forced; the child, which gets only signed settings, refuses on findings_blocking(f) alone.
 * Returns ERR_OK also when findings were added; only memory fails. */
MUST_USE enum err_code plan_make(const json_t *settings, const struct plan_facts *facts, const char *digest,
                                 struct arena *a, struct plan **ret, struct findings *f, struct err *e);

/* Whole-fleet rules that no single device shows: P06 circles through a group, P11 placement. */
struct plan_member { const char *device_id, *name; const json_t *settings; const struct plan_facts *facts;
                     const char *const *groups; size_t n_groups; };
void plan_check_fleet(const struct plan_member *members, size_t n, struct findings *f);

/* The plan as JSON, for ?dry_run answers and GET /devices/{id}/plan.  New reference. */
MUST_USE json_t *plan_to_json(const struct plan *p);

/* A cidr table beside main.cf, not below inari/: whether this device takes new mail is no setting and survives every change
 * of them.  The helper writes it (agent/apply/drain.h); empty but for a drained device. */
#define PLAN_DRAIN_TABLE "inari-drain"

/* The fixed ports of the loopback services (docs/settings.md names them). */
enum { PLAN_PORT_REINJECT = 10026, PLAN_PORT_SCAN = 10025, PLAN_PORT_PROBE = 10027, PLAN_PORT_SINK = 10028, PLAN_PORT_DIGEST = 10029 };
