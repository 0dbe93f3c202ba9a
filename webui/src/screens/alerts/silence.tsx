// When nobody is told: of one rule, one device, or both; always with an end.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { send, useGet, useSend } from "../../api/use";
import { Button, durationText, ErrorBox, Form, FormGroup, FormSelect, FormSelectOption, Modal, ModalBody, ModalFooter, ModalHeader, TextArea, TextInput, useToast } from "../../ui";

const LENGTHS = [3600, 4 * 3600, 86400, 7 * 86400, 30 * 86400];

export function SilenceDialog({ rule = "", device = "", onClose }: { rule?: string; device?: string; onClose: () => void }) {
  const { t } = useTranslation("alerts"), toast = useToast(), rules = useGet("/api/v1/alert-rules", { query: { limit: 500 } });
  const [of, setOf] = useState({ rule, device, seconds: 3600, reason: "" }), set = (x: Partial<typeof of>) => setOf({ ...of, ...x });
  const make = useSend(() => send("post", "/api/v1/alert-silences", { body: {
    rule: of.rule === "" ? null : of.rule, device: of.device.trim() === "" ? null : of.device.trim(), reason: of.reason.trim(), ends_at: new Date(Date.now() + of.seconds * 1000).toISOString(),
  } }));
  const go = async () => {
    try { await make.mutateAsync(); } catch { return; } // the dialog shows it
    toast.show({ title: t("silence_done") });
    onClose();
  };
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="silence-title">
      <ModalHeader title={t("silence_title")} labelId="silence-title" description={t("silence_help")} />
      <ModalBody>
        <Form onSubmit={(e) => { e.preventDefault(); if (of.reason.trim() !== "") void go(); }}>
          <FormGroup label={t("rule")} fieldId="silence-rule">
            <FormSelect id="silence-rule" value={of.rule} onChange={(_, v) => set({ rule: v })}>
              <FormSelectOption value="" label={t("all_rules")} />
              {(rules.data?.data.items ?? []).map((r) => <FormSelectOption key={r.id} value={r.name} label={r.label || r.name} />)}
            </FormSelect>
          </FormGroup>
          <FormGroup label={t("silence_device")} fieldId="silence-device"><TextInput id="silence-device" value={of.device} onChange={(_, v) => set({ device: v })} maxLength={100} /></FormGroup>
          <FormGroup label={t("silence_for")} fieldId="silence-for">
            <FormSelect id="silence-for" value={of.seconds} onChange={(_, v) => set({ seconds: Number(v) })}>{LENGTHS.map((s) => <FormSelectOption key={s} value={s} label={durationText(s)} />)}</FormSelect>
          </FormGroup>
          <FormGroup label={t("reason", { ns: "common" })} fieldId="silence-reason" isRequired><TextArea id="silence-reason" value={of.reason} onChange={(_, v) => set({ reason: v })} maxLength={500} rows={2} isRequired /></FormGroup>
        </Form>
        <ErrorBox error={make.error} />
      </ModalBody>
      <ModalFooter>
        <Button isDisabled={of.reason.trim() === "" || make.isPending} isLoading={make.isPending} onClick={() => void go()}>{t("silence")}</Button>
        <Button variant="link" onClick={onClose}>{t("cancel", { ns: "common" })}</Button>
      </ModalFooter>
    </Modal>
  );
}
