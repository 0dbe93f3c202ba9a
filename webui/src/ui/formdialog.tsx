// A small form over the page: what is asked, what went wrong, one verb.  Enter sends it; nothing is lost when it fails.
import { type ReactNode, useState } from "react";
import { useTranslation } from "../i18n/use";
import { ErrorBox } from "./states";
import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "./kit";

interface Props {
  title: string;
  help?: string;
  verb: string;
  ready?: boolean;
  onSend: () => Promise<unknown>;
  onClose: () => void;
  children: ReactNode;
}

export function FormDialog({ title, help, verb, ready = true, onSend, onClose, children }: Props) {
  const { t } = useTranslation(), [busy, setBusy] = useState(false), [error, setError] = useState<unknown>(null);
  const go = async () => {
    setBusy(true);
    setError(null);
    try {
      await onSend();
      onClose();
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="form-title">
      <ModalHeader title={title} labelId="form-title" {...(help === undefined ? {} : { description: help })} />
      <ModalBody>
        <Form id="form-dialog" onSubmit={(e) => { e.preventDefault(); if (ready && !busy) void go(); }}>
          <ErrorBox error={error} />
          {children}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="form-dialog" isDisabled={!ready || busy} isLoading={busy}>{verb}</Button>
        <Button variant="link" onClick={onClose}>{t("cancel")}</Button>
      </ModalFooter>
    </Modal>
  );
}
