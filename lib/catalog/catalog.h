/*
 * catalog.h - the settings catalog (design.md 5): every setting there is, from api/catalog/<area>.json through
 * cmake/gen_catalog.py.  Checks values, merges layers, explains where a value comes from.
 *
 * A LAYER is a JSON object: setting key -> value.  A list setting's value is an object: row key -> row object (a keyed
 * set; RFC 7396 merge patches then add, change and remove single rows).  In a layer
 *   {"$unset": true}  as a setting's value  = back to the built-in default, whatever lower layers say
 *   {"$remove": true} as a row              = this inherited row is not in force here
 * EFFECTIVE settings are one JSON object with every key of the catalog and no markers: plain values, lists as objects.
 * Layers merge in the order given, later ones win (protocol.md 6.15); a group's place is its priority.
 *
 * Threads: the tables are immutable; all calls are reentrant.
 */
#pragma once

#include "base/finding.h"
#include "json/json_in.h"

enum layer_kind { LAYER_FLEET = 1, LAYER_GROUP = 2, LAYER_DEVICE = 4 };

enum setting_type {
    SET_BOOL, SET_INT, SET_BYTES /* bytes */, SET_DURATION /* whole seconds */, SET_PORT, SET_ENUM,
    SET_TEXT /* one line, printable */, SET_ADDRESS /* IP address */, SET_CIDR, SET_HOST, SET_DOMAIN,
    SET_HOSTPORT /* "[host]:port", "host", "[1.2.3.4]:25" : a next hop in Postfix's words, or empty */,
    SET_PATH /* absolute path of a file already on the device */,
    SET_MAIL /* "user@domain", or "@domain" for all of it */,
    SET_SECRET /* write-only: in every layer and plan only CATALOG_SEALED and the id of a sealed box, or empty */, SET_LIST
};

enum setting_apply { APPLY_RELOAD, APPLY_RESTART };

struct setting_field { /* a column of a list, or the value itself */
    const char *name;
    enum setting_type type;
    bool required, optional_empty;
    bool note;                    /* SET_TEXT for people only: any printable UTF-8, never written to a daemon's file */
    int64_t min, max;             /* numbers; for text the length; SET_HOSTPORT: how many, separated by ", " */
    const char *const *names;     /* SET_ENUM, NULL-terminated */
    const char *const *name_labels[2]; /* beside names, by enum lang; NULL when it is no enum */
    const char *label[2];         /* a list's key and members; the value itself has the setting's label */
    const char *default_json;     /* a list's member: what a row without it means; NULL: nothing */
};

struct setting {
    const char *key;              /* "smtp.message_size_limit" */
    const char *area;             /* "smtp_routing" */
    const char *area_label[2];
    struct setting_field value;   /* type SET_LIST: see key_field and fields */
    struct setting_field key_field; /* what a list's row key is */
    const struct setting_field *fields; /* a list row's members */
    size_t n_fields, max_rows;
    unsigned scope;               /* bits of layer_kind */
    const char *default_json;     /* JSON text */
    enum setting_apply apply;
    const char *daemon;           /* "postfix" */
    const char *param;            /* main.cf parameter it is, or "" when it is derived */
    const char *needs;            /* "postfix>=3.4", or "" */
    const char *facts;            /* ids of facts.md, blank-separated */
    bool advanced;
    const char *label[2], *help[2]; /* by enum lang */
    const char *const *enum_labels[2]; /* beside value.names; may be NULL */
};

size_t catalog_count(void);
const struct setting *catalog_at(size_t i);            /* in key order */
const struct setting *catalog_find(const char *key);   /* NULL: no such setting */
json_t *catalog_json(enum lang lang);                  /* array for GET /api/v1/catalog; new reference */
json_t *catalog_defaults(void);                        /* every key with its default; new reference */

/* What stands for a secret wherever settings are kept or shown: these words and the UUID of its box (domain/secret.h).  It
 * says nothing of the text, not even whether two are the same. */
#define CATALOG_SEALED "sealed:"
enum { CATALOG_SEALED_SIZE = sizeof CATALOG_SEALED - 1 + 36 + 1 /* with NUL */ };
bool catalog_is_sealed(const char *text);
/* A secret as somebody gives it: length and characters, so that it fits in one line of a daemon's file.  false: a finding
 * was added, which never holds the text. */
MUST_USE bool catalog_secret_ok(const struct setting *s, struct slice text, const char *pointer, struct findings *f);

/* Check one value (markers allowed) or a whole layer; every fault becomes a finding at "<at>/<key>/...".
 * Values are also NORMALISED in place where the type says so (lower-case domains, canonical CIDRs). */
void catalog_check_value(const struct setting *s, json_t *value, const char *at, struct findings *f);
void catalog_check_layer(json_t *layer, enum layer_kind kind, const char *at, struct findings *f);

/* The value of a setting as a daemon's file has it ("5m", "yes"), not checked yet; NULL: it cannot be said in the catalog's
 * words (a list never can).  New reference. */
json_t *catalog_read_text(const struct setting *s, const char *text);

struct catalog_layer {
    enum layer_kind kind;
    const char *id;   /* group or device id; "" for the fleet */
    const char *name; /* for people */
    const json_t *settings; /* borrowed layer object; NULL: empty */
    int64_t priority; /* of a group; for explain */
};
/* Merge built-in defaults and the layers, lowest first.  *ret: new reference.  Only without memory does it fail. */
MUST_USE enum err_code catalog_merge(const struct catalog_layer *layers, size_t n, json_t **ret, struct err *e);
/* For one key: array, lowest first, of every layer that says something:
 * {"layer":"builtin|fleet|group|device","id","name","value","wins":bool}, a group with "priority"; for lists per row under "rows". */
MUST_USE json_t *catalog_explain(const struct setting *s, const struct catalog_layer *layers, size_t n);
/* Two groups of equal priority (that is the caller's matter) that set the same leaf differently: findings. */
void catalog_group_conflicts(const struct catalog_layer *a, const struct catalog_layer *b, struct findings *f);
