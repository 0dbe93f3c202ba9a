// The rules: what is looked at, how long it has to hold, who is told.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { get, send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { Button, type Column, ConfirmDialog, DataTable, durationText, Foreign, Loaded, numberText, pageOf, Pager, Switch, Time, useToast, useUrlState } from "../../ui";
import { type Rule, RuleDialog } from "./rule";
import { Severity } from "./words";

export function RuleList() {
  const { t } = useTranslation("alerts"), url = useUrlState(), { may } = useSession(), toast = useToast(), [edited, setEdited] = useState<Rule | "new" | null>(null), [gone, setGone] = useState<Rule | null>(null);
  const rules = useGet("/api/v1/alert-rules", { query: pageOf(url) }), admin = may("admin");
  const change = useSend(async ({ id, enabled }: { id: string; enabled: boolean }) => {
    const { etag } = await get("/api/v1/alert-rules/{id}", { path: { id } });
    return send("patch", "/api/v1/alert-rules/{id}", { path: { id }, body: { enabled }, ifMatch: etag });
  });
  const remove = useSend(async (id: string) => {
    const { etag } = await get("/api/v1/alert-rules/{id}", { path: { id } });
    return send("delete", "/api/v1/alert-rules/{id}", { path: { id }, ifMatch: etag });
  });
  const toggle = async (r: Rule) => {
    const to = async (enabled: boolean) => { try { await change.mutateAsync({ id: r.id, enabled }); } catch (e) { toast.fail(e); } };
    await to(!r.enabled);
    toast.show({ title: t(r.enabled ? "rule_off" : "rule_on", { name: r.label || r.name }), action: { text: t("undo"), run: () => void to(r.enabled) } });
  };
  const columns: Column<Rule>[] = [
    { key: "label", label: t("rule"), wide: true, cell: (r) => <><Foreign text={r.label || r.name} /> <div className="inari-small"><Foreign text={r.name} /></div></> },
    { key: "severity", label: t("severity"), cell: (r) => <Severity of={r.severity} /> },
    { key: "for", label: t("for_s"), cell: (r) => durationText(r.for_s) },
    { key: "channels", label: t("tab_channels"), cell: (r) => (r.channels === null || r.channels === undefined ? t("channels_fallback") : r.channels.length === 0 ? t("channels_nobody") : <Foreign text={r.channels.join(", ")} />) },
    { key: "firing", label: t("state_firing"), number: true, cell: (r) => numberText(r.firing ?? 0) },
    { key: "enabled", label: t("enabled"), cell: (r) => <Switch aria-label={t("enabled_of", { name: r.label || r.name })} isChecked={r.enabled} isDisabled={!admin} onChange={() => void toggle(r)} /> },
  ];
  return (
    <>
      {admin ? <p className="inari-block"><Button variant="secondary" onClick={() => setEdited("new")}>{t("rule_new")}</Button></p> : null}
      <Loaded of={rules}>
        {({ data }) => (
          <>
            <DataTable caption={t("tab_rules")} columns={columns} rows={data.items} rowKey={(r) => r.id} actions={(r) => (admin ? (
              <>
                <Button variant="link" size="sm" onClick={() => setEdited(r)}>{t("edit", { ns: "common" })}</Button>{" "}
                {r.builtin ? null : <Button variant="link" size="sm" isDanger onClick={() => setGone(r)}>{t("delete", { ns: "common" })}</Button>}
              </>
            ) : null)} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
      {edited === null ? null : <RuleDialog rule={edited === "new" ? null : edited} onClose={() => setEdited(null)} />}
      {gone === null ? null : (
        <ConfirmDialog title={t("rule_delete", { name: gone.name })} verb={t("delete", { ns: "common" })} danger onClose={() => setGone(null)} onConfirm={() => remove.mutateAsync(gone.id)}>
          <p>{t("rule_delete_help")} {gone.created_at ? <Time at={gone.created_at} /> : null}</p>
        </ConfirmDialog>
      )}
    </>
  );
}
