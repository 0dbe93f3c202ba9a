// Search for messages over all devices: the filters are in the URL, a page at a time comes from the parent.
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { messageLink, withQuery } from "../../frame/links";
import { Alert, ApiCalls, Button, type Column, DataTable, DeviceNames, Empty, ExpandableSection, ExportMenu, type Filter, FilterBar, Foreign, Loaded, numberText, Page, pageOf, Pager, Status, Time, useUrlState } from "../../ui";
import { REASONS, reasonText, STATUSES, statusTone } from "./words";

type Summary = Schemas["MessageSummary"];
const RANGES: Record<string, number> = { "1h": 3600, "6h": 21600, "7d": 604800, "30d": 2592000, "90d": 7776000 };
const TEXTS = ["sender", "recipient", "subject", "client", "message_id", "queue_id", "device"] as const;
const MORE = ["client", "message_id", "queue_id", "reason", "device", "since", "until"];

/** The filters of the URL as the API has them. "range" counts back from now, to the minute so that a look again asks the same. */
export function searchOf(url: { get: (name: string) => string }): Record<string, string> {
  const q: Record<string, string> = {};
  for (const name of [...TEXTS, "status", "reason", "since", "until"]) if (url.get(name) !== "") q[name] = url.get(name);
  const back = RANGES[url.get("range")];
  if (back !== undefined && q["since"] === undefined) q["since"] = new Date(Math.floor(Date.now() / 60000) * 60000 - back * 1000).toISOString();
  return q;
}
const inarictl = (q: Record<string, string>) => ["inarictl messages", ...Object.entries(q).map(([k, v]) => `--${k.replace("_", "-")} '${v.replaceAll("'", `'\\''`)}'`)].join(" ");

export function Recipients({ of: m }: { of: Pick<Summary, "recipients" | "recipient_count"> }) {
  const { t } = useTranslation("messages"), first = m.recipients[0];
  return <>{first === undefined ? t("common:unknown") : <Foreign text={first} />}{m.recipient_count > 1 ? ` ${t("and_more", { count: m.recipient_count - 1 })}` : ""}</>;
}
export function Sender({ text }: { text: string | null }) {
  const { t } = useTranslation("messages");
  return text === null ? <>{t("common:unknown")}</> : text === "" ? <>{t("notice_sender")}</> : <Foreign text={text} />;
}

function Filters() {
  const { t } = useTranslation("messages"), url = useUrlState(), [open, setOpen] = useState(MORE.some((x) => url.get(x) !== ""));
  const text = (name: string): Filter => ({ kind: "text", name, label: t(`f_${name}`) });
  return (
    <search>
      <FilterBar filters={[text("sender"), text("recipient"), text("subject"),
        { kind: "choice", name: "status", label: t("status"), options: STATUSES.map((s) => ({ value: s, label: t(`status_${s}`) })) },
        { kind: "choice", name: "range", label: t("range"), all: t("range_24h"), options: Object.keys(RANGES).map((r) => ({ value: r, label: t(`range_${r}`) })) }]} />
      <ExpandableSection isExpanded={open} onToggle={(_, on) => setOpen(on)} toggleText={t("more_filters")}>
        <FilterBar filters={[text("client"), text("message_id"), text("queue_id"), text("device"),
          { kind: "choice", name: "reason", label: t("reason"), options: REASONS.map((r) => ({ value: r, label: reasonText(t, r) })) },
          { kind: "time", name: "since", label: t("since") }, { kind: "time", name: "until", label: t("until") }]} />
      </ExpandableSection>
    </search>
  );
}

function Count({ count }: { count: Schemas["MessageList"]["count"] }) {
  const { t } = useTranslation("messages");
  if (!count) return null;
  if (count.exact !== undefined) return <>{t("count_exact", { count: count.exact, n: numberText(count.exact) })}</>;
  if (count.more_than !== undefined) return <>{t("count_more", { n: numberText(count.more_than) })}</>;
  return count.at_most === undefined ? null : <>{t("count_most", { n: numberText(count.at_most) })}</>;
}

export function MessageList() {
  const { t } = useTranslation("messages"), url = useUrlState(), search = searchOf(url), page = pageOf(url);
  const { since: _since, until: _until, ...rest } = search; // a cursor carries the window of the first page
  const found = useGet("/api/v1/messages", { query: { ...(page.cursor === undefined ? search : rest), ...page } as never });
  const columns = useMemo((): Column<Summary>[] => [
    { key: "at", label: t("time"), cell: (m) => <Time at={m.at} /> },
    { key: "status", label: t("status"), cell: (m) => <Status tone={statusTone[m.status]} text={t(`status_${m.status}`)} /> },
    { key: "sender", label: t("sender"), wide: true, cell: (m) => <Sender text={m.sender} /> },
    { key: "recipients", label: t("recipients"), wide: true, cell: (m) => <Recipients of={m} /> },
    { key: "subject", label: t("subject"), wide: true, cell: (m) => (
      <>
        <Link to={messageLink(m.id)}>{m.subject ? <Foreign text={m.subject} /> : t("no_subject")}</Link>
        {m.reason && m.status !== "delivered" ? <div className="inari-small">{reasonText(t, m.reason)}</div> : null}
      </>
    ) },
    { key: "devices", label: t("device"), cell: (m) => <DeviceNames devices={m.devices} /> },
  ], [t]);
  const path = withQuery("/api/v1/messages", search);
  const none = <Empty title={t("nothing")}>{t("nothing_help")}</Empty>;
  return (
    <Page title={t("title")} actions={<><ExportMenu path={path} name="messages" /> <ApiCalls call={{ path, inarictl: inarictl(search) }} /></>}>
      <Filters />
      <Loaded of={found}>
        {({ data }) => (
          <>
            {data.partial ? (
              <Alert variant="info" isInline component="p" title={t("partial")}
                actionLinks={data.next ? <Button variant="link" isInline onClick={() => url.set({ cursor: data.next ?? "" }, { push: true })}>{t("search_on")}</Button> : null} />
            ) : null}
            <p className="inari-small">{t("window")} <Time at={data.since} /> – <Time at={data.until} /></p>
            <DataTable caption={t("title")} columns={columns} rows={data.items} rowKey={(m) => m.id} empty={data.partial ? <></> : none} />
            <Pager next={data.next} note={<Count count={data.count} />} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
