// What happened to a device and on it: orders, and its own events.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { AreaLink } from "../../frame/arealink";
import { commandsLink, eventsLink } from "../../frame/links";
import { useSession } from "../../frame/session";
import { Alert, type Column, DataTable, Foreign, Loaded, Stack, StackItem, Time, Title } from "../../ui";
import { CommandTable } from "../commands/list";
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

export function HistoryTab({ device }: TabProps) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), { may } = useSession();
  const commands = useGet("/api/v1/commands", { query: { device: device.name, limit: SHOWN } }, { every: 5000 });
  return (
    <Stack hasGutter>
      <StackItem>
        <Title headingLevel="h2">{t("orders")}</Title>
        <Loaded of={commands}>{({ data }) => <><CommandTable items={data.items} device={false} empty={<p>{t("no_orders")}</p>} /><p className="inari-block"><Link to={commandsLink({ device: device.name })}>{t("all_commands")}</Link></p></>}</Loaded>
      </StackItem>
      <StackItem>
        <Title headingLevel="h2">{t("device_events")}</Title>
        {may("events:read") ? <Events device={device} /> : <Alert isInline variant="info" component="p" title={common("forbidden")}>{common("forbidden_help", { permission: "events:read" })}</Alert>}
      </StackItem>
    </Stack>
  );
}
