#include "domain/condition_text.h"

#include <string.h>

enum { PARTS_MAX = 4, TEXT_MAX = 4 * 1024 };

/* As the agent (agent/loop) and this parent (device_instance.c) write them, with '*' for what they
 * fill in; in both languages the same number, in the same order.  A form that is only '*' stands
 * for the words of another part (a daemon, the disk, the parent): they stay as they came, behind
 * what they are about.  The first row that fits counts.  Which there must be is read from the
 * sources by tests/integration/test_condition_texts.py. */
/* clang-format off */
static const struct {
    const char *type, *reason /* NULL: any */, *en, *ja;
} texts[] = {
    {"Authenticated", "Revoked", "the parent has revoked this device; mail goes on as configured, nothing is fetched", "上位デバイスがこのデバイスを失効させました。メールは現在の設定で処理を続け、新しい設定は取得しません"},
    {"Authenticated", "Retired", "the parent has retired this device; its identity is put aside, mail goes on as configured", "上位デバイスがこのデバイスを廃止しました。ID は退避され、メールは現在の設定で処理を続けます"},
    {"Authenticated", "ForeignMachine", "this identity was made on another machine and is not used here: \"inarictl\" knows the original; join anew after \"inari-agent prepare-image\", or \"inari-agent confirm-machine\" if the original is gone", "この ID は別のマシンで作成されたため、ここでは使用しません。元のデバイスは inarictl で確認できます。「inari-agent prepare-image」の後に参加し直すか、元のマシンがもう存在しない場合は「inari-agent confirm-machine」を実行してください"},
    {"Authenticated", "Reattach", "the parent has lost this device's record and was shown the receipt of its enrolment; an administrator has to approve it (inarictl approve)", "上位デバイスでこのデバイスの記録が失われたため、登録の受領書を提示しました。管理者の承認が必要です (inarictl approve)"},
    {"Authenticated", "WaitsForApproval", "an administrator has to approve this device (inarictl approve)", "管理者によるこのデバイスの承認が必要です (inarictl approve)"},
    {"Authenticated", "IdentityFork", "*", "このデバイスの ID が複数のマシンで使用されています: *"},
    {"Authenticated", "ParentBehind", "*", "上位デバイスの記録が、このデバイスがすでに確認した内容より古くなっています: *"},
    {"Authenticated", "AgentTooOld", "*", "エージェントのバージョンが古すぎます: *"},
    {"Authenticated", "AgentTooNew", "*", "エージェントのバージョンが上位デバイスに対して新しすぎます: *"},
    {"Authenticated", "DeviceUnknown", "*", "上位デバイスにこのデバイスの記録がありません: *"},
    {"Authenticated", "Forbidden", "*", "上位デバイスが要求を拒否しました: *"},
    {"Authenticated", "Refused", "*", "デバイスの鍵が受け付けられませんでした: *"},
    {"ConfigVerified", NULL, "the bundle that arrived is not the one the parent announced; it was dropped", "届いた設定バンドルが上位デバイスの通知したものと異なるため、破棄しました"},
    {"ConfigVerified", NULL, "signed by key *, which trust document * does not list for bundles", "鍵 * で署名されていますが、信頼文書 * に設定バンドル用の鍵として載っていません"},
    {"ConfigVerified", NULL, "revision * is older than *, which this device has seen", "リビジョン * は、このデバイスがすでに確認した * より古いものです"},
    {"ConfigVerified", NULL, "epoch * is new and the fleet's root key has not signed it (trust document * allows *)", "エポック * は新しいものですが、ルート鍵で署名されていません (信頼文書 * で許可されているのは *)"},
    {"ConfigVerified", NULL, "revision * exists twice with different content", "リビジョン * に内容の異なるものが 2 つあります"},
    {"ConfigVerified", NULL, "critical member \"*\" is not known to agent *", "必須の項目「*」を、エージェント * は認識できません"},
    {"ConfigVerified", NULL, "the bundle asks for agent *; this is *", "設定バンドルにはエージェント * が必要ですが、現在は * です"},
    {"ConfigVerified", NULL, "the bundle's sections are not of a schema agent * knows", "設定バンドルの形式を、エージェント * は認識できません"},
    {"ConfigVerified", NULL, "agent * does not fetch blobs", "エージェント * は外部データを取得できません"},
    {"ConfigVerified", NULL, "the content digest is not that of the sections", "内容のダイジェストが設定の内容と一致しません"},
    {"ConfigVerified", NULL, "the bundle is for device * of fleet *", "設定バンドルは別のデバイス * (フリート *) 宛てです"},
    {"ConfigVerified", "Trust", "*", "新しい信頼文書を受け入れられません: *"},
    {"ConfigVerified", "Signature", "*", "設定バンドルの署名を検証できません: *"},
    {"ConfigVerified", NULL, "*", "設定バンドルを検証できません: *"},
    {"ConfigValid", NULL, "*", "デバイスが設定を受け付けませんでした: *"},
    {"ConfigApplied", "Observed", "nothing is written in observe mode", "監視モードでは何も書き込みません"},
    {"ConfigApplied", "HelperAway", "the helper does not answer", "root ヘルパーが応答しません"},
    {"ConfigApplied", NULL, "the change was cut short; the helper put the previous configuration back", "変更が途中で中断されたため、root ヘルパーが以前の設定に戻しました"},
    {"ConfigApplied", NULL, "the parent answered before this change and not within * s after it", "この変更の前は上位デバイスと通信できていましたが、変更後 * 秒以内に通信できませんでした"},
    {"ConfigApplied", NULL, "after the switch: *", "切り替え後の確認に失敗しました: *"},
    {"ConfigApplied", NULL, "live: *", "稼働中の確認に失敗しました: *"},
    {"ConfigApplied", "Rejected", "*", "デバイスが設定を受け付けませんでした: *"},
    {"ConfigApplied", "Degraded", "*", "新しい設定も以前の設定も正常に動作しません: *"},
    {"ConfigApplied", "Interrupted", "*", "変更が途中で中断されました: *"},
    {"ConfigApplied", NULL, "*", "設定を適用できなかったため、以前の設定に戻しました: *"},
    {"ConfigRunning", NULL, "*", "動作中の内容が設定と異なります: *"},
    {"ChainHealthy", "Degraded", "neither the newest configuration nor the one before it answered", "最新の設定でも 1 つ前の設定でも応答がありませんでした"},
    {"ChainHealthy", NULL, "it was put back and does not answer: *", "以前の設定に戻しましたが、応答がありません: *"},
    {"ChainHealthy", NULL, "*", "メール経路の確認に失敗しました: *"},
    {"Drifted", "GaveUp", "* was put back * times within * minutes and differs again: something else on this host sets it. It is left as found", "* は * 回 (* 分以内) 元に戻しましたが、再び変更されました。このホストの別のものが設定しています。現在の値のままにします"},
    {"Drifted", NULL, "* items differ, first: *; not put back: *", "* 件の差異があります (最初: *)。元に戻せませんでした: *"},
    {"Drifted", NULL, "* items differ, first: *", "* 件の差異があります (最初: *)"},
    {"Drifted", "Unreadable", "*", "設定ファイルを確認できません: *"},
    {"ClockSynced", "Skewed", "this clock differs from the parent's by * s; documents are dated with the parent's", "デバイスの時計が上位デバイスと * 秒ずれています。記録の日時には上位デバイスの時刻を使用します"},
    {"Held", "LocalHold", "* (until *)", "* (* まで)"},
    {"Frozen", "NoFreshness", "the parent has not proven for 7 days that this is its newest word; mail goes on as configured", "上位デバイスから、これが最新の設定であるという証明が 7 日間届いていません。メールは現在の設定で処理を続けます"},
    {"Quarantined", "FailedTwice", "*", "2 回失敗したため、この設定を隔離しました: *"},
    {"StorageOk", "Storage", "*", "データを書き込めません: *"},
    {"ServiceRunning", NULL, "stopped by * since *: *", "* が * から停止しています: *"},
    {"ServiceRunning", "NotRunning", "Postfix is wanted to run and does not", "Postfix が動作していません (動作するよう指定されています)"},
    {"ServiceRunning", "FrontNotRunning", "foxproxy is wanted in front of Postfix and does not run: no mail comes in", "Postfix の前段に必要な foxproxy が動作していないため、メールを受信できません"},
    {"ServiceRunning", "FrontMute", "foxproxy runs and takes no mail, or does not answer", "foxproxy は動作していますが、メールを受け付けていないか、応答がありません"},
    {"ServiceRunning", "FrontStartedAgain", "foxproxy ended by itself and was started again", "foxproxy が予期せず終了したため、自動的に再起動しました"},
    {"ServiceRunning", "FrontZone", "the DNS list * lists every address and is not used", "DNS リスト * がすべてのアドレスを登録済みと答えるため、使用していません"},
    {"ServiceRunning", "FrontZone", "the DNS list * fails and mail passes without it: *", "DNS リスト * に問い合わせできません。メールはこのリストなしで通過します: *"},
    {"ServiceRunning", "FrontZone", "the DNS list * has no test entry: does it still live?", "DNS リスト * にテスト用エントリーがありません。現在も運用されているか確認してください"},
    {"KeyCurrent", "NotRenewed", "the parent was not reached (*)", "鍵の更新のために上位デバイスに接続できませんでした (*)"},
    {"KeyCurrent", "NotRenewed", "*", "鍵を更新できませんでした: *"},
    {"Drained", NULL, "drained by * since *: *", "* が * から受け付けを停止しています: *"},
    {"Churning", "AnswersDiffer", "the parent answers every question at once with another bundle; it is asked slowly until that ends", "上位デバイスが問い合わせのたびに異なる設定バンドルをすぐに返します。収まるまで問い合わせの間隔を空けます"},
    {"ParentCertificate", "Expired", "the certificate of * ended at *; its key is pinned, so this device goes on with it: renew the certificate", "* の証明書は * に期限切れになりました。鍵が固定されているため通信は続けますが、証明書を更新してください"},
    {"EventsBehind", "ParentTooOld", "the parent does not know of events; it is asked again each hour", "上位デバイスがイベントに対応していません。1 時間ごとに問い合わせます"},
    {"EventsBehind", NULL, "events of \"*\" wait for more than * minutes: *", "「*」のイベントが * 分以上送信待ちです: *"},
    {"EventsBehind", NULL, "events of \"*\" wait for more than * minutes", "「*」のイベントが * 分以上送信待ちです"},
    {"EventsDropped", NULL, "* events of \"*\" were lost so far: its spool was full, had no room on its volume, or was damaged", "これまでに * 件のイベント (「*」) が失われました。スプールが一杯になったか、ボリュームに空きがないか、破損しました"},
    {"IdentityUnique", "Fork", "two machines use this device's identity and nothing tells which is the original: both keep what they run until you decide (inarictl instances)", "2 台のマシンがこのデバイスの ID を使用しており、どちらが元のマシンか判断できません。決定されるまで、どちらも現在の内容で動作を続けます (inarictl instances)"},
    {"IdentityUnique", "Fork", "two machines use this device's identity: one goes on, the other is set aside and keeps what it runs; decide with inarictl instances", "2 台のマシンがこのデバイスの ID を使用しています。1 台は続行し、もう 1 台は除外されて現在の内容で動作を続けます。inarictl instances で決定してください"},
    {"IdentityUnique", "MachineChanged", "it runs on another machine than it was enrolled on; if that is meant: inarictl instances NAME clear", "登録時とは別のマシンで動作しています。意図したものであれば、inarictl instances NAME clear を実行してください"},
    {"IdentityUnique", "Reverted", "an older snapshot of it came back and was brought up to date", "古いスナップショットから復元されたため、最新の状態に更新しました"},
    {"Ready", NULL, "*", "準備ができていません: *"},
};
/* clang-format on */

/* Does text have the fixed parts of form, in order?  What is between them goes into part. */
static bool fits(const char *form, const char *text, struct slice part[PARTS_MAX])
{
    size_t n = 0, k = strcspn(form, "*");

    if (strncmp(form, text, k) != 0)
        return false;
    for (form += k, text += k; *form == '*'; form += k) {
        AUTO_STRBUF struct strbuf fixed = STRBUF_INIT(TEXT_MAX);
        const char *next;
        form++;
        k = strcspn(form, "*");
        strbuf_add(&fixed, (struct slice){form, k});
        if (n == PARTS_MAX || !strbuf_ok(&fixed))
            return false;
        if (form[k] == '\0') /* what a text ends with stands at its end, however often before */
            next = strlen(text) < k ? NULL : text + strlen(text) - k;
        else
            next = strstr(text, strbuf_str(&fixed));
        if (next == NULL || strncmp(next, form, k) != 0)
            return false;
        part[n++] = (struct slice){text, (size_t)(next - text)};
        text = next + k;
    }
    return *text == '\0';
}

/* Ready repeats what another condition says, whose type is its reason. */
static const char *form_of(const char *type, const char *reason, const char *message,
                           struct slice part[PARTS_MAX])
{
    bool ready = strcmp(type, "Ready") == 0;

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        bool theirs = ready && strcmp(texts[i].type, reason) == 0;
        if (strcmp(texts[i].type, type) != 0 && (!theirs || strcmp(texts[i].en, "*") == 0))
            continue;
        if (!theirs && texts[i].reason != NULL && strcmp(texts[i].reason, reason) != 0)
            continue;
        if (fits(texts[i].en, message, part))
            return texts[i].ja;
    }
    return NULL;
}

void condition_text(const char *type, const char *reason, const char *message, enum lang lang,
                    struct strbuf *out)
{
    struct slice part[PARTS_MAX];
    const char *form =
        lang == LANG_JA && message[0] != '\0' ? form_of(type, reason, message, part) : NULL;
    size_t n = 0;

    if (form == NULL) {
        strbuf_puts(out, message);
        return;
    }
    for (; *form != '\0'; form++) {
        if (*form == '*')
            strbuf_add(out, part[n++]);
        else
            strbuf_putc(out, *form);
    }
}

bool conditions_tell_in(json_t *conditions, enum lang lang)
{
    json_t *v;
    size_t i;

    json_array_foreach(conditions, i, v)
    {
        AUTO_STRBUF struct strbuf text = STRBUF_INIT(TEXT_MAX);
        if (lang == LANG_EN || json_str(v, "message", "")[0] == '\0')
            continue;
        condition_text(json_str(v, "type", ""), json_str(v, "reason", ""),
                       json_str(v, "message", ""), lang, &text);
        if (!strbuf_ok(&text) ||
            json_object_set_new(v, "message", json_string(strbuf_str(&text))) != 0)
            return false;
    }
    return true;
}
