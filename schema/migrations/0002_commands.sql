-- 0002_commands: tracked one-off orders to a device (docs/internals/wire.md, "Commands").

CREATE TABLE command (
    id           uuid PRIMARY KEY,
    device_id    uuid NOT NULL REFERENCES device ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind ~ '^[a-z]+(-[a-z]+)*$' AND length(kind) <= 40),
    args         jsonb NOT NULL,
    reason       text NOT NULL DEFAULT '',
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'running', 'done', 'failed',
                     'interrupted', 'expired', 'cancelled', 'unknown')),
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    started_at   timestamptz,
    ended_at     timestamptz,
    result       jsonb,
    problem      jsonb,
    output_bytes bigint NOT NULL DEFAULT 0,
    version      bigint NOT NULL DEFAULT 1
);
CREATE INDEX command_of_device ON command (device_id, id);
CREATE INDEX command_waiting ON command (device_id) WHERE state = 'queued';
CREATE INDEX command_open ON command (expires_at) WHERE state IN ('queued', 'delivered', 'running');

CREATE TABLE command_output (            -- the pieces in the order they came; from_byte: where each begins
    command_id uuid NOT NULL REFERENCES command ON DELETE CASCADE,
    from_byte  bigint NOT NULL CHECK (from_byte >= 0),
    text       text NOT NULL,
    PRIMARY KEY (command_id, from_byte)
);
