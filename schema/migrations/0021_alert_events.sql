-- 0021_alert_events: what a device says of its events: late and lost ones are trouble when they are so (0015_alerts had it the other way round).
DROP INDEX device_status_trouble;
ALTER TABLE device_status DROP COLUMN trouble;
ALTER TABLE device_status
    ADD COLUMN trouble jsonb NOT NULL GENERATED ALWAYS AS (coalesce(jsonb_path_query_array(doc,
        '$.conditions[*] ? ((@.status == "False" && @.type != "Drifted" && @.type != "Held" && @.type != "Frozen" && @.type != "Quarantined" && @.type != "Drained" && @.type != "Churning" && @.type != "EventsBehind" && @.type != "EventsDropped") || (@.status == "True" && (@.type == "Drifted" || @.type == "Held" || @.type == "Frozen" || @.type == "Quarantined" || @.type == "Drained" || @.type == "Churning" || @.type == "EventsBehind" || @.type == "EventsDropped")))'),
        '[]')) STORED;
CREATE INDEX device_status_trouble ON device_status (device_id) WHERE trouble <> '[]';

INSERT INTO alert_rule (id, name, builtin, kind, params, severity, for_s, clear_s) VALUES
    ('00000000-0000-7000-8000-00000000a116', 'events-late', true, 'device-condition', '{"condition":"EventsBehind"}', 'warning', 0, 60);
