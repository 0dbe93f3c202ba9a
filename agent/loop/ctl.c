#include "loop/ctl.h"

#include "common/frame.h"
#include "loop/identity.h"
#include "loop/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CTL_WAIT_MS = 120 * 1000 };

int ctl_ask(const struct agent_settings *s, json_t *request, json_t **ret)
{
    AUTO(json_free) json_t *owned = request;
    AUTO_FD int fd = -1;
    struct err e = {0};
    enum err_code rc = helper_connect(s->agent_socket, &fd, &e);

    if (rc != ERR_OK) {
        (void)fprintf(stderr, "inari-agent: %s (%s)\n",
                      say_tr("the agent does not run, or you are not in its group",
                             "エージェントが動作していないか、グループの権限がありません"),
                      s->agent_socket);
        return EXIT_UNREACHABLE;
    }
    rc = helper_call(fd, owned, CTL_WAIT_MS, ret, &e);
    if (rc == ERR_OK)
        rc = helper_ok(*ret, &e);
    if (rc != ERR_OK)
        say_error(&e);
    return say_exit_of(rc);
}

static const char *short_digest(const json_t *o, char buf[17])
{
    (void)snprintf(buf, 17, "%.16s", json_str(o, "digest", ""));
    return buf[0] == '\0' ? "-" : buf;
}

static void show_conditions(const json_t *status)
{
    size_t i;
    json_t *v;

    json_array_foreach(json_object_get(status, "conditions"), i, v)
    {
        (void)printf("  %-15s %-8s %-14s %s\n", json_str(v, "type", ""), json_str(v, "status", ""),
                     json_str(v, "reason", ""), json_str(v, "message", ""));
    }
}

static void show_key(const json_t *k)
{
    (void)printf(say_tr("key          %s since %s, next renewal %s%s\n",
                        "鍵             %s (%s から、次回更新 %s)%s\n"),
                 json_str(k, "kid", ""), json_str(k, "since", ""),
                 json_str(k, "renewal_due", say_tr("on command only", "コマンド時のみ")),
                 json_bool(k, "unfinished", false) ? say_tr(" (renewal under way)", " (更新中)")
                                                   : "");
}

static void show_events(const json_t *streams)
{
    size_t i;
    json_t *v;

    json_array_foreach(streams, i, v)
    {
        (void)printf(
            say_tr(
                "events       %s: %lld wait (oldest %s), %lld KiB, %lld lost, last "
                "acknowledged %s %s\n",
                "イベント       %s: 送信待ち %lld 件 (最古 %s)、%lld KiB、消失 %lld 件、最終受領 "
                "%s %s\n"),
            json_str(v, "stream", ""), (long long)json_int(v, "waiting", 0),
            json_str(v, "oldest", "-"), (long long)json_int(v, "bytes", 0) / 1024,
            (long long)json_int(v, "dropped", 0), json_str(v, "acknowledged_at", "-"),
            json_str(v, "problem", ""));
    }
}

static void show(const json_t *a)
{
    const json_t *st = json_object_get(a, "status"), *parent = json_object_get(a, "parent");
    const json_t *hold = json_object_get(a, "hold"), *last = json_object_get(st, "last_attempt");
    const json_t *seen = json_object_get(st, "observed");
    char d[17];

    (void)printf(say_tr("device       %s (%s), mode %s\n", "デバイス       %s (%s)、モード %s\n"),
                 json_str(a, "name", ""), json_str(st, "device", ""), json_str(st, "mode", ""));
    (void)printf(say_tr("parent       %s: %s, last contact %s %s\n",
                        "上位デバイス   %s: %s、最終交信 %s %s\n"),
                 json_str(parent, "address", ""),
                 json_bool(parent, "reachable", false) ? say_tr("reachable", "到達可能")
                                                       : say_tr("NOT reachable", "到達不可"),
                 json_str(parent, "last_contact", "-"), json_str(parent, "trouble", ""));
    (void)printf(say_tr("desired      revision %lld (published as %lld), %s\n",
                        "目標           リビジョン %lld (公開番号 %lld)、%s\n"),
                 (long long)json_int(seen, "rev", 0), (long long)json_int(seen, "pub", 0),
                 short_digest(seen, d));
    (void)printf(say_tr("on disk      %s\n", "ディスク上     %s\n"),
                 short_digest(json_object_get(st, "on_disk"), d));
    (void)printf(say_tr("running      %s\n", "動作中         %s\n"),
                 short_digest(json_object_get(json_object_get(st, "running"), "postfix"), d));
    show_key(json_object_get(st, "key"));
    if (json_is_object(last))
        (void)printf(
            say_tr("last attempt %s in phase %s at %s %s\n", "直近の適用     %s (段階 %s) %s %s\n"),
            json_str(last, "result", ""), json_str(last, "phase", ""), json_str(last, "ended", ""),
            json_str(json_object_get(last, "problem"), "detail", ""));
    if (json_bool(hold, "active", false))
        (void)printf(say_tr("HELD         until %s: %s\n", "保留中         %s まで: %s\n"),
                     json_str(hold, "until", ""), json_str(hold, "reason", ""));
    show_events(json_object_get(a, "events"));
    show_conditions(st);
}

int ctl_status(const struct agent_settings *s, bool as_json)
{
    AUTO(json_free) json_t *answer = NULL;
    int status = ctl_ask(s, json_pack("{s:s}", "verb", "status"), &answer);

    if (status != EXIT_OK)
        return status;
    if (!as_json) {
        show(answer);
        return EXIT_OK;
    }
    (void)json_object_del(answer, "ok");
    return json_dumpf(answer, stdout, JSON_INDENT(2)) == 0 && puts("") >= 0 ? EXIT_OK : EXIT_FAILED;
}

int ctl_hold(const struct agent_settings *s, const char *reason, int64_t minutes)
{
    AUTO(json_free) json_t *answer = NULL;
    int status = ctl_ask(s,
                         json_pack("{s:s,s:s,s:I}", "verb", "hold", "reason", reason, "minutes",
                                   (json_int_t)minutes),
                         &answer);

    if (status == EXIT_OK)
        (void)printf(say_tr("Held for %lld minutes: nothing is applied, drift is only reported. It "
                            "ends by itself.\n",
                            "%lld "
                            "分間保留します。適用もドリフト修復も行いません。期限が来ると自動で解除"
                            "されます。\n"),
                     (long long)minutes);
    return status;
}

int ctl_release(const struct agent_settings *s)
{
    AUTO(json_free) json_t *answer = NULL;
    int status = ctl_ask(s, json_pack("{s:s}", "verb", "release"), &answer);

    if (status == EXIT_OK)
        (void)puts(say_tr("Released: the newest configuration is applied now.",
                          "保留を解除しました。最新の設定を適用します。"));
    return status;
}

int ctl_rollback(const struct agent_settings *s, const char *digest)
{
    AUTO(json_free) json_t *answer = NULL;
    int status = ctl_ask(s, json_pack("{s:s,s:s*}", "verb", "rollback", "digest", digest), &answer);

    if (status == EXIT_OK)
        (void)puts(say_tr("Rolled back and read back from the running Postfix. Held for at most 24 "
                          "hours, so that it stays: "
                          "\"inari-agent release\" ends that.",
                          "ロールバックし、動作中の Postfix で確認しました。最長 24 "
                          "時間保留します(解除: inari-agent release)。"));
    return status;
}

int ctl_rotate_key(const struct agent_settings *s)
{
    AUTO(json_free) json_t *answer = NULL;
    int status = ctl_ask(s, json_pack("{s:s}", "verb", "rotate-key"), &answer);

    if (status == EXIT_OK)
        (void)printf(say_tr("The parent knows the new key; the old one is refused from now on.\n"
                            "    %s\n",
                            "新しい鍵を登録しました。古い鍵は以後拒否されます。\n    %s\n"),
                     json_str(answer, "kid", ""));
    return status;
}

int ctl_confirm_machine(const struct agent_settings *s)
{
    AUTO(json_free) json_t *answer = NULL;
    int status = ctl_ask(s, json_pack("{s:s}", "verb", "confirm-machine"), &answer);

    if (status == EXIT_OK)
        (void)puts(say_tr("This machine speaks as the device from now on. The parent shows that it "
                          "is another machine; an administrator can accept that there.",
                          "今後はこのマシンがこのデバイスとして通信します。上位デバイスには別の"
                          "マシンであることが表示され、管理者が承認できます。"));
    return status;
}

/* As the agent's user: a lock that is root's would keep the agent out of its own folder. */
static enum err_code lock_place(const struct agent_settings *s, int *ret_lock, struct err *e)
{
    enum err_code rc = place_drop_root(s, e);

    return rc == ERR_OK ? place_lock(s, ret_lock, e) : rc;
}

int ctl_prepare_image(const struct agent_settings *s)
{
    AUTO_FD int lock = -1;
    struct err e = {0};
    enum err_code rc = lock_place(s, &lock, &e);

    if (rc != ERR_OK && rc != ERR_CONFLICT) {
        say_error(&e);
        return say_exit_of(rc);
    }
    if (rc != ERR_OK) {
        (void)fprintf(stderr, "inari-agent: %s\n",
                      say_tr("stop the agent first (systemctl stop inari-agent)",
                             "先にエージェントを停止してください (systemctl stop inari-agent)"));
        return EXIT_LOCKED;
    }
    identity_wipe(s->agent_state, &e);
    if (e.code != ERR_OK) {
        say_error(&e);
        return EXIT_FAILED;
    }
    (void)puts(say_tr("Identity, keys and bundles are removed: whatever starts from this disk has "
                      "to join. The parent was not told.",
                      "識別情報、鍵、設定を削除しました。このディスクから起動したホストは参加し直す"
                      "必要があります。上位デバイスには通知していません。"));
    return EXIT_OK;
}

/* No loop runs: what can be done without it is done. */
static int leave_alone(const struct agent_settings *s)
{
    AUTO(json_free) json_t *answer = NULL;
    AUTO(json_free) json_t *request = json_pack("{s:i,s:s}", "v", 1, "verb", "disown");
    AUTO_FD int lock = -1;
    AUTO_FD int fd = -1;
    struct err e = {0};
    enum err_code rc = lock_place(s, &lock, &e);

    if (rc == ERR_OK)
        rc = helper_connect(s->helper_socket, &fd, &e);
    if (rc == ERR_OK)
        rc = helper_call(fd, request, CTL_WAIT_MS, &answer, &e);
    if (rc == ERR_OK)
        rc = helper_ok(answer, &e);
    if (rc == ERR_OK)
        rc = identity_put_aside(s->agent_state, "left", &e);
    if (rc != ERR_OK) {
        say_error(&e);
        return say_exit_of(rc);
    }
    (void)puts(
        say_tr("Left. The parent was not told: retire this device there. Postfix runs as it is.",
               "離脱しました。上位デバイスには通知していません。上位側で撤去してください。Postfix "
               "はそのまま動作します。"));
    return EXIT_OK;
}

int ctl_leave(const struct agent_settings *s)
{
    AUTO(json_free) json_t *answer = NULL;
    AUTO_FD int probe = -1;
    int status;

    if (helper_connect(s->agent_socket, &probe, NULL) != ERR_OK)
        return leave_alone(s);
    (void)close(probe);
    probe = -1;
    status = ctl_ask(s, json_pack("{s:s}", "verb", "leave"), &answer);
    if (status != EXIT_OK)
        return status;
    if (json_bool(answer, "parent_told", false))
        (void)puts(say_tr("Left; the parent knows. Postfix runs as it is.",
                          "離脱し、上位デバイスに通知しました。Postfix はそのまま動作します。"));
    else
        (void)printf(say_tr("Left. The parent was not told (%s): retire this device there. Postfix "
                            "runs as it is.\n",
                            "離脱しました。上位デバイスには通知できませんでした "
                            "(%s)。上位側で撤去してください。Postfix はそのまま動作します。\n"),
                     json_str(answer, "parent_problem", ""));
    return EXIT_OK;
}
