/*
 * request.h - what a handler sees of a request and what it answers.  Knows no libmicrohttpd, so a handler runs in a
 * unit test.  The order for each request (style.md 8): gate, route, body limit, authenticate, permission, handler,
 * audit (inside the handler's transaction), reply.
 * Threads: handlers run on worker threads with a database connection, R_INLINE ones on an I/O thread without (they
 * must not block: no database, no files, no slow cryptography).
 */
#pragma once

#include "base/arena.h"
#include "base/finding.h"
#include "json/json_in.h"

struct app; /* server/domain/app.h */
struct stream;
struct db;

/* What a caller may do; a route names the one it needs.  Roles: viewer has the _READ ones, operator also SETTINGS_WRITE,
 * PUBLISH, DEVICE_WRITE and COMMAND, admin all.  An API token has the scopes it was given (words in scope_names[]). */
enum perm {
    PERM_NONE = 0,            /* anybody */
    PERM_SESSION = 1 << 0,    /* any signed-in account (its own session and password) */
    PERM_SETTINGS_READ = 1 << 1,
    PERM_SETTINGS_WRITE = 1 << 2,
    PERM_PUBLISH = 1 << 3,
    PERM_DEVICE_READ = 1 << 4,
    PERM_DEVICE_WRITE = 1 << 5,
    PERM_ENROL = 1 << 6,      /* make join tokens, enrol with a login */
    PERM_AUDIT_READ = 1 << 7,
    PERM_ADMIN = 1 << 8,      /* accounts, tokens of others, parent itself */
    PERM_KNOWN = 1 << 9,      /* anybody who said who they are: a signed-in account or an API token */
    PERM_COMMAND = 1 << 10,   /* give devices orders (services, queues, tests) and read what they print */
    PERM_EVENTS_READ = 1 << 11, /* what happened to messages, and the figures made of it: addresses and subjects of users */
    PERM_DEVICE = 1 << 15,    /* a child's access token */
};
extern const char *const scope_names[]; /* "settings:read", ... by bit; "" where a bit is no scope */

struct who {
    enum { WHO_NOBODY, WHO_ACCOUNT, WHO_TOKEN, WHO_DEVICE } kind;
    char id[37];       /* account, API token or device id */
    char name[64];     /* "admin", "token:ci", device id */
    char account[37];  /* owning account, also of an API token; "" for devices */
    unsigned perms;
    bool must_change_password;
    int64_t gen;       /* WHO_DEVICE: credential generation of the token */
    enum lang lang;    /* WHO_ACCOUNT: the account's language, used when the request names none */
};

struct req {
    const char *method, *path;
    const char *id;             /* request id, also in the answer and the log */
    const char *param[4];       /* {placeholders} of the route, in order, percent-decoded, 1..200 printable bytes */
    struct slice body;          /* whole, at most the route's limit */
    json_t *json;               /* parsed body of a JSON route (object); NULL otherwise; borrowed */
    const char *client_address; /* text */
    enum lang lang;             /* Accept-Language, or the account's */
    bool dry_run;               /* ?dry_run=true */
    struct who who;
    struct app *app;
    struct db *db;              /* NULL in R_INLINE handlers */
    struct arena *arena;        /* lives as long as the request */
    void *conn;                 /* http's own */
};
const char *req_header(const struct req *rq, const char *name); /* NULL: absent */
const char *req_query(const struct req *rq, const char *name);  /* decoded, NULL: absent */
/* Field of an R_FORM body, decoded (1st of that name); NULL: absent. */
const char *req_form(const struct req *rq, const char *name);
/* Query number with bounds and default; ERR_INVALID names it. */
MUST_USE enum err_code req_query_int(const struct req *rq, const char *name, int64_t min, int64_t max, int64_t fallback,
                                     int64_t *ret, struct err *e);
/* If-Match against the present version: ERR_PRECONDITION_REQUIRED when absent, ERR_STALE_EDIT when different. */
MUST_USE enum err_code req_if_match(const struct req *rq, const char *etag, struct err *e);

struct reply {
    int status;              /* 0: 200, or 204 without a body */
    json_t *json;            /* owned by the reply */
    char *text;              /* owned heap body instead of json, with content_type */
    size_t text_n;
    const char *content_type;
    char etag[72];           /* without quotes; "" none */
    char location[200];
    struct { const char *name; char value[640]; } header[11]; /* a signed Inari-Fresh is the longest */
    size_t n_headers;
    struct findings findings; /* with an error code: become errors[] of the problem, in the caller's language */
    json_t *problem_extra;    /* owned object: members added to a problem document */
    bool secret;              /* the body shows a secret once: never kept for an Idempotency-Key */
    /* Hold the request (R_HOLD routes only): the handler is run again, on an I/O thread, when park_wake() names park_key
     * or at the deadline (then with rq->conn's "expired" mark: req_expired()).  park_for is the handler's own number of
     * what it waits for; a request whose time is over may be held once more only for something else. */
    bool park;
    int park_for;
    char park_key[40];
    int64_t park_until_mono_ms;
    /* Share a body among many answers: borrowed immutable bytes, released by release(release_arg) when sent. */
    const char *shared; size_t shared_n; void (*release)(void *); void *release_arg;
    /* The body is written while it is sent (stream.h), with content_type; the reply has the answer's reference. */
    struct stream *stream;
};
bool req_again(const struct req *rq);   /* the handler runs again for the same request, whatever woke it */
bool req_expired(const struct req *rq); /* a parked request came back because its time was over */
bool req_waited_for(const struct req *rq, int what); /* the same, and it was parked for what */
/* steals j */
enum err_code reply_json(struct reply *rp, int status, json_t *j, struct err *e);
void reply_header(struct reply *rp, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Findings that refuse: ERR_INVALID with all of them in errors[]; ERR_OK when none does. */
enum err_code reply_findings(struct reply *rp, struct findings *f, struct err *e); /* takes f's contents */

typedef enum err_code (*handler_fn)(struct req *rq, struct reply *rp, struct err *e);

enum route_flags {
    R_INLINE = 1,   /* on the I/O thread, no database */
    R_HOLD = 2,     /* may park */
    R_FORM = 4,     /* body is application/x-www-form-urlencoded (OAuth) */
    R_RAW = 8,      /* body is not parsed (JWS) */
    R_MERGE = 16,   /* application/merge-patch+json */
    R_OPEN_PW = 32, /* allowed while the password must be changed */
    R_FORM_HTML = 64,
    R_CODED = 256,    /* the body may come as Content-Encoding: zstd; the handler undoes it */
    R_EVENTS = 512,   /* has workers and memory for bodies of its own share: a flood keeps nobody else waiting */
    R_LOOPBACK = 128, /* callers at a loopback address need no permission (unless a proxy speaks for others) */
};
struct route {
    const char *method, *path; /* "/api/v1/devices/{id}" */
    handler_fn handler;
    unsigned perm;             /* enum perm; PERM_NONE is written out, never forgotten */
    size_t body_max;
    unsigned flags;
};
extern const struct route routes[]; /* server/routes.c: the table of contents; ends with method NULL */
