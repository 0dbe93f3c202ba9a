/* Lines of Postfix and the events they must give, every member of them: tests/data/postfix-log
 * (README.md there: where they come from, how a file reads).  With a file as argument it prints
 * that file with the events that the parser gives now, to be read by whoever changes it. */
#include "maillog/maillog_event.h"

#include "json/json_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIR INARI_SOURCE_DIR "/tests/data/postfix-log/"
static const int64_t now_ms = 1795339713000; /* 2026-11-22T09:28:33Z */
static const char begin[] = "2026-11-22T09:28:33.234Z mx ";
static struct maillog_events m;
static int n_lines, n_events;

static void fresh(void)
{
    struct err e;

    maillog_events_clear(&m);
    assert_int_equal(maillog_events_init(&m, "dev.inari.invalid", &e), ERR_OK);
}

static void read_line(const char *text)
{
    static char whole[16 * KIB];
    struct err e;

    (void)snprintf(whole, sizeof whole, "%s%s", strncmp(text, "postfix", 7) == 0 ? begin : "",
                   text);
    assert_int_equal(maillog_events_line(&m, slice_of(whole), now_ms, &e), ERR_OK);
    n_lines++;
}

/* The event as the files have it: without the time, which is the same in all of them. */
static json_t *event(size_t i)
{
    AUTO_STRBUF struct strbuf s = STRBUF_INIT(MAILLOG_EVENT_MAX + 1);
    struct err e;
    json_t *j = NULL;

    maillog_event_json(&m.out[i], 0, &s);
    assert_true(strbuf_ok(&s));
    if (json_in_parse(strbuf_slice(&s), MAILLOG_EVENT_MAX, &j, &e) != ERR_OK)
        fail_msg("%s: %s", e.msg, strbuf_str(&s));
    assert_true(json_int(j, "at", 0) > 0);
    (void)json_object_del(j, "at");
    n_events++;
    return j;
}

static void compare(size_t i, const char *want_text, const char *line)
{
    AUTO(json_free) json_t *want = NULL;
    struct err e;
    json_t *got;

    if (json_in_parse(slice_of(want_text), MAILLOG_EVENT_MAX, &want, &e) != ERR_OK)
        fail_msg("not JSON: %s", want_text);
    if (i >= m.n_out)
        fail_msg("%s\nwanted %s, got nothing", line, want_text);
    got = event(i);
    if (!json_equal(got, want)) {
        AUTO(json_free) json_t *keep = got;
        char *is = json_dumps(keep, JSON_COMPACT);
        fail_msg("%s\nwanted %s\ngot    %s", line, want_text, is);
    }
    json_decref(got);
}

static void file(const char *name, bool print)
{
    static char text[16 * KIB], line[16 * KIB];
    size_t at = 0;
    FILE *f = fopen(name, "re");

    if (f == NULL)
        fail_msg("no %s", name);
    fresh();
    line[0] = '\0';
    while (fgets(text, sizeof text, f) != NULL) {
        text[strcspn(text, "\n")] = '\0';
        if (strncmp(text, "= ", 2) == 0) {
            if (!print)
                compare(at++, text + 2, line);
            continue;
        }
        if (at != m.n_out && line[0] != '\0' && !print)
            fail_msg("%s\ngives %zu events, not %zu", line, m.n_out, at);
        line[0] = '\0';
        m.n_out = at = 0;
        if (print)
            (void)printf("%s\n", text);
        if (strcmp(text, "---") == 0)
            fresh();
        if (strncmp(text, "> ", 2) != 0)
            continue;
        text_copy(line, sizeof line, text + 2);
        read_line(line);
        for (size_t i = 0; print && i < m.n_out; i++) {
            json_t *j = event(i);
            char *is = json_dumps(j, JSON_COMPACT);
            (void)printf("= %s\n", is);
            free(is);
            json_decref(j);
        }
    }
    if (at != m.n_out && !print)
        fail_msg("%s\ngives %zu events, not %zu", line, m.n_out, at);
    (void)fclose(f);
    maillog_events_clear(&m);
}

static void own_lines(void **state)
{
    (void)state;
    file(DIR "postfix-3.7.txt", false);
    assert_true(n_lines > 100 && n_events > 80);
}

static void public_grok(void **state)
{
    (void)state;
    file(DIR "postfix-grok-patterns.txt", false);
}

static void public_parser(void **state)
{
    (void)state;
    file(DIR "postfix-parser.txt", false);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_lines),
        cmocka_unit_test(public_grok),
        cmocka_unit_test(public_parser),
    };

    if (argc == 2) {
        file(argv[1], true);
        return 0;
    }
    return cmocka_run_group_tests_name("maillog_samples", tests, NULL, NULL);
}
