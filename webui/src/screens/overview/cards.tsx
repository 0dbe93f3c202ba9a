// The cards below the mail flow.
import type { ReactNode } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { AreaLink } from "../../frame/arealink";
import { messagesLink, rolloutLink, withQuery } from "../../frame/links";
import { Card, CardBody, CardTitle, durationText, Foreign, Loaded, numberText, Status, Time, type Tone } from "../../ui";
import { byReason, type Range, useAlerts, useParent, useRollouts, type Values } from "./data";

type Points = Schemas["FigurePoint"][];
interface Line { key: string; text: string; n: number; to: string }

function Box({ title, children }: { title: string; children: ReactNode }) {
  return <Card isFullHeight><CardTitle component="h2">{title}</CardTitle><CardBody>{children}</CardBody></Card>;
}
/** Words with their numbers; the bar shows the share of the greatest. */
function Tally({ lines, none }: { lines: Line[]; none: string }) {
  const most = Math.max(1, ...lines.map((l) => l.n));
  if (lines.length === 0) return <p className="inari-small">{none}</p>;
  return (
    <ul className="inari-tally">
      {lines.map((l) => (
        <li key={l.key}>
          <Link to={l.to}><span>{l.text}</span><span className="inari-number">{numberText(l.n)}</span></Link>
          <div className="inari-bar" style={{ inlineSize: `${(100 * l.n) / most}%` }} aria-hidden="true" />
        </li>
      ))}
    </ul>
  );
}

const REFUSED = ["temporary", "relay", "recipient", "sender", "client", "helo", "size", "content", "other"];
export function Refusals({ points, range }: { points: Points; range: Range }) {
  const { t } = useTranslation("overview");
  const lines = byReason(points, "rejected").map(([r, n]) => ({ key: r, text: t(REFUSED.includes(r) ? `refused_${r}` : "refused_other"), n, to: messagesLink({ range, status: "rejected", reason: r }) }));
  return <Box title={t("refusals")}><Tally lines={lines} none={t("no_refusals")} /></Box>;
}

const DEFERRED = ["connect", "timeout", "dns", "tls", "greylisted", "quota", "user-unknown", "policy", "size", "content", "other"];
export function Deferrals({ points, range }: { points: Points; range: Range }) {
  const { t } = useTranslation("overview");
  const lines = byReason(points, "deferred_why").map(([r, n]) => ({ key: r, text: t(DEFERRED.includes(r) ? `why_${r}` : "why_other"), n, to: messagesLink({ range, reason: r }) }));
  return <Box title={t("deferrals")}><Tally lines={lines} none={t("no_deferrals")} /></Box>;
}

export function Queues({ values }: { values: Values | null }) {
  const { t } = useTranslation("overview");
  if (!values?.queue) return <Box title={t("queues")}><p className="inari-small">{t("no_queues")}</p></Box>;
  const { incoming, active, deferred, hold } = values.queue;
  const lines = [
    { key: "active", text: t("queue_active"), n: incoming + active, to: messagesLink({ status: "queued", range: "7d" }) },
    { key: "deferred", text: t("queue_deferred"), n: deferred, to: messagesLink({ status: "deferred", range: "30d" }) },
    { key: "hold", text: t("queue_hold"), n: hold, to: messagesLink({ status: "held", range: "30d" }) },
  ];
  return (
    <Box title={t("queues")}>
      <Tally lines={lines} none="" />
      {values.oldest_s === null || values.oldest_s === 0 ? null : <p><Link to={messagesLink({ status: "deferred", range: "30d" })}>{t("oldest", { time: durationText(values.oldest_s) })}</Link></p>}
    </Box>
  );
}

const STATES = ["managed", "observing", "held", "pending", "reattach", "quarantined", "revoked", "rejected", "retired"];
export function Devices() {
  const { t } = useTranslation("overview"), parent = useParent();
  return (
    <Box title={t("devices")}>
      <Loaded of={parent}>
        {({ data }) => {
          const states = data.device_states ?? {};
          const lines = STATES.filter((s) => (states[s] ?? 0) > 0).map((s) => ({ key: s, text: t(`state_${s}`), n: states[s] ?? 0, to: withQuery("/devices", { state: s }) }));
          return <><Tally lines={lines} none={t("no_devices")} /><p><Link to="/devices">{t("all_devices", { count: data.devices, n: numberText(data.devices ?? 0) })}</Link></p></>;
        }}
      </Loaded>
    </Box>
  );
}

const rolloutTone: Record<string, Tone> = { running: "busy", baking: "busy", shadow: "busy", "awaiting-approval": "warn", paused: "warn", halted: "bad", reverting: "warn" };
export function Rollouts() {
  const { t } = useTranslation("overview"), rollouts = useRollouts();
  return (
    <Box title={t("rollouts")}>
      <Loaded of={rollouts}>
        {({ data }) => {
          const open = data.items.filter((r) => r.ended_at === null || r.ended_at === undefined);
          if (open.length === 0) return <p className="inari-small">{t("no_rollouts")} <AreaLink to="/rollouts">{t("all_rollouts")}</AreaLink></p>;
          return (
            <ul className="inari-tally">
              {open.map((r) => (
                <li key={r.id}>
                  <Status tone={rolloutTone[r.state] ?? "neutral"} text={t(`rollout_${r.state}`)} />{" "}
                  <AreaLink to={rolloutLink(r.id)}>{t("rollout", { pub: r.pub })}</AreaLink>{" "}
                  <span className="inari-small">{t("rollout_done", { done: numberText((r.counts["confirmed"] ?? 0) + (r.counts["observed"] ?? 0)), all: numberText(Object.values(r.counts).reduce((a, b) => a + b, 0)) })} <Foreign text={r.author} /></span>
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
    </Box>
  );
}

const severityTone: Record<string, Tone> = { info: "neutral", warning: "warn", critical: "bad" };
export function Alerts() {
  const { t } = useTranslation("overview"), alerts = useAlerts();
  return (
    <Box title={t("alerts")}>
      <Loaded of={alerts}>
        {({ data }) => (data.items.length === 0 ? <p><Status tone="good" text={t("no_alerts")} /></p> : (
          <ul className="inari-tally">
            {data.items.slice(0, 6).map((a) => (
              <li key={a.id}>
                <Status tone={severityTone[a.severity] ?? "neutral"} text={t(`severity_${a.severity}`)} />{" "}
                <AreaLink to={`/alerts/${a.id}`}><Foreign text={a.text} /></AreaLink> <span className="inari-small"><Time at={a.fired_at ?? a.since} relative /></span>
              </li>
            ))}
            {data.items.length > 6 ? <li><AreaLink to="/alerts?state=firing">{t("more_alerts", { n: numberText(data.items.length - 6) })}</AreaLink></li> : null}
          </ul>
        ))}
      </Loaded>
    </Box>
  );
}
