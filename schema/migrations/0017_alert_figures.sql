-- 0017_alert_figures: rules on what each device's mail does (0012_figures), on by default.

INSERT INTO alert_rule (id, name, builtin, kind, params, severity, for_s, clear_s) VALUES
    ('00000000-0000-7000-8000-00000000a10f', 'queue-age',      true, 'figure', '{"figure":"oldest_s","over":14400,"clear":7200,"window_s":600,"least":20}', 'warning', 300, 300),
    ('00000000-0000-7000-8000-00000000a110', 'mail-deferred',  true, 'figure', '{"figure":"deferred_percent","over":50,"clear":25,"window_s":900,"least":50}', 'warning', 300, 300),
    ('00000000-0000-7000-8000-00000000a111', 'mail-bounced',   true, 'figure', '{"figure":"bounced_percent","over":50,"clear":25,"window_s":900,"least":50}', 'warning', 300, 300),
    ('00000000-0000-7000-8000-00000000a112', 'events-dropped', true, 'figure', '{"figure":"dropped","over":0,"clear":0,"window_s":3600,"least":1}', 'warning', 0, 0);
