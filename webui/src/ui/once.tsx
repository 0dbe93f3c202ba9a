// A secret that is shown this one time: read only, to be copied; it is in no URL and in nothing that is kept.
import { useTranslation } from "../i18n/use";
import { Alert, Button, Modal, ModalBody, ModalFooter, ModalHeader } from "./kit";
import { Command } from "./command";

export function ShownOnce({ title, text, children, onClose }: { title: string; text: string; children?: string; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="once-title">
      <ModalHeader title={title} labelId="once-title" />
      <ModalBody>
        <Alert variant="warning" isInline component="p" title={t("shown_once")}>{children}</Alert>
        <Command text={text} label={title} />
      </ModalBody>
      <ModalFooter><Button onClick={onClose}>{t("kept_it")}</Button></ModalFooter>
    </Modal>
  );
}
