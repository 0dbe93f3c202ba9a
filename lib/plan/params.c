/* The main.cf parameters: those a setting is word for word, and those that follow from the path and
 * the invariants. */
#include "plan/plan_private.h"

/* Settings with a parameter of the same meaning.  An empty text leaves the parameter out: Postfix's
 * own default. */
static void add_plain(struct plan_builder *b)
{
    for (size_t i = 0; i < catalog_count(); i++) {
        const struct setting *s = catalog_at(i);
        if (s->param[0] == '\0' || strcmp(s->daemon, "postfix") != 0)
            continue;
        if (s->value.type == SET_BOOL)
            plan_param(b, s->param, "%s", plan_bool(b, s->key) ? "yes" : "no");
        else if (s->value.type == SET_DURATION)
            plan_param(b, s->param, "%llds", (long long)plan_int(b, s->key));
        else if (s->value.type == SET_INT || s->value.type == SET_BYTES ||
                 s->value.type == SET_PORT)
            plan_param(b, s->param, "%lld", (long long)plan_int(b, s->key));
        else if (plan_str(b, s->key)[0] != '\0')
            plan_param(b, s->param, "%s", plan_str(b, s->key));
    }
}

static void add_fixed(struct plan_builder *b)
{
    static const struct plan_param fixed[] = {
        {"alias_database", ""},
        {"alias_maps", ""},
        {"allow_percent_hack", "no"},
        {"allow_untrusted_routing", "no"},
        {"append_dot_mydomain", "no"},
        {"biff", "no"},
        {"compatibility_level", "3.6"},
        {"default_transport", "smtp"},
        {"enable_long_queue_ids", "yes"},
        {"inet_interfaces", "all"},
        {"inet_protocols", "all"},
        {"local_recipient_maps", ""},
        {"local_transport", "error:5.1.1 this host has no mailboxes"},
        {"mailbox_size_limit", "0"},
        /* syslog only: with maillog_file a broken main.cf can lock master up for good
           (mailpath.md 1.4) */
        {"maillog_file", ""},
        {"mydestination", ""},
        {"myorigin", "$myhostname"},
        {"non_smtpd_milters", ""},
        {"parent_domain_matches_subdomains", ""},
        {"relay_recipient_maps", ""},
        {"relay_transport", "smtp"},
        {"service_throttle_time", "2s"},
        {"smtpd_authorized_xclient_hosts", ""},
        {"smtpd_authorized_xforward_hosts", ""},
        {"smtpd_data_restrictions", "reject_unauth_pipelining"},
        {"smtpd_delay_reject", "yes"},
        {"smtpd_end_of_data_restrictions", ""},
        {"smtpd_etrn_restrictions", "reject"},
        {"smtpd_forbid_bare_newline_exclusions", ""},
        {"smtpd_milters", ""},
        {"smtpd_proxy_filter", ""},
        {"smtpd_relay_before_recipient_restrictions", "yes"},
        {"smtpd_relay_restrictions", "permit_mynetworks, reject_unauth_destination"},
        {"smtpd_sasl_auth_enable", "no"},
        {"smtpd_upstream_proxy_protocol", ""},
        {"swap_bangpath", "no"},
        {"virtual_mailbox_domains", ""},
        {"virtual_mailbox_limit", "0"},
        {"virtual_mailbox_maps", ""},
    };

    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        plan_param(b, fixed[i].name, "%s", fixed[i].value);
}

/* Joins words of a restriction list. */
static void word(struct plan_builder *b, const char **list, const char *w)
{
    const char *next =
        (*list)[0] == '\0' ? arena_strdup(b->a, w) : arena_printf(b->a, "%s, %s", *list, w);

    if (next == NULL)
        b->oom = true;
    else
        *list = next;
}

static void add_restrictions(struct plan_builder *b)
{
    const char *helo = "", *sender = "", *recipient = "";

    /* the site's own clients are judged by who they are; permit ends only the list it stands in */
    word(b, &helo, "permit_mynetworks");
    word(b, &sender, "permit_mynetworks");
    if (plan_bool(b, "smtp.reject_invalid_helo"))
        word(b, &helo, "reject_invalid_helo_hostname");
    if (plan_bool(b, "smtp.reject_non_fqdn_sender"))
        word(b, &sender, "reject_non_fqdn_sender");
    if (plan_bool(b, "smtp.reject_unknown_sender_domain"))
        word(b, &sender, "reject_unknown_sender_domain");
    word(b, &recipient, "reject_non_fqdn_recipient");
    word(b, &recipient,
         arena_printf(b->a, "check_recipient_access %s",
                      plan_table_ref(b, "refused_recipients", "texthash")));
    word(b, &recipient,
         arena_printf(b->a, "check_recipient_access %s",
                      plan_table_ref(b, "known_recipients", "texthash")));
    plan_param(b, "smtpd_client_restrictions",
               "check_client_access cidr:${config_directory}/" PLAN_DRAIN_TABLE
               ", check_client_access %s",
               plan_table_ref(b, "client_access", "cidr"));
    plan_param(b, "smtpd_helo_restrictions", "%s", helo);
    plan_param(b, "smtpd_sender_restrictions", "%s", sender);
    plan_param(b, "smtpd_recipient_restrictions", "%s", recipient);
}

static void add_filter(struct plan_builder *b)
{
    if (!b->plain) {
        plan_param(b, "content_filter", "%s", "");
        plan_param(b, "receive_override_options", "%s", "");
        return;
    }
    plan_param(b, "content_filter", "inari-scan:inet:127.0.0.1:%lld",
               (long long)plan_int(b, "scan.port"));
    /* mapped once, behind the filter; else aliases and copies would happen twice (P03) */
    plan_param(b, "receive_override_options", "%s", "no_address_mappings");
    plan_param(b, "inari-scan_destination_recipient_limit", "%lld",
               (long long)plan_int(b, "scan.recipient_limit"));
    plan_param(b, "inari-scan_destination_concurrency_limit", "%lld",
               (long long)plan_int(b, "scan.concurrency_limit"));
    plan_param(b, "inari-scan_initial_destination_concurrency", "%lld",
               (long long)(plan_int(b, "scan.concurrency_limit") < 20
                               ? plan_int(b, "scan.concurrency_limit")
                               : 20));
    /* one refused connection while the scan service restarts must not park all mail
     * (mailpath.md 1.4) */
    plan_param(b, "inari-scan_destination_concurrency_failed_cohort_limit", "%s", "100");
}

/* The device's own name is a domain of aliases only, else mail to root@<name> would look for its MX
 * and come back. Not where the same name is a relay domain: then its users are behind us. */
static void add_own_name(struct plan_builder *b)
{
    const char *name = plan_str(b, "smtp.hostname");

    if (name[0] == '\0' && b->facts->hostname != NULL && b->facts->hostname[0] != '\0') {
        name = b->facts->hostname;
        plan_param(b, "myhostname", "%s", name);
    }
    plan_param(b, "virtual_alias_domains", "%s",
               json_object_get(plan_get(b, "smtp.relay_domains"), name) != NULL ? ""
                                                                                : "$myhostname");
}

void plan_add_params(struct plan_builder *b)
{
    const char *text = plan_str(b, "smtp.banner_text");
    const char *source = plan_str(b, "delivery.bind_address");
    const char *postmaster = plan_str(b, "smtp.postmaster");

    add_plain(b);
    add_fixed(b);
    add_restrictions(b);
    add_filter(b);
    add_own_name(b);
    plan_param(b, "inari_digest", "%s", b->digest);
    plan_param(b, "smtpd_banner", "$myhostname ESMTP%s%s", text[0] == '\0' ? "" : " ", text);
    plan_param(b, "mynetworks", "%s", plan_table_ref(b, "relay_networks", "cidr"));
    plan_param(b, "relay_domains", "%s", plan_table_ref(b, "relay_domains", "texthash"));
    plan_param(b, "transport_maps", "%s", plan_table_ref(b, "transport", "texthash"));
    plan_param(b, "virtual_alias_maps", "%s", plan_table_ref(b, "aliases", "texthash"));
    plan_param(b, "relayhost", "%s", plan_str(b, "smtp.relayhost"));
    plan_param(b, "smtpd_forbid_unauth_pipelining", "%s",
               plan_bool(b, "smtp.forbid_unauth_pipelining") ? "yes" : "no");
    if (source[0] != '\0')
        plan_param(b, strchr(source, ':') == NULL ? "smtp_bind_address" : "smtp_bind_address6",
                   "%s", source);
    if (postmaster[0] != '\0') {
        plan_param(b, "2bounce_notice_recipient", "%s", postmaster);
        plan_param(b, "bounce_notice_recipient", "%s", postmaster);
        plan_param(b, "error_notice_recipient", "%s", postmaster);
        /* Postfix's default leaves 2bounce out: a notice that nobody takes would vanish unread */
        plan_param(b, "notify_classes", "%s", "resource, software, 2bounce");
    }
}
