// One rule as a form: the parameters that its kind has, times, severity, channels.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { get, send, useGet, useSend } from "../../api/use";
import { Button, Checkbox, ErrorBox, Form, FormGroup, FormSelect, FormSelectOption, Modal, ModalBody, ModalFooter, ModalHeader, TextInput, useToast } from "../../ui";
import { SEVERITIES } from "./words";

export type Rule = Schemas["AlertRule"];
/** What a new rule of a kind begins with; an existing one has its own. */
const KINDS = {
  figure: { figure: "queue", over: 1000, window_s: 600 },
  "device-late": { late_s: 300 },
  "device-condition": { condition: "Drifted" },
} as const;
type Kind = keyof typeof KINDS;
const FIGURES = ["queue", "oldest_s", "deferred_percent", "bounced_percent", "rejected_percent", "dropped"] as const;
const CONDITIONS = ["Drifted", "ClockSynced", "StorageOk", "ServiceRunning", "Quarantined", "KeyCurrent", "ConfigApplied", "ParentCertificate", "Churning", "ChainHealthy", "Frozen", "Drained"] as const;
const NUMBERS = ["late_s", "days", "away_s", "over", "clear", "window_s", "least"] as const;
const TIMES = ["for_s", "clear_s", "repeat_s"] as const;

interface Draft { name: string; kind: string; severity: Rule["severity"]; parameters: Record<string, string | number>; for_s: number; clear_s: number; repeat_s: number; channels: string[] | null }
function draftOf(rule: Rule | null): Draft {
  if (rule === null) return { name: "", kind: "figure", severity: "warning", parameters: { ...KINDS.figure }, for_s: 300, clear_s: 60, repeat_s: 0, channels: null };
  return { name: rule.name, kind: rule.kind, severity: rule.severity, parameters: { ...rule.parameters } as Draft["parameters"], for_s: rule.for_s, clear_s: rule.clear_s, repeat_s: rule.repeat_s ?? 0, channels: rule.channels ?? null };
}

function Parameters({ draft, set }: { draft: Draft; set: (p: Draft["parameters"]) => void }) {
  const { t } = useTranslation("alerts"), p = draft.parameters;
  const choice = (name: "figure" | "condition", values: readonly string[], text: (v: string) => string) => (name in p ? (
    <FormGroup label={t(`p_${name}`)} fieldId={`rule-${name}`}>
      <FormSelect id={`rule-${name}`} value={p[name]} onChange={(_, v) => set({ ...p, [name]: v })}>{values.map((v) => <FormSelectOption key={v} value={v} label={text(v)} />)}</FormSelect>
    </FormGroup>
  ) : null);
  return (
    <>
      {choice("figure", FIGURES, (v) => t(`figure_${v as (typeof FIGURES)[number]}`))}
      {choice("condition", CONDITIONS, (v) => v)}
      {NUMBERS.filter((n) => n in p).map((n) => (
        <FormGroup key={n} label={t(`p_${n}`)} fieldId={`rule-${n}`}><TextInput id={`rule-${n}`} type="number" value={p[n]} onChange={(_, v) => set({ ...p, [n]: Number(v) })} /></FormGroup>
      ))}
    </>
  );
}

function Channels({ value, set }: { value: string[] | null; set: (v: string[] | null) => void }) {
  const { t } = useTranslation("alerts"), channels = useGet("/api/v1/alert-channels", { query: { limit: 500 } }), items = channels.data?.data.items ?? [];
  const has = (c: { id: string; name: string }) => value?.some((v) => v === c.id || v === c.name) ?? false;
  return (
    <FormGroup label={t("tab_channels")} role="group">
      <Checkbox id="rule-fallback" label={t("channels_fallback")} isChecked={value === null} onChange={(_, on) => set(on ? null : [])} />
      {value === null ? null : items.map((c) => (
        <Checkbox key={c.id} id={`rule-channel-${c.id}`} label={c.name} isChecked={has(c)} onChange={(_, on) => set(on ? [...value, c.name] : value.filter((v) => v !== c.id && v !== c.name))} />
      ))}
    </FormGroup>
  );
}

export function RuleDialog({ rule, onClose }: { rule: Rule | null; onClose: () => void }) {
  const { t } = useTranslation("alerts"), toast = useToast(), [draft, setDraft] = useState(() => draftOf(rule)), set = (x: Partial<Draft>) => setDraft({ ...draft, ...x });
  const save = useSend(async () => {
    const { name, kind, ...rest } = draft;
    if (rule === null) return send("post", "/api/v1/alert-rules", { body: { name: name.trim(), kind, ...rest } as never });
    const { etag } = await get("/api/v1/alert-rules/{id}", { path: { id: rule.id } });
    return send("patch", "/api/v1/alert-rules/{id}", { path: { id: rule.id }, body: rest as never, ifMatch: etag });
  });
  const ready = draft.name.trim() !== "" && !save.isPending;
  const go = async () => {
    try { await save.mutateAsync(); } catch { return; } // the dialog shows it
    toast.show({ title: t("saved") });
    onClose();
  };
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="rule-title">
      <ModalHeader title={rule === null ? t("rule_new") : rule.label || rule.name} labelId="rule-title" />
      <ModalBody tabIndex={0}>
        <Form onSubmit={(e) => { e.preventDefault(); if (ready) void go(); }}>
          {rule !== null ? null : (
            <>
              <FormGroup label={t("name")} fieldId="rule-name" isRequired><TextInput id="rule-name" value={draft.name} onChange={(_, v) => set({ name: v })} maxLength={63} isRequired /></FormGroup>
              <FormGroup label={t("kind")} fieldId="rule-kind">
                <FormSelect id="rule-kind" value={draft.kind} onChange={(_, v) => set({ kind: v, parameters: { ...KINDS[v as Kind] } })}>{(Object.keys(KINDS) as Kind[]).map((k) => <FormSelectOption key={k} value={k} label={t(`kind_${k}`)} />)}</FormSelect>
              </FormGroup>
            </>
          )}
          <Parameters draft={draft} set={(parameters) => set({ parameters })} />
          <FormGroup label={t("severity")} fieldId="rule-severity">
            <FormSelect id="rule-severity" value={draft.severity} onChange={(_, v) => set({ severity: v as Rule["severity"] })}>{SEVERITIES.map((s) => <FormSelectOption key={s} value={s} label={t(`severity_${s}`)} />)}</FormSelect>
          </FormGroup>
          {TIMES.map((n) => <FormGroup key={n} label={t(`p_${n}`)} fieldId={`rule-${n}`}><TextInput id={`rule-${n}`} type="number" min={0} max={2592000} value={draft[n]} onChange={(_, v) => set({ [n]: Number(v) })} /></FormGroup>)}
          <Channels value={draft.channels} set={(channels) => set({ channels })} />
        </Form>
        <ErrorBox error={save.error} />
      </ModalBody>
      <ModalFooter>
        <Button isDisabled={!ready} isLoading={save.isPending} onClick={() => void go()}>{t("save", { ns: "common" })}</Button>
        <Button variant="link" onClick={onClose}>{t("cancel", { ns: "common" })}</Button>
      </ModalFooter>
    </Modal>
  );
}
