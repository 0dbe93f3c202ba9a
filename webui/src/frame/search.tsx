// Search over everything, from the header or with "/": settings by their names in both languages, devices, screens, and the way
// into the search for messages.  Results are links; the arrow keys go through them.
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { Link } from "react-router";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "../i18n/use";
import { useGet } from "../api/use";
import { Button, Foreign, Modal, ModalBody, ModalHeader, SearchIcon, TextInput } from "../ui";
import { areas } from "./areas";
import { onKeys } from "./keys";
import { deviceLink, messagesLink, settingLink } from "./links";
import { useSession } from "./session";

interface Setting { key: string; area: string; label?: string }
interface Result { to: string; kind: "screen" | "setting" | "device" | "message"; text: string; more?: string }
const EACH = 8;

/** The catalog's names in a language, whatever the page's is. */
function useNames(language: "en" | "ja", enabled: boolean) {
  return useQuery({
    queryKey: ["catalog names", language], enabled, staleTime: Infinity,
    queryFn: async () => ((await (await fetch("/api/v1/catalog", { headers: { "Accept-Language": language } })).json()) as { items: Setting[] }).items,
  });
}

/** What a text that was typed can be of a message. */
function messageResults(text: string): { query: Record<string, string>; by: "address" | "queue_id" | "subject" }[] {
  if (text.includes("@")) return [{ query: { sender: text }, by: "address" }, { query: { recipient: text }, by: "address" }];
  return /^[0-9A-Za-z]{6,20}$/.test(text) && /\d/.test(text) ? [{ query: { queue_id: text, range: "30d" }, by: "queue_id" }, { query: { subject: text }, by: "subject" }] : [{ query: { subject: text }, by: "subject" }];
}

function useResults(text: string): Result[] {
  const { t, i18n } = useTranslation(), { may } = useSession(), seen = areas.filter((a) => a.permission === null || may(a.permission)), has = (path: string) => seen.some((a) => a.path === path);
  const en = useNames("en", has("settings")), ja = useNames("ja", has("settings")), devices = useGet("/api/v1/devices", { query: { limit: 500 } }, { enabled: may("device:read") });
  const q = text.trim().toLowerCase();
  if (q === "") return [];
  const other = new Map((i18n.language === "ja" ? en : ja).data?.map((s) => [s.key, s.label ?? ""]));
  const settings = ((i18n.language === "ja" ? ja : en).data ?? []).filter((s) => [s.key, s.label ?? "", other.get(s.key) ?? ""].some((x) => x.toLowerCase().includes(q)));
  const found: Result[] = seen.filter((a) => t(a.text).toLowerCase().includes(q)).map((a) => ({ to: `/${a.path}`, kind: "screen", text: t(a.text) }));
  found.push(...settings.slice(0, EACH).map((s): Result => ({ to: settingLink(s.area, s.key), kind: "setting", text: s.label ?? s.key, more: s.key })));
  found.push(...(devices.data?.data.items ?? []).filter((d) => d.name.toLowerCase().includes(q)).slice(0, EACH).map((d): Result => ({ to: deviceLink(d.name), kind: "device", text: d.name })));
  if (has("messages")) found.push(...messageResults(text.trim()).map((m): Result => ({ to: messagesLink(m.query), kind: "message", text: t(`search_${Object.keys(m.query)[0] as "sender" | "recipient" | "subject" | "queue_id"}`, { text: text.trim() }) })));
  return found;
}

function SearchBox({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation(), [text, setText] = useState(""), results = useResults(text), list = useRef<HTMLUListElement>(null);
  const links = () => [...(list.current?.querySelectorAll("a") ?? [])];
  const move = (e: KeyboardEvent) => {
    const at = links().findIndex((a) => a === document.activeElement), step = e.key === "ArrowDown" ? 1 : e.key === "ArrowUp" ? -1 : 0;
    if (e.key === "Enter" && at < 0) links()[0]?.click();
    if (step === 0) return;
    e.preventDefault();
    if (at + step < 0) document.getElementById("search-all")?.focus();
    else links()[Math.min(at + step, results.length - 1)]?.focus();
  };
  return (
    <Modal isOpen variant="medium" position="top" onClose={onClose} aria-labelledby="search-title">
      <ModalHeader title={t("search")} labelId="search-title" />
      <ModalBody onKeyDown={move}>
        <TextInput id="search-all" type="search" aria-label={t("search")} placeholder={t("search_help")} value={text} onChange={(_, v) => setText(v)} autoFocus maxLength={200} />
        <ul className="inari-results" ref={list}>
          {results.map((r) => (
            <li key={`${r.kind} ${r.to}`}><Link to={r.to} onClick={onClose}><span className="inari-small">{t(`found_${r.kind}`)}</span> <Foreign text={r.text} />{r.more ? <> <span className="inari-small">{r.more}</span></> : null}</Link></li>
          ))}
        </ul>
        <p role="status" className="inari-small">{text.trim() !== "" && results.length === 0 ? t("empty_filtered") : ""}</p>
      </ModalBody>
    </Modal>
  );
}

export function GlobalSearch() {
  const { t } = useTranslation(), [open, setOpen] = useState(false);
  useEffect(() => onKeys((key) => {
    if (key === "/") setOpen(true);
    return key === "/";
  }), []);
  return (
    <>
      <Button variant="plain" aria-label={t("search")} title={t("search_key")} icon={<SearchIcon />} onClick={() => setOpen(true)} />
      {open ? <SearchBox onClose={() => setOpen(false)} /> : null}
    </>
  );
}
