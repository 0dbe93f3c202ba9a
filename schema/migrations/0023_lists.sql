-- 0023_lists: the lists of client addresses that are let in or refused before the greeting (docs/internals/lists.md).  No
-- settings of a draft: each change is in force at once, is a version with author and reason, and can be taken back.

CREATE TABLE list (
    name       text PRIMARY KEY CHECK (name IN ('approved', 'blocked')),
    version    bigint NOT NULL DEFAULT 0,
    rows       bigint NOT NULL DEFAULT 0,      -- that are in force or have expired, but not been removed
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO list (name) VALUES ('approved'), ('blocked');

CREATE TABLE list_change (
    list    text NOT NULL REFERENCES list,
    version bigint NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('add', 'remove', 'import', 'undo', 'expire')),
    author  text NOT NULL,
    reason  text NOT NULL DEFAULT '',
    forced  text NOT NULL DEFAULT '',
    undoes  bigint,
    added   bigint NOT NULL,
    removed bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (list, version)
);

CREATE SEQUENCE list_row_id;
CREATE TABLE list_row (                        -- a row that was removed stays for its history: until
    id         bigint PRIMARY KEY DEFAULT nextval('list_row_id'),
    list       text NOT NULL CHECK (list IN ('approved', 'blocked')),
    net        cidr NOT NULL,
    group_id   uuid REFERENCES device_group ON DELETE CASCADE,
    device_id  uuid REFERENCES device ON DELETE CASCADE,
    scope      uuid NOT NULL GENERATED ALWAYS AS
                   (coalesce(group_id, device_id, '00000000-0000-0000-0000-000000000000')) STORED,
    comment    text NOT NULL DEFAULT '',
    author     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    since      bigint NOT NULL,                -- version that brought it
    until      bigint,                         -- version that took it away
    CHECK (group_id IS NULL OR device_id IS NULL)
);
CREATE UNIQUE INDEX list_row_now ON list_row (list, net, scope) WHERE until IS NULL;
CREATE INDEX list_row_since ON list_row (list, since);
CREATE INDEX list_row_until ON list_row (list, until) WHERE until IS NOT NULL;
CREATE INDEX list_row_expires ON list_row (expires_at) WHERE until IS NULL AND expires_at IS NOT NULL;
CREATE INDEX list_row_group ON list_row (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX list_row_device ON list_row (device_id) WHERE device_id IS NOT NULL;
-- What alone can add up to everyone among a million rows.
CREATE INDEX list_row_wide ON list_row (list) WHERE until IS NULL AND masklen(net) <= CASE family(net) WHEN 4 THEN 20 ELSE 24 END;

-- Rows of a group or device that is deleted go with it.
CREATE FUNCTION list_row_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE list SET rows = rows - 1 WHERE name = OLD.list;
    RETURN NULL;
END $$;
CREATE TRIGGER list_row_gone AFTER DELETE ON list_row FOR EACH ROW WHEN (OLD.until IS NULL) EXECUTE FUNCTION list_row_gone();

CREATE TABLE list_scope (                      -- the newest change of each scope: what a device's lists are known by
    list    text NOT NULL REFERENCES list,
    scope   uuid NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (list, scope)
);
