-- 0010_secrets: secrets of settings.  Layers, drafts and revisions have "sealed:<id>" only; the text is in the box, under the
-- parent's key file (seal.h), and leaves it only as a JWE to the key of a device that needs it.

CREATE TABLE secret (
    id         uuid PRIMARY KEY,
    setting    text NOT NULL,              -- "smtp.relayhost_password": it cannot be used for another one
    box        bytea NOT NULL,             -- AES-256-GCM under parent.key, bound to the id
    author     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    pub        bigint                      -- the first publication that has it; NULL: none yet
);

CREATE TABLE device_secret (               -- who was ever given it: what must be changed when that device is lost
    device_id  uuid NOT NULL REFERENCES device ON DELETE CASCADE,
    secret_id  uuid NOT NULL REFERENCES secret ON DELETE CASCADE,
    first_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, secret_id)
);
