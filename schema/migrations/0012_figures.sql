-- 0012_figures: what happened on each device in each minute, hour and day, counted in the transaction that stores the events.
-- No row hangs on one of "device": history stays when a device is deleted.  Lists stand in the order of domain/figure.h; '{}' is all zero.

CREATE FUNCTION figure_add(a bigint[], b bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN cardinality(b) = 0 THEN a WHEN cardinality(a) = 0 THEN b ELSE ARRAY(
        SELECT coalesce(u.x, 0) + coalesce(u.y, 0) FROM unnest(a, b) WITH ORDINALITY AS u (x, y, i) ORDER BY u.i) END
$$;
CREATE FUNCTION figure_max(a bigint[], b bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY(SELECT greatest(u.x, u.y) FROM unnest(a, b) WITH ORDINALITY AS u (x, y, i) ORDER BY u.i)
$$;
CREATE AGGREGATE figure_sum(bigint[]) (SFUNC = figure_add, STYPE = bigint[], INITCOND = '{}', PARALLEL = SAFE);

CREATE TABLE figure (
    device_id    uuid NOT NULL,
    step_s       int NOT NULL CHECK (step_s IN (60, 3600, 86400)),
    at           timestamptz NOT NULL,         -- begin of the step
    accepted     bigint NOT NULL DEFAULT 0,    -- messages that reached a queue from others
    bytes        bigint NOT NULL DEFAULT 0,    -- of those
    delivered    bigint NOT NULL DEFAULT 0,    -- recipients, attempts
    deferred     bigint NOT NULL DEFAULT 0,
    bounced      bigint NOT NULL DEFAULT 0,
    expired      bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,    -- sum of rejected
    sessions     bigint NOT NULL DEFAULT 0,
    auth_failed  bigint NOT NULL DEFAULT 0,
    fatal        bigint NOT NULL DEFAULT 0,    -- daemons of Postfix that gave up
    events       bigint NOT NULL DEFAULT 0,    -- all that came, internal ones too
    dropped      bigint NOT NULL DEFAULT 0,    -- events lost on the device or on the way
    unread       bigint NOT NULL DEFAULT 0,    -- lines that nobody could read
    rejected     bigint[] NOT NULL DEFAULT '{}', -- by reason
    deferred_why bigint[] NOT NULL DEFAULT '{}', -- by reason
    latency      bigint[] NOT NULL DEFAULT '{}', -- of what was delivered, by class
    gauge_at     timestamptz,                  -- of the last look at the queue in this step; NULL: none
    queue        bigint[],                     -- incoming, active, deferred, hold, corrupt at gauge_at
    queue_max    bigint[],                     -- the most of each
    oldest_s     bigint,                       -- age of the oldest message at gauge_at
    oldest_max_s bigint,
    PRIMARY KEY (device_id, step_s, at)
) WITH (fillfactor = 80);
CREATE INDEX figure_at ON figure (step_s, at);
