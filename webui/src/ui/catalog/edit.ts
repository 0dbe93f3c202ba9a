// What somebody has changed in a form and not saved yet, as the merge patch that saving sends.
import { isMarker, type Json, laidOn, marker, rowsOf, same, type Setting, type Values } from "./layers";

/** What the layer should say of one setting (undefined: nothing), as the smallest edit over what is published and in the draft. */
export function editOf(target: Json | undefined, published: Json | undefined, drafted: Json | undefined): Json | undefined {
  if (same(target, published)) return drafted === undefined ? undefined : null;
  if ((drafted !== undefined && same(target, drafted)) || (target === undefined && isMarker(drafted, "$inherit"))) return undefined;
  return target === undefined ? marker("$inherit") : target;
}

export function withEdit(edits: Values, key: string, edit: Json | undefined): Values {
  const next = { ...edits };
  if (edit === undefined) delete next[key];
  else next[key] = edit;
  return next;
}

/** The same for one row of a list: the row, a marker, or undefined where the layer should say nothing of it. */
export function withRow(edits: Values, s: Setting, key: string, target: Json | undefined, published: Json | undefined, drafted: Json | undefined): Values {
  const there = edits[s.key], rows = there === null ? {} : { ...rowsOf(there) };
  const edit = editOf(target, rowsOf(published)[key], rowsOf(drafted)[key]);
  if (edit === undefined) delete rows[key];
  else rows[key] = edit;
  return withEdit(edits, s.key, Object.keys(rows).length === 0 ? undefined : rows);
}

/** The patch of one layer.  A row in the draft is merged member by member: what the new one does not have is taken out. */
export function patchOf(settings: Setting[], drafted: Values, edits: Values): Values {
  const patch: Values = {};
  for (const [key, edit] of Object.entries(edits)) {
    const s = settings.find((x) => x.key === key);
    if (s?.type !== "list" || edit === null || isMarker(edit, "$inherit") || isMarker(edit, "$unset")) {
      patch[key] = edit;
      continue;
    }
    const rows: Values = {}, before = rowsOf(drafted[key]);
    for (const [name, row] of Object.entries(rowsOf(edit))) {
      const gone = isMarker(before[name], "$remove") || isMarker(row, "$remove") || isMarker(row, "$inherit") || row === null ? [] : Object.keys(rowsOf(before[name])).filter((m) => !(m in rowsOf(row)));
      rows[name] = gone.length === 0 ? row : { ...rowsOf(row), ...Object.fromEntries(gone.map((m) => [m, null])) };
    }
    patch[key] = rows;
  }
  return patch;
}

/** Draft and edits laid over what is published: what the layer will say. */
export function willSay(s: Setting, published: Values, drafted: Values, edits: Values): Json | undefined {
  const e = edits[s.key];
  if (e === null) return published[s.key];
  const withDraft = laidOn(s, published[s.key], drafted[s.key]);
  if (s.type !== "list" || e === undefined) return laidOn(s, withDraft, e);
  const rows = { ...rowsOf(withDraft) };
  for (const [key, row] of Object.entries(rowsOf(e))) {
    const back = rowsOf(published[s.key])[key];
    const next = row === null ? back : isMarker(row, "$inherit") ? undefined : row;
    if (next === undefined) delete rows[key];
    else rows[key] = next;
  }
  return isMarker(e, "$unset") || isMarker(e, "$inherit") ? laidOn(s, withDraft, e) : Object.keys(rows).length === 0 ? undefined : rows;
}
