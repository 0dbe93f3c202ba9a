// The one place that knows the drawing library (uPlot): axes in the chosen zone and language, colours of the theme.
import "uplot/dist/uPlot.min.css";
import uPlot from "uplot";
import { currentLanguage } from "../i18n";
import { type ChartData, TONES } from "./chart";
import { currentZone, numberText } from "./time";

const HEIGHT = 240;
const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function draw(box: HTMLElement, data: ChartData, onPoint: (at: number | null) => void): { destroy: () => void } {
  const dark = document.documentElement.dataset["theme"] === "dark", zone = currentZone(), lang = currentLanguage();
  const ink = colour("--pf-t--global--text--color--subtle"), grid = colour("--pf-t--global--border--color--default");
  const hour = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
  const day = new Intl.DateTimeFormat(lang, { month: "numeric", day: "numeric", timeZone: zone });
  const short = new Intl.NumberFormat(lang, { notation: "compact" });
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui" };
  const span = ((data.at.at(-1) ?? 0) - (data.at[0] ?? 0)) / 86_400_000;
  const chart = new uPlot({
    width: Math.max(200, box.clientWidth), height: HEIGHT,
    tzDate: (s) => uPlot.tzDate(new Date(s * 1000), zone),
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_, __, max) => [0, Math.max(4, (max ?? 0) * 1.1)] } },
    axes: [
      { ...axis, space: 70, values: (_, splits) => splits.map((s) => (span > 2 ? day : hour).format(s * 1000)) },
      { ...axis, size: 56, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8, 1e9], values: (_, splits) => splits.map((v) => (v < 10000 ? numberText(v) : short.format(v))) },
    ],
    series: [{}, ...data.series.map((s) => ({ label: s.label, stroke: colour(`${TONES[s.tone].colour}${dark ? "300" : "400"}`) || ink, width: 2, dash: [...TONES[s.tone].dash], spanGaps: false, points: { show: data.at.length < 200, size: 5 } }))],
    hooks: { setCursor: [(u) => onPoint(u.cursor.idx ?? null)] },
  }, [data.at.map((x) => x / 1000), ...data.series.map((s) => s.values)], box);
  const look = new ResizeObserver(() => chart.setSize({ width: Math.max(200, box.clientWidth), height: HEIGHT }));
  look.observe(box);
  return { destroy: () => { look.disconnect(); chart.destroy(); } };
}
