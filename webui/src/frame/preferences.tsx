// How the console looks to this person: kept with the account, so that the next browser shows it too.  This browser keeps a copy
// for the moment before somebody has signed in.
import i18next from "i18next";
import { useEffect, useState } from "react";
import { useTranslation } from "../i18n/use";
import type { Schemas } from "../api/client";
import { get, send } from "../api/use";
import { currentLanguage, LANGUAGES, type Language, setLanguage } from "../i18n";
import { Checkbox, currentZone, FormDialog, FormGroup, FormSelect, FormSelectOption, keepPageSize, keepZone, PAGE_SIZES, pageSize, useToast } from "../ui";
import { keepKeys, keysOn } from "./keys";
import { currentTheme, setTheme, type Theme } from "./theme";

type Preferences = Schemas["Preferences"];
const THEMES = ["auto", "light", "dark"] as const;

async function show(p: Preferences): Promise<void> {
  if (p.theme !== undefined) setTheme(p.theme);
  if (p.zone !== undefined) keepZone(p.zone);
  if (p.page_size !== undefined) keepPageSize(p.page_size);
  if (p.keys !== undefined) keepKeys(p.keys);
  if (p.lang !== undefined && p.lang !== currentLanguage()) await setLanguage(p.lang);
  else await i18next.changeLanguage(currentLanguage()); // every text and time is drawn anew
}

const UNSAVED = "inari.unsaved";
const unsaved = (): Preferences => JSON.parse(localStorage.getItem(UNSAVED) ?? "{}") as Preferences;
const save = (p: Preferences) => send("patch", "/api/v1/session/preferences", { body: p });

/** A choice made beside the dialog.  It holds here at once; a page that is left before the parent has it tells it from the next. */
export function remember(p: Preferences): void {
  const all = JSON.stringify({ ...unsaved(), ...p });
  localStorage.setItem(UNSAVED, all);
  void save(JSON.parse(all) as Preferences).then(() => { if (localStorage.getItem(UNSAVED) === all) localStorage.removeItem(UNSAVED); }).catch(() => undefined);
}

/** What was chosen in another browser holds here too; where it cannot be read, this browser's copy does. */
export function usePreferences(account: string | undefined): void {
  useEffect(() => {
    if (account === undefined) return;
    if (localStorage.getItem(UNSAVED) !== null) remember({});
    else void get("/api/v1/session/preferences").then((a) => { if (localStorage.getItem(UNSAVED) === null) return show(a.data as Preferences); }).catch(() => undefined);
  }, [account]);
}

export function PreferencesDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation(), toast = useToast();
  const [lang, setLang] = useState<Language>(currentLanguage()), [theme, keep] = useState<Theme>(currentTheme()), [zone, setZone] = useState(currentZone()), [rows, setRows] = useState(pageSize()), [keys, setKeys] = useState(keysOn());
  const zones = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((z) => z !== "UTC")];
  const keepAll = async () => {
    await show((await save({ lang, theme, zone, page_size: rows, keys })).data as Preferences);
    toast.show({ title: i18next.t("preferences_saved") });
  };
  return (
    <FormDialog title={t("preferences")} help={t("preferences_help")} verb={t("save")} onSend={keepAll} onClose={onClose}>
      <FormGroup label={t("language")} fieldId="preference-lang">
        <FormSelect id="preference-lang" value={lang} onChange={(_, v) => setLang(v as Language)}>{(Object.keys(LANGUAGES) as Language[]).map((l) => <FormSelectOption key={l} value={l} label={LANGUAGES[l]} />)}</FormSelect>
      </FormGroup>
      <FormGroup label={t("theme")} fieldId="preference-theme">
        <FormSelect id="preference-theme" value={theme} onChange={(_, v) => keep(v as Theme)}>{THEMES.map((x) => <FormSelectOption key={x} value={x} label={t(`theme_${x}`)} />)}</FormSelect>
      </FormGroup>
      <FormGroup label={t("time_zone")} fieldId="preference-zone">
        <FormSelect id="preference-zone" value={zone} onChange={(_, v) => setZone(v)}>{(zones.includes(zone) ? zones : [zone, ...zones]).map((z) => <FormSelectOption key={z} value={z} label={z} />)}</FormSelect>
      </FormGroup>
      <FormGroup label={t("rows")} fieldId="preference-rows">
        <FormSelect id="preference-rows" value={String(rows)} onChange={(_, v) => setRows(PAGE_SIZES.find((n) => String(n) === v) ?? 50)}>{PAGE_SIZES.map((n) => <FormSelectOption key={n} value={String(n)} label={String(n)} />)}</FormSelect>
      </FormGroup>
      <Checkbox id="preference-keys" label={t("keys_on")} description={t("keys_on_help")} isChecked={keys} onChange={(_, on) => setKeys(on)} />
    </FormDialog>
  );
}
