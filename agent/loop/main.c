/*
 * inari-agent - the child: joins a parent, then keeps the host as the parent's signed bundles say.
 */
#include "base/log.h"
#include "loop/ctl.h"
#include "loop/join.h"
#include "loop/run.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(FILE *to, int status)
{
    (void)fputs(
        say_tr(
            "usage: inari-agent [--config FILE] COMMAND\n"
            "  join --join STRING | --join-file FILE | --parent URL [--parent-pin PIN] "
            "[--user NAME] [--password-stdin]\n"
            "       [--name NAME] [--placement edge|inner]     put this host under a "
            "parent; changes nothing on it\n"
            "  run                                             "
            "the agent itself (started by the service manager)\n"
            "  status [--json]                                 "
            "what is desired, on disk and running\n"
            "  metrics                                         "
            "the same as Prometheus text\n"
            "  hold --reason TEXT --minutes N                  "
            "apply nothing for that time (at most 1440 minutes)\n"
            "  release                                         end the hold\n"
            "  rollback [DIGEST]                               "
            "back to the last good (or a kept) configuration\n"
            "  rotate-key                                      "
            "renew this device's own key now\n"
            "  confirm-machine                                 "
            "the identity on this disk belongs to this machine now\n"
            "  prepare-image                                   "
            "remove the identity, before this disk is copied\n"
            "  leave                                           "
            "leave the parent; Postfix keeps running\n"
            "  spool show DIR [N]                              "
            "how an event spool stands, and the first N events that wait\n"
            "  spool append DIR                                "
            "the lines of standard input become events of a spool\n"
            "  --check | --show-settings | --sample | --version\n"
            "exit status: 0 done, 1 failed, 2 wrong use, 3 not joined, 4 refused, 5 not "
            "reachable, 75 another one runs\n",
            "使い方: inari-agent [--config FILE] コマンド\n"
            "  join --join 文字列 | --join-file ファイル | --parent URL [--parent-pin "
            "PIN] [--user 管理者名] [--password-stdin]\n"
            "       [--name 名前] [--placement edge|inner]     "
            "このホストを上位デバイスに参加させます(設定は変更しません)\n"
            "  run                                             "
            "エージェント本体(サービスマネージャーから起動)\n"
            "  status [--json]                                 "
            "目標・ディスク上・動作中の状態を表示\n"
            "  metrics                                         "
            "同じ内容を Prometheus 形式で表示\n"
            "  hold --reason 理由 --minutes 分                 指定時間(最長 1440 分)適用を止める\n"
            "  release                                         保留を解除\n"
            "  rollback [ダイジェスト]                         "
            "最後に正常だった(または保存済みの)設定に戻す\n"
            "  rotate-key                                      このデバイス自身の鍵を今すぐ更新\n"
            "  confirm-machine                                 "
            "このディスクの識別情報をこのマシンのものとする\n"
            "  prepare-image                                   "
            "ディスクを複製する前に識別情報を削除する\n"
            "  leave                                           上位デバイスから離脱(Postfix "
            "は動作を続けます)\n"
            "  spool show DIR [N]                              "
            "イベントスプールの状態と、送信待ちの先頭 N 件を表示\n"
            "  spool append DIR                                "
            "標準入力の各行をイベントとしてスプールに追加\n"
            "  --check | --show-settings | --sample | --version\n"
            "終了コード: 0 成功, 1 失敗, 2 使い方の誤り, 3 未参加, 4 拒否, 5 到達不可, "
            "75 別のプロセスが動作中\n"),
        to);
    return status;
}

static int join_main(const struct agent_settings *s, int argc, char **argv)
{
    static const struct option options[] = {
        {"join", required_argument, NULL, 'j'},
        {"join-file", required_argument, NULL, 'f'},
        {"parent", required_argument, NULL, 'p'},
        {"parent-pin", required_argument, NULL, 'k'},
        {"user", required_argument, NULL, 'u'},
        {"password-stdin", no_argument, NULL, 's'},
        {"name", required_argument, NULL, 'n'},
        {"placement", required_argument, NULL, 'l'},
        {NULL, 0, NULL, 0},
    };
    struct join_options o = {0};
    int c;

    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (c) {
        case 'j':
            o.join = optarg;
            break;
        case 'f':
            o.join_file = optarg;
            break;
        case 'p':
            o.parent = optarg;
            break;
        case 'k':
            o.pin = optarg;
            break;
        case 'u':
            o.user = optarg;
            break;
        case 's':
            o.password_stdin = true;
            break;
        case 'n':
            o.name = optarg;
            break;
        case 'l':
            o.placement = optarg;
            break;
        default:
            return usage(stderr, EXIT_USAGE);
        }
    }
    if (optind != argc || (o.join != NULL) + (o.join_file != NULL) + (o.parent != NULL) != 1 ||
        (o.placement != NULL && strcmp(o.placement, "edge") != 0 &&
         strcmp(o.placement, "inner") != 0))
        return usage(stderr, EXIT_USAGE);
    return join_run(s, &o);
}

static int run_verb(const struct agent_settings *s, int argc, char **argv)
{
    (void)argv;
    return argc == 1 ? run_main(s) : usage(stderr, EXIT_USAGE);
}

static int status_main(const struct agent_settings *s, int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--json") != 0))
        return usage(stderr, EXIT_USAGE);
    return ctl_status(s, argc == 2);
}

static int hold_main(const struct agent_settings *s, int argc, char **argv)
{
    static const struct option options[] = {{"reason", required_argument, NULL, 'r'},
                                            {"minutes", required_argument, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    const char *reason = NULL;
    uint64_t minutes = 0;
    int c;

    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (c == 'r')
            reason = optarg;
        else if (c != 'm' || !parse_u64(slice_of(optarg), 1, INT32_MAX, &minutes))
            return usage(stderr, EXIT_USAGE);
    }
    if (optind != argc || reason == NULL || minutes == 0)
        return usage(stderr, EXIT_USAGE);
    return ctl_hold(s, reason, (int64_t)minutes);
}

static int release_main(const struct agent_settings *s, int argc, char **argv)
{
    (void)argv;
    return argc == 1 ? ctl_release(s) : usage(stderr, EXIT_USAGE);
}

static int rollback_main(const struct agent_settings *s, int argc, char **argv)
{
    return argc <= 2 ? ctl_rollback(s, argc == 2 ? argv[1] : NULL) : usage(stderr, EXIT_USAGE);
}

static int rotate_key_main(const struct agent_settings *s, int argc, char **argv)
{
    (void)argv;
    return argc == 1 ? ctl_rotate_key(s) : usage(stderr, EXIT_USAGE);
}

static int confirm_machine_main(const struct agent_settings *s, int argc, char **argv)
{
    (void)argv;
    return argc == 1 ? ctl_confirm_machine(s) : usage(stderr, EXIT_USAGE);
}

static int prepare_image_main(const struct agent_settings *s, int argc, char **argv)
{
    (void)argv;
    return argc == 1 ? ctl_prepare_image(s) : usage(stderr, EXIT_USAGE);
}

static int leave_main(const struct agent_settings *s, int argc, char **argv)
{
    (void)argv;
    return argc == 1 ? ctl_leave(s) : usage(stderr, EXIT_USAGE);
}

static int spool_main(const struct agent_settings *s, int argc, char **argv)
{
    uint64_t max = 20;

    (void)s;
    if (argc == 3 && strcmp(argv[1], "append") == 0)
        return ctl_spool_append(argv[2]);
    if (argc < 3 || argc > 4 || strcmp(argv[1], "show") != 0 ||
        (argc == 4 && !parse_u64(slice_of(argv[3]), 0, INT32_MAX, &max)))
        return usage(stderr, EXIT_USAGE);
    return ctl_spool_show(argv[2], (int64_t)max);
}

static int metrics_main(const struct agent_settings *s, int argc, char **argv)
{
    (void)argv;
    return argc == 1 ? ctl_metrics(s) : usage(stderr, EXIT_USAGE);
}

struct verb {
    const char *name;
    int (*run)(const struct agent_settings *s, int argc, char **argv);
};

static const struct verb verbs[] = {
    {"join", join_main},
    {"run", run_verb},
    {"status", status_main},
    {"metrics", metrics_main},
    {"hold", hold_main},
    {"release", release_main},
    {"rollback", rollback_main},
    {"rotate-key", rotate_key_main},
    {"confirm-machine", confirm_machine_main},
    {"prepare-image", prepare_image_main},
    {"leave", leave_main},
    {"spool", spool_main},
};

/* What the settings file says, or -1 when word is none of these. */
static int about_settings(const char *word, const struct agent_settings *s)
{
    AUTO_STRBUF struct strbuf out = STRBUF_INIT(64 * KIB);

    if (strcmp(word, "--check") == 0)
        strbuf_puts(&out, say_tr("the settings are good\n", "設定に問題はありません\n"));
    else if (strcmp(word, "--show-settings") == 0)
        agent_settings_show(s, &out);
    else if (strcmp(word, "--sample") == 0)
        agent_settings_sample(&out);
    else
        return -1;
    return fputs(strbuf_str(&out), stdout) >= 0 ? EXIT_OK : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct agent_settings s = {0};
    struct err e = {0};
    const char *conf = NULL;
    int at = 1, status = -1;

    log_init("inari-agent", LOG_LEVEL_INFO);
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 2 && strcmp(argv[1], "--config") == 0) {
        conf = argv[2];
        at = 3;
    }
    if (at >= argc)
        return usage(stderr, EXIT_USAGE);
    if (strcmp(argv[at], "help") == 0 || strcmp(argv[at], "--help") == 0)
        return usage(stdout, EXIT_OK);
    if (strcmp(argv[at], "--version") == 0)
        return printf("inari-agent %s\n", INARI_VERSION) > 0 ? EXIT_OK : EXIT_FAILED;
    if (agent_settings_load(conf, &s, &e) != ERR_OK) {
        say_error(&e);
        return EXIT_FAILED;
    }
    status = about_settings(argv[at], &s);
    for (size_t i = 0; i < COUNT_OF(verbs) && status < 0; i++)
        if (strcmp(argv[at], verbs[i].name) == 0)
            status = verbs[i].run(&s, argc - at, argv + at);
    agent_settings_clear(&s);
    return status < 0 ? usage(stderr, EXIT_USAGE) : status;
}
