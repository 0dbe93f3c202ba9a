// More than one machine under one identity: which goes on, or that there is only one.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { send, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { Alert, Button, type Column, ConfirmDialog, DataTable, Stack, StackItem, Status, Time } from "../../ui";
import type { TabProps } from "./detail";
import type { Device } from "./words";

type Instances = NonNullable<Device["instances"]>;
type Item = Instances["items"][number];

/** Nothing to decide: no tab. */
export const hasInstances = (d: Device) => d.instances !== undefined && (d.instances.forked || d.instances.reverted_at !== null || d.instances.machine_changed);

export function InstancesTab({ device }: TabProps) {
  const { t } = useTranslation("devices"), { may } = useSession(), all = device.instances, [asked, setAsked] = useState<{ decision: "keep" | "clear"; boot?: string } | null>(null);
  const decide = useSend((reason: string) => send("post", "/api/v1/devices/{id}/instances", { path: { id: device.id }, body: { decision: asked?.decision ?? "clear", reason, ...(asked?.boot ? { boot: asked.boot } : {}) } }));
  if (all === undefined) return null;
  const columns: Column<Item>[] = [
    { key: "boot", label: t("instance"), cell: (i) => <code>{i.boot.slice(0, 8)}</code> },
    { key: "machine", label: t("machine"), cell: (i) => <>{i.enrolled ? t("machine_enrolled") : t("machine_other")} <small><code>{i.machine.slice(0, 8)}</code></small></> },
    { key: "verdict", label: t("verdict"), cell: (i) => <Status tone={i.verdict === "goes-on" ? "good" : i.verdict === "waits" ? "warn" : "neutral"} text={t(`verdict_${i.verdict}`)} /> },
    { key: "seen", label: t("last_seen"), cell: (i) => <Time at={i.seen_at} /> },
  ];
  const allowed = may("device:write");
  return (
    <Stack hasGutter>
      {all.forked ? <StackItem><Alert isInline variant="danger" component="p" title={t("forked")}><p>{t("forked_help")} <Time at={all.since} /></p></Alert></StackItem> : null}
      {all.machine_changed ? <StackItem><Alert isInline variant="warning" component="p" title={t("reason_MachineChanged")} /></StackItem> : null}
      {all.reverted_at ? <StackItem><Alert isInline variant="warning" component="p" title={t("snapshot")}><p><Time at={all.reverted_at} /></p></Alert></StackItem> : null}
      <StackItem><DataTable caption={t("tab_instances")} columns={columns} rows={all.items} rowKey={(i) => i.boot} actions={(i) => <Button variant="secondary" size="sm" isDisabled={!allowed} onClick={() => setAsked({ decision: "keep", boot: i.boot })}>{t("do_keep")}</Button>} /></StackItem>
      <StackItem><Button variant="secondary" isDisabled={!allowed} onClick={() => setAsked({ decision: "clear" })}>{t("do_clear")}</Button></StackItem>
      {asked === null ? null : (
        <ConfirmDialog title={t(`ask_${asked.decision}`, { name: device.name, boot: asked.boot?.slice(0, 8) ?? "" })} verb={t(`do_${asked.decision}`)} danger={asked.decision === "keep"} reason="required" onConfirm={(r) => decide.mutateAsync(r)} onClose={() => setAsked(null)} {...(asked.decision === "keep" ? { typed: device.name } : {})}>
          <p>{t(`ask_${asked.decision}_help`)}</p>
        </ConfirmDialog>
      )}
    </Stack>
  );
}
