// Somebody published the same settings meanwhile: both values side by side, and a decision for each.
import { Link, useNavigate } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useSettings } from "../../api/catalog";
import type { Schemas } from "../../api/client";
import { chooseDraft, type Draft } from "../../api/draft";
import { send, useSend } from "../../api/use";
import { Alert, Button, type Column, DataTable, Foreign, useToast } from "../../ui";
import { diffKey, LayerName, LeafWords } from "../../ui/catalog";
import { DropItem } from "./pending";

type Item = Schemas["Conflict"];

/** The same changes as a draft on the newest revision; the old draft goes when the new one is whole. */
async function redo(draft: Draft, etag: string): Promise<string> {
  const fresh = await send("post", "/api/v1/drafts", { body: { title: draft.title ?? "" } });
  try {
    await send("patch", "/api/v1/drafts/{id}", { path: { id: fresh.data.id }, ifMatch: fresh.etag, body: draft.changes });
  } catch (e) {
    await send("delete", "/api/v1/drafts/{id}", { path: { id: fresh.data.id }, ifMatch: fresh.etag }).catch(() => undefined);
    throw e;
  }
  await send("delete", "/api/v1/drafts/{id}", { path: { id: draft.id }, ifMatch: etag });
  chooseDraft(fresh.data.id);
  return fresh.data.id;
}

export function Conflicts({ draft, etag, items }: { draft: Draft; etag: string; items: Item[] }) {
  const { t } = useTranslation("changes"), settings = useSettings(), toast = useToast(), go = useNavigate();
  const mine = useSend(async () => void go(`/changes/draft/${await redo(draft, etag)}`, { replace: true }));
  const columns: Column<Item>[] = [
    { key: "label", label: t("setting"), wide: true, cell: (d) => <>{settings.get(d.key)?.label ?? d.key}{d.row ? <>: <Foreign text={d.row} /></> : null}</> },
    { key: "layer", label: t("layer"), wide: true, cell: (d) => <LayerName of={{ layer: d.layer, name: d.name ?? "" }} /> },
    { key: "mine", label: t("conflict_mine"), wide: true, cell: (d) => <LeafWords of={settings.get(d.key)} item={d} value={d.new} /> },
    { key: "now", label: t("conflict_now"), wide: true, cell: (d) => <LeafWords of={settings.get(d.key)} item={d} value={d.now} /> },
    { key: "who", label: t("conflict_who"), wide: true, cell: (d) => d.pub === undefined ? <Link to="/changes">{t("conflict_newest")}</Link> : <><Foreign text={d.author} /> <Link to={`/changes/${d.pub}`}>{t("revision", { pub: d.pub })}</Link></> },
  ];
  return (
    <Alert variant="warning" isInline component="h2" title={t("conflict_title", { count: items.length })} className="inari-conflict">
      <p>{t("conflict_help")}</p>
      <DataTable caption={items[0]?.pub === undefined ? t("conflict_title", { count: items.length }) : t("conflict_now")} columns={columns} rows={items} rowKey={diffKey} actions={(d) => <DropItem draft={draft} etag={etag} item={d} />} />
      <Button variant="secondary" isDisabled={mine.isPending} onClick={() => mine.mutate(undefined, { onError: (e) => toast.fail(e) })}>{t("conflict_redo")}</Button>
    </Alert>
  );
}
