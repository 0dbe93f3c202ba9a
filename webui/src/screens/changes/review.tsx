// A draft before it goes out: what it changes, what the checks say, which devices it hits, a try on the devices, publishing.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useSettings } from "../../api/catalog";
import { chooseDraft, type Draft } from "../../api/draft";
import { send, useGet } from "../../api/use";
import { useSession } from "../../frame/session";
import { ApiCalls, Button, Card, CardBody, CardTitle, ConfirmDialog, Empty, ErrorBox, Facts, Flex, FlexItem, Foreign, Loaded, Loading, Page, Time, useToast } from "../../ui";
import { DiffTable } from "../../ui/catalog";
import { Conflicts } from "./conflicts";
import { DeviceChanges } from "./devices";
import { DryRun } from "./dryrun";
import { Findings } from "./findings";
import { DropItem } from "./pending";
import { PublishForm } from "./publish";
import { usePublished } from "./published";

const CHECK_MS = 60_000;

function Review({ draft, etag }: { draft: Draft; etag: string }) {
  const { t, i18n } = useTranslation("changes"), { session, may } = useSession(), settings = useSettings(), toast = useToast(), go = useNavigate(), published = usePublished();
  const mine = draft.owner === session.account, mayEdit = may("settings:write") && (mine || may("admin")), [dropping, setDropping] = useState(false);
  const diff = useGet("/api/v1/drafts/{id}/diff", { path: { id: draft.id } });
  const check = useQuery({
    queryKey: ["check", draft.id, draft.version, i18n.language], staleTime: CHECK_MS, enabled: may("settings:write"),
    queryFn: () => send("post", "/api/v1/drafts/{id}/check", { path: { id: draft.id }, body: {} }),
  });
  const items = diff.data?.data.items ?? [], devices = diff.data?.data.devices ?? [], findings = check.data?.data.findings ?? [], conflicts = check.data?.data.conflicts ?? [];
  return (
    <>
      <Card isCompact component="section">
        <CardTitle component="h2">{t("what_changes")}</CardTitle>
        <CardBody>
          <Facts items={[
            { label: t("owner"), value: <Foreign text={draft.owner_name ?? ""} /> },
            { label: t("changed_at"), value: <Time at={draft.updated_at} /> },
            { label: t("based_on"), value: <Link to={`/changes/${draft.base_pub}`}>{t("revision", { pub: draft.base_pub })}</Link> },
            { label: t("devices_hit"), value: diff.data === undefined ? t("loading", { ns: "common" }) : t("devices", { count: devices.length }) },
          ]} />
          <Loaded of={diff}>
            {({ data }) => <DiffTable caption={t("what_changes")} items={data.items} settings={settings} empty={<Empty title={t("empty_draft")}>{t("empty_draft_help")}</Empty>}
              {...(mayEdit ? { actions: (d: (typeof data.items)[number]) => <DropItem draft={draft} etag={etag} item={d} /> } : {})} />}
          </Loaded>
          {mayEdit ? (
            <Flex>
              <FlexItem><Button variant="secondary" onClick={() => setDropping(true)}>{t("drop_draft")}</Button></FlexItem>
              {mine ? <FlexItem><Button variant="link" onClick={() => { chooseDraft(draft.id); void go("/settings"); }}>{t("go_on")}</Button></FlexItem> : null}
            </Flex>
          ) : null}
        </CardBody>
      </Card>
      {conflicts.length > 0 && mayEdit ? <Conflicts draft={draft} etag={etag} items={conflicts} /> : null}
      <Card isCompact component="section">
        <CardTitle component="h2">{t("findings")}</CardTitle>
        <CardBody>
          <ErrorBox error={check.error} onRetry={() => void check.refetch()} />
          {check.isPending && may("settings:write") ? <Loading /> : <Findings items={findings} />}
        </CardBody>
      </Card>
      {devices.length === 0 ? null : <DeviceChanges devices={devices} plans={check.data?.data.devices ?? []} />}
      {items.length > 0 && may("settings:write") ? <DryRun draft={draft.id} version={draft.version} /> : null}
      {items.length > 0 ? (
        <PublishForm title={t("publish_title")} verb={t("publish")} forceable={findings.some((f) => f.forceable && !f.warning)}
          send={(body) => send("post", "/api/v1/drafts/{id}/publish", { path: { id: draft.id }, body })} onDone={published} conflicts={(list) => <Conflicts draft={draft} etag={etag} items={list} />} />
      ) : null}
      {dropping ? (
        <ConfirmDialog title={t("drop_draft_title")} verb={t("drop_draft")} danger onClose={() => setDropping(false)}
          onConfirm={async () => {
            await send("delete", "/api/v1/drafts/{id}", { path: { id: draft.id }, ifMatch: etag });
            toast.show({ title: t("dropped") });
            void go("/changes");
          }}>
          <p>{t("drop_draft_help", { count: items.length })}</p>
        </ConfirmDialog>
      ) : null}
    </>
  );
}

export function ReviewPage() {
  const { t } = useTranslation("changes"), { id = "" } = useParams();
  const draft = useGet("/api/v1/drafts/{id}", { path: { id } });
  return (
    <Page title={t("review_title")} crumbs={[{ to: "/changes", text: t("title") }]} actions={<ApiCalls call={{ path: `/api/v1/drafts/${id}/diff`, inarictl: `inarictl diff --draft ${id}` }} />}>
      <div className="inari-cards">
        {draft.error?.status === 404 ? <Empty title={t("draft_gone")} action={<Link to="/changes">{t("title")}</Link>}>{t("draft_gone_help")}</Empty>
          : <Loaded of={draft}>{({ data, etag }) => (data.id === id ? <Review key={data.id} draft={data} etag={etag} /> : <Loading />)}</Loaded>}
      </div>
    </Page>
  );
}
