// The members of a strategy as a form: each says what it does and what counts while it is empty.
import { useTranslation } from "../../i18n/use";
import { addTexts } from "../../i18n";
import { ExpandableSection, FormGroup, FormSelect, FormSelectOption, HelperText, HelperTextItem, TextInput } from "../../ui";
import en from "./fields.en.json";
import ja from "./fields.ja.json";
import { type Entered, type Field, GROUPS, type Strategy, valueOf, valueText } from "./fields";

addTexts("strategy", { en, ja });

interface Props {
  /** Of the ids, where two forms could meet. */
  id: string;
  /** What counts where nothing is entered. */
  instead: Strategy;
  entered: Entered;
  onEnter: (entered: Entered) => void;
  of: "policy" | "publish";
  locked?: boolean;
}

function Input({ id, field: f, instead, entered, onEnter, locked = false }: Props & { field: Field }) {
  const { t } = useTranslation("strategy"), text = entered[f.name] ?? "", otherwise = valueText(t, f, instead[f.name]), value = valueOf(f, text), at = `${id}-${f.name}`;
  const set = (x: string) => onEnter({ ...entered, [f.name]: x });
  const choices = f.kind === "choice" ? f.options.map((x) => [x, valueText(t, f, x as "auto")] as const) : f.kind === "yes" ? (["yes", "no"] as const).map((x) => [x, t(`common:${x}`)] as const) : null;
  const unit = f.kind === "number" && f.unit === "second" && typeof value === "number" ? valueText(t, f, value) : "";
  return (
    <FormGroup label={t(`l_${f.name}`)} fieldId={at}>
      {choices ? (
        <FormSelect id={at} isDisabled={locked} value={text} onChange={(_, x) => set(x)} aria-describedby={`${at}-help`}>
          <FormSelectOption value="" label={t("otherwise", { value: otherwise })} />
          {choices.map(([x, label]) => <FormSelectOption key={x} value={x} label={label} />)}
        </FormSelect>
      ) : (
        <TextInput id={at} isDisabled={locked} inputMode={f.kind === "number" ? "numeric" : "text"} autoComplete="off" className={f.kind === "waves" ? "" : "inari-narrow"} value={text} onChange={(_, x) => set(x)} maxLength={400}
          validated={value === undefined ? "error" : "default"} aria-describedby={`${at}-help`} />
      )}
      <HelperText id={`${at}-help`} isLiveRegion={value === undefined}>
        {value === undefined ? <HelperTextItem variant="error">{f.kind === "number" ? t("fault_number", { min: f.min, max: f.max }) : t(f.kind === "waves" ? "fault_waves" : "fault_share")}</HelperTextItem> : null}
        <HelperTextItem>{t(`h_${f.name}`)} {text === "" && !choices ? t("empty", { value: otherwise }) : unit}</HelperTextItem>
      </HelperText>
    </FormGroup>
  );
}

/** In words: what a rollout does with these values. */
export function Sense({ of: s }: { of: Strategy }) {
  const { t } = useTranslation("strategy"), word = (name: Field["name"]) => { const f = GROUPS.flatMap((g) => g.fields).find((x) => x.name === name); return f ? valueText(t, f, s[name]) : ""; };
  return (
    <ul>
      <li>{t(`sense_${s.strategy ?? "auto"}`, { small: word("small_fleet"), waves: word("waves") })} {t("sense_unavailable", { devices: word("max_unavailable") })}</li>
      <li>{t("sense_watch", { canary: word("canary_bake_s"), bake: word("bake_s") })}</li>
      <li>{t(`sense_${s.on_failure ?? "halt"}`, { failures: word("max_failures") })} {t("sense_silent", { deadline: word("apply_deadline_s"), offline: word("offline_after_s") })}</li>
      <li>{t(`sense_shadow_${s.shadow ?? "auto"}`)}</li>
      {s.approval ? <li>{t("sense_approval")}</li> : null}
    </ul>
  );
}

export function StrategyFields(p: Props) {
  const { t } = useTranslation("strategy");
  return (
    <>
      {GROUPS.map((g) => {
        const fields = g.fields.filter((f) => p.of === "policy" || (f.only === undefined && f.name !== "strategy")); // how it goes out is chosen above, when publishing
        return <ExpandableSection key={g.key} toggleText={t(`g_${g.key}`)} isIndented><div className="inari-fields">{fields.map((f) => <Input key={f.name} {...p} field={f} />)}</div></ExpandableSection>;
      })}
    </>
  );
}
