#include "foxproxy/daemon.h"

#include "base/file.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { STATE_MAX = 64 * 1024 };

static void state_path(const struct daemon *d, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s/state.json", d->o->state);
}

static void open_again(const json_t *j, const char *name, struct list **ret, char *trouble,
                       size_t size)
{
    const char *path = json_str(j, name, NULL);
    struct err e;

    if (path == NULL || list_open(path, ret, &e) == ERR_OK)
        return;
    (void)snprintf(trouble, size, "%s", e.msg);
    log_event(LOG_LEVEL_ERROR, "list.lost", KV_STR("list", name), KV_STR("problem", e.msg));
}

enum err_code state_read(struct daemon *d, struct err *e)
{
    AUTO_STR char *text = NULL;
    AUTO(json_free) json_t *j = NULL;
    char path[LIST_PATH_MAX];
    size_t n = 0;

    state_path(d, path, sizeof path);
    if (file_read(path, STATE_MAX, &text, &n, e) != ERR_OK)
        return e->code == ERR_NOT_FOUND ? ERR_OK : e->code;
    if (json_in_parse((struct slice){text, n}, STATE_MAX, &j, e) != ERR_OK) {
        /* Mail does not wait for it: the agent gives the lists again. */
        log_event(LOG_LEVEL_ERROR, "state.unreadable", KV_STR("path", path),
                  KV_STR("problem", e->msg));
        return e->code == ERR_NO_MEMORY ? e->code : ERR_OK;
    }
    d->drained = json_bool(j, "drained", false);
    open_again(j, "approved", &d->approved, d->list_trouble[0], sizeof d->list_trouble[0]);
    open_again(j, "blocked", &d->blocked, d->list_trouble[1], sizeof d->list_trouble[1]);
    return ERR_OK;
}

static json_t *path_of(const struct list *l)
{
    return l == NULL ? json_null() : json_string(l->path);
}

enum err_code state_write(const struct daemon *d, struct err *e)
{
    AUTO(json_free)
    json_t *j = json_pack("{s:o,s:o,s:b}", "approved", path_of(d->approved), "blocked",
                          path_of(d->blocked), "drained", d->drained);
    AUTO_STR char *text = j == NULL ? NULL : json_text(j, JSON_COMPACT);
    char path[LIST_PATH_MAX];

    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    state_path(d, path, sizeof path);
    return file_write_atomic(path, slice_of(text), 0600, e);
}
