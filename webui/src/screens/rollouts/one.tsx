// One rollout, live: its waves, what each device did with it, and the orders that its state allows.
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet } from "../../api/use";
import { useSession } from "../../frame/session";
import {
  Alert, ApiCalls, Button, Card, CardBody, CardTitle, type Column, ConfirmDialog, DataTable, Facts, FilterBar, Flex, FlexItem, Foreign, Loaded, Modal, ModalBody, ModalHeader, Page, pageOf, Pager, Progress, Status, Time, useToast, useUrlState,
} from "../../ui";
import { DryRunResult, wordsOf } from "../changes/dryrun";
import { PublishForm } from "../changes/publish";
import { usePublished } from "../changes/published";
import { deviceTone, rolloutTone, useRolloutWords } from "./words";

type Rollout = Schemas["Rollout"];
type Device = Schemas["RolloutDevice"];
type Wave = Schemas["RolloutWave"];
type Order = "pause" | "resume" | "halt" | "cancel" | "approve" | "promote";
const LIVE_MS = 1500, OVER_MS = 15_000;
const ENDED = ["completed", "superseded", "cancelled", "reverted"];
const DEVICE_STATES = ["queued", "offered", "fetched", "confirmed", "observed", "rejected", "reverted", "interrupted", "degraded", "held", "timed-out", "unhealthy", "skipped", "superseded"];

/** What a person may order (docs/internals/rollout.md); the parent has the last word. */
export function ordersOf(r: Pick<Rollout, "state" | "reason">): (Order | "revert")[] {
  switch (r.state) {
    case "shadow": return ["pause", "promote", "halt", "cancel"];
    case "awaiting-approval": return ["approve", "pause", "halt", "cancel"];
    case "running": return ["pause", "halt", "cancel", "revert"];
    case "baking": return ["pause", "promote", "halt", "cancel", "revert"];
    case "paused": return ["resume", ...(["untried", "inconclusive", "nobody-there"].includes(r.reason ?? "") ? (["promote"] as const) : []), "halt", "cancel", "revert"];
    case "halted": return ["resume", ...(r.reason === "refused-by-devices" ? (["promote"] as const) : []), "cancel", "revert"];
    default: return [];
  }
}

function Orders({ rollout, etag }: { rollout: Rollout; etag: string }) {
  const { t } = useTranslation("rollouts"), { may, session } = useSession(), toast = useToast(), published = usePublished(), [open, setOpen] = useState<Order | "revert" | null>(null);
  const orders = ordersOf(rollout).filter((o) => o !== "approve" || rollout.author !== session.user);
  if (orders.length === 0) return null;
  if (!may("publish")) return <Alert variant="info" isInline component="p" title={t("may_not")} />;
  const order = async (what: Order, reason: string) => {
    const init = { path: { id: rollout.id }, ...(etag === "" ? {} : { ifMatch: etag }), body: reason === "" ? {} : { reason } };
    if (what === "pause") await send("post", "/api/v1/rollouts/{id}/pause", init);
    else if (what === "resume") await send("post", "/api/v1/rollouts/{id}/resume", init);
    else if (what === "halt") await send("post", "/api/v1/rollouts/{id}/halt", init);
    else if (what === "cancel") await send("post", "/api/v1/rollouts/{id}/cancel", init);
    else if (what === "approve") await send("post", "/api/v1/rollouts/{id}/approve", init);
    else await send("post", "/api/v1/rollouts/{id}/promote", init);
    toast.show({ title: t(`done_${what}`) });
  };
  return (
    <>
      <Flex className="inari-orders">
        {orders.map((o) => <FlexItem key={o}><Button variant="secondary" isDanger={o === "halt" || o === "revert" || o === "cancel"} onClick={() => setOpen(o)}>{t(`order_${o}`)}</Button></FlexItem>)}
      </Flex>
      {open === null || open === "revert" ? null : (
        <ConfirmDialog title={t(`ask_${open}`)} verb={t(`order_${open}`)} danger={open === "halt" || open === "cancel"} reason="optional" onClose={() => setOpen(null)} onConfirm={(why) => order(open, why)}>
          <p>{t(`help_${open}`)}</p>
        </ConfirmDialog>
      )}
      {open !== "revert" ? null : (
        <Modal isOpen variant="medium" onClose={() => setOpen(null)} aria-labelledby="revert-title">
          <ModalHeader title={t("ask_revert")} labelId="revert-title" description={t("help_revert")} />
          <ModalBody>
            <PublishForm title={t("order_revert")} verb={t("order_revert")} forceable={false} plain onDone={(d) => { setOpen(null); published(d); }} send={(body) => send("post", "/api/v1/rollouts/{id}/revert", { path: { id: rollout.id }, body })} />
            <Button variant="link" onClick={() => setOpen(null)}>{t("cancel", { ns: "common" })}</Button>
          </ModalBody>
        </Modal>
      )}
    </>
  );
}

function Devices({ id, waves, live }: { id: string; waves: number; live: boolean }) {
  const { t } = useTranslation("rollouts"), url = useUrlState(), words = useRolloutWords();
  const query = { ...pageOf(url), ...(url.get("wave") === "" ? {} : { wave: Number(url.get("wave")) }), ...(url.get("state") === "" ? {} : { state: url.get("state") }) };
  const devices = useGet("/api/v1/rollouts/{id}/devices", { path: { id }, query }, { every: live ? LIVE_MS : OVER_MS });
  const columns: Column<Device>[] = [
    { key: "name", label: t("device"), cell: (d) => <Link to={`/devices/${d.name}`}><Foreign text={d.name} /></Link> },
    { key: "state", label: t("state"), cell: (d) => <Status tone={deviceTone[d.state] ?? "neutral"} text={t(`device_${d.state}`)} /> },
    { key: "wave", label: t("wave"), number: true, cell: (d) => d.wave + 1 },
    { key: "words", label: t("device_says"), wide: true, cell: (d) => <Foreign text={wordsOf(d.problem) || words.reason(d.reason ?? "")} /> },
    { key: "at", label: t("last_step"), cell: (d) => <Time at={d.ended_at ?? d.fetched_at ?? d.released_at} /> },
  ];
  return (
    <>
      <FilterBar filters={[
        { kind: "choice", name: "state", label: t("state"), options: DEVICE_STATES.map((s) => ({ value: s, label: t(`device_${s}`) })) },
        ...(waves > 1 ? [{ kind: "choice" as const, name: "wave", label: t("wave"), options: Array.from({ length: waves }, (_, i) => ({ value: String(i), label: String(i + 1) })) }] : []),
      ]} />
      <Loaded of={devices}>{({ data }) => <><DataTable caption={t("devices")} columns={columns} rows={data.items} rowKey={(d) => d.id} empty="filtered" /><Pager next={data.next} /></>}</Loaded>
    </>
  );
}

const DONE_STATES = ["confirmed", "observed"];
function Waves({ waves }: { waves: Wave[] }) {
  const { t } = useTranslation("rollouts"), words = useRolloutWords();
  const columns: Column<Wave>[] = [
    { key: "wave", label: t("wave"), number: true, cell: (w) => w.wave + 1 },
    { key: "state", label: t("state"), cell: (w) => <Status tone={rolloutTone[w.state] ?? "neutral"} text={t(`state_${w.state}`)} /> },
    { key: "counts", label: t("devices"), wide: true, cell: (w) => words.counts(w.counts) },
    { key: "progress", label: t("progress"), wide: true, cell: (w) => <Progress aria-label={t("progress_of", { wave: w.wave + 1 })} size="sm" value={w.devices === 0 ? 100 : Math.round((DONE_STATES.reduce((n, s) => n + (w.counts[s] ?? 0), 0) / w.devices) * 100)} /> },
  ];
  return <DataTable caption={t("waves")} columns={columns} rows={waves} rowKey={(w) => String(w.wave)} />;
}

export function RolloutPage() {
  const { t } = useTranslation("rollouts"), { id = "" } = useParams(), words = useRolloutWords(), [live, setLive] = useState(true);
  const rollout = useGet("/api/v1/rollouts/{id}", { path: { id } }, { every: live ? LIVE_MS : OVER_MS }), pub = rollout.data?.data.pub;
  const over = rollout.data !== undefined && ENDED.includes(rollout.data.data.state);
  if (live === over) setLive(!over);
  return (
    <Page title={pub === undefined ? t("title") : t("title_of", { pub })} crumbs={[{ to: "/rollouts", text: t("title") }]} actions={<ApiCalls call={{ path: `/api/v1/rollouts/${id}`, inarictl: `inarictl rollout show ${id}` }} />}>
      <Loaded of={rollout}>
        {({ data: r, etag }) => (
          <div className="inari-cards">
            <Card isCompact component="section">
              <CardTitle component="h2">{t("about")}</CardTitle>
              <CardBody>
                <div aria-live="polite"><Status tone={rolloutTone[r.state] ?? "neutral"} text={t(`state_${r.state}`)} /> {r.reason ? <Foreign text={words.reason(r.reason)} /> : null}</div>
                <Facts items={[
                  { label: t("rollout_of"), value: <Link to={`/changes/${r.pub}`}>{t("revision", { pub: r.pub })}</Link> },
                  { label: t("devices"), value: words.counts(r.counts) },
                  { label: t("how"), value: r.expedited ? t("how_urgent") : r.strategy === "all" ? t("at_once") : t("how_waves", { count: r.waves_total }) },
                  { label: t("author"), value: <Foreign text={r.author} /> },
                  ...(r.approver ? [{ label: t("approver"), value: <Foreign text={r.approver} /> }] : []),
                  { label: t("created"), value: <Time at={r.created_at} /> },
                  { label: t("since"), value: <Time at={r.since} /> },
                  ...(r.reverts ? [{ label: t("reverts"), value: <Link to={`/rollouts/${r.reverts}`}>{t("that_rollout")}</Link> }] : []),
                ]} />
                {r.waits ? <Alert variant="info" isInline component="p" title={t(`waits_${r.waits}`)} /> : null}
                <Orders rollout={r} etag={etag} />
              </CardBody>
            </Card>
            {r.shadow ? <Card isCompact component="section"><CardTitle component="h2">{t("shadow")}</CardTitle><CardBody><DryRunResult run={r.shadow} /></CardBody></Card> : null}
            {(r.waves ?? []).length > 0 ? <Card isCompact component="section"><CardTitle component="h2">{t("waves")}</CardTitle><CardBody><Waves waves={r.waves ?? []} /></CardBody></Card> : null}
            <Card isCompact component="section"><CardTitle component="h2">{t("devices")}</CardTitle><CardBody><Devices id={id} waves={r.waves_total} live={!over} /></CardBody></Card>
          </div>
        )}
      </Loaded>
    </Page>
  );
}
