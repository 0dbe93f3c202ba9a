/*
 * alert_seen.h - SQL of what the alert rules see right now, one row a rule and subject: rule_id, subject, device_id, name, level
 * ('hot': over the threshold; 'warm': between the threshold and where it is over; what is in no row is cold), value, detail.
 * Part of the look (look_store.c), which compares it with what was acted on last, and of the engine (alert_engine_store.c).
 * now: timestamptz; facts: jsonb array of what only the parent's process knows, {"kind","subject","name","value","detail"}.
 */
#pragma once

#define ALERT_SEEN_DEVICE "SELECT d.id::text AS subject, d.id AS device_id, d.name, 'hot' AS level, "

/* clang-format off */
/* What the rules about figures are judged by, read once for all rules of a window: sums of its minutes.  c: deliveries by the class of
 * their latency, each with those before it (domain/figure.h). */
#define ALERT_SEEN_SUMS(now) \
    "SELECT x.*, ARRAY[c1, c1 + c2, c1 + c2 + c3, c1 + c2 + c3 + c4, c1 + c2 + c3 + c4 + c5, c1 + c2 + c3 + c4 + c5 + c6," \
    " c1 + c2 + c3 + c4 + c5 + c6 + c7, c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8, c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9] AS c" \
    " FROM (SELECT w.window_s, f.device_id, sum(f.deferred) AS deferred, sum(f.bounced + f.expired) AS lost, sum(f.refused) AS refused," \
    " sum(f.delivered + f.deferred + f.bounced + f.expired) AS tries, sum(f.refused + f.accepted) AS asked," \
    " coalesce(sum(f.latency[1]), 0)::bigint AS c1, coalesce(sum(f.latency[2]), 0)::bigint AS c2, coalesce(sum(f.latency[3]), 0)::bigint AS c3," \
    " coalesce(sum(f.latency[4]), 0)::bigint AS c4, coalesce(sum(f.latency[5]), 0)::bigint AS c5, coalesce(sum(f.latency[6]), 0)::bigint AS c6," \
    " coalesce(sum(f.latency[7]), 0)::bigint AS c7, coalesce(sum(f.latency[8]), 0)::bigint AS c8, coalesce(sum(f.latency[9]), 0)::bigint AS c9" \
    " FROM (SELECT DISTINCT (params->>'window_s')::integer AS window_s FROM alert_rule WHERE enabled AND kind = 'figure'" \
    " AND params->>'figure' NOT IN ('queue', 'oldest_s', 'dropped')) w JOIN figure f ON f.step_s = 60" \
    " AND f.at >= " now " - make_interval(secs => w.window_s) GROUP BY w.window_s, f.device_id) x"

/* Above "over", or not yet down to "clear". */
#define ALERT_SEEN_OVER \
    "SELECT d.id::text, d.id, d.name, CASE WHEN m.value > (r.params->>'over')::bigint THEN 'hot' ELSE 'warm' END, m.value, r.params FROM "
#define ALERT_SEEN_OVER_WHERE \
    " WHERE r.kind = 'figure' AND d.state IN ('observing', 'managed', 'held')" \
    " AND m.value > least((r.params->>'over')::bigint, coalesce(nullif((r.params->>'clear')::bigint, -1), (r.params->>'over')::bigint))"

/* Shares in percent of what could have been; of latency the class that the 95th or 99th of a hundred falls into, by its upper end: of the last
 * one, that has none, 1 ms more than the one before.  Once there was enough of it. */
#define ALERT_SEEN_FIGURE \
    ALERT_SEEN_OVER "(SELECT g.device_id, CASE r.params->>'figure' WHEN 'deferred_percent' THEN (100 * g.deferred / nullif(g.tries, 0))::bigint" \
    " WHEN 'bounced_percent' THEN (100 * g.lost / nullif(g.tries, 0))::bigint WHEN 'rejected_percent' THEN (100 * g.refused / nullif(g.asked, 0))::bigint" \
    " ELSE (ARRAY[100, 300, 1000, 3000, 10000, 30000, 100000, 300000, 300001]::bigint[])[1 + width_bucket(ceil(g.c[9] *" \
    " CASE r.params->>'figure' WHEN 'latency_p99_ms' THEN 0.99 ELSE 0.95 END)::bigint - 1, g.c)] END AS value," \
    " CASE r.params->>'figure' WHEN 'rejected_percent' THEN g.asked WHEN 'latency_p95_ms' THEN g.c[9] WHEN 'latency_p99_ms' THEN g.c[9]" \
    " ELSE g.tries END AS n FROM sums g WHERE g.window_s = (r.params->>'window_s')::integer) m JOIN device d ON d.id = m.device_id" \
    ALERT_SEEN_OVER_WHERE " AND r.params->>'figure' NOT IN ('queue', 'oldest_s', 'dropped') AND m.n >= (r.params->>'least')::integer"

/* The newest look at the queue. */
#define ALERT_SEEN_QUEUE(now) \
    ALERT_SEEN_OVER "device d CROSS JOIN LATERAL (SELECT CASE r.params->>'figure' WHEN 'queue' THEN f.queue[1] + f.queue[2] + f.queue[3]" \
    " ELSE f.oldest_s END AS value FROM figure f WHERE f.device_id = d.id AND f.step_s = 60" \
    " AND f.at >= " now " - make_interval(secs => (r.params->>'window_s')::integer) AND f.gauge_at IS NOT NULL ORDER BY f.at DESC LIMIT 1) m" \
    ALERT_SEEN_OVER_WHERE " AND r.params->>'figure' IN ('queue', 'oldest_s')"

#define ALERT_SEEN_DROPPED(now) \
    ALERT_SEEN_OVER "(SELECT f.device_id, sum(f.dropped)::bigint AS value FROM figure f WHERE f.step_s = 60 AND f.dropped > 0" \
    " AND f.at >= " now " - make_interval(secs => (r.params->>'window_s')::integer) GROUP BY f.device_id) m JOIN device d ON d.id = m.device_id" \
    ALERT_SEEN_OVER_WHERE " AND r.params->>'figure' = 'dropped'"

/* A straight line through what the hours of the window ended with, and where it meets zero, of the volume that is full first.  Less than 64 MiB
 * are no trend.  It begins below "hours" and is over above twice that. */
#define ALERT_SEEN_DISK(now) \
    "SELECT d.id::text, d.id, d.name, CASE WHEN m.hours < (r.params->>'hours')::integer THEN 'hot' ELSE 'warm' END, m.hours, r.params ||" \
    " jsonb_build_object('volume', m.volume, 'free_mb', m.free) FROM (SELECT DISTINCT ON (t.device_id) t.device_id, v.volume, v.free," \
    " floor(v.free / -v.slope)::bigint AS hours FROM (SELECT f.device_id, (array_agg(f.disk_free ORDER BY f.at DESC))[1:1] AS free," \
    " regr_slope(f.disk_free[1], extract(epoch FROM f.disk_at) / 3600) FILTER (WHERE f.disk_size[1] > 0) AS s1," \
    " regr_slope(f.disk_free[2], extract(epoch FROM f.disk_at) / 3600) FILTER (WHERE f.disk_size[2] > 0) AS s2," \
    " max(f.disk_free[1]) - min(f.disk_free[1]) AS d1, max(f.disk_free[2]) - min(f.disk_free[2]) AS d2, max(f.disk_at) AS at" \
    " FROM figure f WHERE r.kind = 'device-disk' AND f.step_s = 3600 AND f.disk_at IS NOT NULL" \
    " AND f.at >= " now " - make_interval(hours => (r.params->>'window_h')::integer + 1) GROUP BY f.device_id HAVING count(*) >= 3) t" \
    " CROSS JOIN LATERAL (VALUES ('state', t.free[1][1], t.s1, t.d1), ('queue', t.free[1][2], t.s2, t.d2)) v (volume, free, slope, fell)" \
    " WHERE v.slope < 0 AND v.fell >= 64 AND t.at >= " now " - interval '2 hours' AND v.free / -v.slope < 2 * (r.params->>'hours')::integer" \
    " ORDER BY t.device_id, v.free / -v.slope) m JOIN device d ON d.id = m.device_id" \
    " WHERE r.kind = 'device-disk' AND d.state IN ('observing', 'managed', 'held')"

#define ALERT_SEEN(now, facts) \
    "WITH sums AS MATERIALIZED (" ALERT_SEEN_SUMS(now) ") SELECT DISTINCT ON (r.id, x.subject) r.id AS rule_id, x.* FROM alert_rule r CROSS JOIN LATERAL (" \
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
    ALERT_SEEN_DEVICE "floor(extract(epoch FROM d.certificate_end - " now ") / 86400)::bigint," \
    " jsonb_build_object('end', to_char(d.certificate_end AT TIME ZONE 'UTC', 'YYYY-MM-DD'))" \
    " FROM device d WHERE r.kind = 'device-certificate' AND d.state IN ('observing', 'managed', 'held')" \
    " AND d.certificate_end < " now " + make_interval(days => (r.params->>'days')::integer)" \
    " UNION ALL " \
    ALERT_SEEN_FIGURE \
    " UNION ALL " \
    ALERT_SEEN_QUEUE(now) \
    " UNION ALL " \
    ALERT_SEEN_DROPPED(now) \
    " UNION ALL " \
    ALERT_SEEN_DISK(now) \
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
