/* What a daemon's own file says, in the catalog's words. */
#include "catalog/catalog_private.h"

#include <string.h>

/* 300, 300s, 5m, 2h, 1d, 1w; a bare number counts in seconds. */
static bool seconds(const char *s, int64_t *ret)
{
    static const char units[] = "smhdw";
    static const int64_t factor[] = {1, 60, 3600, 86400, 604800};
    size_t digits = strspn(s, "0123456789");
    const char *unit;
    int64_t n;

    if (digits == 0 || !parse_i64((struct slice){s, digits}, 0, INT64_MAX / 604800, &n))
        return false;
    if (s[digits] == '\0') {
        *ret = n;
        return true;
    }
    unit = strchr(units, s[digits]);
    if (unit == NULL || s[digits + 1] != '\0')
        return false;
    *ret = n * factor[unit - units];
    return true;
}

json_t *catalog_read_text(const struct setting *s, const char *text)
{
    enum setting_type t = s->value.type;
    int64_t n;

    if (t == SET_BOOL)
        return strcmp(text, "yes") == 0  ? json_true()
               : strcmp(text, "no") == 0 ? json_false()
                                         : NULL;
    if (t == SET_INT || t == SET_BYTES || t == SET_PORT)
        return parse_i64(slice_of(text), INT64_MIN + 1, INT64_MAX, &n) ? json_integer((json_int_t)n)
                                                                       : NULL;
    if (t == SET_DURATION)
        return seconds(text, &n) ? json_integer((json_int_t)n) : NULL;
    return t == SET_LIST ? NULL
                         : json_string(text); /* every other type is a string in the catalog */
}
