// Sizes as people say them, in powers of 1024.
import { currentLanguage } from "../i18n";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
export function bytesText(n: number): string {
  let i = 0, x = Math.max(0, n);
  while (x >= 1024 && i < UNITS.length - 1) { x /= 1024; i++; }
  return `${new Intl.NumberFormat(currentLanguage(), { maximumFractionDigits: i === 0 || x >= 100 ? 0 : 1 }).format(x)} ${UNITS[i]}`;
}
