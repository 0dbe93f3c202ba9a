-- 0001_base: the first schema.  Runs in one transaction by server/store/migrate.c; never edited after release.
-- Times are timestamptz (UTC).  Ids are UUIDv7.  Secrets are stored hashed or sealed, never plain.

CREATE TABLE meta (                      -- one-value facts: fleet, epoch, trust
    key   text PRIMARY KEY,
    value jsonb NOT NULL
);

CREATE TABLE account (
    id           uuid PRIMARY KEY,
    name         text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    password     text NOT NULL,          -- encoded Argon2id
    must_change  boolean NOT NULL DEFAULT false,
    disabled     boolean NOT NULL DEFAULT false,
    lang         text NOT NULL DEFAULT 'en' CHECK (lang IN ('en', 'ja')),
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE login_failure (             -- survives a restart; delay grows, never a permanent lock
    kind     text NOT NULL CHECK (kind IN ('account', 'address')),
    subject  text NOT NULL,
    failures integer NOT NULL,
    until    timestamptz NOT NULL,
    PRIMARY KEY (kind, subject)
);

CREATE TABLE session (
    id_hash    bytea PRIMARY KEY,        -- SHA-256 of the cookie value
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    address    text NOT NULL
);

CREATE TABLE api_token (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    token_hash  bytea NOT NULL UNIQUE,
    account_id  uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    scopes      text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    used_at     timestamptz,
    revoked_at  timestamptz
);

CREATE TABLE audit (                     -- hash-chained: hash = SHA-256(prev || canonical JSON of the entry)
    seq        bigint PRIMARY KEY,
    at         timestamptz NOT NULL,
    actor_kind text NOT NULL CHECK (actor_kind IN ('account', 'token', 'device', 'system', 'nobody')),
    actor      text NOT NULL,
    address    text NOT NULL,
    action     text NOT NULL,            -- stable word, "revision.publish"
    object     text NOT NULL,            -- "device/0190..."
    detail     jsonb NOT NULL,
    prev       bytea NOT NULL,
    hash       bytea NOT NULL
);
CREATE TABLE audit_head (                -- one row; locked while an entry is appended
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq  bigint NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO audit_head (seq, hash) VALUES (0, '\x');

CREATE TABLE device_group (
    id       uuid PRIMARY KEY,
    name     text NOT NULL UNIQUE,
    kind     text NOT NULL DEFAULT 'set' CHECK (kind IN ('set', 'mx')),
    priority integer NOT NULL UNIQUE,    -- explicit order of the group layers: higher wins
    version  bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE revision_pub;            -- pub: what people talk about
CREATE SEQUENCE bundle_rev;              -- rev: grows for every device content change

CREATE TABLE revision (
    pub     bigint PRIMARY KEY,
    content jsonb NOT NULL,              -- {"fleet":{},"groups":{id:{}},"devices":{id:{}}}
    digest  text NOT NULL,
    diff    jsonb NOT NULL,              -- [{"layer","id","key","row","old","new"}]
    author  text NOT NULL,
    reason  text NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('initial', 'publish', 'restore', 'undo')),
    source  bigint REFERENCES revision,  -- restored or undone revision
    forced  jsonb,                       -- findings overridden, with the reason
    at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE leaf_origin (               -- who set each value that is in force now
    layer text NOT NULL CHECK (layer IN ('fleet', 'group', 'device')),
    id    text NOT NULL,                 -- group or device id; '' for the fleet
    key   text NOT NULL,
    row   text NOT NULL,                 -- row key of a list; '' for a plain value
    pub   bigint NOT NULL REFERENCES revision,
    PRIMARY KEY (layer, id, key, row)
);

CREATE TABLE draft (
    id         uuid PRIMARY KEY,
    owner      uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    title      text NOT NULL DEFAULT '',
    base_pub   bigint NOT NULL REFERENCES revision,
    changes    jsonb NOT NULL,           -- merge patch against {"fleet","groups","devices"}
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE enrolment_token (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    token_hash   bytea NOT NULL UNIQUE,
    uses_max     integer NOT NULL CHECK (uses_max BETWEEN 1 AND 10000),
    uses         integer NOT NULL DEFAULT 0,
    networks     cidr[] NOT NULL DEFAULT '{}',   -- empty: from anywhere
    group_id     uuid REFERENCES device_group ON DELETE SET NULL,
    name_pattern text NOT NULL DEFAULT '*',
    placement    text NOT NULL DEFAULT 'edge' CHECK (placement IN ('edge', 'inner')),
    approval     boolean NOT NULL DEFAULT false,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz
);

CREATE TABLE device (
    id           uuid PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    state        text NOT NULL CHECK (state IN ('pending', 'rejected', 'observing', 'managed', 'held', 'quarantined', 'revoked', 'retired')),
    mode         text NOT NULL DEFAULT 'observe' CHECK (mode IN ('observe', 'manage')),
    placement    text NOT NULL DEFAULT 'edge' CHECK (placement IN ('edge', 'inner')),
    drift        text NOT NULL DEFAULT 'report' CHECK (drift IN ('report', 'enforce')),
    kid          text NOT NULL UNIQUE,   -- thumbprint of the signing key
    jwk          jsonb NOT NULL,
    enc_jwk      jsonb NOT NULL,
    gen          bigint NOT NULL DEFAULT 1,      -- credential generation
    fingerprint  text NOT NULL,
    token_id     uuid REFERENCES enrolment_token ON DELETE SET NULL,
    receipt      text NOT NULL DEFAULT '',
    approver     text NOT NULL DEFAULT '',
    address      text NOT NULL DEFAULT '',
    inventory    jsonb NOT NULL DEFAULT '{}',
    desired_rev  bigint NOT NULL DEFAULT 0,
    offered_rev  bigint NOT NULL DEFAULT 0,
    held_until   timestamptz,
    held_reason  text NOT NULL DEFAULT '',
    version      bigint NOT NULL DEFAULT 1,
    enrolled_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE device_member (
    device_id uuid NOT NULL REFERENCES device ON DELETE CASCADE,
    group_id  uuid NOT NULL REFERENCES device_group ON DELETE CASCADE,
    PRIMARY KEY (device_id, group_id)
);

CREATE TABLE rollout (
    id      uuid PRIMARY KEY,
    pub     bigint NOT NULL REFERENCES revision,
    state   text NOT NULL CHECK (state IN ('running', 'completed', 'superseded', 'halted')),
    waves   jsonb NOT NULL,              -- one wave: [[device ids]]
    term    bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz
);

CREATE TABLE bundle (
    device_id      uuid NOT NULL REFERENCES device ON DELETE CASCADE,
    epoch          bigint NOT NULL,
    rev            bigint NOT NULL,
    pub            bigint NOT NULL,
    content_digest text NOT NULL,
    etag           text NOT NULL,        -- SHA-256 of the exact bytes
    mode           text NOT NULL,
    rollout_id     uuid REFERENCES rollout,
    jws            text COMPRESSION lz4 NOT NULL, -- large and alike: pglz took half of a publication
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, epoch, rev),
    UNIQUE (epoch, rev)
);

CREATE TABLE device_status (
    device_id   uuid PRIMARY KEY REFERENCES device ON DELETE CASCADE,
    seq         bigint NOT NULL,
    digest      text NOT NULL,           -- SHA-256 of the payload bytes
    doc         jsonb NOT NULL,
    jws         text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE device_proposal (
    device_id   uuid PRIMARY KEY REFERENCES device ON DELETE CASCADE,
    doc         jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNLOGGED TABLE presence (         -- narrow, bulk upsert; lost in a crash and soon full again
    device_id uuid PRIMARY KEY,
    seen_at   timestamptz NOT NULL
);
CREATE UNLOGGED TABLE jti (              -- client assertions seen, until they expire
    jti        text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE TABLE signing_key (
    kid        text PRIMARY KEY,
    use        text NOT NULL CHECK (use IN ('bundle', 'receipt', 'token', 'root')),
    sealed     bytea,                    -- private part, sealed by the parent's key file; NULL: kept elsewhere
    jwk        jsonb,                    -- public part; NULL for token keys
    created_at timestamptz NOT NULL DEFAULT now(),
    not_after  timestamptz
);
CREATE TABLE trust_document (
    n   bigint PRIMARY KEY,
    jws text NOT NULL
);

CREATE TABLE lease (                     -- singleton work over several parents, with a term
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    term       bigint NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE SEQUENCE change_seq;              -- caches of the parents follow this
CREATE TABLE change (
    seq  bigint PRIMARY KEY DEFAULT nextval('change_seq'),
    kind text NOT NULL,                  -- 'device', 'trust', 'account'
    id   text NOT NULL,
    at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE idempotency (               -- stored answer of a POST, kept a day
    key        text NOT NULL,
    actor      text NOT NULL,
    request    text NOT NULL,            -- SHA-256 of method, path and body
    status     integer NOT NULL,
    body       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, key)
);
