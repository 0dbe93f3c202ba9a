/*
 * scrub.h - take secrets out of text that leaves the host: configuration, logs, state.  Errs on the side of taking too
 * much.  Pure; threads: any.
 */
#pragma once

#include "base/strbuf.h"

/* Append text to out, without: values of names that speak of a password, secret, token, key or credential
 * ("name = value", "name: value", "name":"value"); user:password in addresses ("://u:p@", "inline:{...}", "static:u:p");
 * PEM private keys; our own tokens (inari_..., ij_..., inari1....), bearer tokens and JWTs.  What was taken reads
 * "[removed]". */
void scrub(struct slice text, struct strbuf *out);
