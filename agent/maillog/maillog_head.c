#include "maillog/maillog_head.h"

#include <time.h>

enum { ID_MIN = 6, ID_MAX = 24, YEAR_DAYS = 365, DAY_MS = 86400000 };

/* --- when --- */

static int two(const char *p)
{
    return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9'
               ? (p[0] - '0') * 10 + (p[1] - '0')
               : -1;
}

static bool clock_of(const char *p, struct tm *t) /* "HH:MM:SS" */
{
    t->tm_hour = two(p);
    t->tm_min = two(p + 3);
    t->tm_sec = two(p + 6);
    return p[2] == ':' && p[5] == ':' && t->tm_hour >= 0 && t->tm_hour < 24 && t->tm_min >= 0 &&
           t->tm_min < 60 && t->tm_sec >= 0 && t->tm_sec <= 60;
}

/* "2026-11-22T09:28:33.234Z", "...+09:00"; *rest: behind the blank. */
static int64_t rfc3339(struct slice line, struct slice *rest)
{
    struct slice t = ml_until(line, ' ');
    struct tm tm = {0};
    int64_t s;
    size_t at = 19;
    int off = 0, ms = 0, unit = 100;

    if (t.n < 20 || t.n == line.n || t.p[4] != '-' || t.p[7] != '-' || t.p[10] != 'T' ||
        two(t.p) < 0 || two(t.p + 2) < 0 || !clock_of(t.p + 11, &tm))
        return -1;
    tm.tm_year = two(t.p) * 100 + two(t.p + 2) - 1900;
    tm.tm_mon = two(t.p + 5) - 1;
    tm.tm_mday = two(t.p + 8);
    if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return -1;
    for (; at < t.n && (t.p[at] == '.' || (t.p[at] >= '0' && t.p[at] <= '9')); at++) {
        if (t.p[at] != '.') {
            ms += (t.p[at] - '0') * unit;
            unit /= 10;
        }
    }
    if (at < t.n && (t.p[at] == '+' || t.p[at] == '-')) {
        if (t.n - at != 6 || two(t.p + at + 1) < 0 || two(t.p + at + 4) < 0)
            return -1;
        off = (two(t.p + at + 1) * 60 + two(t.p + at + 4)) * (t.p[at] == '+' ? 60 : -60);
    } else if (at >= t.n || t.p[at] != 'Z') {
        return -1;
    }
    s = (int64_t)timegm(&tm) - off;
    *rest = ml_from(line, t.n + 1);
    return s < 0 ? -1 : s * 1000 + (ms < 1000 ? ms : 0);
}

/* "Nov 22 09:28:33 ": this host's time, of the year that brings it nearest to now. */
static int64_t traditional(struct slice line, int64_t now_ms, struct slice *rest)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm = {.tm_isdst = -1}, here;
    const char *m;
    int64_t at;

    if (line.n < 17 || line.p[3] != ' ' || line.p[6] != ' ' || line.p[15] != ' ' ||
        !clock_of(line.p + 7, &tm) || localtime_r(&now, &here) == NULL)
        return -1;
    m = memmem(months, 36, line.p, 3);
    if (m == NULL || (m - months) % 3 != 0)
        return -1;
    tm.tm_mon = (int)(m - months) / 3;
    tm.tm_mday = line.p[4] == ' ' ? two((char[2]){'0', line.p[5]}) : two(line.p + 4);
    tm.tm_year = here.tm_year;
    if (tm.tm_mday < 1 || tm.tm_mday > 31)
        return -1;
    at = (int64_t)mktime(&tm) * 1000;
    if (at > now_ms + YEAR_DAYS / 2 * (int64_t)DAY_MS) { /* December's, read in January */
        tm.tm_year--;
        tm.tm_isdst = -1;
        at = (int64_t)mktime(&tm) * 1000;
    }
    *rest = ml_from(line, 16);
    return at;
}

/* --- whose --- */

/* "host postfix/smtpd[123]: text". */
static bool tagged(struct slice s, struct maillog_head *h)
{
    size_t colon;
    struct slice tag;
    const char *slash;

    (void)slice_cut(&s, ' '); /* host */
    colon = ml_find(s, "]: ");
    if (s.n == 0 || colon == s.n)
        return false;
    tag = ml_until((struct slice){s.p, colon}, '[');
    slash = tag.n == 0 ? NULL : memrchr(tag.p, '/', tag.n);
    if (slash == NULL || tag.n == colon || ml_has(tag, " "))
        return false;
    h->name = (struct slice){tag.p, (size_t)(slash - tag.p)};
    h->service = (struct slice){slash + 1, (size_t)(tag.p + tag.n - slash - 1)};
    h->pid = ml_from((struct slice){s.p, colon}, tag.n + 1);
    h->text = ml_from(s, colon + 3);
    return h->service.n > 0 && slice_starts(tag, "postfix");
}

bool maillog_head_read(struct slice line, int64_t now_ms, struct maillog_head *ret)
{
    struct slice rest = line;

    *ret = (struct maillog_head){.at_ms = rfc3339(line, &rest)};
    if (ret->at_ms < 0)
        ret->at_ms = traditional(line, now_ms, &rest);
    return ret->at_ms >= 0 && tagged(rest, ret);
}

/* --- queue ids --- */

bool ml_is_id(struct slice s)
{
    bool digit = false, lower = false;

    if (s.n < ID_MIN || s.n > ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        digit = digit || (c >= '0' && c <= '9');
        lower = lower || (c >= 'a' && c <= 'z');
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return false;
    }
    return (digit || !lower) && !slice_is(s, "NOQUEUE");
}

struct slice ml_take_id(struct slice *text)
{
    struct slice id = ml_until(*text, ':');
    bool none = slice_is(id, "NOQUEUE");

    if (id.n == text->n || (!none && !ml_is_id(id)))
        return (struct slice){NULL, 0};
    *text = ml_from(*text, id.n + 2);
    return none ? (struct slice){NULL, 0} : id;
}
