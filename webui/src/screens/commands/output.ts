// What an order printed, as far as it is there: it grows while the order runs.
import { useEffect, useRef, useState } from "react";
import { get } from "../../api/use";
import type { Command } from "./words";

export interface Output { text: string; bytes: number; more: boolean; error: unknown }
const NOTHING: Output = { text: "", bytes: 0, more: false, error: null };

/** At most `max` bytes; "more" says that there are others. */
export function useOutput(command: Command | undefined, max: number, enabled = true): Output {
  const [shown, setShown] = useState<Output>(NOTHING), have = useRef({ id: "", text: "", next: 0, busy: false });
  const id = command?.id ?? "", bytes = command?.output_bytes ?? 0;
  useEffect(() => {
    const h = have.current;
    if (h.id !== id) {
      Object.assign(h, { id, text: "", next: 0, busy: false });
      setShown(NOTHING);
    }
    if (!enabled || id === "" || h.busy || h.next >= bytes) return;
    const read = async () => {
      h.busy = true;
      let error: unknown = null;
      try {
        while (h.id === id && h.next < bytes && h.next < max) {
          const page = (await get("/api/v1/commands/{id}/output", { path: { id }, query: { from: h.next } })).data;
          if (page.text === "" || page.next <= h.next || h.id !== id) break;
          h.text += page.text;
          h.next = page.next;
        }
      } catch (e) {
        error = e;
      }
      if (h.id !== id) return;
      h.busy = false;
      setShown({ text: h.text, bytes: h.next, more: h.next < bytes, error });
    };
    void read();
  }, [id, bytes, max, enabled, shown.bytes]);
  return shown;
}
