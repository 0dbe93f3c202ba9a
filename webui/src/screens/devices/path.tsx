// The way of a mail through a device, hop by hop, with what was seen of each hop last and what governs it.  Only parts that
// this device has are drawn: they come from its plan.
import type { ReactNode } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { withQuery } from "../../frame/links";
import { Alert, Button, Facts, Flex, FlexItem, Foreign, Loaded, numberText, Stack, StackItem, Status, Time, type Tone } from "../../ui";
import { JobView, useCommand } from "../commands/job";
import type { TabProps } from "./detail";
import { MayNot, useGive } from "./give";
import type { Device } from "./words";

interface Check { name: string; ok: boolean; message: string }
interface Hop { key: string; title: string; where: string[]; tone: Tone; state: string; said?: string | undefined; more?: ReactNode; settings: string[] }
interface Listener { address: string; port: number; role: string }
interface Plan { mail_path: string; listeners: Listener[]; tables: { name: string; content: string }[]; parameters: Record<string, string> }
interface Heard { address: string; port: number; owner: string }

const condition = (d: Device, type: string) => d.conditions?.find((c) => c.type === type);
const at = (l: { address: string; port: number }) => (l.address.includes(":") ? `[${l.address}]:${l.port}` : `${l.address}:${l.port}`);

/** Rows of the planner's transport table, without the device's own test domain: "example.test smtp:[198.18.3.3]:25". */
function routesOf(plan: Plan): { domain: string; hop: string }[] {
  const table = plan.tables.find((x) => x.name === "transport")?.content ?? "";
  return table.split("\n").filter((l) => l !== "" && !l.startsWith("#") && !l.includes(".inari.invalid")).map((l) => {
    const [domain = "", transport = ""] = l.split(/\s+/, 2);
    return { domain, hop: transport.slice(transport.indexOf(":") + 1) };
  });
}

function useHops(device: Device, plan: Plan, heard: Heard[] | null, checks: Map<string, Check> | null): Hop[] {
  const { t } = useTranslation("devices"), lookup = (name: string) => checks?.get(name);
  const away = device.presence === "lost" || device.presence === "never";
  const listens = (l: Listener) => heard?.some((h) => h.port === l.port) ?? false;
  const doors = plan.listeners.filter((l) => l.role === "public" || l.role === "submission");
  const service = device.running?.postfix, spoke = lookup("listeners"), runs = lookup("postfix-running");
  const seen = (good: boolean, known: boolean, yes: string, no: string): Pick<Hop, "tone" | "state"> =>
    !known ? { tone: "neutral", state: t("hop_unknown") } : away ? { tone: "neutral", state: t("hop_old", { state: good ? yes : no }) } : good ? { tone: "good", state: yes } : { tone: "bad", state: no };
  const hops: Hop[] = [];
  const mail = device.health?.mail, sum = (what: "delivered" | "deferred" | "bounced" | "accepted") => (mail?.minutes ?? []).reduce((n, m) => n + (m[what] ?? 0), 0);
  const door = spoke !== undefined ? seen(spoke.ok, true, t("hop_answers"), t("hop_silent")) : seen(doors.every(listens), heard !== null, t("hop_listens"), t("hop_not_listening"));
  const front = plan.mail_path === "front", behind = plan.listeners.filter((l) => l.role === "front");
  hops.push({ key: "listener", title: t(front ? "hop_filter" : "hop_listener"), where: doors.map(at), ...(device.drain ? { tone: "warn" as Tone, state: t("hop_drained") } : door), said: spoke?.message,
    more: <Facts items={[{ label: t("accepted_lately"), value: mail ? numberText(sum("accepted")) : t("hop_unknown") }]} />,
    settings: front ? ["smtp.listen_address", "smtp.listen_port", "sender_filter.approved", "sender_filter.blocked", "sender_filter.reputation"] : ["smtp.listen_address", "smtp.listen_port", "smtp.relay_networks", "smtp.relay_domains"] });
  const stopped = service?.desired?.state === "stopped";
  const postfix = runs !== undefined ? seen(runs.ok, true, t("postfix_running"), t("postfix_stopped")) : seen(service?.state === "running", service?.state !== undefined, t("postfix_running"), t("postfix_stopped"));
  const queue = device.health?.queue;
  hops.push({ key: "postfix", title: `Postfix ${service?.version ?? ""}`, where: behind.map(at), ...(stopped && postfix.tone === "bad" ? { tone: "warn" as Tone, state: t("hop_stopped_by_order") } : postfix), said: condition(device, "ServiceRunning")?.message,
    more: queue ? <Link to="?tab=queue">{t("hop_queue", { count: (queue.incoming ?? 0) + (queue.active ?? 0) + (queue.deferred ?? 0) + (queue.hold ?? 0) })}</Link> : null, settings: front ? ["path.mode", "smtp.relay_networks", "smtp.relay_domains"] : ["path.mode"] });
  if (plan.mail_path === "plain") {
    const chain = condition(device, "ChainHealthy"), scan = plan.parameters.content_filter ?? "";
    hops.push({ key: "scan", title: t("hop_scan"), where: [scan.slice(scan.indexOf(":") + 1)], ...seen(chain?.status === "True", chain !== undefined && chain.status !== "Unknown", t("hop_probed"), t("hop_not_probed")), said: chain?.message, settings: ["scan.port", "scan.timeout"] });
    const back = plan.listeners.filter((l) => l.role === "reinject");
    hops.push({ key: "reinject", title: t("hop_reinject"), where: back.map(at), ...seen(back.every(listens), heard !== null, t("hop_listens"), t("hop_not_listening")), settings: ["scan.reinject_port"] });
  }
  const tried = sum("delivered") + sum("deferred") + sum("bounced"), stuck = sum("deferred") > 0;
  const state: Pick<Hop, "tone" | "state"> = mail === undefined || away ? { tone: "neutral", state: t("hop_unknown") } : tried === 0 ? { tone: "neutral", state: t("hop_no_mail") } : stuck ? { tone: "warn", state: t("hop_deferring") } : { tone: "good", state: t("hop_delivers") };
  const lately = <Facts items={[{ label: t("delivered_lately"), value: numberText(sum("delivered")) }, { label: t("deferred_lately"), value: <Link to="?tab=queue">{numberText(sum("deferred"))}</Link> }]} />;
  const routes = routesOf(plan), fallback = plan.parameters.relayhost ?? "";
  hops.push({ key: "next", title: t("hop_next"), where: [], ...state, settings: ["smtp.routes", "smtp.relayhost"], more: (
    <>
      <ul className="inari-routes">
        {routes.slice(0, 20).map((r) => <li key={r.domain}><Foreign text={t("hop_route", { domain: r.domain, hop: r.hop === "" ? t("hop_by_mx") : r.hop })} /></li>)}
        {routes.length > 20 ? <li>{t("hop_more_routes", { count: routes.length - 20 })}</li> : null}
        <li><Foreign text={t("hop_route", { domain: t("hop_rest"), hop: fallback === "" ? t("hop_by_mx") : fallback })} /></li>
      </ul>
      {mail ? lately : null}
    </>
  ) });
  return hops;
}

function Drawing({ device, plan, heard, checks }: { device: Device; plan: Plan; heard: Heard[] | null; checks: Map<string, Check> | null }) {
  const { t } = useTranslation("devices"), hops = useHops(device, plan, heard, checks);
  return (
    <ol className="inari-path" aria-label={t("tab_path")}>
      {hops.map((h) => (
        <li key={h.key} className="inari-hop">
          <h2>{h.title}</h2>
          {h.where.map((w) => <div key={w}><code><Foreign text={w} /></code></div>)}
          <div><Status tone={h.tone} text={h.state} /></div>
          {h.said ? <div className="inari-small"><Foreign text={h.said} /></div> : null}
          {h.more}
          <div className="inari-small">{t("governed_by")} {h.settings.map((s, i) => <span key={s}>{i > 0 ? ", " : ""}<Link to={withQuery("", { tab: "settings", key: s })}>{s}</Link></span>)}</div>
        </li>
      ))}
    </ol>
  );
}

export function PathTab({ device }: TabProps) {
  const { t } = useTranslation("devices"), check = useGive(device, "check"), path = { id: device.id };
  const plan = useGet("/api/v1/devices/{id}/plan", { path }, { every: 30000 }), status = useGet("/api/v1/devices/{id}/status", { path }, { every: 10000 });
  const { command } = useCommand(check.id), chain = condition(device, "ChainHealthy");
  const done = command?.state === "done" ? ((command.result as { checks?: Check[] } | null)?.checks ?? null) : null;
  const facts = (status.data?.data.status as { inventory?: { facts?: { listeners?: Heard[] } } } | undefined)?.inventory?.facts;
  return (
    <Stack hasGutter>
      <StackItem>
        <Flex alignItems={{ default: "alignItemsCenter" }} spaceItems={{ default: "spaceItemsMd" }}>
          <FlexItem><Button isDisabled={!check.may} isLoading={check.busy} onClick={() => check.begin({ kind: "self-check" })}>{t("path_check")}</Button></FlexItem>
          <FlexItem><Status tone={chain?.status === "True" ? "good" : chain?.status === "False" ? "bad" : "neutral"} text={t(chain?.status === "True" ? "chain_good" : chain?.status === "False" ? "chain_bad" : "chain_unknown")} /> {chain?.message ? <Foreign text={chain.message} /> : null}</FlexItem>
        </Flex>
        <MayNot device={device} />
      </StackItem>
      <StackItem><p>{done ? <>{t("path_checked")} <Time at={command?.ended_at} /></> : <>{t("path_reported")} <Time at={status.data?.data.received_at} /></>}</p></StackItem>
      <StackItem>
        <Loaded of={plan}>
          {({ data }) => (data.plan ? <Drawing device={device} plan={data.plan as Plan} heard={facts?.listeners ?? null} checks={done ? new Map(done.map((c) => [c.name, c])) : null} />
            : <Alert isInline variant="danger" component="p" title={t("path_no_plan")}>{(data.findings ?? []).map((f, i) => <p key={i}>{t("common:finding_words", { message: f.message, remedy: f.remedy })}</p>)}</Alert>)}
        </Loaded>
      </StackItem>
      {check.id === "" ? null : <StackItem><JobView key={check.id} id={check.id} /></StackItem>}
    </Stack>
  );
}
