// What happened on the devices: a search by page, or live as it is stored.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { withQuery } from "../../frame/links";
import { Alert, ApiCalls, Button, type Column, DataTable, DeviceName, Drawer, DrawerActions, DrawerCloseButton, DrawerContent, DrawerContentBody, DrawerHead, DrawerPanelBody, DrawerPanelContent, Empty, ExportMenu, FilterBar, Foreign, Loaded, Page, pageOf, Pager, Status, Switch, Time, Title, useUrlState } from "../../ui";
import { EventFacts } from "./facts";
import { type Event, useLive } from "./live";

const KINDS = ["message.", "message.queued", "message.delivery", "message.rejected", "message.held", "message.bounce", "message.removed", "session", "auth.failed", "warning", "error", "fatal", "panic", "daemon", "device.", "raw", "unreadable", "spool.gap"];
const STREAMS = ["postfix", "agent"];
const LIVE = ["device", "kind", "stream", "queue_id"];
const keyOf = (e: Event) => `${e.device.id}/${e.stream}/${e.seq}`;
const BAD = ["error", "fatal", "panic", "auth.failed", "spool.gap", "unreadable"];

function columnsOf(t: (key: string) => string, pick: (e: Event) => void): Column<Event>[] {
  return [
    { key: "at", label: t("time"), cell: (e) => <Time at={e.at} /> },
    { key: "device", label: t("device"), cell: (e) => <DeviceName device={e.device} /> },
    { key: "kind", label: t("kind"), cell: (e) => <Button variant="link" isInline onClick={() => pick(e)}>{e.kind}</Button> },
    { key: "status", label: t("status"), cell: (e) => (BAD.includes(e.kind) ? <Status tone="bad" text={e.reason ?? e.kind} /> : <>{[e.status, e.reason].filter(Boolean).join(", ")}</>) },
    { key: "text", label: t("words"), wide: true, cell: (e) => <Words of={e} /> },
  ];
}

/** Who to whom, or which client; below it the words of the log. */
function Words({ of: e }: { of: Event }) {
  const who = [e.sender, e.recipient].filter(Boolean).join(" → ") || e.client_name || e.client;
  return <>{who ? <div><Foreign text={who} /></div> : null}{e.text ? <div className="inari-small"><Foreign text={e.text} /></div> : null}</>;
}

function Live({ query, onPick }: { query: Record<string, string>; onPick: (e: Event) => void }) {
  const { t } = useTranslation("events"), [paused, setPaused] = useState(false), { events, link, gap } = useLive(!paused, query);
  return (
    <>
      <p className="inari-live">
        <Status tone={paused ? "neutral" : link === "live" ? "good" : link === "broken" ? "warn" : "busy"} text={t(paused ? "paused" : `link_${link}`)} />{" "}
        <Button variant="secondary" onClick={() => setPaused(!paused)}>{t(paused ? "go_on" : "pause")}</Button>
      </p>
      {gap ? <Alert variant="warning" isInline component="p" title={t("gap")} /> : null}
      <DataTable caption={t("live")} columns={columnsOf(t, onPick)} rows={events} rowKey={keyOf} empty={<Empty title={t("nothing_yet")}>{t("nothing_yet_help")}</Empty>} />
    </>
  );
}

function Search({ query, onPick }: { query: Record<string, string>; onPick: (e: Event) => void }) {
  const { t } = useTranslation("events"), url = useUrlState(), page = pageOf(url), { since: _since, until: _until, ...rest } = query;
  const found = useGet("/api/v1/events", { query: { ...(page.cursor === undefined ? query : rest), ...page } as never });
  return (
    <Loaded of={found}>
      {({ data }) => (
        <>
          {data.partial ? <Alert variant="info" isInline component="p" title={t("partial")} /> : null}
          <DataTable caption={t("title")} columns={columnsOf(t, onPick)} rows={data.items} rowKey={keyOf} empty="filtered" />
          <Pager next={data.next} />
        </>
      )}
    </Loaded>
  );
}

export function EventList() {
  const { t } = useTranslation("events"), url = useUrlState(), [picked, setPicked] = useState<Event | null>(null), live = url.get("live") === "1";
  const query: Record<string, string> = {};
  for (const name of live ? LIVE : [...LIVE, "since", "until"]) if (url.get(name) !== "") query[name] = url.get(name);
  const path = withQuery("/api/v1/events", query);
  const panel = picked === null ? null : (
    <DrawerPanelContent isResizable={false}>
      <DrawerHead><Title headingLevel="h2" size="lg">{picked.kind}</Title><DrawerActions><DrawerCloseButton aria-label={t("close", { ns: "common" })} onClose={() => setPicked(null)} /></DrawerActions></DrawerHead>
      <DrawerPanelBody><EventFacts event={picked} /></DrawerPanelBody>
    </DrawerPanelContent>
  );
  return (
    <Page title={t("title")} actions={<><ExportMenu path={path} name="events" /> <ApiCalls call={live ? { path: withQuery("/api/v1/events/stream", query), inarictl: "inarictl events --follow" } : { path, inarictl: "inarictl events" }} /></>}>
      <FilterBar filters={[
        { kind: "choice", name: "kind", label: t("kind"), options: KINDS.map((k) => ({ value: k, label: k.endsWith(".") ? `${k}*` : k })) },
        { kind: "choice", name: "stream", label: t("stream"), options: STREAMS.map((s) => ({ value: s, label: t(`stream_${s}`) })) },
        { kind: "text", name: "device", label: t("device") }, { kind: "text", name: "queue_id", label: t("queue_id") },
        ...(live ? [] : [{ kind: "time" as const, name: "since", label: t("since") }, { kind: "time" as const, name: "until", label: t("until") }]),
      ]}>
        <Switch id="events-live" label={t("live")} isChecked={live} onChange={(_, on) => url.set({ live: on ? "1" : "" })} />
      </FilterBar>
      <Drawer isExpanded={picked !== null} isInline>
        <DrawerContent panelContent={panel}>
          <DrawerContentBody>{live ? <Live query={query} onPick={setPicked} /> : <Search query={query} onPick={setPicked} />}</DrawerContentBody>
        </DrawerContent>
      </Drawer>
    </Page>
  );
}
