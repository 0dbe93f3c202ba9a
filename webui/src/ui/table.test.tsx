// What makes a list of a hundred rows quick: rows that did not change are not drawn again, and a language changes them all at once.
import { act } from "react";
import { createRoot } from "react-dom/client";
import { expect, test } from "vitest";
import { setLanguage } from "../i18n";
import { TextsProvider, useTranslation } from "../i18n/use";
import { type Column, DataTable } from "./table";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
interface Row { id: string; n: number }
let drawn: string[] = [];
function Word() {
  const { t } = useTranslation();
  return <b>{t("yes")}</b>;
}
const columns: Column<Row>[] = [{ key: "n", label: "n", cell: (r) => { drawn.push(r.id); return <>{r.n} <Word /></>; } }];

test("a row is drawn again when the parent says something else of it, all of them in another language", async () => {
  await setLanguage("en");
  const at = document.createElement("div"), root = createRoot(at), rows = [{ id: "a", n: 1 }, { id: "b", n: 2 }];
  const show = (list: Row[]) => act(() => root.render(<TextsProvider><DataTable caption="rows" columns={columns} rows={list} rowKey={(r) => r.id} /></TextsProvider>));
  show(rows);
  expect(drawn).toEqual(["a", "b"]);
  drawn = [];
  show([rows[0] as Row, { id: "b", n: 3 }]);
  expect(drawn).toEqual(["b"]);
  await act(() => setLanguage("ja"));
  expect([...at.querySelectorAll("td")].map((x) => x.textContent)).toEqual(["1 はい", "3 はい"]);
  expect(document.documentElement.lang).toBe("ja");
  act(() => root.unmount());
  await setLanguage("en");
});
