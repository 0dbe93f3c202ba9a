// One value of the catalog as a form field.  RENDERERS has one for every type of the API: a new type does not compile before
// somebody has drawn it.
import { type ReactElement, useState } from "react";
import { useTranslation } from "../../i18n/use";
import { Button, Flex, FlexItem, FormSelect, FormSelectOption, Switch, TextInput } from "../kit";
import type { Json, Setting, SettingField } from "./layers";
import { fromUnit, inUnit, type UnitKind, UNITS } from "./words";

export type Kind = Pick<Setting | SettingField, "type" | "enum" | "min" | "max" | "optional_empty" | "label">;
export interface ScalarProps {
  id: string;
  of: Kind;
  value: Json | undefined;
  onChange: (v: Json) => void;
  disabled?: boolean;
  invalid?: boolean;
  describedBy?: string;
}
type Renderer = (p: ScalarProps) => ReactElement;

function aria({ id, of, invalid, describedBy }: ScalarProps) {
  return { id, "aria-label": of.label, "aria-invalid": invalid ?? false, ...(describedBy ? { "aria-describedby": describedBy } : {}) };
}
function Bool(p: ScalarProps) {
  const { t } = useTranslation();
  return <Switch id={p.id} label={p.value === true ? t("yes") : t("no")} isChecked={p.value === true} isDisabled={p.disabled ?? false} onChange={(_, on) => p.onChange(on)} aria-label={p.of.label} />;
}
/** What is no whole number is sent as it was written: the parent says what is wrong with it. */
const numberOr = (text: string): Json => (/^\s*-?\d{1,15}\s*$/.test(text) ? Number(text) : text);
function Int(p: ScalarProps) {
  return <TextInput {...aria(p)} className="inari-narrow" inputMode="numeric" autoComplete="off" validated={p.invalid ? "error" : "default"} isDisabled={p.disabled ?? false}
    value={p.value === undefined || p.value === null ? "" : String(p.value)} onChange={(_, v) => p.onChange(numberOr(v))} />;
}
function WithUnit(p: ScalarProps & { kind: UnitKind }) {
  const { t } = useTranslation(), n = typeof p.value === "number" ? p.value : null;
  const [unit, setUnit] = useState<string>(() => inUnit(p.kind, n ?? 0).unit);
  const size = UNITS[p.kind].find(([u]) => u === unit)?.[1] ?? 1, fits = n !== null && n % size === 0;
  const shown = fits || n === null ? unit : inUnit(p.kind, n).unit; // a value from elsewhere: in the unit that it is whole in
  const text = n === null ? (p.value === undefined || p.value === null ? "" : String(p.value)) : String(n / (UNITS[p.kind].find(([u]) => u === shown)?.[1] ?? 1));
  const set = (words: string, u: string) => {
    const v = numberOr(words);
    p.onChange(typeof v === "number" ? fromUnit(p.kind, v, u) : v);
  };
  return (
    <Flex spaceItems={{ default: "spaceItemsXs" }} flexWrap={{ default: "nowrap" }}>
      <FlexItem><TextInput {...aria(p)} className="inari-narrow" inputMode="numeric" autoComplete="off" validated={p.invalid ? "error" : "default"} isDisabled={p.disabled ?? false} value={text}
        onChange={(_, v) => { setUnit(shown); set(v, shown); }} /></FlexItem>
      <FlexItem><FormSelect aria-label={t("catalog:unit_of", { label: p.of.label })} className="inari-unit" isDisabled={p.disabled ?? false} value={shown} onChange={(_, u) => { setUnit(u); set(text, u); }}>
        {UNITS[p.kind].map(([u]) => <FormSelectOption key={u} value={u} label={t(`catalog:unit_${u}`)} />)}
      </FormSelect></FlexItem>
    </Flex>
  );
}
function Choice(p: ScalarProps) {
  const options = p.of.enum ?? [], known = options.some((o) => o.value === p.value);
  return (
    <FormSelect {...aria(p)} isDisabled={p.disabled ?? false} validated={p.invalid ? "error" : "default"} value={p.value === undefined ? "" : String(p.value)} onChange={(_, v) => p.onChange(v)}>
      {known ? null : <FormSelectOption value={p.value === undefined ? "" : String(p.value)} label={p.value === undefined ? "" : String(p.value)} />}
      {options.map((o) => <FormSelectOption key={o.value} value={o.value} label={o.label} />)}
    </FormSelect>
  );
}
const EXAMPLES: Partial<Record<Kind["type"], string>> = {
  address: "192.0.2.25", cidr: "192.0.2.0/24", host: "mx1.example.com", domain: "example.com", hostport: "[mail.example.com]:25", path: "/etc/ssl/certs/mail.pem", mail: "postmaster@example.com",
};
function Text(p: ScalarProps) {
  return <TextInput {...aria(p)} autoComplete="off" spellCheck={false} autoCapitalize="none" {...(EXAMPLES[p.of.type] === undefined ? {} : { placeholder: EXAMPLES[p.of.type] })} isDisabled={p.disabled ?? false} validated={p.invalid ? "error" : "default"}
    value={typeof p.value === "string" ? p.value : ""} onChange={(_, v) => p.onChange(v)} />;
}
/** Write-only: what is kept is "sealed:ID" and is never shown; a new text goes in once. */
function Secret(p: ScalarProps) {
  const { t } = useTranslation(), kept = typeof p.value === "string" && p.value.startsWith("sealed:"), set = typeof p.value === "string" && p.value !== "";
  const [typing, setTyping] = useState(false);
  if (typing || (set && !kept))
    return (
      <Flex spaceItems={{ default: "spaceItemsXs" }} flexWrap={{ default: "nowrap" }}>
        <FlexItem grow={{ default: "grow" }}><TextInput {...aria(p)} type="password" autoComplete="new-password" maxLength={p.of.max ?? 255} validated={p.invalid ? "error" : "default"} value={kept ? "" : String(p.value ?? "")} onChange={(_, v) => p.onChange(v)} /></FlexItem>
      </Flex>
    );
  return (
    <Flex spaceItems={{ default: "spaceItemsSm" }} alignItems={{ default: "alignItemsCenter" }}>
      <FlexItem id={p.id} tabIndex={-1}>{set ? t("catalog:secret_set") : t("catalog:secret_not_set")}</FlexItem>
      <FlexItem><Button variant="secondary" size="sm" isDisabled={p.disabled ?? false} onClick={() => setTyping(true)}>{t("catalog:secret_new")}</Button></FlexItem>
      {set ? <FlexItem><Button variant="link" isInline isDisabled={p.disabled ?? false} onClick={() => p.onChange("")}>{t("catalog:secret_drop")}</Button></FlexItem> : null}
    </Flex>
  );
}
/** Lists are drawn by list.tsx. */
export const RENDERERS: Record<Exclude<Kind["type"], "list">, Renderer> = {
  bool: (p) => <Bool {...p} />,
  int: (p) => <Int {...p} />,
  port: (p) => <Int {...p} />,
  bytes: (p) => <WithUnit {...p} kind="bytes" />,
  duration: (p) => <WithUnit {...p} kind="duration" />,
  enum: (p) => <Choice {...p} />,
  text: (p) => <Text {...p} />,
  address: (p) => <Text {...p} />,
  cidr: (p) => <Text {...p} />,
  host: (p) => <Text {...p} />,
  domain: (p) => <Text {...p} />,
  hostport: (p) => <Text {...p} />,
  path: (p) => <Text {...p} />,
  mail: (p) => <Text {...p} />,
  secret: (p) => <Secret {...p} />,
};
export function Scalar(p: ScalarProps) {
  return p.of.type === "list" ? null : RENDERERS[p.of.type](p);
}
