// Somebody changed the draft since the form was opened: who, when and what, beside one's own; then one decides for each side.
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "../../i18n/use";
import { changesAt, type Draft, editsOf, type Place } from "../../api/draft";
import { get } from "../../api/use";
import { Button, type Column, DataTable, ErrorBox, Foreign, Loading, Modal, ModalBody, ModalFooter, ModalHeader, Time } from "../../ui";
import { type Json, same, type Setting, type Values, valueWords } from "../../ui/catalog";

interface Seen { draft: Draft; etag: string }
interface Props {
  settings: Setting[];
  place: Place;
  before: Draft;
  edits: Values;
  onMine: (now: Seen) => Promise<void>;
  onTheirs: (now: Seen, keep: Values) => void;
  onClose: () => void;
}
interface Row { setting: Setting; theirs: Json | undefined; mine: Json | undefined; both: boolean }

export function Conflict({ settings, place, before, edits, onMine, onTheirs, onClose }: Props) {
  const { t } = useTranslation("settings");
  const look = useQuery({
    queryKey: ["conflict", before.id, before.version],
    queryFn: async () => {
      const now = await get("/api/v1/drafts/{id}", { path: { id: before.id } }), log = await editsOf(before.id).catch(() => []);
      return { now: { draft: now.data, etag: now.etag }, last: log[0] };
    },
    staleTime: 0, gcTime: 0,
  });
  const was = changesAt(before, place) as Values, is = changesAt(look.data?.now.draft ?? before, place) as Values;
  const rows = settings.flatMap((s): Row[] => {
    const theirs = !same(was[s.key], is[s.key]), mine = edits[s.key] !== undefined;
    return theirs || mine ? [{ setting: s, theirs: theirs ? (is[s.key] ?? null) : undefined, mine: mine ? edits[s.key] : undefined, both: theirs && mine }] : [];
  });
  const keep = Object.fromEntries(rows.filter((r) => r.mine !== undefined && !r.both).map((r) => [r.setting.key, r.mine as Json]));
  const words = (s: Setting, v: Json | undefined) => (v === undefined ? "–" : v === null ? t("out_of_draft") : <Foreign text={valueWords(s, v, t)} />);
  const columns: Column<Row>[] = [
    { key: "label", label: t("setting"), wide: true, cell: (r) => r.setting.label },
    { key: "theirs", label: t("theirs"), wide: true, cell: (r) => words(r.setting, r.theirs) },
    { key: "mine", label: t("mine"), wide: true, cell: (r) => words(r.setting, r.mine) },
  ];
  const now = look.data?.now;
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="conflict-title">
      <ModalHeader title={t("conflict")} labelId="conflict-title" titleIconVariant="warning" />
      <ModalBody>
        {look.isPending ? <Loading /> : null}
        <ErrorBox error={look.error} />
        {now === undefined ? null : (
          <>
            <p>{look.data?.last === undefined ? t("conflict_unknown") : <>{t("conflict_who", { name: look.data.last.actor })} <Time at={look.data.last.at} /></>}</p>
            <DataTable caption={t("conflict")} columns={columns} rows={rows} rowKey={(r) => r.setting.key} />
            <p>{t("conflict_help")}</p>
          </>
        )}
      </ModalBody>
      <ModalFooter>
        <Button variant="secondary" isDisabled={now === undefined} onClick={() => now && onTheirs(now, keep)}>{t("keep_theirs")}</Button>
        <Button variant="secondary" isDisabled={now === undefined} onClick={() => now && void onMine(now)}>{t("save_mine")}</Button>
        <Button variant="link" autoFocus onClick={onClose}>{t("cancel", { ns: "common" })}</Button>
      </ModalFooter>
    </Modal>
  );
}
