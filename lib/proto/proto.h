/*
 * proto.h - the words parent and child share (docs/internals/wire.md is the specification).
 */
#pragma once

#include "jose/jose.h"

/* typ of the protected header of each signed document */
#define PROTO_TYP_ENROL "inari-enrol+jws"      /* child -> parent, by the new device key */
#define PROTO_TYP_RECEIPT "inari-receipt+jws"  /* parent -> child, by the receipt key */
#define PROTO_TYP_TRUST "inari-trust+jws"      /* trust document n, by the root key */
#define PROTO_TYP_ROOT "inari-root+jws"        /* inside a trust document, compact, by the root key before */
#define PROTO_TYP_BUNDLE "inari-bundle+jws"    /* parent -> child, by a bundle key */
#define PROTO_TYP_STATUS "inari-status+jws"    /* child -> parent, by the device key */
#define PROTO_TYP_PROPOSAL "inari-proposal+jws"/* child -> parent, by the device key */
#define PROTO_TYP_COMMAND "inari-command+jws"  /* parent -> child, compact, by a bundle key */
#define PROTO_TYP_RESULT "inari-result+jws"    /* child -> parent, by the device key */
#define PROTO_TYP_FRESH "inari-fresh+jws"      /* parent -> child, compact, by a bundle key */
#define PROTO_TYP_LISTS "inari-lists+jws"      /* parent -> child, by a bundle key */
#define PROTO_TYP_NOTICE "inari-notice+jws"    /* parent -> anybody, by a bundle key */
#define PROTO_TYP_CLIENT "inari-client+jwt"    /* client assertion, compact, by the device key */
#define PROTO_TYP_KEY "inari-key+jws"          /* child -> parent, by the new device key it offers */
#define PROTO_TYP_PROOF "inari-proof+jwt"      /* key proof of one call, compact, by the device key */
#define PROTO_TYP_ACCESS "inari-at+jwt"        /* access token, compact, HS256 */

#define PROTO_H_HAVE "Inari-Have"
#define PROTO_H_BOOT "Inari-Boot"
#define PROTO_H_SEQ "Inari-Seq"
#define PROTO_H_MACHINE "Inari-Machine"
#define PROTO_H_STATUS "Inari-Status"
#define PROTO_H_WANT_FRESH "Inari-Want-Fresh"
#define PROTO_H_API "Inari-Api"
#define PROTO_H_NEXT_POLL "Inari-Next-Poll"
#define PROTO_H_REPORT "Inari-Report"
#define PROTO_H_FIGURES "Inari-Figures" /* for how many seconds figures are wanted every minute */
#define PROTO_H_FRESH "Inari-Fresh"
#define PROTO_H_NOTICE "Inari-Notice"   /* which notice is the newest (its member "n"); absent: 0 */
/* How the answering parent is, when it is not well. */
#define PROTO_H_PARENT "Inari-Parent"
#define PROTO_PARENT_FENCED "fenced" /* it may have lost something: send what you keep of it */
#define PROTO_PARENT_STALE "stale"   /* no way to its database now; another parent may have one */
#define PROTO_H_TRUST "Inari-Trust"
/* Which lists of addresses: of the child, those it knows of; of the parent, those it would give. */
#define PROTO_H_LISTS "Inari-Lists"
#define PROTO_H_COMMANDS "Inari-Commands"
#define PROTO_H_REQUEST_ID "Inari-Request-Id"
#define PROTO_H_PROOF "Inari-Proof"

/* "act" of a proof: what it may be used for, and for nothing else */
#define PROTO_ACT_ENROLMENT "enrolment"
#define PROTO_ACT_LEAVE "leave"
#define PROTO_ACT_ROTATE "rotate-key:" /* and the thumbprint of the new key */

enum {
    PROTO_API = 1,
    PROTO_BUNDLE_MAX = 4 * 1024 * 1024,
    PROTO_STATUS_MAX = 64 * 1024,
    PROTO_PROPOSAL_MAX = 512 * 1024,
    PROTO_ENROL_MAX = 64 * 1024,
    PROTO_KEY_MAX = 8 * 1024,
    PROTO_LISTS_MAX = 16 * 1024,
    PROTO_BLOB_MAX = 128 * 1024 * 1024, /* of a list, packed or not */
    PROTO_TRUST_MAX = 64 * 1024,
    PROTO_DIGEST_SIZE = 65, /* 64 hexadecimal digits and NUL */
};

/* The highest rev a device is believed to have.  Revisions go on above what any device has seen, so a device that could
 * name any number would leave none. */
#define PROTO_REV_MAX (INT64_C(1) << 52)

/* "0.1.0" against "0.2": -1, 0, 1, over the first `parts` numbers (2: a release that speaks the same); a word that is
 * no version counts as 0. */
int proto_version_cmp(const char *a, const char *b, int parts);

/* Do both sides speak this version of the protocol?  ERR_AGENT_TOO_NEW or ERR_AGENT_TOO_OLD, seen from the parent that
 * speaks `parent`; it understands that version and the one before. */
MUST_USE enum err_code proto_api_check(int64_t agent, int64_t parent, struct err *e);

/* The identity of content: SHA-256 over the canonical text of {"sections": sections}, hexadecimal.  The same on
 * both sides, whatever device, revision or key it is signed for.  false without memory. */
MUST_USE bool proto_content_digest(const json_t *sections, char out[PROTO_DIGEST_SIZE]);

/* "inari1.<base64url of JSON>": what an administrator pastes at the child (wire.md, "join string").
 * Secret: holds a one-time token. */
struct proto_join {
    json_t *addresses; /* owned array of strings, "https://host:8445" */
    json_t *pins;      /* owned array of strings, base64url SHA-256 of the TLS SubjectPublicKeyInfo */
    char fleet[37];
    char token[128];
    int64_t expires_ms;
};
void proto_join_clear(struct proto_join *j);
MUST_USE enum err_code proto_join_parse(struct slice text, struct proto_join *ret, struct err *e);
MUST_USE enum err_code proto_join_format(const struct proto_join *j, char **ret, struct err *e); /* heap */
