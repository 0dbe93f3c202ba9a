/*
 * reputation.c - what DNS lists say about who has connected (mail/reputation): the last to be
 * asked. Most addresses are known (the cache) and cost no session; the others wait in SESSION_ASK,
 * wait_ms at most.
 */
#include "base/log.h"
#include "foxproxy/session.h"

static void say(struct loop *l, const struct iplist_addr *a, const struct reputation_verdict *v,
                bool refused)
{
    char text[ADDR_TEXT_SIZE], reason[REP_ZONE_NAME_SIZE + 4] = "rep.";

    if (!accept_may_log(l))
        return;
    addr_text(a, text);
    text_copy(reason + 4, sizeof reason - 4, v->zone);
    log_event(LOG_LEVEL_INFO, refused ? "client.refused" : "client.listed", KV_STR("client", text),
              KV_STR("reason", reason), KV_STR("code", v->code),
              KV_STR("action", rep_action_name(v->action)),
              KV_STR("source", v->cached ? "cache" : "dns"), KV_INT("age_s", v->age_s));
}

static void refuse(struct loop *l, struct session *s, int fd, const struct iplist_addr *a,
                   const struct reputation_verdict *v)
{
    struct reply r UNINITIALIZED;

    snapshot_listed_reply(l->snap, a, v->zone, v->action == REP_DEFER, &r);
    reputation_count_refused(l->front->rep, v->zone);
    say(l, a, v, true);
    if (s == NULL)
        accept_refuse_with(l, fd, REPLY_REPUTATION, &r);
    else
        session_refuse_with(l, s, REPLY_REPUTATION, &r);
}

static void apply(struct loop *l, struct session *s, int fd, const struct addr_port *peer,
                  const struct reputation_verdict *v)
{
    bool listed = v->action == REP_REJECT || v->action == REP_DEFER;

    if (listed && l->snap->ini.reputation == INI_ON) {
        refuse(l, s, fd, &peer->addr, v);
        return;
    }
    if (listed || v->action == REP_LOG) {
        count_add(&l->count.listed_log, 1);
        say(l, &peer->addr, v, false);
    }
    if (v->action == REP_APPROVE)
        count_add(&l->count.listed_allow, 1);
    if (v->action == REP_UNKNOWN)
        count_add(&l->count.unanswered, 1);
    if (s == NULL)
        session_new(l, fd, peer, false);
    else
        session_connect(l, s);
}

static void answered(void *session, const struct reputation_verdict *v)
{
    struct session *s = session;

    s->ask = NULL;
    apply(s->loop, s, -1, &s->src, v);
}

void reputation_decide_on(struct loop *l, struct session *s, int fd, const struct addr_port *peer)
{
    struct reputation_verdict v;
    struct reputation_ask *ask;

    if (reputation_ask(l->rep, peer->addr.b, l->now_ms, answered, NULL, &v, &ask)) {
        apply(l, s, fd, peer, &v);
        return;
    }
    count_add(&l->count.asked, 1);
    s = session_asking(l, s, fd, peer);
    if (s == NULL) {
        reputation_ask_cancel(ask);
        return;
    }
    reputation_ask_for(ask, s);
    s->ask = ask;
}
