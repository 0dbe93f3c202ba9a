// Every text of the page, in both languages; the two tables have the same keys (tests/browser/static.test.mjs).
export const texts = {
  en: {
    skip: "Skip to the content", language: "Language", sign_in: "Sign in", sign_out: "Sign out",
    user: "User name", password: "Password", change_password: "Change the password",
    must_change: "This password was generated. Choose your own before going on.",
    old_password: "Present password", new_password: "New password", new_password_again: "New password again",
    passwords_differ: "The two new passwords differ.",
    devices: "Child devices", no_devices: "No device has joined yet. Make a join token (inarictl join-token create) and run inari-agent join on the gateway.",
    name: "Name", sync: "Sync", mode: "Mode", state: "State", presence: "Presence",
    desired: "Desired", on_disk: "On disk", running: "Running", last_attempt: "Last attempt",
    in_sync: "in sync", changing: "changing", failed: "failed", observed_only: "observed only", unknown: "unknown",
    summary: "{n} devices, {ok} in sync, {bad} with problems, {away} not online",
    mode_observe: "observe", mode_manage: "manage",
    state_pending: "waiting for approval", state_rejected: "rejected", state_observing: "observed", state_managed: "managed",
    state_held: "held", state_quarantined: "quarantined", state_revoked: "revoked", state_retired: "retired",
    presence_online: "online", presence_late: "late", presence_lost: "lost", presence_never: "never seen",
    result_committed: "committed", result_rejected: "rejected", result_reverted: "reverted", result_interrupted: "interrupted",
    result_degraded: "degraded", result_held: "held", result_observed: "observed",
    revision: "revision {pub}", nothing: "none", seen: "last seen {time}",
    updated: "Updated {time}", stale: "Not updated since {time}", zone: "Times in {zone}",
    unreachable: "The parent does not answer. Trying again.", session_over: "The session has ended. Sign in again.",
    slow_down: "Too many attempts. Wait {s} seconds.", request: "request id {id}",
  },
  ja: {
    skip: "本文へ移動", language: "言語", sign_in: "ログオン", sign_out: "ログオフ",
    user: "ユーザー名", password: "パスワード", change_password: "パスワードを変更",
    must_change: "このパスワードは自動生成されたものです。先に自分のパスワードを設定してください。",
    old_password: "現在のパスワード", new_password: "新しいパスワード", new_password_again: "新しいパスワード（確認）",
    passwords_differ: "2 つの新しいパスワードが一致しません。",
    devices: "下位デバイス", no_devices: "参加しているデバイスはまだありません。参加トークンを作成し（inarictl join-token create）、ゲートウェイで inari-agent join を実行してください。",
    name: "名前", sync: "同期", mode: "モード", state: "状態", presence: "接続",
    desired: "指定した状態", on_disk: "ディスク上", running: "実行中", last_attempt: "直近の適用",
    in_sync: "同期済み", changing: "変更中", failed: "失敗", observed_only: "監視のみ", unknown: "不明",
    summary: "デバイス {n} 台、同期済み {ok}、問題あり {bad}、オンラインでない {away}",
    mode_observe: "監視", mode_manage: "管理",
    state_pending: "承認待ち", state_rejected: "拒否済み", state_observing: "監視中", state_managed: "管理中",
    state_held: "保留中", state_quarantined: "隔離中", state_revoked: "失効", state_retired: "廃止",
    presence_online: "オンライン", presence_late: "遅延", presence_lost: "応答なし", presence_never: "未接続",
    result_committed: "適用済み", result_rejected: "拒否", result_reverted: "元に戻した", result_interrupted: "中断",
    result_degraded: "縮退", result_held: "保留", result_observed: "監視",
    revision: "リビジョン {pub}", nothing: "なし", seen: "最終接続 {time}",
    updated: "{time} に更新", stale: "{time} から更新されていません", zone: "時刻は {zone}",
    unreachable: "上位デバイスが応答しません。再試行しています。", session_over: "セッションが終了しました。もう一度ログオンしてください。",
    slow_down: "試行回数が多すぎます。{s} 秒待ってください。", request: "リクエスト ID {id}",
  },
};

let lang = "en";

export function currentLang() {
  return lang;
}

export function firstLang() {
  const kept = localStorage.getItem("inari.lang");
  if (kept === "en" || kept === "ja") return kept;
  return navigator.language.startsWith("ja") ? "ja" : "en";
}

/** The text of a key with {name} replaced; an unknown key shows itself, so that a new word of the API is never hidden. */
export function t(key, values = {}) {
  const text = texts[lang][key] ?? key.replace(/^(mode|state|presence|result)_/, "");
  return text.replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all));
}

export function setLang(to) {
  lang = to;
  localStorage.setItem("inari.lang", to);
  document.documentElement.lang = to;
  for (const el of document.querySelectorAll("[data-t]")) el.textContent = t(el.dataset.t);
  for (const el of document.querySelectorAll("[data-t-label]")) el.setAttribute("aria-label", t(el.dataset.tLabel));
  for (const code of ["en", "ja"]) document.getElementById(`lang-${code}`).setAttribute("aria-pressed", String(code === to));
}

// The year first in both languages: 11/12/26 is another day on each side of the ocean.
export function time(iso) {
  if (!iso) return "–";
  return new Intl.DateTimeFormat(lang === "en" ? "en-CA" : lang, { dateStyle: "short", timeStyle: "medium", hour12: false }).format(new Date(iso));
}
