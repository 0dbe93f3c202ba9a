/* Who speaks as a device: a table of polls, and what each of them must lead to. */
#include "domain/fleet_instance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOME  "hhhh" /* the machine that was enrolled */
#define OTHER "oooo" /* another one */

struct said { /* boot: one letter stands for a start; 0 ends the list */
    char boot;
    int64_t seq;
    const char *machine;
    const char
        *want; /* "" as usual, "reverted", "fork"; then who is set aside: letters, "-" nobody */
    const char *aside;
};

struct story {
    const char *name;
    struct said said[12];
};

static const struct story stories[] = {
    {"one agent, restarted twice",
     {{'a', 1, HOME, "", "-"},
      {'a', 2, HOME, "", "-"},
      {'b', 1001, HOME, "", "-"},
      {'c', 2001, HOME, "", "-"}}},
    {"a copy on another machine, the original speaks again",
     {{'a', 50, HOME, "", "-"},
      {'b', 1001, OTHER, "", "-"},
      {'a', 51, HOME, "fork", "b"},
      {'b', 1002, OTHER, "", "b"}}},
    {"the original comes second",
     {{'a', 1001, OTHER, "", "-"},
      {'b', 1001, HOME, "reverted", "-"},
      {'a', 1002, OTHER, "fork", "a"}}},
    {"a set-aside copy that starts again is still set aside, the original that starts again is not",
     {{'a', 50, HOME, "", "-"},
      {'b', 1001, OTHER, "", "-"},
      {'a', 51, HOME, "fork", "b"},
      {'c', 2001, OTHER, "", "c"},
      {'d', 3001, HOME, "", "c"}}},
    {"two machines that look alike: nobody is preferred",
     {{'a', 50, HOME, "", "-"},
      {'b', 1001, HOME, "", "-"},
      {'a', 51, HOME, "", "-"},
      {'b', 1002, HOME, "fork", "ab"},
      {'a', 52, HOME, "", "ab"}}},
    {"a request of before the restart that came late",
     {{'a', 50, HOME, "", "-"},
      {'b', 1001, HOME, "", "-"},
      {'a', 51, HOME, "", "-"},
      {'c', 2001, HOME, "", "-"},
      {'d', 3001, HOME, "", "-"}}},
    {"machines that do not say: nobody is preferred",
     {{'a', 50, "", "", "-"},
      {'b', 1001, "", "", "-"},
      {'a', 51, "", "", "-"},
      {'b', 1002, "", "fork", "ab"}}},
    {"an older snapshot, alone",
     {{'a', 5000, HOME, "", "-"},
      {'b', 2001, HOME, "reverted", "-"},
      {'b', 2002, HOME, "", "-"},
      {'b', 2003, HOME, "", "-"}}},
    {"polls that were cut and sent anew",
     {{'a', 50, HOME, "", "-"},
      {'a', 50, HOME, "", "-"},
      {'a', 51, HOME, "", "-"},
      {'a', 51, HOME, "", "-"},
      {'a', 51, HOME, "", "-"},
      {'a', 52, HOME, "", "-"},
      {'a', 52, HOME, "", "-"},
      {'a', 53, HOME, "", "-"},
      {'a', 53, HOME, "", "-"}}},
    {"twins of one running image, one of them a poll ahead",
     {{'a', 50, HOME, "", "-"},
      {'a', 51, HOME, "", "-"},
      {'a', 50, HOME, "", "-"},
      {'a', 52, HOME, "", "-"},
      {'a', 51, HOME, "", "-"},
      {'a', 53, HOME, "", "-"},
      {'a', 52, HOME, "", "-"},
      {'a', 54, HOME, "", "-"},
      {'a', 53, HOME, "fork", "a"}}},
    {"an agent that does not say", {{'-', 0, HOME, "", "-"}, {'-', 0, OTHER, "", "-"}}},
};

static void boot_of(char letter, char out[37])
{
    (void)snprintf(out, 37, "%c", letter == '-' ? '\0' : letter);
}

static const char *event_word(enum instance_event e)
{
    return e == INSTANCE_FORK ? "fork" : e == INSTANCE_REVERTED ? "reverted" : "";
}

static void tell(const struct story *s)
{
    struct instances i = {.fingerprint = HOME};

    for (size_t n = 0; n < 12 && s->said[n].boot != 0; n++) {
        const struct said *x = &s->said[n];
        struct instance one = {.seq = x->seq, .seen_ms = (int64_t)n * 50000};
        boot_of(x->boot, one.boot);
        (void)snprintf(one.machine, sizeof one.machine, "%s", x->machine);
        i.event = INSTANCE_USUAL;
        instances_note(&i, &one, (int64_t)n * 50000);
        if (strcmp(event_word(i.event), x->want) != 0)
            fail_msg("%s: poll %zu gives \"%s\", not \"%s\"", s->name, n, event_word(i.event),
                     x->want);
        for (const struct instance *k = &i.before;; k = &i.now) {
            bool aside = instances_set_aside(&i, k->boot, k->machine);
            if (k->boot[0] != '\0' && aside != (strchr(x->aside, k->boot[0]) != NULL))
                fail_msg("%s: after poll %zu \"%s\" is %s", s->name, n, k->boot,
                         aside ? "set aside" : "not set aside");
            if (k == &i.now)
                break;
        }
    }
}

static void every_story(void **state)
{
    (void)state;
    for (size_t n = 0; n < COUNT_OF(stories); n++)
        tell(&stories[n]);
}

/* What an administrator chose counts, whatever the machines are. */
static void chosen(void **state)
{
    struct instances i = {.forked = true, .fingerprint = HOME};

    (void)state;
    assert_true(instances_set_aside(&i, "a", HOME));
    memcpy(i.keep_machine, OTHER, sizeof OTHER);
    assert_true(instances_set_aside(&i, "a", HOME));
    assert_false(instances_set_aside(&i, "b", OTHER));
    memcpy(i.keep_boot, "a", 2);
    assert_false(instances_set_aside(&i, "a", HOME));
    assert_true(instances_set_aside(&i, "b", OTHER));
    i.forked = false;
    assert_false(instances_set_aside(&i, "b", OTHER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_story), cmocka_unit_test(chosen)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
