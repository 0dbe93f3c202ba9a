// Light, dark or as the system: the kit's dark colours hang on one class of <html>.
export type Theme = "auto" | "light" | "dark";
const KEPT = "inari.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

export function currentTheme(): Theme {
  const kept = localStorage.getItem(KEPT);
  return kept === "light" || kept === "dark" ? kept : "auto";
}
export function showTheme(theme = currentTheme()): void {
  const on = theme === "dark" || (theme === "auto" && dark.matches);
  document.documentElement.dataset["theme"] = on ? "dark" : "light"; // what is drawn goes by this
  document.documentElement.classList.toggle("pf-v6-theme-dark", on); // the one name of the kit outside ui/
}
export function setTheme(theme: Theme): void {
  if (theme === "auto") localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, theme);
  showTheme(theme);
}
dark.addEventListener("change", () => showTheme());
