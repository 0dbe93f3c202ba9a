#include "common/agent_settings.h"

#include <unistd.h>

#define AT(field) offsetof(struct agent_settings, field)

/* clang-format off */
static const struct settings_row rows[] = {
    /* key                       kind    field                  default                          min    max      flags       document */
    { "agent.user",              S_STR,  AT(agent_user),        "inari-agent",                   0, 0,           SF_RESTART, "user inari-agent runs as; beside root the only one the helper serves" },
    { "agent.group",             S_STR,  AT(agent_group),       "inari-agent",                   0, 0,           SF_RESTART, "group whose members may use the agent's command line" },
    { "agent.state",             S_PATH, AT(agent_state),       "/var/lib/inari/agent",          0, 0,           SF_RESTART, "state of the agent: keys, trust, bundles" },
    { "agent.socket",            S_PATH, AT(agent_socket),      "/run/inari/agent.sock",         0, 0,           SF_RESTART, "socket for inari-agent status, hold, rollback, leave" },
    { "agent.probe_timeout",     S_MSEC, AT(probe_timeout_ms),  "5s",                            100, 60000,     SF_RESTART, "longest SMTP dialogue of one probe" },
    { "agent.key_max_age",       S_MSEC, AT(key_max_age_ms),    "365d",                          0, INT64_C(315360000000), SF_RESTART, "age at which the agent renews its own key, from nine tenths of it on; 0s: only when told to" },
    { "helper.state",            S_PATH, AT(helper_state),      "/var/lib/inari/helper",         0, 0,           SF_RESTART, "state of the helper: journal, stage, last known good, original files" },
    { "helper.socket",           S_PATH, AT(helper_socket),     "/run/inari/helper.sock",        0, 0,           SF_RESTART, "socket between agent and helper" },
    { "helper.trial_dir",        S_PATH, AT(trial_dir),         "/var/lib/inari/trial",          0, 0,           SF_RESTART, "throw-away Postfix instance that proves a configuration" },
    { "helper.trial_port",       S_INT,  AT(trial_port),        "11000",                         1024, 65000,    SF_RESTART, "first loopback port tried for trial listeners" },
    { "helper.takeover",         S_MSEC, AT(takeover_ms),       "20s",                           100, 600000,    SF_RESTART, "how long an open change waits for an agent that went away" },
    { "helper.command_timeout",  S_MSEC, AT(command_timeout_ms),  "15s",                         500, 300000,    SF_RESTART, "longest run of one Postfix command" },
    { "helper.validate_timeout", S_MSEC, AT(validate_timeout_ms), "30s",                         500, 300000,    SF_RESTART, "longest validation of one configuration" },
    { "helper.resolve_timeout",  S_MSEC, AT(resolve_timeout_ms),  "3s",                          100, 60000,     SF_RESTART, "longest wait for the host names the planner asks about" },
    { "helper.lkg_keep",         S_INT,  AT(lkg_keep),          "3",                             1, 20,          SF_RESTART, "older configurations kept for going back" },
    { "postfix.config",          S_PATH, AT(postfix_config),    "/etc/postfix",                  0, 0,           SF_RESTART, "configuration directory of the managed Postfix" },
    { "postfix.queue",           S_PATH, AT(postfix_queue),     "/var/spool/postfix",            0, 0,           SF_RESTART, "its queue directory" },
    { "postfix.commands",        S_PATH, AT(postfix_commands),  "/usr/sbin",                     0, 0,           SF_RESTART, "directory of postfix, postconf and postmap" },
    { "postfix.manager",         S_STR,  AT(postfix_manager),   "auto",                          0, 0,           SF_RESTART, "who starts Postfix: systemd, postfix (its own command) or auto" },
    { "postfix.unit",            S_STR,  AT(postfix_unit),      "postfix@-.service",             0, 0,           SF_RESTART, "unit of Postfix where systemd starts it" },
    { "postfix.log",             S_PATH, AT(postfix_log),       "/var/log/mail.log",             0, 0,           SF_RESTART, "file with Postfix's log lines, for figures, test messages and debug bundles; without it the journal is asked for the last two" },
    { "postfix.journal",         S_STR,  AT(postfix_journal),   "auto",                          0, 0,           SF_RESTART, "read Postfix's lines from the systemd journal: auto (where postfix.log is not there), yes, no, or a folder of journal files" },
    { "foxproxy.program",        S_PATH, AT(foxproxy_program),  INARI_SBIN "/foxproxy",          0, 0,           SF_RESTART, "the filter in front of Postfix; where it is not installed the path \"front\" cannot be chosen" },
    { "foxproxy.config",         S_PATH, AT(foxproxy_config),   "/etc/inari-foxproxy/foxproxy.ini", 0, 0,        SF_RESTART, "its settings, written by the helper; the file is there where it is to run" },
    { "foxproxy.control",        S_PATH, AT(foxproxy_control),  "/run/inari-foxproxy/control",   0, 0,           SF_RESTART, "its control socket" },
    { "foxproxy.state",          S_PATH, AT(foxproxy_state),    "/var/lib/inari-foxproxy",       0, 0,           SF_RESTART, "its own state" },
    { "foxproxy.user",           S_STR,  AT(foxproxy_user),     "foxproxy",                      0, 0,           SF_RESTART, "user it runs as where systemd does not start it" },
    { "foxproxy.unit",           S_STR,  AT(foxproxy_unit),     "inari-foxproxy.service",        0, 0,           SF_RESTART, "its unit where systemd starts it" },
    { "events.spools",           S_STR,  AT(events_spools),     "",                              0, 0,           SF_RESTART, "event spools of other programs, folders with a colon between them; the last part of each is the stream, of a-z" },
    { "log.level",               S_STR,  AT(log_level),         "info",                          0, 0,           SF_RESTART, "debug, info, warn or error" },
};
/* clang-format on */

static bool one_of(const char *s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(s, *words) == 0)
            return true;
    return false;
}

/* Rules between a setting and what it may say that the table cannot hold. */
static enum err_code verify(const struct agent_settings *s, struct err *e)
{
    static const char *const managers[] = {"auto", "systemd", "postfix", NULL};
    static const char *const sources[] = {"auto", "yes", "no", NULL};
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

    if (!one_of(s->postfix_manager, managers))
        return err_field(e, ERR_INVALID, "postfix.manager",
                         "postfix.manager: \"%s\" is not auto, systemd or postfix", s->postfix_manager);
    if (s->postfix_journal[0] != '/' && !one_of(s->postfix_journal, sources))
        return err_field(e, ERR_INVALID, "postfix.journal",
                         "postfix.journal: \"%s\" is not auto, yes, no or a folder", s->postfix_journal);
    if (!one_of(s->log_level, levels))
        return err_field(e, ERR_INVALID, "log.level",
                         "log.level: \"%s\" is not debug, info, warn or error", s->log_level);
    return ERR_OK;
}

enum err_code agent_settings_load(const char *path, struct agent_settings *ret, struct err *e)
{
    struct agent_settings s = {0};
    enum err_code rc;

    if (path == NULL && access(AGENT_CONF_DEFAULT, F_OK) == 0)
        path = AGENT_CONF_DEFAULT;
    rc = settings_load(rows, COUNT_OF(rows), path, &s, e);
    if (rc != ERR_OK)
        return rc;
    rc = verify(&s, e);
    if (rc != ERR_OK) {
        agent_settings_clear(&s);
        return rc;
    }
    *ret = s;
    return ERR_OK;
}

void agent_settings_clear(struct agent_settings *s)
{
    settings_clear(rows, COUNT_OF(rows), s);
}

void agent_settings_show(const struct agent_settings *s, struct strbuf *out)
{
    settings_show(rows, COUNT_OF(rows), s, out);
}

void agent_settings_sample(struct strbuf *out)
{
    settings_sample(rows, COUNT_OF(rows), out);
}
