-- 0006_dry_run: every affected device checks a change with its own Postfix before anybody gets it (protocol.md 6.12,
-- "shadow"): one dry run of a revision before its first wave, or of a draft on demand.  Times are the parent's clock.

CREATE TABLE dry_run (
    id          uuid PRIMARY KEY,
    rollout_id  uuid UNIQUE REFERENCES rollout ON DELETE CASCADE, -- NULL: on demand
    draft_id    uuid,                    -- of which draft, which may be gone since
    pub         bigint NOT NULL,         -- the revision, or the one the draft was laid over
    content     jsonb,                   -- of a draft while it runs; NULL: that of pub
    state       text NOT NULL CHECK (state IN ('running', 'passed', 'refused', 'inconclusive', 'cancelled')),
    author      text NOT NULL,
    created_at  timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,    -- nobody is waited for after it
    ended_at    timestamptz
);
CREATE INDEX dry_run_open ON dry_run (id) WHERE state = 'running';
CREATE INDEX dry_run_of_draft ON dry_run (draft_id);

CREATE TABLE dry_run_device (
    dry_run_id uuid NOT NULL REFERENCES dry_run ON DELETE CASCADE,
    device_id  uuid NOT NULL REFERENCES device ON DELETE CASCADE,
    command_id uuid REFERENCES command ON DELETE SET NULL,        -- how it was asked; NULL: it was not
    state      text NOT NULL CHECK (state IN ('asked', 'passed', 'refused', 'away', 'silent', 'unable')),
    reason     text NOT NULL DEFAULT '', -- of away: offline, held, not-taken; of unable: the problem's word
    problem    jsonb,                    -- in the device's own words
    ended_at   timestamptz,
    PRIMARY KEY (dry_run_id, device_id)
);
CREATE INDEX dry_run_command ON dry_run_device (command_id);
