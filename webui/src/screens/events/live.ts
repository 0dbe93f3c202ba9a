// Events as they are stored, from the parent's stream.  The browser goes on by itself from the last id after a break; a hidden
// tab closes the stream and goes on when it is seen again.
import { useEffect, useRef, useState } from "react";
import type { Schemas } from "../../api/client";
import { withQuery } from "../../frame/links";

export type Event = Schemas["Event"];
export type Link = "waiting" | "live" | "broken";
const KEPT = 200, DRAW_MS = 250, AGAIN_MS = 10_000;

export function useLive(on: boolean, query: Record<string, string>) {
  const [events, setEvents] = useState<Event[]>([]), [link, setLink] = useState<Link>("waiting"), [gap, setGap] = useState(false), waiting = useRef<Event[]>([]);
  const path = withQuery("/api/v1/events/stream", query);
  useEffect(() => { setEvents([]); setGap(false); waiting.current = []; }, [path]);
  useEffect(() => {
    if (!on) return undefined;
    let source: EventSource | null = null, missed = false, again: ReturnType<typeof setTimeout> | undefined;
    const close = () => { clearTimeout(again); source?.close(); source = null; };
    const openIt = () => {
      if (source !== null || document.visibilityState === "hidden") return;
      if (missed) setGap(true); // what came meanwhile is in the list, not here
      source = new EventSource(path);
      source.onopen = () => setLink("live");
      source.onerror = () => {
        setLink("broken");
        if (source?.readyState === EventSource.CLOSED) { missed = true; close(); again = setTimeout(openIt, AGAIN_MS); } // refused: the browser itself does not try again
      };
      source.onmessage = (m) => { if (m.data) waiting.current.push(JSON.parse(String(m.data)) as Event); };
      for (const name of ["gap", "overflow"]) source.addEventListener(name, () => setGap(true));
      source.addEventListener("end", () => { missed = true; close(); setLink("broken"); again = setTimeout(openIt, AGAIN_MS); });
    };
    const seen = () => { if (document.visibilityState === "hidden") { missed = source !== null || missed; close(); setLink("waiting"); } else openIt(); };
    const timer = setInterval(() => {
      const fresh = waiting.current.splice(0);
      if (fresh.length > 0) setEvents((old) => [...fresh.reverse(), ...old].slice(0, KEPT));
    }, DRAW_MS);
    openIt();
    document.addEventListener("visibilitychange", seen);
    return () => { clearInterval(timer); document.removeEventListener("visibilitychange", seen); close(); setLink("waiting"); };
  }, [on, path]);
  return { events, link, gap };
}
