/*
 * child.c - one simulated child: joins, signs in, polls, verifies, applies (in time only), reports.
 * The order and the pauses are the agent's (agent/loop/parent.c): a report before the next poll,
 * one held poll, Retry-After and full-jitter backoff, one new token after a 401, the loop guard.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "loop/bundle.h"
#include "loop/token.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPORT_FIRST_MS = 10000, SLOW_MS = 300 * 1000, INTERVAL_S = 60, JOIN_RETRY_MS = 2000 };

static void begin_request(struct strbuf *b, const char *method, const char *path)
{
    *b = STRBUF_INIT(256 * KIB);
    strbuf_printf(b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: inari-agent/%s\r\nAccept: */*\r\n",
                  method, path, conn_host, INARI_VERSION);
}

static void end_request(struct strbuf *b, const char *type, const char *body)
{
    if (body == NULL)
        strbuf_puts(b, "\r\n");
    else
        strbuf_printf(b, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", type, strlen(body),
                      body);
}

static struct conn *free_conn(struct child *d)
{
    for (int i = 0; i < 2; i++) /* one that is open already, as libcurl chooses */
        if (d->conn[i].state == CONN_IDLE)
            return &d->conn[i];
    for (int i = 0; i < 2; i++)
        if (conn_free(&d->conn[i]))
            return &d->conn[i];
    return NULL;
}

static int64_t retry_ms(const struct answer *a, struct backoff *b)
{
    int64_t wait = a->status == 429 || a->status == 503
                       ? backoff_retry_after(slice_of(a->retry_after), clock_wall_ms())
                       : -1;

    return wait >= 0 ? wait : backoff_next(b);
}

/* --- joining --- */

/* Documents are the same for all: verified and kept once. */
struct trust *child_trust(const json_t *documents, struct err *e)
{
    static struct {
        char *text;
        struct trust *trust;
    } known[16];
    static size_t n;
    struct trust *t = NULL;
    size_t i;
    json_t *v;

    json_array_foreach(documents, i, v)
    {
        const char *text = json_is_string(v) ? json_string_value(v) : "";
        struct trust *next = NULL;
        size_t k = 0;
        while (k < n && strcmp(known[k].text, text) != 0)
            k++;
        if (k == n) {
            if (n == COUNT_OF(known) ||
                (t == NULL ? trust_first(slice_of(text), NULL, &next, e)
                           : trust_next(t, slice_of(text), &next, e)) != ERR_OK)
                return NULL;
            known[n].text = strdup(text);
            known[n++].trust = next; /* for the life of the process */
        }
        t = known[k].trust;
    }
    return t;
}

static void join_failed(struct child *d, const struct answer *a)
{
    if (a->status == 403 || a->status == 401) {
        (void)fprintf(stderr, "simchild: %s was not let in: %.*s\n", d->name,
                      (int)(a->body.n < 300 ? a->body.n : 300), strbuf_str(&a->body));
        d->phase = CHILD_GONE;
        main_joined(d, false);
        return;
    }
    d->step_next =
        clock_mono_ms() + (a->status == 429 || a->status == 503 || a->status == 202
                               ? backoff_retry_after(slice_of(a->retry_after), clock_wall_ms())
                               : (int64_t)rand_below(JOIN_RETRY_MS));
}

static void on_enrolled(struct child *d, struct answer *a)
{
    AUTO(json_free) json_t *doc = NULL;
    struct err e = {0};

    if (a->status != 201 || json_in_parse(strbuf_slice(&a->body), 256 * KIB, &doc, &e) != ERR_OK) {
        join_failed(d, a);
        return;
    }
    d->trust = child_trust(json_object_get(doc, "trust"), &e);
    if (d->trust == NULL || !uuid_is_valid(json_str(doc, "device_id", ""))) {
        (void)fprintf(stderr, "simchild: the enrolment answer is not good: %s\n", e.msg);
        d->phase = CHILD_GONE;
        main_joined(d, false);
        return;
    }
    (void)snprintf(d->id, sizeof d->id, "%s", json_str(doc, "device_id", ""));
    (void)snprintf(d->name, sizeof d->name, "%s", json_str(doc, "name", d->name));
    main_trust(json_object_get(doc, "trust"));
    count.enrolled++;
    d->phase = CHILD_RUNNING;
    d->token_next = d->poll_next = clock_mono_ms();
    main_joined(d, true);
}

static void on_hello(struct child *d, struct answer *a)
{
    AUTO(json_free) json_t *doc = NULL;
    AUTO_STR char *jws = NULL;
    struct conn *c = free_conn(d);
    struct strbuf b;

    if (a->status != 200 || c == NULL ||
        json_in_parse(strbuf_slice(&a->body), 64 * KIB, &doc, NULL) != ERR_OK ||
        !docs_enrolment(d, json_str(doc, "nonce", ""), &jws)) {
        join_failed(d, a);
        return;
    }
    begin_request(&b, "POST", "/api/agent/v1/enrolments");
    strbuf_printf(&b, "Authorization: Bearer %s\r\n", d->join_token);
    end_request(&b, "application/jose+json", jws);
    conn_send(c, &b, 0, on_enrolled);
}

static void join(struct child *d)
{
    struct conn *c = free_conn(d);
    struct strbuf b;

    if (c == NULL)
        return;
    d->step_next = INT64_MAX;
    begin_request(&b, "GET", "/api/agent/v1/hello");
    end_request(&b, NULL, NULL);
    conn_send(c, &b, 0, on_hello);
}

/* --- what a refusal means --- */

static void drop_token(struct child *d)
{
    free(d->token);
    d->token = NULL;
}

static int64_t react(struct child *d, const struct answer *a, struct backoff *b)
{
    if (a->status == 410 || strcmp(a->word, "device-revoked") == 0) {
        d->phase = CHILD_GONE;
        return SLOW_MS;
    }
    if (a->status == 401) {
        int64_t wait = d->token_refused ? backoff_next(b) : 0;
        drop_token(d);
        d->token_refused = true;
        d->token_next = clock_mono_ms() + wait;
        return wait;
    }
    if (a->status == 0 || a->status >= 500 || a->status == 429)
        return retry_ms(a, b);
    return SLOW_MS / 2 + (int64_t)rand_below(SLOW_MS / 2);
}

/* --- token --- */

/* One machine, one clock: what the parent says about it to one of them holds for all. */
static int64_t clock_offset_ms;

static bool take_server_time(const struct answer *a)
{
    AUTO(json_free) json_t *doc = NULL;
    int64_t server_ms = 0;

    if (strcmp(a->word, "clock-skew") != 0 ||
        json_in_parse(strbuf_slice(&a->body), 64 * KIB, &doc, NULL) != ERR_OK ||
        !clock_parse(slice_of(json_str(doc, "server_time", "")), &server_ms))
        return false;
    clock_offset_ms = server_ms - clock_wall_ms();
    return true;
}

static void on_token(struct child *d, struct answer *a)
{
    int64_t life = 0;
    char *token = NULL;

    d->token_busy = false;
    if (a->status == 200 &&
        token_read(strbuf_slice(&a->body), "device", &token, &life, NULL) == ERR_OK) {
        drop_token(d);
        d->token = token;
        d->token_refresh = clock_mono_ms() + token_refresh_ms(life);
        backoff_reset(&d->token_backoff);
        d->skew_retry = false;
        count.tokens++;
        return;
    }
    if (!d->skew_retry && take_server_time(a)) { /* signed again with the parent's time, once */
        d->skew_retry = true;
        d->token_next = clock_mono_ms();
        return;
    }
    d->skew_retry = false;
    d->token_next = clock_mono_ms() + (a->status == 401 ? backoff_next(&d->token_backoff)
                                                        : react(d, a, &d->token_backoff));
}

static void ask_token(struct child *d, struct conn *c)
{
    AUTO_STR char *form = NULL;
    struct strbuf b;

    if (token_client_form(d->sig, d->id, trust_issuer(d->trust), clock_wall_ms() + clock_offset_ms,
                          &form, NULL) != ERR_OK)
        return;
    begin_request(&b, "POST", "/oauth2/token");
    end_request(&b, "application/x-www-form-urlencoded", form);
    d->token_busy = true;
    conn_send(c, &b, 0, on_token);
}

/* --- status --- */

static void on_status(struct child *d, struct answer *a)
{
    d->status_busy = false;
    if (a->status != 204) {
        if (a->status != 0 && a->status != 401 && a->status != 503)
            (void)snprintf(count.refused_why, sizeof count.refused_why, "status %d: %.150s",
                           a->status, strbuf_str(&a->body));
        d->report_wanted = true;
        d->status_next = clock_mono_ms() + react(d, a, &d->status_backoff);
        return;
    }
    backoff_reset(&d->status_backoff);
    (void)snprintf(d->sent, sizeof d->sent, "%s", d->sending);
    d->acked_at = clock_mono_ms();
    count.statuses++;
    if (d->sending_failed && d->failed_pub != d->pub) {
        d->failed_pub = d->pub;
        d->failed_wall_ms = clock_wall_ms();
    }
    if (d->sending_running && d->running_pub != d->pub) {
        d->running_pub = d->pub;
        d->running_wall_ms = clock_wall_ms();
    }
}

static void send_status(struct child *d, struct conn *c)
{
    AUTO_STR char *jws = NULL;
    struct strbuf b;

    d->seq++;
    if (!docs_status(d, d->sending, &jws))
        return;
    d->sending_running = d->result != NULL && strcmp(d->result, "committed") == 0 &&
                         d->attempt.rev == d->rev &&
                         strcmp(d->running.digest, d->wanted.digest) == 0;
    d->sending_failed =
        d->result != NULL && strcmp(d->result, "reverted") == 0 && d->attempt.rev == d->rev;
    begin_request(&b, "PUT", "/api/agent/v1/status");
    strbuf_printf(&b, "Authorization: Bearer %s\r\n", d->token);
    end_request(&b, "application/jose+json", jws);
    d->report_wanted = false;
    d->status_busy = true;
    d->status_started = clock_mono_ms();
    conn_send(c, &b, 0, on_status);
}

/* --- applying, in time only --- */

static int64_t apply_ms(const struct child *d)
{
    return opt.apply_min_ms + (d->fault == FAULT_SLOW ? opt.slow_ms : 0) +
           (int64_t)rand_below((uint64_t)(opt.apply_max_ms - opt.apply_min_ms) + 1);
}

static void applied(struct child *d)
{
    bool fails = d->fault == FAULT_FAIL && (opt.fail_on == NULL || d->bad_settings);
    unsigned char junk[SHA256_SIZE];

    d->apply_due = INT64_MAX;
    d->report_wanted = true;
    if (d->fault == FAULT_OLD)
        return;
    d->attempt = d->wanted;
    d->result = fails ? "reverted" : "committed";
    if (fails)
        return;
    d->running = d->wanted;
    if (d->fault == FAULT_LIE) {
        rand_bytes(junk, sizeof junk);
        hex_encode(junk, sizeof junk, d->running.digest);
    }
}

static bool has_text(const json_t *settings, const char *what)
{
    AUTO_STR char *text = what == NULL ? NULL : json_text(settings, JSON_COMPACT);

    return text != NULL && strstr(text, what) != NULL;
}

static void take_bundle(struct child *d, const struct bundle *b)
{
    bool again = strcmp(b->digest, d->wanted.digest) == 0;

    d->epoch = b->epoch;
    d->rev = b->rev;
    d->pub = b->pub;
    (void)snprintf(d->etag, sizeof d->etag, "%s", b->etag);
    (void)snprintf(d->jti, sizeof d->jti, "%.39s", b->jti);
    (void)snprintf(d->mode, sizeof d->mode, "%s", b->mode == BUNDLE_MANAGE ? "manage" : "observe");
    (void)snprintf(d->wanted.digest, sizeof d->wanted.digest, "%s", b->digest);
    d->wanted.rev = b->rev;
    d->wanted.pub = b->pub;
    d->fetched_wall_ms = clock_wall_ms();
    d->fetched_pub = b->pub;
    d->bad_settings = has_text(b->settings, opt.fail_on);
    d->given_bad = d->given_bad || d->bad_settings;
    d->report_wanted = true;
    count.bundles++;
    if (b->mode != BUNDLE_MANAGE) {
        d->attempt = d->wanted;
        d->result = "observed";
    } else if (d->fault == FAULT_SILENT) {
        d->phase = CHILD_SILENT;
        conn_drop(&d->conn[0]);
        conn_drop(&d->conn[1]);
    } else if (again && strcmp(d->running.digest, b->digest) == 0) {
        applied(d); /* runs already: no time is needed */
    } else {
        d->apply_due = clock_mono_ms() + apply_ms(d);
    }
}

/* --- desired --- */

/* What a bundle says, unverified: --verify leaves the cost of believing it to a share of the
 * devices, as if the others were other machines, which they stand for. */
static enum bundle_refusal skim(struct slice text, struct bundle *b, struct err *e)
{
    struct jose_jws jws = {0};

    if (jose_jws_parse(text, PROTO_BUNDLE_MAX, PROTO_TYP_BUNDLE, &jws, e) == ERR_OK)
        b->payload = json_loadb(jws.payload, jws.payload_n, 0, NULL);
    jose_jws_clear(&jws);
    if (!json_is_object(b->payload))
        return BUNDLE_MALFORMED;
    b->epoch = json_int(b->payload, "epoch", 0);
    b->rev = json_int(b->payload, "rev", 0);
    b->pub = json_int(b->payload, "pub", 0);
    b->jti = json_str(b->payload, "jti", "");
    b->mode =
        strcmp(json_str(b->payload, "mode", ""), "manage") == 0 ? BUNDLE_MANAGE : BUNDLE_OBSERVE;
    b->settings = json_object_get(
        json_object_get(json_object_get(b->payload, "sections"), "postfix"), "settings");
    (void)snprintf(b->digest, sizeof b->digest, "%s", json_str(b->payload, "content_digest", ""));
    sha256_hex(text, b->etag);
    return BUNDLE_OK;
}

static bool verifies(const struct child *d)
{
    return (d->index + 1) * opt.verify_percent / 100 > d->index * opt.verify_percent / 100;
}

static void desired_200(struct child *d, const struct answer *a)
{
    struct bundle_known known = {.trust = d->trust,
                                 .fleet = trust_fleet(d->trust),
                                 .device = d->id,
                                 .now_ms = clock_wall_ms() + clock_offset_ms,
                                 .epoch = d->epoch,
                                 .rev = d->rev,
                                 .etag = d->etag};
    struct bundle b = {0};
    struct err e = {0};
    struct slice text = strbuf_slice(&a->body);
    enum bundle_refusal r = verifies(d) ? bundle_verify(text, &known, &b, &e) : skim(text, &b, &e);
    bool new_content = r == BUNDLE_OK && strcmp(b.digest, d->wanted.digest) != 0;

    if (r != BUNDLE_OK || strcmp(a->etag, b.etag) != 0) {
        count.bundles_refused++;
        (void)snprintf(count.refused_why, sizeof count.refused_why, "bundle: %.150s", e.msg);
        d->poll_next = clock_mono_ms() + backoff_next(&d->poll_backoff);
    } else {
        d->poll_next = clock_mono_ms();
        if (a->elapsed_ms < 1000 && !new_content)
            d->poll_next += loop_guard_take(&d->guard, d->poll_next);
        take_bundle(d, &b);
    }
    bundle_clear(&b);
}

static void desired_304(struct child *d, const struct answer *a)
{
    int64_t now = clock_mono_ms();

    if (a->elapsed_ms >= d->wait_s * 800) {
        d->poll_next = now;
        count.held++;
    } else if (strcmp(a->report, "full") == 0) {
        d->poll_next = now + loop_guard_take(&d->guard, now);
    } else {
        d->poll_next = now + (a->next_poll_s >= 0 ? a->next_poll_s : INTERVAL_S) * 1000;
    }
}

static void on_desired(struct child *d, struct answer *a)
{
    int64_t now = clock_mono_ms();

    d->poll_busy = false;
    d->polling = NULL;
    if (a->status != 200 && a->status != 304) {
        d->poll_next = now + react(d, a, &d->poll_backoff);
        return;
    }
    backoff_reset(&d->poll_backoff);
    d->token_refused = false;
    if (d->served_ms == 0)
        d->served_ms = now;
    if (strcmp(a->report, "full") == 0 && d->acked_at < d->poll_started)
        d->report_wanted = true;
    if (a->status == 200)
        desired_200(d, a);
    else
        desired_304(d, a);
}

static void ask_desired(struct child *d, struct conn *c)
{
    int64_t now = clock_mono_ms();
    size_t second = (size_t)((now - mark_ms) / 1000);
    struct strbuf b;

    begin_request(&b, "GET", "/api/agent/v1/desired");
    strbuf_printf(&b,
                  "Authorization: Bearer %s\r\nPrefer: wait=%lld\r\nInari-Have: %lld.%lld\r\n"
                  "Inari-Boot: %s\r\nInari-Seq: %lld\r\nInari-Api: %d\r\n",
                  d->token, (long long)d->wait_s, (long long)d->epoch, (long long)d->rev, d->boot,
                  (long long)++d->seq, PROTO_API);
    if (d->sent[0] != '\0')
        strbuf_printf(&b, "Inari-Status: %s\r\n", d->sent);
    if (d->etag[0] != '\0')
        strbuf_printf(&b, "If-None-Match: \"%s\"\r\n", d->etag);
    end_request(&b, NULL, NULL);
    arrivals[second < ARRIVALS ? second : ARRIVALS - 1]++;
    count.polls++;
    d->polls++;
    d->poll_busy = true;
    d->polling = c;
    d->poll_started = now;
    conn_send(c, &b, d->wait_s * 1000, on_desired);
}

/* --- turns --- */

void child_begin(struct child *d)
{
    uuid7(d->boot);
    d->wait_s = opt.wait_s;
    d->apply_due = d->step_next = INT64_MAX;
    d->report_wanted = true;
    for (int i = 0; i < 2; i++) {
        d->conn[i].child = d;
        d->conn[i].fd = -1;
        d->conn[i].deadline_ms = INT64_MAX;
    }
    d->token_next = d->poll_next =
        clock_mono_ms() + (opt.rebooted ? backoff_boot_slot_ms(d->id) : (int64_t)rand_below(500));
    if (d->id[0] == '\0') {
        d->phase = CHILD_JOINING;
        d->step_next = clock_mono_ms();
    } else {
        d->phase = CHILD_RUNNING;
    }
    main_due(d, clock_mono_ms());
}

static void sooner(int64_t *due, int64_t at)
{
    if (at < *due)
        *due = at;
}

static void turn_signed_in(struct child *d, int64_t now, int64_t *due)
{
    struct conn *c;

    if (d->report_wanted && !d->status_busy) {
        if (now < d->status_next)
            sooner(due, d->status_next);
        else if ((c = free_conn(d)) != NULL)
            send_status(d, c);
    }
    if (!d->poll_busy) {
        int64_t at = d->poll_next, first = d->status_started + REPORT_FIRST_MS;
        if (d->status_busy && at < first)
            at = first; /* a report on its way would end the held poll at once */
        if (now < at)
            sooner(due, at);
        else if ((c = free_conn(d)) != NULL)
            ask_desired(d, c);
    }
}

void child_turn(struct child *d)
{
    int64_t now = clock_mono_ms(), due = INT64_MAX;
    struct conn *c;

    if (d->phase == CHILD_JOINING) {
        if (now >= d->step_next)
            join(d);
        sooner(&due, d->step_next);
    }
    if (d->phase == CHILD_RUNNING) {
        if (now >= d->apply_due)
            applied(d);
        sooner(&due, d->apply_due);
        if (!d->token_busy && (d->token == NULL || now >= d->token_refresh)) {
            if (now < d->token_next)
                sooner(&due, d->token_next);
            else if ((c = free_conn(d)) != NULL)
                ask_token(d, c);
        }
        if (d->token != NULL) {
            sooner(&due, d->token_refresh > now ? d->token_refresh : INT64_MAX);
            turn_signed_in(d, now, &due);
        }
    }
    main_due(d, due);
}

void child_storm(struct child *d)
{
    conn_close(&d->conn[0]);
    conn_close(&d->conn[1]);
}

void child_free(struct child *d)
{
    conn_drop(&d->conn[0]);
    conn_drop(&d->conn[1]);
    SSL_SESSION_free(d->session);
    jose_key_free(d->sig);
    jose_key_free(d->enc);
    free(d->join_token);
    free(d->token);
}
