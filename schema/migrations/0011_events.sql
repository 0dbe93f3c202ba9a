-- 0011_events: what happens on the devices (docs/internals/events.md).  Devices send batches of events; each is stored once,
-- in the partition of its day.  No row here hangs on a row of "device": what happened stays when a device is deleted.

CREATE TABLE event (                         -- fixed widths first: no padding in the longest of all tables
    at            timestamptz NOT NULL,      -- when it happened, by the parent's clock as the device reckons it
    received_at   timestamptz NOT NULL,
    device_at     timestamptz,               -- what the device said, where "at" could not be kept (too old, or in the future)
    batch         bigint NOT NULL,           -- event_batch.id
    seq           bigint NOT NULL,           -- of its spool
    size          bigint,
    delay_ms      bigint,
    device_id     uuid NOT NULL,
    n             integer NOT NULL,          -- order within the batch
    stream        text NOT NULL,
    kind          text NOT NULL,
    queue_id      text,
    orig_queue_id text,
    next_queue_id text,
    sender        text,
    recipient     text,
    client        inet,
    client_name   text,
    helo          text,
    message_id    text,
    subject       text,
    relay         text,
    dsn           text,
    status        text,
    reason        text,
    text          text,
    detail        jsonb
) PARTITION BY RANGE (at);
CREATE INDEX event_at ON event USING brin (at);
CREATE INDEX event_queue_id ON event (queue_id, at) WHERE queue_id IS NOT NULL;

-- The partition of a UTC day, "event_YYYYMMDD"; true: it was made now.  Attached, not made in place: CREATE TABLE ... PARTITION OF
-- would wait for every transaction that stores or reads events, and keep all others waiting behind it.
CREATE FUNCTION event_make_day(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := 'event_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Who waited here for another one that made it does not see it by to_regclass(), which remembers that there was none.
    PERFORM pg_advisory_xact_lock(hashtext('inari event day'), to_char(day, 'YYYYMMDD')::int);
    IF EXISTS (SELECT 1 FROM pg_class c WHERE c.relname = name AND c.relnamespace = 'public'::regnamespace) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.event INCLUDING DEFAULTS INCLUDING STORAGE)', name);
    EXECUTE format('ALTER TABLE public.event ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name,
                   to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00');
    RETURN true;
END $$;
SELECT event_make_day((now() AT TIME ZONE 'UTC')::date - 1), event_make_day((now() AT TIME ZONE 'UTC')::date),
       event_make_day((now() AT TIME ZONE 'UTC')::date + 1);

CREATE TABLE event_batch (                   -- what was stored together
    id          bigserial PRIMARY KEY,
    tx          xid8 NOT NULL DEFAULT pg_current_xact_id(), -- ids are given in another order than they are committed in
    device_id   uuid NOT NULL,
    stream      text NOT NULL,
    received_at timestamptz NOT NULL,
    first       bigint NOT NULL,             -- seq of the first and the last event it brought
    last        bigint NOT NULL,
    n           integer NOT NULL             -- rows in "event", the parent's own (spool.gap) included
);
CREATE INDEX event_batch_received_at ON event_batch (received_at);

CREATE TABLE event_stream (                  -- how far each spool of each device is stored
    device_id    uuid NOT NULL,
    stream       text NOT NULL,
    spool        uuid NOT NULL,              -- a spool that was made anew counts anew
    acknowledged bigint NOT NULL DEFAULT 0,
    dropped      bigint NOT NULL DEFAULT 0,  -- as the device says: what its spool could not keep
    gap          bigint NOT NULL DEFAULT 0,  -- events that never came
    last_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, stream, spool)
);

CREATE TABLE event_policy (                  -- one row
    one               boolean PRIMARY KEY DEFAULT true CHECK (one),
    keep_days         integer NOT NULL DEFAULT 30 CHECK (keep_days BETWEEN 1 AND 3650),
    size_budget_bytes bigint NOT NULL DEFAULT 21474836480 CHECK (size_budget_bytes > 0),
    subject           text NOT NULL DEFAULT 'keep' CHECK (subject IN ('keep', 'hash', 'omit')),
    floor_day         date NOT NULL DEFAULT '2000-01-01', -- days before it were dropped: they are not made again
    version           bigint NOT NULL DEFAULT 1
);
INSERT INTO event_policy DEFAULT VALUES;
