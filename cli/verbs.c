/* verbs.c - the table of contents of inarictl: help, the manual page and the parser read it. */
#include "rollout.h"

#include <string.h>

/* clang-format off */
#define COMMAND_SYNTAX "[--reason TEXT] [--expires TIME] [--timeout TIME | --no-wait]"
#define COMMAND_OPTIONS "reason= expires= timeout= no-wait"

const struct verb common_options = {
    "", "", "json url= ca= pin= lang= help dry-run", 0, 0, NULL, {"", ""}, {NULL, NULL}
};

const struct verb verbs[] = {
    {"login", "[--user USER] [--url URL] [--ca FILE | --pin PIN] [--token]", "user= token", 0, 0, verb_login,
     {"sign in and remember the session in ~/.config/inari/inarictl.json", "ログインし、セッションを ~/.config/inari/inarictl.json に保存する"},
     {"The password is asked for, or read from standard input when that is not a terminal; a new one too when it must be changed. "
      "With --token an API token is read instead and stored.",
      "パスワードは入力を求めます。端末でない場合は標準入力から読みます。変更が必要なときは新しいパスワードも読みます。--token を付けると API トークンを読んで保存します。"}},
    {"logout", "", "", 0, 0, verb_logout,
     {"end the session and forget it", "ログアウトし、保存した資格情報を消す"}, {NULL, NULL}},
    {"set", "KEY=VALUE ... [--device NAME | --group NAME] [--force]", "device= group= draft= force", 1, -1, verb_set,
     {"edit your draft: print what it would change and every finding", "下書きを編集し、変更内容と検出事項をすべて表示する"},
     {"KEY=VALUE sets a plain setting (sizes like 40M, times like 5m, yes or no). Lists: KEY+=ROW[,ROW...] adds rows, KEY-=ROW[,ROW...] takes them out, "
      "KEY+=@FILE reads rows from a file (one a line), a secret comes from a file or standard input only (KEY=@FILE, KEY=@-), KEY[ROW].FIELD=VALUE sets one member of a row, KEY[ROW]=JSON and KEY=JSON whole rows; KEY=ROW[,ROW...] makes the fleet's list exactly these. "
      "Without --device or --group the value is set for the whole fleet. When anything is refused nothing is stored and the exit status is 3; --force keeps what only needs a reason (publish --force REASON). "
      "Nothing reaches a device before publish. Examples: inarictl set smtp.message_size_limit=40M; inarictl set smtp.relay_domains+=example.org; "
      "inarictl set 'smtp.routes[example.org].next_hop=[10.0.0.1]:25'",
      "KEY=VALUE で単一の設定 (40M のようなサイズ、5m のような時間、yes / no)。一覧は KEY+=ROW[,ROW...] で行を追加、KEY-=ROW[,ROW...] で削除、"
      "KEY+=@FILE でファイルから (1 行に 1 件)、秘密情報はファイルまたは標準入力から (KEY=@FILE、KEY=@-)、KEY[ROW].FIELD=VALUE で行の 1 項目、KEY[ROW]=JSON と KEY=JSON で行全体、KEY=ROW[,ROW...] で全体の一覧をちょうどその行にします。"
      "--device も --group もなければ全体に設定します。1 つでも拒否されると何も保存せず、終了ステータスは 3 です。理由があれば強行できるものは --force で下書きに残せます (公開時に publish --force 理由)。publish するまでデバイスには反映されません。"}},
    {"preset", "[NAME [INPUT=VALUE ...] [--device NAME | --group NAME] [--force]]", "device= group= draft= force", 0, -1, verb_preset,
     {"the presets there are, or one of them into your draft", "プリセットの一覧、またはプリセットを下書きに入れる"},
     {"A preset is a named set of values: what a device in a known place needs. They go into the draft as set would put them, with every check. "
      "Example: inarictl preset sandwich-upstream scanner=10.0.0.2 --device mx1",
      "プリセットは、よくある配置で必要になる値の組です。set と同じように下書きに入り、同じ検査を受けます。例: inarictl preset sandwich-upstream scanner=10.0.0.2 --device mx1"}},
    {"unset", "KEY[[ROW]] ... [--default] [--device NAME | --group NAME] [--force]", "default device= group= draft= force", 1, -1, verb_unset,
     {"let a layer say nothing about a setting any more", "レイヤーから設定を取り除く"},
     {"With --default the layer sets the built-in default instead, whatever lower layers say.",
      "--default を付けると、下のレイヤーの値にかかわらず初期設定に戻します。"}},
    {"diff", "[--draft ID]", "draft=", 0, 0, verb_diff,
     {"what your draft would change, where, with every finding", "下書きの変更内容、影響するデバイス、検出事項を表示する"}, {NULL, NULL}},
    {"discard", "[KEY[[ROW]] ...] [--device NAME | --group NAME] [--draft ID]", "draft= device= group=", 0, -1, verb_discard,
     {"throw your draft away, or single values of it", "下書き、またはその一部を破棄する"}, {NULL, NULL}},
    {"drafts", "", "", 0, 0, verb_drafts, {"open drafts of everybody", "全員の開いている下書きの一覧"}, {NULL, NULL}},
    {"publish", "--reason TEXT [--force REASON] [--wait running|fetched|none] [--timeout TIME] [--draft ID] [--on-devices] [--confirm N] " ROLLOUT_SYNTAX,
     "reason= force= confirm= wait= timeout= draft= on-devices " ROLLOUT_OPTIONS, 0, 0, verb_publish,
     {"make your draft a revision and wait until every targeted device runs it", "下書きをリビジョンとして公開し、対象のすべてのデバイスで実行されるまで待つ"},
     {"Waits for --wait running (the default) at most --timeout (120 s): exit status 0 only when desired, on disk and running agree on every managed device, "
      "else 4 with the reason of each device that does not run it. Observed devices are named but not waited for: nothing is written there. "
      "--force REASON overrides findings that can be forced; the reason is kept in the audit log. "
      "How it reaches the devices is the fleet's policy (inarictl rollout policy) unless said here: --strategy waves goes in waves with a canary first (--waves 1,10%,50%), each watched for --bake. "
      "--on-devices: the devices try it first with their own Postfix, and one that refuses stops it; with --dry-run only that happens (exit status 3 when refused, 4 when nobody could say).",
      "既定では --wait running を最大 --timeout (120 秒) 待ちます。管理中のすべてのデバイスで指定・ディスク・実行中が一致したときだけ終了ステータス 0、"
      "そうでなければデバイスごとの理由を示して 4 で終わります。監視のみのデバイスは表示だけで待ちません。--force 理由 は強行可能な検出事項を上書きし、理由は監査ログに残ります。"
      "配布方法は指定がなければ全体の方針 (inarictl rollout policy) に従います。--strategy waves は先行 1 台から段階的に配布し (--waves 1,10%,50%)、各段階を --bake の間観察します。"
      "--on-devices を付けると、先に各デバイスが自身の Postfix で検証し、拒否するデバイスがあれば中止します。--dry-run と組み合わせると検証だけを行います (拒否されれば終了ステータス 3、判定できなければ 4)。"}},
    {"get", "KEY [--device NAME | --group NAME]", "device= group=", 1, 1, verb_get,
     {"the published value: of the fleet, of a group, or in force on a device", "公開済みの値を表示する (全体、グループ、またはデバイスで有効な値)"}, {NULL, NULL}},
    {"explain", "KEY --device NAME", "device=", 1, 1, verb_explain,
     {"which layer set a value, who, when and why, and what runs", "値をどのレイヤーで、誰が、いつ、なぜ設定したか、何が実行中かを表示する"}, {NULL, NULL}},
    {"overrides", "[--device NAME]", "device=", 0, 0, verb_overrides,
     {"what differs from the fleet: set by groups and devices, or in force on one device", "全体と異なる値を表示する (グループとデバイスの設定、または 1 台のデバイスで有効な値)"}, {NULL, NULL}},
    {"secrets", "[--device NAME]", "device=", 0, 0, verb_secrets,
     {"which secrets are set since when, or which ones a device knows; never what they are", "設定済みの秘密情報、または 1 台のデバイスが知っている秘密情報を表示する (値は表示しない)"},
     {"Of a device that was revoked or retired: those that are still in use have to be changed, for it keeps what it was given.",
      "失効または廃止したデバイスの場合、まだ使用中のものは変更してください。配布済みの値はデバイスに残っています。"}},
    {"export", "[FILE]", "", 0, 1, verb_export,
     {"the published configuration as one JSON document", "公開済みの設定を 1 つの JSON 文書として出力する"},
     {"Names instead of ids, no secrets; what is left out stands in it with the reason. Without FILE to standard output.",
      "ID の代わりに名前を使い、秘密情報は含みません。含まれないものは理由とともに文書に記されます。FILE を省くと標準出力に書きます。"}},
    {"import", "FILE [--mode merge|replace] [--parts fleet,groups,devices] [--dry-run]", "mode= parts=", 1, 1, verb_import,
     {"an exported document as a draft of yours; shows what it changes", "エクスポートした文書を下書きとして取り込み、変更内容を表示する"},
     {"Nothing is published: look at the draft and publish it. Without --parts the values of single devices stay out (parts fleet,groups). "
      "merge (the default) keeps what the document does not say, replace removes it.",
      "公開はされません。下書きを確認してから公開してください。--parts を省くとデバイス個別の値は取り込みません (fleet,groups)。"
      "merge (既定) は文書にない値を残し、replace は取り除きます。"}},
    {"import-exceptions", "NAME FILE [--dry-run]", "", 2, 2, verb_import_exceptions,
     {"the keys of detach_key_postfix in an ini file as values of a device's own", "ini ファイルの detach_key_postfix のキーを、デバイス個別の値として取り込む"},
     {"The values are those the device runs with now. Keys that no setting stands for are left alone on the device, as every foreign parameter is, and are listed.",
      "値はデバイスで現在使われているものです。対応する設定のないキーは、ほかの管理外のパラメータと同じくデバイスでそのまま残り、一覧に示されます。"}},
    {"catalog", "[KEY]", "", 0, 1, verb_catalog, {"the settings there are", "設定の一覧と説明"}, {NULL, NULL}},
    {"revisions", "", "", 0, 0, verb_revisions, {"what was published, newest first", "公開されたリビジョンの一覧"}, {NULL, NULL}},
    {"show", "REVISION", "", 1, 1, verb_show, {"one revision with what it changed", "リビジョンとその変更内容を表示する"}, {NULL, NULL}},
    {"restore", "REVISION --reason TEXT [--force REASON] [--confirm N] [--wait ...] [--timeout TIME]", "reason= force= confirm= wait= timeout=", 1, 1, verb_restore,
     {"publish everything as it was in a revision", "指定したリビジョンの状態に戻して公開する"}, {NULL, NULL}},
    {"undo", "REVISION --reason TEXT [--force REASON] [--confirm N] [--wait ...] [--timeout TIME]", "reason= force= confirm= wait= timeout=", 1, 1, verb_undo,
     {"publish the inverse of one revision, keeping later changes", "後の変更を残したまま、指定したリビジョンの変更だけを元に戻す"}, {NULL, NULL}},
    {"devices", "[--text TEXT] [--state STATE] [--group NAME] [--attention]", "text= state= group= attention", 0, 0, verb_devices,
     {"every device: desired, on disk, running, last attempt", "すべてのデバイスの指定・ディスク・実行中の状態"},
     {"--text: part of the name or the address. --attention: only those that ask for a person (to be approved, quarantined, held, or with an open alert), the most urgent first.",
      "--text は名前またはアドレスの一部です。--attention を付けると、対応が必要なデバイス (承認待ち、隔離中、保留中、またはアラートが出ているもの) だけを、緊急のものから順に表示します。"}},
    {"device", "NAME", "", 1, 1, verb_device, {"one device in full", "1 台のデバイスの詳細"}, {NULL, NULL}},
    {"drift", "NAME | enforce NAME [ITEM ...] [--reason TEXT] [--timeout TIME | --no-wait] | adopt NAME [ITEM ...] [--fleet | --group NAME]",
     "reason= timeout= no-wait fleet group=", 1, -1, verb_drift,
     {"what stands on a device otherwise than published; put it back, or take it over", "公開した設定と異なるデバイス上の項目の表示、元に戻す操作、取り込み"},
     {"enforce puts the managed values back now, also those the agent had given up. adopt makes a draft with the found values as the device's own (or the fleet's, or a group's); they pass "
      "the same checks as any other edit. Without ITEM it is all that differ. What the agent does by itself is the settings drift.policy and drift.items.",
      "enforce は管理する値に今すぐ戻します (エージェントが中止したものも含む)。adopt は見つかった値を装置固有 (またはフリート、グループ) の値とする下書きを作ります。ほかの編集と同じ検査を受けます。"
      "ITEM を省くと、異なるものすべてが対象です。エージェントが自動で行うことは設定 drift.policy と drift.items で決まります。"}},
    {"mode", "NAME observe|manage", "", 2, 2, verb_mode, {"only watch a device, or write to it", "デバイスを監視のみにする、または管理する"}, {NULL, NULL}},
    {"rename", "NAME NEW-NAME", "", 2, 2, verb_rename, {"give a device another name", "デバイスの名前を変える"}, {NULL, NULL}},
    {"hold", "NAME --reason TEXT [--for TIME]", "reason= for=", 1, 1, verb_hold, {"freeze a device for a while (1h)", "デバイスを一定時間保留する (既定 1h)"}, {NULL, NULL}},
    {"release", "NAME", "", 1, 1, verb_release, {"end a hold", "保留を解除する"}, {NULL, NULL}},
    {"approve", "NAME [--replaces | --new]", "replaces new", 1, 1, verb_approve, {"let a pending device in", "承認待ちのデバイスを承認する"},
     {"A machine that comes with the name of a device that is on the same hardware, or silent, may be that device installed anew: device NAME shows which, and one of the options has to say so. "
      "--replaces: it is that device from now on, with its id, settings, groups and history; the old key is refused at once. --new: a device of its own. "
      "A device in state reattach has shown the receipt of an enrolment that the parent lost: approved, it is what it was.",
      "同じハードウェア上にある、または応答のないデバイスと同じ名前で参加したマシンは、その再インストールの可能性があります。device NAME に候補が表示され、いずれかのオプションで指定する必要があります。"
      "--replaces は以後そのデバイスとして扱い、ID、設定、グループ、履歴を引き継ぎ、古い鍵を直ちに拒否します。--new は別のデバイスとします。"
      "状態 reattach は、上位デバイスが失った登録の受領証を提示したデバイスです。承認すると元のデバイスに戻ります。"}},
    {"reject", "NAME", "", 1, 1, verb_reject, {"turn a pending device away", "承認待ちのデバイスを拒否する"}, {NULL, NULL}},
    {"revoke", "NAME --reason TEXT --yes", "reason= yes", 1, 1, verb_revoke, {"take a device's credentials away", "デバイスの資格情報を失効させる"}, {NULL, NULL}},
    {"reinstate", "NAME --reason TEXT", "reason=", 1, 1, verb_reinstate,
     {"let a revoked device come back: it waits for approve", "失効させたデバイスの復帰を許可する (approve が必要)"}, {NULL, NULL}},
    {"retire", "NAME --yes", "yes", 1, 1, verb_retire, {"remove a device for good", "デバイスを廃止する"}, {NULL, NULL}},
    {"instances", "NAME [keep INSTANCE | clear] [--reason TEXT]", "reason=", 1, 3, verb_instances,
     {"which machines speak as a device; decide when there are two", "デバイスとして通信しているマシンの一覧と、二重になった場合の決定"},
     {"A copy of a device is found when both speak. The one on the machine it was enrolled on goes on; when machines do not tell them apart both keep what they run. "
      "keep: that instance goes on, renews its key, and the other has none afterwards. clear: there is only one now (the copy was deleted, or the machine was replaced).",
      "複製されたデバイスは、両方が通信した時点で検出されます。登録時のマシン上のものが継続し、マシンで区別できないときは両方が現在の設定を保ちます。"
      "keep は指定したインスタンスを継続させて鍵を更新し、もう一方の鍵を無効にします。clear は 1 台に戻ったこと (複製の削除、マシンの交換) を示します。"}},
    {"proposal", "NAME", "", 1, 1, verb_proposal, {"what an observed device runs now", "監視中のデバイスの現在の設定を表示する"}, {NULL, NULL}},
    {"adopt", "NAME KEY ...", "", 2, -1, verb_adopt, {"take found values over into a draft", "見つかった値を下書きに取り込む"}, {NULL, NULL}},
    {"plan", "NAME", "", 1, 1, verb_plan, {"files, ports and services that follow from the settings", "設定から導かれるファイル、ポート、サービスを表示する"}, {NULL, NULL}},
    {"status", "[--watch]", "watch", 0, 0, verb_status, {"parent and devices at a glance", "上位デバイスと全デバイスの状態"}, {NULL, NULL}},
    {"dry-runs", "[ID]", "", 0, 1, verb_dry_runs, {"changes that devices tried before anybody got them", "適用前にデバイスで試した変更"},
     {"Made by publish --dry-run --on-devices, and before the first wave of a rollout. Refusals come first, in the device's own words.",
      "publish --dry-run --on-devices のほか、段階的な配布では最初の段階の前に行います。拒否したデバイスを先に、そのデバイスの言葉で表示します。"}},
    {"rollouts", "[ID | --device NAME]", "device=", 0, 1, verb_rollouts, {"how revisions reached the devices", "リビジョンの展開状況"}, {NULL, NULL}},
    {"rollout", "list | show [ID] | watch [ID] | pause|resume|halt|cancel|approve|promote [ID] [--reason TEXT] | revert [ID] --reason TEXT [--force REASON] | policy [MEMBER=VALUE ...]",
     "reason= force=", 1, -1, verb_rollout, {"follow a rollout, stop it, take it back; the fleet's policy", "配布の進行状況の確認、停止、取り消しと、全体の配布方針"},
     {"Without ID it is the newest. watch prints a line at every change and ends with the rollout: exit status 0 when it completed, else 4. halt gives devices on the way back what they had; "
      "resume goes on, also after a halt (refused by the devices before the first wave, or tried by none of them, they are asked again; promote goes on in spite of it); promote begins the next wave now (or, when none of its devices was there, gives it to each as it comes back); "
      "a rollout that stands aside for an expedited one, or while most devices are silent, goes on by itself; revert publishes the inverse of its revision to the devices that have it. "
      "policy MEMBER=default goes back to the built-in value. Examples: inarictl rollout watch; inarictl rollout policy strategy=waves waves=1,10%,50% canary_bake_s=10m",
      "ID を省くと最新の配布です。watch は変化のたびに 1 行表示し、配布が終わると終了します (完了なら終了ステータス 0、それ以外は 4)。halt は適用途中のデバイスを元の内容に戻し、"
      "resume は停止後も含めて続行 (最初の段階の前にデバイスが拒否した場合や検証できたデバイスがない場合は検証をやり直し、promote は拒否を承知で続行)、promote は次の段階をすぐに始め (デバイスがすべて不在だった場合は、戻ったデバイスから順次適用)、緊急の変更や大半のデバイスの不通で待機中の配布は自動で再開します。revert はその変更を受け取ったデバイスに逆の変更を公開します。policy の MEMBER=default は既定値に戻します。"}},
    {"commands", "[--device NAME] [--state STATE] [--kind KIND] [--limit N]", "device= state= kind= limit=", 0, 0, verb_commands,
     {"orders given to devices, newest first", "デバイスへのコマンドの一覧 (新しい順)"}, {NULL, NULL}},
    {"command", "show ID | output ID | cancel ID", "", 2, 2, verb_command,
     {"one order: where it stands, what it printed; take it back", "コマンドの状態と出力の表示、取り消し"},
     {"An order waits while the device is away, expires, and is done at most once. It can be cancelled until the device has taken it.",
      "コマンドはデバイスが接続していない間は待機し、期限が切れると実行されません。実行は最大 1 回です。デバイスが受け取るまでは取り消せます。"}},
    {"self-check", "DEVICE " COMMAND_SYNTAX, COMMAND_OPTIONS, 1, 1, verb_self_check,
     {"have a device check itself: agent, helper, Postfix, listeners", "デバイスの自己診断 (エージェント、ヘルパー、Postfix、待ち受け)"},
     {"Exit status 1 when a check is not good.", "正常でない項目があれば終了ステータス 1 になります。"}},
    {"queue", "DEVICE [show [--limit N] | flush|hold|release|delete ID ... | --all] [--queue all|incoming|active|deferred|hold] [--yes] " COMMAND_SYNTAX,
     "queue= limit= all yes " COMMAND_OPTIONS, 1, -1, verb_queue,
     {"the mail queue of a device: list it, try again now, hold, release, delete", "デバイスのメールキューの表示、即時再送、保留、保留解除、削除"},
     {"--all means the messages that are there when the device begins (with --queue only those of that queue), never later ones. delete needs --yes. "
      "Exit status 7 when a named message was not there.",
      "--all は、デバイスが処理を始めた時点で存在するメッセージが対象です (--queue を付けるとそのキューのみ)。後から届いたものは含みません。delete には --yes が必要です。"
      "指定したメッセージが存在しなければ終了ステータス 7 になります。"}},
    {"service", "DEVICE [start|stop|restart] " COMMAND_SYNTAX, COMMAND_OPTIONS, 1, 2, verb_service,
     {"Postfix on a device: wanted and seen; start, stop, restart it", "デバイスの Postfix の指定した状態と実際の状態の表示、開始、停止、再起動"},
     {"Stopped means stopped until somebody starts it here: neither a change of settings nor a restart of the agent starts it.",
      "停止すると、ここから開始するまで停止したままです。設定の変更やエージェントの再起動では開始しません。"}},
    {"drain", "DEVICE " COMMAND_SYNTAX, COMMAND_OPTIONS, 1, 1, verb_drain,
     {"have a device take no new mail, while its queue empties", "デバイスの新規メール受け付けを止め、キューを空にする"},
     {"New mail is answered 450, so senders go to another MX or come again; what is in the queue goes on. It stays so over restarts, publications and reverts until undrain. "
      "See: inarictl devices; condition Drained says Empty once the queue is.",
      "新しいメールには 450 を返すので、送信側は別の MX に回るか再試行します。キュー内のメールは配送を続けます。再起動、公開、取り消しの後も undrain まで続きます。"
      "状態は inarictl devices で確認できます。キューが空になると条件 Drained が Empty になります。"}},
    {"undrain", "DEVICE " COMMAND_SYNTAX, COMMAND_OPTIONS, 1, 1, verb_undrain,
     {"have a drained device take mail again", "受け付けを止めたデバイスのメール受け付けを再開する"}, {NULL, NULL}},
    {"test-message", "DEVICE --to ADDRESS [--from ADDRESS] " COMMAND_SYNTAX, "to= from= " COMMAND_OPTIONS, 1, 1, verb_test_message,
     {"send a message through a device and follow it to its queue result", "デバイスを通してテストメールを送り、キューでの結果まで追跡する"},
     {"Exit status 4 when it was not sent. Without --from it has no envelope sender, so nothing bounces.",
      "送信されなかった場合は終了ステータス 4 になります。--from がなければエンベロープ送信者は空で、バウンスは発生しません。"}},
    {"debug-bundle", "DEVICE [--out FILE] [--reason TEXT] [--expires TIME] [--timeout TIME]", "out= reason= expires= timeout=", 1, 1, verb_debug_bundle,
     {"configuration, state and logs of a device as a tar file, without secrets", "デバイスの設定、状態、ログを秘密情報を除いて tar ファイルに保存する"},
     {"The device encrypts it to a key that is made here for this one bundle and never leaves this process: the parent cannot read it. "
      "The file is made with mode 0600; without --out it is called DEVICE-TIME.tar.",
      "デバイスは、この 1 回のためにここで作られ、このプロセスの外に出ない鍵で暗号化します。上位デバイスは内容を読めません。"
      "ファイルのモードは 0600 です。--out がなければ DEVICE-日時.tar という名前になります。"}},
    {"rotate-key", "DEVICE " COMMAND_SYNTAX, COMMAND_OPTIONS, 1, 1, verb_rotate_key,
     {"have a device renew its own key", "デバイス自身の鍵を更新させる"},
     {"The new key is made on the device and proven with the old one; once the device has used it the old one is refused. A device also renews its key by itself (agent.key_max_age).",
      "新しい鍵はデバイス上で作られ、古い鍵で証明されます。デバイスが使い始めると、古い鍵は拒否されます。鍵の年齢による自動更新もあります (agent.key_max_age)。"}},
    {"groups", "", "", 0, 0, verb_groups, {"the groups", "グループの一覧"}, {NULL, NULL}},
    {"group", "create NAME [--kind set|mx] [--priority N] | add NAME DEVICE ... [--force REASON] | remove NAME DEVICE ... [--force REASON] | members NAME | delete NAME",
     "kind= priority= force=", 2, -1, verb_group, {"make, fill, empty and delete groups", "グループの作成、メンバーの追加と削除、グループの削除"}, {NULL, NULL}},
    {"list", "approved|blocked show | add NETWORK ... | remove NETWORK ... | remove --comment TEXT | import FILE | export [FILE] | find ADDRESS | history [VERSION] | undo VERSION",
     "device= group= comment= expires= reason= force= format= mode= expired", 2, -1, verb_list,
     {"client addresses that are let in or refused before the greeting: in force at once", "接続時に許可または拒否する送信元アドレスのリスト (変更はすぐに有効)"},
     {"Approved goes before blocked. A NETWORK is an address, 192.0.2.0/24, 2001:db8::/32 or a range 192.0.2.1-192.0.2.9. With --device or --group a row is only theirs. --expires 7d: it has no effect after that. "
      "A network that is there is given the new comment and expiry. --dry-run shows what would happen. remove without networks takes what --comment, --expired, --device or --group have in common. "
      "import reads CSV (the first line names network, and any of scope, comment, expires_at) or --format plain (one network a line, # before a comment); --mode replace removes what the file does not have. "
      "find: the row that decides about an address, and all around it. Each change is a version: history shows them, undo takes one back. "
      "What would let in a wide part of the Internet, or shut out your own hosts, needs --force REASON. Example: inarictl list blocked add 203.0.113.9 --comment 'botnet' --expires 7d --reason 'alert at 3'",
      "approved は blocked より優先されます。NETWORK はアドレス、192.0.2.0/24、2001:db8::/32、または範囲 192.0.2.1-192.0.2.9 です。--device または --group を付けると、その対象だけの行になります。--expires 7d を過ぎると効果がなくなります。"
      "登録済みのネットワークには新しいコメントと有効期限が設定されます。--dry-run は結果だけを表示します。ネットワークを省いた remove は --comment、--expired、--device、--group に一致する行を削除します。"
      "import は CSV (1 行目に network と、必要に応じて scope、comment、expires_at) または --format plain (1 行に 1 ネットワーク、# の後はコメント) を読みます。--mode replace はファイルにない行を削除します。"
      "find はアドレスの扱いを決める行とそれを含む行を表示します。変更ごとにバージョンが残り、history で表示し、undo で取り消せます。"
      "インターネットの広い範囲を許可する変更や自社のホストを拒否する変更には --force 理由 が必要です。例: inarictl list blocked add 203.0.113.9 --comment 'botnet' --expires 7d --reason '3 時の警報'"}},
    {"join-token", "create [NAME] [--uses N] [--expires TIME] [--group NAME] [--networks CIDR,...] [--name-pattern GLOB] [--placement edge|inner] [--approval] | list | revoke ID",
     "uses= expires= group= networks= name-pattern= placement= approval", 1, 2, verb_join_token,
     {"join strings for new devices", "新しいデバイスの参加トークン"},
     {"create prints the join string on standard output, once; give it to: inari-agent join", "create は参加文字列を標準出力に一度だけ表示します。inari-agent join に渡してください。"}},
    {"tokens", "[list | create NAME --scopes SCOPE,... [--expires TIME] | revoke ID]", "scopes= expires=", 0, 2, verb_tokens,
     {"API tokens for scripts", "スクリプト用の API トークン"}, {NULL, NULL}},
    {"accounts", "[list | add NAME [--role viewer|operator|admin] [--language en|ja] | set NAME [--role ROLE] [--language en|ja] [--disable | --enable] | password NAME | delete NAME --yes]",
     "role= language= disable enable yes", 0, 2, verb_accounts, {"accounts of people", "アカウントの管理"}, {NULL, NULL}},
    {"audit", "[--since TIME] [--action ACTION] [--actor NAME] [--object OBJECT] [--limit N] | --verify", "since= action= actor= object= limit= verify", 0, 0, verb_audit,
     {"who did what; --verify checks the hash chain", "監査ログ。--verify でハッシュチェーンを検証する"}, {NULL, NULL}},
    {"messages", "[--since TIME] [--until TIME] [--sender ADDRESS|@DOMAIN] [--recipient ADDRESS|@DOMAIN] [--subject WORDS] [--client ADDRESS|NETWORK] "
     "[--message-id ID] [--queue-id ID] [--status STATUS] [--reason REASON] [--device NAME] [--limit N]",
     "since= until= sender= recipient= subject= client= message-id= queue-id= status= reason= device= limit=", 0, 0, verb_messages,
     {"search for messages over all devices, newest first", "全デバイスのメッセージを検索する (新しい順)"},
     {"Without --since the last 24 hours; a search covers at most 92 days. All filters given must fit. Words of the subject are whole words (invoic* is the begin of one), Japanese stands anywhere. "
      "STATUS is where the message stands now: delivered, deferred, bounced, expired, rejected, held, queued, discarded; --reason is a word like timeout, greylisted, user-unknown. "
      "Example: inarictl messages --recipient @example.org --status deferred --since 3h",
      "--since を省くと直近 24 時間です。1 回の検索は最大 92 日です。指定した条件すべてに合うものを表示します。件名の語は単語全体に一致します (invoic* は先頭に一致)。日本語は任意の位置に一致します。"
      "STATUS は現在の状態 (delivered、deferred、bounced、expired、rejected、held、queued、discarded)、--reason は timeout、greylisted、user-unknown などの語です。"
      "例: inarictl messages --recipient @example.org --status deferred --since 3h"}},
    {"trace", "ID", "", 1, 1, verb_trace,
     {"follow one message over all devices: every step, and the revision each device ran then", "1 通のメッセージを全デバイスにわたって追跡し、各時点で実行中のリビジョンとともに表示する"},
     {"ID is the last column of messages, or a queue id from a log or a notice (looked for in the last 31 days).",
      "ID は messages の最後の列、またはログや通知にあるキュー ID (直近 31 日間を検索) です。"}},
    {"events", "[--since TIME] [--until TIME] [--kind KIND] [--device NAME] [--stream NAME] [--queue-id ID] [--limit N] | --follow [--kind KIND] [--device NAME] [--stream NAME] [--queue-id ID] [--sender ADDRESS] [--recipient ADDRESS] [--limit N]",
     "since= until= kind= device= stream= queue-id= limit= follow sender= recipient=", 0, 0, verb_events,
     {"what happened on the devices, newest first; --follow shows what happens as it is stored", "デバイスで起きたことを新しい順に表示する。--follow で発生とともに表示する"},
     {"Without --since the last 24 hours. KIND is one kind like message.rejected or warning; with a dot at the end all that begin so (device.). "
      "--follow begins now, shows one event a line (with --json one document a line), and goes on where it was after a lost connection; --limit ends it after so many.",
      "--since を省くと直近 24 時間です。KIND は message.rejected や warning などの種類です。末尾が「.」なら、それで始まるすべて (device.) が対象です。"
      "--follow は現在から始め、1 行に 1 件ずつ (--json では 1 行に 1 文書) 表示し、接続が切れても続きから再開します。--limit でその件数を表示して終了します。"}},
    {"figures", "[--device NAME] [--step minute|hour|day] [--since TIME] [--until TIME]", "device= step= since= until=", 0, 0, verb_figures,
     {"what a device, or the fleet, did in each minute, hour or day", "デバイスまたは全体の分・時・日ごとの件数"},
     {"Without --since the last sixty steps. A dash, and a blank in the lines below the table, is a step in which nothing was heard: that is not zero. "
      "Refusals and attempts count recipients; LATENCY is what nine of ten deliveries stayed below, OLDEST the greatest age of a message in the queue.",
      "--since を省くと直近の 60 件です。表の「-」と下のグラフの空白は、何も届かなかった区間を表します (0 件とは異なります)。"
      "拒否と配送の試行は宛先ごとに数えます。遅延は配送の 9 割が収まった時間、最古はキュー内のメッセージの最大経過時間です。"}},
    {"event-policy", "[MEMBER=VALUE ...]", "", 0, -1, verb_event_policy,
     {"what of the devices' events is kept: days, bytes, subjects", "デバイスのイベントの保存方針 (日数、容量、件名)"},
     {"keep_days=N: older days are dropped. size_budget_bytes=20G: over it the oldest days go, today's never. subject=keep|hash|omit: of new events; hash keeps equal subjects comparable, "
      "omit keeps none. MEMBER=default goes back to the built-in value. What is dropped does not come back: try it with --dry-run.",
      "keep_days=N より古い日は削除されます。size_budget_bytes=20G を超えると、今日を除き最も古い日から削除されます。subject=keep|hash|omit は新しいイベントに適用され、hash は同じ件名かどうかだけを比べられる形、"
      "omit は件名なしで保存します。MEMBER=default は既定値に戻します。削除されたものは元に戻りません。--dry-run で事前に確認できます。"}},
    {"trust", "", "", 0, 0, verb_trust, {"which keys devices believe", "デバイスが信頼する鍵"},
     {"The newest trust document, signed by the fleet's root key. A new bundle key is made on the parent's host: inarid rotate-key.",
      "全体のルート鍵で署名された最新の信頼文書を表示します。バンドル鍵の更新は上位デバイスのホスト上で inarid rotate-key により行います。"}},
    {"recovery", "[show | adopt [--title TEXT] | continue --reason TEXT [--keep] --yes]", "reason= yes keep title=", 0, 1, verb_recovery,
     {"a parent that may know less than its devices: which are ahead, and the decision", "上位デバイスが古い可能性がある場合の確認と再開"},
     {"After a restore, or when a device is ahead, the parent gives nothing out. continue makes what it holds count again: every device gets it under a fresh revision. What devices hold and the database lost is shown by setting; adopt puts it into a draft and prints its id, continue --keep ends the fence without giving anything out, publish does the rest. Where revisions cannot go on above what devices have seen, a new epoch can: inarid new-epoch, on the parent's host with the root key (inarid(8)).",
      "復元の後や、デバイスの方が新しい場合、上位デバイスは何も配布しません。continue を実行すると、保持している設定が新しい改訂番号で全デバイスに配布されます。データベースから失われ、デバイスに残っている設定は項目ごとに表示されます。adopt でドラフトに取り込んで ID を表示し、continue --keep で何も配布せずに再開し、publish で反映します。改訂番号をデバイスの持つ番号より上に続けられない場合は、上位デバイスのホストでルート鍵を使い、新しいエポックを始めます (inarid new-epoch、inarid(8) 参照)。"}},
    {"alerts", "[--state open|pending|firing|resolved] [--severity SEVERITY] [--device NAME] [--rule NAME] [--limit N]", "state= severity= device= rule= limit=", 0, 0, verb_alerts,
     {"what fires, and what would if it went on", "発生中および発生しかけているアラートの一覧"}, {NULL, NULL}},
    {"alert", "show ID | ack ID [--reason TEXT] | retry NOTICE", "reason=", 2, 2, verb_alert,
     {"one alert: look at it, say that somebody knows; send a notice again that was given up", "アラートの表示と確認、送信を断念した通知の再送"},
     {"An alert that somebody knows of is not repeated.", "確認済みのアラートは繰り返し通知されません。"}},
    {"alert-rules", "", "", 0, 0, verb_alert_rules, {"what is looked at", "アラートのルールの一覧"}, {NULL, NULL}},
    {"alert-rule", "show NAME | create NAME KIND [KEY=VALUE ...] | set NAME KEY=VALUE ... | delete NAME", "", 2, -1, verb_alert_rule,
     {"one rule: look at it, make it, change it", "ルールの表示、作成、変更、削除"},
     {"Keys: severity (info, warning, critical), enabled, for_s (it fires once it held so long), clear_s (it is over once it did not hold so long), scope (fleet, group:NAME, device:NAME), "
      "channels (names with commas, default, none), group_wait_s, group_interval_s, repeat_s, trap; others are the kind's own: late_s, condition, days, away_s, figure, over, clear, window_s, least, hours, window_h. Times may be 90, 5m, 2h. "
      "Example: inarictl alert-rule set device-late for_s=10m repeat_s=4h",
      "キー: severity (info、warning、critical)、enabled、for_s (この時間続くと発生)、clear_s (この時間収まると解消)、scope (fleet、group:名前、device:名前)、"
      "channels (コンマ区切りの名前、default、none)、group_wait_s、group_interval_s、repeat_s、trap。ほかは種類ごとのパラメーター (late_s、condition、days、away_s、figure、over、clear、window_s、least、hours、window_h) です。時間は 90、5m、2h のように書けます。"
      "例: inarictl alert-rule set device-late for_s=10m repeat_s=4h"}},
    {"alert-channels", "", "", 0, 0, verb_alert_channels, {"who is told", "通知先の一覧"}, {NULL, NULL}},
    {"alert-channel", "show NAME | create NAME KIND KEY=VALUE ... | set NAME KEY=VALUE ... | test NAME | delete NAME", "", 2, -1, verb_alert_channel,
     {"one channel: look at it, make it, change it, try it", "通知先の表示、作成、変更、試験、削除"},
     {"Keys of kind mail: host, port, tls (none, starttls, tls), user, password, from, to (addresses with commas), charset (utf-8, iso-2022-jp), ca; of kind webhook: url, key, ca; of kind snmp: host, port, version (v3, v2c), inform (true: the receiver acknowledges; false: a trap, of which nobody knows whether it arrived), user, auth_password, priv_password, community (v2c), root (docs/mib/INARI-MIB.txt); of all: enabled, fallback (rules that name no channels use it), lang. "
      "A secret is read from a file (password=@FILE) or standard input (password=@-). test sends a notice and shows each step; exit status 1 when it was not taken. "
      "Example: inarictl alert-channel create ops mail host=relay.example.com from=inari@example.com to=ops@example.com lang=ja",
      "種類 mail のキー: host、port、tls (none、starttls、tls)、user、password、from、to (コンマ区切りのアドレス)、charset (utf-8、iso-2022-jp)、ca。種類 webhook のキー: url、key、ca。種類 snmp のキー: host、port、version (v3、v2c)、inform (true: 受信側が確認応答を返す、false: 到達を確認できないトラップ)、user、auth_password、priv_password、community (v2c)、root (docs/mib/INARI-MIB.txt)。共通: enabled、fallback (通知先を指定しないルールが使用)、lang。"
      "秘密情報はファイル (password=@FILE) または標準入力 (password=@-) から読みます。test は通知を送信して各段階を表示し、受け付けられなければ終了ステータス 1 になります。"
      "例: inarictl alert-channel create ops mail host=relay.example.com from=inari@example.com to=ops@example.com lang=ja"}},
    {"alert-notices", "[--state queued|sending|sent|dead] [--rule NAME] [--limit N]", "state= rule= limit=", 0, 0, verb_alert_notices,
     {"what was sent, waits, or was given up", "送信済み、送信待ち、送信断念の通知の一覧"}, {NULL, NULL}},
    {"silences", "[--state active|waiting|over] [--limit N]", "state= limit=", 0, 0, verb_silences,
     {"when nobody is told", "通知の抑止の一覧"}, {NULL, NULL}},
    {"silence", "create --reason TEXT [--for TIME] [--rule NAME] [--device NAME] [--group NAME] | end ID", "reason= for= rule= device= group=", 1, 2, verb_silence,
     {"tell nobody for a while; alerts are shown all the same", "一定時間、通知を抑止する (アラートの表示は変わらない)"},
     {"Without --rule, --device and --group nobody is told of anything. At its end what still fires is told.",
      "--rule、--device、--group をいずれも指定しないと、すべての通知を抑止します。終了時にまだ発生しているものは通知されます。"}},
    {"version", "", "", 0, 0, verb_version, {"version of inarictl, and of the parent when it is known", "inarictl と上位デバイスのバージョン"}, {NULL, NULL}},
    {"help", "[VERB]", "roff", 0, 1, verb_help, {"this text, or a verb's", "この説明、または動詞の説明"}, {NULL, NULL}},
    {NULL, NULL, NULL, 0, 0, NULL, {NULL, NULL}, {NULL, NULL}}
};

const struct option_text option_texts[] = {
    {"replaces", {"it is the device that it seems to be, installed anew", "候補のデバイスの再インストールである"}},
    {"new", {"it is a device of its own", "別のデバイスである"}},
    {"strategy", {"auto, all or waves: how the revision reaches the devices", "auto、all、waves: リビジョンの配布方法"}},
    {"waves", {"devices in each wave: 1,per-group,10%,50%; the rest follows", "各段階の台数: 1,per-group,10%,50%。残りは最後に続きます"}},
    {"max-unavailable", {"devices that may be changing at once: 2 or 10%", "同時に変更してよい台数: 2 または 10%"}},
    {"bake", {"how long each wave is watched before the next", "次の段階に進む前に観察する時間"}},
    {"on-failure", {"halt, or revert by itself", "失敗時に停止 (halt) または自動で取り消し (revert)"}},
    {"on-devices", {"the devices try it first with their own Postfix; nothing is switched", "先に各デバイス自身の Postfix で検証する。切り替えは行わない"}},
    {"approval", {"another account must approve first", "先に別のアカウントの承認を必要とする"}},
    {"expedite", {"urgent: one device for 30 s, then all", "緊急: 1 台で 30 秒確認後、全デバイスへ"}},
    {"json", {"one JSON document on standard output", "標準出力に JSON を 1 つ出力する"}},
    {"url", {"address of the parent (INARI_API)", "上位デバイスのアドレス (INARI_API)"}},
    {"ca", {"PEM file of the certificate to trust (INARI_CA)", "信頼する証明書の PEM ファイル (INARI_CA)"}},
    {"pin", {"base64url SHA-256 of the server's public key, instead of a certificate", "証明書の代わりにサーバー公開鍵の SHA-256 (base64url)"}},
    {"lang", {"en or ja; otherwise LC_ALL, LC_MESSAGES, LANG", "en か ja。なければ LC_ALL、LC_MESSAGES、LANG"}},
    {"help", {"explain the verb", "動詞の説明"}},
    {"dry-run", {"ask the parent what would happen; change nothing", "何も変えず、結果だけを確認する"}},
    {"user", {"account to sign in with", "ログインするアカウント"}},
    {"token", {"store an API token instead of a session", "セッションの代わりに API トークンを保存する"}},
    {"device", {"the layer of this device (or the device asked about)", "このデバイスのレイヤー (または対象のデバイス)"}},
    {"fleet", {"into the fleet's layer", "フリートのレイヤーに入れる"}},
    {"group", {"the layer of this group (or the group to join)", "このグループのレイヤー (または参加するグループ)"}},
    {"draft", {"another draft than your newest", "最新以外の下書きを指定する"}},
    {"mode", {"merge (default) or replace; of a list add (default) or replace", "merge (既定) または replace。リストでは add (既定) または replace"}},
    {"parts", {"what to take: fleet, groups, devices, with commas (default fleet,groups)", "取り込む部分: fleet、groups、devices をコンマで区切る (既定 fleet,groups)"}},
    {"default", {"set the built-in default", "初期設定にする"}},
    {"reason", {"why; kept in the revision and the audit log (of messages: why they were refused or did not go on)", "理由。リビジョンと監査ログに残る (メッセージの場合は拒否や遅延の理由)"}},
    {"force", {"override findings that can be forced, with this reason; set and unset only keep them in the draft", "強行可能な検出事項をこの理由で上書きする。set と unset では下書きに残すだけ"}},
    {"confirm", {"how many devices change: asked for when it is most of the fleet (rollout policy confirm_above, confirm_min)", "変更されるデバイスの台数。フリートの大半が変わる場合に必要 (配布方針 confirm_above、confirm_min)"}},
    {"wait", {"what to wait for: running (default), fetched, none", "待つ対象: running (既定)、fetched、none"}},
    {"timeout", {"how long to wait: 90, 5m (default 120)", "待つ時間: 90、5m (既定 120)"}},
    {"for", {"how long: 30m, 2h, 1d (default 1h)", "期間: 30m、2h、1d (既定 1h)"}},
    {"title", {"what the draft is called", "ドラフトの名前"}},
    {"keep", {"give nothing out; devices that are ahead keep what they run until the next publication", "何も配布しない。新しい設定を持つデバイスは、次の公開までそのまま動作します"}},
    {"yes", {"yes, this cannot be undone", "取り消せない操作を実行する"}},
    {"watch", {"again every two seconds", "2 秒ごとに更新する"}},
    {"kind", {"of a group: set or mx (gateways that back each other up); of events: one kind, or a begin of kinds with a dot (message.)",
              "グループの場合は set または mx (互いに補うゲートウェイ)。イベントの場合は種類、または末尾がピリオドの前方一致 (message.)"}},
    {"priority", {"order of the group's layer; higher wins", "グループのレイヤーの順序。大きいほうが優先"}},
    {"uses", {"how many devices may use it (default 1)", "使用できるデバイス数 (既定 1)"}},
    {"comment", {"the comment of a row (of remove: part of it)", "行のコメント (remove では、その一部)"}},
    {"expired", {"only rows that have expired", "有効期限を過ぎた行のみ"}},
    {"format", {"csv (default) or plain", "csv (既定) または plain"}},
    {"expires", {"how long it is valid: 90m, 24h, 30d", "有効期間: 90m、24h、30d"}},
    {"networks", {"from these networks only", "このネットワークからのみ"}},
    {"name-pattern", {"for device names like this only", "この形のデバイス名のみ"}},
    {"placement", {"edge or inner", "edge または inner"}},
    {"approval", {"each device waits for approve", "デバイスごとに承認を必要とする"}},
    {"scopes", {"what the token may do: settings:read,publish,...", "トークンの権限: settings:read,publish,..."}},
    {"role", {"viewer, operator or admin", "viewer、operator、admin"}},
    {"language", {"language of the account: en or ja", "アカウントの言語: en または ja"}},
    {"disable", {"the account may not sign in", "ログインできないようにする"}},
    {"enable", {"the account may sign in again", "再びログインできるようにする"}},
    {"sender", {"the envelope sender: an address, or @ and a domain", "エンベロープ送信者 (アドレス、または @ とドメイン)"}},
    {"recipient", {"a recipient: an address, or @ and a domain", "受信者 (アドレス、または @ とドメイン)"}},
    {"subject", {"words of the subject", "件名の語"}},
    {"client", {"who sent it to us: an address, or a network", "送信元のアドレスまたはネットワーク"}},
    {"message-id", {"the Message-ID of its header", "ヘッダーの Message-ID"}},
    {"queue-id", {"a queue id of Postfix", "Postfix のキュー ID"}},
    {"status", {"where it stands now", "現在の状態"}},
    {"stream", {"only of this stream: postfix, agent ...", "このストリームのみ (postfix、agent など)"}},
    {"since", {"from this time on (RFC 3339; messages and events also 3h, 2d: so long ago)", "この日時以降 (RFC 3339。messages と events では 3h、2d のように何時間前、何日前も可)"}},
    {"until", {"up to this time (RFC 3339)", "この日時まで (RFC 3339)"}},
    {"step", {"minute, hour or day (default: what suits the time)", "minute、hour、day (既定は期間に応じて選択)"}},
    {"follow", {"show events as they are stored, until interrupted", "中断するまで、イベントを保存とともに表示する"}},
    {"action", {"only this action", "この処理のみ"}},
    {"actor", {"only by this account or token", "このアカウントまたはトークンのみ"}},
    {"limit", {"the newest so many (default 100)", "新しいものから何件か (既定 100)"}},
    {"verify", {"check the hash chain", "ハッシュチェーンを検証する"}},
    {"severity", {"only info, warning or critical", "info、warning、critical のいずれかのみ"}},
    {"rule", {"this rule", "このルール"}},
    {"no-wait", {"only give the order; see: inarictl commands", "コマンドを登録するだけで待たない。参照: inarictl commands"}},
    {"state", {"only in this state", "この状態のみ"}},
    {"text", {"part of the name or the address", "名前またはアドレスの一部"}},
    {"object", {"only entries about this one, as they name it: device/ID", "この対象の記録のみ (記録にある名前: device/ID)"}},
    {"attention", {"only what asks for a person, the most urgent first", "対応が必要なもののみを、緊急のものから表示する"}},
    {"queue", {"only this queue of Postfix", "Postfix のこのキューのみ"}},
    {"to", {"recipient", "宛先"}},
    {"from", {"envelope sender", "エンベロープ送信者"}},
    {"out", {"file to write", "書き込むファイル"}},
    {"all", {"every message", "すべてのメッセージ"}},
    {"roff", {"the manual page in roff", "マニュアルページを roff で出力する"}},
    {NULL, {NULL, NULL}}
};
/* clang-format on */

const struct verb *verb_find(const char *name)
{
    for (const struct verb *v = verbs; v->name != NULL; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

const struct option_text *option_text_find(const char *name)
{
    for (const struct option_text *t = option_texts; t->name != NULL; t++)
        if (strcmp(t->name, name) == 0)
            return t;
    return NULL;
}
