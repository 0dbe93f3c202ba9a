// Text from outside cannot hide or turn round what it says.
import { expect, test } from "vitest";
import { visible } from "./text";

test("control, bidi and invisible characters are shown", () => {
  expect(visible("invoice\u202efdp.exe")).toBe("invoice⟨U+202E⟩fdp.exe");
  expect(visible("a\u200bb\u0000c\u001b[31m")).toBe("a⟨U+200B⟩b⟨U+0000⟩c⟨U+001B⟩[31m");
});
test("ordinary text, Japanese and lines stay as they are", () => {
  expect(visible("件名: テスト\n\tok <b>")).toBe("件名: テスト\n\tok <b>");
});
