// One message: where it stands and why, its recipients, and everything that happened to it over all devices, in order.
import { Link, useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { AreaLink } from "../../frame/arealink";
import { eventsLink, messageLink, messagesLink, queueLink, revisionLink } from "../../frame/links";
import { Alert, ApiCalls, type Column, DataTable, DeviceName, DeviceNames, durationText, Facts, Foreign, Loaded, numberText, Page, Status, Time, Title, visible } from "../../ui";
import { Sender } from "./list";
import { reasonText, statusTone, whyText } from "./words";

type Message = Schemas["Message"];
type Event = Schemas["MessageEvent"];
type Recipient = Message["recipients"][number];
const REFRESH_MS = 15_000;
const STUCK = ["deferred", "bounced", "expired", "rejected", "held"] as const;

/** Why it did not go on, in plain words, whose words those are, and what to do next. */
function Why({ message: m }: { message: Message }) {
  const { t } = useTranslation("messages");
  const status = STUCK.find((x) => x === m.status);
  if (status === undefined) return null;
  const bad = m.recipients.find((r) => r.state === status), device = bad?.device ?? m.devices.at(-1);
  const reason = bad?.reason ?? m.reason, words = bad?.text ?? m.text, held = status === "held";
  const { means, next } = held ? { means: t("why_held"), next: t("next_held") } : whyText(t, status, reason);
  return (
    <Alert variant={status === "rejected" ? "info" : status === "deferred" || held ? "warning" : "danger"} isInline component="h2"
      title={held || reason === null ? t(`stands_${status}`) : t("stands_why", { stands: t(`stands_${status}`), reason: reasonText(t, reason) })}
      actionLinks={device?.name && status !== "rejected" ? <Link to={queueLink(device.name)}>{t("to_queue", { device: device.name })}</Link> : null}>
      <p>{means}</p>
      {words ? <p>{bad?.relay && bad.relay !== "none" ? t("said_by", { relay: visible(bad.relay) }) : t("said")} <q><Foreign text={words} /></q></p> : null}
      <p><strong>{t("common:what_to_do")}</strong> {next}</p>
    </Alert>
  );
}

function Recipients({ message: m }: { message: Message }) {
  const { t } = useTranslation("messages");
  const columns: Column<Recipient>[] = [
    { key: "address", label: t("recipient"), wide: true, cell: (r) => <Foreign text={r.address} /> },
    { key: "state", label: t("status"), cell: (r) => <Status tone={statusTone[r.state]} text={t(`status_${r.state}`)} /> },
    { key: "reason", label: t("reason"), cell: (r) => (r.reason === null ? "" : reasonText(t, r.reason)) },
    { key: "attempts", label: t("attempts"), number: true, cell: (r) => numberText(r.attempts) },
    { key: "relay", label: t("relay"), wide: true, cell: (r) => (r.relay === "none" ? t("common:none") : <Foreign text={r.relay} />) },
    { key: "at", label: t("last"), cell: (r) => <Time at={r.at} /> },
  ];
  return <DataTable caption={t("recipients")} columns={columns} rows={m.recipients} rowKey={(r) => r.address} />;
}

/** The revision that the device ran at that moment, and who made it. */
function Ran({ ran }: { ran: Event["ran"] }) {
  const { t } = useTranslation("messages");
  if (ran === null) return null;
  return (
    <span title={ran.reason === null ? "" : visible(ran.reason)}>
      <AreaLink to={revisionLink(ran.pub)}>{t("revision", { pub: ran.pub })}</AreaLink>
      {ran.author === null ? null : <> {t("by")} <Foreign text={ran.author} /></>}
    </span>
  );
}

function Step({ event: e }: { event: Event }) {
  const { t } = useTranslation("messages"), more: [string, string][] = [];
  if (e.text) more.push([t("words"), e.text]);
  if (e.relay && e.relay !== "none") more.push([t("relay"), e.relay]);
  if (e.dsn) more.push(["DSN", e.dsn]);
  if (e.helo) more.push(["HELO", e.helo]);
  return (
    <li className="inari-step">
      <div className="inari-small"><Time at={e.at} /> · <DeviceName device={e.device} />{e.ran === null ? null : <> · <Ran ran={e.ran} /></>}</div>
      <div>{e.reason ? <Status tone={e.status === "deferred" ? "warn" : e.status === "rejected" ? "neutral" : "bad"} text={reasonText(t, e.reason)} /> : null} <Foreign text={e.sentence} /></div>
      {more.length === 0 ? null : <dl className="inari-words">{more.map(([k, v]) => <div key={k}><dt>{k}</dt><dd><Foreign text={v} /></dd></div>)}</dl>}
    </li>
  );
}

function About({ message: m }: { message: Message }) {
  const { t } = useTranslation("messages");
  const items = [
    { label: t("status"), value: <Status tone={statusTone[m.status]} text={t(`status_${m.status}`)} /> },
    { label: t("sender"), value: m.sender ? <Link to={messagesLink({ sender: m.sender })}><Foreign text={m.sender} /></Link> : <Sender text={m.sender} /> },
    { label: t("client"), value: m.client === null ? t("common:unknown") : <><Link to={messagesLink({ client: m.client })}><Foreign text={m.client} /></Link>{m.client_name ? <> (<Foreign text={m.client_name} />)</> : null}</> },
    { label: t("came"), value: <Time at={m.at} /> },
    { label: t("devices"), value: <DeviceNames devices={m.devices} /> },
  ];
  if (m.delay_ms !== null) items.push({ label: t("delay"), value: <>{durationText(m.delay_ms / 1000)}</> });
  if (m.size !== null) items.push({ label: t("size"), value: <>{t("bytes", { n: numberText(m.size) })}</> });
  if (m.message_id) items.push({ label: "Message-ID", value: <Foreign text={m.message_id} /> });
  if (m.queue_id) items.push({ label: t("f_queue_id"), value: <AreaLink to={eventsLink({ queue_id: m.queue_id, since: m.at })}><Foreign text={m.queue_id} /></AreaLink> });
  return <Facts items={items} />;
}

export function MessageView() {
  const { t } = useTranslation("messages"), { id = "" } = useParams();
  const message = useGet("/api/v1/messages/{id}", { path: { id } }, { every: REFRESH_MS });
  const subject = message.data?.data.subject;
  return (
    <Page title={subject ? visible(subject) : t("no_subject")} crumbs={[{ to: "/messages", text: t("title") }]}
      actions={<ApiCalls call={{ path: `/api/v1/messages/${encodeURIComponent(id)}`, inarictl: `inarictl trace ${id}` }} />}>
      <Loaded of={message}>
        {({ data: m }) => (
          <>
            <Why message={m} />
            <section className="inari-block"><About message={m} /></section>
            <section className="inari-block"><Title headingLevel="h2" size="lg">{t("recipients")}</Title><Recipients message={m} /></section>
            <section className="inari-block">
              <Title headingLevel="h2" size="lg">{t("timeline")}</Title>
              {m.cut ? <Alert variant="info" isInline component="p" title={t("cut")} /> : null}
              <ol className="inari-steps">{m.events.map((e) => <Step key={`${e.device.id}/${e.stream}/${e.seq}`} event={e} />)}</ol>
            </section>
            {m.same_message_id.length === 0 ? null : (
              <section className="inari-block">
                <Title headingLevel="h2" size="lg">{t("same")}</Title>
                <ul>{m.same_message_id.map((x) => <li key={x.id}><Link to={messageLink(x.id)}><Time at={x.at} /></Link> <DeviceName device={x.device} /></li>)}</ul>
              </section>
            )}
          </>
        )}
      </Loaded>
    </Page>
  );
}
