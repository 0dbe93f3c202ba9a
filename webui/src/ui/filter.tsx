// The filters of a list, all of them in the URL.  Text takes effect with Enter or when one pauses; choices at once.
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "../i18n/use";
import { Button, FormSelect, FormSelectOption, SearchInput, Toolbar, ToolbarContent, ToolbarItem } from "./kit";
import { wallText, wallTime } from "./time";
import { useUrlState } from "./url";

export type Filter =
  | { kind: "text"; name: string; label: string }
  | { kind: "choice"; name: string; label: string; options: { value: string; label: string }[]; /** instead of "all" */ all?: string }
  | { kind: "time"; name: string; label: string };

const PAUSE_MS = 400;
function TextFilter({ name, label }: { name: string; label: string }) {
  const url = useUrlState(), there = url.get(name), [text, setText] = useState(there);
  useEffect(() => setText(there), [there]);
  useEffect(() => {
    if (text === there) return undefined;
    const timer = setTimeout(() => url.set({ [name]: text }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text, there, name, url]);
  return <SearchInput aria-label={label} placeholder={label} value={text} onChange={(_, v) => setText(v)} onSearch={() => url.set({ [name]: text })} onClear={() => url.set({ [name]: "" })} />;
}

/** In the URL as UTC, so that a link means the same time to whoever opens it; shown on the clock of the chosen zone. */
function TimeFilter({ name, label }: { name: string; label: string }) {
  const url = useUrlState(), there = url.get(name), good = !Number.isNaN(Date.parse(there));
  const set = (text: string) => url.set({ [name]: wallTime(text)?.toISOString() ?? "" });
  return <label className="inari-time-filter">{label} <input type="datetime-local" step="1" value={good ? wallText(there) : ""} onChange={(e) => set(e.target.value)} /></label>;
}

export function FilterBar({ filters, children }: { filters: Filter[]; children?: ReactNode }) {
  const { t } = useTranslation(), url = useUrlState();
  const set = filters.filter((f) => url.get(f.name) !== "");
  return (
    <Toolbar aria-label={t("filter")} className="inari-filters">
      <ToolbarContent>
        {filters.map((f) => (
          <ToolbarItem key={f.name}>
            {f.kind === "text" ? <TextFilter name={f.name} label={f.label} /> : f.kind === "choice" ? (
              <FormSelect aria-label={f.label} value={url.get(f.name)} onChange={(_, v) => url.set({ [f.name]: v })}>
                <FormSelectOption value="" label={`${f.label}: ${f.all ?? t("all")}`} />
                {f.options.map((o) => <FormSelectOption key={o.value} value={o.value} label={`${f.label}: ${o.label}`} />)}
              </FormSelect>
            ) : (
              <TimeFilter name={f.name} label={f.label} />
            )}
          </ToolbarItem>
        ))}
        {set.length > 0 ? <ToolbarItem><Button variant="link" onClick={() => url.set(Object.fromEntries(set.map((f) => [f.name, ""])))}>{t("clear")}</Button></ToolbarItem> : null}
        {children}
      </ToolbarContent>
    </Toolbar>
  );
}
