/* inari-agent metrics: what the running agent says of itself as Prometheus text, for
 * node_exporter's textfile collector or a scraper that runs a program.  No port of its own: whoever
 * may ask the agent for its status may read this. */
#include "base/clock.h"
#include "base/strbuf.h"
#include "loop/ctl.h"

#include <stdio.h>
#include <string.h>

static void head(struct strbuf *b, const char *name, const char *type, const char *help)
{
    strbuf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct strbuf *b, const char *name, const char *help, int64_t v)
{
    head(b, name, "gauge", help);
    strbuf_printf(b, "%s %lld\n", name, (long long)v);
}

/* A value of a label: backslash, quote and line end are escaped, as the format asks for. */
static void labelled(struct strbuf *b, const char *name, const char *label, const char *value,
                     int64_t v)
{
    strbuf_printf(b, "%s{%s=\"", name, label);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\\' || *p == '"')
            strbuf_putc(b, '\\');
        strbuf_puts(b, *p == '\n' ? "\\n" : (const char[]){*p, '\0'});
    }
    strbuf_printf(b, "\"} %lld\n", (long long)v);
}

static void conditions(struct strbuf *b, const json_t *status)
{
    size_t i;
    json_t *v;

    head(b, "inari_agent_condition", "gauge", "Conditions of the device that are true.");
    json_array_foreach(json_object_get(status, "conditions"), i, v)
        labelled(b, "inari_agent_condition", "type", json_str(v, "type", ""),
                 strcmp(json_str(v, "status", ""), "True") == 0);
}

static void queues(struct strbuf *b, const json_t *status)
{
    const json_t *age = json_object_get(json_object_get(status, "health"), "queue_oldest_s");
    const char *name;
    json_t *v;

    if (json_is_integer(age))
        one(b, "inari_agent_queue_oldest_seconds",
            "Age of the oldest message that waits for delivery; held ones do not count.",
            json_integer_value(age));
    head(b, "inari_agent_queue", "gauge", "Messages in each queue of Postfix, as last looked at.");
    json_object_foreach(json_object_get(json_object_get(status, "health"), "queue"), name, v)
    {
        if (json_is_integer(v))
            labelled(b, "inari_agent_queue", "queue", name, json_integer_value(v));
    }
}

static void streams(struct strbuf *b, const json_t *list)
{
    static const struct {
        const char *name, *type, *help, *member;
    } all[] = {
        {"inari_agent_events_waiting", "gauge", "Events that the parent does not have yet.",
         "waiting"},
        {"inari_agent_spool_bytes", "gauge", "Size of the spool.", "bytes"},
        {"inari_agent_events_written_total", "counter", "Events of the spool, ever.", "last"},
        {"inari_agent_events_dropped_total", "counter",
         "Events that were lost before the parent had them.", "dropped"}};
    size_t k;
    json_t *v;

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        head(b, all[i].name, all[i].type, all[i].help);
        json_array_foreach(list, k, v) labelled(b, all[i].name, "stream", json_str(v, "stream", ""),
                                                json_int(v, all[i].member, 0));
    }
}

static void times(struct strbuf *b, const json_t *parent)
{
    int64_t ms = 0;

    one(b, "inari_agent_parent_reachable", "1: the parent answered when it was last asked.",
        json_bool(parent, "reachable", false));
    if (clock_parse(slice_of(json_str(parent, "last_contact", "")), &ms))
        one(b, "inari_agent_parent_contact_seconds", "When the parent last answered, Unix time.",
            ms / 1000);
}

int ctl_metrics(const struct agent_settings *s)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(MIB);
    AUTO(json_free) json_t *answer = NULL;
    const json_t *status, *disk, *running;
    int rc = ctl_ask(s, json_pack("{s:s}", "verb", "status"), &answer);

    if (rc != EXIT_OK)
        return rc;
    status = json_object_get(answer, "status");
    disk = json_object_get(status, "on_disk");
    running = json_object_get(json_object_get(status, "running"), "postfix");
    times(&b, json_object_get(answer, "parent"));
    one(&b, "inari_agent_held", "1: nothing is applied for a while.",
        json_bool(json_object_get(answer, "hold"), "active", false));
    one(&b, "inari_agent_revision", "Revision that is desired.",
        json_int(json_object_get(status, "observed"), "rev", 0));
    one(&b, "inari_agent_runs_what_is_on_disk", "1: Postfix runs the configuration on disk.",
        json_str(disk, "digest", "")[0] != '\0' &&
            strcmp(json_str(disk, "digest", ""), json_str(running, "digest", "")) == 0);
    conditions(&b, status);
    queues(&b, status);
    streams(&b, json_object_get(answer, "events"));
    return strbuf_ok(&b) && fputs(strbuf_str(&b), stdout) >= 0 && fflush(stdout) == 0 ? EXIT_OK
                                                                                      : EXIT_FAILED;
}
