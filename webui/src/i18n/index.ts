// Both languages are on the page, so that switching needs no reload and loses no form.  Texts live beside the screens
// (screens/AREA/texts.en.json and .ja.json), the kit's own in i18n/; tests/browser checks that both hold the same keys.
import i18next from "i18next";
import en from "./common.en.json";
import ja from "./common.ja.json";

export const LANGUAGES = { en: "English", ja: "日本語" } as const;
export type Language = keyof typeof LANGUAGES;
const KEPT = "inari.lang";

function firstLanguage(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "ja") return kept;
  return navigator.language.startsWith("ja") ? "ja" : "en";
}

void i18next.init({
  lng: firstLanguage(),
  fallbackLng: false,
  ns: ["common"],
  defaultNS: "common",
  resources: { en: { common: en }, ja: { common: ja } },
  interpolation: { escapeValue: false }, // React writes text nodes only
  returnNull: false,
  initAsync: false,
});
document.documentElement.lang = i18next.language;

/** Texts of one area; called when its chunk is loaded. */
export function addTexts(area: string, texts: Record<Language, object>): void {
  for (const lang of ["en", "ja"] as const) i18next.addResourceBundle(lang, area, texts[lang], true, true);
}

export function currentLanguage(): Language {
  return i18next.language === "ja" ? "ja" : "en";
}

export async function setLanguage(lang: Language): Promise<void> {
  localStorage.setItem(KEPT, lang);
  await i18next.changeLanguage(lang);
}
