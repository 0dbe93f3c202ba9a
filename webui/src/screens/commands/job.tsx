// One order as a job: how far it is, how it ended, what it printed; it survives a reload since its id is in the address.
import { useEffect, useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { send, useGet, useSend } from "../../api/use";
import { commandLink } from "../../frame/links";
import { useSession } from "../../frame/session";
import { Alert, Button, CodeBlock, CodeBlockCode, ErrorBox, Facts, Flex, FlexItem, Foreign, Loaded, numberText, ProgressStep, ProgressStepper, Status, Time, useToast } from "../../ui";
import { useOutput } from "./output";
import { type Command, commandTone, hasEnded } from "./words";

const LOOK_MS = 700;
const SHOWN_BYTES = 256 * 1024;

/** One order, looked at until it has ended. */
export function useCommand(id: string) {
  const [over, setOver] = useState(false);
  const q = useGet("/api/v1/commands/{id}", { path: { id } }, { every: over ? 0 : LOOK_MS, enabled: id !== "" });
  const mine = q.data?.data.id === id ? q.data.data : undefined, ended = hasEnded(mine?.state);
  useEffect(() => setOver(ended), [ended]);
  return { query: q, command: mine };
}

function Steps({ command: c }: { command: Command }) {
  const { t } = useTranslation("commands"), failed = hasEnded(c.state) && c.state !== "done";
  const step = (key: string, at: string | null, now: boolean) => (
    <ProgressStep key={key} id={`${c.id}-${key}`} titleId={`${c.id}-${key}-title`} aria-label={t(`step_${key}`)} variant={at === null ? (now ? "info" : "pending") : key === "ended" && failed ? "danger" : "success"} isCurrent={now}
      description={<Time at={at} />}>{t(`step_${key}`)}</ProgressStep>
  );
  return (
    <ProgressStepper isCompact={false} aria-label={t("progress")}>
      {step("given", c.created_at, c.state === "queued")}
      {step("delivered", c.delivered_at, c.state === "delivered")}
      {step("started", c.started_at, c.state === "running")}
      {step("ended", c.ended_at, false)}
    </ProgressStepper>
  );
}

interface Check { name: string; ok: boolean; message: string }
function Checks({ checks }: { checks: Check[] }) {
  const { t, i18n } = useTranslation("commands");
  return (
    <Facts items={checks.map((c) => ({
      label: i18n.exists(`commands:check_${c.name}`) ? t(`check_${c.name}`) : c.name,
      value: <><Status tone={c.ok ? "good" : "bad"} text={t(c.ok ? "check_ok" : "check_bad")} /> <Foreign text={c.message} /></>,
    }))} />
  );
}

/** What an order gave: known members by their names, counts with the numbers of the language. */
export function Result({ command: c }: { command: Command }) {
  const { t, i18n } = useTranslation("commands"), r = (c.result ?? {}) as Record<string, unknown>;
  if (Array.isArray(r.checks)) return <Checks checks={r.checks as Check[]} />;
  const one = (v: unknown): string => (typeof v === "number" ? numberText(v) : typeof v === "string" ? v : Array.isArray(v) ? v.map(one).join(", ") : JSON.stringify(v));
  const items = Object.entries(r).flatMap(([k, v]) => (k === "queue" || k === "queues") && typeof v === "object" && v !== null
    ? Object.entries(v).map(([q, n]) => [`queue_${q}`, n] as const) : [[k, v] as const]).filter(([, v]) => v !== "" && v !== null);
  if (items.length === 0) return null;
  return <Facts items={items.map(([k, v]) => ({ label: i18n.exists(`commands:result_${k}`) ? t(`result_${k}`) : k, value: <Foreign text={typeof v === "boolean" ? t(v ? "yes" : "no", { ns: "common" }) : one(v)} /> }))} />;
}

function Printed({ command }: { command: Command }) {
  const { t } = useTranslation("commands"), { t: common } = useTranslation(), { may } = useSession(), [all, setAll] = useState(false);
  const allowed = may("command"), out = useOutput(command, all ? Number.MAX_SAFE_INTEGER : SHOWN_BYTES, allowed);
  if (command.output_bytes === 0 || command.kind === "debug-bundle") return null;
  if (!allowed) return <p>{t("output_forbidden")} {common("forbidden_help", { permission: "command" })}</p>;
  return (
    <>
      <h3>{t("output")}</h3>
      <ErrorBox error={out.error} />
      <CodeBlock><CodeBlockCode><Foreign text={out.text} /></CodeBlockCode></CodeBlock>
      {out.more && !all ? <Button variant="link" onClick={() => setAll(true)}>{t("output_all", { bytes: numberText(command.output_bytes) })}</Button> : null}
    </>
  );
}

function Ended({ command: c }: { command: Command }) {
  const p = c.problem as { title?: string; detail?: string; remedy?: string } | null;
  const { t } = useTranslation("commands");
  if (p === null) return null;
  return <Alert isInline variant="danger" component="p" title={<Foreign text={p.title ?? t("state_failed")} />}><pre className="inari-said"><Foreign text={p.detail} /></pre><p><Foreign text={p.remedy} /></p></Alert>;
}

export function JobView({ id, printed = true, link = true }: { id: string; printed?: boolean; link?: boolean }) {
  const { t } = useTranslation("commands"), { may } = useSession(), toast = useToast(), { query } = useCommand(id);
  const cancel = useSend(() => send("post", "/api/v1/commands/{id}/cancel", { path: { id }, body: {} }));
  const stop = () => cancel.mutateAsync().then(() => toast.show({ title: t("cancelled") }), toast.fail);
  return (
    <Loaded of={query}>
      {({ data: c }) => (
        <section aria-label={t("progress")} className="inari-job">
          <Flex spaceItems={{ default: "spaceItemsSm" }} alignItems={{ default: "alignItemsCenter" }}>
            <FlexItem>{link ? <Link to={commandLink(c.id)}>{t(`kind_${c.kind}`)}</Link> : t(`kind_${c.kind}`)}</FlexItem>
            <FlexItem role="status"><Status tone={commandTone[c.state] ?? "neutral"} text={t(`state_${c.state}`)} /></FlexItem>
            {c.state === "queued" && may("command") ? <FlexItem><Button variant="secondary" size="sm" onClick={() => void stop()}>{t("cancel")}</Button></FlexItem> : null}
          </Flex>
          <Steps command={c} />
          {c.state === "queued" ? <p>{t("queued_help")} <Time at={c.expires_at} /></p> : null}
          <Ended command={c} />
          <Result command={c} />
          {printed ? <Printed command={c} /> : null}
        </section>
      )}
    </Loaded>
  );
}
