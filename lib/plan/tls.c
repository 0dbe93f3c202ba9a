/* TLS: Postfix ends it; settings name files that are on the device already (P07). */
#include "base/clock.h"
#include "plan/plan_private.h"

#include <stdio.h>
#include <strings.h>

static void both(struct plan_builder *b, const char *inbound, const char *outbound,
                 const char *value)
{
    plan_param(b, inbound, "%s", value);
    plan_param(b, outbound, "%s", value);
}

void plan_add_tls(struct plan_builder *b)
{
    const char *protocols =
        strcmp(plan_str(b, "smtp_tls.min_protocol"), "TLSv1.3") == 0 ? ">=TLSv1.3" : ">=TLSv1.2";
    const char *ciphers = plan_str(b, "smtp_tls.ciphers");
    const char *log = plan_bool(b, "smtp_tls.log") ? "1" : "0";

    both(b, "smtpd_tls_protocols", "smtp_tls_protocols", protocols);
    both(b, "smtpd_tls_mandatory_protocols", "smtp_tls_mandatory_protocols", protocols);
    both(b, "smtpd_tls_ciphers", "smtp_tls_ciphers", ciphers);
    both(b, "smtpd_tls_mandatory_ciphers", "smtp_tls_mandatory_ciphers", ciphers);
    both(b, "smtpd_tls_loglevel", "smtp_tls_loglevel", log);
    plan_param(b, "smtpd_tls_auth_only", "%s", "yes");
}

static const struct plan_file_fact *file_fact(const struct plan_facts *f, const char *path)
{
    for (size_t i = 0; i < f->n_files; i++) {
        if (strcmp(f->files[i].path, path) == 0)
            return &f->files[i];
    }
    return NULL;
}

/* A file a setting names: readable, and what it should be. */
static const struct plan_file_fact *check_file(struct plan_builder *b, const char *key,
                                               bool key_file)
{
    const char *path = plan_str(b, key);
    const struct plan_file_fact *x = path[0] == '\0' ? NULL : file_fact(b->facts, path);

    if (x == NULL)
        return NULL;
    if (!x->readable)
        (void)finding_add(b->f, F_P07_UNREADABLE, plan_at(b, key, NULL), path, NULL, NULL, NULL);
    else if (key_file ? !x->is_key : !x->is_cert)
        (void)finding_add(b->f, key_file ? F_P07_NOT_A_KEY : F_P07_NOT_A_CERTIFICATE,
                          plan_at(b, key, NULL), path, NULL, NULL, NULL);
    return x;
}

/* --- when and for whom a certificate holds --- */

enum { SOON_DAYS = 30 };
#define DAY_MS (INT64_C(24) * 3600 * 1000)

static void day_text(int64_t ms, char out[CLOCK_TEXT_SIZE])
{
    clock_format(ms, out);
    out[strcspn(out, "T")] = '\0';
}

/* A certificate Postfix runs with already does not become an obstacle for other changes when its
 * time is over: that error can be forced, so the device bears it.  A new one is refused. */
static void out_of_date(struct plan_builder *b, enum finding_id id, const char *key,
                        const struct plan_file_fact *x, const char *day)
{
    struct finding *f = finding_add(b->f, id, plan_at(b, key, NULL), x->path, day, NULL, NULL);

    if (f != NULL)
        f->forceable = x->in_use;
}

static void check_time(struct plan_builder *b, const char *key, const struct plan_file_fact *x)
{
    int64_t now = b->facts->now_ms;
    char day[CLOCK_TEXT_SIZE];

    if (now == 0)
        return;
    if (x->not_before_ms > now) {
        day_text(x->not_before_ms, day);
        out_of_date(b, F_P07_NOT_YET, key, x, day);
    }
    if (x->not_after_ms == 0)
        return;
    day_text(x->not_after_ms, day);
    if (x->not_after_ms <= now)
        out_of_date(b, F_P07_EXPIRED, key, x, day);
    else if (x->not_after_ms - now <= SOON_DAYS * DAY_MS)
        (void)finding_warn(b->f, F_P07_EXPIRES, plan_at(b, key, NULL), x->path, day, NULL, NULL);
}

bool plan_cert_covers(const char *pattern, const char *name)
{
    const char *rest;

    if (strncmp(pattern, "*.", 2) != 0)
        return strcasecmp(pattern, name) == 0;
    rest = strchr(name, '.'); /* RFC 6125 6.4.3: the star is one whole label, the first */
    return rest != NULL && rest != name && strchr(pattern + 2, '.') != NULL &&
           strcasecmp(pattern + 1, rest) == 0;
}

static void check_names(struct plan_builder *b, const char *key, const struct plan_file_fact *x)
{
    const char *own = plan_str(b, "smtp.hostname");
    char list[FINDING_ARG_MAX] = "";
    size_t used = 0;

    if (own[0] == '\0')
        own = b->facts->hostname == NULL ? "" : b->facts->hostname;
    if (own[0] == '\0' || x->n_names == 0)
        return;
    for (size_t i = 0; i < x->n_names; i++) {
        if (plan_cert_covers(x->names[i], own))
            return;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ",
                                     x->names[i]);
    }
    (void)finding_warn(b->f, F_P07_NAME, plan_at(b, key, NULL), x->path, list, own, NULL);
}

static void check_pair(struct plan_builder *b, const char *const pair[2])
{
    const struct plan_file_fact *cert = check_file(b, pair[0], false);
    const struct plan_file_fact *key = check_file(b, pair[1], true);

    if (cert == NULL || !cert->readable || !cert->is_cert)
        return;
    check_time(b, pair[0], cert);
    check_names(b, pair[0], cert);
    if (key != NULL && key->readable && key->is_key && !key->key_matches)
        (void)finding_add(b->f, F_P07_MISMATCH, plan_at(b, pair[1], NULL), plan_str(b, pair[1]),
                          plan_str(b, pair[0]), NULL, NULL);
}

void plan_check_tls(struct plan_builder *b)
{
    static const char *const pair[2] = {"smtp_tls.cert_file", "smtp_tls.key_file"};
    const char *inbound = plan_str(b, "smtp_tls.inbound");

    check_pair(b, pair);
    (void)check_file(b, "smtp_tls.ca_file", false);
    for (size_t i = 0; i < COUNT_OF(pair); i++) {
        if (plan_str(b, pair[i])[0] == '\0' &&
            (strcmp(inbound, "none") != 0 || plan_str(b, pair[1 - i])[0] != '\0'))
            (void)finding_add(b->f, F_P07_MISSING, plan_at(b, pair[i], NULL), pair[i], NULL, NULL,
                              NULL);
    }
    if (strcmp(plan_str(b, "smtp_tls.outbound"), "verify") == 0 &&
        plan_str(b, "smtp_tls.ca_file")[0] == '\0')
        (void)finding_add(b->f, F_P07_MISSING, plan_at(b, "smtp_tls.ca_file", NULL),
                          "smtp_tls.ca_file", NULL, NULL, NULL);
}
