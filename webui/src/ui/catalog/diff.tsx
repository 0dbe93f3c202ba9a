// What changes, in settings: label, layer, old and new value.
import type { ReactNode } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { type Column, DataTable } from "../table";
import { Foreign } from "../text";
import type { Json, Setting } from "./layers";
import { LayerName } from "./where";
import { rowWords, valueWords } from "./words";

export type DiffItem = Schemas["DiffItem"];
export const diffKey = (d: DiffItem): string => [d.layer, d.id ?? "", d.key, d.row ?? ""].join(" ");

/** One leaf as text: a row of a list by its members. */
export function LeafWords({ of: s, item, value }: { of: Setting | undefined; item: DiffItem; value: unknown }) {
  const { t } = useTranslation(), v = value as Json | undefined;
  if (s === undefined) return <Foreign text={v === undefined || v === null ? t("catalog:nothing") : JSON.stringify(v)} />;
  return <Foreign text={item.row ? rowWords(s.fields ?? [], v, t) : valueWords(s, v, t)} />;
}

interface Props {
  caption: string;
  items: DiffItem[];
  settings: Map<string, Setting>;
  extra?: Column<DiffItem>[];
  actions?: (item: DiffItem) => ReactNode;
  empty?: ReactNode;
}
export function DiffTable({ caption, items, settings, extra = [], actions, empty }: Props) {
  const { t } = useTranslation();
  const columns: Column<DiffItem>[] = [
    { key: "label", label: t("catalog:setting"), wide: true, cell: (d) => (
      <>
        {settings.get(d.key)?.label ?? d.label ?? d.key}{d.row ? <>: <Foreign text={d.row} /></> : null}<br /><small><code>{d.key}</code></small>
      </>
    ) },
    { key: "layer", label: t("catalog:layer"), wide: true, cell: (d) => <LayerName of={{ layer: d.layer, name: d.name ?? "" }} /> },
    { key: "old", label: t("catalog:old"), wide: true, cell: (d) => <LeafWords of={settings.get(d.key)} item={d} value={d.old} /> },
    { key: "new", label: t("catalog:new"), wide: true, cell: (d) => <strong><LeafWords of={settings.get(d.key)} item={d} value={d.new} /></strong> },
    ...extra,
  ];
  return <DataTable caption={caption} columns={columns} rows={items} rowKey={diffKey} {...(empty === undefined ? {} : { empty })} {...(actions ? { actions } : {})} />;
}
