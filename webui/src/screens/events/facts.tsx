// Everything one event says, as names and values; nothing of it is taken for more than text.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { messagesLink } from "../../frame/links";
import { CodeBlock, CodeBlockCode, DeviceName, durationText, Facts, Foreign, numberText, Time, visible } from "../../ui";
import type { Event } from "./live";

const TEXTS = ["sender", "recipient", "client", "client_name", "helo", "subject", "message_id", "orig_queue_id", "next_queue_id", "relay", "dsn", "status", "reason", "text"] as const;

export function EventFacts({ event: e }: { event: Event }) {
  const { t } = useTranslation("events");
  const items = [
    { label: t("time"), value: <Time at={e.at} /> },
    { label: t("received"), value: <Time at={e.received_at} /> },
    { label: t("device"), value: <DeviceName device={e.device} /> },
  ];
  if (e.device_at) items.push({ label: t("device_at"), value: <Time at={e.device_at} /> });
  if (e.queue_id) items.push({ label: t("queue_id"), value: <Link to={messagesLink({ queue_id: e.queue_id, since: new Date(new Date(e.at).getTime() - 86_400_000).toISOString() })}><Foreign text={e.queue_id} /></Link> });
  for (const name of TEXTS) if (e[name] !== undefined && e[name] !== "") items.push({ label: t(`f_${name}`), value: <Foreign text={e[name]} /> });
  if (e.size !== undefined) items.push({ label: t("size"), value: <>{numberText(e.size)}</> });
  if (e.delay_ms !== undefined) items.push({ label: t("delay"), value: <>{durationText(e.delay_ms / 1000)}</> });
  return (
    <>
      <Facts items={items} />
      {e.detail === undefined || Object.keys(e.detail).length === 0 ? null : <CodeBlock><CodeBlockCode>{visible(JSON.stringify(e.detail, null, 1))}</CodeBlockCode></CodeBlock>}
    </>
  );
}
