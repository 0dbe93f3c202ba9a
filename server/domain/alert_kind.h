/*
 * alert_kind.h - what an alert rule can be about: the words, what their parameters may be, and what
 * is said of an alert in both languages.  The SQL that sees it is store/alert_seen.h.  Threads:
 * any; pure.
 */
#pragma once

#include "base/strbuf.h"
#include "json/json_in.h"

enum { ALERT_PARAMS_MAX = 5 };
struct alert_param {
    const char *name; /* NULL: no more */
    int64_t min, max, fallback;
    const char *const *words; /* one of them, the first when it is not said; NULL: a number */
};
struct alert_kind {
    const char *word;
    unsigned trap; /* number of its SNMP notification (docs/mib/INARI-MIB.txt); of a kind with
                      words, of the one before the first word */
    bool devices;  /* its subjects are devices: the scope can be a group or a device */
    const char *threshold; /* the parameter that the value is compared with; NULL: none */
    struct alert_param param[ALERT_PARAMS_MAX];
    const char *label[2]; /* by enum lang */
    const char
        *text[2]; /* "{name}" and members of the alert's detail in braces; NULL: by condition */
};
extern const char *const alert_kind_words[]; /* NULL-terminated, in the order of alert_kinds */
extern const struct alert_kind alert_kinds[];
extern const char *const alert_condition_words[]; /* of a device's status, NULL-terminated */
const struct alert_kind *alert_kind_find(const char *word); /* NULL: there is none */

/* given (may be NULL) with what is not said filled in; new reference.  ERR_INVALID names the member
 * below at. */
MUST_USE enum err_code alert_kind_params(const struct alert_kind *k, const json_t *given,
                                         const char *at, json_t **ret, struct err *e);
/* Number of the SNMP notification of such an alert: each condition and each figure has its own.  0:
 * no such kind. */
unsigned alert_kind_trap(const char *kind, const json_t *params);
/* The name of a rule's kind, for people. */
const char *alert_kind_label(const char *kind, const json_t *params, enum lang lang);
/* One line about an alert; members name, value, kind, detail are looked at.  Nothing of it is
 * longer than 700 bytes, and no control character is in it. */
void alert_kind_text(const json_t *alert, enum lang lang, struct strbuf *out);
