/*
 * listmake FILE: a list for foxproxy from lines of "NETWORK [ID [EXPIRES]]" on standard input;
 * EXPIRES is in ms since the epoch, 0 never.  For tests and benchmarks; devices get theirs from the
 * parent.
 */
#include "base/file.h"
#include "foxproxy/addr.h"

#include <stdio.h>
#include <stdlib.h>

static bool read_row(struct slice line, size_t n, struct iplist_row *ret)
{
    struct slice rest = line, net = slice_cut(&rest, ' '), id = slice_cut(&rest, ' ');
    struct addr_net a;
    uint64_t expires = 0;

    *ret = (struct iplist_row){.id = n + 1};
    if (!addr_net_parse(net, &a) || (id.n > 0 && !parse_u64(id, 1, INT64_MAX, &ret->id)) ||
        (rest.n > 0 && !parse_u64(rest, 0, INT64_MAX, &expires)))
        return false;
    ret->net = a.net;
    ret->bits = a.bits;
    ret->expires_ms = (int64_t)expires;
    return true;
}

static enum err_code make(const char *path, struct err *e)
{
    struct iplist_row *rows = NULL;
    size_t n = 0, room = 0, size = 0;
    AUTO_STR char *out = NULL;
    char line[256];
    enum err_code rc;

    while (fgets(line, sizeof line, stdin) != NULL) {
        if (n == room) {
            room = room == 0 ? 1024 : room * 2;
            struct iplist_row *more = realloc(rows, room * sizeof *rows);
            if (more == NULL)
                break;
            rows = more;
        }
        if (!read_row(slice_trim(slice_of(line)), n, &rows[n])) {
            free(rows);
            return err_set(e, ERR_INVALID, "line %zu is no row", n + 1);
        }
        n++;
    }
    rc = iplist_build(rows, n, &out, &size, NULL, e);
    free(rows);
    return rc != ERR_OK ? rc : file_write_atomic(path, (struct slice){out, size}, 0644, e);
}

int main(int argc, char **argv)
{
    struct err e = {0};

    if (argc != 2) {
        (void)fputs("usage: listmake FILE <rows\n", stderr);
        return 2;
    }
    if (make(argv[1], &e) == ERR_OK)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "listmake: %s\n", e.msg);
    return EXIT_FAILURE;
}
