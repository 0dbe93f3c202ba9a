// The parent's description of its API, as the reference reads it: api/openapi.yaml, put into this chunk by the build.
import document from "../../../../api/openapi.yaml";

export interface Schema {
  $ref?: string; type?: string | string[]; description?: string; enum?: unknown[]; const?: unknown; default?: unknown; format?: string; pattern?: string;
  minimum?: number; maximum?: number; minLength?: number; maxLength?: number; minItems?: number; maxItems?: number; uniqueItems?: boolean; writeOnly?: boolean;
  properties?: Record<string, Schema>; required?: string[]; items?: Schema; additionalProperties?: Schema | boolean; oneOf?: Schema[]; anyOf?: Schema[]; allOf?: Schema[];
}
interface Content { content?: Record<string, { schema?: Schema }> }
export interface Parameter { $ref?: string; name: string; in: "path" | "query" | "header"; required?: boolean; description?: string; schema: Schema }
export interface Response extends Content { $ref?: string; description: string }
interface Raw { operationId: string; tags: string[]; summary: string; "x-permission": string; parameters?: Parameter[]; requestBody?: Content & { required?: boolean }; responses: Record<string, Response> }
export interface Operation extends Raw { path: string; method: "get" | "post" | "put" | "patch" | "delete" }

const METHODS = ["get", "post", "put", "patch", "delete"] as const;
const api = document as { tags: { name: string; description: string }[]; paths: Record<string, Partial<Record<string, Raw>>>; components: Record<string, Record<string, unknown>> };

export const areas = api.tags;
export const operations: Operation[] = Object.entries(api.paths).flatMap(([path, of]) => METHODS.flatMap((method) => (of[method] ? [{ ...of[method], path, method }] : [])));

/** What a reference stands for, and the name it has. */
export function resolved<T extends { $ref?: string }>(x: T): { value: T; name: string } {
  if (x.$ref === undefined) return { value: x, name: "" };
  const [, , part = "", name = ""] = x.$ref.split("/");
  return { value: (api.components[part]?.[name] ?? {}) as T, name };
}

/** The words typed in, each anywhere in what an operation is called. */
export function matching(text: string): Operation[] {
  const words = text.toLowerCase().split(/\s+/).filter((w) => w !== "");
  return operations.filter((o) => { const all = `${o.method} ${o.path} ${o.operationId} ${o.summary} ${o.tags.join(" ")}`.toLowerCase(); return words.every((w) => all.includes(w)); });
}

/** "string, 1–64 characters, ^[a-z]+$": the same in every language, as the document writes it. */
export function typeText(s: Schema): string {
  const said: string[] = [], type = Array.isArray(s.type) ? s.type.join(" | ") : (s.type ?? "");
  const range = (unit: string, min: number | undefined, max: number | undefined) => { if (min !== undefined || max !== undefined) said.push(`${min ?? ""}–${max ?? ""}${unit}`); };
  if (s.const !== undefined) said.push(JSON.stringify(s.const));
  else if (s.enum !== undefined) said.push(s.enum.map((x) => JSON.stringify(x)).join(" | "));
  else if (type !== "") said.push(s.format === undefined ? type : `${type} (${s.format})`);
  range("", s.minimum, s.maximum);
  range(" chars", s.minLength, s.maxLength);
  range(" items", s.minItems, s.maxItems);
  if (s.pattern !== undefined) said.push(s.pattern);
  if (s.default !== undefined) said.push(`= ${JSON.stringify(s.default)}`);
  return said.join(", ");
}

const EXAMPLE_DEPTH = 4;
/** A value of the shape: what must be there, to be filled in. */
export function example(of: Schema, depth = 0): unknown {
  const { value: s } = resolved(of), first = s.oneOf?.[0] ?? s.anyOf?.[0];
  if (s.const !== undefined) return s.const;
  if (s.default !== undefined) return s.default;
  if (s.enum !== undefined) return s.enum[0];
  if (s.allOf) return Object.assign({}, ...s.allOf.map((x) => example(x, depth)));
  if (first) return example(first, depth);
  const type = Array.isArray(s.type) ? s.type[0] : s.type;
  if (type === "object" || s.properties) return Object.fromEntries(Object.entries(s.properties ?? {}).filter(([k]) => depth < EXAMPLE_DEPTH && (s.required ?? []).includes(k)).map(([k, v]) => [k, example(v, depth + 1)]));
  if (type === "array") return depth < EXAMPLE_DEPTH && (s.minItems ?? 0) > 0 && s.items ? [example(s.items, depth + 1)] : [];
  return type === "integer" || type === "number" ? (s.minimum ?? 0) : type === "boolean" ? false : type === "null" ? null : "…";
}
