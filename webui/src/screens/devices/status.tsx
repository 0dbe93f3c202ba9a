// The three truths of a device, what it says of itself, how its last attempt ended, and who it is.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { Alert, Card, CardBody, CardTitle, type Column, DataTable, durationText, Facts, Foreign, numberText, Stack, StackItem, Status, Time, type Tone } from "../../ui";
import type { TabProps } from "./detail";
import { type Device, Digest, GroupLinks, resultTone, Revision, stateTone } from "./words";

/** Conditions that are trouble when they are true; all others when they are false. */
const BAD_WHEN_TRUE = ["Drifted", "Held", "Frozen", "Quarantined", "Drained", "Churning", "EventsBehind", "EventsDropped"];
type Condition = NonNullable<Device["conditions"]>[number];

export function conditionTone(c: Condition): Tone {
  if (c.status === "Unknown") return "neutral";
  const good = BAD_WHEN_TRUE.includes(c.type) ? c.status === "False" : c.status === "True";
  return good ? "good" : ["Drained", "Held", "EventsBehind", "Drifted", "KeyCurrent"].includes(c.type) ? "warn" : "bad";
}

interface Row { key: string; pub: number | null | undefined; rev: number | null | undefined; digest: string | null | undefined; help: string }

function Truths({ device }: { device: Device }) {
  const { t } = useTranslation("devices"), wanted = device.desired?.digest ?? null;
  const rows: Row[] = (["desired", "on_disk", "running"] as const).map((key) => ({ key, pub: device[key]?.pub, rev: device[key]?.rev, digest: device[key]?.digest, help: t(`truth_${key}_help`) }));
  const verdict = (r: Row) => {
    if (r.key === "desired") return <Status tone="neutral" text={t("truth_wanted")} />;
    if (!r.digest) return <Status tone="neutral" text={t("truth_nothing")} />;
    if (wanted === null) return <Status tone="neutral" text={t("truth_not_wanted")} />;
    return r.digest === wanted ? <Status tone="good" text={t("truth_same")} /> : <Status tone="warn" text={t("truth_differs")} />;
  };
  const columns: Column<Row>[] = [
    { key: "what", label: t("truth"), cell: (r) => t(`truth_${r.key}`) },
    { key: "verdict", label: t("compared"), cell: verdict },
    { key: "pub", label: t("revision"), number: true, cell: (r) => <Revision pub={r.pub} /> },
    { key: "rev", label: t("device_revision"), number: true, cell: (r) => (r.rev ? numberText(r.rev) : t("none", { ns: "common" })) },
    { key: "digest", label: t("digest"), cell: (r) => <Digest value={r.digest} /> },
    { key: "help", label: t("meaning"), wide: true, cell: (r) => r.help },
  ];
  return (
    <Card>
      <CardTitle component="h2">{t("truths")}</CardTitle>
      <CardBody><DataTable caption={t("truths")} columns={columns} rows={rows} rowKey={(r) => r.key} /></CardBody>
    </Card>
  );
}

function LastAttempt({ device }: { device: Device }) {
  const { t } = useTranslation("devices"), a = device.last_attempt;
  if (!a || !a.result) return null;
  const p = (a.problem ?? null) as { title?: string; detail?: string; errors?: { pointer?: string; message?: string; remedy?: string }[] } | null;
  const refused = ["rejected", "reverted", "interrupted", "held"].includes(a.result);
  return (
    <Card>
      <CardTitle component="h2">{t("last_attempt")}</CardTitle>
      <CardBody>
        <Facts items={[
          { label: t("result"), value: <Status tone={resultTone[a.result] ?? "neutral"} text={t(`result_${a.result}`)} /> },
          { label: t("revision"), value: <Revision pub={a.pub} /> },
          ...(a.phase ? [{ label: t("phase"), value: <code><Foreign text={a.phase} /></code> }] : []),
          { label: t("began"), value: <Time at={a.started} /> },
          { label: t("ended"), value: <Time at={a.ended} /> },
          ...(a.duration_ms === undefined ? [] : [{ label: t("took"), value: a.duration_ms < 1000 ? t("milliseconds", { n: numberText(a.duration_ms) }) : durationText(a.duration_ms / 1000) }]),
        ]} />
        {refused ? <p>{t("last_attempt_not_applied")}</p> : null}
        {p ? (
          <Alert isInline variant="danger" component="p" title={<Foreign text={p.title ?? t("result_rejected")} />}>
            <p>{t("daemon_said")}</p>
            <pre className="inari-said"><Foreign text={p.detail} /></pre>
            {(p.errors ?? []).map((f, i) => <p key={i}>{f.pointer ? <code><Foreign text={f.pointer} /></code> : null} <Foreign text={f.message} /> <Foreign text={f.remedy} /></p>)}
          </Alert>
        ) : null}
      </CardBody>
    </Card>
  );
}

function Conditions({ device }: { device: Device }) {
  const { t, i18n } = useTranslation("devices");
  const rank = (c: Condition) => ["bad", "warn", "busy", "neutral", "good"].indexOf(conditionTone(c));
  const rows = [...(device.conditions ?? [])].sort((a, b) => rank(a) - rank(b));
  const word = (c: Condition) => (i18n.exists(`devices:condition_${c.type}`) ? t(`condition_${c.type}`) : c.type);
  // Ready names the condition that stands in its way.
  const reason = (c: Condition) => [`reason_${c.reason}`, `condition_${c.reason}`].filter((k) => i18n.exists(`devices:${k}`)).map((k) => t(k))[0] ?? c.reason ?? "";
  const columns: Column<Condition>[] = [
    { key: "type", label: t("condition"), cell: (c) => <Foreign text={word(c)} /> },
    { key: "status", label: t("holds"), cell: (c) => <Status tone={conditionTone(c)} text={t(`holds_${c.status}`)} /> },
    { key: "reason", label: t("reason"), wide: true, cell: (c) => <><Foreign text={reason(c)} />{c.message ? <><br /><small><Foreign text={c.message} /></small></> : null}</> },
    { key: "since", label: t("since"), cell: (c) => <Time at={c.since} relative /> },
  ];
  return (
    <Card>
      <CardTitle component="h2">{t("conditions")}</CardTitle>
      <CardBody><DataTable caption={t("conditions")} columns={columns} rows={rows} rowKey={(c) => c.type + (c.reason ?? "")} empty={<p>{t("no_conditions")}</p>} /></CardBody>
    </Card>
  );
}

function Identity({ device }: { device: Device }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), key = device.key;
  return (
    <Card>
      <CardTitle component="h2">{t("identity")}</CardTitle>
      <CardBody>
        <Facts items={[
          { label: t("state"), value: <Status tone={stateTone[device.state] ?? "neutral"} text={t(`state_${device.state}`)} /> },
          ...(device.state === "held" ? [{ label: t("held_until"), value: <><Time at={device.held_until} /> <Foreign text={device.held_reason} /></> }] : []),
          { label: t("mode"), value: t(`mode_${device.mode}`) },
          { label: t("placement"), value: device.placement ? t(`placement_${device.placement}`) : common("unknown") },
          { label: t("drift_policy"), value: t(`drift_${device.drift ?? "inherit"}`) },
          { label: t("groups"), value: <GroupLinks names={device.groups} /> },
          { label: t("last_seen"), value: <><Time at={device.last_seen} relative /> {device.last_seen ? <small><Time at={device.last_seen} /></small> : null}</> },
          { label: t("address"), value: device.address ? <code><Foreign text={device.address} /></code> : common("unknown") },
          { label: t("agent_version"), value: <Foreign text={device.agent_version || common("unknown")} /> },
          { label: t("enrolled_at"), value: <Time at={device.enrolled_at} /> },
          ...(key ? [{ label: t("key"), value: <><code>{key.kid}</code> <small>{t("key_since", { count: key.rotations })} <Time at={key.since} /></small></> }] : []),
          ...(key?.next ? [{ label: t("key_next"), value: <code>{key.next.kid}</code> }] : []),
          { label: t("device_id"), value: <code>{device.id}</code> },
          ...(device.became ? [{ label: t("became"), value: <Link to={`/devices/${device.became}`}>{device.became}</Link> }] : []),
        ]} />
      </CardBody>
    </Card>
  );
}

export function StatusTab({ device }: TabProps) {
  const { t } = useTranslation("devices"), drain = device.drain as { by?: string; since?: string; reason?: string } | null | undefined;
  return (
    <Stack hasGutter>
      {drain ? <StackItem><Alert isInline variant="warning" component="p" title={t("drained")}><p>{t("drained_by", { by: drain.by ?? "" })} <Time at={drain.since} /> <Foreign text={drain.reason} /></p></Alert></StackItem> : null}
      <StackItem><Truths device={device} /></StackItem>
      {device.last_attempt?.result ? <StackItem><LastAttempt device={device} /></StackItem> : null}
      <StackItem><Conditions device={device} /></StackItem>
      <StackItem><Identity device={device} /></StackItem>
    </Stack>
  );
}
