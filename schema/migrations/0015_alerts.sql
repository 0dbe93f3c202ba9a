-- 0015_alerts: what somebody should hear of (docs/internals/alerts.md): rules, what is true now and was, whom to tell, when to keep
-- quiet, and the notices on their way.  Times of the engine are the parent's clock, which follows the database's.

-- Of a status document, what the rules ask for, narrow enough to be read for a whole fleet twice a minute: the conditions that are
-- as they should not be, and the digest that runs when memory and disk agree on it.
ALTER TABLE device_status
    ADD COLUMN trouble jsonb NOT NULL GENERATED ALWAYS AS (coalesce(jsonb_path_query_array(doc,
        '$.conditions[*] ? ((@.status == "False" && @.type != "Drifted" && @.type != "Held" && @.type != "Frozen" && @.type != "Quarantined" && @.type != "Drained" && @.type != "Churning") || (@.status == "True" && (@.type == "Drifted" || @.type == "Held" || @.type == "Frozen" || @.type == "Quarantined" || @.type == "Drained" || @.type == "Churning")))'),
        '[]')) STORED,
    ADD COLUMN runs text GENERATED ALWAYS AS (CASE WHEN doc #>> '{running,postfix,digest}' = doc #>> '{on_disk,digest}'
        THEN doc #>> '{on_disk,digest}' END) STORED;
CREATE INDEX device_status_trouble ON device_status (device_id) WHERE trouble <> '[]';

CREATE TABLE alert_channel (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    kind       text NOT NULL CHECK (kind IN ('mail', 'webhook', 'snmp')),
    config     jsonb NOT NULL,             -- never a secret
    box        bytea,                      -- the secret under the parent's key file, bound to the id (seal.h); NULL: none
    enabled    boolean NOT NULL DEFAULT true,
    fallback   boolean NOT NULL DEFAULT true, -- rules that name no channels use it
    lang       text NOT NULL DEFAULT 'en' CHECK (lang IN ('en', 'ja')),
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE alert_rule (
    id               uuid PRIMARY KEY,
    name             text NOT NULL UNIQUE,
    builtin          boolean NOT NULL DEFAULT false,
    kind             text NOT NULL,        -- server/domain/alert_kind.c
    params           jsonb NOT NULL DEFAULT '{}',
    severity         text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    enabled          boolean NOT NULL DEFAULT true,
    for_s            integer NOT NULL CHECK (for_s BETWEEN 0 AND 2592000),    -- it fires once it held so long
    clear_s          integer NOT NULL CHECK (clear_s BETWEEN 0 AND 2592000),  -- it is over once it did not hold so long
    scope            text NOT NULL DEFAULT 'fleet' CHECK (scope IN ('fleet', 'group', 'device')),
    scope_id         uuid,
    channels         uuid[],               -- NULL: those that are fallbacks
    group_wait_s     integer NOT NULL DEFAULT 20 CHECK (group_wait_s BETWEEN 0 AND 3600),     -- what fires meanwhile comes with it
    group_interval_s integer NOT NULL DEFAULT 300 CHECK (group_interval_s BETWEEN 0 AND 86400), -- between two notices of a rule
    repeat_s         integer NOT NULL DEFAULT 0 CHECK (repeat_s = 0 OR repeat_s BETWEEN 300 AND 2592000),
    trap             integer CHECK (trap BETWEEN 1 AND 2147483647), -- SNMP: the number of its notification; NULL: the kind's own
    told_at          timestamptz,          -- the last notice
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((scope = 'fleet') = (scope_id IS NULL))
);

CREATE TABLE alert (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    rule_id     uuid REFERENCES alert_rule ON DELETE SET NULL,
    rule        text NOT NULL,             -- its name, kind and severity as they were
    kind        text NOT NULL,
    severity    text NOT NULL,
    subject     text NOT NULL,             -- a device's id, "rollout/<id>", "parent/<name>"
    device_id   uuid REFERENCES device ON DELETE SET NULL,
    name        text NOT NULL,             -- of the device, or what people call the subject
    state       text NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
    value       bigint,
    detail      jsonb NOT NULL DEFAULT '{}',
    since       timestamptz NOT NULL,      -- the condition holds
    fired_at    timestamptz,
    clear_at    timestamptz,               -- firing, and not holding since
    resolved_at timestamptz,
    told        text NOT NULL DEFAULT 'nothing' CHECK (told IN ('nothing', 'firing', 'resolved')),
    told_at     timestamptz,
    acked_by    text,
    acked_at    timestamptz,
    ack_reason  text
);
CREATE UNIQUE INDEX alert_open ON alert (rule_id, subject) WHERE state <> 'resolved';
CREATE INDEX alert_resolved ON alert (resolved_at) WHERE state = 'resolved';
CREATE INDEX alert_untold ON alert (rule_id) WHERE state = 'resolved' AND told = 'firing';

CREATE TABLE alert_silence (
    id         uuid PRIMARY KEY,
    rule_id    uuid REFERENCES alert_rule ON DELETE CASCADE,   -- NULL: all
    device_id  uuid REFERENCES device ON DELETE CASCADE,
    group_id   uuid REFERENCES device_group ON DELETE CASCADE,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    reason     text NOT NULL,
    author     text NOT NULL,
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_at > starts_at)
);
CREATE INDEX alert_silence_end ON alert_silence (ends_at);

CREATE TABLE alert_notice (                -- on its way to one channel; sent at least once, always with the same id
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    channel_id uuid NOT NULL REFERENCES alert_channel ON DELETE CASCADE,
    rule_id    uuid REFERENCES alert_rule ON DELETE SET NULL,
    body       jsonb NOT NULL,             -- {"rule","kind","severity","trap","firing":[..],"resolved":[..],"still":[..],counts}
    state      text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'dead')),
    tries      integer NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL,       -- queued: the next try; sending: when whoever sends it has surely given up or died
    problem    text NOT NULL DEFAULT '',   -- of the last try
    created_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE INDEX alert_notice_due ON alert_notice (next_at) WHERE state IN ('queued', 'sending');
CREATE INDEX alert_notice_age ON alert_notice (created_at);

CREATE TABLE alert_engine (                -- one row: what was looked at last, so that a parent that has nothing to do knows it
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    seen    text NOT NULL DEFAULT '',      -- digest of what held then; '': look again
    next_at timestamptz                    -- when there is something to do although nothing changes; NULL: never
);
INSERT INTO alert_engine DEFAULT VALUES;

INSERT INTO alert_rule (id, name, builtin, kind, params, severity, for_s, clear_s) VALUES
    ('00000000-0000-7000-8000-00000000a101', 'device-late',       true, 'device-late',        '{"late_s":180}', 'critical', 120, 60),
    ('00000000-0000-7000-8000-00000000a102', 'device-not-in-sync',true, 'device-not-in-sync', '{}', 'warning', 900, 60),
    ('00000000-0000-7000-8000-00000000a103', 'device-held',       true, 'device-held',        '{}', 'warning', 86400, 0),
    ('00000000-0000-7000-8000-00000000a104', 'device-drifted',    true, 'device-condition',   '{"condition":"Drifted"}', 'warning', 300, 60),
    ('00000000-0000-7000-8000-00000000a105', 'device-clock',      true, 'device-condition',   '{"condition":"ClockSynced"}', 'warning', 300, 60),
    ('00000000-0000-7000-8000-00000000a106', 'device-storage',    true, 'device-condition',   '{"condition":"StorageOk"}', 'critical', 0, 60),
    ('00000000-0000-7000-8000-00000000a107', 'device-service',    true, 'device-condition',   '{"condition":"ServiceRunning"}', 'critical', 60, 60),
    ('00000000-0000-7000-8000-00000000a108', 'device-quarantined',true, 'device-condition',   '{"condition":"Quarantined"}', 'critical', 0, 60),
    ('00000000-0000-7000-8000-00000000a109', 'device-key',        true, 'device-condition',   '{"condition":"KeyCurrent"}', 'warning', 3600, 60),
    ('00000000-0000-7000-8000-00000000a10a', 'device-sees-old-certificate', true, 'device-condition', '{"condition":"ParentCertificate"}', 'warning', 300, 60),
    ('00000000-0000-7000-8000-00000000a10b', 'rollout-halted',    true, 'rollout-halted',     '{}', 'critical', 0, 0),
    ('00000000-0000-7000-8000-00000000a10c', 'parent-certificate',true, 'parent-certificate', '{"days":21}', 'warning', 0, 0),
    ('00000000-0000-7000-8000-00000000a10d', 'parent-database',   true, 'parent-database',    '{"away_s":30}', 'critical', 0, 600),
    ('00000000-0000-7000-8000-00000000a10e', 'parent-fenced',     true, 'parent-fenced',      '{}', 'critical', 0, 0);
