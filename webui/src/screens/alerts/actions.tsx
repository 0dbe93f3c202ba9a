// What one does about an alert: say that somebody knows, or have nobody told for a while.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { send, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { Button, ConfirmDialog, useToast } from "../../ui";
import { SilenceDialog } from "./silence";
import type { Alert } from "./words";

export function AlertActions({ alert: a }: { alert: Alert }) {
  const { t } = useTranslation("alerts"), { may } = useSession(), toast = useToast(), [open, setOpen] = useState<"ack" | "silence" | null>(null);
  const ack = useSend((reason: string) => send("post", "/api/v1/alerts/{id}/ack", { path: { id: a.id }, body: { reason } }));
  if (!may("device:write") || a.state === "resolved") return null;
  const close = () => setOpen(null);
  return (
    <>
      {a.state === "firing" && !a.acked_by ? <Button variant="link" size="sm" onClick={() => setOpen("ack")}>{t("ack")}</Button> : null}{" "}
      {a.silenced ? null : <Button variant="link" size="sm" onClick={() => setOpen("silence")}>{t("silence")}</Button>}
      {open === "ack" ? (
        <ConfirmDialog title={t("ack_title")} verb={t("ack")} reason="optional" onClose={close}
          onConfirm={async (reason) => { await ack.mutateAsync(reason); toast.show({ title: t("ack_done") }); }}><p>{t("ack_help")}</p></ConfirmDialog>
      ) : null}
      {open === "silence" ? <SilenceDialog rule={a.rule} device={a.device ? a.name : ""} onClose={close} /> : null}
    </>
  );
}
