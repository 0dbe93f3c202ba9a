// The settings of one area at one layer.  What is changed here goes into the account's draft; nothing reaches a device before
// the draft is published.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Link, useNavigate } from "react-router";
import { useTranslation } from "../../i18n/use";
import { ApiError } from "../../api/client";
import { changesAt, type Draft, patchAt, saveInto, useMyDraft } from "../../api/draft";
import { useSession } from "../../frame/session";
import { Alert, ApiCalls, Button, ErrorBox, Flex, FlexItem, Loading, Status, useToast, useUrlState } from "../../ui";
import { CatalogForm, type Finding, findingsOf, patchOf, placeOf, type Setting, type Values } from "../../ui/catalog";
import { Conflict } from "./conflict";
import { LayerPicker, type Layers, useLayers } from "./layer";

interface Seen { draft: Draft | null; etag: string }
/** What was changed and not saved, by account, layer and area: going to another screen and back loses nothing. */
const unsaved = new Map<string, { edits: Values; basis: Seen }>();

function AreaForm({ name, settings, layers, seen, readOnly }: { name: string; settings: Setting[]; layers: Layers; seen: Seen; readOnly: boolean }) {
  const { t } = useTranslation("settings"), toast = useToast(), queries = useQueryClient(), go = useNavigate(), url = useUrlState();
  const [edits, setEdits] = useState<Values>(unsaved.get(name)?.edits ?? {}), [basis, setBasis] = useState<Seen | null>(unsaved.get(name)?.basis ?? null), [busy, setBusy] = useState(false);
  const [findings, setFindings] = useState<Finding[]>([]), [error, setError] = useState<unknown>(null), [lost, setLost] = useState(false);
  const count = Object.keys(edits).length, at = basis ?? seen, draft = changesAt(at.draft, layers.place) as Values;
  // From the first change on the form stands on the draft as it was then: what somebody does to it meanwhile is a conflict.
  const change = (next: Values) => {
    setEdits(next);
    setFindings((all) => all.filter((f) => { const key = placeOf(f.pointer)?.key ?? ""; return JSON.stringify(next[key]) === JSON.stringify(edits[key]); }));
    setBasis(Object.keys(next).length === 0 ? null : at);
  };
  useEffect(() => {
    if (basis === null) unsaved.delete(name);
    else unsaved.set(name, { edits, basis });
  }, [name, edits, basis]);
  useEffect(() => {
    if (count === 0) return undefined;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [count]);
  const save = async (review: boolean, over: Seen = at) => {
    setBusy(true);
    setError(null);
    try {
      const done = await saveInto(over.draft, over.etag, patchAt(layers.place, patchOf(settings, changesAt(over.draft, layers.place) as Values, edits)));
      unsaved.delete(name); // at once: the form may be drawn anew while everything is asked for again
      setEdits({});
      setBasis(null);
      setFindings(done.findings);
      await queries.invalidateQueries();
      if (review) void go(`/changes/draft/${done.id}`);
      else toast.show({ title: t("saved"), action: { text: t("review"), run: () => void go(`/changes/draft/${done.id}`) } });
    } catch (e) {
      if (e instanceof ApiError && e.status === 412) setLost(true);
      else if (e instanceof ApiError && e.status === 422) setFindings(e.problem.errors ?? []);
      if (!(e instanceof ApiError && e.status === 412)) setError(e);
    }
    setBusy(false);
  };
  const placed = settings.some((s) => findingsOf(findings, layers.layer, s.key).some((f) => !f.warning));
  return (
    <>
      <CatalogForm settings={settings} layer={layers.layer} below={layers.below} draft={draft} edits={edits} onEdits={change} findings={findings} readOnly={readOnly} wanted={url.get("key")} />
      <div className="inari-savebar" role="region" aria-label={t("unsaved")}>
        {placed ? <Alert variant="danger" isInline component="p" role="alert" title={t("not_accepted")} /> : <ErrorBox error={error} />}
        <Flex alignItems={{ default: "alignItemsCenter" }}>
          <FlexItem><Button isDisabled={count === 0 || busy || readOnly} isLoading={busy} onClick={() => void save(true)}>{t("save_review")}</Button></FlexItem>
          <FlexItem><Button variant="secondary" isDisabled={count === 0 || busy || readOnly} onClick={() => void save(false)}>{t("save_draft")}</Button></FlexItem>
          <FlexItem><Button variant="link" isDisabled={count === 0 || busy} onClick={() => { change({}); setFindings([]); setError(null); }}>{t("drop_edits")}</Button></FlexItem>
          <FlexItem>{count === 0 ? (seen.draft === null ? t("no_draft") : <Link to={`/changes/draft/${seen.draft.id}`}>{t("to_draft")}</Link>) : <Status tone="warn" text={t("edits", { count })} />}</FlexItem>
        </Flex>
      </div>
      {lost && at.draft !== null ? (
        <Conflict settings={settings} place={layers.place} before={at.draft} edits={edits} onClose={() => setLost(false)}
          onMine={async (now) => { setLost(false); setBasis(now); await save(false, now); }}
          onTheirs={(now, keep) => { setLost(false); setEdits(keep); setBasis(Object.keys(keep).length === 0 ? null : now); void queries.invalidateQueries(); }} />
      ) : null}
    </>
  );
}

const layerFlag = (spec: string) => (spec.startsWith("group:") || spec.startsWith("device:") ? ` --${spec.replace(":", " ")}` : "");

export function AreaSettings({ settings }: { settings: Setting[] }) {
  const { t } = useTranslation("settings"), { may, session } = useSession(), url = useUrlState(), spec = url.get("layer") || "fleet", area = settings[0]?.area ?? "";
  const layers = useLayers(spec), mine = useMyDraft(may("settings:write"));
  const name = `${session.user} ${spec} ${area}`;
  return (
    <>
      <Flex justifyContent={{ default: "justifyContentSpaceBetween" }}>
        <FlexItem><LayerPicker spec={spec} /></FlexItem>
        <FlexItem><ApiCalls call={{ path: `/api/v1/settings?layer=${encodeURIComponent(spec)}`, inarictl: `inarictl get ${url.get("key") || (settings[0]?.key ?? "KEY")}${layerFlag(spec)}` }} /></FlexItem>
      </Flex>
      {may("settings:write") ? null : <Alert variant="info" isInline component="p" title={t("read_only")} />}
      <ErrorBox error={layers.error ?? mine.error} />
      {layers.ready && mine.ready ? <AreaForm key={name} name={name} settings={settings} layers={layers} seen={{ draft: mine.draft, etag: mine.etag }} readOnly={!may("settings:write")} /> : layers.error === null ? <Loading /> : null}
    </>
  );
}
