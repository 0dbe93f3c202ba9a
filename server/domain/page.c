#include "domain/page.h"

#include "base/clock.h"
#include "base/rand.h"

json_t *time_json(int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms == 0)
        return json_null();
    clock_format(ms, text);
    return json_string(text);
}

enum err_code page_cursor(const char *cursor, struct err *e)
{
    return cursor[0] == '\0' || uuid_is_valid(cursor)
               ? ERR_OK
               : err_field(e, ERR_INVALID, "/query/cursor", "not a cursor of this list");
}

json_t *page_json(json_t *items, size_t n, int64_t limit, const char *last_id)
{
    return json_pack("{s:o,s:o}", "items", items, "next",
                     n > 0 && (int64_t)n == limit ? json_string(last_id) : json_null());
}
