// What happened to a device and on it: rollouts, orders, who changed what about it, and its own events.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { AreaLink } from "../../frame/arealink";
import { commandsLink, eventsLink, revisionLink, rolloutLink, withQuery } from "../../frame/links";
import { useSession } from "../../frame/session";
import { Alert, type Column, DataTable, Foreign, Loaded, Stack, StackItem, Status, Time, Title } from "../../ui";
import { CommandTable } from "../commands/list";
import "../rollouts/texts";
import { deviceTone, rolloutTone } from "../rollouts/words";
import type { TabProps } from "./detail";

type Event = Schemas["Event"];
const SHOWN = 20;

function Events({ device }: { device: TabProps["device"] }) {
  const { t } = useTranslation("devices"), events = useGet("/api/v1/events", { query: { device: device.name, kind: "device.", limit: SHOWN } }, { every: 15000 });
  const columns: Column<Event>[] = [
    { key: "at", label: t("at"), cell: (e) => <Time at={e.at} /> },
    { key: "kind", label: t("event"), cell: (e) => <code><Foreign text={e.kind} /></code> },
    { key: "text", label: t("said"), wide: true, cell: (e) => { const x = e as { status?: string; reason?: string; text?: string }; return <><Foreign text={x.status} /> <Foreign text={x.reason} /> <Foreign text={x.text} /></>; } },
  ];
  return (
    <Loaded of={events}>
      {({ data }) => (
        <>
          <DataTable caption={t("device_events")} columns={columns} rows={data.items} rowKey={(e) => `${e.stream}/${e.seq}/${e.received_at}`} empty={<p>{t("no_events")}</p>} />
          <p className="inari-block"><AreaLink to={eventsLink({ device: device.name, kind: "device." })}>{t("all_events")}</AreaLink></p>
        </>
      )}
    </Loaded>
  );
}

type Rollout = Schemas["Rollout"];
function Rollouts({ device }: { device: TabProps["device"] }) {
  const { t } = useTranslation("devices"), { t: rollout } = useTranslation("rollouts"), rollouts = useGet("/api/v1/rollouts", { query: { device: device.id, limit: SHOWN } }, { every: 5000 });
  const columns: Column<Rollout>[] = [
    { key: "pub", label: rollout("rollout_of"), cell: (r) => <AreaLink to={revisionLink(r.pub)}>{r.pub}</AreaLink> },
    { key: "here", label: t("in_rollout"), cell: (r) => (r.device_state ? <Status tone={deviceTone[r.device_state] ?? "neutral"} text={rollout(`device_${r.device_state}`)} /> : "") },
    { key: "state", label: t("rollout"), cell: (r) => <AreaLink to={rolloutLink(r.id)}><Status tone={rolloutTone[r.state] ?? "neutral"} text={rollout(`state_${r.state}`)} /></AreaLink> },
    { key: "author", label: rollout("author"), wide: true, cell: (r) => <Foreign text={r.author} /> },
    { key: "at", label: t("at"), cell: (r) => <Time at={r.created_at} /> },
  ];
  return <Loaded of={rollouts}>{({ data }) => <DataTable caption={rollout("title")} columns={columns} rows={data.items} rowKey={(r) => r.id} empty={<p>{t("no_rollouts")}</p>} />}</Loaded>;
}

type Entry = Schemas["AuditEntry"];
function Changes({ device }: { device: TabProps["device"] }) {
  const { t } = useTranslation("devices"), object = `device/${device.id}`, log = useGet("/api/v1/audit", { query: { object, limit: SHOWN } }, { every: 15000 });
  const columns: Column<Entry>[] = [
    { key: "at", label: t("at"), cell: (e) => <Time at={e.at} /> },
    { key: "actor", label: t("done_by"), cell: (e) => <Foreign text={e.actor} /> },
    { key: "action", label: t("did"), cell: (e) => <code><Foreign text={e.action} /></code> },
    { key: "reason", label: t("why"), wide: true, cell: (e) => <Foreign text={String((e.detail as { reason?: unknown } | undefined)?.reason ?? "")} /> },
  ];
  return (
    <Loaded of={log}>
      {({ data }) => (
        <>
          <DataTable caption={t("device_audit")} columns={columns} rows={data.items} rowKey={(e) => String(e.seq)} empty={<p>{t("no_changes")}</p>} />
          <p className="inari-block"><AreaLink to={withQuery("/audit", { object })}>{t("all_changes")}</AreaLink></p>
        </>
      )}
    </Loaded>
  );
}

export function HistoryTab({ device }: TabProps) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), { may } = useSession();
  const commands = useGet("/api/v1/commands", { query: { device: device.name, limit: SHOWN } }, { every: 5000 });
  return (
    <Stack hasGutter>
      <StackItem>
        <Title headingLevel="h2">{t("rollouts:title")}</Title>
        <Rollouts device={device} />
      </StackItem>
      <StackItem>
        <Title headingLevel="h2">{t("orders")}</Title>
        <Loaded of={commands}>{({ data }) => <><CommandTable items={data.items} device={false} empty={<p>{t("no_orders")}</p>} /><p className="inari-block"><Link to={commandsLink({ device: device.name })}>{t("all_commands")}</Link></p></>}</Loaded>
      </StackItem>
      <StackItem>
        <Title headingLevel="h2">{t("device_audit")}</Title>
        {may("audit:read") ? <Changes device={device} /> : <Alert isInline variant="info" component="p" title={common("forbidden")}>{common("forbidden_help", { permission: "audit:read" })}</Alert>}
      </StackItem>
      <StackItem>
        <Title headingLevel="h2">{t("device_events")}</Title>
        {may("events:read") ? <Events device={device} /> : <Alert isInline variant="info" component="p" title={common("forbidden")}>{common("forbidden_help", { permission: "events:read" })}</Alert>}
      </StackItem>
    </Stack>
  );
}
