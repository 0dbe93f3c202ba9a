// Every revision that was published, newest first; above them what waits in drafts.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { ApiCalls, Card, CardBody, CardTitle, type Column, DataTable, Foreign, Loaded, Page, pageOf, Pager, Status, Time, useUrlState } from "../../ui";

type Revision = Schemas["Revision"] & { changes?: number };
type Draft = Schemas["DraftHead"];
const REFRESH_MS = 10_000;

export function ChangeList() {
  const { t } = useTranslation("changes"), url = useUrlState(), query = pageOf(url);
  const revisions = useGet("/api/v1/revisions", { query }, { every: REFRESH_MS }), drafts = useGet("/api/v1/drafts", { query: { limit: 100 } }, { every: REFRESH_MS });
  const columns: Column<Revision>[] = [
    { key: "pub", label: t("number"), cell: (r) => <Link to={`/changes/${r.pub}`}>{r.pub}</Link> },
    { key: "reason", label: t("reason", { ns: "common" }), wide: true, cell: (r) => <Foreign text={r.reason} /> },
    { key: "author", label: t("author"), cell: (r) => <Foreign text={r.author} /> },
    { key: "kind", label: t("kind"), cell: (r) => (r.source === null || r.source === undefined ? t(`kind_${r.kind}`) : t("kind_of", { kind: t(`kind_${r.kind}`), pub: r.source })) },
    { key: "changes", label: t("settings_changed"), number: true, cell: (r) => r.changes ?? 0 },
    { key: "forced", label: t("forced"), cell: (r) => (r.forced ? <Status tone="warn" text={t("forced_yes")} /> : "") },
    { key: "at", label: t("published_at"), cell: (r) => <Time at={r.at} /> },
  ];
  const waiting: Column<Draft>[] = [
    { key: "title", label: t("draft"), wide: true, cell: (d) => <Link to={`/changes/draft/${d.id}`}><Foreign text={d.title === "" ? t("draft_of", { name: d.owner_name }) : d.title} /></Link> },
    { key: "owner", label: t("owner"), cell: (d) => <Foreign text={d.owner_name} /> },
    { key: "at", label: t("changed_at"), cell: (d) => <Time at={d.updated_at} relative /> },
  ];
  return (
    <Page title={t("title")} actions={<ApiCalls call={{ path: `/api/v1/revisions?${new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]))}`, inarictl: "inarictl revisions" }} />}>
      {(drafts.data?.data.items.length ?? 0) === 0 ? null : (
        <Card isCompact component="section" className="inari-above">
          <CardTitle component="h2">{t("drafts")}</CardTitle>
          <CardBody><DataTable caption={t("drafts")} columns={waiting} rows={drafts.data?.data.items ?? []} rowKey={(d) => d.id} /></CardBody>
        </Card>
      )}
      <Loaded of={revisions}>
        {({ data }) => (
          <>
            <DataTable caption={t("revisions")} columns={columns} rows={data.items as Revision[]} rowKey={(r) => String(r.pub)} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
