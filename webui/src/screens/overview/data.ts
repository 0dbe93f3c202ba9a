// What the overview asks for.  Sums come from the figures, not from searching messages: an idle overview costs the parent next
// to nothing, and a hidden tab nothing at all.
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import type { ChartData } from "../../ui";

export type Values = NonNullable<Schemas["FigurePoint"]["values"]>;
export const RANGES = { "1h": { step: 60, back: 3600 }, "24h": { step: 3600, back: 86400 }, "7d": { step: 3600, back: 604800 } } as const;
export type Range = keyof typeof RANGES;
const FIGURES_MS = 20_000, SLOW_MS = 60_000, MINUTE = 60_000;

const since = (step: number, back: number) => new Date(Math.floor(Date.now() / 1000 / step) * step * 1000 - back * 1000).toISOString();

export function useFigures(range: Range) {
  const { step, back } = RANGES[range];
  return useGet("/api/v1/figures", { query: { step, since: since(step, back) } }, { every: FIGURES_MS });
}
/** The queues as they were looked at last: devices tell them every minute. */
export function useQueues() {
  const q = useGet("/api/v1/figures", { query: { step: 60, since: new Date(Math.floor(Date.now() / (5 * MINUTE)) * 5 * MINUTE - 10 * MINUTE).toISOString() } }, { every: FIGURES_MS });
  const last = q.data?.data.points.filter((p) => p.values?.queue && new Date(p.at).getTime() <= Date.now() - MINUTE).at(-1) ?? q.data?.data.points.filter((p) => p.values?.queue).at(-1);
  return last?.values ?? null;
}
export const useParent = () => useGet("/api/v1/parent", {}, { every: SLOW_MS });
export const useAlerts = () => useGet("/api/v1/alerts", { query: { state: "firing", limit: 20 } }, { every: FIGURES_MS });
export const useRollouts = () => useGet("/api/v1/rollouts", { query: { limit: 20 } }, { every: FIGURES_MS });

type Count = "accepted" | "delivered" | "deferred" | "bounced" | "expired" | "refused";
export function total(points: Schemas["FigurePoint"][], what: Count): number {
  return points.reduce((sum, p) => sum + (p.values?.[what] ?? 0), 0);
}
export function byReason(points: Schemas["FigurePoint"][], what: "rejected" | "deferred_why"): [string, number][] {
  const sums = new Map<string, number>();
  for (const p of points) for (const [reason, n] of Object.entries(p.values?.[what] ?? {})) sums.set(reason, (sums.get(reason) ?? 0) + n);
  return [...sums].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
}
export function flow(points: Schemas["FigurePoint"][], label: (what: Count) => string): ChartData {
  const line = (what: Count, tone: ChartData["series"][number]["tone"]) => ({ key: what, label: label(what), tone, values: points.map((p) => p.values?.[what] ?? null) });
  return { at: points.map((p) => new Date(p.at).getTime()), series: [line("accepted", "blue"), line("delivered", "green"), line("deferred", "orange"), line("bounced", "red"), line("refused", "purple")] };
}
