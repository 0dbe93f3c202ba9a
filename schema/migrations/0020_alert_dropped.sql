-- 0020_alert_dropped: minutes in which events were lost are few, and looked for in those of all devices twice a minute.
CREATE INDEX figure_dropped ON figure (at) WHERE step_s = 60 AND dropped > 0;
