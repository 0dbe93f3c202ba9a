// Lines over time.  The drawing library comes in a chunk of its own, asked for as soon as a chart is on the page; the same
// values stand in a table for whoever does not see the picture.
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "../i18n/use";
import { ExpandableSection } from "./kit";
import { numberText, timeText } from "./time";
import { type Column, DataTable } from "./table";

export interface Series { key: string; label: string; values: (number | null)[]; tone: keyof typeof TONES }
export interface ChartData { at: number[]; series: Series[] } // at: ms since the epoch
/** Of the kit's colours: one that reads well on white and one on black; the dashes tell lines apart without colour. */
export const TONES = {
  blue: { colour: "--pf-t--global--color--nonstatus--blue--", dash: [] },
  green: { colour: "--pf-t--global--color--nonstatus--green--", dash: [10, 4] },
  orange: { colour: "--pf-t--global--color--nonstatus--orange--", dash: [4, 4] },
  red: { colour: "--pf-t--global--color--nonstatus--red--", dash: [2, 3] },
  purple: { colour: "--pf-t--global--color--nonstatus--purple--", dash: [12, 3, 2, 3] },
  teal: { colour: "--pf-t--global--color--nonstatus--teal--", dash: [6, 2] },
} as const;

type Draw = typeof import("./draw").draw;
const drawing = () => import("./draw");

/** Which line is which; with the values where the pointer is. */
function Legend({ data, at }: { data: ChartData; at: number | null }) {
  return (
    <p className="inari-legend" aria-hidden="true">
      {at === null ? null : <span className="inari-small">{timeText(data.at[at] ?? 0)}</span>}
      {data.series.map((s) => {
        const value = at === null ? undefined : s.values[at];
        return <span key={s.key}><svg width="28" height="10" className={`inari-line inari-line-${s.tone}`}><line x1="0" y1="5" x2="28" y2="5" strokeDasharray={TONES[s.tone].dash.join(" ")} /></svg> {s.label} {at === null ? null : <b>{value === null || value === undefined ? "–" : numberText(value)}</b>}</span>;
      })}
    </p>
  );
}

export function Chart({ label, data }: { label: string; data: ChartData }) {
  const { t, i18n } = useTranslation(), box = useRef<HTMLDivElement>(null), [draw, keep] = useState<{ draw: Draw } | null>(null), [at, setAt] = useState<number | null>(null), [theme, setTheme] = useState(document.documentElement.dataset["theme"]), [open, setOpen] = useState(false);
  useEffect(() => {
    let here = true;
    void drawing().then((m) => { if (here) keep(m); });
    const look = new MutationObserver(() => setTheme(document.documentElement.dataset["theme"]));
    look.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => { here = false; look.disconnect(); };
  }, []);
  useEffect(() => {
    if (draw === null || box.current === null) return undefined;
    const chart = draw.draw(box.current, data, setAt);
    return () => chart.destroy();
  }, [draw, data, theme, i18n.language]);
  interface Row { at: number; i: number }
  const columns: Column<Row>[] = [{ key: "at", label: t("chart_time"), cell: (r) => timeText(r.at) },
    ...data.series.map((s) => ({ key: s.key, label: s.label, number: true, cell: (r: Row) => { const v = s.values[r.i]; return v === null || v === undefined ? "–" : numberText(v); } }))];
  return (
    <figure className="inari-chart">
      <div ref={box} role="img" aria-label={label} className="inari-canvas" />
      <Legend data={data} at={at} />
      <ExpandableSection isExpanded={open} onToggle={(_, on) => setOpen(on)} toggleText={t("chart_table")}>
        {open ? <DataTable caption={label} columns={columns} rows={data.at.map((x, i) => ({ at: x, i })).reverse()} rowKey={(r) => String(r.at)} /> : null}
      </ExpandableSection>
    </figure>
  );
}
