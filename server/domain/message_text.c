/* One plain sentence about an event (message.h).  Values are foreign text: they are put in, never
 * read as a format. */
#include "domain/message.h"

#include "base/strbuf.h"

enum { SENTENCE_MAX = 4 * KIB };

struct sentence {
    const char *kind, *status; /* status NULL: any */
    enum { ANY, WITH_CLIENT, WITH_ORIG, WITH_NEXT } when;
    const char *text[2]; /* by enum lang; {name} stands for a member */
};

// clang-format off
static const struct sentence sentences[] = {
    {"message.queued", NULL, WITH_ORIG, {"{device} got it back from its filter as {queue} (before: {orig}).", "{device} がフィルターから {queue} として受け取りました (元のキュー ID: {orig})。"}},
    {"message.queued", NULL, WITH_CLIENT, {"{device} took the message from {client}: sender {sender}, {size} bytes, queue id {queue}.", "{device} が {client} からメッセージを受け取りました (送信者 {sender}、{size} バイト、キュー ID {queue})。"}},
    {"message.queued", NULL, ANY, {"{device} queued a message of its own: sender {sender}, {size} bytes, queue id {queue}.", "{device} 自身のメッセージがキューに入りました (送信者 {sender}、{size} バイト、キュー ID {queue})。"}},
    {"message.delivery", "sent", WITH_NEXT, {"{device} handed it for {recipient} to {relay}, which queued it as {next}.", "{device} が {recipient} 宛てを {relay} に渡し、相手側で {next} としてキューに入りました。"}},
    {"message.delivery", "sent", ANY, {"{device} delivered it for {recipient} to {relay}: {text}", "{device} が {recipient} 宛てを {relay} に配送しました: {text}"}},
    {"message.delivery", "deferred", ANY, {"{device} could not deliver to {recipient} yet and tries again ({reason}): {text}", "{device} は {recipient} 宛てをまだ配送できず、再試行します ({reason}): {text}"}},
    {"message.delivery", "bounced", ANY, {"{device} cannot deliver to {recipient} ({reason}): {text}", "{device} は {recipient} 宛てを配送できません ({reason}): {text}"}},
    {"message.delivery", "expired", ANY, {"{device} gave up on {recipient} after trying for too long: {text}", "{device} は {recipient} 宛ての再試行の期限が過ぎたため断念しました: {text}"}},
    {"message.delivery", NULL, ANY, {"{device} about {recipient}: {status} {text}", "{device}、{recipient} 宛て: {status} {text}"}},
    {"message.attempt", NULL, ANY, {"{device} had trouble with {relay}: {text}", "{device} と {relay} の間で問題が発生しました: {text}"}},
    {"message.rejected", NULL, ANY, {"{device} refused {client} (sender {sender}, recipient {recipient}; {reason}): {text}", "{device} が {client} を拒否しました (送信者 {sender}、受信者 {recipient}、{reason}): {text}"}},
    {"message.removed", NULL, ANY, {"{device} is done with {queue}.", "{device} は {queue} の処理を終えました。"}},
    {"message.held", NULL, ANY, {"{device} holds {queue}: {text}", "{device} が {queue} を保留しました: {text}"}},
    {"message.released", NULL, ANY, {"{device} released {queue} from hold.", "{device} が {queue} の保留を解除しました。"}},
    {"message.expired", NULL, ANY, {"{device}: {queue} is too old and goes back.", "{device} の {queue} は期限が過ぎたため送信者に戻ります。"}},
    {"message.bounce", NULL, ANY, {"{device} sends a notice about it as {next}.", "{device} が通知を {next} として送ります。"}},
    {"message.requeued", NULL, ANY, {"{device} put {queue} into the queue anew.", "{device} が {queue} をキューに入れ直しました。"}},
    {"message.discarded", NULL, ANY, {"{device} threw {queue} away: {text}", "{device} が {queue} を破棄しました: {text}"}},
    {"message.info", NULL, ANY, {"{device} noted about {queue}: {text}", "{device} が {queue} について記録しました: {text}"}},
    {NULL, NULL, ANY, {"{device}, {kind}: {text}", "{device}、{kind}: {text}"}},
};
// clang-format on

static bool fits(const struct sentence *s, const struct event_row *r)
{
    if (s->kind != NULL && strcmp(s->kind, r->kind) != 0)
        return false;
    if (s->status != NULL && strcmp(s->status, r->status) != 0)
        return false;
    return s->when == ANY || (s->when == WITH_CLIENT && r->client[0] != '\0') ||
           (s->when == WITH_ORIG && r->orig_queue_id[0] != '\0') ||
           (s->when == WITH_NEXT && r->next_queue_id[0] != '\0');
}

static void put_client(struct strbuf *b, const struct event_row *r)
{
    if (r->client_name[0] != '\0' && strcmp(r->client_name, "unknown") != 0)
        strbuf_printf(b, "%s[%s]", r->client_name, r->client);
    else
        strbuf_puts(b, r->client[0] != '\0' ? r->client : "?");
}

static const char *or_dash(const char *s)
{
    return s[0] != '\0' ? s : "-";
}

static void put_member(struct strbuf *b, struct slice name, const struct event_row *r)
{
    const struct {
        const char *name, *value;
    } members[] = {{"device", r->device_name[0] != '\0' ? r->device_name : r->device_id},
                   {"queue", or_dash(r->queue_id)},
                   {"orig", or_dash(r->orig_queue_id)},
                   {"next", or_dash(r->next_queue_id)},
                   {"recipient", or_dash(r->recipient)},
                   {"relay", or_dash(r->relay)},
                   {"text", r->text},
                   {"reason", or_dash(r->reason)},
                   {"status", r->status},
                   {"kind", r->kind}};

    if (slice_is(name, "client")) {
        put_client(b, r);
    } else if (slice_is(name, "sender")) {
        if (r->sender[0] != '\0' || r->null_sender)
            strbuf_printf(b, "<%s>", r->sender);
        else
            strbuf_puts(b, "-");
    } else if (slice_is(name, "size")) {
        if (r->size >= 0)
            strbuf_printf(b, "%lld", (long long)r->size);
        else
            strbuf_puts(b, "?");
    } else {
        for (size_t i = 0; i < COUNT_OF(members); i++)
            if (slice_is(name, members[i].name))
                strbuf_puts(b, members[i].value);
    }
}

const char *message_sentence(const struct event_row *r, enum lang lang, struct arena *a)
{
    AUTO_STRBUF struct strbuf b = STRBUF_INIT(SENTENCE_MAX);
    size_t i = 0;
    struct slice rest;
    char *text;

    while (!fits(&sentences[i], r))
        i++;
    rest = slice_of(sentences[i].text[lang]);
    while (rest.n > 0) {
        const char *open = memchr(rest.p, '{', rest.n);
        size_t plain = open == NULL ? rest.n : (size_t)(open - rest.p);
        strbuf_add(&b, (struct slice){rest.p, plain});
        if (open == NULL)
            break;
        rest = (struct slice){open + 1, rest.n - plain - 1};
        put_member(&b, slice_cut(&rest, '}'), r);
    }
    text = arena_strdup(a, strbuf_ok(&b) ? strbuf_str(&b) : r->kind);
    return text == NULL ? "" : text;
}
