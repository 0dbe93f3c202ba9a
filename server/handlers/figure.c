#include "handlers/figure.h"

#include "base/clock.h"
#include "domain/figure_series.h"

enum {
    POINTS_USUAL = 60,    /* when no beginning is given */
    MINUTES_S = 6 * 3600, /* up to here minutes are shown when no step is given, */
    HOURS_S = 14 * 86400  /* up to here hours, then days */
};

static enum err_code time_of(const struct req *rq, const char *name, int64_t fallback_ms,
                             int64_t *ret_s, struct err *e)
{
    const char *text = req_query(rq, name);
    int64_t ms = fallback_ms;

    if (text != NULL && !clock_parse(slice_of(text), &ms))
        return err_field(e, ERR_INVALID, name[0] == 's' ? "/query/since" : "/query/until",
                         "%s must be a time like 2026-11-21T23:21:17Z", name);
    *ret_s = ms / 1000;
    return ERR_OK;
}

/* step=: 60, 3600, 86400; without it what suits the time. */
static enum err_code step_of(const struct req *rq, int64_t span_s, int64_t *ret, struct err *e)
{
    const char *text = req_query(rq, "step");

    *ret = span_s <= MINUTES_S ? 60 : span_s <= HOURS_S ? 3600 : 86400;
    if (text == NULL)
        return ERR_OK;
    if (parse_i64(slice_of(text), 60, 86400, ret) && (*ret == 60 || *ret == 3600 || *ret == 86400))
        return ERR_OK;
    return err_field(e, ERR_INVALID, "/query/step", "step must be 60, 3600 or 86400 (seconds)");
}

static enum err_code ask_of(struct req *rq, struct figure_ask *ret, struct err *e)
{
    int64_t since = 0, until = 0, now = clock_wall_ms(), step = 0;
    bool open = req_query(rq, "since") == NULL;
    enum err_code rc = time_of(rq, "until", now, &until, e);

    if (rc == ERR_OK && open)
        rc = step_of(rq, 0, &step, e);
    if (rc == ERR_OK)
        rc = time_of(rq, "since", (until - (POINTS_USUAL - 1) * step) * 1000, &since, e);
    if (rc == ERR_OK && !open)
        rc = step_of(rq, until - since, &step, e);
    if (rc != ERR_OK)
        return rc;
    since -= since % step;
    until += (step - until % step) % step;
    if (since < 0 || since >= until)
        return err_field(e, ERR_INVALID, "/query/since", "since must be before until");
    if ((until - since) / step > FIGURE_POINTS_MAX)
        return err_field(e, ERR_INVALID, "/query/step",
                         "that would be %lld points, at most %d are given: take a larger step or a "
                         "shorter time",
                         (long long)((until - since) / step), FIGURE_POINTS_MAX);
    *ret = (struct figure_ask){req_query(rq, "device"), step, since, until};
    return ERR_OK;
}

enum err_code figure_get(struct req *rq, struct reply *rp, struct err *e)
{
    struct figure_ask ask;
    json_t *j = NULL;
    enum err_code rc = ask_of(rq, &ask, e);

    if (rc == ERR_OK)
        rc = figure_series(rq->db, &ask, rq->arena, &j, e);
    return rc == ERR_OK ? reply_json(rp, 200, j, e) : rc;
}
