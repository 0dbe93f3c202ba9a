#include "loop/ask.h"

#include "base/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { ASK_LINE_MAX = 8 * 1024 };

static enum err_code read_line(int fd, char **ret, struct err *e)
{
    char buf[ASK_LINE_MAX];
    size_t n = 0;
    enum err_code rc = ERR_OK;

    while (n < sizeof buf - 1 && read(fd, buf + n, 1) == 1 && buf[n] != '\n')
        n++;
    if (n == sizeof buf - 1)
        rc = err_set(e, ERR_INVALID, "the line is longer than %d bytes", ASK_LINE_MAX - 1);
    while (n > 0 && buf[n - 1] == '\r')
        n--;
    buf[n] = '\0';
    if (rc == ERR_OK && n == 0)
        rc = err_set(e, ERR_INVALID, "nothing was typed");
    if (rc == ERR_OK && (*ret = strdup(buf)) == NULL)
        rc = err_set(e, ERR_NO_MEMORY, "out of memory");
    secret_wipe(buf, sizeof buf);
    return rc;
}

static int open_tty(void)
{
    return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

bool ask_possible(void)
{
    AUTO_FD int fd = open_tty();

    return fd >= 0;
}

enum err_code ask_password(const char *prompt, bool from_stdin, char **ret, struct err *e)
{
    struct termios was, quiet;
    AUTO_FD int fd = -1;
    enum err_code rc;

    if (from_stdin)
        return read_line(STDIN_FILENO, ret, e);
    fd = open_tty();
    if (fd < 0 || tcgetattr(fd, &was) != 0)
        return err_set(
            e, ERR_INVALID,
            "no terminal to ask for the password: use --password-stdin or a join string");
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    (void)dprintf(fd, "%s", prompt);
    (void)tcsetattr(fd, TCSAFLUSH, &quiet);
    rc = read_line(fd, ret, e);
    (void)tcsetattr(fd, TCSAFLUSH, &was);
    (void)dprintf(fd, "\n");
    return rc;
}

enum err_code ask_line(const char *prompt, char **ret, struct err *e)
{
    AUTO_FD int fd = open_tty();

    if (fd < 0)
        return err_set(e, ERR_INVALID, "no terminal to ask at");
    (void)dprintf(fd, "%s", prompt);
    return read_line(fd, ret, e);
}

bool ask_yes(const char *prompt)
{
    AUTO_STR char *line = NULL;

    return ask_line(prompt, &line, NULL) == ERR_OK &&
           (strcmp(line, "yes") == 0 || strcmp(line, "はい") == 0);
}
