// Who did what, newest first: a chain of hashes that the parent checks on demand.
import { useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { get, useGet, useSend } from "../../api/use";
import {
  Alert, ApiCalls, Button, CodeBlock, CodeBlockCode, type Column, DataTable, Drawer, DrawerActions, DrawerCloseButton, DrawerContent, DrawerContentBody, DrawerHead, DrawerPanelBody, DrawerPanelContent, Empty, Facts, FilterBar,
  Flex, FlexItem, Foreign, Loaded, numberText, Page, pageOf, Pager, Time, Title, useToast, useUrlState, visible,
} from "../../ui";

type Entry = Schemas["AuditEntry"];
/** Where an object of the log is on the page; what has no screen stays text. */
function whereIs(object: string): string | null {
  const [kind, id] = object.split("/");
  if (kind === "device" && id) return `/devices/${encodeURIComponent(id)}`;
  if (kind === "rollout" && id) return `/rollouts/${encodeURIComponent(id)}`;
  return null;
}

/** An id by its end, which is what tells two of them apart; the whole one is in the entry. */
const short = (text: string) => text.replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{4}([0-9a-f]{8})/g, "…$1");

/** To the second, as the API and inarictl write it. */
function sinceOf(text: string): string | undefined {
  const at = new Date(text);
  return text === "" || Number.isNaN(at.getTime()) ? undefined : at.toISOString().replace(/\.\d+Z$/, "Z");
}

function Detail({ entry, onClose }: { entry: Entry; onClose: () => void }) {
  const { t } = useTranslation("audit"), where = whereIs(entry.object);
  return (
    <DrawerPanelContent aria-label={t("entry", { number: entry.seq })}>
      <DrawerHead>
        <Title headingLevel="h2" tabIndex={-1} ref={(e: HTMLHeadingElement | null) => e?.focus({ preventScroll: true })} className="inari-title">{t("entry", { number: entry.seq })}</Title>
        <DrawerActions><DrawerCloseButton aria-label={t("common:close")} onClose={onClose} /></DrawerActions>
      </DrawerHead>
      <DrawerPanelBody>
        <Facts items={[
          { label: t("at"), value: <Time at={entry.at} /> },
          { label: t("action"), value: <Foreign text={entry.action} /> },
          { label: t("actor"), value: <Foreign text={entry.actor} /> },
          { label: t("actor_kind"), value: <Foreign text={entry.actor_kind} /> },
          { label: t("address"), value: <Foreign text={entry.address || t("common:none")} /> },
          { label: t("object"), value: where ? <Link to={where}><Foreign text={entry.object} /></Link> : <Foreign text={entry.object} /> },
          ...(entry.hash ? [{ label: t("hash"), value: <Foreign text={entry.hash} /> }] : []),
        ]} />
        <Title headingLevel="h3">{t("detail")}</Title>
        <CodeBlock><CodeBlockCode>{visible(JSON.stringify(entry.detail ?? {}, null, 2))}</CodeBlockCode></CodeBlock>
      </DrawerPanelBody>
    </DrawerPanelContent>
  );
}

function Verify() {
  const { t } = useTranslation("audit"), toast = useToast(), [seen, setSeen] = useState<{ check: Schemas["AuditCheck"]; at: number } | null>(null);
  const check = useSend(async () => { const a = await get("/api/v1/audit/verify"); setSeen({ check: a.data, at: a.at }); });
  return (
    <>
      <Button variant="secondary" isLoading={check.isPending} onClick={() => check.mutate(undefined, { onError: toast.fail })}>{t("verify")}</Button>
      {seen === null ? null : seen.check.ok ? (
        <Alert variant="success" isInline component="p" role="status" title={t("verified", { count: seen.check.entries, number: numberText(seen.check.entries) })}>{t("verified_help")}</Alert>
      ) : (
        <Alert variant="danger" isInline component="p" role="alert" title={t("broken", { number: seen.check.first_bad ?? 0 })}>{t("broken_help")}</Alert>
      )}
    </>
  );
}

export function AuditLog() {
  const { t } = useTranslation("audit"), url = useUrlState(), since = sinceOf(url.get("since")), open = url.get("entry");
  const query = { ...pageOf(url), ...(since ? { since } : {}), ...(url.get("action") ? { action: url.get("action") } : {}), ...(url.get("actor") ? { actor: url.get("actor") } : {}), ...(url.get("object") ? { object: url.get("object") } : {}) };
  const log = useGet("/api/v1/audit", { query });
  const columns: Column<Entry>[] = [
    { key: "at", label: t("at"), cell: (e) => <Time at={e.at} /> },
    { key: "action", label: t("action"), cell: (e) => <Foreign text={e.action} /> },
    { key: "actor", label: t("actor"), cell: (e) => <Foreign text={short(e.actor)} /> },
    { key: "object", label: t("object"), cell: (e) => { const where = whereIs(e.object); return where ? <Link to={where}><Foreign text={short(e.object)} /></Link> : <Foreign text={short(e.object)} />; } },
    { key: "address", label: t("address"), cell: (e) => <Foreign text={e.address || "–"} /> },
  ];
  const filtered = ["since", "action", "actor", "object", "cursor"].some((k) => url.get(k) !== "");
  const asked = new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]));
  const flags = [since ? `--since ${since}` : "", query.action ? `--action '${query.action.replaceAll("'", "")}'` : "", query.actor ? `--actor '${query.actor.replaceAll("'", "")}'` : "", query.object ? `--object '${query.object.replaceAll("'", "")}'` : ""].filter((x) => x !== "").join(" ");
  return (
    <Page title={t("title")} actions={<Flex><FlexItem><Verify /></FlexItem><FlexItem><ApiCalls call={{ path: `/api/v1/audit?${asked}`, inarictl: `inarictl audit ${flags}`.trim() }} /></FlexItem></Flex>}>
      <FilterBar filters={[{ kind: "text", name: "action", label: t("action_filter") }, { kind: "text", name: "actor", label: t("actor") }, { kind: "text", name: "object", label: t("object") }, { kind: "time", name: "since", label: t("since") }]} />
      <Loaded of={log}>
        {({ data }) => {
          const entry = data.items.find((e) => String(e.seq) === open), close = () => url.set({ entry: "", cursor: url.get("cursor") }, { push: true });
          return (
            <Drawer isExpanded={entry !== undefined} isInline>
              <DrawerContent panelContent={entry ? <Detail entry={entry} onClose={close} /> : null}>
                <DrawerContentBody>
                  <DataTable caption={t("title")} columns={columns} rows={data.items} rowKey={(e) => String(e.seq)} empty={filtered ? "filtered" : <Empty />}
                    actions={(e) => <Button variant="link" aria-label={t("common:act_on", { verb: t("common:details"), what: t("entry", { number: e.seq }) })} onClick={() => url.set({ entry: String(e.seq), cursor: url.get("cursor") }, { push: true })}>{t("common:details")}</Button>} />
                  <Pager next={data.next} />
                </DrawerContentBody>
              </DrawerContent>
            </Drawer>
          );
        }}
      </Loaded>
    </Page>
  );
}
