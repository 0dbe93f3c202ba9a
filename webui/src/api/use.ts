// Reading and changing, for screens.  useGet keeps what it showed while it asks again; useSend sends one change, says what
// happened in a toast and asks for everything anew that the change may have touched.
import { useMutation, useQuery, useQueryClient, type UseMutationResult, type UseQueryResult } from "@tanstack/react-query";
import { type Answer, ApiError, client, type Paths, unwrap } from "./client";

export type Method = "get" | "post" | "put" | "patch" | "delete";
type With<M extends Method> = { [P in keyof Paths]: Paths[P] extends { [K in M]: object } ? P : never }[keyof Paths];
type Op<P extends keyof Paths, M extends Method> = Paths[P] extends { [K in M]: infer O } ? O : never;
type Json<T> = T extends { content: infer C } ? (C extends { "application/json": infer J } ? J : unknown) : unknown;
type Good<O> = O extends { responses: infer R } ? Json<R[Extract<keyof R, 200 | 201 | 202>]> : unknown;
type Params<O, In extends "path" | "query"> = O extends { parameters: { [K in In]?: infer T } } ? T : never;
type Body<O> = O extends { requestBody?: { content: infer C } } ? (C extends Record<string, infer B> ? B : never) : never;

export interface GetInit<P extends With<"get">> {
  path?: Params<Op<P, "get">, "path">;
  query?: Params<Op<P, "get">, "query">;
}
export interface GetOptions {
  enabled?: boolean;
  /** ms between looks; 0: only when asked. The page stops looking while its tab is hidden. */
  every?: number;
}
export type Got<T> = UseQueryResult<Answer<T>, ApiError>;

const paramsOf = (init: { path?: unknown; query?: unknown }) => ({ path: init.path, query: init.query });

/** One GET outside of a component (an export, a search as one types). */
export function get<P extends With<"get">>(path: P, init: GetInit<P> = {}, signal?: AbortSignal): Promise<Answer<Good<Op<P, "get">>>> {
  return unwrap(client.GET(path, { params: paramsOf(init), ...(signal ? { signal } : {}) } as never));
}

/** What was shown stays while a filter or a page changes; never what belongs to another device, layer or message. */
function sameThing(a: readonly unknown[], b: readonly unknown[]): boolean {
  const whose = (key: readonly unknown[]) => {
    const q = (key[2] ?? {}) as Record<string, unknown>;
    return JSON.stringify([key[0], key[1], q["layer"], q["device"], q["path"]]);
  };
  return whose(a) === whose(b);
}

export function useGet<P extends With<"get">>(path: P, init: GetInit<P> = {}, options: GetOptions = {}): Got<Good<Op<P, "get">>> {
  return useQuery<Answer<Good<Op<P, "get">>>, ApiError>({
    queryKey: [path, init.path ?? null, init.query ?? null],
    queryFn: ({ signal }) => get(path, init, signal),
    placeholderData: (before, of) => (of !== undefined && sameThing(of.queryKey, [path, init.path ?? null, init.query ?? null]) ? before : undefined),
    enabled: options.enabled ?? true,
    refetchInterval: options.every ? options.every : false,
    retry: (n, e) => n < 3 && (e.status === 0 || e.status === 503 || e.status === 502),
    staleTime: 1000,
  });
}

export interface SendInit<P extends keyof Paths, M extends Method> {
  path?: Params<Op<P, M>, "path">;
  query?: Params<Op<P, M>, "query">;
  body?: Body<Op<P, M>>;
  /** ETag of what was read. */
  ifMatch?: string;
}

/** One change.  A POST carries a key of its own, so that one sent again after a lost answer is not done twice. */
export function send<M extends Exclude<Method, "get">, P extends With<M>>(method: M, path: P, init: SendInit<P, M> = {}): Promise<Answer<Good<Op<P, M>>>> {
  const headers: Record<string, string> = {};
  if (init.ifMatch !== undefined && init.ifMatch !== "") headers["If-Match"] = init.ifMatch;
  if (method === "post" && path !== "/api/v1/session") headers["Idempotency-Key"] = crypto.randomUUID();
  if (method === "patch") headers["Content-Type"] = "application/merge-patch+json";
  const call = client[method.toUpperCase() as "POST"] as (path: never, init: never) => Promise<{ data?: unknown; error?: unknown; response: Response }>;
  return unwrap(call(path as never, { params: paramsOf(init), ...(init.body === undefined ? {} : { body: init.body }), headers } as never));
}

/** A change a screen offers.  `fn` uses send(); afterwards everything shown is asked for anew. */
export function useSend<V = void, R = unknown>(fn: (v: V) => Promise<R>): UseMutationResult<R, ApiError, V> {
  const queries = useQueryClient();
  return useMutation<R, ApiError, V>({ mutationFn: fn, onSettled: () => queries.invalidateQueries() });
}
