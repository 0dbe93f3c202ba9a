// After a restore, or when a device knows more than this parent: which, what was lost, and the decision.
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import {
  Alert, ApiCalls, Button, Checkbox, type Column, ConfirmDialog, DataTable, Facts, Flex, FlexItem, Foreign, FormDialog, FormGroup, Loaded, numberText, Status, TextInput, Time, Title, useToast,
} from "../../ui";

type State = Schemas["Recovery"];
type Lost = { device: string; key: string; here: unknown; there: unknown };
const REFRESH_MS = 5000;
const shown = (v: unknown) => (v === undefined || v === null ? "–" : typeof v === "string" ? v : JSON.stringify(v));

function Continue({ state, keep, onClose }: { state: State; keep: boolean; onClose: () => void }) {
  const { t } = useTranslation("parent"), toast = useToast(), [sure, setSure] = useState(false);
  const go = useSend(async (reason: string) => {
    await send("post", "/api/v1/recovery/continue", { body: { reason, keep } });
    toast.show({ title: t("continued") });
  });
  return (
    <ConfirmDialog title={t(keep ? "continue_keep" : "continue_here")} verb={t(keep ? "continue_keep" : "continue_here")} danger typed={String(state.ahead.length)} reason="required" disabled={!sure} onConfirm={(r) => go.mutateAsync(r)} onClose={onClose}>
      <p>{t(keep ? "continue_keep_help" : "continue_here_help")}</p>
      <p>{t("ahead_count", { count: state.ahead.length })}</p>
      <Checkbox id="recovery-sure" label={t("lost_seen")} isChecked={sure} onChange={(_, on) => setSure(on)} />
    </ConfirmDialog>
  );
}

function Adopt({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation("parent"), toast = useToast(), go = useNavigate(), [title, setTitle] = useState(t("adopt_title"));
  const make = useSend(async () => {
    await send("post", "/api/v1/recovery/adopt", { body: { title } });
    toast.show({ title: t("adopted"), action: { text: t("to_changes"), run: () => { void go("/changes"); } } });
  });
  return (
    <FormDialog title={t("adopt")} help={t("adopt_help")} verb={t("adopt_verb")} ready={title.trim() !== ""} onSend={() => make.mutateAsync()} onClose={onClose}>
      <FormGroup label={t("draft_name")} fieldId="adopt-title" isRequired><TextInput id="adopt-title" maxLength={200} isRequired value={title} onChange={(_, v) => setTitle(v)} /></FormGroup>
    </FormDialog>
  );
}

function LostValues() {
  const { t } = useTranslation("parent"), lost = useGet("/api/v1/recovery/lost");
  const columns: Column<Lost>[] = [
    { key: "device", label: t("device"), cell: (x) => <Foreign text={x.device} /> },
    { key: "key", label: t("setting"), cell: (x) => <Foreign text={x.key} /> },
    { key: "here", label: t("value_here"), wide: true, cell: (x) => <Foreign text={shown(x.here)} /> },
    { key: "there", label: t("value_there"), wide: true, cell: (x) => <Foreign text={shown(x.there)} /> },
  ];
  return (
    <Loaded of={lost}>
      {({ data }) => {
        const rows = data.items.flatMap((d) => d.settings.map((s) => ({ device: d.name, key: s.key, here: s.here, there: s.device })));
        return <DataTable caption={t("lost")} columns={columns} rows={rows} rowKey={(x) => `${x.device}/${x.key}`} empty={<p>{t("nothing_lost")}</p>} />;
      }}
    </Loaded>
  );
}

export function Recovery() {
  const { t, i18n } = useTranslation("parent"), { may } = useSession(), state = useGet("/api/v1/recovery", {}, { every: REFRESH_MS });
  const [doing, setDoing] = useState<"here" | "keep" | "adopt" | null>(null), close = () => setDoing(null);
  const columns: Column<State["ahead"][number]>[] = [
    { key: "name", label: t("device"), cell: (d) => <Link to={`/devices/${encodeURIComponent(d.id)}`}><Foreign text={d.name} /></Link> },
    { key: "epoch", label: t("epoch"), number: true, cell: (d) => numberText(d.epoch) },
    { key: "rev", label: t("verified"), number: true, cell: (d) => numberText(d.rev) },
    { key: "offered", label: t("offered"), number: true, cell: (d) => numberText(d.offered) },
  ];
  return (
    <Loaded of={state}>
      {({ data: r }) => (
        <>
          <Facts items={[
            { label: t("state"), value: r.fenced ? <Status tone="bad" text={t("state_fenced")} /> : <Status tone="good" text={t("state_open")} /> },
            ...(r.fenced ? [{ label: t("common:reason"), value: i18n.exists(`parent:fence_${r.reason}`) ? t(`fence_${r.reason}`) : <Foreign text={r.reason} /> }, { label: t("since"), value: <Time at={r.since} /> }] : []),
            ...(r.backup_of ? [{ label: t("backup_of"), value: <Time at={r.backup_of} /> }] : []),
            ...(r.notice ? [{ label: t("notice"), value: <Time at={r.notice} /> }] : []),
            { label: t("epoch"), value: numberText(r.epoch) },
            { label: t("given_out"), value: numberText(r.rev) },
            { label: t("highest"), value: numberText(r.highest) },
          ]} />
          {!r.fenced ? <p>{t("open_help")}</p> : (
            <>
              <Alert variant="danger" isInline component="p" title={t("fenced")}>{t("fenced_help")}</Alert>
              <Title headingLevel="h2">{t("ahead")}</Title>
              <DataTable caption={t("ahead")} columns={columns} rows={r.ahead} rowKey={(d) => d.id} empty={<p>{t("none_ahead")}</p>} />
              <Title headingLevel="h2">{t("lost")}</Title>
              {may("settings:read") ? <LostValues /> : <p>{t("common:forbidden_help", { permission: "settings:read" })}</p>}
              <Title headingLevel="h2">{t("decision")}</Title>
              {may("admin") ? null : <p>{t("common:forbidden_help", { permission: "admin" })}</p>}
              <Flex>
                <FlexItem><Button isDisabled={!may("settings:write")} onClick={() => setDoing("adopt")}>{t("adopt")}</Button></FlexItem>
                <FlexItem><Button variant="secondary" isDisabled={!may("admin")} onClick={() => setDoing("keep")}>{t("continue_keep")}</Button></FlexItem>
                <FlexItem><Button variant="danger" isDisabled={!may("admin")} onClick={() => setDoing("here")}>{t("continue_here")}</Button></FlexItem>
              </Flex>
            </>
          )}
          {doing === "adopt" ? <Adopt onClose={close} /> : doing !== null ? <Continue state={r} keep={doing === "keep"} onClose={close} /> : null}
          <ApiCalls call={{ path: "/api/v1/recovery", inarictl: "inarictl recovery" }} />
        </>
      )}
    </Loaded>
  );
}
