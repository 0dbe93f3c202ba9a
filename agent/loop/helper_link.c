#include "loop/helper_link.h"

#include <poll.h>
#include <unistd.h>

void helper_link_close(struct helper_link *h)
{
    if (h->fd >= 0)
        (void)close(h->fd);
    h->fd = -1;
}

/* Between calls the helper says nothing: readable means that it hung up. */
static bool is_dead(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};

    return poll(&p, 1, 0) != 0;
}

enum err_code helper_ask(struct helper_link *h, const char *verb, json_t *members, int timeout_ms,
                         json_t **ret_answer, struct err *e)
{
    AUTO(json_free) json_t *ask = members == NULL ? json_object() : members;
    AUTO(json_free) json_t *answer = NULL;
    enum err_code rc = ERR_OK;

    if (ask == NULL || json_object_set_new(ask, "v", json_integer(1)) != 0 ||
        json_object_set_new(ask, "verb", json_string(verb)) != 0)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (h->fd >= 0 && is_dead(h->fd))
        helper_link_close(h);
    if (h->fd < 0)
        rc = helper_connect(h->path, &h->fd, e);
    if (rc == ERR_OK)
        rc = helper_call(h->fd, ask, timeout_ms, &answer, e);
    if (rc != ERR_OK) {
        helper_link_close(h);
        return err_wrap(e, "helper, %s", verb);
    }
    rc = helper_ok(answer, e);
    *ret_answer = TAKE(answer);
    return rc;
}
