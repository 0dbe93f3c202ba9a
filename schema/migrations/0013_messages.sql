-- 0013_messages: searching events and following one message (docs/internals/events.md, "Messages").
-- What an index holds of a text is cut: a row that an index refused for its length would stop the stream it came in.

-- Addresses stand backwards, so that one index finds an address and a whole domain: "@example.org" is a range of it.
CREATE INDEX event_sender ON event ((reverse(lower(left(sender, 320))) COLLATE "C"), at)
    WHERE kind IN ('message.queued', 'message.rejected') AND sender <> '';
CREATE INDEX event_recipient ON event ((reverse(lower(left(recipient, 320))) COLLATE "C"), at)
    WHERE kind IN ('message.delivery', 'message.rejected');
CREATE INDEX event_client ON event (client, at) WHERE kind IN ('message.queued', 'message.rejected');
CREATE INDEX event_message_id ON event ((left(message_id, 250) COLLATE "C"), at) WHERE kind = 'message.queued' AND message_id IS NOT NULL;
-- Hops: from a hand-back by a filter to what it was, from "queued as" to the device that said so.
CREATE INDEX event_orig_queue_id ON event (orig_queue_id, at) WHERE orig_queue_id IS NOT NULL;
CREATE INDEX event_next_queue_id ON event ((left(next_queue_id, 64)), at) WHERE next_queue_id IS NOT NULL;
-- What did not go well is a small part of all.
CREATE INDEX event_status ON event (status, at) WHERE status <> 'sent';
CREATE INDEX event_reason ON event (reason, at) WHERE reason IS NOT NULL;
CREATE INDEX event_kind ON event (kind, at) WHERE kind NOT IN ('message.queued', 'message.delivery', 'message.removed', 'session');

-- The words of a subject: runs of ASCII letters and digits, and of everything that is not ASCII each two characters that follow one
-- another (and the last alone): Japanese has no blanks.  No extension: it works for any owner of a database.
CREATE FUNCTION event_words(s text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.array_to_tsvector(ARRAY(
        SELECT pg_catalog.left(m[1], 40) FROM pg_catalog.regexp_matches(pg_catalog.lower(pg_catalog.left(s, 500)), '[a-z0-9]+', 'g') AS m
        UNION ALL
        SELECT pg_catalog.substr(m[1], i, 2) FROM pg_catalog.regexp_matches(pg_catalog.lower(pg_catalog.left(s, 500)), '[^\u0001-\u007f]+', 'g') AS m,
               pg_catalog.generate_series(1, pg_catalog.length(m[1])) AS i))
$$;
CREATE INDEX event_subject ON event USING gin (event_words(subject)) WHERE kind = 'message.queued' AND subject IS NOT NULL;

CREATE TABLE device_ran (                    -- what each device said that it runs, since when: a row for each change
    device_id uuid NOT NULL,                 -- kept when a device is deleted, as its events are
    since     timestamptz NOT NULL DEFAULT now(),
    digest    text NOT NULL,
    pub       bigint,                        -- the publication it came with; NULL: none of ours
    PRIMARY KEY (device_id, since)
);
INSERT INTO device_ran (device_id, since, digest, pub)
    SELECT s.device_id, s.received_at, s.doc->'running'->'postfix'->>'digest',
           (SELECT b.pub FROM bundle b WHERE b.device_id = s.device_id AND b.content_digest = s.doc->'running'->'postfix'->>'digest'
            ORDER BY b.epoch DESC, b.rev DESC LIMIT 1)
    FROM device_status s WHERE s.doc->'running'->'postfix'->>'digest' <> '';
