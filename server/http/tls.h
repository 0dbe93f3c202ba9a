/*
 * tls.h - the listener's certificate: made at first start, replaceable while running, its key pinned.
 * Files below STATE/tls: server.key, server.crt, backup.key (the pinned spare), pins (one base64url SHA-256 of a
 * SubjectPublicKeyInfo a line), active.pem (the pair last accepted, used when the files are refused at a start).
 * A certificate whose key is not in pins is refused with a log line: children would not talk to it (design.md 14).
 * Threads: tls_retrieve() any; the others one thread.  Secrets: no key material is logged or put into errors.
 */
#pragma once

#include "base/err.h"
#include "http/hosts.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

/* TLS 1.3, and 1.2 with forward secrecy and AEAD only (security.md C42). */
#define TLS_PRIORITIES                                                                             \
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+COMP-NULL:+CTYPE-X509:"                                       \
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+ECDHE-ECDSA:+ECDHE-RSA:"                  \
    "+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"                                             \
    "+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP384R1-SHA384:"                \
    "+SIGN-ECDSA-SHA384:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-SHA256:"     \
    "+SIGN-RSA-SHA384:+SIGN-EDDSA-ED25519:%SERVER_PRECEDENCE"

struct tls;

/* crt and key: paths, or NULL for our own pair below state_dir, made when missing.  ERR_STORAGE; ERR_INVALID: the pair
 * does not fit and none was accepted before. */
MUST_USE enum err_code tls_open(const char *state_dir, const char *crt, const char *key,
                                const struct hosts *names, struct tls **ret, struct err *e);
void tls_free(struct tls *t);
DEFINE_CLEANUP(struct tls, tls_free);
/* NULL-terminated; lives as long as t. */
const char *const *tls_pins(const struct tls *t);
/* Look whether the files changed (force: read them anyway) and take them into use, or log why not.  Call every few
 * seconds; also frees certificates that no handshake can still use. */
void tls_refresh(struct tls *t, bool force);
/* When the certificate of the struct tls given last to tls_serve() ends; 0: none is served. */
int64_t tls_end_ms(void);
/* The session ticket key of this process, borrowed. */
const gnutls_datum_t *tls_ticket_key(const struct tls *t);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK2, which has no closure: serves the struct tls given last to tls_serve(). */
void tls_serve(struct tls *t);
int tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs,
                 unsigned *n_certs, gnutls_ocsp_data_st **ocsp, unsigned *n_ocsp, gnutls_privkey_t *key,
                 unsigned *flags);
