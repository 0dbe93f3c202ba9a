-- 0016_stream: following what is stored (docs/internals/events.md, "The stream"): batches in the order of their transactions, and
-- the events of one batch, whatever days they belong to.

CREATE INDEX event_batch_order ON event_batch (tx, id);
CREATE INDEX event_by_batch ON event (batch);
