// The devices try a draft with their own Postfix before anybody gets it; the run has its id in the URL and goes on without us.
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { Button, Card, CardBody, CardTitle, type Column, DataTable, ErrorBox, Foreign, Loaded, Progress, Status, Time, type Tone, useUrlState } from "../../ui";

type Run = Schemas["DryRunOnDevices"];
type Device = NonNullable<Run["devices"]>[number];
const LOOK_MS = 1500;
export const dryTone: Record<string, Tone> = { running: "busy", passed: "good", refused: "bad", inconclusive: "warn", cancelled: "neutral", asked: "busy", away: "warn", silent: "warn", unable: "warn" };
export const wordsOf = (problem: unknown): string => {
  const p = (problem ?? {}) as { title?: string; detail?: string };
  return [p.title, p.detail].filter((x) => x !== undefined && x !== "").join(": ");
};

export function DryRunResult({ run }: { run: Run }) {
  const { t } = useTranslation("changes"), counts = Object.entries(run.counts), all = counts.reduce((n, [, c]) => n + c, 0), open = run.counts["asked"] ?? 0;
  const columns: Column<Device>[] = [
    { key: "name", label: t("device"), cell: (d) => <Foreign text={d.name} /> },
    { key: "state", label: t("state"), cell: (d) => <Status tone={dryTone[d.state] ?? "neutral"} text={t(`dry_${d.state}`)} /> },
    { key: "words", label: t("device_says"), wide: true, cell: (d) => <Foreign text={wordsOf(d.problem) || d.reason} /> },
  ];
  return (
    <>
      <p><Status tone={dryTone[run.state] ?? "neutral"} text={t(`dry_${run.state}`)} /> <Time at={run.created_at} /></p>
      {run.state === "running" ? <Progress value={all === 0 ? 0 : Math.round(((all - open) / all) * 100)} title={t("dry_progress", { done: all - open, count: all })} aria-label={t("dry_title")} /> : null}
      <DataTable caption={t("dry_title")} columns={columns} rows={run.devices ?? []} rowKey={(d) => d.id} />
    </>
  );
}

export function DryRun({ draft, version }: { draft: string; version: number }) {
  const { t } = useTranslation("changes"), url = useUrlState(), id = url.get("dry");
  const start = useSend(() => send("post", "/api/v1/drafts/{id}/dry-run", { path: { id: draft }, body: { wait_s: 30 } }));
  const run = useGet("/api/v1/dry-runs/{id}", { path: { id } }, { enabled: id !== "", every: LOOK_MS });
  return (
    <Card isCompact component="section">
      <CardTitle component="h2">{t("dry_title")}</CardTitle>
      <CardBody>
        <p>{t("dry_help")}</p>
        <ErrorBox error={start.error} />
        <Button variant="secondary" isDisabled={start.isPending || run.data?.data.state === "running"} isLoading={start.isPending}
          onClick={() => start.mutate(undefined, { onSuccess: (a) => url.set({ dry: a.data.id, at: String(version) }) })}>{t(id === "" ? "dry_start" : "dry_again")}</Button>
        {id !== "" && url.get("at") !== String(version) ? <p className="inari-note">{t("dry_old")}</p> : null}
        {id === "" ? null : <Loaded of={run}>{({ data }) => <DryRunResult run={data} />}</Loaded>}
      </CardBody>
    </Card>
  );
}
