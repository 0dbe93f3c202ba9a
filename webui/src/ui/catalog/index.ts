// The settings catalog as a form, and its values in words.  Not part of ui/index.ts: only screens that need it load it.
export { CatalogForm, type CatalogFormProps, type Finding, findingsOf } from "./form";
export { type DiffItem, diffKey, DiffTable, LeafWords } from "./diff";
export { patchOf } from "./edit";
export { isMarker, type Json, laidOn, type LayerView, placeOf, rowsOf, same, type Setting, type SettingField, type Values } from "./layers";
export { LayerName } from "./where";
export { rowWords, valueWords } from "./words";
