-- 0018_event_until: up to which moment everything a device's log said is stored, so that whoever judges by figures knows which
-- minutes are whole (docs/internals/events.md).  No row hangs on one of "device".

CREATE TABLE event_until (
    device_id uuid NOT NULL,
    stream    text NOT NULL,
    until     timestamptz NOT NULL,          -- by the parent's clock, never ahead of it
    PRIMARY KEY (device_id, stream)
) WITH (fillfactor = 50);
