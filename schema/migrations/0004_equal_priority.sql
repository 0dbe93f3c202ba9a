-- Groups may share a priority (protocol 6.15): then they must not set the same leaf differently for one device, which the
-- publication, the membership and the change of a priority check.  A unique number only hid that rule.
ALTER TABLE device_group DROP CONSTRAINT device_group_priority_key;
CREATE INDEX device_group_priority ON device_group (priority);
