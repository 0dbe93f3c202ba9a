/*
 * exit.h - inarictl's exit statuses: a stable contract for scripts (also in inarictl(1); never
 * renumbered).
 */
#pragma once

#include "base/err.h"

#define CLI_EXIT_LIST(X)                                                                           \
    X(EXIT_OK_, 0, "done", "成功")                                                                 \
    X(EXIT_ERROR, 1, "something else went wrong", "その他のエラー")                                \
    X(EXIT_USAGE, 2, "the command line is not right", "コマンドラインの誤り")                      \
    X(EXIT_REFUSED, 3,                                                                             \
      "refused by findings: a value or the resulting configuration is not acceptable",             \
      "値または結果の設定が受け付けられず、拒否された")                                            \
    X(EXIT_NOT_RUNNING, 4, "published, but not (yet) running on every targeted device",            \
      "公開したが、対象のすべてのデバイスではまだ実行されていない")                                \
    X(EXIT_AUTH, 5, "not signed in, or not allowed", "ログインしていない、または権限がない")       \
    X(EXIT_UNREACHABLE, 6, "the parent cannot be reached or is not the expected one",              \
      "上位デバイスに接続できない、または想定した相手ではない")                                    \
    X(EXIT_NOT_FOUND, 7, "no such device, revision, setting ...", "指定されたものが存在しない")    \
    X(EXIT_CONFLICT, 8,                                                                            \
      "somebody else changed the same thing meanwhile, or the present state forbids it",           \
      "他者が先に変更した、または現在の状態では実行できない")                                      \
    X(EXIT_BUSY, 9, "the parent is busy or slows us down: try again later",                        \
      "上位デバイスが混雑しているか、速度を制限している")

enum cli_exit {
#define X(name, number, en, ja) name = number,
    CLI_EXIT_LIST(X)
#undef X
};

/* The status for a failed call. */
enum cli_exit cli_exit_of(enum err_code code);
