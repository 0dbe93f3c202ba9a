/*
 * alert_seen.h - SQL of what the alert rules see right now, one row a rule and subject: rule_id, subject, device_id, name, level
 * ('hot': over the threshold; 'warm': between the threshold and where it is over; what is in no row is cold), value, detail.
 * Part of the look (look_store.c), which compares it with what was acted on last, and of the engine (alert_engine_store.c).
 * now: timestamptz; facts: jsonb array of what only the parent's process knows, {"kind","subject","name","value","detail"}.
 */
#pragma once

#define ALERT_SEEN_DEVICE "SELECT d.id::text AS subject, d.id AS device_id, d.name, 'hot' AS level, "

/* clang-format off */
/* Of the minutes of its window: sums in percent of what could have been, once there was enough of it; the newest look at the queue. */
#define ALERT_SEEN_FIGURE(now) \
    "SELECT d.id::text, d.id, d.name, CASE WHEN m.value > (r.params->>'over')::bigint THEN 'hot' ELSE 'warm' END, m.value," \
    " r.params FROM (SELECT f.device_id, CASE r.params->>'figure'" \
    " WHEN 'deferred_percent' THEN 100 * sum(f.deferred) / nullif(sum(f.delivered + f.deferred + f.bounced + f.expired), 0)" \
    " WHEN 'bounced_percent' THEN 100 * sum(f.bounced + f.expired) / nullif(sum(f.delivered + f.deferred + f.bounced + f.expired), 0)" \
    " WHEN 'rejected_percent' THEN 100 * sum(f.refused) / nullif(sum(f.refused + f.accepted), 0)" \
    " WHEN 'dropped' THEN sum(f.dropped)" \
    " WHEN 'queue' THEN (array_agg(f.queue[1] + f.queue[2] + f.queue[3] ORDER BY f.at DESC) FILTER (WHERE f.queue IS NOT NULL))[1]" \
    " WHEN 'oldest_s' THEN (array_agg(f.oldest_s ORDER BY f.at DESC) FILTER (WHERE f.gauge_at IS NOT NULL))[1] END::bigint AS value," \
    " CASE r.params->>'figure' WHEN 'rejected_percent' THEN sum(f.refused + f.accepted)" \
    " ELSE sum(f.delivered + f.deferred + f.bounced + f.expired) END AS n FROM figure f WHERE r.kind = 'figure' AND f.step_s = 60" \
    " AND f.at >= " now " - make_interval(secs => (r.params->>'window_s')::integer) GROUP BY f.device_id) m" \
    " JOIN device d ON d.id = m.device_id WHERE r.kind = 'figure' AND d.state IN ('observing', 'managed', 'held')" \
    " AND m.value > least((r.params->>'over')::bigint, coalesce(nullif((r.params->>'clear')::bigint, -1), (r.params->>'over')::bigint))" \
    " AND (r.params->>'figure' NOT LIKE '%_percent' OR m.n >= (r.params->>'least')::integer)"

#define ALERT_SEEN(now, facts) \
    "SELECT DISTINCT ON (r.id, x.subject) r.id AS rule_id, x.* FROM alert_rule r CROSS JOIN LATERAL (" \
    ALERT_SEEN_DEVICE "extract(epoch FROM " now " - coalesce(p.seen_at, d.enrolled_at))::bigint AS value," \
    " jsonb_build_object('seen_ms', (extract(epoch FROM p.seen_at) * 1000)::bigint) AS detail" \
    " FROM device d LEFT JOIN presence p ON p.device_id = d.id WHERE r.kind = 'device-late'" \
    " AND d.state IN ('observing', 'managed', 'held') AND coalesce(p.seen_at, d.enrolled_at) <" \
    " " now " - make_interval(secs => (r.params->>'late_s')::integer)" \
    " UNION ALL " \
    ALERT_SEEN_DEVICE "b.pub, jsonb_build_object('pub', b.pub)" \
    " FROM device d JOIN bundle b ON b.device_id = d.id AND b.rev = d.desired_rev" \
    " LEFT JOIN device_status s ON s.device_id = d.id WHERE r.kind = 'device-not-in-sync'" \
    " AND d.state = 'managed' AND d.mode = 'manage' AND b.content_digest <> ''" \
    " AND s.runs IS DISTINCT FROM b.content_digest AND NOT coalesce(s.trouble, '[]') @> '[{\"type\":\"Drifted\"}]'" \
    " UNION ALL " \
    ALERT_SEEN_DEVICE "NULL, jsonb_build_object('reason', d.held_reason)" \
    " FROM device d WHERE r.kind = 'device-held' AND d.state = 'held'" \
    " UNION ALL " \
    ALERT_SEEN_DEVICE "NULL, jsonb_build_object('condition', r.params->>'condition', 'reason', left(c->>'reason', 100)," \
    " 'message', left(c->>'message', 500))" \
    " FROM device_status s JOIN device d ON d.id = s.device_id CROSS JOIN jsonb_array_elements(s.trouble) c" \
    " WHERE r.kind = 'device-condition' AND s.trouble <> '[]' AND c->>'type' = r.params->>'condition'" \
    " AND d.state IN ('observing', 'managed', 'held')" \
    " UNION ALL " \
    "SELECT 'rollout/' || o.id, NULL, o.pub::text, 'hot', o.pub, jsonb_build_object('pub', o.pub, 'reason', left(o.reason, 500))" \
    " FROM rollout o WHERE r.kind = 'rollout-halted' AND o.state = 'halted'" \
    " UNION ALL " \
    ALERT_SEEN_FIGURE(now) \
    " UNION ALL " \
    "SELECT f->>'subject', NULL, f->>'name', 'hot', (f->>'value')::bigint, coalesce(f->'detail', '{}')" \
    " FROM jsonb_array_elements(" facts ") f WHERE r.kind LIKE 'parent-%' AND f->>'kind' = r.kind AND CASE r.kind" \
    " WHEN 'parent-certificate' THEN (f->>'value')::bigint <= (r.params->>'days')::integer" \
    " WHEN 'parent-database' THEN (f->>'value')::bigint >= (r.params->>'away_s')::integer ELSE true END" \
    ") x WHERE r.enabled AND (r.scope = 'fleet' OR (r.scope = 'device' AND x.device_id = r.scope_id) OR" \
    " (r.scope = 'group' AND EXISTS (SELECT 1 FROM device_member m WHERE m.device_id = x.device_id AND m.group_id = r.scope_id)))" \
    " ORDER BY r.id, x.subject, x.level"

/* What is compared: who is seen by which rule.  Not what single parents know of themselves: they would never agree. */
#define ALERT_SEEN_DIGEST(seen) \
    "(SELECT md5(coalesce(string_agg(v.rule_id || v.subject || v.level, ',' ORDER BY v.rule_id, v.subject), ''))" \
    " FROM (" seen ") v WHERE v.subject NOT LIKE 'parent/%')"
/* clang-format on */
