/* TLS: Postfix ends it; settings name files that are on the device already (P07). */
#include "plan/plan_private.h"

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

void plan_check_tls(struct plan_builder *b)
{
    static const char *const pair[] = {"smtp_tls.cert_file", "smtp_tls.key_file"};
    const char *inbound = plan_str(b, "smtp_tls.inbound");
    const struct plan_file_fact *cert = check_file(b, "smtp_tls.cert_file", false);
    const struct plan_file_fact *key = check_file(b, "smtp_tls.key_file", true);

    (void)check_file(b, "smtp_tls.ca_file", false);
    for (size_t i = 0; i < COUNT_OF(pair); i++) {
        if (plan_str(b, pair[i])[0] == '\0' &&
            (strcmp(inbound, "none") != 0 || plan_str(b, pair[1 - i])[0] != '\0'))
            (void)finding_add(b->f, F_P07_MISSING, plan_at(b, pair[i], NULL), pair[i], NULL, NULL,
                              NULL);
    }
    if (cert != NULL && key != NULL && cert->readable && key->readable && cert->is_cert &&
        key->is_key && !key->key_matches)
        (void)finding_add(b->f, F_P07_MISMATCH, plan_at(b, pair[1], NULL), plan_str(b, pair[1]),
                          plan_str(b, pair[0]), NULL, NULL);
    if (strcmp(plan_str(b, "smtp_tls.outbound"), "verify") == 0 &&
        plan_str(b, "smtp_tls.ca_file")[0] == '\0')
        (void)finding_add(b->f, F_P07_MISSING, plan_at(b, "smtp_tls.ca_file", NULL),
                          "smtp_tls.ca_file", NULL, NULL, NULL);
}
