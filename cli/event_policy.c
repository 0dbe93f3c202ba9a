/* "inarictl event-policy": what of the devices' events is kept. */
#include "cli.h"
#include "table.h"
#include "value.h"

#include <stdio.h>

/* "default" is null; the parent says what is wrong with a value. */
static json_t *value_of(const char *text)
{
    int64_t n;

    if (strcmp(text, "default") == 0)
        return json_null();
    return parse_bytes(text, &n) ? json_integer(n) : json_string(text);
}

static enum cli_exit change(struct cli *c, json_t **ret)
{
    AUTO(json_free) json_t *body = json_object();

    for (int i = 0; i < c->n_args; i++) {
        struct slice value = slice_of(c->arg[i]), name = slice_cut(&value, '=');

        if (value.p == NULL || name.n == 0)
            return usage(c, T_NOT_ASSIGNMENT, c->arg[i]);
        (void)json_object_setn_new(body, name.p, name.n, value_of(value.p));
    }
    return cli_change(c, "PATCH", "/api/v1/event-policy", TAKE(body), ret);
}

static void bytes_text(const char *label, int64_t n)
{
    static const char *const units[] = {"", "K", "M", "G", "T"};
    size_t i = 0;
    double v = (double)n;

    for (; v >= 1024 && i + 1 < COUNT_OF(units); i++)
        v /= 1024;
    printf("%-20s%.*f %sB\n", label, i == 0 ? 0 : 1, v, units[i]);
}

enum cli_exit verb_event_policy(struct cli *c)
{
    AUTO(json_free) json_t *doc = NULL;
    enum cli_exit rc = c->n_args > 0 ? change(c, &doc) : cli_get(c, "/api/v1/event-policy", &doc);
    const json_t *stored = json_object_get(doc, "stored"), *drops = json_object_get(doc, "drops");

    if (rc != EXIT_OK_)
        return rc;
    if (c->json) {
        print_json(doc);
        return EXIT_OK_;
    }
    printf("%-20s%lld\n", "keep_days", (long long)json_int(doc, "keep_days", 0));
    bytes_text("size_budget_bytes", json_int(doc, "size_budget_bytes", 0));
    printf("%-20s%s\n", "subject", json_str(doc, "subject", ""));
    bytes_text(tx(c, T_EV_STORED), json_int(stored, "bytes", 0));
    printf("%-20s%s\n", tx(c, T_EV_OLDEST), json_str(stored, "oldest_day", "-"));
    if (json_int(drops, "days", 0) > 0)
        say(c, T_EV_DROPS, (long long)json_int(drops, "days", 0));
    return EXIT_OK_;
}
