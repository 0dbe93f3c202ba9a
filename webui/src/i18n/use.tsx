// Texts for components.  One subscription for the whole page: when the language changes, everything is drawn anew as one
// transition, in pieces between which the page answers; a list of a hundred rows is no reason to wait for a click.
import i18next, { type TFunction } from "i18next";
import { createContext, type ReactNode, startTransition, useContext, useEffect, useLayoutEffect, useState } from "react";

export interface Texts {
  /** As drawn: i18next.language is ahead of it while a change is being drawn. */
  i18n: { language: string; exists: (key: string) => boolean };
  /** The same function until the language changes: a memo may depend on it. */
  t: TFunction;
}
interface Drawn { language: string; byArea: Map<string, Texts> }
const drawnNow = (): Drawn => ({ language: i18next.language, byArea: new Map() });
const Context = createContext<Drawn>(drawnNow());

export function TextsProvider({ children }: { children: ReactNode }) {
  const [drawn, draw] = useState(drawnNow);
  useEffect(() => {
    const changed = () => startTransition(() => draw(drawnNow()));
    i18next.on("languageChanged", changed);
    return () => i18next.off("languageChanged", changed);
  }, []);
  useLayoutEffect(() => { document.documentElement.lang = drawn.language; }, [drawn]);
  return <Context value={drawn}>{children}</Context>;
}

export function useTranslation(area = "common"): Texts {
  const { language, byArea } = useContext(Context), before = byArea.get(area);
  if (before !== undefined) return before;
  const texts: Texts = { t: i18next.getFixedT(language, area), i18n: { language, exists: (key) => i18next.exists(key, { lng: language }) } };
  byArea.set(area, texts);
  return texts;
}
