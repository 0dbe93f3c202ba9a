-- 0003_rollout: staged rollouts (protocol.md 6.12).  A rollout has waves of devices; a device is offered a publication
-- when its wave is released, and gets its bundle (with a fresh rev) only then.  Times of the engine are the parent's
-- clock, not the database's.

-- The publication a device is entitled to: what it is given again when its mode or groups change.
ALTER TABLE device ADD COLUMN pub bigint NOT NULL DEFAULT 0;
UPDATE device d SET pub = b.pub FROM bundle b WHERE b.device_id = d.id AND b.rev = d.desired_rev;

ALTER TABLE rollout DROP CONSTRAINT rollout_state_check;
ALTER TABLE rollout ADD CONSTRAINT rollout_state_check CHECK (state IN ('shadow', 'awaiting-approval', 'running',
    'baking', 'paused', 'halted', 'reverting', 'completed', 'superseded', 'cancelled', 'reverted'));
ALTER TABLE rollout DROP COLUMN waves;
ALTER TABLE rollout
    ADD COLUMN strategy    jsonb NOT NULL DEFAULT '{"strategy":"all"}',  -- the policy as it was, with what was asked for
    ADD COLUMN n_waves     integer NOT NULL DEFAULT 1,
    ADD COLUMN wave        integer NOT NULL DEFAULT 0,      -- waves up to this one are released
    ADD COLUMN state_at    timestamptz NOT NULL DEFAULT now(), -- since when it is in this state
    ADD COLUMN paused_from text NOT NULL DEFAULT '',
    ADD COLUMN reason      text NOT NULL DEFAULT '',        -- why it is paused, halted, cancelled
    ADD COLUMN author      text NOT NULL DEFAULT '',        -- who published, for people
    ADD COLUMN author_id   text NOT NULL DEFAULT '',        -- the account; another one must approve
    ADD COLUMN approver    text NOT NULL DEFAULT '',
    ADD COLUMN reverts     uuid REFERENCES rollout,         -- the rollout whose publication this one takes back
    ADD COLUMN auto_revert boolean NOT NULL DEFAULT false,  -- the engine owes a revert
    ADD COLUMN version     bigint NOT NULL DEFAULT 1;
UPDATE rollout r SET author = v.author FROM revision v WHERE v.pub = r.pub;
CREATE INDEX rollout_open ON rollout (id) WHERE state NOT IN ('completed', 'superseded', 'cancelled', 'reverted');

CREATE TABLE rollout_device (
    rollout_id  uuid NOT NULL REFERENCES rollout ON DELETE CASCADE,
    device_id   uuid NOT NULL REFERENCES device ON DELETE CASCADE,
    wave        integer NOT NULL,
    place       integer NOT NULL,            -- order inside the wave
    state       text NOT NULL CHECK (state IN ('queued', 'offered', 'fetched', 'confirmed', 'observed', 'rejected', 'reverted',
                    'interrupted', 'degraded', 'held', 'timed-out', 'unhealthy', 'skipped', 'superseded')),
    reason      text NOT NULL DEFAULT '',    -- of skipped: held, offline, gone, unchanged, cancelled
    rev         bigint NOT NULL DEFAULT 0,   -- of the bundle it was offered
    from_pub    bigint NOT NULL DEFAULT 0,   -- what it had before: the stable content
    problem     jsonb,                       -- as the device reported it
    health      jsonb,                       -- its figures when it was released
    forgiven    boolean NOT NULL DEFAULT false, -- a failure somebody resumed after
    released_at timestamptz,
    fetched_at  timestamptz,
    ended_at    timestamptz,
    PRIMARY KEY (rollout_id, device_id)
);
CREATE INDEX rollout_device_busy ON rollout_device (device_id) WHERE state IN ('offered', 'fetched');
INSERT INTO rollout_device (rollout_id, device_id, wave, place, state, rev, from_pub, released_at)
    SELECT b.rollout_id, b.device_id, 0, 0, CASE WHEN b.rev = d.desired_rev THEN 'offered' ELSE 'superseded' END, b.rev,
           b.pub, b.created_at
    FROM (SELECT DISTINCT ON (rollout_id, device_id) * FROM bundle WHERE rollout_id IS NOT NULL
          ORDER BY rollout_id, device_id, epoch DESC, rev DESC) AS b JOIN device d ON d.id = b.device_id;

CREATE TABLE rollout_policy (                -- one row: how publications roll out that do not say so themselves
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    doc     jsonb NOT NULL,
    version bigint NOT NULL DEFAULT 1
);
INSERT INTO rollout_policy (doc) VALUES ('{}');
