#include "apply/desired.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DESIRED_MAX = 64 * 1024 };

static void path_of(const struct helper *h, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/desired.json", h->s->helper_state);
}

json_t *desired_read(const struct helper *h)
{
    AUTO_STR char *text = NULL;
    json_t *j = NULL;
    char path[4200];
    size_t n = 0;

    path_of(h, path, sizeof path);
    if (file_read(path, DESIRED_MAX, &text, &n, NULL) == ERR_OK &&
        json_in_parse((struct slice){text, n}, DESIRED_MAX, &j, NULL) == ERR_OK &&
        strcmp(json_str(j, "state", ""), "stopped") == 0)
        return j;
    json_decref(j);
    return json_pack("{s:s}", "state", "running");
}

enum err_code desired_may_run(const struct helper *h, struct err *e)
{
    AUTO(json_free) json_t *j = desired_read(h);

    if (strcmp(json_str(j, "state", ""), "stopped") != 0)
        return ERR_OK;
    return err_set(e, ERR_CONFLICT, "Postfix is stopped on purpose by %s since %s (%s)",
                   json_str(j, "by", ""), json_str(j, "since", ""), json_str(j, "reason", ""));
}

enum err_code desired_stop(const struct helper *h, const char *by, const char *reason,
                           const char *command, struct err *e)
{
    char path[4200], now[CLOCK_TEXT_SIZE];
    AUTO(json_free) json_t *j = NULL;
    AUTO_STR char *text = NULL;

    clock_format(clock_wall_ms(), now);
    j = json_pack("{s:s,s:s,s:s,s:s,s:s}", "state", "stopped", "by", by, "reason", reason, "since",
                  now, "command", command);
    text = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    path_of(h, path, sizeof path);
    return file_write_atomic(path, slice_of(text), 0600, e);
}

enum err_code desired_run(const struct helper *h, struct err *e)
{
    char path[4200];

    path_of(h, path, sizeof path);
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(e, ERR_STORAGE, errno, "could not remove \"%s\"", path);
    return file_fsync_dir(h->s->helper_state, e);
}
