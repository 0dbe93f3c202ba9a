-- 0007_kept: what devices still hold of this fleet's own bundles when the parent knows less than they do (protocol.md 6.14.8).

CREATE TABLE device_kept (
    device_id      uuid PRIMARY KEY REFERENCES device ON DELETE CASCADE,
    epoch          bigint NOT NULL,
    rev            bigint NOT NULL,
    pub            bigint NOT NULL,
    settings       jsonb NOT NULL,      -- of section postfix; the signature was checked when it came
    received_at    timestamptz NOT NULL DEFAULT now()
);
