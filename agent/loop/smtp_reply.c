#include "loop/smtp_reply.h"

/* One line without its CRLF; false: the input has no whole line (bad says whether it never can
 * become one). */
static bool next_line(struct slice *in, struct slice *ret, bool *bad)
{
    for (size_t i = 0; i < in->n; i++) {
        if (i > SMTP_REPLY_LINE_MAX) {
            *bad = true;
            return false;
        }
        if (in->p[i] == '\n') {
            *bad = true; /* LF without CR */
            return false;
        }
        if (in->p[i] != '\r')
            continue;
        if (i + 1 == in->n)
            return false;
        if (in->p[i + 1] != '\n') {
            *bad = true;
            return false;
        }
        *ret = (struct slice){in->p, i};
        in->p += i + 2;
        in->n -= i + 2;
        return true;
    }
    *bad = in->n > SMTP_REPLY_LINE_MAX;
    return false;
}

static int line_code(struct slice line)
{
    int code = 0;

    if (line.n < 3)
        return -1;
    for (size_t i = 0; i < 3; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return -1;
        code = code * 10 + (line.p[i] - '0');
    }
    if (code < 200 || code > 599)
        return -1;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return -1;
    return code;
}

static void add_text(struct smtp_reply *r, struct slice text)
{
    size_t n = strlen(r->text);

    if (n > 0 && n + 1 < sizeof r->text)
        r->text[n++] = ' ';
    for (size_t i = 0; i < text.n && n + 1 < sizeof r->text; i++) {
        unsigned char c = (unsigned char)text.p[i];
        r->text[n++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    r->text[n] = '\0';
}

enum smtp_reply_state smtp_reply_parse(struct slice in, struct smtp_reply *ret)
{
    struct smtp_reply r = {0};
    struct slice rest = in, line = {NULL, 0};
    bool bad = false;

    while (next_line(&rest, &line, &bad)) {
        int code = line_code(line);
        if (code < 0 || (r.lines > 0 && code != r.code) || ++r.lines > SMTP_REPLY_LINES_MAX)
            return SMTP_REPLY_BAD;
        r.code = code;
        add_text(&r, line.n > 4 ? (struct slice){line.p + 4, line.n - 4} : (struct slice){NULL, 0});
        if (line.n == 3 || line.p[3] == ' ') {
            r.used = in.n - rest.n;
            *ret = r;
            return SMTP_REPLY_DONE;
        }
    }
    return bad || in.n > SMTP_REPLY_MAX ? SMTP_REPLY_BAD : SMTP_REPLY_MORE;
}
