// The parent's API as this page uses it.  One fetch for everything: language, the header that stops forged requests, the
// login dialog when a session has ended (the request is then sent once more), and errors as problem documents (RFC 9457).
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.gen";
import { currentLanguage } from "../i18n";

export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];
export type Paths = paths;

/** What a call ended with: the parent's problem document, or status 0 when the parent did not answer at all. */
export class ApiError extends Error {
  constructor(readonly status: number, readonly problem: Partial<Problem>, readonly retryAfter: number | null = null) {
    super(problem.detail ?? problem.title ?? "");
  }
}

/** Set by the frame: shows the login dialog over the page; resolves true when somebody has signed in again. */
let signInAgain: (() => Promise<boolean>) | null = null;
export function onSessionEnd(ask: (() => Promise<boolean>) | null): void {
  signInAgain = ask;
}

/** The build the parent served last: a tab older than it offers a reload. */
let buildSeen: (() => void) | null = null;
export function onAnswer(seen: (() => void) | null): void {
  buildSeen = seen;
}

async function send(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw new ApiError(0, {});
  }
}

async function withSession(request: Request): Promise<Response> {
  const again = request.clone();
  const answer = await send(request);
  buildSeen?.();
  const login = request.method === "POST" && new URL(request.url).pathname === "/api/v1/session";
  if (answer.status !== 401 || login || signInAgain === null) return answer;
  return (await signInAgain()) ? send(again) : answer;
}

export const client = createClient<paths>({ baseUrl: window.location.origin, credentials: "same-origin", cache: "no-store", fetch: withSession });
client.use({
  onRequest({ request }) {
    request.headers.set("Accept-Language", currentLanguage());
    if (request.method !== "GET" && request.method !== "HEAD") request.headers.set("X-Inari-Request", "1");
    return request;
  },
});

/** One good answer: what it says and the version it has (for If-Match). */
export interface Answer<T> {
  data: T;
  etag: string;
  at: number; // ms since the epoch, this browser's clock
}

interface Raw { data?: unknown; error?: unknown; response: Response }

/** The answer, or an ApiError is thrown. */
export async function unwrap<T>(call: Promise<Raw>): Promise<Answer<T>> {
  const { data, error, response } = await call;
  if (!response.ok) {
    const retry = Number(response.headers.get("Retry-After"));
    const problem = typeof error === "object" && error !== null ? (error as Partial<Problem>) : {};
    throw new ApiError(response.status, problem, Number.isFinite(retry) && retry > 0 ? retry : null);
  }
  return { data: data as T, etag: response.headers.get("ETag") ?? "", at: Date.now() };
}
