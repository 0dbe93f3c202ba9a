#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#ifdef INARI_TEST_HOOKS
struct shift {
    const char *name; /* of the environment variable */
    _Atomic int64_t read_at_us, offset;
};

static int64_t shift_ms(struct shift *s)
{
    const char *path = getenv(s->name);
    int64_t now = now_us(CLOCK_MONOTONIC);
    char buf[32];

    if (path == NULL)
        return 0;
    if (atomic_load(&s->read_at_us) == 0 || now - atomic_load(&s->read_at_us) > 100000) {
        AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
        atomic_store(&s->read_at_us, now);
        if (n >= 0) {
            buf[n] = '\0';
            atomic_store(&s->offset, (int64_t)(strtod(buf, NULL) * 1000.0));
        } else {
            atomic_store(&s->offset, 0);
        }
    }
    return atomic_load(&s->offset);
}

static int64_t test_offset_ms(void)
{
    static struct shift all = {.name = "INARI_CLOCK_FILE"};

    return shift_ms(&all);
}

static int64_t own_offset_ms(void)
{
    static struct shift own = {.name = "INARI_OWN_CLOCK_FILE"};

    return shift_ms(&own);
}
#else
static int64_t test_offset_ms(void)
{
    return 0;
}

static int64_t own_offset_ms(void)
{
    return 0;
}
#endif

enum { FOLLOW_GRAIN_MS = 250 }; /* a query's way and the grain of two clocks; time never trembles */

static _Atomic int64_t followed; /* the followed clock less the monotonic one; 0: none */

void clock_follow(int64_t wall_ms, int64_t mono_ms)
{
    int64_t is = wall_ms - mono_ms, was = atomic_load(&followed);

    if (was == 0 || llabs(is - was) > FOLLOW_GRAIN_MS)
        atomic_store(&followed, is);
}

int64_t clock_own_ms(void)
{
    return now_us(CLOCK_REALTIME) / 1000 + own_offset_ms() + test_offset_ms();
}

int64_t clock_wall_ms(void)
{
    int64_t base = atomic_load_explicit(&followed, memory_order_relaxed);

    return base == 0 ? clock_own_ms() : base + clock_mono_ms() + test_offset_ms();
}

int64_t clock_wall_coarse_ms(void)
{
    int64_t base = atomic_load_explicit(&followed, memory_order_relaxed);

    return (base == 0 ? now_us(CLOCK_REALTIME_COARSE) / 1000 + own_offset_ms()
                      : base + clock_mono_coarse_ms()) +
           test_offset_ms();
}

int64_t clock_wall_s(void)
{
    return clock_wall_ms() / 1000;
}

int64_t clock_mono_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_coarse_ms(void)
{
    return now_us(CLOCK_MONOTONIC_COARSE) / 1000;
}

int64_t clock_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
    return now_us(CLOCK_BOOTTIME) / 1000;
}

static void split(int64_t wall_ms, struct tm *tm, int *ms)
{
    time_t s = (time_t)(wall_ms / 1000);

    *ms = (int)(wall_ms % 1000);
    if (*ms < 0) {
        *ms += 1000;
        s--;
    }
    if (gmtime_r(&s, tm) == NULL)
        *tm = (struct tm){.tm_year = 70, .tm_mday = 1};
}

void clock_format(int64_t wall_ms, char buf[CLOCK_TEXT_SIZE])
{
    struct tm tm;
    int ms;

    split(wall_ms, &tm, &ms);
    (void)snprintf(buf, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                   (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
                   tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100, ms % 1000);
}

void clock_format_people(int64_t wall_ms, char buf[CLOCK_TEXT_SIZE])
{
    struct tm tm;
    int ms;

    split(wall_ms, &tm, &ms);
    (void)snprintf(buf, CLOCK_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d UTC", (tm.tm_year + 1900) % 10000,
                   (tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100);
}

static bool digits(struct slice s, size_t at, size_t n, int max, int *ret)
{
    uint64_t v;

    if (at + n > s.n || !parse_u64((struct slice){s.p + at, n}, 0, (uint64_t)max, &v))
        return false;
    *ret = (int)v;
    return true;
}

static bool to_ms(struct tm *tm, int64_t *ret)
{
    int day = tm->tm_mday;
    time_t t = timegm(tm);

    if (tm->tm_mday != day) /* 31 February and friends were carried over */
        return false;
    *ret = (int64_t)t * 1000;
    return true;
}

bool clock_parse(struct slice s, int64_t *ret)
{
    struct tm tm = {0};
    int ms = 0, oh = 0, om = 0, scale = 100;
    int64_t v;
    size_t i = 19;

    if (s.n < 20 || s.p[4] != '-' || s.p[7] != '-' || (s.p[10] != 'T' && s.p[10] != 't') ||
        s.p[13] != ':' || s.p[16] != ':')
        return false;
    if (!digits(s, 0, 4, 9999, &tm.tm_year) || !digits(s, 5, 2, 12, &tm.tm_mon) ||
        !digits(s, 8, 2, 31, &tm.tm_mday) || !digits(s, 11, 2, 23, &tm.tm_hour) ||
        !digits(s, 14, 2, 59, &tm.tm_min) || !digits(s, 17, 2, 60, &tm.tm_sec) || tm.tm_mon == 0 ||
        tm.tm_mday == 0)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    if (s.p[i] == '.') {
        size_t first = ++i;
        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, scale /= 10)
            ms += (s.p[i] - '0') * scale;
        if (i == first)
            return false;
    }
    if (i >= s.n)
        return false;
    if (s.p[i] == '+' || s.p[i] == '-') {
        if (s.n - i != 6 || s.p[i + 3] != ':' || !digits(s, i + 1, 2, 23, &oh) ||
            !digits(s, i + 4, 2, 59, &om))
            return false;
        if (s.p[i] == '-') {
            oh = -oh;
            om = -om;
        }
    } else if ((s.p[i] != 'Z' && s.p[i] != 'z') || i + 1 != s.n) {
        return false;
    }
    if (!to_ms(&tm, &v))
        return false;
    *ret = v + ms - ((int64_t)oh * 60 + om) * 60000;
    return true;
}

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void clock_format_http(int64_t wall_ms, char buf[CLOCK_TEXT_SIZE])
{
    struct tm tm;
    int ms;

    split(wall_ms, &tm, &ms);
    (void)snprintf(buf, CLOCK_TEXT_SIZE, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                   days + 3 * (tm.tm_wday % 7), tm.tm_mday % 100, months + 3 * (tm.tm_mon % 12),
                   (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
}

bool clock_parse_http(struct slice s, int64_t *ret)
{
    struct tm tm = {0};

    if (s.n != 29 || s.p[3] != ',' || !slice_is((struct slice){s.p + 25, 4}, " GMT"))
        return false;
    for (tm.tm_mon = 0; tm.tm_mon < 12; tm.tm_mon++)
        if (memcmp(months + 3 * tm.tm_mon, s.p + 8, 3) == 0)
            break;
    if (tm.tm_mon == 12 || !digits(s, 5, 2, 31, &tm.tm_mday) ||
        !digits(s, 12, 4, 9999, &tm.tm_year) || !digits(s, 17, 2, 23, &tm.tm_hour) ||
        !digits(s, 20, 2, 59, &tm.tm_min) || !digits(s, 23, 2, 60, &tm.tm_sec))
        return false;
    tm.tm_year -= 1900;
    return to_ms(&tm, ret);
}
