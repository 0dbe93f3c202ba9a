// Single keys: "/" searches, "?" helps, "g" and a letter goes to a screen.  Never while one types or a dialog is open, and not at
// all for whoever has switched them off (WCAG 2.1.4).
const KEPT = "inari.keys";
export function keysOn(): boolean {
  return localStorage.getItem(KEPT) !== "off";
}
export function keepKeys(on: boolean): void {
  if (on) localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, "off");
}

const typing = (e: Element | null) => e instanceof HTMLElement && (e.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(e.tagName));
/** What a key does: true when it was taken.  Gives the way to stop. */
export function onKeys(act: (key: string) => boolean): () => void {
  const seen = (e: KeyboardEvent) => {
    if (!keysOn() || e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || e.isComposing || typing(document.activeElement) || document.querySelector('[role="dialog"]') !== null) return;
    if (act(e.key)) e.preventDefault();
  };
  document.addEventListener("keydown", seen);
  return () => document.removeEventListener("keydown", seen);
}
