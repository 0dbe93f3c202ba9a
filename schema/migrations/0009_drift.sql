-- 0009_drift: what is to be done about a value changed by hand is a setting (drift.policy, drift.items); the device's own
-- word stands above it.  What nobody chose follows the settings from now on.

ALTER TABLE device DROP CONSTRAINT device_drift_check;
ALTER TABLE device ADD CONSTRAINT device_drift_check CHECK (drift IN ('inherit', 'report', 'enforce', 'adopt'));
ALTER TABLE device ALTER COLUMN drift SET DEFAULT 'inherit';
UPDATE device SET drift = 'inherit' WHERE drift = 'report';

CREATE TABLE drift_adoption (            -- what the parent did by itself about an item whose policy is adopt
    device_id uuid NOT NULL REFERENCES device ON DELETE CASCADE,
    item      text NOT NULL,             -- "main.cf:message_size_limit"
    found     text NOT NULL,             -- the value it was about: the same one is not taken over twice
    since     text NOT NULL,             -- ... unless it was right in between: when the device saw it first
    draft_id  uuid REFERENCES draft ON DELETE SET NULL, -- NULL: published, deleted, or refused
    problem   text NOT NULL DEFAULT '',  -- why it was refused
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, item)
);
CREATE INDEX drift_adoption_draft ON drift_adoption (draft_id);
