/*
 * pollclient - CPU time that servers spend on kept-alive HTTPS requests, handshakes left out.
 *
 *   pollclient REQUESTS CONNECTIONS ROUNDS STATUS PORT:PID[,PID...] ...
 *
 * REQUESTS holds whole requests, each ended by its empty line; each is one connection's own (a
 * child's token). CONNECTIONS of them at a time, to each server: connect, one request to warm up,
 * then ROUNDS times: all write, all read.  Only the rounds count.  The servers take turns round by
 * round, so that what else the machine does meets all alike.  Every answer must have STATUS. Prints
 * [{"requests","cpu_us","wall_us","bad","bytes"} a server] as JSON.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 1000,
    PIDS_MAX = 64,
    ANSWER_MAX = 65536,
    SERVERS_MAX = 4,
    ROUNDS_MAX = 4096
};

struct connection {
    int fd;
    SSL *ssl;
    const char *request;
    size_t n;
};

struct server {
    int port;
    pid_t pids[PIDS_MAX];
    size_t n_pids;
    long bad, requests, bytes;
    double cpu_us, wall_us;
    double round_us[ROUNDS_MAX]; /* CPU of a request, round by round */
    size_t n_rounds;
    struct connection c[CONNECTIONS_MAX];
};

static SSL_CTX *ctx;
static int status;
static struct server servers[SERVERS_MAX];
static size_t n_servers;

static void die(const char *what)
{
    (void)fprintf(stderr, "pollclient: %s\n", what);
    exit(EXIT_FAILURE);
}

static double now_us(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) != 0)
        die("could not read a clock (did the server end?)");
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double server_cpu_us(const struct server *v)
{
    double sum = 0;

    for (size_t i = 0; i < v->n_pids; i++) {
        clockid_t clock;
        if (clock_getcpuclockid(v->pids[i], &clock) != 0)
            die("no such process");
        sum += now_us(clock);
    }
    return sum;
}

static void open_connection(struct connection *c, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int yes = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->ssl = SSL_new(ctx);
    if (c->fd < 0 || c->ssl == NULL || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("could not connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)SSL_set_fd(c->ssl, c->fd);
    if (SSL_connect(c->ssl) != 1)
        die("the TLS handshake failed");
}

static void close_connection(struct connection *c)
{
    (void)SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    (void)close(c->fd);
}

static void send_request(struct connection *c)
{
    if (SSL_write(c->ssl, c->request, (int)c->n) != (int)c->n)
        die("could not send a request");
}

static void read_answer(struct server *v, struct connection *c)
{
    static char buf[ANSWER_MAX];
    size_t n = 0;

    for (;;) {
        int got = SSL_read(c->ssl, buf + n, (int)(sizeof buf - 1 - n));
        const char *end, *length;
        size_t body;
        if (got <= 0)
            die("the server closed a kept-alive connection");
        n += (size_t)got;
        buf[n] = '\0';
        end = strstr(buf, "\r\n\r\n");
        if (end == NULL)
            continue;
        length = strstr(buf, "Content-Length: ");
        body = strncmp(buf + 9, "304", 3) == 0 || length == NULL || length > end
                   ? 0
                   : (size_t)atol(length + 16);
        if (n >= (size_t)(end - buf) + 4 + body)
            break;
    }
    if (atoi(buf + 9) != status && v->bad++ == 0)
        (void)fprintf(stderr, "pollclient: unexpected answer: %.300s\n", buf);
    v->bytes += (long)n;
    v->requests++;
}

static void warm_up(struct server *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        open_connection(&v->c[i], v->port);
        send_request(&v->c[i]);
    }
    for (size_t i = 0; i < n; i++)
        read_answer(v, &v->c[i]);
    v->requests -= (long)n;
}

static void one_round(struct server *v, size_t n)
{
    double cpu = server_cpu_us(v), wall = now_us(CLOCK_MONOTONIC);

    for (size_t i = 0; i < n; i++)
        send_request(&v->c[i]);
    for (size_t i = 0; i < n; i++)
        read_answer(v, &v->c[i]);
    v->wall_us += now_us(CLOCK_MONOTONIC) - wall;
    cpu = server_cpu_us(v) - cpu;
    v->cpu_us += cpu;
    if (v->n_rounds < ROUNDS_MAX)
        v->round_us[v->n_rounds++] = cpu / (double)n;
}

static void batch(size_t n, int rounds)
{
    for (size_t s = 0; s < n_servers; s++)
        warm_up(&servers[s], n);
    for (int r = 0; r < rounds; r++)
        for (size_t s = 0; s < n_servers; s++)
            one_round(&servers[s], n);
    for (size_t s = 0; s < n_servers; s++)
        for (size_t i = 0; i < n; i++)
            close_connection(&servers[s].c[i]);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;

    if (f == NULL || getdelim(&text, &size, '\0', f) <= 0)
        die("could not read the requests");
    (void)fclose(f);
    return text;
}

static void read_server(char *arg)
{
    struct server *v = &servers[n_servers++];
    char *more, *p;

    v->port = (int)strtol(arg, &more, 10);
    if (*more != ':')
        die("a server is PORT:PID[,PID...]");
    for (p = strtok_r(more + 1, ",", &more); p != NULL && v->n_pids < PIDS_MAX;
         p = strtok_r(NULL, ",", &more))
        v->pids[v->n_pids++] = (pid_t)atol(p);
}

int main(int argc, char **argv)
{
    char *text, *at;
    size_t n = 0, most;
    int rounds, failed = 0;

    if (argc < 6 || argc > 5 + SERVERS_MAX)
        die("usage: pollclient REQUESTS CONNECTIONS ROUNDS STATUS PORT:PID[,PID...] ...");
    (void)signal(SIGPIPE, SIG_IGN);
    text = at = read_file(argv[1]);
    most = (size_t)atol(argv[2]);
    rounds = atoi(argv[3]);
    status = atoi(argv[4]);
    for (int i = 5; i < argc; i++)
        read_server(argv[i]);
    ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || most == 0 || most > CONNECTIONS_MAX)
        die("bad arguments");
    (void)SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    for (;;) {
        char *end = strstr(at, "\r\n\r\n");
        if (end != NULL) {
            for (size_t s = 0; s < n_servers; s++) {
                servers[s].c[n].request = at;
                servers[s].c[n].n = (size_t)(end + 4 - at);
            }
            n++;
            at = end + 4;
        }
        if (n == most || (end == NULL && n > 0)) {
            batch(n, rounds);
            n = 0;
        }
        if (end == NULL)
            break;
    }
    for (size_t s = 0; s < n_servers; s++) {
        const struct server *v = &servers[s];
        (void)printf("%s{\"requests\": %ld, \"cpu_us\": %.1f, \"wall_us\": %.1f, \"bad\": %ld, "
                     "\"bytes\": %ld, \"round_us\": [",
                     s == 0 ? "[" : ",\n ", v->requests, v->cpu_us, v->wall_us, v->bad, v->bytes);
        for (size_t r = 0; r < v->n_rounds; r++)
            (void)printf("%s%.2f", r == 0 ? "" : ",", v->round_us[r]);
        (void)fputs("]}", stdout);
        failed |= v->bad != 0;
    }
    (void)puts("]");
    SSL_CTX_free(ctx);
    free(text);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
