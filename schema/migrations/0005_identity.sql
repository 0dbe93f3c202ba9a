-- 0005_identity: key rotation in two phases, instances of one identity, a machine that replaces another, devices that come
-- back with their receipt (protocol.md 6.11, 6.14.4 to 6.14.7).

ALTER TABLE device
    ADD COLUMN key_at        timestamptz NOT NULL DEFAULT now(), -- since when kid is in force
    ADD COLUMN key_rotations integer NOT NULL DEFAULT 0,
    ADD COLUMN next_kid      text UNIQUE,        -- offered by the device, in force once it is used
    ADD COLUMN next_jwk      jsonb,
    ADD COLUMN next_enc_jwk  jsonb,
    ADD COLUMN next_receipt  text,
    ADD COLUMN next_at       timestamptz,
    ADD COLUMN hardware      text NOT NULL DEFAULT '', -- keyed hash of the hardware id alone: outlives a reinstallation
    ADD COLUMN fork          jsonb,              -- what was seen of several instances; NULL: one
    ADD COLUMN reverted_at   timestamptz,        -- last time an older snapshot of it came back
    ADD COLUMN replaces      uuid REFERENCES device ON DELETE SET NULL, -- a pending one: the device this machine was
    ADD COLUMN became        uuid REFERENCES device ON DELETE CASCADE;  -- a tombstone: whose key its key is now
UPDATE device SET key_at = enrolled_at;

ALTER TABLE device DROP CONSTRAINT device_state_check;
ALTER TABLE device ADD CONSTRAINT device_state_check CHECK (state IN ('pending', 'reattach', 'rejected', 'observing', 'managed',
    'held', 'quarantined', 'revoked', 'retired'));

ALTER TABLE presence                             -- which instance of a device was seen last
    ADD COLUMN boot    text NOT NULL DEFAULT '',
    ADD COLUMN seq     bigint NOT NULL DEFAULT 0,
    ADD COLUMN machine text NOT NULL DEFAULT '';
