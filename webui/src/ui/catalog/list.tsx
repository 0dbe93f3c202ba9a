// A setting that is a list of rows: what is in force, where each row comes from, what this layer adds, changes and hides.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { Button, Flex, FlexItem, Form, FormGroup, Label, Modal, ModalBody, ModalFooter, ModalHeader, SearchInput } from "../kit";
import { type Column, DataTable } from "../table";
import { Foreign } from "../text";
import { withRow, willSay } from "./edit";
import { type Json, type LayerView, marker, type RowFrom, type Rows, rowsFrom, rowsOf, type Setting, type Values } from "./layers";
import { Scalar } from "./scalar";
import { LayerName } from "./where";
import { valueWords } from "./words";

const SHOWN = 100;

interface Props {
  of: Setting;
  layer: LayerView;
  below: LayerView[];
  draft: Values;
  edits: Values;
  onEdits: (next: Values) => void;
  disabled: boolean;
}

function RowForm({ of: s, row, taken, onDone, onClose }: { of: Setting; row: RowFrom | null; taken: (key: string) => boolean; onDone: (key: string, row: Rows) => void; onClose: () => void }) {
  const { t } = useTranslation(), [key, setKey] = useState(row?.key ?? ""), fields = s.fields ?? [];
  const [values, setValues] = useState<Rows>(() => row === null
    ? Object.fromEntries(fields.filter((f) => f.required && f.default !== undefined).map((f) => [f.name, f.default as Json]))
    : { ...rowsOf(row.row) });
  const set = (name: string, v: Json) => setValues((all) => {
    const next = { ...all };
    if (v === "") delete next[name];
    else next[name] = v;
    return next;
  });
  const title = row === null ? t("catalog:add_row_to", { label: s.label }) : t("catalog:edit_row", { row: row.key });
  const missing = key.trim() === "" || fields.some((f) => f.required && (values[f.name] === undefined || values[f.name] === ""));
  const done = () => { if (!missing) onDone(key.trim(), values); };
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="row-title">
      <ModalHeader title={title} labelId="row-title" />
      <ModalBody>
        <Form id="row-form" onSubmit={(e) => { e.preventDefault(); done(); }}>
          {row !== null || s.row_key === undefined ? null : (
            <FormGroup label={s.row_key.label} fieldId="row-key" isRequired>
              <Scalar id="row-key" of={s.row_key} value={key} onChange={(v) => setKey(String(v))} />
              {taken(key.trim()) ? <p className="inari-note">{t("catalog:row_taken")}</p> : null}
            </FormGroup>
          )}
          {fields.map((f) => (
            <FormGroup key={f.name} label={f.label} fieldId={`row-${f.name}`} isRequired={f.required}>
              <Scalar id={`row-${f.name}`} of={f} value={values[f.name] ?? (f.default as Json | undefined)} onChange={(v) => set(f.name, v)} />
            </FormGroup>
          ))}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="row-form" isDisabled={missing}>{row === null ? t("catalog:add_row") : t("apply")}</Button>
        <Button variant="link" onClick={onClose}>{t("cancel")}</Button>
      </ModalFooter>
    </Modal>
  );
}

export function ListField({ of: s, layer, below, draft, edits, onEdits, disabled }: Props) {
  const { t } = useTranslation(), [search, setSearch] = useState(""), [open, setOpen] = useState<RowFrom | "new" | null>(null);
  const own = willSay(s, layer.settings, draft, edits), now: LayerView = { ...layer, settings: own === undefined ? {} : { [s.key]: own } };
  const rows = rowsFrom(s, [...below, now]), under = new Map(rowsFrom(s, below).map((r) => [r.key, r]));
  const found = search === "" ? rows : rows.filter((r) => `${r.key} ${JSON.stringify(r.row)}`.toLowerCase().includes(search.toLowerCase()));
  const changed = (key: string) => (rowsOf(edits[s.key])[key] !== undefined ? "edit" : rowsOf(draft[s.key])[key] !== undefined ? "draft" : null);
  const put = (key: string, target: Json | undefined) => onEdits(withRow(edits, s, key, target, layer.settings[s.key], draft[s.key]));
  // rows that are published here and that the draft or an edit takes out
  const gone = Object.keys(rowsOf(layer.settings[s.key])).filter((k) => rowsOf(own)[k] === undefined && changed(k) !== null && !under.has(k));
  const columns: Column<RowFrom>[] = [
    { key: "key", label: s.row_key?.label ?? s.label, wide: true, cell: (r) => <span className={r.hidden ? "inari-gone" : ""}><Foreign text={r.key} /></span> },
    ...(s.fields ?? []).map((f): Column<RowFrom> => ({ key: f.name, label: f.label, wide: f.type === "text", cell: (r) => {
      const v = rowsOf(r.row)[f.name] ?? (f.default as Json | undefined);
      return v === undefined || v === "" ? "" : <Foreign text={valueWords(f, v, t)} />;
    } })),
    { key: "from", label: t("catalog:from"), cell: (r) => (
      <>
        <LayerName of={r.from} here={r.from === now} />{" "}
        {r.hidden ? <Label isCompact color="orange">{t("catalog:row_hidden")}</Label> : null}{" "}
        {changed(r.key) === null ? null : <Label isCompact color={changed(r.key) === "edit" ? "purple" : "blue"}>{t(changed(r.key) === "edit" ? "catalog:not_saved" : "catalog:in_draft")}</Label>}
      </>
    ) },
  ];
  const actions = (r: RowFrom) => {
    const mine = rowsOf(own)[r.key] !== undefined;
    return (
      <Flex spaceItems={{ default: "spaceItemsXs" }} flexWrap={{ default: "nowrap" }}>
        {r.hidden || (s.fields ?? []).length === 0 ? null : <FlexItem><Button variant="link" size="sm" aria-label={t("catalog:edit_row", { row: r.key })} onClick={() => setOpen(r)}>{t("edit")}</Button></FlexItem>}
        {mine ? <FlexItem><Button variant="link" size="sm" aria-label={t(under.has(r.key) ? "catalog:row_back_of" : "catalog:row_remove_of", { row: r.key })} onClick={() => put(r.key, undefined)}>{t(under.has(r.key) ? "catalog:row_back" : "catalog:row_remove")}</Button></FlexItem>
          : <FlexItem><Button variant="link" size="sm" aria-label={t("catalog:row_hide_of", { row: r.key })} onClick={() => put(r.key, marker("$remove"))}>{t("catalog:row_hide")}</Button></FlexItem>}
      </Flex>
    );
  };
  return (
    <>
      <Flex>
        {rows.length > 10 ? <FlexItem><SearchInput aria-label={t("catalog:search_rows", { label: s.label })} placeholder={t("filter")} value={search} onChange={(_, v) => setSearch(v)} onClear={() => setSearch("")} /></FlexItem> : null}
        <FlexItem><Button id={`field-${s.key}`} variant="secondary" size="sm" isDisabled={disabled} onClick={() => setOpen("new")} aria-label={t("catalog:add_row_to", { label: s.label })}>{t("catalog:add_row")}</Button></FlexItem>
        {found.length > SHOWN ? <FlexItem>{t("catalog:rows_shown", { shown: SHOWN, count: found.length })}</FlexItem> : null}
      </Flex>
      {rows.length === 0 ? <p className="inari-note">{t("catalog:no_rows")}</p>
        : <DataTable caption={s.label} columns={columns} rows={found.slice(0, SHOWN)} rowKey={(r) => r.key} empty="filtered" {...(disabled ? {} : { actions })} />}
      {gone.map((k) => (
        <p key={k} className="inari-note"><s><Foreign text={k} /></s> <Label isCompact color={changed(k) === "edit" ? "purple" : "blue"}>{t(changed(k) === "edit" ? "catalog:not_saved" : "catalog:in_draft")}</Label>{" "}
          <Button variant="link" size="sm" isInline isDisabled={disabled} aria-label={t("catalog:row_keep_of", { row: k })} onClick={() => put(k, rowsOf(layer.settings[s.key])[k])}>{t("catalog:row_keep")}</Button></p>
      ))}
      {open === null ? null : (
        <RowForm of={s} row={open === "new" ? null : open} taken={(k) => rows.some((r) => r.key === k && !r.hidden)} onClose={() => setOpen(null)}
          onDone={(key, row) => { put(key, row); setOpen(null); }} />
      )}
    </>
  );
}
