/* Signing in at the relayhost (P15).  The password itself never comes here: settings name its
 * sealed box, and so does the table, until the device that may open it writes the file. */
#include "plan/plan_private.h"

bool plan_has_auth(const struct plan_builder *b)
{
    return plan_str(b, "smtp.relayhost_user")[0] != '\0' &&
           catalog_is_sealed(plan_str(b, "smtp.relayhost_password"));
}

/* Postfix asks for the next hop as relayhost has it. */
static void password_table(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(16 * KIB);
    struct slice hops = slice_of(plan_str(b, "smtp.relayhost"));

    while (hops.n > 0) {
        struct slice hop = slice_trim(slice_cut(&hops, ','));
        if (hop.n > 0)
            strbuf_printf(&s, "%.*s %s:%s\n", (int)hop.n, hop.p, plan_str(b, "smtp.relayhost_user"),
                          plan_str(b, "smtp.relayhost_password"));
    }
    plan_param(b, "smtp_sasl_password_maps", "%s",
               plan_table(b, "relayhost_password", "texthash", &s));
    if (!b->oom)
        b->tables[b->n_tables - 1].secret = true;
}

void plan_add_auth(struct plan_builder *b)
{
    if (!plan_has_auth(b))
        return;
    password_table(b);
    plan_param(b, "smtp_sasl_auth_enable", "%s", "yes");
    plan_param(b, "smtp_sasl_type", "%s", "cyrus");
    plan_param(b, "smtp_sasl_path", "%s", "");
    plan_param(b, "smtp_sender_dependent_authentication", "%s", "no");
    /* Without TLS nothing that could be read goes out, whatever else were wrong; the level of P15
     * is what keeps it from coming to that. */
    plan_param(b, "smtp_sasl_security_options", "%s", "noplaintext, noanonymous");
    plan_param(b, "smtp_sasl_tls_security_options", "%s", "noanonymous");
    plan_param(b, "smtp_sasl_tls_verified_security_options", "%s", "noanonymous");
    /* What works with a name and a password alone: a server that offers GSSAPI first is no
     * obstacle. */
    plan_param(b, "smtp_sasl_mechanism_filter", "%s",
               "plain, login, cram-md5, scram-sha-1, scram-sha-256");
}

static void incomplete(struct plan_builder *b, const char *set, const char *missing)
{
    (void)finding_add(b->f, F_P15_INCOMPLETE, plan_at(b, missing, NULL), set, missing, NULL, NULL);
}

void plan_check_auth(struct plan_builder *b)
{
    static const char user[] = "smtp.relayhost_user", password[] = "smtp.relayhost_password",
                      relayhost[] = "smtp.relayhost";
    bool has_user = plan_str(b, user)[0] != '\0', has_password = plan_str(b, password)[0] != '\0';

    if (has_user && !has_password)
        incomplete(b, user, password);
    if (has_password && !has_user)
        incomplete(b, password, user);
    if ((has_user || has_password) && plan_str(b, relayhost)[0] == '\0')
        incomplete(b, has_user ? user : password, relayhost);
    if (strchr(plan_str(b, user), ':') != NULL) /* the file has user:password */
        (void)finding_add(b->f, F_V_CHARACTER, plan_at(b, user, NULL), user, ":", NULL, NULL);
}
