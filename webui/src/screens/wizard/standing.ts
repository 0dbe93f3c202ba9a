// Where a new site stands: read from what the parent has, so that the wizard goes on where it was, in any browser.
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";

export type Device = Schemas["Device"];
export type Command = Schemas["Command"];
export const STEPS = ["password", "placement", "mail", "join", "service", "test"] as const;
export type Step = (typeof STEPS)[number];
/** Where the gateway stands; the first is possible, not advised. */
export const PLACEMENTS = ["open", "outside", "inside", "dmz"] as const;
export type Placement = (typeof PLACEMENTS)[number];
export const isPlacement = (s: string): s is Placement => (PLACEMENTS as readonly string[]).includes(s);
/** What the parent's model knows: reachable from outside, or behind another gateway. */
export const placementOf = (p: Placement): "edge" | "inner" => (p === "inside" ? "inner" : "edge");

const SENT = ["sent", "delivered"];
export interface Standing {
  done: Record<Step, boolean>;
  /** The first that is not done; null: all are. */
  next: Step | null;
  devices: Device[];
  domains: string[];
  tests: Command[];
}

const REFRESH_MS = 2000;
export function useStanding(placement: string): { standing: Standing | null; error: unknown; retry: () => void } {
  const devices = useGet("/api/v1/devices", { query: { limit: 50 } }, { every: REFRESH_MS });
  const fleet = useGet("/api/v1/settings", { query: { layer: "fleet" } }, { every: REFRESH_MS });
  const tests = useGet("/api/v1/commands", { query: { kind: "test-message", limit: 20 } }, { every: REFRESH_MS });
  const error = devices.error ?? fleet.error ?? tests.error, retry = () => { void devices.refetch(); void fleet.refetch(); void tests.refetch(); };
  if (devices.data === undefined || fleet.data === undefined || tests.data === undefined) return { standing: null, error, retry };
  const there = devices.data.data.items.filter((d) => !["rejected", "revoked", "retired"].includes(d.state));
  const settings = (fleet.data.data as { settings: Record<string, unknown> }).settings, domains = Object.keys((settings["smtp.relay_domains"] as object | undefined) ?? {});
  const joined = there.some((d) => d.state !== "pending"), mail = domains.length > 0;
  const done: Record<Step, boolean> = {
    password: true, // who has to choose one sees nothing else
    placement: isPlacement(placement) || mail || there.length > 0,
    mail,
    join: joined,
    service: there.some((d) => d.mode === "manage" && d.sync === "in-sync"),
    test: tests.data.data.items.some((c) => c.state === "done" && SENT.includes(String((c.result as { status?: unknown } | null)?.status))),
  };
  return { standing: { done, next: STEPS.find((s) => !done[s]) ?? null, devices: there, domains, tests: tests.data.data.items }, error: null, retry };
}
