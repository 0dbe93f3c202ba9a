// Making a group, or changing its name, kind and place in the order.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useSend } from "../../api/use";
import { Button, ErrorBox, Form, FormGroup, FormHelperText, HelperText, HelperTextItem, Modal, ModalBody, ModalFooter, ModalHeader, Radio, TextInput } from "../../ui";

type Group = Schemas["Group"];

export function GroupForm({ group, etag, onDone, onClose }: { group: Group | null; etag: string; onDone: (g: Group) => void; onClose: () => void }) {
  const { t } = useTranslation("groups");
  const [name, setName] = useState(group?.name ?? ""), [kind, setKind] = useState<Group["kind"]>(group?.kind ?? "set"), [priority, setPriority] = useState(group === null ? "" : String(group.priority)), [force, setForce] = useState("");
  const save = useSend(async () => {
    const number = /^\s*\d{1,9}\s*$/.test(priority) ? Number(priority) : undefined;
    // Read back: a changed group answers without its members.
    const done = group === null ? await send("post", "/api/v1/groups", { body: { name, kind, ...(number === undefined ? {} : { priority: number }) } })
      : await send("patch", "/api/v1/groups/{id}", { path: { id: group.id }, query: force.trim() === "" ? {} : { force: force.trim() }, ifMatch: etag, body: { name, kind, ...(number === undefined ? {} : { priority: number }) } });
    onDone(done.data as Group);
  });
  const wantsForce = (save.error?.problem.errors ?? []).some((f) => f.forceable) || force !== "";
  const ready = name.trim() !== "" && !save.isPending;
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="group-title">
      <ModalHeader title={t(group === null ? "new_group" : "edit_group")} labelId="group-title" />
      <ModalBody>
        <ErrorBox error={save.error} />
        <Form id="group-form" onSubmit={(e) => { e.preventDefault(); if (ready) save.mutate(); }}>
          <FormGroup label={t("name")} fieldId="group-name" isRequired>
            <TextInput id="group-name" value={name} onChange={(_, v) => setName(v)} maxLength={63} isRequired autoComplete="off" spellCheck={false} />
          </FormGroup>
          <FormGroup label={t("priority")} fieldId="group-priority">
            <TextInput id="group-priority" className="inari-narrow" inputMode="numeric" autoComplete="off" value={priority} onChange={(_, v) => setPriority(v)} aria-describedby="group-priority-help" />
            <FormHelperText><HelperText id="group-priority-help"><HelperTextItem>{t("priority_help")}</HelperTextItem></HelperText></FormHelperText>
          </FormGroup>
          <FormGroup role="radiogroup" label={t("kind")} fieldId="group-kind">
            {(["set", "mx"] as const).map((k) => <Radio key={k} id={`group-${k}`} name="group-kind" label={t(`kind_${k}`)} description={t(`kind_${k}_help`)} isChecked={kind === k} onChange={() => setKind(k)} />)}
          </FormGroup>
          {wantsForce ? <FormGroup label={t("force")} fieldId="group-force" isRequired><TextInput id="group-force" maxLength={500} value={force} onChange={(_, v) => setForce(v)} /></FormGroup> : null}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="group-form" isDisabled={!ready} isLoading={save.isPending}>{group === null ? t("make") : t("save", { ns: "common" })}</Button>
        <Button variant="link" onClick={onClose}>{t("cancel", { ns: "common" })}</Button>
      </ModalFooter>
    </Modal>
  );
}
