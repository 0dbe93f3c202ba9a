-- 0022_preferences: what somebody has chosen for the console, for every browser they sign in with (docs/internals/api.md,
-- /session/preferences): a few known members, checked by the parent.

ALTER TABLE account ADD COLUMN preferences jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(preferences) = 'object' AND
    octet_length(preferences::text) <= 1000);
