/*
 * What is ours in main.cf and master.cf (P14): everything the planner may ever set, and the names
 * that would undo it. What is not here is never touched.
 */
#include "plan/plan_private.h"

#include <stdlib.h>

/* Beside the parameters of settings. */
static const char *const derived[] = {
    "2bounce_notice_recipient",
    "alias_database",
    "alias_maps",
    "allow_percent_hack",
    "allow_untrusted_routing",
    "append_dot_mydomain",
    "biff",
    "bounce_notice_recipient",
    "compatibility_level",
    "content_filter",
    "default_transport",
    "enable_long_queue_ids",
    "error_notice_recipient",
    "inari-scan_destination_concurrency_failed_cohort_limit",
    "inari-scan_destination_concurrency_limit",
    "inari-scan_destination_recipient_limit",
    "inari-scan_initial_destination_concurrency",
    "inari_digest",
    "inet_interfaces",
    "inet_protocols",
    "local_recipient_maps",
    "local_transport",
    "mailbox_size_limit",
    "maillog_file",
    "mydestination",
    "mynetworks",
    "myorigin",
    "non_smtpd_milters",
    "notify_classes",
    "parent_domain_matches_subdomains",
    "receive_override_options",
    "relay_domains",
    "relay_recipient_maps",
    "relay_transport",
    "relayhost",
    "service_throttle_time",
    "smtp_bind_address",
    "smtp_bind_address6",
    "smtp_tls_ciphers",
    "smtp_tls_loglevel",
    "smtp_tls_mandatory_ciphers",
    "smtp_tls_mandatory_protocols",
    "smtp_tls_protocols",
    "smtpd_authorized_xclient_hosts",
    "smtpd_authorized_xforward_hosts",
    "smtpd_banner",
    "smtpd_client_restrictions",
    "smtpd_data_restrictions",
    "smtpd_delay_reject",
    "smtpd_end_of_data_restrictions",
    "smtpd_etrn_restrictions",
    "smtpd_forbid_bare_newline_exclusions",
    "smtpd_forbid_unauth_pipelining",
    "smtpd_helo_restrictions",
    "smtpd_milters",
    "smtpd_proxy_filter",
    "smtpd_recipient_restrictions",
    "smtpd_relay_before_recipient_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_sasl_auth_enable",
    "smtpd_sender_restrictions",
    "smtpd_tls_auth_only",
    "smtpd_tls_ciphers",
    "smtpd_tls_loglevel",
    "smtpd_tls_mandatory_ciphers",
    "smtpd_tls_mandatory_protocols",
    "smtpd_tls_protocols",
    "smtpd_upstream_proxy_protocol",
    "swap_bangpath",
    "transport_maps",
    "virtual_alias_domains",
    "virtual_alias_maps",
    "virtual_mailbox_domains",
    "virtual_mailbox_limit",
    "virtual_mailbox_maps",
    /* never set: each would quietly override one of the above */
    "mynetworks_style",
    "permit_mx_backup_networks",
    "sender_dependent_default_transport_maps",
    "sender_dependent_relayhost_maps",
    "smtp_enforce_tls",
    "smtp_tls_policy_maps",
    "smtp_use_tls",
    "smtpd_client_connection_limit_exceptions",
    "smtpd_client_event_limit_exceptions",
    "smtpd_command_filter",
    "smtpd_sender_login_maps",
    "smtpd_tls_chain_files",
    "smtpd_use_tls",
};

static const char *const signing_in[] = {
    "smtp_sasl_auth_enable",
    "smtp_sasl_mechanism_filter",
    "smtp_sasl_password_maps",
    "smtp_sasl_path",
    "smtp_sasl_security_options",
    "smtp_sasl_tls_security_options",
    "smtp_sasl_tls_verified_security_options",
    "smtp_sasl_type",
    "smtp_sender_dependent_authentication",
};

const char *const plan_owned_services[] = {
    "smtp/inet",
    "inari-cleanup/unix",
    "inari-scan/unix",
    "inari-sink/unix",
    "inari-smtp-encrypt/unix",
    "inari-smtp-may/unix",
    "inari-smtp-none/unix",
};
const size_t plan_n_owned_services = COUNT_OF(plan_owned_services);

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *plan_owned(struct arena *a, bool auth, unsigned checks, size_t *ret_n)
{
    const char **all =
        arena_alloc(a, (COUNT_OF(derived) + COUNT_OF(signing_in) + PLAN_CHECKS + catalog_count()) *
                           sizeof *all);
    size_t n = 0;

    if (all == NULL)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(derived); i++)
        all[n++] = derived[i];
    for (size_t i = 0; auth && i < COUNT_OF(signing_in); i++)
        all[n++] = signing_in[i];
    for (size_t i = 0; i < PLAN_CHECKS; i++) {
        if ((checks >> i & 1) != 0)
            all[n++] = plan_checks_params[i];
    }
    for (size_t i = 0; i < catalog_count(); i++) {
        if (catalog_at(i)->param[0] != '\0')
            all[n++] = catalog_at(i)->param;
    }
    qsort(all, n, sizeof *all, by_text);
    *ret_n = n;
    return all;
}
