#include "base/finding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void findings_clear(struct findings *f)
{
    free(f->v);
    *f = (struct findings){0};
}

static void copy_arg(char *to, const char *from)
{
    size_t n = 0;

    for (; from != NULL && from[n] != '\0' && n + 1 < FINDING_ARG_MAX; n++) {
        unsigned char c = (unsigned char)from[n];
        to[n] = (c < 0x20 || c == 0x7f) ? '?' : from[n];
    }
    /* never leave half a UTF-8 character behind */
    while (n > 0 && from != NULL && from[n] != '\0' && ((unsigned char)from[n] & 0xc0) == 0x80)
        n--;
    to[n] = '\0';
}

struct finding *finding_add(struct findings *f, enum finding_id id, const char *pointer, const char *a0,
                            const char *a1, const char *a2, const char *a3)
{
    const char *args[FINDING_ARGS] = {a0, a1, a2, a3};
    struct finding *x;

    f->errors++;
    if (f->n >= FINDINGS_MAX) {
        f->dropped++;
        return NULL;
    }
    if ((f->n & (f->n - 1)) == 0) {
        x = realloc(f->v, (f->n == 0 ? 1 : f->n * 2) * sizeof *x);
        if (x == NULL) {
            f->dropped++;
            return NULL;
        }
        f->v = x;
    }
    x = &f->v[f->n++];
    memset(x, 0, sizeof *x);
    x->id = id;
    (void)snprintf(x->pointer, sizeof x->pointer, "%s", pointer == NULL ? "" : pointer);
    for (int i = 0; i < FINDING_ARGS; i++)
        copy_arg(x->arg[i], args[i]);
    return x;
}

struct finding *finding_warn(struct findings *f, enum finding_id id, const char *pointer, const char *a0,
                             const char *a1, const char *a2, const char *a3)
{
    struct finding *x = finding_add(f, id, pointer, a0, a1, a2, a3);

    f->errors--;
    if (x != NULL)
        x->warning = true;
    return x;
}

size_t findings_blocking(const struct findings *f)
{
    size_t n = f->errors;

    for (size_t i = 0; i < f->n; i++) {
        if (!f->v[i].warning && f->v[i].forceable)
            n--;
    }
    return n;
}

static void expand(const struct finding *f, const char *text, char *buf, size_t size)
{
    size_t n = 0;

    for (const char *p = text; *p != '\0' && n + 1 < size; p++) {
        if (p[0] == '{' && p[1] >= '0' && p[1] < '0' + FINDING_ARGS && p[2] == '}') {
            size_t len = strlen(f->arg[p[1] - '0']);
            if (len > size - 1 - n)
                len = size - 1 - n;
            memcpy(buf + n, f->arg[p[1] - '0'], len);
            n += len;
            p += 2;
        } else {
            buf[n++] = *p;
        }
    }
    buf[n] = '\0';
}

void finding_message(const struct finding *f, enum lang lang, char *buf, size_t size)
{
    expand(f, finding_texts[f->id].message[lang], buf, size);
}

void finding_remedy(const struct finding *f, enum lang lang, char *buf, size_t size)
{
    expand(f, finding_texts[f->id].remedy[lang], buf, size);
}
