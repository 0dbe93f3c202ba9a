import { useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { currentLanguage, LANGUAGES, type Language, setLanguage } from "../i18n";
import { ToggleGroup, ToggleGroupItem } from "../ui";

export function LanguageSwitch({ onChoose }: { onChoose?: (l: Language) => void }) {
  const { t } = useTranslation(), queries = useQueryClient(), now = currentLanguage();
  // the parent's own sentences come in the language of the request
  const choose = async (l: Language) => { await setLanguage(l); onChoose?.(l); await queries.invalidateQueries(); };
  return (
    <ToggleGroup aria-label={t("language")} isCompact>
      {(Object.keys(LANGUAGES) as Language[]).map((l) => (
        <ToggleGroupItem key={l} text={<span lang={l}>{LANGUAGES[l]}</span>} buttonId={`lang-${l}`} isSelected={l === now} onChange={() => void choose(l)} />
      ))}
    </ToggleGroup>
  );
}
