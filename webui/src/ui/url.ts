// The URL is the state: filters, sort, page and tab live in the query string, so that reload, Back and a link sent to a
// colleague show the same thing.
import { useCallback } from "react";
import { useSearchParams } from "react-router";

export interface UrlState {
  get: (name: string) => string;
  /** Empty values leave the URL. A change of a filter goes back to the first page unless it names the cursor itself. */
  set: (changes: Record<string, string>, options?: { push?: boolean }) => void;
}

export function useUrlState(): UrlState {
  const [params, setParams] = useSearchParams();
  const get = useCallback((name: string) => params.get(name) ?? "", [params]);
  const set = useCallback((changes: Record<string, string>, options: { push?: boolean } = {}) => {
    setParams((old) => {
      const next = new URLSearchParams(old);
      if (!("cursor" in changes)) next.delete("cursor");
      for (const [k, v] of Object.entries(changes)) {
        if (v === "") next.delete(k);
        else next.set(k, v);
      }
      return next;
    }, { replace: !(options.push ?? false) });
  }, [setParams]);
  return { get, set };
}
