// Numbers over time, of the fleet or one device: a chart, the same as a table, and a copy for a spreadsheet.
import { useMemo } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { withQuery } from "../../frame/links";
import { ApiCalls, Button, Chart, type ChartData, Empty, FilterBar, isoText, Loaded, Page, useToast, useUrlState } from "../../ui";

type Values = NonNullable<Schemas["FigurePoint"]["values"]>;
type Tone = ChartData["series"][number]["tone"];
/** What can be looked at together: lines of one unit. */
const GROUPS: Record<string, { key: string; tone: Tone; of: (v: Values) => number | null }[]> = {
  mail: (["accepted", "delivered", "deferred", "bounced", "expired", "refused"] as const).map((key, i) => ({ key, tone: (["blue", "green", "orange", "red", "teal", "purple"] as const)[i] ?? "blue", of: (v) => v[key] })),
  queue: (["active", "deferred", "hold"] as const).map((key, i) => ({ key: `queue_${key}`, tone: (["blue", "orange", "purple"] as const)[i] ?? "blue", of: (v) => v.queue?.[key] ?? null })),
  oldest: [{ key: "oldest_s", tone: "orange", of: (v) => v.oldest_s }],
  sessions: (["sessions", "auth_failed", "fatal"] as const).map((key, i) => ({ key, tone: (["blue", "orange", "red"] as const)[i] ?? "blue", of: (v) => v[key] })),
  bytes: [{ key: "bytes", tone: "blue", of: (v) => v.bytes }],
  events: (["events", "dropped", "unread"] as const).map((key, i) => ({ key, tone: (["blue", "red", "orange"] as const)[i] ?? "blue", of: (v) => v[key] })),
};
const STEPS: Record<string, number> = { "60": 6 * 3600, "3600": 7 * 86400, "86400": 365 * 86400 }; // seconds back, at most 1500 points
const REFRESH_MS = 60_000;

export function csvText(data: ChartData): string {
  const rows = data.at.map((at, i) => [isoText(at), ...data.series.map((s) => s.values[i] ?? "")].join(","));
  return [["time", ...data.series.map((s) => s.key)].join(","), ...rows, ""].join("\r\n");
}

export function FiguresView() {
  const { t, i18n } = useTranslation("figures"), url = useUrlState(), toast = useToast();
  const step = url.get("step") in STEPS ? url.get("step") : "3600", what = url.get("what") in GROUPS ? url.get("what") : "mail", device = url.get("device");
  const seconds = Number(step), query = { step: seconds as 60 | 3600 | 86400, since: new Date((Math.floor(Date.now() / 1000 / seconds) * seconds - (STEPS[step] ?? 0)) * 1000).toISOString(), ...(device === "" ? {} : { device }) };
  const figures = useGet("/api/v1/figures", { query }, { every: REFRESH_MS }), points = figures.data?.data.points;
  const data = useMemo<ChartData>(() => ({
    at: (points ?? []).map((p) => new Date(p.at).getTime()),
    series: (GROUPS[what] ?? []).map((s) => ({ key: s.key, tone: s.tone, label: t(`s_${s.key}`), values: (points ?? []).map((p) => (p.values === null ? null : s.of(p.values))) })),
  }), [points, what, i18n.language]);
  const copy = async () => { await navigator.clipboard.writeText(csvText(data)); toast.show({ title: t("copied", { ns: "common" }) }); };
  return (
    <Page title={t("title")} actions={<><Button variant="secondary" onClick={() => void copy()}>{t("copy_csv")}</Button> <ApiCalls call={{ path: withQuery("/api/v1/figures", { step, device }), inarictl: `inarictl figures --step ${step}` }} /></>}>
      <FilterBar filters={[
        { kind: "choice", name: "what", label: t("what"), all: t("what_mail"), options: Object.keys(GROUPS).filter((g) => g !== "mail").map((g) => ({ value: g, label: t(`what_${g}`) })) },
        { kind: "choice", name: "step", label: t("step"), all: t("step_3600"), options: Object.keys(STEPS).filter((s) => s !== "3600").map((s) => ({ value: s, label: t(`step_${s}`) })) },
        { kind: "text", name: "device", label: t("device") },
      ]} />
      <Loaded of={figures}>
        {() => (data.series.every((s) => s.values.every((v) => v === null)) ? <Empty title={t("nothing")}>{t("nothing_help")}</Empty>
          : <Chart label={t("chart", { what: t(`what_${what}`), of: device === "" ? t("fleet") : device })} data={data} />)}
      </Loaded>
    </Page>
  );
}
