/*
 * The table of contents of the API: every address, who may call it, how large its body may be.  A test compares it
 * with api/openapi.yaml both ways.
 */
#include "handlers/account.h"
#include "handlers/agent.h"
#include "handlers/alert.h"
#include "handlers/audit.h"
#include "handlers/command.h"
#include "handlers/device.h"
#include "handlers/event_stream.h"
#include "handlers/event_policy.h"
#include "handlers/figure.h"
#include "handlers/openapi.h"
#include "handlers/group.h"
#include "handlers/list.h"
#include "handlers/message.h"
#include "handlers/parent.h"
#include "handlers/session.h"
#include "handlers/settings.h"
#include "http/request.h"
#include "http/status.h"

// clang-format off
const struct route routes[] = {
    /* method  path         handler      permission        body  flags */
    { "GET",   "/healthz",  health_get,  PERM_NONE,        0,    R_INLINE },
    { "GET",   "/readyz",   ready_get,   PERM_NONE,        0,    R_INLINE },
    { "GET",   "/metrics",  metrics_get, PERM_DEVICE_READ, 0,    R_INLINE | R_LOOPBACK },
    { "GET",   "/api/v1/openapi.yaml", openapi_get, PERM_NONE, 0, R_INLINE },

    /* signing in, accounts, API tokens, audit */
    { "POST",   "/api/v1/session",          session_post,         PERM_NONE,       4 * KIB,  0 },
    { "GET",    "/api/v1/session",          session_get,          PERM_KNOWN,      0,        R_OPEN_PW },
    { "DELETE", "/api/v1/session",          session_delete,       PERM_SESSION,    0,        R_OPEN_PW },
    { "PUT",    "/api/v1/session/password", session_password_put, PERM_SESSION,    4 * KIB,  R_OPEN_PW },
    { "GET",    "/api/v1/session/preferences", session_preferences_get, PERM_SESSION, 0,     0 },
    { "PATCH",  "/api/v1/session/preferences", session_preferences_patch, PERM_SESSION, 4 * KIB, R_MERGE },
    { "GET",    "/api/v1/accounts",         account_list_get,     PERM_ADMIN,      0,        0 },
    { "POST",   "/api/v1/accounts",         account_post,         PERM_ADMIN,      4 * KIB,  0 },
    { "GET",    "/api/v1/accounts/{id}",    account_get_one,      PERM_ADMIN,      0,        0 },
    { "PATCH",  "/api/v1/accounts/{id}",    account_patch,        PERM_ADMIN,      4 * KIB,  R_MERGE },
    { "DELETE", "/api/v1/accounts/{id}",    account_delete_one,   PERM_ADMIN,      0,        0 },
    { "GET",    "/api/v1/api-tokens",       api_token_list_get,   PERM_SESSION,    0,        0 },
    { "POST",   "/api/v1/api-tokens",       api_token_post,       PERM_SESSION,    4 * KIB,  0 },
    { "DELETE", "/api/v1/api-tokens/{id}",  api_token_delete,     PERM_SESSION,    0,        0 },
    { "GET",    "/api/v1/parent",           parent_get,           PERM_DEVICE_READ, 0,       0 },
    { "GET",    "/api/v1/trust",            trust_get,            PERM_DEVICE_READ, 0,       0 },
    { "GET",    "/api/v1/recovery",         recovery_get,         PERM_DEVICE_READ, 0,       0 },
    { "POST",   "/api/v1/recovery/continue", recovery_continue_post, PERM_ADMIN,  4 * KIB,  0 },
    { "GET",    "/api/v1/recovery/lost",    recovery_lost_get,    PERM_SETTINGS_READ, 0,     0 },
    { "POST",   "/api/v1/recovery/adopt",   recovery_adopt_post,  PERM_SETTINGS_WRITE, 4 * KIB, 0 },
    { "GET",    "/api/v1/audit",            audit_list_get,       PERM_AUDIT_READ, 0,        0 },
    { "GET",    "/api/v1/audit/verify",     audit_verify_get,     PERM_AUDIT_READ, 0,        0 },

    /* what happens on the devices: figures of their events, the events, and the messages they tell of */
    { "GET",    "/api/v1/figures",          figure_get,           PERM_EVENTS_READ, 0,       0 },
    { "GET",    "/api/v1/events",           event_list_get,       PERM_EVENTS_READ, 0,       0 },
    { "GET",    "/api/v1/messages",         message_list_get,     PERM_EVENTS_READ, 0,       0 },
    { "GET",    "/api/v1/messages/{id}",    message_get_one,      PERM_EVENTS_READ, 0,       0 },
    { "GET",    "/api/v1/events/stream",    event_stream_get,     PERM_EVENTS_READ, 0,       0 },

    /* settings: catalog, layers, drafts, revisions; groups */
    { "GET",    "/api/v1/catalog",                      catalog_get,            PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/presets",                      presets_get,            PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/settings",                     settings_layer_get,     PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/settings/effective",           settings_effective_get, PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/devices/{id}/explain",         device_explain_get,     PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/devices/{id}/overrides",       device_overrides_get,   PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/devices/{id}/secrets",         device_secrets_get,     PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/secrets",                      secret_list_get,        PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/overrides",                    override_list_get,      PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/config/export",                config_export_get,      PERM_SETTINGS_READ,  0,       0 },
    { "POST",   "/api/v1/config/import",                config_import_post,     PERM_SETTINGS_WRITE, 16 * MIB, 0 },
    { "GET",    "/api/v1/drafts",                       draft_list_get,         PERM_SETTINGS_READ,  0,       0 },
    { "POST",   "/api/v1/drafts",                       draft_post,             PERM_SETTINGS_WRITE, 4 * KIB, 0 },
    { "GET",    "/api/v1/drafts/{id}",                  draft_get_one,          PERM_SETTINGS_READ,  0,       0 },
    { "PATCH",  "/api/v1/drafts/{id}",                  draft_patch,            PERM_SETTINGS_WRITE, 16 * MIB, R_MERGE },
    { "DELETE", "/api/v1/drafts/{id}",                  draft_delete_one,       PERM_SETTINGS_WRITE, 0,       0 },
    { "GET",    "/api/v1/drafts/{id}/diff",             draft_diff_get,         PERM_SETTINGS_READ,  0,       0 },
    { "POST",   "/api/v1/drafts/{id}/check",            draft_check_post,       PERM_SETTINGS_WRITE, 1 * KIB, 0 },
    { "POST",   "/api/v1/drafts/{id}/dry-run",          draft_dry_run_post,     PERM_SETTINGS_WRITE, 1 * KIB, 0 },
    { "POST",   "/api/v1/drafts/{id}/publish",          draft_publish_post,     PERM_PUBLISH,        4 * KIB, 0 },
    { "GET",    "/api/v1/revisions",                    revision_list_get,      PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/revisions/{pub}",              revision_get_one,       PERM_SETTINGS_READ,  0,       0 },
    { "GET",    "/api/v1/revisions/{pub}/diff",         revision_diff_get,      PERM_SETTINGS_READ,  0,       0 },
    { "POST",   "/api/v1/revisions/{pub}/restore",      revision_restore_post,  PERM_PUBLISH,        4 * KIB, 0 },
    { "POST",   "/api/v1/revisions/{pub}/undo",         revision_undo_post,     PERM_PUBLISH,        4 * KIB, 0 },
    { "GET",    "/api/v1/groups",                       group_list_get,         PERM_DEVICE_READ,    0,       0 },
    { "POST",   "/api/v1/groups",                       group_post,             PERM_DEVICE_WRITE,   4 * KIB, 0 },
    { "GET",    "/api/v1/groups/{id}",                  group_get_one,          PERM_DEVICE_READ,    0,       0 },
    { "PATCH",  "/api/v1/groups/{id}",                  group_patch,            PERM_DEVICE_WRITE,   4 * KIB, R_MERGE },
    { "DELETE", "/api/v1/groups/{id}",                  group_delete_one,       PERM_DEVICE_WRITE,   0,       0 },
    { "PUT",    "/api/v1/groups/{id}/members/{device}", group_member_put,       PERM_DEVICE_WRITE,   1 * KIB, 0 },
    { "DELETE", "/api/v1/groups/{id}/members/{device}", group_member_delete,    PERM_DEVICE_WRITE,   0,       0 },

    /* lists of addresses: a change is in force at once, as if it was published (docs/internals/lists.md) */
    { "GET",    "/api/v1/lists",                       list_list_get,        PERM_SETTINGS_READ, 0,        0 },
    { "GET",    "/api/v1/lists/{list}",                list_get_one,         PERM_SETTINGS_READ, 0,        0 },
    { "GET",    "/api/v1/lists/{list}/rows",           list_rows_get,        PERM_SETTINGS_READ, 0,        0 },
    { "POST",   "/api/v1/lists/{list}/rows",           list_rows_post,       PERM_PUBLISH,       16 * MIB, 0 },
    { "GET",    "/api/v1/lists/{list}/rows/{row}",     list_row_get_one,     PERM_SETTINGS_READ, 0,        0 },
    { "DELETE", "/api/v1/lists/{list}/rows/{row}",     list_row_delete_one,  PERM_PUBLISH,       0,        0 },
    { "POST",   "/api/v1/lists/{list}/remove",         list_remove_post,     PERM_PUBLISH,       8 * MIB,  0 },
    { "POST",   "/api/v1/lists/{list}/import",         list_import_post,     PERM_PUBLISH,       16 * MIB, 0 },
    { "GET",    "/api/v1/lists/{list}/export",         list_export_get,      PERM_SETTINGS_READ, 0,        0 },
    { "GET",    "/api/v1/lists/{list}/overlaps",       list_overlaps_get,    PERM_SETTINGS_READ, 0,        0 },
    { "GET",    "/api/v1/lists/{list}/changes",        list_change_list_get, PERM_SETTINGS_READ, 0,        0 },
    { "GET",    "/api/v1/lists/{list}/changes/{version}", list_change_get_one, PERM_SETTINGS_READ, 0,      0 },
    { "POST",   "/api/v1/lists/{list}/changes/{version}/undo", list_undo_post, PERM_PUBLISH,     4 * KIB,  0 },

    /* children (docs/internals/wire.md) */
    { "GET",    "/api/agent/v1/hello",      agent_hello,    PERM_NONE,   0,         R_INLINE },
    { "GET",    "/api/agent/v1/trust/{n}",  agent_trust,    PERM_NONE,   0,         R_INLINE },
    { "GET",    "/api/agent/v1/notice",     agent_notice,   PERM_NONE,   0,         R_INLINE },
    { "POST",   "/oauth2/token",            oauth_token,    PERM_NONE,   8 * KIB,   R_FORM },
    { "POST",   "/api/agent/v1/enrolments", agent_enrol,    PERM_NONE,   64 * KIB,  R_RAW },
    { "GET",    "/api/agent/v1/enrolments/{id}", agent_enrolment_get, PERM_NONE, 0, 0 },
    { "GET",    "/api/agent/v1/desired",    agent_desired,  PERM_DEVICE, 0,         R_INLINE | R_HOLD },
    { "PUT",    "/api/agent/v1/status",     agent_status,   PERM_DEVICE, 64 * KIB,  R_RAW },
    { "POST",   "/api/agent/v1/proposals",  agent_proposal, PERM_DEVICE, 512 * KIB, R_RAW },
    { "POST",   "/api/agent/v1/kept",       agent_kept, PERM_DEVICE, 4 * MIB, R_RAW },
    { "POST",   "/api/agent/v1/events/{stream}", agent_events, PERM_DEVICE, 1 * MIB, R_RAW | R_CODED | R_EVENTS },
    { "GET",    "/api/agent/v1/commands",   agent_commands, PERM_DEVICE, 0,         0 },
    { "PUT",    "/api/agent/v1/commands/{id}/result", agent_command_result, PERM_DEVICE, 512 * KIB, R_RAW },
    { "POST",   "/api/agent/v1/keys",       agent_key,      PERM_DEVICE, 8 * KIB,   R_RAW },
    { "GET",    "/api/agent/v1/commands/{id}/bundle", agent_command_bundle, PERM_DEVICE, 0, 0 },
    { "GET",    "/api/agent/v1/lists",      agent_lists,    PERM_DEVICE, 0,         0 },
    { "GET",    "/api/agent/v1/blobs/{sha256}", agent_blob, PERM_DEVICE, 0,         R_INLINE },
    { "DELETE", "/api/agent/v1/self",       agent_leave,    PERM_DEVICE, 0,         0 },

    /* devices, join tokens, rollouts */
    { "GET",    "/api/v1/devices",                device_list_get,          PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/devices/{id}",           device_get_one,           PERM_DEVICE_READ,  0,        0 },
    { "PATCH",  "/api/v1/devices/{id}",           device_patch,             PERM_DEVICE_WRITE, 4 * KIB,  R_MERGE },
    { "DELETE", "/api/v1/devices/{id}",           device_delete_one,        PERM_DEVICE_WRITE, 0,        0 },
    { "POST",   "/api/v1/devices/{id}/hold",      device_hold_post,         PERM_DEVICE_WRITE, 4 * KIB,  0 },
    { "POST",   "/api/v1/devices/{id}/release",   device_release_post,      PERM_DEVICE_WRITE, 1 * KIB,  0 },
    { "POST",   "/api/v1/devices/{id}/revoke",    device_revoke_post,       PERM_DEVICE_WRITE, 4 * KIB,  0 },
    { "POST",   "/api/v1/devices/{id}/reinstate", device_reinstate_post,    PERM_DEVICE_WRITE, 4 * KIB,  0 },
    { "POST",   "/api/v1/devices/{id}/approve",   device_approve_post,      PERM_DEVICE_WRITE, 1 * KIB,  0 },
    { "POST",   "/api/v1/devices/{id}/reject",    device_reject_post,       PERM_DEVICE_WRITE, 1 * KIB,  0 },
    { "POST",   "/api/v1/devices/{id}/retire",    device_retire_post,       PERM_DEVICE_WRITE, 1 * KIB,  0 },
    { "POST",   "/api/v1/devices/{id}/instances", device_instances_post,    PERM_DEVICE_WRITE, 4 * KIB,  0 },
    { "GET",    "/api/v1/devices/{id}/status",    device_status_get_one,    PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/devices/{id}/proposal",  device_proposal_get_one,  PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/devices/{id}/drift",     device_drift_get,         PERM_DEVICE_READ,  0,        0 },
    { "POST",   "/api/v1/devices/{id}/drift/enforce", device_drift_enforce_post, PERM_COMMAND,      32 * KIB, 0 },
    { "POST",   "/api/v1/devices/{id}/drift/adopt", device_drift_adopt_post, PERM_SETTINGS_WRITE, 32 * KIB, 0 },
    { "GET",    "/api/v1/devices/{id}/effective", device_effective_get,     PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/devices/{id}/bundle",    device_bundle_get,        PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/devices/{id}/plan",      device_plan_get,          PERM_DEVICE_READ,  0,        0 },
    { "POST",   "/api/v1/devices/{id}/adopt",     device_adopt_post,        PERM_SETTINGS_WRITE, 32 * KIB, 0 },
    { "POST",   "/api/v1/devices/{id}/commands",  device_command_post,      PERM_COMMAND,      16 * KIB, 0 },
    { "GET",    "/api/v1/commands",               command_list_get,         PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/commands/{id}",          command_get_one,          PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/commands/{id}/output",   command_output_get,       PERM_COMMAND,      0,        0 },
    { "POST",   "/api/v1/commands/{id}/cancel",   command_cancel_post,      PERM_COMMAND,      1 * KIB,  0 },
    { "GET",    "/api/v1/enrolment-tokens",       enrolment_token_list_get, PERM_ENROL,        0,        0 },
    { "POST",   "/api/v1/enrolment-tokens",       enrolment_token_post,     PERM_ENROL,        16 * KIB, 0 },
    { "DELETE", "/api/v1/enrolment-tokens/{id}",  enrolment_token_delete,   PERM_ENROL,        0,        0 },
    { "GET",    "/api/v1/rollouts",               rollout_list_get,         PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/rollouts/{id}",          rollout_get_one,          PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/rollouts/{id}/devices",  rollout_device_list_get,  PERM_DEVICE_READ,  0,        0 },
    { "POST",   "/api/v1/rollouts/{id}/pause",     rollout_pause_post,      PERM_PUBLISH,      4 * KIB,  0 },
    { "POST",   "/api/v1/rollouts/{id}/resume",    rollout_resume_post,     PERM_PUBLISH,      4 * KIB,  0 },
    { "POST",   "/api/v1/rollouts/{id}/halt",      rollout_halt_post,       PERM_PUBLISH,      4 * KIB,  0 },
    { "POST",   "/api/v1/rollouts/{id}/revert",    rollout_revert_post,     PERM_PUBLISH,      4 * KIB,  0 },
    { "POST",   "/api/v1/rollouts/{id}/cancel",    rollout_cancel_post,     PERM_PUBLISH,      4 * KIB,  0 },
    { "POST",   "/api/v1/rollouts/{id}/approve",   rollout_approve_post,    PERM_PUBLISH,      4 * KIB,  0 },
    { "POST",   "/api/v1/rollouts/{id}/promote",   rollout_promote_post,    PERM_PUBLISH,      4 * KIB,  0 },
    { "GET",    "/api/v1/dry-runs",               dry_run_list_get,         PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/dry-runs/{id}",          dry_run_get_one,          PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/rollout-policy",         rollout_policy_get_one,   PERM_DEVICE_READ,  0,        0 },
    { "PATCH",  "/api/v1/rollout-policy",         rollout_policy_patch_one, PERM_PUBLISH,      4 * KIB,  R_MERGE },

    /* alerts (docs/internals/alerts.md) */
    { "GET",    "/api/v1/alerts",                 alert_list_get,           PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/alerts/{id}",            alert_get_one,            PERM_DEVICE_READ,  0,        0 },
    { "POST",   "/api/v1/alerts/{id}/ack",        alert_ack_post,           PERM_DEVICE_WRITE, 4 * KIB,  0 },
    { "GET",    "/api/v1/alert-rules",            alert_rule_list_get,      PERM_DEVICE_READ,  0,        0 },
    { "POST",   "/api/v1/alert-rules",            alert_rule_post,          PERM_ADMIN,        16 * KIB, 0 },
    { "GET",    "/api/v1/alert-rules/{id}",       alert_rule_get_one,       PERM_DEVICE_READ,  0,        0 },
    { "PATCH",  "/api/v1/alert-rules/{id}",       alert_rule_patch,         PERM_ADMIN,        16 * KIB, R_MERGE },
    { "DELETE", "/api/v1/alert-rules/{id}",       alert_rule_delete_one,    PERM_ADMIN,        0,        0 },
    { "GET",    "/api/v1/alert-channels",         alert_channel_list_get,   PERM_DEVICE_READ,  0,        0 },
    { "POST",   "/api/v1/alert-channels",         alert_channel_post,       PERM_ADMIN,        128 * KIB, 0 },
    { "GET",    "/api/v1/alert-channels/{id}",    alert_channel_get_one,    PERM_DEVICE_READ,  0,        0 },
    { "PATCH",  "/api/v1/alert-channels/{id}",    alert_channel_patch,      PERM_ADMIN,        128 * KIB, R_MERGE },
    { "DELETE", "/api/v1/alert-channels/{id}",    alert_channel_delete_one, PERM_ADMIN,        0,        0 },
    { "POST",   "/api/v1/alert-channels/{id}/test", alert_channel_test_post, PERM_ADMIN,       1 * KIB,  0 },
    { "GET",    "/api/v1/alert-silences",         alert_silence_list_get,   PERM_DEVICE_READ,  0,        0 },
    { "POST",   "/api/v1/alert-silences",         alert_silence_post,       PERM_DEVICE_WRITE, 4 * KIB,  0 },
    { "GET",    "/api/v1/alert-silences/{id}",    alert_silence_get_one,    PERM_DEVICE_READ,  0,        0 },
    { "PATCH",  "/api/v1/alert-silences/{id}",    alert_silence_patch,      PERM_DEVICE_WRITE, 4 * KIB,  R_MERGE },
    { "DELETE", "/api/v1/alert-silences/{id}",    alert_silence_delete_one, PERM_DEVICE_WRITE, 0,        0 },
    { "GET",    "/api/v1/alert-notices",          alert_notice_list_get,    PERM_DEVICE_READ,  0,        0 },
    { "GET",    "/api/v1/alert-notices/{id}",     alert_notice_get_one,     PERM_DEVICE_READ,  0,        0 },
    { "POST",   "/api/v1/alert-notices/{id}/retry", alert_notice_retry_post, PERM_DEVICE_WRITE, 1 * KIB, 0 },

    /* events: what happened on the devices */
    { "GET",    "/api/v1/event-policy",           event_policy_get_one,     PERM_EVENTS_READ,  0,        0 },
    { "PATCH",  "/api/v1/event-policy",           event_policy_patch_one,   PERM_ADMIN,        4 * KIB,  R_MERGE },

    { NULL, NULL, NULL, 0, 0, 0 },
};
// clang-format on
