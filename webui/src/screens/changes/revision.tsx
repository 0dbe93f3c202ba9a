// One published revision: who, why, what it changed; taking it back, or going back to it.
import { useState } from "react";
import { useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useSettings } from "../../api/catalog";
import { send, useGet } from "../../api/use";
import { useSession } from "../../frame/session";
import { ApiCalls, Button, Card, CardBody, CardTitle, Empty, Facts, Flex, FlexItem, Foreign, Loaded, Modal, ModalBody, ModalHeader, Page, Status, Time } from "../../ui";
import { DiffTable } from "../../ui/catalog";
import { PublishForm } from "./publish";
import { usePublished } from "./published";

type Order = "undo" | "restore";

function Again({ pub, order, onClose }: { pub: number; order: Order; onClose: () => void }) {
  const { t } = useTranslation("changes"), settings = useSettings(), published = usePublished(), undo = order === "undo";
  // Going back to it: what that changes is the difference between the newest and it.
  const newest = useGet("/api/v1/revisions", { query: { limit: 1 } }), head = newest.data?.data.items[0]?.pub ?? pub;
  const diff = useGet("/api/v1/revisions/{pub}/diff", { path: { pub }, query: undo ? {} : { against: head } }, { enabled: undo || newest.data !== undefined });
  const items = (diff.data?.data.items ?? []).map((d) => (undo ? { ...d, old: d.new, new: d.old } : d));
  return (
    <Modal isOpen variant="large" onClose={onClose} aria-labelledby="again-title">
      <ModalHeader title={t(undo ? "undo_title" : "restore_title", { pub })} labelId="again-title" description={t(undo ? "undo_help" : "restore_help", { pub })} />
      <ModalBody>
        <Loaded of={diff}>{() => <DiffTable caption={t("what_changes")} items={items} settings={settings} empty={<Empty title={t("nothing_changes")} />} />}</Loaded>
        <PublishForm title={t("publish_title")} verb={t(undo ? "undo_verb" : "restore_verb", { pub })} forceable={false} plain reason={t(undo ? "undo_reason" : "restore_reason", { pub })} onDone={(d) => { onClose(); published(d); }}
          send={(body) => (undo ? send("post", "/api/v1/revisions/{pub}/undo", { path: { pub }, body }) : send("post", "/api/v1/revisions/{pub}/restore", { path: { pub }, body }))} />
        <Button variant="link" onClick={onClose}>{t("cancel", { ns: "common" })}</Button>
      </ModalBody>
    </Modal>
  );
}

export function RevisionPage() {
  const { t } = useTranslation("changes"), { may } = useSession(), settings = useSettings(), { pub: text = "" } = useParams(), pub = Number(text), [order, setOrder] = useState<Order | null>(null);
  const revision = useGet("/api/v1/revisions/{pub}", { path: { pub } }), diff = useGet("/api/v1/revisions/{pub}/diff", { path: { pub }, query: {} });
  const forced = (f: unknown): string => ((f ?? {}) as { reason?: string }).reason ?? "";
  return (
    <Page title={t("revision", { pub })} crumbs={[{ to: "/changes", text: t("title") }]} actions={<ApiCalls call={{ path: `/api/v1/revisions/${pub}/diff`, inarictl: `inarictl show ${pub}` }} />}>
      <div className="inari-cards">
        <Loaded of={revision}>
          {({ data: r }) => (
            <Card isCompact component="section">
              <CardTitle component="h2">{t("about")}</CardTitle>
              <CardBody>
                <Facts items={[
                  { label: t("reason", { ns: "common" }), value: <Foreign text={r.reason} /> },
                  { label: t("author"), value: <Foreign text={r.author} /> },
                  { label: t("published_at"), value: <Time at={r.at} /> },
                  { label: t("kind"), value: r.source === null || r.source === undefined ? t(`kind_${r.kind}`) : t("kind_of", { kind: t(`kind_${r.kind}`), pub: r.source }) },
                  ...(r.forced ? [{ label: t("forced"), value: <><Status tone="warn" text={t("forced_yes")} /> <Foreign text={forced(r.forced)} /></> }] : []),
                ]} />
                {may("publish") && pub > 1 ? (
                  <Flex>
                    <FlexItem><Button variant="secondary" onClick={() => setOrder("undo")}>{t("undo_this")}</Button></FlexItem>
                    <FlexItem><Button variant="secondary" onClick={() => setOrder("restore")}>{t("restore_this")}</Button></FlexItem>
                  </Flex>
                ) : null}
              </CardBody>
            </Card>
          )}
        </Loaded>
        <Card isCompact component="section">
          <CardTitle component="h2">{t("what_changed")}</CardTitle>
          <CardBody><Loaded of={diff}>{({ data }) => <DiffTable caption={t("what_changed")} items={data.items} settings={settings} empty={<Empty title={t("nothing_changes")} />} />}</Loaded></CardBody>
        </Card>
      </div>
      {order === null ? null : <Again pub={pub} order={order} onClose={() => setOrder(null)} />}
    </Page>
  );
}
