/* The lookup tables: relay domains and networks, routes, connection control, known recipients,
 * aliases. */
#include "plan/plan_private.h"

#include <stdio.h>

/* What may stand in a table: the catalog lets nothing else through, and this holds without it, too.
 */
static bool clean(const char *s, bool blanks)
{
    if (s[0] == '\0' || s[0] == '#')
        return false;
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c >= 0x7f || c == '$' || (c == ' ' && !blanks))
            return false;
    }
    return true;
}

/* The test messages' domains are the device's own. */
static bool reserved(const char *domain)
{
    static const char own[] = ".inari.invalid";
    size_t n = strlen(domain);

    return strcmp(domain, own + 1) == 0 ||
           (n > sizeof own - 1 && strcmp(domain + n - (sizeof own - 1), own) == 0);
}

static bool row_ok(struct plan_builder *b, const char *setting, const char *row, const char *value)
{
    if (reserved(row)) {
        (void)finding_add(b->f, F_V_RESERVED, plan_at(b, setting, row), row, NULL, NULL, NULL);
        return false;
    }
    if (clean(row, false) && clean(value, true))
        return true;
    (void)finding_add(b->f, F_P12_CONTROL, plan_at(b, setting, row), setting, NULL, NULL, NULL);
    return false;
}

static void relay_domains(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(PLAN_TABLE_BYTES_MAX);
    size_t n;
    const char **rows = plan_rows(b, "smtp.relay_domains", &n);

    strbuf_puts(&s, "# domains mail is accepted for\n");
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_object_get(plan_get(b, "smtp.relay_domains"), rows[i]);
        if (!row_ok(b, "smtp.relay_domains", rows[i], "OK"))
            continue;
        strbuf_printf(&s, "%s relay\n", rows[i]);
        if (json_bool(row, "subdomains", false))
            strbuf_printf(&s, ".%s relay\n", rows[i]);
    }
    if (b->probe_domain[0] != '\0')
        strbuf_printf(&s, "%s relay\n", b->probe_domain);
    (void)plan_table(b, "relay_domains", "texthash", &s);
}

static void relay_networks(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(PLAN_TABLE_BYTES_MAX);
    size_t n;
    const char **rows = plan_rows(b, "smtp.relay_networks", &n);

    strbuf_puts(&s, "# clients that may send to any domain\n");
    for (size_t i = 0; i < n; i++) {
        if (row_ok(b, "smtp.relay_networks", rows[i], "permit"))
            strbuf_printf(&s, "%s permit\n", rows[i]);
    }
    (void)plan_table(b, "relay_networks", "cidr", &s);
}

/* Never OK: a listed client is only not refused here; relaying is decided by relay_networks alone
 * (P05). */
static void client_access(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(PLAN_TABLE_BYTES_MAX);
    bool permit = strcmp(plan_str(b, "smtp.client_connection_mode"), "permit_list") == 0;
    size_t n;
    const char **rows = plan_rows(b, "smtp.client_access", &n);

    strbuf_puts(&s, "# connection control\n");
    for (size_t i = 0; i < n; i++) {
        if (row_ok(b, "smtp.client_access", rows[i], "DUNNO"))
            strbuf_printf(&s, "%s %s\n", rows[i], permit ? "DUNNO" : "REJECT");
    }
    if (permit)
        strbuf_puts(&s, "0.0.0.0/0 REJECT\n::/0 REJECT\n");
    (void)plan_table(b, "client_access", "cidr", &s);
}

const char *plan_route_transport(const char *tls)
{
    static const char *const known[][2] = {
        {"none", "inari-smtp-none"}, {"may", "inari-smtp-may"}, {"encrypt", "inari-smtp-encrypt"}};

    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(tls, known[i][0]) == 0)
            return known[i][1];
    }
    return "smtp";
}

static void transport(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(PLAN_TABLE_BYTES_MAX);
    size_t n;
    const char **rows = plan_rows(b, "smtp.routes", &n);

    strbuf_puts(&s, "# where mail for a domain goes\n");
    if (b->probe_domain[0] != '\0')
        strbuf_printf(&s, "%s inari-sink:inet:127.0.0.1:%d\n", b->probe_domain, PLAN_PORT_SINK);
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_object_get(plan_get(b, "smtp.routes"), rows[i]);
        const char *hop = json_str(row, "next_hop", "");
        const char *via = plan_route_transport(json_str(row, "tls", "inherit"));
        if (!row_ok(b, "smtp.routes", rows[i], hop))
            continue;
        strbuf_printf(&s, "%s %s:%s\n", rows[i], via, hop);
        if (json_bool(row, "subdomains", false))
            strbuf_printf(&s, ".%s %s:%s\n", rows[i], via, hop);
    }
    (void)plan_table(b, "transport", "texthash", &s);
}

/* A domain with one entry accepts its entries only.  An access map, not relay_recipient_maps: there
 * a domain without entries and the sub-domains of a relay domain would need rows of their own. */
static void known_recipients(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(PLAN_TABLE_BYTES_MAX);
    AUTO(json_free) json_t *closed = json_object(); /* domains whose last row is written */
    const json_t *list = plan_get(b, "smtp.recipient_map");
    size_t n;
    const char **rows = plan_rows(b, "smtp.recipient_map", &n);

    strbuf_puts(&s, "# known recipients of domains that have any\n");
    for (size_t i = 0; i < n; i++) {
        const char *at = strchr(rows[i], '@');
        char postmaster[300];
        if (at == NULL || !row_ok(b, "smtp.recipient_map", rows[i], "DUNNO") ||
            json_object_get(list, at) != NULL) /* "@domain" stands for all of it */
            continue;
        strbuf_printf(&s, "%s DUNNO\n", rows[i]);
        if (json_object_get(closed, at) != NULL)
            continue;
        (void)json_object_set_new(closed, at, json_true());
        (void)snprintf(postmaster, sizeof postmaster, "postmaster%s", at);
        if (json_object_get(list, postmaster) == NULL)
            strbuf_printf(&s, "%s DUNNO\n", postmaster); /* RFC 5321 4.5.1 */
        strbuf_printf(&s, "%s 550 5.1.1 no such recipient\n", at + 1);
    }
    (void)plan_table(b, "known_recipients", "texthash", &s);
}

/* The test message's domain is for the probe listener only, which has restrictions of its own. */
static void refused_recipients(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(KIB);

    strbuf_puts(
        &s, "# domains for the device's own test messages\n"
            "inari.invalid 550 5.1.2 no such domain\n.inari.invalid 550 5.1.2 no such domain\n");
    (void)plan_table(b, "refused_recipients", "texthash", &s);
}

/* Bare user names stand for the device's own name: what cron and the mail system itself send. */
static void aliases(struct plan_builder *b)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(16 * KIB);
    const char *to = plan_str(b, "smtp.postmaster");
    static const char *const users[] = {"abuse", "hostmaster", "mailer-daemon", "postmaster",
                                        "root"};

    strbuf_puts(&s, "# mail to the device itself\n");
    for (size_t i = 0; to[0] != '\0' && i < COUNT_OF(users); i++) {
        if (row_ok(b, "smtp.postmaster", users[i], to))
            strbuf_printf(&s, "%s %s\n", users[i], to);
    }
    (void)plan_table(b, "aliases", "texthash", &s);
}

void plan_add_tables(struct plan_builder *b)
{
    relay_domains(b);
    relay_networks(b);
    client_access(b);
    transport(b);
    known_recipients(b);
    refused_recipients(b);
    aliases(b);
}
