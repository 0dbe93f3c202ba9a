#include "store/look_store.h"

#include "store/alert_seen.h"
#include "store/rollout_store.h"

/* A hold is over, and a command expired, once its time has passed: one millisecond more. */
#define IN_MS(when) "(SELECT (extract(epoch FROM " when " - now()) * 1000)::bigint + 1"

/* clang-format off */
static const struct stmt LOOK = {
    "fleet_presence", 5,
    "WITH seen AS (INSERT INTO presence (device_id, seen_at) SELECT u::uuid, to_timestamp(t / 1000.0)"
    " FROM unnest($1::text[], $2::bigint[]) AS x(u, t) ON CONFLICT (device_id) DO UPDATE SET seen_at ="
    " greatest(presence.seen_at, excluded.seen_at))"
    " SELECT (extract(epoch FROM now()) * 1000)::bigint,"
    " (SELECT coalesce(max(seq), 0) FROM change WHERE kind IN ('device', 'trust')),"
    " EXISTS (SELECT 1 FROM rollout r WHERE " ROLLOUT_OPEN ") OR EXISTS (SELECT 1 FROM dry_run WHERE"
    " state = 'running'),"
    " NOT EXISTS (SELECT 1 FROM signing_key WHERE use = 'token' AND created_at > now() -"
    " make_interval(secs => $4::bigint)), "
    IN_MS("min(held_until)") " FROM device WHERE state = 'held'), "
    IN_MS("least(min(expires_at) FILTER (WHERE state = 'queued'), min(expires_at) FILTER (WHERE state"
          " <> 'queued') + interval '1 day')")
    " FROM command WHERE state IN ('queued', 'delivered', 'running')), s.n, s.digests,"
    " EXISTS (SELECT 1 FROM rollout r WHERE " ROLLOUT_UNENDED "),"
    " (SELECT CASE WHEN g.seen <> " ALERT_SEEN_DIGEST(ALERT_SEEN("$5::timestamptz", "'[]'::jsonb")) " THEN 0"
    " ELSE (extract(epoch FROM g.next_at - $5::timestamptz) * 1000)::bigint END FROM alert_engine g),"
    " (SELECT (extract(epoch FROM min(next_at) - $5::timestamptz) * 1000)::bigint FROM alert_notice"
    " WHERE state IN ('queued', 'sending'))"
    " FROM (SELECT count(*) AS n, coalesce(jsonb_object_agg(device_id, digest) FILTER (WHERE"
    " $3::bigint > 0 AND received_at >= to_timestamp($3::bigint / 1000.0)), '{}') AS digests FROM"
    " device_status) AS s"};
/* clang-format on */

static int64_t in_ms(const struct rows *r, int col)
{
    int64_t ms = rows_int(r, 0, col);

    return rows_null(r, 0, col) ? -1 : ms < 0 ? 0 : ms;
}

enum err_code look_store_run(struct db *db, const struct look_ask *ask, struct arena *a,
                             struct look *ret, struct err *e)
{
    struct rows *r = NULL;
    enum err_code rc =
        db_one(db, &LOOK,
               (struct db_param[]){P_TEXT(ask->ids), P_TEXT(ask->times), P_INT(ask->since_ms),
                                   P_INT(ask->token_age_s), P_TIME(ask->wall_ms)},
               a, &r, e);

    if (rc == ERR_OK)
        *ret = (struct look){.now_ms = rows_int(r, 0, 0),
                             .last_change = rows_int(r, 0, 1),
                             .rollouts = rows_bool(r, 0, 2),
                             .token_key_old = rows_bool(r, 0, 3),
                             .hold_in_ms = in_ms(r, 4),
                             .command_in_ms = in_ms(r, 5),
                             .n_reports = rows_int(r, 0, 6),
                             .digests = rows_json(r, 0, 7),
                             .unended = rows_bool(r, 0, 8),
                             .alert_in_ms = in_ms(r, 9),
                             .notice_in_ms = in_ms(r, 10)};
    return rc;
}

static const struct stmt TIME = {"look_time", 0,
                                 "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"};

enum err_code look_store_time(struct db *db, int64_t *ret, struct err *e)
{
    AUTO(arena_free) struct arena *a = arena_new(64 * KIB);
    struct rows *r = NULL;
    enum err_code rc =
        a == NULL ? err_set(e, ERR_NO_MEMORY, "out of memory") : db_one(db, &TIME, NULL, a, &r, e);

    if (rc == ERR_OK)
        *ret = rows_int(r, 0, 0);
    return rc;
}

const struct stmt *const look_store_stmts[] = {&LOOK, &TIME, NULL};
