/*
 * agent_settings.h - /etc/inari/agent.conf, read by inari-agent and inari-helper alike.  The table
 * in agent_settings.c is the only place where a key exists.  Everything else the agent knows comes
 * from enrolment and from bundles.
 */
#pragma once

#include "base/settings.h"

#define AGENT_CONF_DEFAULT "/etc/inari/agent.conf"

struct agent_settings {
    char *agent_user;   /* the unprivileged user; beside root the only one the helper serves */
    char *agent_group;  /* members may talk to the agent's own socket */
    char *agent_state;  /* the agent's, 0700 */
    char *helper_state; /* root's, 0700 */
    char *helper_socket;
    char *agent_socket;
    char *trial_dir; /* root's, 0711: spool and configuration of the throw-away instance; its spool
                        is kept warm */
    char *postfix_config;   /* config_directory of the managed instance */
    char *postfix_queue;    /* its queue_directory */
    char *postfix_commands; /* where postfix, postconf and postmap are */
    char *postfix_manager;  /* auto | systemd | postfix: who starts and stops Postfix */
    char *postfix_log;      /* file Postfix's log lines go to */
    char *postfix_journal;  /* auto, yes, no, or a folder of journal files */
    char *postfix_unit;     /* unit name for systemctl */
    int64_t
        takeover_ms; /* how long the helper waits for a broken connection with an open journal */
    int64_t command_timeout_ms;  /* one postfix, postconf or systemctl run */
    int64_t validate_timeout_ms; /* the whole of validate */
    int64_t resolve_timeout_ms;  /* all host names of facts together */
    int64_t key_max_age_ms;      /* age at which the agent renews its own key; 0: never by itself */
    int64_t probe_timeout_ms;    /* one SMTP dialogue of the agent's probes */
    int64_t trial_port;          /* first port tried for trial listeners */
    int64_t lkg_keep;            /* renderings kept beside the one in force */
    char *foxproxy_program;      /* the filter in front of Postfix; not there: this device has none */
    char *foxproxy_config;       /* its ini, in a folder that holds nothing else; there: it is to run */
    char *foxproxy_control;      /* its control socket */
    char *foxproxy_state;        /* its own state */
    char *foxproxy_user;         /* whom it runs as */
    char *foxproxy_unit;         /* unit name for systemctl */
    char *events_spools;         /* folders of daemons, ':' between them */
    char *log_level;             /* debug | info | warn | error */
};

/* path NULL: AGENT_CONF_DEFAULT when it is there, else the defaults.  A path given must exist. */
MUST_USE enum err_code agent_settings_load(const char *path, struct agent_settings *ret,
                                           struct err *e);
void agent_settings_clear(struct agent_settings *s);
void agent_settings_show(const struct agent_settings *s, struct strbuf *out);
void agent_settings_sample(struct strbuf *out);
