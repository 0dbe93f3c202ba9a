/* The master.cf services we own: listeners, the scan transport, routes with TLS of their own, the
 * test sink. */
#include "plan/plan_private.h"

#include <stdio.h>

#define LOOPBACK "127.0.0.0/8, [::1]/128"

/* On every smtpd of ours, whatever main.cf says: no end of data but CR LF . CR LF (security.md
 * 0.1). */
static void no_smuggling(struct plan_builder *b, struct plan_service *s)
{
    plan_option(b, s, "smtpd_forbid_bare_newline", "%s", plan_str(b, "smtp.forbid_bare_newline"));
    plan_option(b, s, "smtpd_forbid_bare_newline_exclusions", "%s", "");
    plan_option(b, s, "smtpd_forbid_unauth_pipelining", "%s", "yes");
}

bool plan_has_ipv6(const struct plan_facts *f)
{
    bool v6 = f->n_addresses == 0; /* unknown: the parent's preview shows both */

    for (size_t i = 0; i < f->n_addresses; i++)
        v6 = v6 || strchr(f->addresses[i], ':') != NULL;
    return v6;
}

const char *plan_address_port(struct plan_builder *b, const char *address, int64_t port)
{
    bool v6 = strchr(address, ':') != NULL;

    return arena_printf(b->a, "%s%s%s:%lld", v6 ? "[" : "", address, v6 ? "]" : "",
                        (long long)port);
}

static void public_listener(struct plan_builder *b)
{
    const char *address = plan_str(b, "smtp.listen_address");
    int64_t port = plan_int(b, "smtp.listen_port");
    struct plan_service *s;

    if (address[0] == '\0') {
        /* the port alone: both families as far as the host has them; "[::]:25" without IPv6 would
         * kill master */
        s = plan_service(b, arena_printf(b->a, "%lld", (long long)port), "inet", "-", "smtpd");
        plan_listener(b, "0.0.0.0", port, ROLE_PUBLIC);
        if (plan_has_ipv6(b->facts))
            plan_listener(b, "::", port, ROLE_PUBLIC);
    } else {
        s = plan_service(b, plan_address_port(b, address, port), "inet", "-", "smtpd");
        plan_listener(b, address, port, ROLE_PUBLIC);
    }
    s->replaces_smtp = true;
    no_smuggling(b, s);
}

/* Behind foxproxy.  Clients are who the PROXY header says, for every list and limit; foxproxy's own
 * side of the connection and this device's addresses are nobody who may relay, however they are
 * written (P02: each was measured to open the relay). */
static void front_listener(struct plan_builder *b)
{
    int64_t port = plan_int(b, "sender_filter.backend_port");
    struct plan_service *s = plan_service(
        b, plan_address_port(b, "127.0.0.1", port), "inet",
        arena_printf(b->a, "%lld", (long long)plan_int(b, "sender_filter.max_sessions")), "smtpd");
    AUTO_STRBUF struct strbuf own = STRBUF_INIT(MIB);

    plan_listener(b, "127.0.0.1", port, ROLE_FRONT);
    s->replaces_smtp = true;
    for (size_t i = 0; i < b->facts->n_addresses; i++) {
        struct ipnet a;
        char text[IPNET_TEXT_MAX];
        if (ipnet_address(slice_of(b->facts->addresses[i]), &a) != IPNET_OK ||
            ipnet_is_loopback(&a))
            continue;
        ipnet_format(&a, text);
        strbuf_printf(&own, a.v6 ? "![%s], " : "!%s, ", text);
    }
    if (!strbuf_ok(&own))
        b->oom = true;
    plan_option(b, s, "smtpd_upstream_proxy_protocol", "%s", "haproxy");
    plan_option(b, s, "smtpd_upstream_proxy_timeout", "%s", "5s");
    plan_option(b, s, "mynetworks", PLAN_NO_LOOPBACK "%s%s", strbuf_str(&own),
                plan_table_ref(b, "relay_networks", "cidr"));
    no_smuggling(b, s);
}

/* No client of these is counted against a limit, none is looked up, none gets TLS: it is this
 * device. */
static void loopback_listener(struct plan_builder *b, struct plan_service *s)
{
    static const char *const zero[] = {
        "smtpd_client_connection_count_limit", "smtpd_client_connection_rate_limit",
        "smtpd_client_message_rate_limit", "smtpd_client_recipient_rate_limit",
        "smtpd_error_sleep_time"};

    for (size_t i = 0; i < COUNT_OF(zero); i++)
        plan_option(b, s, zero[i], "%s", "0");
    plan_option(b, s, "smtpd_tls_security_level", "%s", "none");
    plan_option(b, s, "smtpd_milters", "%s", "");
    plan_option(b, s, "smtpd_proxy_filter", "%s", "");
    plan_option(b, s, "smtpd_authorized_xclient_hosts", "%s", "");
    no_smuggling(b, s);
}

/* P03, point by point. */
static void reinject_listener(struct plan_builder *b)
{
    int64_t port = plan_int(b, "scan.reinject_port");
    struct plan_service *s = plan_service(
        b, plan_address_port(b, "127.0.0.1", port), "inet",
        arena_printf(b->a, "%lld", (long long)plan_int(b, "scan.reinject_process_limit")), "smtpd");

    plan_listener(b, "127.0.0.1", port, ROLE_REINJECT);
    plan_option(b, s, "content_filter", "%s", "");
    plan_option(b, s, "receive_override_options", "%s",
                "no_unknown_recipient_checks, no_header_body_checks, no_milters");
    plan_option(b, s, "mynetworks", "%s", LOOPBACK);
    plan_option(b, s, "smtpd_client_restrictions", "%s", "permit_mynetworks, reject");
    plan_option(b, s, "smtpd_helo_required", "%s", "no");
    plan_option(b, s, "smtpd_helo_restrictions", "%s", "");
    plan_option(b, s, "smtpd_sender_restrictions", "%s", "");
    plan_option(b, s, "smtpd_relay_restrictions", "%s", "permit_mynetworks, reject");
    plan_option(b, s, "smtpd_recipient_restrictions", "%s", "permit_mynetworks, reject");
    plan_option(b, s, "smtpd_data_restrictions", "%s", "");
    plan_option(b, s, "smtpd_end_of_data_restrictions", "%s", "");
    plan_option(b, s, "smtpd_authorized_xforward_hosts", "%s", LOOPBACK);
    plan_option(b, s, "smtpd_upstream_proxy_protocol", "%s", "");
    plan_option(b, s, "local_header_rewrite_clients", "%s", "");
    plan_option(b, s, "strict_rfc821_envelopes", "%s", "no");
    plan_option(b, s, "message_size_limit", "%s", "0");
    plan_option(b, s, "cleanup_service_name", "%s", "inari-cleanup");
    plan_option(b, s, "smtpd_recipient_limit", "%s", "100000");
    plan_option(b, s, "smtpd_hard_error_limit", "%s", "1001");
    plan_option(b, s, "smtpd_soft_error_limit", "%s", "1000");
    loopback_listener(b, s);
    /* the limit holds at the door; what the scanner added must not make the same message too big
     * behind it */
    s = plan_service(b, "inari-cleanup", "unix", "0", "cleanup");
    s->priv = "n";
    plan_option(b, s, "message_size_limit", "%s", "0");
}

/* The public restrictions once more behind PROXY v2, for the agent's own questions: foreign
 * addresses for the relay probe, and the only door for the test message. */
static void probe_listener(struct plan_builder *b)
{
    struct plan_service *s =
        plan_service(b, plan_address_port(b, "127.0.0.1", PLAN_PORT_PROBE), "inet", "10", "smtpd");

    plan_listener(b, "127.0.0.1", PLAN_PORT_PROBE, ROLE_PROBE);
    plan_option(b, s, "smtpd_upstream_proxy_protocol", "%s", "haproxy");
    plan_option(b, s, "smtpd_upstream_proxy_timeout", "%s", "5s");
    /* a LOCAL header would make the device itself the client (mailpath.md 2.1) */
    plan_option(b, s, "mynetworks", "!127.0.0.0/8, ![::1]/128, %s",
                plan_table_ref(b, "relay_networks", "cidr"));
    plan_option(b, s, "smtpd_client_restrictions", "%s", "");
    plan_option(b, s, "smtpd_recipient_restrictions",
                "reject_non_fqdn_recipient, check_recipient_access %s",
                plan_table_ref(b, "known_recipients", "texthash"));
    plan_option(b, s, "smtpd_peername_lookup", "%s", "no");
    loopback_listener(b, s);
}

/* Its banner carries the digest of main.cf ($inari_digest) and of master.cf (the literal): what
 * runs (design.md 14). */
static void digest_listener(struct plan_builder *b)
{
    struct plan_service *s =
        plan_service(b, plan_address_port(b, "127.0.0.1", PLAN_PORT_DIGEST), "inet", "1", "smtpd");

    plan_listener(b, "127.0.0.1", PLAN_PORT_DIGEST, ROLE_DIGEST);
    plan_option(b, s, "smtpd_banner", "inari $inari_digest %s", b->digest);
    plan_option(b, s, "smtpd_client_restrictions", "%s", "reject");
    plan_option(b, s, "smtpd_relay_restrictions", "%s", "reject");
    plan_option(b, s, "smtpd_recipient_restrictions", "%s", "reject");
    plan_option(b, s, "mynetworks", "%s", "");
    plan_option(b, s, "content_filter", "%s", "");
    plan_option(b, s, "smtpd_peername_lookup", "%s", "no");
    plan_option(b, s, "smtpd_timeout", "%s", "10s");
    loopback_listener(b, s);
}

static void lmtp_options(struct plan_builder *b, struct plan_service *s)
{
    plan_option(b, s, "disable_dns_lookups", "%s", "yes");
    plan_option(b, s, "lmtp_host_lookup", "%s", "native");
    plan_option(b, s, "lmtp_tls_security_level", "%s", "none");
    plan_option(b, s, "lmtp_sasl_auth_enable", "%s", "no");
    plan_option(b, s, "lmtp_header_checks", "%s", "");
    plan_option(b, s, "lmtp_body_checks", "%s", "");
    plan_option(b, s, "lmtp_generic_maps", "%s", "");
}

static void scan_transport(struct plan_builder *b)
{
    struct plan_service *s = plan_service(
        b, "inari-scan", "unix",
        arena_printf(b->a, "%lld", (long long)plan_int(b, "scan.concurrency_limit")), "lmtp");

    lmtp_options(b, s);
    plan_option(b, s, "lmtp_send_xforward_command", "%s", "yes");
    plan_option(b, s, "disable_mime_output_conversion", "%s", "yes");
    plan_option(b, s, "lmtp_connect_timeout", "%llds",
                (long long)plan_int(b, "scan.connect_timeout"));
    plan_option(b, s, "lmtp_data_done_timeout", "%llds", (long long)plan_int(b, "scan.timeout"));
}

static void route_transports(struct plan_builder *b)
{
    static const char *const levels[] = {"none", "may", "encrypt"};
    bool used[COUNT_OF(levels)] = {false};
    const char *name;
    json_t *row;

    json_object_foreach((json_t *)(uintptr_t)plan_get(b, "smtp.routes"), name, row)
    {
        const char *tls = json_str(row, "tls", "inherit");
        for (size_t i = 0; i < COUNT_OF(levels); i++)
            used[i] = used[i] || strcmp(tls, levels[i]) == 0;
    }
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        if (used[i]) {
            struct plan_service *s =
                plan_service(b, plan_route_transport(levels[i]), "unix", "-", "smtp");
            plan_option(b, s, "smtp_tls_security_level", "%s", levels[i]);
            if (plan_has_auth(b)) /* the password is the relayhost's, with the TLS of all mail */
                plan_option(b, s, "smtp_sasl_auth_enable", "%s", "no");
        }
    }
}

static void sink_transport(struct plan_builder *b)
{
    struct plan_service *s = plan_service(b, "inari-sink", "unix", "5", "lmtp");

    lmtp_options(b, s);
    plan_option(b, s, "lmtp_connect_timeout", "%s", "5s");
    plan_option(b, s, "lmtp_data_done_timeout", "%s", "30s");
}

void plan_add_services(struct plan_builder *b)
{
    if (b->front)
        front_listener(b);
    else
        public_listener(b);
    if (b->plain) {
        reinject_listener(b);
        scan_transport(b);
    }
    probe_listener(b);
    digest_listener(b);
    route_transports(b);
    sink_transport(b);
}
