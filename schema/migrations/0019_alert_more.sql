-- 0019_alert_more: more of what somebody should hear of: a disk that fills up, a certificate of a device that ends, mail that takes long.

-- MiB of the volumes of the agent's state and of the queue (domain/figure.h) at disk_at; NULL: none was said in this step.
ALTER TABLE figure ADD COLUMN disk_at timestamptz, ADD COLUMN disk_free bigint[], ADD COLUMN disk_size bigint[];

-- When the first of the certificates ends that Postfix uses there, as the device says it; what is no time is passed over.  Narrow enough to
-- be read for a whole fleet twice a minute, without the inventory.
CREATE FUNCTION device_certificate_end(inventory jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    v text;
    first timestamptz;
BEGIN
    FOR v IN SELECT jsonb_array_elements_text(jsonb_path_query_array(inventory,
        '$.facts.files[*] ? (@.in_use == true && @.is_cert == true).not_after ? (@.type() == "string")')) LOOP
        BEGIN
            IF v ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$' THEN
                first := least(first, v::timestamptz);
            END IF;
        EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
            NULL;
        END;
    END LOOP;
    RETURN first;
END
$$;
ALTER TABLE device ADD COLUMN certificate_end timestamptz GENERATED ALWAYS AS (device_certificate_end(inventory)) STORED;
CREATE INDEX device_certificate ON device (certificate_end) WHERE certificate_end IS NOT NULL;

INSERT INTO alert_rule (id, name, builtin, kind, params, severity, for_s, clear_s) VALUES
    ('00000000-0000-7000-8000-00000000a113', 'device-certificate', true, 'device-certificate', '{"days":21}', 'warning', 0, 0),
    ('00000000-0000-7000-8000-00000000a114', 'device-disk',        true, 'device-disk', '{"hours":24,"window_h":6}', 'warning', 0, 600),
    ('00000000-0000-7000-8000-00000000a115', 'mail-slow',          true, 'figure', '{"figure":"latency_p95_ms","over":100000,"clear":30000,"window_s":900,"least":50}', 'warning', 300, 300);
