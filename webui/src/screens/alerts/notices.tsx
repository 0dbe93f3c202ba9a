// What was sent, what waits, and what was given up; trying that again.
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { Button, type Column, DataTable, Empty, FilterBar, Foreign, Loaded, numberText, pageOf, Pager, Status, Time, type Tone, useToast, useUrlState } from "../../ui";

type Notice = Schemas["AlertNotice"];
const tone: Record<Notice["state"], Tone> = { queued: "busy", sending: "busy", sent: "good", dead: "bad" };
const REFRESH_MS = 10_000;

export function NoticeList() {
  const { t } = useTranslation("alerts"), url = useUrlState(), { may } = useSession(), toast = useToast(), state = url.get("notice");
  const notices = useGet("/api/v1/alert-notices", { query: { ...pageOf(url), ...(state === "" ? {} : { state: state as "dead" }) } }, { every: REFRESH_MS });
  const retry = useSend((id: string) => send("post", "/api/v1/alert-notices/{id}/retry", { path: { id }, body: {} }));
  const again = async (id: string) => { try { await retry.mutateAsync(id); toast.show({ title: t("retry_done") }); } catch (e) { toast.fail(e); } };
  const columns: Column<Notice>[] = [
    { key: "at", label: t("made"), cell: (n) => <Time at={n.created_at} /> },
    { key: "state", label: t("state"), cell: (n) => <Status tone={tone[n.state]} text={t(`notice_${n.state}`)} /> },
    { key: "channel", label: t("channel"), cell: (n) => (n.channel === null ? t("none", { ns: "common" }) : <Foreign text={n.channel.name} />) },
    { key: "rule", label: t("rule"), cell: (n) => <Foreign text={n.rule} /> },
    { key: "tries", label: t("tries"), number: true, cell: (n) => numberText(n.tries) },
    { key: "problem", label: t("problem"), wide: true, cell: (n) => <Foreign text={n.problem} /> },
  ];
  return (
    <>
      <FilterBar filters={[{ kind: "choice", name: "notice", label: t("state"), options: (["queued", "sending", "sent", "dead"] as const).map((s) => ({ value: s, label: t(`notice_${s}`) })) }]} />
      <Loaded of={notices}>
        {({ data }) => (
          <>
            <DataTable caption={t("tab_notices")} columns={columns} rows={data.items} rowKey={(n) => n.id} empty={<Empty title={t("no_notices")}>{t("no_notices_help")}</Empty>}
              actions={(n) => (n.state === "dead" && may("device:write") ? <Button variant="link" size="sm" onClick={() => void again(n.id)}>{t("retry", { ns: "common" })}</Button> : null)} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
    </>
  );
}
