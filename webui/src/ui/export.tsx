// A list as a file, with the filters of the screen: page after page up to a bound that the button names.
import { useState } from "react";
import { useTranslation } from "../i18n/use";
import { currentLanguage } from "../i18n";
import { Dropdown, DropdownItem, DropdownList, MenuToggle } from "./kit";
import { ApiError } from "../api/client";
import { numberText } from "./time";
import { useToast } from "./toast";

const TYPES = { csv: "text/csv", ndjson: "application/x-ndjson" } as const;
export type ExportType = keyof typeof TYPES;
const PAGE = 500, PAGES = 20;

/** Path with its query, without limit and cursor. Rejects with ApiError. */
export async function exportText(path: string, type: ExportType): Promise<{ text: string; more: boolean }> {
  const parts: string[] = [];
  let next: string | null = null;
  for (let i = 0; i < PAGES; i++) {
    const url = new URL(path, window.location.origin);
    url.searchParams.set("limit", String(PAGE));
    if (next !== null) url.searchParams.set("cursor", next);
    const r: Response = await fetch(url, { headers: { Accept: TYPES[type], "Accept-Language": currentLanguage() }, cache: "no-store" }).catch(() => { throw new ApiError(0, {}); });
    const text = await r.text();
    if (!r.ok) throw new ApiError(r.status, JSON.parse(text || "{}"));
    parts.push(type === "csv" && i > 0 ? text.slice(text.indexOf("\n") + 1) : text); // the names of the columns once
    next = r.headers.get("Inari-Next");
    if (!next) return { text: parts.join(""), more: false };
  }
  return { text: parts.join(""), more: true };
}

function save(text: string, type: ExportType, name: string) {
  const a = document.createElement("a"), href = URL.createObjectURL(new Blob([text], { type: TYPES[type] }));
  a.href = href;
  a.download = `${name}.${type}`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

export function ExportMenu({ path, name }: { path: string; name: string }) {
  const { t } = useTranslation(), toast = useToast(), [open, setOpen] = useState(false), [busy, setBusy] = useState(false);
  const go = async (type: ExportType) => {
    setOpen(false);
    setBusy(true);
    try {
      const { text, more } = await exportText(path, type);
      save(text, type, name);
      if (more) toast.show({ title: t("export_cut", { rows: numberText(PAGE * PAGES) }), kind: "warning" });
    } catch (e) {
      toast.fail(e);
    }
    setBusy(false);
  };
  return (
    <Dropdown isOpen={open} onOpenChange={setOpen} popperProps={{ position: "right" }}
      toggle={(ref) => <MenuToggle ref={ref} isExpanded={open} isDisabled={busy} onClick={() => setOpen(!open)}>{t("export")}</MenuToggle>}>
      <DropdownList>
        {(["csv", "ndjson"] as const).map((x) => <DropdownItem key={x} onClick={() => void go(x)}>{t("export_as", { type: x.toUpperCase() })}</DropdownItem>)}
      </DropdownList>
    </Dropdown>
  );
}
