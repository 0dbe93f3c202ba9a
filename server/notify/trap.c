/*
 * SNMP notifications through net-snmp.  It is set up to read no file and to write none: no
 * configuration, no MIBs, no state.  Its users and engines are global, so one caller at a time is
 * in it, and nothing of a channel stays behind.
 */
#include "notify/transfer.h"

#include "base/clock.h"
#include "notify/notify_private.h"
#include "notify/trap_pdu.h"

#include <net-snmp/library/snmp_enum.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRY_MS = 2000, /* until it is sent once more */
    RETRIES = 1,
    ENGINE_SIZE = 21,
    ADDRESSES_MAX = 4,
};
/* Engine times begin here: below 2^31 s until 2094, never set back by a restart, the same in all
 * parents of one database. */
static const int64_t engine_epoch_s = 1767225600; /* 2026-01-01 */

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;

/* The parts of init_snmp() that messages need: the whole of it would read configuration, MIBs and
 * certificates, make folders, and change the locale.  The callbacks make the user that asks a
 * receiver for its engine, and the salt of the encryption. */
void notify_trap_init(void)
{
    static const int off[] = {NETSNMP_DS_LIB_DONT_READ_CONFIGS, NETSNMP_DS_LIB_DONT_PERSIST_STATE,
                              NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD,
                              NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE,
                              NETSNMP_DS_LIB_DONT_LOAD_HOST_FILES};

    for (size_t i = 0; i < COUNT_OF(off); i++)
        (void)netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, off[i], 1);
    (void)netsnmp_ds_set_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_APPTYPE, "inarid");
    (void)netsnmp_register_loghandler(NETSNMP_LOGHANDLER_NONE, LOG_DEBUG);
    netsnmp_container_init_list();
    init_callbacks();
    init_snmp_enum("inarid");
    init_snmpv3("inarid");
    (void)snmp_call_callbacks(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_POST_PREMIB_READ_CONFIG, NULL);
    (void)snmp_call_callbacks(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_POST_READ_CONFIG, NULL);
}

void notify_trap_end(void)
{
    shutdown_secmod();
    clear_callback();
}

/* --- a session --- */

struct trap_session {
    const struct notify_traps *t;
    const struct notify_run *run;
    struct trap_name root;
    int64_t end_ms;
    unsigned char engine[ENGINE_SIZE];
    char peer[TARGET_TEXT_SIZE + 32];
    netsnmp_session want;
    void *open;
};

/* RFC 3411, SnmpEngineID: net-snmp's number, format 5 (octets), the UUID. */
static void engine_of(const char *uuid, unsigned char ret[ENGINE_SIZE])
{
    static const unsigned char head[] = {0x80, 0x00, 0x1f, 0x88, 0x05};
    size_t n = sizeof head;
    unsigned v = 0;

    memset(ret, 0, ENGINE_SIZE);
    memcpy(ret, head, sizeof head);
    for (const char *p = uuid; *p != '\0' && n < ENGINE_SIZE; p++) {
        if (*p == '-')
            continue;
        if (p[1] == '\0' || sscanf(p, "%2x", &v) != 1)
            return;
        ret[n++] = (unsigned char)v;
        p++;
    }
}

/* What is in net-snmp's tables came from one channel, and goes with it. */
static void forget(void)
{
    struct usmUser *u, *last = NULL;

    while ((u = usm_get_userList()) != NULL && u != last) {
        last = u;
        (void)usm_remove_user(u);
        (void)usm_free_user(u);
    }
    free_etimelist();
}

static bool set_key(const char *password, u_char *key, size_t *n)
{
    *n = USM_AUTH_KU_LEN;
    return generate_Ku(usmHMAC192SHA256AuthProtocol, OID_LENGTH(usmHMAC192SHA256AuthProtocol),
                       (const u_char *)password, strlen(password), key, n) == SNMPERR_SUCCESS;
}

static bool set_v3(struct trap_session *s)
{
    const struct notify_traps *t = s->t;
    netsnmp_session *w = &s->want;
    int64_t now_s = clock_wall_s();

    w->version = SNMP_VERSION_3;
    w->securityModel = SNMP_SEC_MODEL_USM;
    w->securityLevel = SNMP_SEC_LEVEL_AUTHPRIV;
    w->securityName = (char *)(uintptr_t)t->user;
    w->securityNameLen = strlen(t->user);
    w->securityAuthProto = usmHMAC192SHA256AuthProtocol;
    w->securityAuthProtoLen = OID_LENGTH(usmHMAC192SHA256AuthProtocol);
    w->securityPrivProto = usmAESPrivProtocol;
    w->securityPrivProtoLen = OID_LENGTH(usmAESPrivProtocol);
    if (!set_key(t->auth_password, w->securityAuthKey, &w->securityAuthKeyLen) ||
        !set_key(t->priv_password, w->securityPrivKey, &w->securityPrivKeyLen))
        return false;
    if (t->inform) /* the receiver's engine counts: it is asked for it */
        return true;
    engine_of(t->engine, s->engine);
    w->securityEngineID = w->contextEngineID = s->engine;
    w->securityEngineIDLen = w->contextEngineIDLen = sizeof s->engine;
    return set_enginetime(s->engine, sizeof s->engine, 1,
                          (u_int)(now_s > engine_epoch_s ? now_s - engine_epoch_s : 0),
                          TRUE) == SNMPERR_SUCCESS;
}

/* Milliseconds of a try, so that all of them end in time. */
static int64_t try_ms(const struct trap_session *s)
{
    int64_t part = (s->end_ms - clock_mono_ms()) / (2 * (RETRIES + 1));

    return part < TRY_MS ? part : TRY_MS;
}

static bool set_session(struct trap_session *s)
{
    netsnmp_session *w = &s->want;

    snmp_sess_init(w);
    w->peername = s->peer;
    w->timeout = (long)try_ms(s) * 1000;
    w->retries = RETRIES;
    if (s->t->community == NULL)
        return set_v3(s);
    w->version = SNMP_VERSION_2c;
    w->community = (u_char *)(uintptr_t)s->t->community;
    w->community_len = strlen(s->t->community);
    return true;
}

static void clear_session(struct trap_session *s)
{
    if (s->open != NULL)
        (void)snmp_sess_close(s->open);
    s->open = NULL;
    explicit_bzero(&s->want, sizeof s->want);
    forget();
}

/* net-snmp's words for what went wrong with session w (of s->want or of the open one). */
static enum err_code problem(struct trap_session *s, const char *step, struct err *e)
{
    char *words = NULL;
    int system_error = 0, snmp_error_no = 0;

    if (s->open != NULL)
        snmp_sess_error(s->open, &system_error, &snmp_error_no, &words);
    else
        snmp_error(&s->want, &system_error, &snmp_error_no, &words);
    transfer_step(s->run, step, false, "%s", words == NULL ? "no words for it" : words);
    (void)err_set(e, snmp_error_no == SNMPERR_TIMEOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE,
                  "%s did not take it: %s", s->peer, words == NULL ? "no words for it" : words);
    free(words);
    return e->code;
}

static enum err_code send_inform(struct trap_session *s, netsnmp_pdu *pdu, struct err *e)
{
    netsnmp_pdu *answer = NULL;
    int rc = snmp_sess_synch_response(s->open, pdu, &answer);
    long status = answer == NULL ? SNMP_ERR_NOERROR : answer->errstat;

    if (answer != NULL)
        snmp_free_pdu(answer);
    if (rc != STAT_SUCCESS)
        return problem(s, "inform", e);
    if (status == SNMP_ERR_NOERROR)
        return ERR_OK;
    transfer_step(s->run, "inform", false, "%s", snmp_errstring((int)status));
    return err_set(e, ERR_UNAVAILABLE, "%s: the receiver answered %s", s->peer,
                   snmp_errstring((int)status));
}

static enum err_code send_one(struct trap_session *s, const json_t *trap, struct err *e)
{
    netsnmp_pdu *pdu = trap_pdu_make(s->t, &s->root, trap);

    if (pdu == NULL)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (s->t->inform)
        return send_inform(s, pdu, e); /* pdu is gone whatever it says */
    if (snmp_sess_send(s->open, pdu) != 0)
        return ERR_OK;
    snmp_free_pdu(pdu);
    return problem(s, "trap", e);
}

static enum err_code send_all(struct trap_session *s, struct err *e)
{
    enum err_code rc = ERR_OK;
    const json_t *trap;
    size_t i;

    json_array_foreach(s->t->traps, i, trap)
    {
        if (s->run->stop != NULL && atomic_load(s->run->stop))
            return err_set(e, ERR_UNAVAILABLE, "the parent ends");
        if (try_ms(s) <= 0)
            return err_set(e, ERR_TIMEOUT, "no end within %lld ms", (long long)s->run->limit_ms);
        rc = send_one(s, trap, e);
        if (rc != ERR_OK)
            return rc;
    }
    transfer_step(s->run, s->t->inform ? "taken" : "sent", true,
                  s->t->inform ? "%zu acknowledged by the receiver"
                               : "%zu; a trap is not acknowledged: nobody says whether it arrived",
                  json_array_size(s->t->traps));
    return ERR_OK;
}

static enum err_code try_address(struct trap_session *s, const struct sockaddr *sa, struct err *e)
{
    char text[TARGET_TEXT_SIZE];
    enum err_code rc;

    target_text(sa, text);
    if (!target_ok(sa, TARGET_INNER, NULL)) {
        transfer_step(s->run, "address", false, "%s may not be reached", text);
        return err_set(e, ERR_UNAVAILABLE, "the address %s may not be reached", text);
    }
    transfer_step(s->run, "address", true, "%s", text);
    (void)snprintf(s->peer, sizeof s->peer,
                   sa->sa_family == AF_INET6 ? "udp6:[%s]:%lld" : "udp:%s:%lld", text,
                   (long long)s->t->port);
    if (!set_session(s))
        rc = err_set(e, ERR_NO_MEMORY, "the keys of the user could not be made");
    else if ((s->open = snmp_sess_open(&s->want)) == NULL)
        rc = problem(s, "open", e);
    else
        rc = send_all(s, e);
    clear_session(s);
    return rc;
}

/* One address after the other until one takes it. */
static enum err_code try_addresses(struct trap_session *s, struct err *e)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    int n = 0, no = getaddrinfo(s->t->host, NULL, &hints, &list);
    enum err_code rc = ERR_OK;

    if (no != 0) {
        transfer_step(s->run, "resolve", false, "%s", gai_strerror(no));
        return err_set(e, ERR_UNAVAILABLE, "could not resolve \"%s\": %s", s->t->host,
                       gai_strerror(no));
    }
    for (const struct addrinfo *a = list; a != NULL && n < ADDRESSES_MAX; a = a->ai_next, n++) {
        if (n > 0 && (try_ms(s) <= 0 || (s->run->stop != NULL && atomic_load(s->run->stop))))
            break;
        rc = try_address(s, a->ai_addr, e);
        if (rc == ERR_OK)
            break;
    }
    freeaddrinfo(list);
    return rc;
}

/* Whoever is in it ends in time; false: not within ours. */
static bool enter(const struct trap_session *s)
{
    while (pthread_mutex_trylock(&busy) != 0) {
        if (try_ms(s) <= 0)
            return false;
        (void)poll(NULL, 0, 20);
    }
    return true;
}

enum err_code notify_send_traps(const struct notify_traps *t, const struct notify_run *run,
                                struct err *e)
{
    struct trap_session s = {.t = t, .run = run, .end_ms = clock_mono_ms() + run->limit_ms};
    enum err_code rc;

    if (!trap_pdu_root(t->root, &s.root))
        return err_set(e, ERR_INTERNAL, "no root of the names");
    if (!enter(&s))
        return err_set(e, ERR_TIMEOUT, "another notice was sent all the time");
    rc = try_addresses(&s, e);
    (void)pthread_mutex_unlock(&busy);
    return rc;
}
