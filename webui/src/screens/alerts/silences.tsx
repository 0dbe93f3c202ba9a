// The silences: what is silent, until when, why; ending one early.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { get, send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { Button, type Column, DataTable, Empty, FilterBar, Foreign, Loaded, pageOf, Pager, Status, Time, useToast, useUrlState } from "../../ui";
import { SilenceDialog } from "./silence";

type Silence = Schemas["AlertSilence"];
const tone = { active: "busy", waiting: "neutral", over: "neutral" } as const;

export function SilenceList() {
  const { t } = useTranslation("alerts"), url = useUrlState(), { may } = useSession(), toast = useToast(), [open, setOpen] = useState(false), state = url.get("silence");
  const silences = useGet("/api/v1/alert-silences", { query: { ...pageOf(url), ...(state === "" ? {} : { state: state as "active" }) } });
  const end = useSend(async (id: string) => {
    const { etag } = await get("/api/v1/alert-silences/{id}", { path: { id } });
    return send("delete", "/api/v1/alert-silences/{id}", { path: { id }, ifMatch: etag });
  });
  const stop = async (id: string) => { try { await end.mutateAsync(id); toast.show({ title: t("silence_ended") }); } catch (e) { toast.fail(e); } };
  const columns: Column<Silence>[] = [
    { key: "state", label: t("state"), cell: (s) => <Status tone={tone[s.state]} text={t(`silence_${s.state}`)} /> },
    { key: "rule", label: t("rule"), cell: (s) => (s.rule === null ? t("all_rules") : <Foreign text={s.rule.name} />) },
    { key: "of", label: t("about"), cell: (s) => (s.device ?? s.group ? <Foreign text={(s.device ?? s.group)?.name} /> : t("all_devices")) },
    { key: "ends", label: t("ends"), cell: (s) => <Time at={s.ends_at} /> },
    { key: "reason", label: t("reason", { ns: "common" }), wide: true, cell: (s) => <><Foreign text={s.reason} /> <span className="inari-small"><Foreign text={s.author} /></span></> },
  ];
  return (
    <>
      <FilterBar filters={[{ kind: "choice", name: "silence", label: t("state"), options: (["active", "waiting", "over"] as const).map((s) => ({ value: s, label: t(`silence_${s}`) })) }]}>
        {may("device:write") ? <Button variant="secondary" onClick={() => setOpen(true)}>{t("silence_new")}</Button> : null}
      </FilterBar>
      <Loaded of={silences}>
        {({ data }) => (
          <>
            <DataTable caption={t("tab_silences")} columns={columns} rows={data.items} rowKey={(s) => s.id} empty={<Empty title={t("no_silences")} />}
              actions={(s) => (s.state === "over" || !may("device:write") ? null : <Button variant="link" size="sm" onClick={() => void stop(s.id)}>{t("silence_end")}</Button>)} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
      {open ? <SilenceDialog onClose={() => setOpen(false)} /> : null}
    </>
  );
}
