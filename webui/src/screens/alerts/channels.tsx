// The channels: who is told and how; a test that says each step.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { get, send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { Alert, Button, type Column, ConfirmDialog, DataTable, Empty, Foreign, List, ListItem, Loaded, Modal, ModalBody, ModalFooter, ModalHeader, pageOf, Pager, Status, Time, useToast, useUrlState } from "../../ui";
import { type Channel, ChannelDialog } from "./channel";

const whereOf = (c: Channel) => (c.kind === "webhook" ? c.config.url : c.kind === "mail" ? (c.config.to ?? []).join(", ") : c.config.host);

/** What a test notice met, step by step; nothing is sent before the button is pressed. */
function Test({ channel, onClose }: { channel: Channel; onClose: () => void }) {
  const { t } = useTranslation("alerts"), toast = useToast();
  const test = useSend(() => send("post", "/api/v1/alert-channels/{id}/test", { path: { id: channel.id }, body: {} }));
  const go = async () => { try { await test.mutateAsync(); } catch (e) { toast.fail(e); } };
  const said = test.data?.data;
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="test-title">
      <ModalHeader title={t("test_title", { name: channel.name })} labelId="test-title" description={t("test_help")} />
      <ModalBody tabIndex={0}>
        {said === undefined ? null : (
          <>
            <Alert variant={said.ok ? "success" : "danger"} isInline component="p" title={t(said.ok ? "test_ok" : "test_failed")}><Foreign text={said.problem} /></Alert>
            <List>{said.steps.map((s, i) => <ListItem key={i}><Status tone={s.ok ? "good" : "bad"} text={s.step} /> <Foreign text={s.detail} /></ListItem>)}</List>
          </>
        )}
      </ModalBody>
      <ModalFooter>
        <Button isLoading={test.isPending} isDisabled={test.isPending} onClick={() => void go()}>{t("test_send")}</Button>
        <Button variant="link" onClick={onClose}>{t("close", { ns: "common" })}</Button>
      </ModalFooter>
    </Modal>
  );
}

export function ChannelList() {
  const { t } = useTranslation("alerts"), url = useUrlState(), { may } = useSession(), admin = may("admin");
  const [edited, setEdited] = useState<Channel | "new" | null>(null), [tested, setTested] = useState<Channel | null>(null), [gone, setGone] = useState<Channel | null>(null);
  const channels = useGet("/api/v1/alert-channels", { query: pageOf(url) });
  const remove = useSend(async (id: string) => {
    const { etag } = await get("/api/v1/alert-channels/{id}", { path: { id } });
    return send("delete", "/api/v1/alert-channels/{id}", { path: { id }, ifMatch: etag });
  });
  const columns: Column<Channel>[] = [
    { key: "name", label: t("name"), cell: (c) => <Foreign text={c.name} /> },
    { key: "kind", label: t("kind"), cell: (c) => t(`channel_${c.kind}`) },
    { key: "where", label: t("where"), wide: true, cell: (c) => <Foreign text={whereOf(c)} /> },
    { key: "secret", label: t("secret"), cell: (c) => t(c.has_secret ? "secret_set" : "secret_none") },
    { key: "sent", label: t("sent_at"), cell: (c) => <Time at={c.sent_at} relative /> },
    { key: "state", label: t("state"), cell: (c) => (
      <>
        <div><Status tone={c.enabled ? "good" : "neutral"} text={t(c.enabled ? "on" : "off")} /></div>
        {c.fallback ? <div className="inari-small">{t("fallback")}</div> : null}
        {(c.dead ?? 0) > 0 ? <div><Status tone="bad" text={t("dead", { count: c.dead ?? 0 })} /></div> : null}
      </>
    ) },
  ];
  return (
    <>
      {admin ? <p className="inari-block"><Button variant="secondary" onClick={() => setEdited("new")}>{t("channel_new")}</Button></p> : null}
      <Loaded of={channels}>
        {({ data }) => (
          <>
            <DataTable caption={t("tab_channels")} columns={columns} rows={data.items} rowKey={(c) => c.id} empty={<Empty title={t("no_channels")}>{t("no_channels_help")}</Empty>}
              actions={(c) => (admin ? (
                <>
                  <Button variant="link" size="sm" onClick={() => setTested(c)}>{t("test")}</Button>{" "}
                  <Button variant="link" size="sm" onClick={() => setEdited(c)}>{t("edit", { ns: "common" })}</Button>{" "}
                  <Button variant="link" size="sm" isDanger onClick={() => setGone(c)}>{t("delete", { ns: "common" })}</Button>
                </>
              ) : null)} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
      {edited === null ? null : <ChannelDialog channel={edited === "new" ? null : edited} onClose={() => setEdited(null)} />}
      {tested === null ? null : <Test channel={tested} onClose={() => setTested(null)} />}
      {gone === null ? null : (
        <ConfirmDialog title={t("channel_delete", { name: gone.name })} verb={t("delete", { ns: "common" })} danger onClose={() => setGone(null)} onConfirm={() => remove.mutateAsync(gone.id)}><p>{t("channel_delete_help")}</p></ConfirmDialog>
      )}
    </>
  );
}
