// In the header of every page: what is changed and not published yet, by whom; one's own can be dropped item by item.
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useSettings } from "../../api/catalog";
import { type Draft, patchAt, type Place, useMyDraft } from "../../api/draft";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { Badge, Button, Empty, ErrorBox, Foreign, List, ListItem, Modal, ModalBody, ModalFooter, ModalHeader, Time, useToast } from "../../ui";
import { type DiffItem, DiffTable } from "../../ui/catalog";
import "./texts";

export const placeOfItem = (d: DiffItem): Place => ({ part: d.layer === "group" ? "groups" : d.layer === "device" ? "devices" : "fleet", id: d.id ?? "" });
/** Takes one item out of a draft. */
export function DropItem({ draft, etag, item }: { draft: Pick<Draft, "id">; etag: string; item: DiffItem }) {
  const { t } = useTranslation("changes"), toast = useToast();
  const drop = useSend(() => send("patch", "/api/v1/drafts/{id}", { path: { id: draft.id }, ifMatch: etag, body: patchAt(placeOfItem(item), { [item.key]: item.row ? { [item.row]: null } : null }) }));
  return (
    <Button variant="link" size="sm" isDisabled={drop.isPending || etag === ""} aria-label={t("drop_item_of", { key: item.row ? `${item.key} ${item.row}` : item.key })}
      onClick={() => drop.mutate(undefined, { onError: (e) => toast.fail(e) })}>{t("drop_item")}</Button>
  );
}

function Details({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation("changes"), { session, may } = useSession(), settings = useSettings(), go = useNavigate(), mine = useMyDraft(may("settings:write"));
  const all = useGet("/api/v1/drafts", { query: { limit: 100 } }), id = mine.draft?.id ?? "";
  const diff = useGet("/api/v1/drafts/{id}/diff", { path: { id } }, { enabled: id !== "" });
  const others = (all.data?.data.items ?? []).filter((d) => d.id !== id);
  return (
    <Modal isOpen variant="large" onClose={onClose} aria-labelledby="pending-title">
      <ModalHeader title={t("pending")} labelId="pending-title" description={mine.draft === null ? "" : t("pending_by", { name: mine.draft.owner_name })} />
      <ModalBody>
        <ErrorBox error={all.error ?? mine.error} />
        {mine.draft === null || diff.data === undefined ? <Empty title={t("no_pending")}>{t("no_pending_help")}</Empty>
          : <DiffTable caption={t("pending")} items={diff.data.data.items} settings={settings} actions={(d) => <DropItem draft={{ id }} etag={mine.etag} item={d} />} />}
        {others.length === 0 ? null : (
          <>
            <h3>{t("other_drafts")}</h3>
            <List isPlain>
              {others.map((d) => <ListItem key={d.id}><Link to={`/changes/draft/${d.id}`} onClick={onClose}><Foreign text={d.title === "" ? t("draft_of", { name: d.owner_name }) : d.title} /></Link>{" "}
                {d.owner === session.account ? t("yours") : <Foreign text={d.owner_name} />} <Time at={d.updated_at} relative /></ListItem>)}
            </List>
          </>
        )}
      </ModalBody>
      <ModalFooter>
        {mine.draft === null ? null : <Button onClick={() => { onClose(); void go(`/changes/draft/${id}`); }}>{t("review")}</Button>}
        <Button variant="link" onClick={onClose}>{t("close", { ns: "common" })}</Button>
      </ModalFooter>
    </Modal>
  );
}

export default function Pending() {
  const { t } = useTranslation("changes"), { may } = useSession(), [open, setOpen] = useState(false), mine = useMyDraft(may("settings:write")), id = mine.draft?.id ?? "";
  const diff = useGet("/api/v1/drafts/{id}/diff", { path: { id } }, { enabled: id !== "" });
  const count = id === "" ? 0 : (diff.data?.data.items.length ?? 0);
  return (
    <>
      <Button variant={count > 0 ? "secondary" : "plain"} onClick={() => setOpen(true)} aria-label={t("pending_count", { count })} className="inari-pending">
        <span className="inari-roomy">{t("changes_short")}</span> <Badge isRead={count === 0} screenReaderText="">{count}</Badge>
      </Button>
      {open ? <Details onClose={() => setOpen(false)} /> : null}
    </>
  );
}
