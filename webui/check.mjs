// check.mjs [FOLDER]: what the console's sources must keep, one line for each fault (none: nothing is printed).
//
// Texts: both languages of an area hold the same keys with the same placeholders, no key is unused, none is missing, nothing
// visible is written into the code, no English is left in Japanese.  A key built of parts, t(`state_${x}`), is checked with the
// types: when x is one of known words every member must be there; when it is any string, one key of the form must be.
// A list of keys in data ({ text: "nav_devices" }, then t(a.text)) counts as their use.
// Widgets: only ui/ knows the kit; screens take them from ui, and the settings' forms from ui/catalog (a part of its own: few need it).
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = resolve(process.argv[2] ?? dirname(fileURLToPath(import.meta.url)));
const src = join(root, "src");
const faults = new Set();
const fault = (file, line, text) => faults.add(`${relative(root, file)}${line ? `:${line}` : ""}: ${text}`);

/** Words that are the same in Japanese: names, units, protocols.  Anything else that has no Japanese in it is left-over English. */
const SAME_IN_BOTH = new Set(JSON.parse(readFileSync(join(root, "same-in-both.json"), "utf8")));
/** What stands on the screen as it is, in the code: the product's name, marks without words. */
const NO_TEXT = /^(Inari|curl|inarictl)$/u;
const LABELS = new Set(["aria-label", "placeholder", "title", "alt", "label", "text", "titleText", "header", "description", "heading", "verb", "caption", "helperText",
  "headerContent", "bodyContent", "toggleText", "content", "closeBtnAriaLabel", "aria-description", "aria-roledescription", "ariaLabel", "screenReaderText"]);

function walk(dir) {
  return readdirSync(dir).flatMap((n) => (statSync(join(dir, n)).isDirectory() ? walk(join(dir, n)) : [join(dir, n)]));
}
const files = walk(src).filter((f) => !f.endsWith(".gen.ts"));
const sources = files.filter((f) => /\.tsx?$/.test(f) && !/\.test\.tsx?$/.test(f));

// --- texts ------------------------------------------------------------------------------------------------------------------
const PLURAL = /_(zero|one|two|few|many|other)$/;
const bundles = new Map(); // area -> { file, keys: Set of keys as t() names them }
const pairs = files.filter((f) => f.endsWith(".en.json")).map((f) => [f, f.replace(/\.en\.json$/, ".ja.json")]);
const placeholders = (s) => [...s.matchAll(/\{\{-?\s*([\w.]+)[^}]*\}\}|<\/?(\w+)\s*\/?>/g)].map((m) => m[1] ?? `<${m[2]}>`).sort().join(" ");
for (const f of files.filter((x) => x.endsWith(".ja.json") && !existsSync(x.replace(/\.ja\.json$/, ".en.json")))) fault(f, 0, "has no English beside it");
for (const [enFile, jaFile] of pairs) {
  if (!existsSync(jaFile)) { fault(enFile, 0, "has no Japanese beside it"); continue; }
  const raw = [enFile, jaFile].map((f) => readFileSync(f, "utf8")), [en, ja] = raw.map((s) => JSON.parse(s));
  for (const [i, f] of [enFile, jaFile].entries()) {
    const seen = new Set();
    for (const [, k] of raw[i].matchAll(/"((?:[^"\\]|\\.)*)"\s*:/g)) { if (seen.has(k)) fault(f, 0, `key "${k}" stands there twice`); seen.add(k); }
    for (const [k, v] of Object.entries(i === 0 ? en : ja)) if (typeof v !== "string" || v.trim() === "") fault(f, 0, `key "${k}" has no text`);
  }
  // English has one and other, Japanese only other: the same key to t().
  const plural = (k) => PLURAL.test(k) && `${k.replace(PLURAL, "")}_one` in en && `${k.replace(PLURAL, "")}_other` in en;
  const base = (k) => (plural(k) ? k.replace(PLURAL, "") : k);
  const keys = { en: new Set(Object.keys(en).map(base)), ja: new Set(Object.keys(ja).map(base)) };
  for (const k of keys.en) if (!keys.ja.has(k)) fault(jaFile, 0, `key "${k}" is missing`);
  for (const k of keys.ja) if (!keys.en.has(k)) fault(jaFile, 0, `key "${k}" is not in the English texts`);
  for (const [k, v] of Object.entries(ja)) {
    const other = en[k] ?? en[`${k}_other`];
    if (typeof other === "string" && placeholders(other) !== placeholders(v)) fault(jaFile, 0, `key "${k}": other placeholders than in English`);
    const bare = v.replace(/\{\{[^}]*\}\}|<[^>]*>/g, "");
    if (/\p{L}/u.test(bare) && !/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(bare) && !SAME_IN_BOTH.has(v)) fault(jaFile, 0, `key "${k}" is not in Japanese: "${v}" (a name that is the same in both goes into same-in-both.json)`);
  }
  for (const [k, v] of Object.entries(en)) if (/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(v)) fault(enFile, 0, `key "${k}" is not in English`);
  const area = enFile.endsWith("common.en.json") ? "common" : null;
  bundles.set(enFile, { area, file: enFile, keys: keys.en, used: new Set() });
}

// --- the program ------------------------------------------------------------------------------------------------------------
const config = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config, ts.sys, root);
const program = ts.createProgram(sources, config.options), types = program.getTypeChecker();
const trees = sources.map((f) => program.getSourceFile(f));
const lineOf = (node) => node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).line + 1;
const visit = (node, fn) => { fn(node); ts.forEachChild(node, (c) => visit(c, fn)); };
const literal = (n) => (n !== undefined && ts.isStringLiteralLike(n) ? n.text : undefined);

// addTexts("area", { en, ja }): which file is which area.
for (const tree of trees) {
  const imports = new Map();
  for (const s of tree.statements) if (ts.isImportDeclaration(s) && literal(s.moduleSpecifier)?.endsWith(".en.json")) imports.set(s.importClause?.name?.text, resolve(dirname(tree.fileName), literal(s.moduleSpecifier)));
  visit(tree, (n) => {
    if (!ts.isCallExpression(n) || n.expression.getText() !== "addTexts" || n.arguments.length !== 2) return;
    const file = [...imports.values()][0], bundle = bundles.get(file);
    if (bundle) bundle.area = literal(n.arguments[0]);
  });
}
for (const b of bundles.values()) if (b.area === null) fault(b.file, 0, "no addTexts() takes these texts");
const byArea = (area) => [...bundles.values()].filter((b) => b.area === area);

/** The areas t() of this call looks into. */
function areasOf(callee) {
  const id = ts.isPropertyAccessExpression(callee) ? callee.name : callee;
  const declared = types.getSymbolAtLocation(id)?.declarations?.[0];
  let at = declared;
  while (at && !ts.isVariableDeclaration(at) && !ts.isParameter(at) && !ts.isSourceFile(at)) at = at.parent;
  const init = at && ts.isVariableDeclaration(at) ? at.initializer : undefined;
  if (init && ts.isCallExpression(init) && init.expression.getText() === "useTranslation") {
    const a = init.arguments[0];
    if (a === undefined) return ["common"];
    if (ts.isArrayLiteralExpression(a)) return a.elements.map(literal);
    return [literal(a)];
  }
  return null; // a t that was handed over: any area
}
/** What an expression can be: a list of texts, each piece a word or null (any string). */
function formsOf(e) {
  if (ts.isParenthesizedExpression(e)) return formsOf(e.expression);
  if (ts.isConditionalExpression(e)) return [...formsOf(e.whenTrue), ...formsOf(e.whenFalse)];
  if (literal(e) !== undefined) return [[literal(e)]];
  if (ts.isTemplateExpression(e)) {
    let forms = [[e.head.text]];
    for (const span of e.templateSpans) forms = forms.flatMap((f) => formsOf(span.expression).map((g) => [...f, ...g, span.literal.text]));
    return forms;
  }
  if (ts.isBinaryExpression(e) && e.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken) return [...formsOf(e.left), ...formsOf(e.right)];
  const type = types.getNonNullableType(types.getTypeAtLocation(e)), each = type.isUnion() ? type.types : [type];
  if (each.every((x) => x.isStringLiteral())) return each.map((x) => [x.value]);
  if (each.every((x) => x.isStringLiteral() || x.isNumberLiteral() || (x.flags & ts.TypeFlags.BooleanLiteral) !== 0)) return each.map((x) => [x.isStringLiteral() || x.isNumberLiteral() ? String(x.value) : types.typeToString(x)]);
  return [[null]];
}
const words = new Set(); // every string literal of the sources, for keys kept in data
const spread = []; // t(any string)
for (const tree of trees) {
  visit(tree, (n) => {
    if (ts.isStringLiteralLike(n)) words.add(n.text);
    if (!ts.isCallExpression(n) || n.arguments.length === 0) return;
    const name = ts.isPropertyAccessExpression(n.expression) ? n.expression.name.text : n.expression.getText();
    if (name !== "t" && !(ts.isIdentifier(n.expression) && areasOf(n.expression) && types.typeToString(types.getTypeAtLocation(n.expression)).startsWith("TFunction"))) return;
    const options = n.arguments[1], own = options && ts.isObjectLiteralExpression(options) ? options.properties.find((p) => p.name?.getText() === "ns") : undefined;
    const areas = own && ts.isPropertyAssignment(own) ? [literal(own.initializer)] : areasOf(n.expression);
    for (const form of formsOf(n.arguments[0])) {
      let pieces = form, where = areas;
      const colon = /^([a-z]+):(.*)$/s.exec(form[0] ?? "");
      if (colon) { where = [colon[1]]; pieces = [colon[2], ...form.slice(1)]; }
      const within = where === null ? [...bundles.values()] : where.flatMap(byArea);
      if (pieces.every((p) => p !== null)) {
        const key = pieces.join(""), hits = within.filter((b) => b.keys.has(key));
        for (const b of hits) b.used.add(key);
        if (hits.length === 0) fault(tree.fileName, lineOf(n), `no text "${key}" in ${where === null ? "any area" : where.join(", ")}`);
      } else if (pieces.some((p) => p !== null && p !== "")) {
        const re = new RegExp(`^${pieces.map((p) => (p === null ? ".+" : p.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))).join("")}$`, "s");
        let any = false;
        for (const b of within) for (const k of b.keys) if (re.test(k)) { b.used.add(k); any = true; }
        if (!any) fault(tree.fileName, lineOf(n), `no text of the form ${re.source} in ${where === null ? "any area" : where.join(", ")}`);
      } else spread.push(...within);
    }
  });
  // <Trans i18nKey="…">
  visit(tree, (n) => {
    if (!ts.isJsxAttribute(n) || n.name.getText() !== "i18nKey") return;
    const key = literal(n.initializer) ?? (n.initializer && ts.isJsxExpression(n.initializer) ? literal(n.initializer.expression) : undefined);
    for (const b of bundles.values()) if (key !== undefined && b.keys.has(key)) b.used.add(key);
  });
}
for (const b of new Set(spread)) for (const k of b.keys) if (words.has(k)) b.used.add(k);
// What there is, is used: of an area by it, of the common stock by somebody.
for (const b of bundles.values()) for (const k of b.keys) if (!b.used.has(k)) fault(b.file, 0, `key "${k}" is used nowhere`);

// --- the code ---------------------------------------------------------------------------------------------------------------
const said = (s) => /\p{L}/u.test(s) && !NO_TEXT.test(s.trim());
for (const tree of trees) {
  const file = tree.fileName, place = relative(src, file);
  visit(tree, (n) => {
    if (ts.isJsxText(n) && said(n.text)) fault(file, lineOf(n), `visible text in the code: "${n.text.trim()}"`);
    if (ts.isJsxExpression(n) && n.expression && ts.isJsxElement(n.parent)) {
      const e = n.expression, own = literal(e) ?? (ts.isTemplateExpression(e) ? [e.head.text, ...e.templateSpans.map((x) => x.literal.text)].join(" ") : "");
      if (said(own)) fault(file, lineOf(n), `visible text in the code: "${own.trim()}"`);
    }
    if (ts.isJsxAttribute(n) && LABELS.has(n.name.getText())) {
      const e = n.initializer && ts.isJsxExpression(n.initializer) ? n.initializer.expression : n.initializer;
      const own = literal(e) ?? (e && ts.isTemplateExpression(e) ? [e.head.text, ...e.templateSpans.map((x) => x.literal.text)].join(" ") : "");
      if (said(own)) fault(file, lineOf(n), `visible text in the code: ${n.name.getText()}="${own}"`);
    }
    if ((ts.isJsxAttribute(n) || ts.isPropertyAssignment(n)) && n.name.getText() === "dangerouslySetInnerHTML") fault(file, lineOf(n), "dangerouslySetInnerHTML");
    if (ts.isPropertyAccessExpression(n) && /^(innerHTML|outerHTML|insertAdjacentHTML)$/.test(n.name.text)) fault(file, lineOf(n), n.name.text);
    if (ts.isStringLiteralLike(n) && n.text.startsWith("@patternfly/") && !place.startsWith("ui/") && !(place === "main.tsx" && n.text.endsWith(".css"))) fault(file, lineOf(n), `${n.text}: widgets and icons come from ui/`);
    if (ts.isImportDeclaration(n) && place.startsWith("screens/") && /(^|\/)ui\/(?!catalog$)./.test(literal(n.moduleSpecifier) ?? "")) fault(file, lineOf(n), `${literal(n.moduleSpecifier)}: screens import from "../../ui"`);
    if (ts.isStringLiteralLike(n) && n.text.includes("pf-v6") && place !== "frame/theme.ts") fault(file, lineOf(n), "a class name of the kit");
  });
}
for (const f of files.filter((x) => x.endsWith(".css"))) if (readFileSync(f, "utf8").includes("pf-v6")) fault(f, 0, "a class name of the kit");

for (const line of [...faults].sort()) console.log(line);
process.exit(faults.size === 0 ? 0 : 1);
