// Confirmation by what is at stake: nothing and a toast for what can be undone; for what hits several devices or mail a dialog
// that lists what is hit, its verb on the button and the focus on Cancel; for what cannot be undone the name is typed in.
import { type ReactNode, useState } from "react";
import { useTranslation } from "../i18n/use";
import { ErrorBox } from "./states";
import { Button, Form, FormGroup, Modal, ModalBody, ModalFooter, ModalHeader, TextArea, TextInput } from "./kit";

interface Props {
  title: string;
  /** On the button: the verb ("Delete 12 messages"), never "OK". */
  verb: string;
  danger?: boolean;
  /** What has to be typed in (the name, the number). */
  typed?: string;
  /** Ask for the reason that the audit log keeps. */
  reason?: "required" | "optional";
  disabled?: boolean;
  onConfirm: (reason: string) => Promise<unknown>;
  onClose: () => void;
  children?: ReactNode;
}

export function ConfirmDialog({ title, verb, danger = false, typed, reason, disabled = false, onConfirm, onClose, children }: Props) {
  const { t } = useTranslation();
  const [text, setText] = useState(""), [why, setWhy] = useState(""), [busy, setBusy] = useState(false), [error, setError] = useState<unknown>(null);
  const ready = !disabled && !busy && (typed === undefined || text === typed) && (reason !== "required" || why.trim() !== "");
  const go = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm(why.trim());
      onClose();
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="confirm-title" aria-describedby="confirm-body">
      <ModalHeader title={title} labelId="confirm-title" {...(danger ? { titleIconVariant: "warning" as const } : {})} />
      <ModalBody id="confirm-body">
        {children}
        <Form onSubmit={(e) => { e.preventDefault(); if (ready) void go(); }}>
          {reason === undefined ? null : (
            <FormGroup label={t("reason")} fieldId="confirm-reason" isRequired={reason === "required"}>
              <TextArea id="confirm-reason" value={why} onChange={(_, v) => setWhy(v)} maxLength={500} rows={2} isRequired={reason === "required"} />
            </FormGroup>
          )}
          {typed === undefined ? null : (
            <FormGroup label={t("type_to_confirm", { text: typed })} fieldId="confirm-typed" isRequired>
              <TextInput id="confirm-typed" value={text} onChange={(_, v) => setText(v)} autoComplete="off" isRequired />
            </FormGroup>
          )}
        </Form>
        <ErrorBox error={error} />
      </ModalBody>
      <ModalFooter>
        <Button variant={danger ? "danger" : "primary"} isDisabled={!ready} isLoading={busy} onClick={() => void go()}>{verb}</Button>
        <Button variant="link" autoFocus onClick={onClose}>{t("cancel")}</Button>
      </ModalFooter>
    </Modal>
  );
}
