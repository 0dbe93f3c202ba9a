#include "loop/hold.h"

enum { MINUTE_MS = 60 * 1000 };

enum err_code hold_set(struct memory *m, const char *reason, int64_t minutes, int64_t now_ms,
                       struct err *e)
{
    json_t *hold;

    if (reason == NULL || reason[0] == '\0' || strlen(reason) > 200 ||
        !slice_is_text(slice_of(reason)))
        return err_field(
            e, ERR_INVALID, "/reason",
            "a hold needs a reason of 1 to 200 characters, so that the next person knows");
    if (minutes < 1 || minutes > HOLD_MAX_MIN)
        return err_field(e, ERR_INVALID, "/minutes", "a hold lasts 1 to %d minutes", HOLD_MAX_MIN);
    hold = json_pack("{s:s,s:I,s:I}", "reason", reason, "since_ms", (json_int_t)now_ms, "until_ms",
                     (json_int_t)(now_ms + minutes * MINUTE_MS));
    if (hold == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    json_decref(m->hold);
    m->hold = hold;
    return memory_save(m, e);
}

enum err_code hold_release(struct memory *m, struct err *e)
{
    json_decref(m->hold);
    m->hold = NULL;
    return memory_save(m, e);
}

bool hold_active(struct memory *m, int64_t now_ms, bool *ret_ended)
{
    int64_t until = hold_until_ms(m), longest = now_ms + (int64_t)HOLD_MAX_MIN * MINUTE_MS;

    if (ret_ended != NULL)
        *ret_ended = false;
    if (m->hold == NULL)
        return false;
    if (until > longest)
        (void)json_object_set_new(m->hold, "until_ms", json_integer(longest));
    if (now_ms < until)
        return true;
    json_decref(m->hold);
    m->hold = NULL;
    if (ret_ended != NULL)
        *ret_ended = true;
    return false;
}

const char *hold_reason(const struct memory *m)
{
    return json_str(m->hold, "reason", "");
}

int64_t hold_until_ms(const struct memory *m)
{
    return json_int(m->hold, "until_ms", 0);
}
