// CatalogForm: the settings of one area at one layer, drawn from GET /catalog.  It holds nothing itself: what is published,
// what the draft says and what was changed here and not saved come in, changes go out.
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { addTexts } from "../../i18n";
import { Button, ExpandableSection, Form, FormGroup, FormHelperText, HelperText, HelperTextItem, Label } from "../kit";
import { editOf, withEdit, willSay } from "./edit";
import en from "./texts.en.json";
import ja from "./texts.ja.json";
import { isMarker, type Json, type LayerView, marker, placeOf, same, type Setting, valueFrom, type Values } from "./layers";
import { ListField } from "./list";
import { Scalar } from "./scalar";
import { LayerName } from "./where";
import { numberWords, valueWords } from "./words";

addTexts("catalog", { en, ja });

export type Finding = Schemas["Finding"];
export interface CatalogFormProps {
  settings: Setting[];
  /** This layer with what is published at it; and those below it, lowest first. */
  layer: LayerView;
  below: LayerView[];
  /** What the draft changes at this layer. */
  draft: Values;
  edits: Values;
  onEdits: (next: Values) => void;
  findings: Finding[];
  readOnly: boolean;
  /** The setting that somebody came for. */
  wanted?: string;
}

/** The findings of one setting of this layer. */
export function findingsOf(findings: Finding[], layer: LayerView, key: string): Finding[] {
  const part = layer.layer === "group" ? "groups" : layer.layer === "device" ? "devices" : "fleet";
  return findings.filter((f) => {
    const place = placeOf(f.pointer);
    return place !== null && place.key === key && place.part === part && (part === "fleet" || place.id === layer.id);
  });
}

function limits(s: Setting): "range" | "length" | "hops" | null {
  if (s.min !== undefined && s.max !== undefined && ["int", "bytes", "duration"].includes(s.type)) return "range";
  return s.type === "text" && s.max !== undefined ? "length" : s.type === "hostport" && s.max !== undefined ? "hops" : null;
}

function Help({ of: s, findings, id }: { of: Setting; findings: Finding[]; id: string }) {
  const { t } = useTranslation(), limit = limits(s);
  return (
    <FormHelperText>
      <HelperText id={id} component="div">
        {findings.map((f) => (
          <HelperTextItem key={f.id + f.pointer + f.message} variant={f.warning ? "warning" : "error"} screenReaderText="">
            {t(f.warning ? "warning" : "danger")}: {t("finding_words", { message: f.message, remedy: f.remedy })}
          </HelperTextItem>
        ))}
        <HelperTextItem>
          {s.help}{" "}
          {limit === "range" ? t("catalog:range", { min: numberWords(s.type, s.min ?? 0, t), max: numberWords(s.type, s.max ?? 0, t) }) : limit === "length" ? t("catalog:length", { max: s.max }) : limit === "hops" ? t("catalog:hops", { count: s.max ?? 1 }) : ""}
        </HelperTextItem>
      </HelperText>
    </FormHelperText>
  );
}

function Badges({ of: s }: { of: Setting }) {
  const { t } = useTranslation();
  return (
    <span className="inari-badges">
      <code>{s.key}</code>{" "}
      {s.apply === "restart" ? <Label isCompact color="orange">{t("catalog:apply_restart")}</Label> : null}{" "}
      {s.needs ? <Label isCompact color="grey">{t("catalog:needs", { what: s.needs })}</Label> : null}
    </span>
  );
}

function SettingRow({ of: s, p }: { of: Setting; p: CatalogFormProps }) {
  const { t } = useTranslation();
  const { layer, below, draft, edits, onEdits } = p, id = `field-${s.key}`, helpId = `help-${s.key}`;
  const published = layer.settings[s.key], own = willSay(s, layer.settings, draft, edits);
  const lower = valueFrom(s, below), found = valueFrom(s, [...below, { ...layer, settings: own === undefined ? {} : { [s.key]: own } }]);
  const findings = findingsOf(p.findings, layer, s.key), scope = layer.layer === "builtin" ? "fleet" : layer.layer;
  const elsewhere = !s.scope.includes(scope), disabled = p.readOnly || elsewhere, edited = edits[s.key] !== undefined;
  const put = (target: Json | undefined) => onEdits(withEdit(edits, s.key, editOf(target, published, draft[s.key])));
  // back to what is inherited by hand is no value of its own
  const change = (v: Json) => put(published === undefined && same(v, lower.value) ? undefined : v);
  return (
    <div className="inari-setting" id={`setting-${s.key}`}>
      <FormGroup label={s.label} fieldId={id} labelInfo={<Badges of={s} />}>
        {s.type === "list" ? <ListField of={s} layer={layer} below={below} draft={draft} edits={edits} onEdits={onEdits} disabled={disabled} />
          : <Scalar id={id} of={s} value={found.value} onChange={change} disabled={disabled} invalid={findings.some((f) => !f.warning)} describedBy={helpId} />}
        <div className="inari-origin">
          {s.type === "list" ? null : <span>{t("catalog:value_from")} <LayerName of={found.from} here={own !== undefined} />{isMarker(own, "$unset") ? ` (${t("catalog:to_default")})` : ""}</span>}
          {edited ? <Label isCompact color="purple">{t("catalog:not_saved")}</Label> : draft[s.key] !== undefined ? <Label isCompact color="blue">{t("catalog:in_draft")}</Label> : null}
          {s.type !== "list" && (edited || draft[s.key] !== undefined) ? <span>{t("catalog:published", { value: valueWords(s, valueFrom(s, [...below, layer]).value, t) })}</span> : null}
          {edited && !disabled ? <Button variant="link" isInline size="sm" aria-label={t("catalog:undo_edit_of", { label: s.label })} onClick={() => onEdits(withEdit(edits, s.key, undefined))}>{t("catalog:undo_edit")}</Button> : null}
          {own !== undefined && !disabled && s.type !== "list" ? <Button variant="link" isInline size="sm" aria-label={t(below.length === 0 ? "catalog:use_default_of" : "catalog:inherit_of", { label: s.label, value: valueWords(s, below.length === 0 ? (s.default as Json) : lower.value, t) })} onClick={() => put(undefined)}>
            {below.length === 0 ? t("catalog:use_default", { value: valueWords(s, s.default as Json, t) }) : t("catalog:inherit", { value: valueWords(s, lower.value, t) })}</Button> : null}
          {below.length > 0 && !disabled && s.type !== "list" && !isMarker(own, "$unset") && !same(lower.value, s.default as Json)
            ? <Button variant="link" isInline size="sm" aria-label={t("catalog:use_default_of", { label: s.label, value: valueWords(s, s.default as Json, t) })} onClick={() => put(marker("$unset"))}>{t("catalog:use_default", { value: valueWords(s, s.default as Json, t) })}</Button> : null}
          {elsewhere ? <span>{t(s.scope.includes("device") ? "catalog:only_device" : "catalog:only_fleet")}</span> : null}
        </div>
        <Help of={s} findings={findings} id={helpId} />
      </FormGroup>
    </div>
  );
}

export function CatalogForm(p: CatalogFormProps) {
  const { t } = useTranslation(), box = useRef<HTMLDivElement>(null);
  const plain = p.settings.filter((s) => !s.advanced), advanced = p.settings.filter((s) => s.advanced);
  const calls = advanced.some((s) => s.key === p.wanted || findingsOf(p.findings, p.layer, s.key).length > 0 || p.edits[s.key] !== undefined || p.draft[s.key] !== undefined);
  const [open, setOpen] = useState(false), shown = open || calls;
  useEffect(() => {
    if (p.wanted === undefined || p.wanted === "") return;
    const at = box.current?.querySelector(`[id="setting-${CSS.escape(p.wanted)}"]`);
    at?.scrollIntoView({ block: "center" });
    (box.current?.querySelector(`[id="field-${CSS.escape(p.wanted)}"]`) as HTMLElement | null)?.focus({ preventScroll: true });
  }, [p.wanted, shown]);
  return (
    <div ref={box}>
      <Form onSubmit={(e) => e.preventDefault()} className="inari-catalog">
        {plain.map((s) => <SettingRow key={s.key} of={s} p={p} />)}
        {advanced.length === 0 ? null : (
          <ExpandableSection toggleText={t("catalog:advanced", { count: advanced.length })} isExpanded={shown} onToggle={(_, on) => setOpen(on)} isIndented>
            {shown ? advanced.map((s) => <SettingRow key={s.key} of={s} p={p} />) : null}
          </ExpandableSection>
        )}
      </Form>
    </div>
  );
}
