-- 0014_absent: a rollout in waves none of whose devices was there waits for one of them, and begins again with that one alone.

ALTER TABLE rollout DROP CONSTRAINT rollout_waits_check,
    ADD CONSTRAINT rollout_waits_check CHECK (waits IN ('', 'urgent', 'silence', 'absent')); -- paused by itself, and why
