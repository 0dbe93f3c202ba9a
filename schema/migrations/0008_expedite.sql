-- 0008_expedite: expedited changes go first, on top of what each device has (docs/internals/rollout.md, "Expedited"); a
-- rollout that stands aside by itself goes on where it stood.

-- Expedited publications a device has on top of its publication; higher than that, ascending.
ALTER TABLE device ADD COLUMN urgent bigint[] NOT NULL DEFAULT '{}';

ALTER TABLE rollout
    ADD COLUMN urgent    bigint[] NOT NULL DEFAULT '{}', -- what it puts on top of what each device has; {}: the whole publication
    ADD COLUMN waits     text NOT NULL DEFAULT '' CHECK (waits IN ('', 'urgent', 'silence')), -- paused by itself, and why
    ADD COLUMN stood_ms  bigint NOT NULL DEFAULT 0,      -- how long it had been where it was when it began to wait
    ADD COLUMN overruled boolean NOT NULL DEFAULT false; -- a person said: go on although the fleet is silent

-- What a device had when it was released, beside from_pub.
ALTER TABLE rollout_device ADD COLUMN from_urgent bigint[] NOT NULL DEFAULT '{}';

-- A rollout whose devices refused it may be tried by them again.
ALTER TABLE dry_run DROP CONSTRAINT dry_run_rollout_id_key;
CREATE INDEX dry_run_of_rollout ON dry_run (rollout_id);
