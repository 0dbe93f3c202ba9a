#include "targets/process.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Where version 2 is mounted: alone, or beside version 1. */
static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

static bool read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
    char path[64];
    size_t n;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    n = fread(buf, 1, size - 1, f);
    (void)fclose(f);
    buf[n] = '\0';
    return n > 0;
}

bool process_look(pid_t pid, struct process *ret)
{
    char text[1024], *from, *to;
    int parent = 0, group = 0;
    unsigned long long start = 0;
    struct process p = {0};

    if (!read_proc(pid, "stat", text, sizeof text))
        return false;
    from = strchr(text, '('); /* the name may hold blanks and parentheses of its own */
    to = strrchr(text, ')');
    if (from == NULL || to == NULL || to < from ||
        sscanf(to + 1,
               " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &p.state, &parent, &group, &start) != 4)
        return false;
    (void)snprintf(p.name, sizeof p.name, "%.*s", (int)(to - from - 1), from + 1);
    p.parent = parent;
    p.group = group;
    p.start = start;
    *ret = p;
    return true;
}

uint64_t process_cgroup(pid_t pid)
{
    char text[4096], path[4200], *line, *end;
    struct stat st;

    if (!read_proc(pid, "cgroup", text, sizeof text))
        return 0;
    line = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (line == NULL)
        return 0;
    line = strchr(line, '/');
    end = strchrnul(line, '\n');
    if (end - line == 1) /* everything is in it: it tells nothing */
        return 0;
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        (void)snprintf(path, sizeof path, "%s%.*s", roots[i], (int)(end - line), line);
        if (stat(path, &st) == 0)
            return st.st_ino;
    }
    return 0;
}

void process_each(bool (*fn)(void *ctx, pid_t pid), void *ctx)
{
    DIR *d = opendir("/proc");
    struct dirent *f;

    while (d != NULL && (f = readdir(d)) != NULL)
        if (isdigit((unsigned char)f->d_name[0]) && !fn(ctx, (pid_t)strtol(f->d_name, NULL, 10)))
            break;
    if (d != NULL)
        (void)closedir(d);
}
