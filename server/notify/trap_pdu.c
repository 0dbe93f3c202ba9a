#include "notify/trap_pdu.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

enum { DATE_SIZE = 11 };

bool trap_pdu_root(const char *text, struct trap_name *ret)
{
    struct slice rest = slice_of(text);
    uint64_t v = 0;

    ret->n = 0;
    while (rest.n > 0) {
        struct slice word = slice_cut(&rest, '.');
        if (ret->n == TRAP_ROOT_MAX || !parse_u64(word, 0, UINT32_MAX, &v))
            return false;
        ret->arc[ret->n++] = (oid)v;
    }
    return ret->n > 0;
}

bool notify_trap_root_ok(const char *root)
{
    static const oid internet[] = {1, 3, 6, 1};
    struct trap_name name;

    return trap_pdu_root(root, &name) && name.n > COUNT_OF(internet) &&
           memcmp(name.arc, internet, sizeof internet) == 0 && root[strlen(root) - 1] != '.';
}

static bool add_object(netsnmp_pdu *pdu, const struct trap_name *at, oid object, u_char type,
                       const void *value, size_t n)
{
    struct trap_name name = *at;

    name.arc[name.n++] = 1;
    name.arc[name.n++] = object;
    name.arc[name.n++] = 0;
    return snmp_pdu_add_variable(pdu, name.arc, name.n, type, value, n) != NULL;
}

static bool add_text(netsnmp_pdu *pdu, const struct trap_name *at, oid object, const char *text)
{
    return add_object(pdu, at, object, ASN_OCTET_STR, text, strlen(text));
}

static bool add_number(netsnmp_pdu *pdu, const struct trap_name *at, oid object, long value)
{
    return add_object(pdu, at, object, ASN_INTEGER, &value, sizeof value);
}

/* DateAndTime of SNMPv2-TC, in UTC. */
static bool add_date(netsnmp_pdu *pdu, const struct trap_name *at, oid object, int64_t ms)
{
    time_t s = (time_t)(ms / 1000);
    unsigned char v[DATE_SIZE] = {0};
    struct tm tm = {0};

    (void)gmtime_r(&s, &tm);
    v[0] = (unsigned char)((tm.tm_year + 1900) >> 8);
    v[1] = (unsigned char)((tm.tm_year + 1900) & 0xff);
    v[2] = (unsigned char)(tm.tm_mon + 1);
    v[3] = (unsigned char)tm.tm_mday;
    v[4] = (unsigned char)tm.tm_hour;
    v[5] = (unsigned char)tm.tm_min;
    v[6] = (unsigned char)tm.tm_sec;
    v[7] = (unsigned char)(ms % 1000 / 100);
    v[8] = '+';
    return add_object(pdu, at, object, ASN_OCTET_STR, v, sizeof v);
}

static long word_number(const json_t *trap, const char *member, const char *const *words)
{
    long i = 0;

    while (words[i] != NULL && strcmp(words[i], json_str(trap, member, "")) != 0)
        i++;
    return i + 1;
}

static bool add_head(netsnmp_pdu *pdu, const struct trap_name *at, oid number)
{
    static const oid up_time[] = {1, 3, 6, 1, 2, 1, 1, 3, 0};
    static const oid trap_oid[] = {1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0};
    long ticks = (long)(clock_mono_ms() / 10 & UINT32_MAX);
    struct trap_name name = *at;

    name.arc[name.n++] = 0;
    name.arc[name.n++] = number;
    return snmp_pdu_add_variable(pdu, up_time, COUNT_OF(up_time), ASN_TIMETICKS, &ticks,
                                 sizeof ticks) != NULL &&
           snmp_pdu_add_variable(pdu, trap_oid, COUNT_OF(trap_oid), ASN_OBJECT_ID, name.arc,
                                 name.n * sizeof(oid)) != NULL;
}

netsnmp_pdu *trap_pdu_make(const struct notify_traps *t, const struct trap_name *at,
                           const json_t *trap)
{
    static const char *const severities[] = {"info", "warning", "critical", NULL};
    static const char *const states[] = {"firing", "still", "resolved", "test", NULL};
    netsnmp_pdu *pdu = snmp_pdu_create(t->inform ? SNMP_MSG_INFORM : SNMP_MSG_TRAP2);

    if (pdu != NULL && add_head(pdu, at, (oid)json_int(trap, "trap", 0)) &&
        add_text(pdu, at, 1, json_str(trap, "rule", "")) &&
        add_number(pdu, at, 2, word_number(trap, "severity", severities)) &&
        add_number(pdu, at, 3, word_number(trap, "state", states)) &&
        add_text(pdu, at, 4, json_str(trap, "name", "")) &&
        add_text(pdu, at, 5, json_str(trap, "value", "")) &&
        add_text(pdu, at, 6, json_str(trap, "threshold", "")) &&
        add_date(pdu, at, 7, json_int(trap, "since_ms", 0)) &&
        add_text(pdu, at, 8, json_str(trap, "text", "")) &&
        add_text(pdu, at, 9, json_str(trap, "id", "")) && add_text(pdu, at, 10, t->id) &&
        add_text(pdu, at, 11, t->parent))
        return pdu;
    if (pdu != NULL)
        snmp_free_pdu(pdu);
    return NULL;
}
