import { useTranslation } from "react-i18next";
import { currentLanguage, LANGUAGES, type Language, setLanguage } from "../i18n";
import { ToggleGroup, ToggleGroupItem } from "../ui";

export function LanguageSwitch() {
  const { t } = useTranslation(), now = currentLanguage();
  return (
    <ToggleGroup aria-label={t("language")} isCompact>
      {(Object.keys(LANGUAGES) as Language[]).map((l) => (
        <ToggleGroupItem key={l} text={<span lang={l}>{LANGUAGES[l]}</span>} buttonId={`lang-${l}`} isSelected={l === now} onChange={() => void setLanguage(l)} />
      ))}
    </ToggleGroup>
  );
}
