// The filters of a list, all of them in the URL.  Text takes effect with Enter or when one pauses; choices at once.
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Button, FormSelect, FormSelectOption, SearchInput, Toolbar, ToolbarContent, ToolbarItem } from "./kit";
import { useUrlState } from "./url";

export type Filter =
  | { kind: "text"; name: string; label: string }
  | { kind: "choice"; name: string; label: string; options: { value: string; label: string }[] }
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
                <FormSelectOption value="" label={`${f.label}: ${t("all")}`} />
                {f.options.map((o) => <FormSelectOption key={o.value} value={o.value} label={`${f.label}: ${o.label}`} />)}
              </FormSelect>
            ) : (
              <label className="inari-time-filter">{f.label} <input type="datetime-local" step="1" value={url.get(f.name)} onChange={(e) => url.set({ [f.name]: e.target.value })} /></label>
            )}
          </ToolbarItem>
        ))}
        {set.length > 0 ? <ToolbarItem><Button variant="link" onClick={() => url.set(Object.fromEntries(set.map((f) => [f.name, ""])))}>{t("clear")}</Button></ToolbarItem> : null}
        {children}
      </ToolbarContent>
    </Toolbar>
  );
}
