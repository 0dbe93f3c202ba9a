// One rule as a form: the parameters that its kind has, times, severity, channels.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { get, send, useGet, useSend } from "../../api/use";
import { Button, Checkbox, ErrorBox, Form, FormGroup, FormSelect, FormSelectOption, Modal, ModalBody, ModalFooter, ModalHeader, TextInput, useToast } from "../../ui";
import { SEVERITIES } from "./words";

export type Rule = Schemas["AlertRule"];
type Kind = Rule["kind"];
type Words = NonNullable<Rule["parameters"]>;
type Figure = NonNullable<Words["figure"]>;
type Condition = NonNullable<Words["condition"]>;
/** What a new rule of a kind begins with; an existing one has its own.  A kind that the API gets is missed by the compiler here. */
const KINDS: Record<Kind, Record<string, string | number>> = {
  figure: { figure: "queue", over: 1000, clear: -1, window_s: 600, least: 20 },
  "device-late": { late_s: 300 },
  "device-condition": { condition: "Drifted" },
  "device-not-in-sync": {},
  "device-held": {},
  "device-certificate": { days: 21 },
  "device-disk": { hours: 24, window_h: 6 },
  "rollout-halted": {},
  "parent-certificate": { days: 21 },
  "parent-database": { away_s: 30 },
  "parent-fenced": {},
};
/** About no device: for all of the fleet. */
const FLEET_ONLY: readonly string[] = ["rollout-halted", "parent-certificate", "parent-database", "parent-fenced"] satisfies Kind[];
const FIGURES = Object.keys({ queue: 0, oldest_s: 0, deferred_percent: 0, bounced_percent: 0, rejected_percent: 0, dropped: 0, latency_p95_ms: 0, latency_p99_ms: 0 } satisfies Record<Figure, 0>) as Figure[];
const CONDITIONS = Object.keys({
  Drifted: 0, ClockSynced: 0, StorageOk: 0, ServiceRunning: 0, Quarantined: 0, KeyCurrent: 0, ConfigApplied: 0, ParentCertificate: 0, Churning: 0, ChainHealthy: 0, Frozen: 0, Drained: 0, EventsBehind: 0, EventsDropped: 0,
} satisfies Record<Condition, 0>) as Condition[];
const NUMBERS = ["late_s", "days", "hours", "window_h", "away_s", "over", "clear", "window_s", "least"] as const;
const TIMES = { for_s: 2592000, clear_s: 2592000, group_wait_s: 3600, group_interval_s: 86400, repeat_s: 2592000 } as const;
const TIME_NAMES = Object.keys(TIMES) as (keyof typeof TIMES)[];
const SCOPES = ["fleet", "group", "device"] as const;

type Draft = { name: string; kind: Kind; severity: Rule["severity"]; parameters: Record<string, string | number>; channels: string[] | null; scope: (typeof SCOPES)[number]; of: string; trap: string } & Record<keyof typeof TIMES, number>;
function draftOf(rule: Rule | null): Draft {
  if (rule === null) return { name: "", kind: "figure", severity: "warning", parameters: { ...KINDS.figure }, for_s: 300, clear_s: 60, group_wait_s: 20, group_interval_s: 300, repeat_s: 0, channels: null, scope: "fleet", of: "", trap: "" };
  return {
    name: rule.name, kind: rule.kind, severity: rule.severity, parameters: { ...rule.parameters } as Draft["parameters"], for_s: rule.for_s, clear_s: rule.clear_s, group_wait_s: rule.group_wait_s ?? 20, group_interval_s: rule.group_interval_s ?? 300,
    repeat_s: rule.repeat_s ?? 0, channels: rule.channels ?? null, scope: rule.scope.kind, of: rule.scope.name ?? rule.scope.id ?? "", trap: rule.trap === null || rule.trap === undefined ? "" : String(rule.trap),
  };
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
      {choice("figure", FIGURES, (v) => t(`figure_${v as Figure}`))}
      {choice("condition", CONDITIONS, (v) => t(`condition_${v as Condition}`))}
      {NUMBERS.filter((n) => n in p).map((n) => (
        <FormGroup key={n} label={t(`p_${n}`)} fieldId={`rule-${n}`}><TextInput id={`rule-${n}`} type="number" value={p[n]} onChange={(_, v) => set({ ...p, [n]: Number(v) })} /></FormGroup>
      ))}
    </>
  );
}

/** Which devices it looks at: all, those of a group, one. */
function Scope({ draft, set }: { draft: Draft; set: (x: Partial<Draft>) => void }) {
  const { t } = useTranslation("alerts"), groups = useGet("/api/v1/groups", { query: { limit: 500 } }, { enabled: draft.scope === "group" }), devices = useGet("/api/v1/devices", { query: { limit: 50 } }, { enabled: draft.scope === "device" });
  const names = (groups.data?.data.items ?? []).map((g) => g.name);
  return (
    <>
      <FormGroup label={t("scope")} fieldId="rule-scope">
        <FormSelect id="rule-scope" value={draft.scope} onChange={(_, v) => set({ scope: v as Draft["scope"], of: "" })}>{SCOPES.map((s) => <FormSelectOption key={s} value={s} label={t(`scope_${s}`)} />)}</FormSelect>
      </FormGroup>
      {draft.scope === "group" ? (
        <FormGroup label={t("scope_name_group")} fieldId="rule-of" isRequired>
          <FormSelect id="rule-of" value={draft.of} onChange={(_, v) => set({ of: v })}>
            {draft.of === "" || !names.includes(draft.of) ? <FormSelectOption value={draft.of} label={draft.of} /> : null}
            {names.map((n) => <FormSelectOption key={n} value={n} label={n} />)}
          </FormSelect>
        </FormGroup>
      ) : null}
      {draft.scope === "device" ? (
        <FormGroup label={t("device")} fieldId="rule-of" isRequired>
          <TextInput id="rule-of" list="rule-devices" autoComplete="off" spellCheck={false} maxLength={100} isRequired value={draft.of} onChange={(_, v) => set({ of: v })} />
          <datalist id="rule-devices">{(devices.data?.data.items ?? []).map((d) => <option key={d.id} value={d.name} />)}</datalist>
        </FormGroup>
      ) : null}
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
    const { name, kind, scope, of, trap, ...others } = draft;
    const rest = { ...others, scope: scope === "fleet" ? { kind: scope } : { kind: scope, id: of.trim() }, trap: trap.trim() === "" ? null : Number(trap) };
    if (rule === null) return send("post", "/api/v1/alert-rules", { body: { name: name.trim(), kind, ...rest } as never });
    const { etag } = await get("/api/v1/alert-rules/{id}", { path: { id: rule.id } });
    return send("patch", "/api/v1/alert-rules/{id}", { path: { id: rule.id }, body: rest as never, ifMatch: etag });
  });
  const ready = draft.name.trim() !== "" && (draft.scope === "fleet" || draft.of.trim() !== "") && !save.isPending;
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
                <FormSelect id="rule-kind" value={draft.kind} onChange={(_, v) => set({ kind: v as Kind, parameters: { ...KINDS[v as Kind] }, ...(FLEET_ONLY.includes(v) ? { scope: "fleet" as const, of: "" } : {}) })}>{(Object.keys(KINDS) as Kind[]).map((k) => <FormSelectOption key={k} value={k} label={t(`kind_${k}`)} />)}</FormSelect>
              </FormGroup>
            </>
          )}
          <Parameters draft={draft} set={(parameters) => set({ parameters })} />
          {FLEET_ONLY.includes(draft.kind) ? null : <Scope draft={draft} set={set} />}
          <FormGroup label={t("severity")} fieldId="rule-severity">
            <FormSelect id="rule-severity" value={draft.severity} onChange={(_, v) => set({ severity: v as Rule["severity"] })}>{SEVERITIES.map((s) => <FormSelectOption key={s} value={s} label={t(`severity_${s}`)} />)}</FormSelect>
          </FormGroup>
          {TIME_NAMES.map((n) => <FormGroup key={n} label={t(`p_${n}`)} fieldId={`rule-${n}`}><TextInput id={`rule-${n}`} type="number" min={0} max={TIMES[n]} value={draft[n]} onChange={(_, v) => set({ [n]: Number(v) })} /></FormGroup>)}
          <FormGroup label={t("p_trap")} fieldId="rule-trap"><TextInput id="rule-trap" type="number" min={1} max={2147483647} value={draft.trap} onChange={(_, v) => set({ trap: v })} /></FormGroup>
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
