import { useQueryClient } from "@tanstack/react-query";
import { startTransition, useOptimistic } from "react";
import { useTranslation } from "../i18n/use";
import { LANGUAGES, type Language, setLanguage } from "../i18n";
import { ToggleGroup, ToggleGroupItem } from "../ui";

export function LanguageSwitch({ onChoose }: { onChoose?: (l: Language) => void }) {
  const { t, i18n } = useTranslation(), queries = useQueryClient(), [shown, show] = useOptimistic(i18n.language);
  // The switch answers at once, the page follows in pieces; the parent's own sentences come in the language of the request.
  const choose = (l: Language) => startTransition(async () => {
    show(l);
    await setLanguage(l);
    onChoose?.(l);
    void queries.invalidateQueries();
  });
  return (
    <ToggleGroup aria-label={t("language")} isCompact>
      {(Object.keys(LANGUAGES) as Language[]).map((l) => (
        <ToggleGroupItem key={l} text={<span lang={l}>{LANGUAGES[l]}</span>} buttonId={`lang-${l}`} isSelected={l === shown} onChange={() => choose(l)} />
      ))}
    </ToggleGroup>
  );
}
