// The draft that the forms of this account save into: the one it edited last, made when there is none.  Every save names the
// version it has seen; when somebody was faster, that is an ApiError 412 and nothing is stored.
import type { Schemas } from "./client";
import { get, send, useGet } from "./use";

export type Draft = Schemas["Draft"];
export type DraftHead = Schemas["DraftHead"];
export type Part = "fleet" | "groups" | "devices";
/** A layer as the API's draft has it. */
export interface Place { part: Part; id: string }

const LOOK_MS = 10_000;
const KEPT = "inari.draft";
const chosen = (): string => sessionStorage.getItem(KEPT) ?? "";
/** From now on the forms save into this one. */
export function chooseDraft(id: string): void {
  sessionStorage.setItem(KEPT, id);
}

const newest = (heads: DraftHead[]) => heads.toSorted((a, b) => b.updated_at.localeCompare(a.updated_at))[0];
export function useMyDraft(enabled = true): { draft: Draft | null; etag: string; mine: DraftHead[]; ready: boolean; error: unknown } {
  const list = useGet("/api/v1/drafts", { query: { owner: "me", limit: 100 } }, { every: LOOK_MS, enabled });
  const mine = list.data?.data.items ?? [], head = mine.find((d) => d.id === chosen()) ?? newest(mine);
  const one = useGet("/api/v1/drafts/{id}", { path: { id: head?.id ?? "" } }, { enabled: head !== undefined, every: LOOK_MS });
  const there = head !== undefined && one.data !== undefined && one.data.data.id === head.id;
  return {
    draft: there ? (one.data?.data ?? null) : null, etag: there ? (one.data?.etag ?? "") : "", mine,
    ready: !enabled || (list.data !== undefined && (head === undefined || there)), error: list.error ?? (head === undefined ? null : one.error),
  };
}

/** What a draft changes at a layer. */
export function changesAt(draft: Pick<Draft, "changes"> | null, at: Place): Record<string, unknown> {
  if (draft === null) return {};
  if (at.part === "fleet") return (draft.changes.fleet ?? {}) as Record<string, unknown>;
  return ((draft.changes[at.part] as Record<string, Record<string, unknown>> | undefined) ?? {})[at.id] ?? {};
}
export function patchAt(at: Place, patch: Record<string, unknown>): Schemas["Changes"] {
  return (at.part === "fleet" ? { fleet: patch } : { [at.part]: { [at.id]: patch } }) as Schemas["Changes"];
}

export interface Saved { id: string; etag: string; findings: Schemas["Finding"][] }
/** Merge a patch into the draft as it was seen; a new draft when there is none. */
export async function saveInto(draft: Draft | null, etag: string, changes: Schemas["Changes"]): Promise<Saved> {
  let id = draft?.id ?? "", match = etag, made = false;
  if (draft === null) {
    const fresh = await send("post", "/api/v1/drafts", { body: {} });
    id = fresh.data.id;
    match = fresh.etag;
    made = true;
  }
  try {
    const done = await send("patch", "/api/v1/drafts/{id}", { path: { id }, ifMatch: match, body: changes });
    chooseDraft(id);
    return { id, etag: done.etag, findings: (done.data as { findings?: Schemas["Finding"][] }).findings ?? [] };
  } catch (e) {
    if (made) await discard(id, match).catch(() => undefined); // nothing was stored: no empty draft stays behind
    throw e;
  }
}

export async function discard(id: string, etag: string): Promise<void> {
  await send("delete", "/api/v1/drafts/{id}", { path: { id }, ifMatch: etag });
}

export interface EditOfDraft { actor: string; at: string; keys: string[] }
/** Who edited a draft last, by the audit log, newest first; what they set. */
export async function editsOf(id: string): Promise<EditOfDraft[]> {
  const log = await get("/api/v1/audit", { query: { action: "draft.edit", limit: 50 } });
  return log.data.items.filter((x) => x.object === `draft/${id}`).map((x) => {
    const patch = ((x.detail as { patch?: Record<string, Record<string, unknown>> } | undefined)?.patch ?? {});
    const deep = [patch["groups"], patch["devices"]].flatMap((p) => Object.values(p ?? {})).flatMap((l) => Object.keys((l ?? {}) as object));
    return { actor: x.actor, at: x.at, keys: [...Object.keys(patch["fleet"] ?? {}), ...deep] };
  });
}
