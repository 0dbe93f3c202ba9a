// Lists: rows come from the server page by page; on a narrow screen each row becomes a block of labelled values.
//
// A row is drawn anew when the parent says something else of it or the columns change: a list whose columns are kept (useMemo) costs
// nothing when the screen around it is drawn.  Its cells have the looks of the kit's without the component, each of which measures itself.
import { css } from "@patternfly/react-styles";
import looks from "@patternfly/react-styles/css/components/Table/table.mjs";
import { memo, type ReactNode } from "react";
import { useTranslation } from "../i18n/use";
import { Empty, useWaiting } from "./states";
import { Button, Flex, FlexItem, FormSelect, FormSelectOption, Table, Tbody, Td, Th, Thead, Tr } from "./kit";
import { useUrlState } from "./url";

export interface Column<R> {
  key: string;
  label: string;
  cell: (row: R) => ReactNode;
  /** Takes what room there is and wraps; others stay on one line. */
  wide?: boolean;
  number?: boolean;
}

interface Props<R> {
  caption: string;
  columns: Column<R>[];
  rows: R[];
  rowKey: (row: R) => string;
  /** "filtered": nothing matches; a node: what to do first. */
  empty?: "filtered" | ReactNode;
  actions?: (row: R) => ReactNode;
  selected?: Set<string>;
  onSelect?: (keys: Set<string>) => void;
}

function RowCells<R>({ row, columns }: { row: R; columns: Column<R>[] }) {
  return <>{columns.map((c) => <td key={c.key} data-label={c.label} className={css(looks.tableTd, c.wide ? looks.modifiers.breakWord : looks.modifiers.nowrap, c.number && "inari-number")}>{c.cell(row)}</td>)}</>;
}
const Cells = memo(RowCells) as typeof RowCells;

export function DataTable<R>({ caption, columns, rows, rowKey, empty, actions, selected, onSelect }: Props<R>) {
  const { t } = useTranslation(), waiting = useWaiting();
  if (rows.length === 0) return empty === undefined || empty === "filtered" ? <Empty title={t(empty === "filtered" ? "empty_filtered" : "empty")} /> : <>{empty}</>;
  const pick = (key: string, on: boolean) => {
    const next = new Set(selected);
    if (on) next.add(key);
    else next.delete(key);
    onSelect?.(next);
  };
  const all = selected !== undefined && rows.every((r) => selected.has(rowKey(r)));
  return (
    <div className={waiting ? "inari-scroll inari-waiting" : "inari-scroll"} role="region" aria-label={caption} aria-busy={waiting} tabIndex={0}>
      <Table aria-label={caption} variant="compact" gridBreakPoint="grid-md">
        <Thead>
          <Tr>
            {onSelect ? <Th aria-label={t("all")} select={{ isSelected: all, onSelect: (_, on) => onSelect(new Set(on ? rows.map(rowKey) : [])) }} /> : null}
            {columns.map((c) => <Th key={c.key} modifier={c.wide ? "wrap" : "nowrap"} className={c.number ? "inari-number" : ""}>{c.label}</Th>)}
            {actions ? <Th screenReaderText={t("menu")} /> : null}
          </Tr>
        </Thead>
        <Tbody>
          {rows.map((row, i) => {
            const key = rowKey(row);
            return (
              <tr key={key} className={looks.tableTr}>
                {onSelect ? <Td select={{ rowIndex: i, isSelected: selected?.has(key) ?? false, onSelect: (_, on) => pick(key, on) }} /> : null}
                <Cells row={row} columns={columns} />
                {actions ? <Td isActionCell>{actions(row)}</Td> : null}
              </tr>
            );
          })}
        </Tbody>
      </Table>
    </div>
  );
}

export const PAGE_SIZES = [20, 50, 100] as const;
export type PageSize = (typeof PAGE_SIZES)[number];
const KEPT = "inari.rows";
/** Rows of a list that the URL says nothing about. */
export function pageSize(): PageSize {
  return PAGE_SIZES.find((n) => String(n) === localStorage.getItem(KEPT)) ?? 50;
}
export function keepPageSize(n: PageSize): void {
  localStorage.setItem(KEPT, String(n));
}

/** Under a list: how many rows a page has and the way to the next; both live in the URL ("limit", "cursor"). */
export function Pager({ next, note }: { next: string | null | undefined; note?: ReactNode }) {
  const { t } = useTranslation(), url = useUrlState();
  return (
    <Flex className="inari-pager" alignItems={{ default: "alignItemsCenter" }}>
      <FlexItem>{note}</FlexItem>
      <FlexItem align={{ default: "alignRight" }}>
        <FormSelect aria-label={t("rows")} value={url.get("limit") || String(pageSize())} onChange={(_, v) => url.set({ limit: v === String(pageSize()) ? "" : v })}>
          {PAGE_SIZES.map((n) => <FormSelectOption key={n} value={String(n)} label={`${t("rows")}: ${n}`} />)}
        </FormSelect>
      </FlexItem>
      <FlexItem><Button variant="secondary" isDisabled={url.get("cursor") === ""} onClick={() => url.set({ cursor: "" }, { push: true })}>{t("first_page")}</Button></FlexItem>
      <FlexItem><Button variant="secondary" isDisabled={!next} onClick={() => url.set({ cursor: next ?? "" }, { push: true })}>{t("next_page")}</Button></FlexItem>
    </Flex>
  );
}
/** limit and cursor of the URL as parameters of the API. */
export function pageOf(url: { get: (name: string) => string }): { limit: number; cursor?: string } {
  const limit = Number(url.get("limit")), cursor = url.get("cursor");
  return { limit: PAGE_SIZES.find((n) => n === limit) ?? pageSize(), ...(cursor === "" ? {} : { cursor }) };
}
