// A channel as a form.  Secrets go in and never come out: an empty field leaves what is set.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { LANGUAGES } from "../../i18n";
import { get, send, useSend } from "../../api/use";
import { Button, Checkbox, ErrorBox, Form, FormGroup, FormHelperText, FormSelect, FormSelectOption, HelperText, HelperTextItem, Modal, ModalBody, ModalFooter, ModalHeader, TextInput, useToast } from "../../ui";

export type Channel = Schemas["AlertChannel"];
type Kind = Channel["kind"];
const KINDS = ["mail", "webhook", "snmp"] as const;
const PORTS = { mail: "25", webhook: "443", snmp: "162" } as const;
interface Draft { name: string; kind: Kind; host: string; port: string; tls: string; user: string; from: string; to: string; url: string; version: "v2c" | "v3"; inform: boolean; root: string; secret: string; priv: string; enabled: boolean; fallback: boolean; lang: "en" | "ja" }

function draftOf(c: Channel | null, lang: "en" | "ja"): Draft {
  const of = c?.config ?? {};
  return {
    name: c?.name ?? "", kind: c?.kind ?? "mail", host: of.host ?? "", port: String(of.port ?? PORTS[c?.kind ?? "mail"]), tls: of.tls ?? "starttls", user: of.user ?? "", from: of.from ?? "", to: (of.to ?? []).join(", "), url: of.url ?? "",
    version: of.version ?? "v3", inform: of.inform ?? true, root: of.root ?? "", secret: "", priv: "", enabled: c?.enabled ?? true, fallback: c?.fallback ?? true, lang: c?.lang ?? lang,
  };
}
function configOf(d: Draft, old: Channel | null) {
  const user = d.user.trim() === "" ? null : d.user.trim();
  if (d.kind === "webhook") return { ...(old?.config.ca ? { ca: old.config.ca } : {}), url: d.url.trim() };
  const host = { host: d.host.trim(), port: Number(d.port) };
  if (d.kind === "snmp") return { ...host, version: d.version, inform: d.inform, ...(d.version === "v3" ? { user } : {}), ...(d.root.trim() === "" ? {} : { root: d.root.trim() }) };
  return { ...old?.config, ...host, tls: d.tls, user, from: d.from.trim(), to: d.to.split(",").map((x) => x.trim()).filter((x) => x !== "") };
}
/** Only what was typed in: an empty field leaves what is set. */
function secretsOf(d: Draft) {
  const name = d.kind === "webhook" ? "key" : d.kind === "mail" ? "password" : d.version === "v2c" ? "community" : "auth_password";
  const typed = { ...(d.secret === "" ? {} : { [name]: d.secret }), ...(d.kind === "snmp" && d.version === "v3" && d.priv !== "" ? { priv_password: d.priv } : {}) };
  return Object.keys(typed).length === 0 ? {} : { secrets: typed };
}
function bodyOf(d: Draft, old: Channel | null) {
  return { config: configOf(d, old), enabled: d.enabled, fallback: d.fallback, lang: d.lang, ...secretsOf(d) };
}

export function ChannelDialog({ channel, onClose }: { channel: Channel | null; onClose: () => void }) {
  const { t, i18n } = useTranslation("alerts"), toast = useToast(), [d, setD] = useState(() => draftOf(channel, i18n.language === "ja" ? "ja" : "en")), set = (x: Partial<Draft>) => setD({ ...d, ...x });
  const save = useSend(async () => {
    if (channel === null) return send("post", "/api/v1/alert-channels", { body: { name: d.name.trim(), kind: d.kind, ...bodyOf(d, null) } as never });
    const { etag } = await get("/api/v1/alert-channels/{id}", { path: { id: channel.id } });
    return send("patch", "/api/v1/alert-channels/{id}", { path: { id: channel.id }, body: bodyOf(d, channel) as never, ifMatch: etag });
  });
  const go = async () => {
    try { await save.mutateAsync(); } catch { return; } // the dialog shows it
    toast.show({ title: t("saved") });
    onClose();
  };
  const text = (name: "name" | "host" | "port" | "user" | "from" | "to" | "url" | "root", required = true) => (
    <FormGroup label={t(`c_${name}`)} fieldId={`channel-${name}`} isRequired={required}><TextInput id={`channel-${name}`} value={d[name]} onChange={(_, v) => set({ [name]: v })} isRequired={required} /></FormGroup>
  );
  const secret = (id: string, label: string, value: string, change: (v: string) => void) => (
    <FormGroup label={label} fieldId={id}>
      <TextInput id={id} type="password" autoComplete="new-password" value={value} onChange={(_, v) => change(v)} maxLength={200} />
      <FormHelperText><HelperText><HelperTextItem>{t(channel?.has_secret ? "secret_keep" : "secret_help")}</HelperTextItem></HelperText></FormHelperText>
    </FormGroup>
  );
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="channel-title">
      <ModalHeader title={channel === null ? t("channel_new") : channel.name} labelId="channel-title" />
      <ModalBody tabIndex={0}>
        <Form onSubmit={(e) => { e.preventDefault(); void go(); }}>
          {channel !== null ? null : (
            <>
              {text("name")}
              <FormGroup label={t("kind")} fieldId="channel-kind"><FormSelect id="channel-kind" value={d.kind} onChange={(_, v) => set({ kind: v as Kind, port: PORTS[v as Kind] })}>{KINDS.map((k) => <FormSelectOption key={k} value={k} label={t(`channel_${k}`)} />)}</FormSelect></FormGroup>
            </>
          )}
          {d.kind === "webhook" ? text("url") : d.kind === "snmp" ? (
            <>
              {text("host")}{text("port")}
              <FormGroup label={t("c_version")} fieldId="channel-version"><FormSelect id="channel-version" value={d.version} onChange={(_, v) => set({ version: v as Draft["version"] })}>{(["v3", "v2c"] as const).map((x) => <FormSelectOption key={x} value={x} label={t(`version_${x}`)} />)}</FormSelect></FormGroup>
              <Checkbox id="channel-inform" label={t("c_inform")} isChecked={d.inform} onChange={(_, on) => set({ inform: on })} />
              {d.version === "v3" ? text("user") : null}{text("root", false)}
            </>
          ) : (
            <>
              {text("host")}{text("port")}
              <FormGroup label={t("c_tls")} fieldId="channel-tls"><FormSelect id="channel-tls" value={d.tls} onChange={(_, v) => set({ tls: v })}>{(["starttls", "tls", "none"] as const).map((x) => <FormSelectOption key={x} value={x} label={t(`tls_${x}`)} />)}</FormSelect></FormGroup>
              {text("from")}{text("to")}{text("user", false)}
            </>
          )}
          {secret("channel-secret", t(d.kind === "webhook" ? "c_key" : d.kind === "mail" ? "c_password" : d.version === "v2c" ? "c_community" : "c_auth"), d.secret, (v) => set({ secret: v }))}
          {d.kind === "snmp" && d.version === "v3" ? secret("channel-priv", t("c_priv"), d.priv, (v) => set({ priv: v })) : null}
          <FormGroup label={t("c_lang")} fieldId="channel-lang"><FormSelect id="channel-lang" value={d.lang} onChange={(_, v) => set({ lang: v as "en" })}>{Object.entries(LANGUAGES).map(([k, name]) => <FormSelectOption key={k} value={k} label={name} />)}</FormSelect></FormGroup>
          <Checkbox id="channel-enabled" label={t("enabled")} isChecked={d.enabled} onChange={(_, on) => set({ enabled: on })} />
          <Checkbox id="channel-fallback" label={t("c_fallback")} isChecked={d.fallback} onChange={(_, on) => set({ fallback: on })} />
        </Form>
        <ErrorBox error={save.error} />
      </ModalBody>
      <ModalFooter>
        <Button isDisabled={save.isPending} isLoading={save.isPending} onClick={() => void go()}>{t("save", { ns: "common" })}</Button>
        <Button variant="link" onClick={onClose}>{t("cancel", { ns: "common" })}</Button>
      </ModalFooter>
    </Modal>
  );
}
