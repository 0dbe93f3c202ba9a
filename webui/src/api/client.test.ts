// Answers of the parent as screens get them.
import { expect, test } from "vitest";
import { ApiError, unwrap } from "./client";

const raw = (status: number, body: object, headers: Record<string, string> = {}) =>
  Promise.resolve({ response: new Response(null, { status, headers }), ...(status < 400 ? { data: body } : { error: body }) });

test("a good answer comes with its version", async () => {
  const a = await unwrap<{ id: string }>(raw(200, { id: "x" }, { ETag: '"7"' }));
  expect(a.data).toEqual({ id: "x" });
  expect(a.etag).toBe('"7"');
});
test("a problem is thrown with the parent's words, and how long to wait", async () => {
  const e = await unwrap(raw(429, { title: "Slow down", detail: "Too many" }, { "Retry-After": "7" })).catch((x: unknown) => x);
  expect(e).toBeInstanceOf(ApiError);
  expect(e).toMatchObject({ status: 429, retryAfter: 7, problem: { title: "Slow down" }, message: "Too many" });
});
test("an error without a problem document is one all the same", async () => {
  const e = await unwrap(raw(502, {})).catch((x: unknown) => x);
  expect(e).toMatchObject({ status: 502, problem: {}, retryAfter: null });
});
